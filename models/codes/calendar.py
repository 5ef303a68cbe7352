"""Working days, after the State Council's yearly notices on public holidays.

Terms such as the 7 working days of 双公示 start on the day after the decision, which is day 0, and
end with their last working day, 24:00 Asia/Shanghai. A year without a notice is an error, never
Monday to Friday. Dates are days in Asia/Shanghai; take them from an instant first, with
``.dt.convert_time_zone("Asia/Shanghai").dt.date()``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.codes.columns import Column, as_expr, by_batch
from models.codes.tables import Table, read_extra, read_table
from models.errors import CodeError

PLANNED_YEARS: Final = 2
"""Years beyond the last notice for which :func:`planning` assumes a calendar."""
_FIXED: Final = ("01-01/01-01", "05-01/05-02", "10-01/10-03")
"""Public holidays that fall on the same days each year (全国年节及纪念日放假办法, 2025)."""

PUBLICITY_DAYS: Final = 7
"""Working days within which a permit or penalty is made public (发改办财金〔2018〕424号)."""

_EPOCH: Final = date(1970, 1, 1)
Days = NDArray[np.int64]


class _Year(Table):
    notices: tuple[str, ...]
    days_off: tuple[date | str, ...]
    worked: tuple[date, ...] = ()


class _Layout(Table):
    years: dict[int, _Year]


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """Working days of consecutive years.

    ``first`` is the first day (days since 1970-01-01) of the first year; ``ordinal[d]`` counts the
    working days up to and including day ``first + d``; ``nth[k]`` is the day of the k-th of them,
    counted from 1.
    """

    years: tuple[int, ...]
    first: int
    ordinal: Days
    nth: Days


@cache
def load(extra: Path | None = None) -> Calendar:
    """Return the packaged calendar, with the years of the YAML file ``extra`` added or replaced.

    Raises:
        ConfigError: ``extra`` cannot be read or has another layout.
        CodeError: a date does not belong to its year, or the years are not consecutive.
    """
    return _calendar(_years(extra))


@cache
def planning(extra: Path | None = None) -> Calendar:
    """Return :func:`load`'s calendar and two years more, to set terms before their notice is out.

    The years assumed are Monday to Friday but for the holidays of fixed dates: a term that ends in
    one may move by some days once the notice is there (see :func:`is_settled`). Nothing that has
    happened is judged by it.
    """
    years = dict(_years(extra))
    last = max(years)
    for year in range(last + 1, last + 1 + PLANNED_YEARS):
        off = tuple("/".join(f"{year}-{end}" for end in span.split("/")) for span in _FIXED)
        years[year] = _Year(notices=(), days_off=off)
    return _calendar(years)


def is_settled(day: date, calendar: Calendar | None = None) -> bool:
    """Return whether the notice of the day's year is known; a term that ends later is assumed."""
    return day.year in known_years(calendar)


def _years(extra: Path | None) -> dict[int, _Year]:
    years = dict(read_table("calendar.yaml", _Layout).years)
    return years if extra is None else years | dict(read_extra(extra, _Layout).years)


def _calendar(years: dict[int, _Year]) -> Calendar:
    known = tuple(sorted(years))
    gaps = set(range(known[0], known[-1] + 1)) - set(known)
    if gaps:
        missing = ", ".join(str(year) for year in sorted(gaps))
        raise CodeError(
            f"the working-day calendar jumps over {missing}: years must be consecutive; add them"
        )
    first, end = _day(date(known[0], 1, 1)), _day(date(known[-1] + 1, 1, 1))
    days = np.arange(first, end)
    working = (days + _EPOCH.weekday()) % 7 < 5
    for year in known:
        working[_days_of(year, years[year].days_off) - first] = False
        working[_days_of(year, years[year].worked) - first] = True
    nth = np.concatenate([[first - 1], days[working]])
    return Calendar(known, first, np.cumsum(working, dtype=np.int64), nth)


def known_years(calendar: Calendar | None = None) -> tuple[int, ...]:
    """Return the years the calendar knows, so that callers can set other rows aside."""
    return (calendar or load()).years


def is_working_day(day: date, calendar: Calendar | None = None) -> bool:
    """Return whether ``day`` is worked.

    Raises:
        CodeError: its year is unknown.
    """
    return bool(_is_working(_one(day), calendar or load())[0])


def add_working_days(day: date, count: int, *, calendar: Calendar | None = None) -> date:
    """Return the ``count``-th working day after ``day`` (before it if negative; itself if 0).

    Raises:
        CodeError: the way there leads through an unknown year.
    """
    return _EPOCH + timedelta(days=int(_add(_one(day), count, calendar or load())[0]))


def working_days_between(start: date, end: date, *, calendar: Calendar | None = None) -> int:
    """Return the working days after ``start`` up to and including ``end``.

    Negative where ``end`` comes first: then minus the working days after ``end`` up to ``start``.

    Raises:
        CodeError: a date lies in an unknown year.
    """
    ordinals = _ordinal(np.array([_day(start), _day(end)]), calendar or load())
    return int(ordinals[1] - ordinals[0])


def deadline(
    decision: date, working_days: int = PUBLICITY_DAYS, *, calendar: Calendar | None = None
) -> date:
    """Return the last day of a term that a decision starts; the term ends at its 24:00 Shanghai.

    Raises:
        CodeError: the way there leads through an unknown year.
    """
    return add_working_days(decision, working_days, calendar=calendar)


def is_known_year_expr(column: Column, calendar: Calendar | None = None) -> pl.Expr:
    """Return whether each date's year is known: the rows the other expressions accept."""
    years = known_years(calendar)
    return as_expr(column).dt.year().is_between(years[0], years[-1])


def is_working_day_expr(column: Column, calendar: Calendar | None = None) -> pl.Expr:
    """Return whether each date is worked; a date of an unknown year raises :class:`CodeError`."""
    table = calendar or load()
    return _on_days(column, lambda days: _is_working(days, table), pl.Boolean())


def add_working_days_expr(
    column: Column, count: int, *, calendar: Calendar | None = None
) -> pl.Expr:
    """Return the ``count``-th working day after each date; unknown years raise ``CodeError``."""
    table = calendar or load()
    return _on_days(column, lambda days: _add(days, count, table), pl.Date())


def working_days_between_expr(
    start: Column, end: Column, *, calendar: Calendar | None = None
) -> pl.Expr:
    """Return the working days after ``start`` up to and including ``end``, as Int64."""
    table = calendar or load()
    first, last = (
        _on_days(column, lambda days: _ordinal(days, table), pl.Int64()) for column in (start, end)
    )
    return last - first


def deadline_expr(
    column: Column, working_days: int = PUBLICITY_DAYS, *, calendar: Calendar | None = None
) -> pl.Expr:
    """Return the last day of the term that each decision date starts."""
    return add_working_days_expr(column, working_days, calendar=calendar)


def _day(day: date) -> int:
    return (day - _EPOCH).days


def _one(day: date) -> Days:
    return np.array([_day(day)])


def _days_of(year: int, spans: tuple[date | str, ...]) -> Days:
    days = [day for span in spans for day in _span(span)]
    for day in days:
        if day.year != year:
            raise CodeError(
                f"the working-day calendar lists {day} under {year}: list a day under its own year"
            )
    return np.array([_day(day) for day in days], np.int64)


def _span(span: date | str) -> Iterator[date]:
    if isinstance(span, date):
        return iter([span])
    try:
        first, last = (date.fromisoformat(part) for part in span.split("/"))
    except ValueError as error:
        raise CodeError(
            f"the working-day calendar has {span!r}: write a date, or first/last such as "
            "2026-10-01/2026-10-07"
        ) from error
    return (first + timedelta(days=step) for step in range((last - first).days + 1))


def _ordinal(days: Days, calendar: Calendar) -> Days:
    places = days - calendar.first
    outside = (places < 0) | (places >= len(calendar.ordinal))
    if outside.any():
        raise _unknown(days[outside][0], calendar)
    return calendar.ordinal[places]


def _is_working(days: Days, calendar: Calendar) -> NDArray[np.bool_]:
    return calendar.nth[_ordinal(days, calendar)] == days


def _add(days: Days, count: int, calendar: Calendar) -> Days:
    ordinal = _ordinal(days, calendar)
    if count == 0:
        return days
    # Going back from a working day starts before it, as going forward starts after it.
    before = calendar.nth[ordinal] == days if count < 0 else 0
    target = ordinal + count - before + (count < 0)
    if (target < 1).any():
        raise _unknown(calendar.first - 1, calendar)
    if (target >= len(calendar.nth)).any():
        raise _unknown(calendar.first + len(calendar.ordinal), calendar)
    return calendar.nth[target]


def _unknown(day: int, calendar: Calendar) -> CodeError:
    asked = _EPOCH + timedelta(days=int(day))
    return CodeError(
        f"{asked} is in {asked.year}, for which the working-day calendar has no notice of the "
        f"State Council (it knows {calendar.years[0]}-{calendar.years[-1]}); write the year's days "
        "off and weekend days worked into a calendar YAML and pass it as extra"
    )


def _on_days(
    column: Column, function: Callable[[Days], NDArray[np.generic]], dtype: pl.DataType
) -> pl.Expr:
    def run(series: pl.Series) -> pl.Series:
        if series.dtype not in {pl.Date(), pl.Null()}:
            raise CodeError(
                f"column {series.name!r} is {series.dtype}: working days are counted on dates; "
                'take the day first, with .dt.convert_time_zone("Asia/Shanghai").dt.date()'
            )
        known = series.is_not_null()
        if not known.any():
            return pl.Series(series.name, [None] * len(series), dtype)
        dates = series.drop_nulls().cast(pl.Date).cast(pl.Int32).cast(pl.Int64)
        values = pl.Series(series.name, function(dates.to_numpy())).cast(dtype)
        places = pl.select(pl.when(known).then(known.cum_sum() - 1)).to_series()
        return values.gather(places)

    return by_batch(column, run, dtype)
