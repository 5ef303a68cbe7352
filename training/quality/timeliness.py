"""How late decisions were reported: working days from the decision to the platform's knowing it.

A working day counts from its beginning, which is 24:00 of the one before: what is reported on the
Saturday after the seventh working day came on the eighth, so it is late.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from models.codes.calendar import (
    PUBLICITY_DAYS,
    Calendar,
    is_known_year_expr,
    is_working_day_expr,
    working_days_between_expr,
)

TIMELY_TABLES: Final = ("licence", "penalty")
"""Tables whose rows must be public within PUBLICITY_DAYS (发改办财金〔2018〕424号)."""
SIMPLE_PROCEDURE: Final = "V12"
"""双公示 does not ask for decisions by simple procedure, so they cannot be late."""
EDGES: Final = (0, 1, 2, 3, 4, 5, 6, PUBLICITY_DAYS, 10, 20, 30, 60)
"""Last working day of each bucket of the distribution; a further bucket holds what came later."""

_DAYS: Final = "_days"


def bucket_title(bucket: int) -> str:
    """Return the Chinese title of a bucket, in working days."""
    if bucket == len(EDGES):
        return f"＞{EDGES[-1]}"
    first = EDGES[bucket - 1] + 1 if bucket else 0
    return str(EDGES[bucket]) if first >= EDGES[bucket] else f"{first}–{EDGES[bucket]}"


def with_days(records: pl.LazyFrame, *, calendar: Calendar | None = None) -> pl.LazyFrame:
    """Add the least number of working days by whose end the decision was reported.

    That is at most n exactly where the report came by ``deadline(happened_on, n)``; null where it
    cannot be judged.
    """
    judged = ~_assumed() & ~_exempt() & _in_calendar(calendar)
    known_on = pl.col("known_at").dt.convert_time_zone("Asia/Shanghai").dt.date()
    # the calendar refuses years it does not know, so such dates are nulled before it sees them
    decided = pl.when(judged).then("happened_on")
    known = pl.when(judged).then("_known_on")
    ended = working_days_between_expr(decided, known, calendar=calendar)
    between = ~is_working_day_expr(known, calendar) & (known > decided)
    return records.with_columns(_known_on=known_on).with_columns(
        (ended + between.cast(pl.Int64)).alias(_DAYS)
    )


def counts(*, calendar: Calendar | None = None) -> Mapping[str, pl.Expr]:
    """Return the aggregations of a frame made by :func:`with_days`, by their names in COUNTS.

    Every record is counted once: timed, assumed, exempt or uncalendared.
    """
    unknown = ~_in_calendar(calendar)
    return {
        "timed": pl.col(_DAYS).count(),
        "late": (pl.col(_DAYS) > PUBLICITY_DAYS).sum(),
        "exempt": _exempt().sum(),
        "assumed": (_assumed() & ~_exempt()).sum(),
        "uncalendared": (unknown & ~_assumed() & ~_exempt()).sum(),
    }


def buckets() -> Mapping[str, pl.Expr]:
    """Return the aggregations that count each bucket, by its number as text."""
    first = (-(2**31), *(edge + 1 for edge in EDGES))
    last = (*EDGES, 2**31)
    return {
        str(bucket): pl.col(_DAYS).is_between(low, high).sum()
        for bucket, (low, high) in enumerate(zip(first, last, strict=True))
    }


def _assumed() -> pl.Expr:
    return pl.col("known_assumed").fill_null(value=True)


def _exempt() -> pl.Expr:
    return pl.col("findings").list.contains(SIMPLE_PROCEDURE).fill_null(value=False)


def _in_calendar(calendar: Calendar | None) -> pl.Expr:
    known = [is_known_year_expr(pl.col(c), calendar) for c in ("happened_on", "_known_on")]
    return pl.all_horizontal(known).fill_null(value=False)
