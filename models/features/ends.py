# ruff: noqa: PLR0913, PLR0917
# A compiled function takes plain arrays by place; a loop over rows is what it is for.
"""The day on which each record's publicity ends, compiled (:mod:`.compiled`).

Days are int32 since 1970-01-01.
"""

from __future__ import annotations

from typing import Final

from models.features.arrays import Bytes, Days
from models.features.compiled import compiled

NEVER: Final = -(2**31)
"""A day before all days, as in :mod:`.interval`; here because the cache watches this file alone."""


@compiled()
def add_months(day: int, months: int) -> int:
    """Return the day some calendar months later, the last of the month where it has no such day.

    Days from and to civil dates of the Gregorian calendar by eras of 400 years.
    """
    shifted = day + 719_468  # from 0000-03-01, so that a leap day ends its year
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153  # 0 is March
    of_month = of_year - (153 * month + 2) // 5

    index = (era * 400 + year) * 12 + month + months
    first = _month_start(index)
    return first + min(of_month, _month_start(index + 1) - first - 1)


@compiled()
def _month_start(index: int) -> int:
    """Return the first day of a month, counted in months from March of the year 0."""
    year = index // 12
    era = year // 400
    of_era = year - era * 400
    start = of_era * 365 + of_era // 4 - of_era // 100 + (153 * (index - year * 12) + 2) // 5
    return era * 146_097 + start - 719_468


@compiled("i4 i4 i4 i4 u1 u1 u1 u1 i4 i4 u1 u1 i4*")
def publicity_ends(
    day: Days,
    stop: Days,
    restrict: Days,
    months: Days,
    severity: Bytes,
    kind: Bytes,
    published: Bytes,
    corrected: Bytes,
    era_start: Days,
    term_months: Days,
    term_hidden: Bytes,
    term_keeps: Bytes,
    until: Days,
) -> None:
    """Write to ``until`` the first day on which each row no longer counts.

    ``stop``: that day by voiding alone. ``restrict``: NEVER where null. ``months``: −1 where null,
    as in ``term_months``, whose index is (era × 4 + severity) × kinds + kind.
    """
    kinds = len(term_months) // (4 * len(era_start))
    for i in range(len(day)):
        until[i] = stop[i]
        if stop[i] == NEVER:
            continue
        era = 0
        while era + 1 < len(era_start) and era_start[era + 1] <= day[i]:
            era += 1
        term = (era * 4 + severity[i]) * kinds + kind[i]
        if term_hidden[term] and not published[i]:
            until[i] = NEVER
            continue
        length = int(months[i] if months[i] >= 0 else term_months[term])
        if length >= 0 and not (term_keeps[term] and not corrected[i]):
            end = max(add_months(int(day[i]), length), int(restrict[i]))
            until[i] = min(end, int(stop[i]))
