"""What another list would have found, from what a draw with known chances found.

Each result stands for 1/π of the pool, so that the findings of any list within the pool can be
estimated without having followed it: Σ q y/π, where q is the list's own chance to take a subject
(1 for a plain list). What of the list had no chance in the draw stays unknown, is counted, and
widens the bounds. Nothing depends on the model's own probabilities. A list must be made without
these results: one made by a model that has learned from them is flattered, which no figure here
shows.

Sources: Horvitz and Thompson 1952; Swaminathan and Joachims 2015 for the self-normalised estimate;
the variance is that of :mod:`.estimate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import polars as pl

from models.errors import InspectionError
from models.inspection.estimate import (
    Floats,
    Missing,
    Observed,
    degrees,
    joined,
    refuse_chances,
    variance,
)
from models.inspection.intervals import check_level, effective_size, interval, quantile

Estimator: TypeAlias = Literal["ht", "self_normalised"]

LEAST_EFFECTIVE: Final = 30.0
"""Fewer results than these, in effect, carry no judgement of a list."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a list of ``listed`` subjects would have found, and how far that can be relied on.

    ``findings`` with ``low`` and ``high`` are of the ``supported``, who could be drawn; ``rate`` is
    their hit rate. ``floor`` and ``ceiling`` bound the whole list: none or all of those without
    support. ``overlap`` of the list were really visited. ``effective`` is Kish's size of the
    results that speak for the list, ``heaviest`` the largest number of subjects for which one
    result stands. ``reliable``: all is supported and the effective size is not too small.
    """

    listed: float
    supported: float
    overlap: int
    findings: float
    rate: float
    standard_error: float
    low: float
    high: float
    floor: float
    ceiling: float
    effective: float
    heaviest: float
    reliable: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more a challenger's list would have found than the champion's, from one draw."""

    challenger: Value
    champion: Value
    difference: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """A draw that was carried out.

    ``pool``: ``subject_id``, ``stratum`` and ``inclusion_probability`` (the true one) of everybody
    who could be drawn. ``sample``: ``subject_id`` and ``positive`` of those who were.
    """

    pool: pl.DataFrame
    sample: pl.DataFrame


def value(
    log: Log,
    target: pl.DataFrame,
    *,
    estimator: Estimator = "self_normalised",
    level: float = 0.95,
    missing: Missing = "refuse",
) -> Value:
    """Return what the list ``target`` would have found.

    Args:
        log: The draw and its results.
        target: The list: ``subject_id``, and ``chance`` in (0, 1] where it is itself a draw.
        estimator: ``ht`` is unbiased; ``self_normalised`` is steadier where chances differ much.
        level: Of the interval.
        missing: As in :func:`.estimate.rates`.

    Raises:
        InspectionError: The list is empty or not one, nobody on it had a chance, or nobody on it
            was visited.
    """
    check_level(level)
    seen = _seen(log, missing)
    return _value(seen, _Target.of(log, target, seen), estimator, level)


def compare(
    log: Log,
    challenger: pl.DataFrame,
    champion: pl.DataFrame,
    *,
    estimator: Estimator = "self_normalised",
    level: float = 0.95,
    missing: Missing = "refuse",
) -> Difference:
    """Return what the ``challenger``'s list would have found beyond the ``champion``'s.

    The interval is of the difference itself: what both lists share cancels. Arguments and errors
    are those of :func:`value`.
    """
    check_level(level)
    seen = _seen(log, missing)
    targets = [_Target.of(log, one, seen) for one in (challenger, champion)]
    values = [_value(seen, one, estimator, level) for one in targets]
    parts = [_scaled(seen, one, estimator) for one in targets]
    apart = parts[0] - parts[1]
    error = float(np.sqrt(variance(apart, seen.pi, seen.stratum)))
    difference = values[0].findings - values[1].findings
    reach = quantile(level, degrees(apart, seen.pi, seen.stratum)) * error
    low, high = difference - reach, difference + reach
    if error == 0:  # alike in what was seen, which says nothing of what was not
        low, high = values[0].low - values[1].high, values[0].high - values[1].low
    return Difference(
        challenger=values[0],
        champion=values[1],
        difference=difference,
        standard_error=error,
        low=low,
        high=high,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """A list's chance ``q`` for each of the observed, its total, and that of the supported."""

    q: Floats
    listed: float
    supported: float
    people: int
    """How many are supported."""

    @classmethod
    def of(cls, log: Log, target: pl.DataFrame, seen: Observed) -> _Target:
        rows = _chances(target)
        supported = rows.join(log.pool, on="subject_id", how="semi")
        if not supported.height:
            raise InspectionError(
                f"none of the {rows.height} on the list had a chance in this draw, which "
                "therefore says nothing about it; use the draw of the same pool"
            )
        own = seen.frame.select("subject_id").join(
            rows, on="subject_id", how="left", maintain_order="left"
        )
        q = own["chance"].fill_null(0.0).to_numpy()
        if not (q > 0).any():
            raise InspectionError(
                f"nobody of the {supported.height} on the list was visited in this draw; wait for "
                "one with a larger random share"
            )
        sums = float(rows["chance"].sum()), float(supported["chance"].sum())
        return cls(q, *sums, people=supported.height)


def _seen(log: Log, missing: Missing) -> Observed:
    refuse_chances(log.pool)
    sample = log.sample.drop("inclusion_probability", strict=False).join(
        log.pool.select("subject_id", "inclusion_probability"),
        on="subject_id",
        how="left",
        maintain_order="left",
    )
    known = sample.with_columns(pl.col("inclusion_probability").fill_null(1.0))
    # Strata with a single result are put together: the interval is then too wide, not too narrow.
    return Observed.of(joined(known, log.pool, columns=()), missing=missing, collapse=True)


def _chances(target: pl.DataFrame) -> pl.DataFrame:
    if "subject_id" not in target.columns or not target.height:
        raise InspectionError("the list is empty or has no column 'subject_id'; give the subjects")
    chance = pl.col("chance") if "chance" in target.columns else pl.lit(1.0)
    rows = target.select("subject_id", chance.cast(pl.Float64).alias("chance"))
    odd = rows.filter(~pl.col("chance").is_between(0, 1, closed="right"))
    if odd.height:
        raise InspectionError(
            f"subject {odd['subject_id'][0]} is on the list with the chance {odd['chance'][0]}, "
            "which is not in (0, 1]"
        )
    twice = rows["subject_id"].is_duplicated()
    if twice.any():
        raise InspectionError(
            f"subject {rows['subject_id'].filter(twice)[0]} stands twice on the list; give it once"
        )
    return rows


def _value(seen: Observed, target: _Target, estimator: Estimator, level: float) -> Value:
    weight = target.q / seen.pi
    findings = _findings(seen, target, estimator)
    scaled = _scaled(seen, target, estimator)
    error = float(np.sqrt(variance(scaled, seen.pi, seen.stratum)))
    reach = quantile(level, degrees(scaled, seen.pi, seen.stratum))
    effective = float(weight.sum() ** 2 / np.square(weight).sum())
    lost = target.listed - target.supported
    whole, listed = target.supported, seen.pi[target.q > 0]
    size = effective_size(listed, whole=listed.size == target.people)
    low, high = interval(findings / whole, error / whole, reach=reach, fallback=size)
    low, high = low * whole, high * whole
    return Value(
        listed=target.listed,
        supported=whole,
        overlap=int((target.q > 0).sum()),
        findings=findings,
        rate=findings / whole,
        standard_error=error,
        low=low,
        high=high,
        floor=low,
        ceiling=high + lost,
        effective=effective,
        heaviest=float(weight.max()),
        reliable=lost == 0 and effective >= LEAST_EFFECTIVE,
    )


def _findings(seen: Observed, target: _Target, estimator: Estimator) -> float:
    weight = target.q / seen.pi
    total = float((weight * seen.outcome).sum())
    return total if estimator == "ht" else total * target.supported / float(weight.sum())


def _scaled(seen: Observed, target: _Target, estimator: Estimator) -> Floats:
    """Return what each result adds to the error of the findings."""
    weight = target.q / seen.pi
    if estimator == "ht":
        return weight * seen.outcome
    size = float(weight.sum())
    rate = float((weight * seen.outcome).sum()) / size
    return weight * (seen.outcome - rate) * (target.supported / size)
