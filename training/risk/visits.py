"""Visits as rows: what was known before the day of an inspection, and what it found.

Each observing row of the scenario is a row of its own, in the cohort or not: that it was visited
tells that it could be. Features are as of the day of the visit, whose own records no window has.
Percentiles among peers are taken from the distributions as of the latest date of the scenario's
calendar up to that day, as a service does that renews them at those dates; a visit before the first
of them has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

import polars as pl

from models.features.network import Network
from models.features.peers import Peers
from models.features.pipeline import Pipeline
from models.features.spec import AS_OF, KEYS, SUBJECT, empty
from models.records.publicity import VoidReason
from models.records.reading import MemoryRecords, Records
from models.scenarios.cohort import REGISTER, cohorts
from models.scenarios.known import HAPPENED, known, read
from models.scenarios.label import Rows
from models.scenarios.scenario import Scenario
from models.time import AsOf
from training.labels import SCHEMA
from training.snapshots import Period, complete_on, snapshots

GRID: Final = 4_000
"""Subjects times days that are built at once: few enough that little is built in vain, and enough
that calls cost little beside rows."""

AT_ONCE: Final = 8
"""Dates of the cohort whose figures are in memory at once."""

_PI: Final = "inclusion_probability"
_ID: Final = "record_id"


def visit_labels(records: Records, scenario: Scenario, *, within: Period) -> pl.DataFrame:
    """Return a row for each visit, columns as :data:`training.labels.SCHEMA`, by day and subject.

    ``positive``: the row meets the label's condition; null, and not observed, where it was repaired
    and the scenario says ``repaired: null``. A visit whose report could still be under way at the
    end of the data is left out, and one outside of the scenario's ``first`` and ``last`` too.
    """
    sight = AsOf(within.end)
    parts = [
        _visits(records, scenario, observer, sight)
        for observer in scenario.label.observers
        if observer.table in records.tables()
    ]
    declared = scenario.snapshots
    last = within.end - scenario.snapshots.embargo.delta
    found = pl.concat([SCHEMA.to_frame(), *parts]).filter(
        pl.col(AS_OF).is_between(
            max(declared.first or within.start, within.start), min(declared.last or last, last)
        )
    )
    return found.sort(AS_OF, SUBJECT)


def _visits(records: Records, scenario: Scenario, observer: Rows, sight: AsOf) -> pl.DataFrame:
    label = scenario.label
    events = [event for event in label.events if event.table == observer.table]
    named = [n for e in events if e.condition for n in sorted(e.condition.columns)]
    drawn = [_PI] if _PI in records.columns(observer.table) else []
    frame = read(records, observer, _ID, *named, *drawn)
    rows = frame.filter(known(sight)).unique(_ID, keep="first", maintain_order=True)
    told = [
        _met(rows.filter(pl.col(HAPPENED) == on).lazy(), scenario, observer, on)
        for on in rows[HAPPENED].unique().sort()
        if isinstance(on, date)
    ]
    if not told:
        return SCHEMA.to_frame()
    mended = pl.col("void_reason").eq_missing(VoidReason.REPAIRED.value) & pl.col("_met")
    observed = ~mended if label.repaired == "null" else pl.lit(value=True)
    chance = pl.col(_PI) if drawn else pl.lit(None, pl.Float64())
    return (
        pl.concat(pl.collect_all(told))
        .with_columns(observed.alias("observed"))
        .select(
            SUBJECT,
            pl.col(HAPPENED).alias(AS_OF),
            "observed",
            pl.when("observed").then("_met").alias("positive"),
            pl.when(pl.col("observed") & (chance > 0)).then(chance).alias(_PI),
            pl.when("observed").then(HAPPENED).alias("observed_on"),
            pl.when(pl.col("observed") & pl.col("_met")).then(HAPPENED).alias("event_on"),
            pl.col(SUBJECT).alias("group"),
        )
    )


def _met(rows: pl.LazyFrame, scenario: Scenario, observer: Rows, on: date) -> pl.LazyFrame:
    """Mark the observing rows of one day by whether they meet the label's condition."""
    due = scenario.label.ends(on)
    if observer.condition is not None:
        rows = observer.condition.keep(rows, as_of=on, due=due)
    rows = rows.with_columns(pl.lit(value=False).alias("_met"))
    for event in scenario.label.events:
        if event.table != observer.table:
            continue
        if event.condition is None:
            rows = rows.with_columns(pl.lit(value=True).alias("_met"))
        else:
            rows = event.condition.mark(rows, "_one", as_of=on, due=due)
            rows = rows.with_columns((pl.col("_met") | pl.col("_one")).alias("_met")).drop("_one")
    return rows


def peer_dates(scenario: Scenario, within: Period) -> tuple[date, ...]:
    """Return the dates of the scenario's calendar as of which peers are compared."""
    to_the_end = Period(within.start, complete_on(scenario, within.end))
    return tuple(on for on in snapshots(scenario, to_the_end) if on <= within.end)


def peer_counts(
    pipeline: Pipeline, records: Records, dates: Sequence[date]
) -> Iterator[pl.DataFrame]:
    """Yield what a part of the population adds to the distributions of peers, date after date."""
    compared = {spec.name.removeprefix("peers_") for spec in pipeline.family("peers")}
    if not compared:
        return
    narrow = replace(
        pipeline,
        features=tuple(s for s in pipeline.features if s.family == "peers" or s.name in compared),
    )
    nobody = Network.of([])
    members = cohorts(records, pipeline.scenario, dates)
    there = [on for on in dates if on in set(members[AS_OF].unique())]
    for first in range(0, len(there), AT_ONCE):
        some = there[first : first + AT_ONCE]
        wanted = members.filter(pl.col(AS_OF).is_in(some))
        base = narrow.base(
            records,
            some,
            network=nobody,
            subjects=wanted[SUBJECT].unique().to_list(),
            check_ids=False,
        )
        yield narrow.counts(base.join(wanted, on=KEYS, how="semi"))


def visit_features(
    pipeline: Pipeline,
    records: Records,
    keys: pl.DataFrame,
    *,
    network: Network,
    peers: Peers,
) -> Iterator[pl.DataFrame]:
    """Yield the feature frames of distinct subjects and days, some days at a time.

    ``keys`` has ``subject_id`` and ``as_of``, each pair once.
    """
    tables = {REGISTER, *pipeline.scenario.features.tables}
    wanted = keys[SUBJECT].unique()
    mine = pl.col(SUBJECT).is_in(wanted.implode())
    held = {
        table: records.frame(table).filter(mine).collect()
        for table in sorted(tables.intersection(records.tables()))
    }
    grid = peers.table[AS_OF].unique().sort()
    for days in _chunks(keys):
        of_days = keys.filter(pl.col(AS_OF).is_in(days))
        subjects = of_days[SUBJECT].unique().sort()
        base = pipeline.base(
            _narrowed(held, subjects),
            days,
            network=network,
            subjects=subjects.to_list(),
            check_ids=False,
        ).join(of_days, on=KEYS, how="semi", maintain_order="left")
        yield _placed(pipeline, base, peers, grid)


def _chunks(keys: pl.DataFrame) -> Iterator[list[date]]:
    """Yield successive days such that subjects times days stay near :data:`GRID`."""
    chunk: list[date] = []
    many = 0
    for on, subjects in keys.group_by(AS_OF).len().sort(AS_OF).iter_rows():
        if chunk and (many + subjects) * (len(chunk) + 1) > GRID:
            yield chunk
            chunk, many = [], 0
        chunk.append(on)
        many += subjects
    if chunk:
        yield chunk


def _narrowed(held: Mapping[str, pl.DataFrame], subjects: pl.Series) -> MemoryRecords:
    mine = pl.col(SUBJECT).is_in(subjects.implode())
    return MemoryRecords({table: frame.filter(mine) for table, frame in held.items()})


def _placed(pipeline: Pipeline, base: pl.DataFrame, peers: Peers, grid: pl.Series) -> pl.DataFrame:
    """Return the feature frame, its percentiles read as of the latest date of ``grid``."""
    dates = grid.to_frame("_grid").with_columns(pl.col("_grid").alias(AS_OF)).sort(AS_OF)
    days = base.select(AS_OF).unique().sort(AS_OF).join_asof(dates, on=AS_OF)
    found = base.join(days, on=AS_OF, maintain_order="left")
    wanted = pipeline.family("peers")
    parts: list[pl.DataFrame] = []
    for known_date in (True, False):
        rows = found.filter(pl.col("_grid").is_not_null() == known_date)
        own = rows.drop(AS_OF).rename({"_grid": AS_OF})
        placed = peers.place(own, wanted) if known_date else empty(wanted, rows.height)
        parts.append(pl.concat([rows, placed], how="horizontal") if wanted else rows)
    names = [spec.name for spec in pipeline.features]
    return pl.concat([part.select(*KEYS, *names) for part in parts]).sort(AS_OF, SUBJECT)
