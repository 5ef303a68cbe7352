"""How often what is foretold was seen of a subject before: what the past-rate rule goes by.

Only rows that had happened before the date of view and were known by its end are looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from models.features.spec import AS_OF, SUBJECT
from models.records.reading import Records
from models.scenarios.cohort import REGISTER
from models.scenarios.known import HAPPENED, known, read
from models.scenarios.label import Events, Rows
from models.scenarios.scenario import Scenario
from models.time import AsOf

SEEN: Final = "past_seen"
FOUND: Final = "past_found"
YEARS: Final = 3
"""How far back the past of events and reports goes; inspections are few and count for ever."""

_MET: Final = "_met"
_DAY: Final = "_day"
_DAYS: Final = {SUBJECT: pl.String(), HAPPENED: pl.Date(), _MET: pl.Boolean()}


def past(records: Records, scenario: Scenario, keys: pl.DataFrame) -> pl.DataFrame:
    """Return ``keys`` with ``past_seen`` and ``past_found``, Float64, rows by date as they were.

    For a label of inspection they count the days on which the subject was inspected, and those with
    a finding. For an event they count the horizons in the last :data:`YEARS` years, and the days
    with an event in them. For a label of survival they count the earlier terms of those years in
    which the subject existed, and those that it let pass. Both are 0 where there is no past.
    """
    loaded = _Loaded.of(records, scenario)
    told = [
        loaded.counted(on, one[SUBJECT].unique()).with_columns(pl.lit(on).alias(AS_OF))
        for (on,), one in keys.group_by(AS_OF)
        if isinstance(on, date)
    ]
    schema = {SUBJECT: pl.String(), SEEN: pl.Float64(), FOUND: pl.Float64(), AS_OF: pl.Date()}
    counts = pl.concat([pl.DataFrame(schema=schema), *told])
    return keys.join(counts, on=[SUBJECT, AS_OF], how="left", maintain_order="left").with_columns(
        pl.col(SEEN, FOUND).fill_null(0.0)
    )


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The tables that tell, read once, and when subjects were established."""

    scenario: Scenario
    frames: tuple[tuple[Rows, pl.DataFrame], ...]
    established: pl.DataFrame

    @classmethod
    def of(cls, records: Records, scenario: Scenario) -> _Loaded:
        label = scenario.label
        there = records.tables()
        named = {n for e in label.events if e.condition for n in e.condition.columns}
        wanted = label.observers or label.events
        frames = tuple((one, _read(records, one, named)) for one in wanted if one.table in there)
        register = (
            read(records, Rows(table=REGISTER)).select(SUBJECT, pl.col(HAPPENED).alias("_since"))
            if label.means == "survival" and REGISTER in there
            else pl.DataFrame(schema={SUBJECT: pl.String(), "_since": pl.Date()})
        )
        return cls(scenario, frames, register.unique(SUBJECT, keep="first", maintain_order=True))

    def counted(self, on: date, subjects: pl.Series) -> pl.DataFrame:
        """Return ``subject_id``, ``past_seen`` and ``past_found`` of those who have a past."""
        match self.scenario.label.means:
            case "inspection":
                return _inspected(self, on, subjects)
            case "event":
                return _happened(self, on, subjects)
            case "survival":
                return _missed(self, on, subjects)


def _inspected(loaded: _Loaded, on: date, subjects: pl.Series) -> pl.DataFrame:
    rows = pl.concat([pl.DataFrame(schema=_DAYS), *_days(loaded, on, subjects)])
    days = rows.group_by(SUBJECT, HAPPENED).agg(pl.col(_MET).any())
    return days.group_by(SUBJECT).agg(
        pl.len().cast(pl.Float64).alias(SEEN), pl.col(_MET).sum().cast(pl.Float64).alias(FOUND)
    )


def _happened(loaded: _Loaded, on: date, subjects: pl.Series) -> pl.DataFrame:
    """Return at most one event for each horizon looked back on, as a label would see it."""
    horizon = max((loaded.scenario.label.ends(on) - on).days, 1)
    seen = max(YEARS * 365 // horizon, 1)
    rows = pl.concat([pl.DataFrame(schema=_DAYS), *_days(loaded, on, subjects)])
    ago = (pl.lit(on) - pl.col(HAPPENED)).dt.total_days()
    found = (
        rows.filter(ago <= seen * horizon)
        .group_by(SUBJECT)
        .agg(((ago - 1) // horizon).n_unique().cast(pl.Float64).alias(FOUND))
    )
    return (
        subjects.to_frame()
        .join(found, on=SUBJECT, how="left")
        .select(SUBJECT, pl.lit(float(seen)).alias(SEEN), pl.col(FOUND).fill_null(0.0))
    )


def _missed(loaded: _Loaded, on: date, subjects: pl.Series) -> pl.DataFrame:
    terms = [earlier for back in range(1, YEARS + 1) if (earlier := _years_before(on, back))]
    told = subjects.to_frame().join(loaded.established, on=SUBJECT, how="left")
    there = [(pl.col("_since") < term).fill_null(value=False).cast(pl.Float64) for term in terms]
    missed: list[pl.Expr] = []
    for number, term in enumerate(terms):
        came = pl.concat([pl.DataFrame(schema=_DAYS), *_days(loaded, on, subjects, term=term)])
        told = told.join(
            came.select(SUBJECT, pl.lit(value=True).alias(f"_{number}")).unique(),
            on=SUBJECT,
            how="left",
        )
        missed.append(there[number] * pl.col(f"_{number}").is_null().cast(pl.Float64))
    return told.select(
        SUBJECT, pl.sum_horizontal(there).alias(SEEN), pl.sum_horizontal(missed).alias(FOUND)
    )


def _days(
    loaded: _Loaded, on: date, subjects: pl.Series, *, term: date | None = None
) -> Iterator[pl.DataFrame]:
    """Yield the rows meant, as seen ``on`` a date: those of its own term, or of an earlier one."""
    label = loaded.scenario.label
    seen_as = term or on
    due = label.ends(seen_as)
    for one, frame in loaded.frames:
        rows = frame.lazy().filter(known(AsOf(on)), pl.col(_DAY) < on)
        rows = rows.filter(pl.col(SUBJECT).is_in(subjects.implode()))
        if term is not None:
            rows = rows.filter(pl.col(_DAY) <= due)
        if one.condition is not None:
            rows = one.condition.keep(rows, as_of=seen_as, due=due)
        rows = rows.with_columns(pl.lit(value=not label.observers).alias(_MET))
        for event in label.events if label.observers else ():
            if event.table != one.table:
                continue
            if event.condition is None:
                rows = rows.with_columns(pl.lit(value=True).alias(_MET))
            else:
                rows = event.condition.mark(rows, "_one", as_of=seen_as, due=due)
                rows = rows.with_columns((pl.col(_MET) | pl.col("_one")).alias(_MET)).drop("_one")
        yield rows.select(SUBJECT, pl.col(_DAY).alias(HAPPENED), _MET).collect()


def _read(records: Records, rows: Rows, named: Collection[str]) -> pl.DataFrame:
    """Return the table, with ``_day``: when what is meant happened, long after the row maybe."""
    there = records.columns(rows.table)
    day = rows.on if isinstance(rows, Events) else HAPPENED
    frame = read(records, rows, *sorted({day, *named}.intersection(there)))
    return frame.with_columns(pl.col(day).alias(_DAY))


def _years_before(on: date, years: int) -> date | None:
    """Return the same day ``years`` before; the 28th for a 29th of February."""
    day = 28 if (on.month, on.day) == (2, 29) else on.day
    return on.replace(year=on.year - years, day=day) if on.year > years else None
