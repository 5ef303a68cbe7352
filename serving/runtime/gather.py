"""The records of a few subjects at one moment: the lake's, and live ones that it does not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import polars as pl

from models.errors import LakeMissingError
from models.features.spec import SUBJECT
from models.records.lake import Lake
from models.records.lake.layout import bucket_of, row_order
from models.records.reading import MemoryRecords
from models.scenarios import Scenario
from models.scenarios.cohort import REGISTER, standing
from serving.ledger import inbox
from serving.ledger.engine import Ledger
from serving.ledger.moment import moment
from serving.ledger.overlay import overlay

if TYPE_CHECKING:
    from serving.runtime.runtime import Runtime

_ONE_BY_ONE: Final = 64
"""Subjects up to which each is looked up; above, their buckets are scanned once."""
_STAGES: Final[Mapping[str, str]] = {
    "known": "nothing is known of it at that day",
    "seen": "it has no record that the scenario's cohort asks for",
    "kind": "it is of a kind that the scenario does not grade",
    "established": "it was not established before that day",
    "open": "it had closed, was revoked or was annulled",
    "where": "it does not meet the cohort's condition",
    "at_risk": "what is foretold had come already, or a record keeps it out",
}


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Records of subjects, and what they were read from.

    ``mark`` is the number of the newest live record that could be seen, ``versions`` are those of
    the lake's tables, ``earlier`` the decisions before (:func:`.decisions.earlier`), ``regions``
    the subjects' region codes; a subject of whom there is no record is in none of them.
    """

    records: MemoryRecords
    versions: Mapping[str, int]
    mark: int
    earlier: pl.DataFrame
    regions: Mapping[str, str | None]


def gather(
    runtime: Runtime, ledger: Ledger, scenario: Scenario, subjects: Sequence[str], on: date
) -> Gathered:
    """Return what is known of subjects now; ``on`` is the day that earlier decisions precede."""
    # The inbox first: a row that moves into the lake meanwhile is then seen twice, never not at
    # all, and twice is once.
    with ledger.begin() as connection:
        told = moment(connection, scenario.id, subjects, on)
        fresh = (
            inbox.pending(connection, subjects, upto=told.mark, contracts=runtime.contracts)
            if told.waiting
            else {}
        )
    versions = versions_of(runtime.lake, scenario)
    records = laid_over(stored(runtime.lake, subjects, versions), fresh, scenario)
    return Gathered(records, versions, told.mark, told.earlier, regions_of(records))


def versions_of(lake: Lake, scenario: Scenario) -> dict[str, int]:
    """Return the lake's versions of the tables that a scenario reads."""
    found: dict[str, int] = {}
    for table in sorted(scenario.tables):
        with suppress(LakeMissingError):  # a table that nobody has filled yet
            found[table] = lake.version(table)
    return found


def stored(
    lake: Lake, subjects: Sequence[str], versions: Mapping[str, int]
) -> dict[str, pl.DataFrame]:
    """Return the subjects' rows in the lake's tables at these versions."""
    if len(subjects) <= _ONE_BY_ONE:
        return {table: _of_few(lake, table, subjects, at) for table, at in versions.items()}
    buckets = sorted({bucket_of(one, lake.buckets) for one in subjects})
    mine = pl.col(SUBJECT).is_in(list(subjects))
    tables = list(versions)
    frames = pl.collect_all(
        [lake.scan(t, version=versions[t], bucket=buckets).filter(mine) for t in tables]
    )
    return dict(zip(tables, frames, strict=True))


def _of_few(lake: Lake, table: str, subjects: Sequence[str], version: int) -> pl.DataFrame:
    parts = [lake.subject(table, one, version=version) for one in sorted(subjects)]
    return parts[0] if len(parts) == 1 else pl.concat(parts)


def laid_over(
    frames: Mapping[str, pl.DataFrame], fresh: Mapping[str, pl.DataFrame], scenario: Scenario
) -> MemoryRecords:
    """Return the lake's rows with live ones over them, in the order that the lake would have."""
    whole = dict(frames)
    for table, rows in fresh.items():
        if table in scenario.tables:
            there = overlay(whole[table], rows) if table in whole else rows
            whole[table] = there.sort(row_order(there.schema))
    return MemoryRecords(whole)


def regions_of(records: MemoryRecords) -> dict[str, str | None]:
    """Return each subject's region: that of the register, else of its newest record with one."""
    found: dict[str, str | None] = {
        subject: None for frame in records.frames.values() for subject in frame[SUBJECT].to_list()
    }
    others = [frame for table, frame in records.frames.items() if table != REGISTER]
    registered = _newest_regions([records.frames[REGISTER]] if REGISTER in records.frames else [])
    if registered.keys() != found.keys():
        found.update(_newest_regions(others))
    found.update(registered)
    return found


def _newest_regions(frames: Sequence[pl.DataFrame]) -> dict[str, str]:
    """Return the region of each subject's newest row that has one."""
    parts = [
        frame.select(SUBJECT, "region", "happened_on")
        for frame in frames
        if frame.height and "region" in frame.columns
    ]
    if not parts:
        return {}
    told = pl.concat(parts).drop_nulls("region").sort("happened_on", maintain_order=True)
    return dict(told.select(SUBJECT, "region").iter_rows())


def eligible(
    records: MemoryRecords, scenario: Scenario, subjects: Sequence[str], on: date
) -> tuple[list[str], dict[str, str]]:
    """Return who is in the cohort as of a day, and of the others why they are not."""
    failed = standing(records, scenario, subjects, on)
    outside = {
        one: f"subject '{one}' is not in the cohort of '{scenario.id}' as of {on}: {_STAGES[stage]}"
        for one, stage in failed.items()
        if stage is not None
    }
    return [one for one in subjects if one not in outside], outside
