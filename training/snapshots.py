"""The dates at which the past is looked back on, so that a model learns from what was foretellable.

A date is used only when its whole horizon has passed and what happened in it could be reported:
the last day of the horizon plus the embargo is not after the end of the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import polars as pl

from models.errors import ConfigError
from models.records.reading import Records
from models.scenarios.scenario import Scenario

ANCHOR: Final = date(2000, 1, 3)
"""Where ``every`` counts from if a scenario has no ``first``: not from the data, so that new
records add dates and move none."""

_RANGE: Final = pl.Schema({"table": pl.String(), "first": pl.Date(), "last": pl.Date()})


@dataclass(frozen=True, slots=True)
class Period:
    """The days on which records tell what happened, both included."""

    start: date
    end: date


def period(parts: Iterable[Records], scenario: Scenario) -> Period:
    """Return the days that the tables of the scenario's label cover, over all parts of a lake.

    It starts with the earliest day of any of them, and ends when the first of them falls silent:
    the least of their last days of ``known_at`` (in Shanghai). A table without rows is left out;
    :class:`ConfigError` where none has any.
    """
    tables = sorted({r.table for r in (*scenario.label.events, *scenario.label.observers)})
    ranges = [one for part in parts for one in _ranges(part, tables)]
    found = pl.concat([_RANGE.to_frame(), *ranges])
    if found.is_empty():
        raise ConfigError(
            f"scenario '{scenario.id}' learns from {', '.join(tables)}, which hold no records; "
            "import them first"
        )
    by_table = found.group_by("table").agg(pl.col("first").min(), pl.col("last").max())
    return Period(*by_table.select(pl.col("first").min(), pl.col("last").min()).row(0))


def _ranges(records: Records, tables: list[str]) -> Iterator[pl.DataFrame]:
    known_on = pl.col("known_at").dt.convert_time_zone("Asia/Shanghai").dt.date()
    for table in tables:
        if table in records.tables():
            one = (
                records.frame(table, ["happened_on", "known_at"])
                .select(
                    pl.lit(table).alias("table"),
                    pl.col("happened_on").min().alias("first"),
                    known_on.max().alias("last"),
                )
                .collect()
            )
            yield one.cast(_RANGE).drop_nulls()


def snapshots(scenario: Scenario, within: Period) -> tuple[date, ...]:
    """Return the scenario's dates of view in a period, ascending; empty when it is too short."""
    declared = scenario.snapshots
    first = max(declared.first or within.start, within.start)
    last = min(declared.last or within.end, within.end)
    return tuple(
        on for on in _calendar(scenario, first, last) if complete_on(scenario, on) <= within.end
    )


def latest_view(scenario: Scenario, within: Period) -> date:
    """Return the last day of a period that is like the scenario's dates of view.

    Where dates come every so many days, any day is: the period's end. Where they are days of the
    year, as before a yearly term, it is the last of these: another season would look like drift.
    """
    if not scenario.snapshots.on:
        return within.end
    known = _calendar(scenario, within.start, within.end)
    return max(known, default=within.end)


def complete_on(scenario: Scenario, as_of: date) -> date:
    """Return the day by whose end the label of a date is known in full."""
    return scenario.label.ends(as_of) + scenario.snapshots.embargo.delta


def check_complete(scenario: Scenario, as_of: date, *, within: Period) -> None:
    """Raise :class:`ConfigError` for a date of which the data cannot tell the whole outcome."""
    if as_of < within.start:
        raise ConfigError(
            f"as of {as_of} nothing of the label was recorded yet; the data begins on "
            f"{within.start}, take a later date"
        )
    complete = complete_on(scenario, as_of)
    if complete > within.end:
        raise ConfigError(
            f"the outcome as of {as_of} is complete on {complete}, after the data's end on "
            f"{within.end}; take an earlier date"
        )


def _calendar(scenario: Scenario, first: date, last: date) -> Iterator[date]:
    declared = scenario.snapshots
    if declared.every is None:
        for year in range(first.year, last.year + 1):
            for on in sorted(day.in_year(year) for day in declared.on):
                if first <= on <= last:
                    yield on
        return
    step = declared.every.days
    anchor = declared.first or ANCHOR
    on = anchor + timedelta(days=-((anchor - first).days // step) * step)
    while on <= last:
        yield on
        on += timedelta(days=step)
