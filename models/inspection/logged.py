"""What a list would have found, from inspection records that carry their inclusion probability.

:mod:`.offpolicy` asks for the whole pool of a draw. Training has the records alone: of everybody
who was drawn the outcome and π, of the others nothing. Each record stands for 1/π subjects, so that
the hit rate of a list is Σ q y/π / Σ q/π over the records, q being the part of the record's subject
that is on the list (1, 0, or between where equal scores meet the list's end). Whether the list had
support shows only in Σ q/π, which comes to the length of the list, or to a multiple of it where
several draws fell into its time: where it is surely less, part of the list had no chance at all,
and nothing is known of that part.

Sources: Hájek 1971 for the ratio; Swaminathan and Joachims 2015; variance as in :mod:`.estimate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from models.errors import InspectionError
from models.inspection.estimate import Floats, Observed, degrees, variance
from models.inspection.intervals import check_level, effective_size, interval, quantile
from models.inspection.offpolicy import LEAST_EFFECTIVE

_SURE: Final = 0.998
"""The level at which a list counts as longer than what had a chance: it is looked at often."""
_NOTHING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Logged:
    """What a list of ``listed`` places would have found, as ``results`` records on it tell.

    ``findings`` with ``low`` and ``high`` are the hit ``rate`` times ``listed``. ``coverage`` is
    Σ q/π over ``listed``, ``covered`` what it surely is not above. ``effective`` is Kish's size
    of the records on the list, ``heaviest`` the most subjects that one of them stands for.
    ``supported``: nothing says that part of the list had no chance. ``reliable``: so, and the
    effective size is not too small.
    """

    listed: float
    results: int
    findings: float
    low: float
    high: float
    rate: float
    standard_error: float
    coverage: float
    covered: float
    effective: float
    heaviest: float
    supported: bool
    reliable: bool


@dataclass(frozen=True, slots=True)
class Lead:
    """How much more one list would have found than another, from the same records."""

    difference: float
    standard_error: float
    low: float
    high: float


def logged(results: pl.DataFrame, column: str, *, listed: float, level: float = 0.95) -> Logged:
    """Return what a list would have found.

    Args:
        results: A row for each record with a known chance: ``subject_id``, ``stratum`` (the draw,
            or its time), ``inclusion_probability`` in (0, 1], ``positive``, and ``column``.
        column: The part of the row's subject on the list, from 0 to 1.
        listed: How many places the list has.
        level: Of the interval.

    Raises:
        InspectionError: A value is missing or out of range, or no record is on the list.
    """
    check_level(level)
    seen = _seen(results, column)
    q = seen.frame[column].to_numpy()
    weight = q / seen.pi
    size = float(weight.sum())
    rate = float((weight * seen.outcome).sum()) / size
    scaled = _scaled(seen, q, listed)
    error = float(np.sqrt(variance(scaled, seen.pi, seen.stratum)))
    reach = quantile(level, degrees(scaled, seen.pi, seen.stratum))
    on = q > 0
    whole = size >= listed * (1 - _NOTHING)
    fallback = effective_size(seen.pi[on], whole=whole)
    low, high = interval(rate, error / listed, reach=reach, fallback=fallback)
    effective = size**2 / float(np.square(weight).sum())
    spread = quantile(_SURE, degrees(weight, seen.pi, seen.stratum))
    covered = size + spread * float(np.sqrt(variance(weight, seen.pi, seen.stratum)))
    supported = covered >= listed * (1 - _NOTHING)
    return Logged(
        listed=listed,
        results=int(on.sum()),
        findings=rate * listed,
        low=low * listed,
        high=high * listed,
        rate=rate,
        standard_error=error,
        coverage=size / listed,
        covered=covered / listed,
        effective=effective,
        heaviest=float(weight.max()),
        supported=supported,
        reliable=supported and effective >= LEAST_EFFECTIVE,
    )


def lead(
    results: pl.DataFrame, columns: tuple[str, str], *, listed: float, level: float = 0.95
) -> Lead:
    """Return how much more the first list of ``columns`` would have found than the second.

    Both have ``listed`` places. What both share cancels. Errors are those of :func:`logged`.
    """
    check_level(level)
    parts: list[Floats] = []
    for column in columns:
        seen = _seen(results, column)
        parts.append(_scaled(seen, seen.frame[column].to_numpy(), listed))
    seen = _seen(results, columns[0])
    values = [logged(results, column, listed=listed, level=level) for column in columns]
    apart = parts[0] - parts[1]
    error = float(np.sqrt(variance(apart, seen.pi, seen.stratum)))
    reach = quantile(level, degrees(apart, seen.pi, seen.stratum)) * error
    difference = values[0].findings - values[1].findings
    low, high = difference - reach, difference + reach
    if error == 0:  # alike in what was seen, which says nothing of what was not
        low, high = values[0].low - values[1].high, values[0].high - values[1].low
    return Lead(difference, error, low, high)


def _seen(results: pl.DataFrame, column: str) -> Observed:
    for name in ("subject_id", "stratum", "inclusion_probability", "positive", column):
        if name not in results.columns or results[name].null_count():
            raise InspectionError(f"every record needs '{name}'; take those with a known chance")
    odd = results.filter(
        ~pl.col("inclusion_probability").is_between(0, 1, closed="right")
        | ~pl.col(column).is_between(0, 1)
    )
    if odd.height:
        raise InspectionError(
            f"the record of subject {odd['subject_id'][0]} has the chance "
            f"{odd['inclusion_probability'][0]} and the part {odd[column][0]} of the list; a "
            "chance is in (0, 1], a part from 0 to 1"
        )
    if not (results[column] > 0).any():
        raise InspectionError(
            f"none of the {results.height} records with a known chance is on the list '{column}', "
            "so that they say nothing about it; wait for a draw with a larger random share"
        )
    return Observed.of(results, missing="refuse", collapse=True)


def _scaled(seen: Observed, q: Floats, listed: float) -> Floats:
    """Return what each record adds to the error of the findings."""
    weight = q / seen.pi
    size = float(weight.sum())
    rate = float((weight * seen.outcome).sum()) / size
    return weight * (seen.outcome - rate) * (listed / size)
