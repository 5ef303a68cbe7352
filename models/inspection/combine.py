"""One rate from several draws: random and targeted, of one period or of many, without bias.

Draws of one period over overlapping pools: each result counts with the share that its draw has in
the chances of that subject to be drawn at all, π_j / Σ π_j (Kalton and Anderson 1986). These shares
are known before anybody is visited, so that the sum stays unbiased, which weights made from the
results (their estimated variances, say) would not be.

Periods: the mean of their rates, weighted by pool size. Draws have seeds of their own, so that
variances add.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import polars as pl

from models.errors import InspectionError
from models.inspection.estimate import (
    Floats,
    Ints,
    Missing,
    Observed,
    degrees,
    joined,
    refuse_chances,
    variance,
)
from models.inspection.intervals import check_level, interval, quantile, satterthwaite

Combination: TypeAlias = Literal["ht", "hajek"]

RATES: Final[dict[str, pl.DataType]] = {
    "period": pl.String(),
    "draws": pl.Int64(),
    "population": pl.Int64(),
    "observed": pl.Int64(),
    "rate": pl.Float64(),
    "standard_error": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
}
"""The columns of combined rates, in order; ``period`` is null in the row of all periods."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One draw with its results.

    ``pool`` is everybody who could be drawn: ``subject_id``, ``stratum`` and
    ``inclusion_probability``, the true one. ``sample``: ``subject_id`` and ``positive`` of those
    who were drawn; see :func:`.estimate.rates`. ``draw_id`` tells draws apart; two without one are
    the same draw where their chances, their drawn and the results are.
    """

    period: str
    pool: pl.DataFrame
    sample: pl.DataFrame
    draw_id: str = ""


@dataclass(frozen=True, slots=True)
class _Part:
    """What a period adds: population, observed, rate, variance and degrees of freedom."""

    period: str
    draws: int
    population: int
    observed: int
    rate: float
    variance: float
    freedom: float
    effective: float


def combine(
    draws: Sequence[Drawn],
    *,
    method: Combination = "hajek",
    level: float = 0.95,
    missing: Missing = "refuse",
    collapse: bool = False,
) -> pl.DataFrame:
    """Return the rate of each period and, last, of all periods together; see :data:`RATES`.

    A period's population is everybody in any of its pools. Visits without a known chance
    (complaints, campaigns) belong to no draw and are left out by the caller.

    Args:
        draws: With different seeds; a period may have several.
        method: ``hajek`` divides by the size that the draws themselves say, which is steadier and
            off by the order of one over the sample size; ``ht`` by the true size, without bias.
        level: Of the intervals.
        missing: As in :func:`.estimate.rates`.
        collapse: As there.

    Raises:
        InspectionError: There is no draw, one does not fit its pool, or one is given twice.
    """
    check_level(level)
    if not draws:
        raise InspectionError("there is no draw to combine; give one at least")
    for one in draws:
        refuse_chances(one.pool)
    _refuse_twins(draws)
    periods = sorted({one.period for one in draws})
    parts = [
        _period([one for one in draws if one.period == period], method, missing, collapse=collapse)
        for period in periods
    ]
    rows = [_row(part, part.period, level) for part in parts]
    return pl.DataFrame([*rows, _row(_together(parts), None, level)], schema=RATES, orient="row")


def _refuse_twins(draws: Sequence[Drawn]) -> None:
    """Raise where a draw is given twice, which would halve the variance for nothing."""
    seen: dict[object, Drawn] = {}
    for one in draws:
        found = one.sample.select("subject_id", "positive").sort("subject_id")
        twin = seen.setdefault(one.draw_id or tuple(found.rows()), one)
        if twin is one or not (one.draw_id or _alike(one, twin)):
            continue
        named = f"draw '{one.draw_id}'" if one.draw_id else "a draw"
        raise InspectionError(
            f"{named} is given twice, for {twin.period} and {one.period}; give each draw once, and "
            "its own draw_id where two draws came out alike"
        )


def _alike(one: Drawn, other: Drawn) -> bool:
    kept = ("subject_id", "inclusion_probability")
    pools = [draw.pool.select(kept).sort("subject_id") for draw in (one, other)]
    return pools[0].equals(pools[1])


def _period(
    draws: Sequence[Drawn], method: Combination, missing: Missing, *, collapse: bool
) -> _Part:
    chances = (
        pl.concat([one.pool.select("subject_id", "inclusion_probability") for one in draws])
        .group_by("subject_id")
        .agg(pl.col("inclusion_probability").sum().alias("_chances"))
    )
    found = [_sum(one, chances, missing, collapse=collapse) for one in draws]
    if method == "ht" and not all(one.scoped for one in found):
        raise InspectionError(
            "some of the drawn are out of scope, and how many of the pool are is unknown, which "
            "'ht' needs; use 'hajek'"
        )
    said = sum(one.size for one in found)
    size = float(chances.height) if method == "ht" else said
    rate = sum(one.total for one in found) / size
    centre = 0.0 if method == "ht" else rate
    variances = [one.variance(centre) / size**2 for one in found]
    return _Part(
        period=draws[0].period,
        draws=len(draws),
        population=chances.height,
        observed=sum(one.observed for one in found),
        rate=rate,
        variance=sum(variances),
        freedom=satterthwaite(variances, [one.freedom(centre) for one in found]),
        effective=said**2 / max(sum(one.weights for one in found), 1e-300),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Sum:
    """The weighed outcomes of a draw's observed."""

    outcome: Floats
    share: Floats
    pi: Floats
    stratum: Ints
    observed: int
    scoped: bool

    @property
    def total(self) -> float:
        return float((self.outcome * self.share / self.pi).sum())

    @property
    def size(self) -> float:
        return float((self.share / self.pi).sum())

    @property
    def weights(self) -> float:
        """Return the sum of squared weights of those drawn by chance, less what is surely seen."""
        return float((np.square(self.share / self.pi) * (1 - self.pi)).sum())

    def variance(self, centre: float) -> float:
        """Return the variance of what the draw adds to the sum of residuals."""
        return variance(self._scaled(centre), self.pi, self.stratum)

    def freedom(self, centre: float) -> float:
        """Return the degrees of freedom of that variance."""
        return degrees(self._scaled(centre), self.pi, self.stratum)

    def _scaled(self, centre: float) -> Floats:
        return (self.outcome - centre) * self.share / self.pi


def _sum(one: Drawn, chances: pl.DataFrame, missing: Missing, *, collapse: bool) -> _Sum:
    pool = one.pool.join(chances, on="subject_id", how="left", maintain_order="left")
    sample = (
        one.sample.drop("inclusion_probability", strict=False)
        .join(
            one.pool.select("subject_id", "inclusion_probability"),
            on="subject_id",
            how="left",
            maintain_order="left",
        )
        .with_columns(pl.col("inclusion_probability").fill_null(1.0))
    )  # strangers are refused below
    own = pool.with_columns((pl.col("inclusion_probability") / pl.col("_chances")).alias("_share"))
    seen = Observed.of(joined(sample, own, columns=["_share"]), missing=missing, collapse=collapse)
    return _Sum(
        outcome=seen.outcome,
        share=seen.frame["_share"].to_numpy() * seen.scope,
        pi=seen.pi,
        stratum=seen.stratum,
        observed=int(seen.scope.sum()),
        scoped=bool(seen.scope.all()),
    )


def _together(parts: Sequence[_Part]) -> _Part:
    size = sum(part.population for part in parts)
    share = [part.population / size for part in parts]
    spread = sum(s**2 * part.variance for s, part in zip(share, parts, strict=True))
    return _Part(
        period="",
        draws=sum(part.draws for part in parts),
        population=size,
        observed=sum(part.observed for part in parts),
        rate=sum(s * part.rate for s, part in zip(share, parts, strict=True)),
        variance=spread,
        freedom=satterthwaite(
            [s**2 * part.variance for s, part in zip(share, parts, strict=True)],
            [part.freedom for part in parts],
        ),
        effective=sum(part.effective for part in parts),
    )


def _row(part: _Part, period: str | None, level: float) -> dict[str, object]:
    error = float(np.sqrt(part.variance))
    low, high = interval(
        part.rate, error, reach=quantile(level, part.freedom), fallback=part.effective
    )
    return {
        "period": period,
        "draws": part.draws,
        "population": part.population,
        "observed": part.observed,
        "rate": part.rate,
        "standard_error": error,
        "low": low,
        "high": high,
    }
