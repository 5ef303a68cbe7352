"""Whether probabilities still say how often the event happens, on rows whose label has arrived."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

BINS: Final = 10
_Z: Final = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Rates promised and seen, over rows with a label.

    ``low`` and ``high`` are the 95 % interval of ``gap``; rows of one subject count as one draw.
    ``ece`` is the mean absolute gap over bins of equal weight, ``ece_by_chance`` what perfectly
    calibrated probabilities would show on as many rows, so that only the excess is a fault. All
    rates are NaN without rows.
    """

    rows: int
    positives: int
    expected: float
    observed: float
    low: float
    high: float
    ece: float
    ece_by_chance: float

    @property
    def gap(self) -> float:
        """Return observed minus expected rate."""
        return self.observed - self.expected

    @property
    def drifted(self) -> bool:
        """Tell whether the interval of the gap leaves out 0."""
        return self.low > 0 or self.high < 0


def calibration(
    probability: pl.Series,
    positive: pl.Series,
    *,
    weight: pl.Series | None = None,
    subject: pl.Series | None = None,
) -> Calibration:
    """Compare what was promised with what happened; rows of null label are left out.

    ``weight`` is that of inverse inclusion probabilities, ``subject`` names whose row it is.
    """
    whole = pl.DataFrame({"p": probability.cast(pl.Float64), "y": positive.cast(pl.Float64)})
    frame = whole.with_columns(
        pl.lit(1.0).alias("w") if weight is None else weight.cast(pl.Float64).alias("w"),
        pl.int_range(pl.len()).alias("s") if subject is None else subject.alias("s"),
    ).filter(pl.col("p").is_not_null() & pl.col("y").is_not_null() & (pl.col("w") > 0))
    if frame.is_empty():
        return Calibration(0, 0, *[float("nan")] * 6)
    total = float(frame["w"].sum())
    expected, observed = _mean(frame, "p"), _mean(frame, "y")
    by_subject = frame.group_by("s").agg((pl.col("w") * (pl.col("y") - pl.col("p"))).sum())
    spread = _Z * sqrt(float(by_subject.select(pl.col("w").pow(2).sum()).item())) / total
    ece, by_chance = _ece(frame, total)
    return Calibration(
        rows=frame.height,
        positives=int(frame["y"].sum()),
        expected=expected,
        observed=observed,
        low=observed - expected - spread,
        high=observed - expected + spread,
        ece=ece,
        ece_by_chance=by_chance,
    )


def _mean(frame: pl.DataFrame, column: str) -> float:
    return float(frame.select((pl.col("w") * pl.col(column)).sum() / pl.col("w").sum()).item())


def _ece(frame: pl.DataFrame, total: float) -> tuple[float, float]:
    """Return the error over bins of equal weight, and E|error| where every p is right."""
    w, p = pl.col("w"), pl.col("p")
    place = ((w.cum_sum() - w / 2) / total * BINS).floor().clip(0, BINS - 1)
    bins = (
        frame.sort("p", "s")
        .with_columns(place.alias("bin"))
        .group_by(pl.col("bin").first().over("p"))  # equal probabilities share a bin
        .agg(
            (w * (pl.col("y") - p)).sum().abs().alias("gap"),
            (w.pow(2) * p * (1 - p)).sum().sqrt().alias("spread"),
        )
    )
    error = float(bins["gap"].sum()) / total
    return error, sqrt(2 / pi) * float(bins["spread"].sum()) / total
