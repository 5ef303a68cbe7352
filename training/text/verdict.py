"""Which model wins, and why: a written verdict.

The baseline, a plain linear model, stands until another proves better on the validation slice: the
next, dearer or less plain, must gain at least :data:`WORTH` macro-F1 on average over the heads, and
must be ahead in at least :data:`SURE` of the resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from training.text.measure import Measured

Model = Literal["baseline", "linear", "encoder", "ensemble"]
BY_COST: Final[tuple[Model, ...]] = get_args(Model)
"""From the plainest and cheapest to the dearest."""
FILE: Final = "verdict.json"
"""What a fit writes beside its bundles."""
WORTH: Final = 0.003
SURE: Final = 0.8

Gains = npt.NDArray[np.float64]


class Verdict(BaseModel):
    """The model that won, and each comparison in words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    winner: Model
    reasons: tuple[str, ...]
    measured: Mapping[Model, Mapping[str, Measured]]
    """By model, then head; on the validation slice."""


def judge(
    measured: Mapping[Model, Mapping[str, Measured]],
    gains: Mapping[tuple[Model, Model], Sequence[Gains]],
) -> Verdict:
    """Return the verdict: from the cheapest model up, each must beat the best so far.

    Args:
        measured: What each model came to, by head.
        gains: By (dearer, cheaper) pair, each head's resampled gains in macro-F1.
    """
    there: list[Model] = [name for name in BY_COST if name in measured]
    best, reasons = there[0], [f"{there[0]} stands first: it is the plainest"]
    for dearer in there[1:]:
        drawn = np.mean(np.stack(list(gains[dearer, best])), axis=0)
        gain = _macro(measured[dearer]) - _macro(measured[best])
        ahead = float((drawn > 0).mean())
        said = f"{dearer} against {best}: macro-F1 {gain:+.4f}, ahead in {ahead:.0%} of resamples"
        if gain >= WORTH and ahead >= SURE:
            reasons.append(f"{said}: it earns its cost")
            best = dearer
        else:
            reasons.append(f"{said}: not enough ({WORTH:+.3f} and {SURE:.0%} are asked)")
    return Verdict(winner=best, reasons=tuple(reasons), measured=measured)


def _macro(measured: Mapping[str, Measured]) -> float:
    return float(np.mean([one.macro_f1 for one in measured.values()]))
