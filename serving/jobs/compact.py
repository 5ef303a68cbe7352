"""The inbox goes into the lake: each row exactly once, whatever ends this in the middle.

A table's rows are merged in commits that are whole or not at all, and are marked afterwards. What
is killed in between is merged again, which changes nothing, because the lake knows the record ids.
Until a row is marked it is read from the inbox, so that it counts at every moment. What an import
has corrected since a row was posted stays corrected (:func:`serving.ledger.overlay.outdated`), also
where it commits while this looks at the lake.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from models.errors import LakeConflictError, LakeMissingError
from models.logs import logger
from models.records.bookkeeping import QUARANTINE
from models.records.lake import Lake
from models.records.lake.layout import KEY, KNOWN
from models.records.lake.store import UNMADE
from serving.jobs.intake import quarantine_frame
from serving.ledger import inbox
from serving.ledger.overlay import REF, VOID, outdated
from serving.service import Service

BATCH: Final = 50_000
"""Rows that are brought in at a time."""
_LOOKS: Final = 10
"""Times a table is looked at again after another writer came between the look and the write."""
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Compaction:
    """Rows of the inbox that the lake has now, and entries that its quarantine has."""

    rows: int
    refused: int


def compact(service: Service, *, batch: int = BATCH) -> Compaction | None:
    """Bring what waits into the lake; ``None`` where another process is doing it.

    Raises:
        LakeError: The lake takes nothing, as when its disk is full; what was not brought in waits.
    """
    with service.ledger.begin() as guard:
        if not inbox.alone(guard):
            return None
        rows = sum(_rows(service, batch))
        refused = sum(_refused(service, batch))
    return Compaction(rows, refused)


def _rows(service: Service, batch: int) -> Iterator[int]:
    contracts, lake = service.runtime.contracts, service.runtime.lake
    while True:
        with service.ledger.begin() as connection:
            waiting = inbox.waiting(connection, limit=batch, contracts=contracts)
        for one in waiting:
            version = merge(lake, one.table, one.frame)
            with service.ledger.begin() as connection:
                inbox.mark(connection, one.seqs, version=version, at=service.clock())
            _log.info("compacted", table=one.table, rows=len(one.seqs), version=version)
            yield len(one.seqs)
        if sum(len(one.seqs) for one in waiting) < batch:
            return


def merge(lake: Lake, table: str, frame: pl.DataFrame) -> int:
    """Merge records into a table and return its version after that.

    A null says nothing: a column that a record leaves out stays as the lake has it. So records are
    merged with those that state the same columns. Which of them an import has corrected is looked
    up first, and where one commits between that look and a write, everything is done again.

    Raises:
        LakeConflictError: Other writers came in between time after time.
    """
    for _ in range(_LOOKS - 1):
        try:
            return _merged(lake, table, frame)
        except LakeConflictError as error:
            _log.info("compaction overtaken", table=table, reason=str(error))
    return _merged(lake, table, frame)


def _merged(lake: Lake, table: str, frame: pl.DataFrame) -> int:
    version = _version(lake, table)
    before = _stored(lake, table, frame, version=version)
    told = [pl.col(name).alias(f"__{name}") for name in (KNOWN[0], REF)]
    aged = before.join(frame.select(KEY, *told), on=KEY)
    old = aged.filter(outdated(pl.col(f"__{KNOWN[0]}"), pl.col(f"__{REF}")))[KEY]
    is_old = pl.col(KEY).is_in(old.implode())
    for columns, part in _by_stated(lake, table, frame.filter(~is_old), before[KEY], version):
        version = lake.merge(table, part.select(columns), base=version).version
    if old.len():
        version = _fill(lake, table, frame.filter(is_old), base=version)
    return version


def _version(lake: Lake, table: str) -> int:
    try:
        return lake.version(table)
    except LakeMissingError:  # these are its first rows
        return UNMADE


def _stored(lake: Lake, table: str, frame: pl.DataFrame, *, version: int) -> pl.DataFrame:
    """Return the ids of records that the lake has, since when each is known, and from where."""
    if version == UNMADE:
        return pl.DataFrame(schema={name: frame.schema[name] for name in (KEY, KNOWN[0], REF)})
    rows = lake.scan(table, version=version, columns=[KEY, KNOWN[0], REF])
    return rows.join(frame.lazy().select(KEY), on=KEY, how="semi").collect()


def _fill(lake: Lake, table: str, frame: pl.DataFrame, *, base: int) -> int:
    """Merge what is older than the lake's rows: it fills in, and says what became of a record."""
    void = [name for name in VOID if name in frame.columns]
    version = lake.merge(table, frame, fill=True, base=base).version
    acts = frame.filter(pl.all_horizontal(pl.col(void).is_not_null())) if void else frame.clear()
    if not acts.height:
        return version
    return lake.amend(table, acts.select(KEY, *void), base=version).version


def _by_stated(
    lake: Lake, table: str, frame: pl.DataFrame, known: pl.Series, version: int
) -> Iterator[tuple[list[str], pl.DataFrame]]:
    """Give records by the columns that they state; new ones, and new columns, go in whole."""
    if version == UNMADE:
        yield frame.columns, frame
        return
    corrected = pl.col(KEY).is_in(known.implode())
    new, old = frame.filter(~corrected), frame.filter(corrected)
    if new.height:
        yield frame.columns, new
    optional = [
        name
        for name in lake.schema(table, version=version)
        if name in old and old[name].null_count()
    ]
    if not optional:
        if old.height:
            yield frame.columns, old
        return
    stated = [pl.col(name).is_not_null().alias(f"__{name}") for name in optional]
    for told, part in old.group_by(stated, maintain_order=True):
        silent = {name for name, says in zip(optional, told, strict=True) if not says}
        yield [name for name in frame.columns if name not in silent], part


def _refused(service: Service, batch: int) -> Iterator[int]:
    while True:
        with service.ledger.begin() as connection:
            found = inbox.refused(connection, limit=batch)
        if found:
            entries = quarantine_frame([entry for _, entry in found])
            service.runtime.lake.merge(QUARANTINE, entries.unique("record_id", maintain_order=True))
            with service.ledger.begin() as connection:
                numbers = [number for number, _ in found]
                inbox.mark_refused(connection, numbers, at=service.clock())
            yield len(found)
        if len(found) < batch:
            return
