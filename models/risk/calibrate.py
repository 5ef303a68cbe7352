"""From a booster's log-odds to a probability that can be taken at its word.

Calibrators are fitted where models are (:mod:`training.calibration`); this is how one is applied
and kept. Sources: J. Platt, Probabilistic Outputs for Support Vector Machines, 1999; M. Kull,
T. Silva Filho, P. Flach, Beta calibration, AISTATS 2017; A. Oron, N. Flournoy, Centered Isotonic
Regression, Statistics in Biopharmaceutical Research 9 (2017).
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final, Literal, TypeAlias, cast, get_args

import numpy as np

from models.errors import BundleError
from models.risk.encode import FloatArray

Kind: TypeAlias = Literal["none", "platt", "beta", "isotonic"]

_CERTAIN: Final = 36.0
"""Log-odds beyond which a double would say 1."""


@dataclass(frozen=True)
class Calibrator:
    """How log-odds become a probability, always rising, never 0 or 1.

    With s the sigmoid of the raw log-odds, the calibrated log-odds are
    ``none``: the raw ones; ``platt``: slope · raw + intercept;
    ``beta``: slope · ln s - slope_high · ln(1 - s) + intercept.
    ``isotonic``: the probability is linear between the block centres (``knots``, raw log-odds
    strictly ascending) whose probabilities are ``levels``, and constant beyond the outermost.
    """

    kind: Kind = "none"
    slope: float = 1.0
    slope_high: float = 1.0
    intercept: float = 0.0
    knots: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise BundleError(f"unknown calibration '{self.kind}'; one of {get_args(Kind)}")
        if not all(map(math.isfinite, (self.slope, self.slope_high, self.intercept))):
            raise BundleError(f"a calibration has finite coefficients, not {self!r}")
        if self.slope < 0 or self.slope_high < 0:
            raise BundleError(f"a calibration that falls ({self!r}) would turn the order around")
        if self.kind == "isotonic":
            self._check_blocks()

    def apply(self, raw: FloatArray) -> FloatArray:
        """Return the probabilities of raw log-odds, one for one, each in (0, 1).

        Raises :class:`BundleError` for log-odds that are not finite.
        """
        if not np.isfinite(raw).all():
            raise BundleError("the model gave log-odds that are not finite; fit it again")
        match self.kind:
            case "none":
                return sigmoid(raw)
            case "platt":
                return sigmoid(self.slope * raw + self.intercept)
            case "beta":
                low, high = np.logaddexp(0.0, -raw), np.logaddexp(0.0, raw)
                return sigmoid(self.slope_high * high - self.slope * low + self.intercept)
            case "isotonic":
                return self._between(raw)

    def to_json(self) -> str:
        """Return the calibrator as JSON; every number comes back to the bit."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Calibrator:
        """Read what :meth:`to_json` wrote; :class:`BundleError` for anything else."""
        try:
            data = cast("dict[str, object]", json.loads(text))
            knots = cast("list[float]", data.pop("knots"))
            levels = cast("list[float]", data.pop("levels"))
            kind = cast("Kind", data.pop("kind"))
            numbers = cast("dict[str, float]", data)
            return cls(kind, **numbers, knots=tuple(knots), levels=tuple(levels))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"this is no calibrator: {error!r}") from None

    def _check_blocks(self) -> None:
        if not self.knots or len(self.knots) != len(self.levels):
            raise BundleError(
                f"isotonic calibration with {len(self.knots)} knots and {len(self.levels)} levels; "
                "each block has one of both"
            )
        rising = all(a < b for a, b in pairwise(self.knots))
        ordered = all(a <= b for a, b in pairwise(self.levels))
        if not (rising and ordered and all(map(math.isfinite, self.knots))):
            raise BundleError("isotonic calibration with blocks out of order; sort them")
        if not 0 < self.levels[0] <= self.levels[-1] < 1:
            raise BundleError(
                f"isotonic calibration from {self.levels[0]} to {self.levels[-1]}; nobody is "
                "certain, so levels lie strictly between 0 and 1"
            )

    @cached_property
    def _blocks(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        knots, levels = np.array(self.knots), np.array(self.levels)
        return knots, levels, np.append(np.diff(knots), 1.0)

    def _between(self, raw: FloatArray) -> FloatArray:
        # Not np.interp, which computes in another way when rows are few.
        knots, levels, gaps = self._blocks
        inside = np.clip(raw, knots[0], knots[-1])
        block = np.searchsorted(knots, inside, side="right") - 1
        low, high = levels[block], levels[np.minimum(block + 1, len(levels) - 1)]
        risen = low + (high - low) * ((inside - knots[block]) / gaps[block])
        return np.minimum(risen, high)


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """Return probabilities of log-odds, never 0 or 1."""
    return 1.0 / (1.0 + np.exp(-np.clip(log_odds, -_CERTAIN, _CERTAIN)))


def logit(probability: FloatArray) -> FloatArray:
    """Return the log-odds of probabilities in (0, 1)."""
    return np.log(probability) - np.log1p(-probability)
