"""What a decision must forget of its neighbours: records that were repaired, annulled or restored.

The figures of neighbours come from a reference that is made now and then. The flags of those of
whom a live record said since that something counts no more, or again, are told anew from their
records. What is told anew follows from the lake's versions and the inbox's number that a decision
keeps, so that it can be replayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Final

import polars as pl

from models.errors import LakeMissingError
from models.features import relation
from models.features.amended import Amended
from models.features.network import FLAGS
from models.features.pipeline import Pipeline
from models.features.reference import Reference
from models.features.spec import SUBJECT
from models.records.lake import Lake
from models.records.reading import MemoryRecords
from models.time import SHANGHAI
from serving.ledger import inbox
from serving.ledger.overlay import overlay
from serving.runtime.gather import stored
from serving.runtime.references import Chosen
from serving.runtime.runtime import Runtime

_LAG: Final = timedelta(days=30)
"""Longest time that a live record waits for the lake: a reference has all that came before it."""


def amended(
    runtime: Runtime,
    pipeline: Pipeline,
    chosen: Chosen,
    subjects: Sequence[str],
    on: date,
    *,
    mark: int,
    versions: Mapping[str, int],
    complete: bool = False,
) -> tuple[Reference, Mapping[str, int]]:
    """Return the reference with what was voided around the subjects since it was made.

    Beside it the lake's versions that were read for that, to be kept with the decision; nothing is
    read where nothing was voided around. ``versions`` are those that the decision reads already; a
    table that lacks among them is read as it is now, unless they are ``complete``, as in a replay.
    """
    wanted = pipeline.family("relation")
    reference = chosen.reference
    if chosen.name is None or not wanted or runtime.voids.upto(mark).is_empty():
        return reference, {}
    made = datetime.combine(date.fromisoformat(chosen.name[:10]), time(), SHANGHAI)
    around = relation.around(
        reference.network, pl.Series(SUBJECT, list(subjects), pl.String), on, wanted=wanted
    )
    near = runtime.voids.near(around, since=made - _LAG, mark=mark)
    if not near:
        return reference, {}
    read = {
        **({} if complete else _flagging(runtime.lake)),
        **{table: at for table, at in versions.items() if table in FLAGS},
    }
    records = _records(runtime, near, read, mark=mark)
    network = Amended.over(reference.network, pl.Series(SUBJECT, near), records)
    return replace(reference, network=network), read


def _flagging(lake: Lake) -> dict[str, int]:
    found: dict[str, int] = {}
    for table in FLAGS:
        with suppress(LakeMissingError):  # a table that nobody has filled yet
            found[table] = lake.version(table)
    return found


def _records(
    runtime: Runtime,
    subjects: Sequence[str],
    versions: Mapping[str, int],
    *,
    mark: int,
) -> MemoryRecords:
    """Return what flags the subjects as of these versions, and the inbox up to a number."""
    with runtime.voids.ledger.begin() as connection:
        fresh = inbox.known_then(
            connection, subjects, high_water=mark, versions=versions, contracts=runtime.contracts
        )
    frames = stored(runtime.lake, subjects, versions)
    for table in fresh.keys() & set(FLAGS):
        frames[table] = overlay(frames.get(table, pl.DataFrame()), fresh[table])
    return MemoryRecords(frames)
