"""Write a table's files and make them a version: one atomic commit, or nothing."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from deltalake import CommitProperties, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from models.records.lake.difference import Difference, complete, files_named
from models.records.lake.layout import (
    BUCKET,
    KEY,
    SUBJECT,
    Note,
    bucket_values,
    delta_schema,
    row_order,
)
from models.records.lake.place import Place, drop_files, sync_log, translated, write_parquet
from models.records.lake.snapshot import DataFile, Snapshot, open_delta, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from deltalake import DeltaTable

APP = "xinjian"
MAX_FILES = 8
"""Files a bucket may hold before a merge joins its small ones; one subject's read opens them."""
WRITERS = 4
"""Files of one commit written at a time."""
_NO_BUCKET = "-1"

_PROPERTIES = {
    # Training pins versions, so old log entries are never dropped on their own.
    "delta.enableExpiredLogCleanup": "false",
    "delta.checkpointInterval": "20",
    "delta.dataSkippingStatsColumns": SUBJECT,
}


class ConflictError(Exception):
    """Another writer committed first; the work must be done again on the newer version."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Files written for one commit and the files they replace."""

    note: Note
    schema: pl.Schema
    added: Sequence[DataFile]
    removed: Sequence[DataFile]
    grown: bool = False
    """Whether ``schema`` has new columns; then the buckets of ``removed`` are replaced whole."""


def draft_new(place: Place, note: Note, change: Difference) -> Draft:
    """Write the first rows of a table."""
    fresh = _by_bucket(change.fresh, note)
    with _drafting(place, note) as added:
        _each(lambda bucket: added.append(_write(place, note, bucket, fresh[bucket])), fresh)
    return Draft(note, change.schema, added, ())


def draft_merge(snapshot: Snapshot, change: Difference) -> Draft:
    """Write the files of a merge: fresh rows, and what is left of files that lose rows."""
    grown = change.schema != snapshot.schema
    names = {file.name for file in files_named(snapshot, change.stale)}
    fresh = _by_bucket(change.fresh, snapshot.note)
    touched = {file.bucket for file in snapshot.all_files if file.name in names}
    gone: dict[int, list[DataFile]] = {}
    for bucket in touched | set(fresh):
        held = snapshot.files.get(bucket, ())
        losing = [file for file in held if file.name in names]
        rows = fresh[bucket].height if bucket in fresh else 0
        gone[bucket] = _replaced(held, losing, rows, grown=grown)
    return _rewritten(snapshot, change.schema, gone, fresh, change.stale)


def draft_compaction(snapshot: Snapshot) -> Draft:
    """Write one sorted file for every bucket that has more than one."""
    gone = {bucket: list(files) for bucket, files in snapshot.files.items() if len(files) > 1}
    return _rewritten(snapshot, snapshot.schema, gone, {}, None)


def _rewritten(
    snapshot: Snapshot,
    schema: pl.Schema,
    gone: Mapping[int, list[DataFile]],
    fresh: Mapping[int, pl.DataFrame],
    stale: pl.DataFrame | None,
) -> Draft:
    """Write one file per bucket of ``gone``: the rows of its files but ``stale``, and ``fresh``."""
    note, place = snapshot.note, snapshot.place

    def rewrite(bucket: int) -> None:
        parts = [fresh[bucket]] if bucket in fresh else []
        if gone[bucket]:
            stored = complete(snapshot.read(gone[bucket]), schema)
            parts.append(stored if stale is None else stored.join(stale, on=KEY, how="anti"))
        rows = pl.concat(parts)
        if not rows.is_empty():
            added.append(_write(place, note, bucket, rows))

    with _drafting(place, note) as added:
        _each(rewrite, gone)
    removed = [file for files in gone.values() for file in files]
    return Draft(note, schema, added, removed, grown=schema != snapshot.schema)


def _each(work: Callable[[int], None], buckets: Iterable[int]) -> None:
    """Do ``work`` for every bucket, some at a time: encoding and storage wait for each other."""
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(work, sorted(buckets)):
            pass


def _replaced(
    held: Sequence[DataFile], losing: Sequence[DataFile], rows: int, *, grown: bool
) -> list[DataFile]:
    """Choose the files of a bucket that its new file replaces.

    Those that lose rows, always. When the columns grow at once, all of them: such a commit can only
    replace whole buckets. Else, once the bucket has too many, the smaller half and what is not
    larger than all of these together: the work for a row grows with the logarithm of the number of
    merges, and small merges into a large bucket rewrite small files.
    """
    if grown and losing:
        return list(held)
    if grown:
        return []
    lost = {file.name for file in losing}
    kept = sorted((file for file in held if file.name not in lost), key=lambda file: file.rows)
    gone = list(losing)
    total = rows + sum(file.rows for file in losing)
    if len(kept) < MAX_FILES:
        return gone
    for place, file in enumerate(kept):
        if place >= len(kept) - MAX_FILES // 2 and file.rows > total:
            break
        gone.append(file)
        total += file.rows
    return gone


def _by_bucket(rows: pl.DataFrame, note: Note) -> Mapping[int, pl.DataFrame]:
    if rows.is_empty():
        return {}
    marked = rows.with_columns(bucket_values(rows[note.by], note.buckets))
    parts = marked.partition_by(BUCKET, as_dict=True, include_key=False)
    return {int(key[0]): part for key, part in parts.items()}


def _write(place: Place, note: Note, bucket: int, rows: pl.DataFrame) -> DataFile:
    ordered = rows.sort(row_order(rows.schema))
    path = f"{BUCKET}={bucket}/part-{uuid.uuid4().hex}.parquet"
    size = write_parquet(place, place.at(note.kind, path), ordered)
    low, high = _bounds(ordered)
    return DataFile(path, bucket, rows.height, size, low, high)


def _bounds(rows: pl.DataFrame) -> tuple[str | None, str | None]:
    if SUBJECT not in rows.columns:
        return None, None
    known = rows[SUBJECT].drop_nulls()
    return (known.item(0), known.item(-1)) if known.len() else (None, None)


@contextmanager
def _drafting(place: Place, note: Note) -> Generator[list[DataFile]]:
    """Collect the files of a draft; when it fails half-way, remove them and say why."""
    added: list[DataFile] = []
    table = place.at(note.kind)
    try:
        with translated("write", table):
            yield added
    except BaseException:
        drop_files(place, [f"{table}/{file.path}" for file in added])
        raise


def commit(place: Place, base: DeltaTable | None, draft: Draft, says: Mapping[str, object]) -> int:
    """Make ``draft`` the version after ``base`` and give that version; all of it or nothing.

    ``says`` goes into the table's history. Raises ConflictError when another writer was faster: the
    files written are removed and the caller starts again from the newer version.
    """
    table, version = place.at(draft.note.kind), _next(base)
    with translated("commit to", table):
        try:
            _commit(place, base, draft, says)
        except (DeltaError, OSError) as error:
            landed = _landed(place, draft, version)
            if not landed:
                drop_files(place, [f"{table}/{file.path}" for file in draft.added])
            if landed is None:
                raise
            if not landed:
                raise ConflictError from error
        sync_log(place, draft.note.kind, version)
    return version


def _landed(place: Place, draft: Draft, version: int) -> bool | None:
    """Tell whose ``version`` is: ours, another writer's, or None when it does not exist.

    A commit can land and still fail: the answer of the store is lost, or the checkpoint that
    follows finds no space. Then its files must stay.
    """
    latest = open_delta(place, draft.note.kind)
    if latest is None or latest.version() < version:
        return None
    made = open_delta(place, draft.note.kind, version)
    if made is None:
        return None
    held = {file.path for file in take_snapshot(place, draft.note.kind, made).all_files}
    return bool(draft.added) and all(file.path in held for file in draft.added)


def _commit(
    place: Place, base: DeltaTable | None, draft: Draft, says: Mapping[str, object]
) -> None:
    schema = delta_schema(draft.schema)
    # Blind appends do not conflict in Delta, but two merges that both found a record new must. So
    # there are no retries: a commit follows its base directly or fails (a retried creation was seen
    # to replace the table just created). The transaction tells other Delta writers the same.
    properties = CommitProperties(
        custom_metadata=dict(says),
        max_commit_retries=0,
        app_transactions=[Transaction(APP, _next(base))],
    )
    adds: list[AddAction | RemoveAction] = [_add(file) for file in draft.added]
    if base is None:
        create_table_with_add_actions(
            place.at(draft.note.kind),
            schema,
            [_add(file) for file in draft.added],
            mode="error",
            partition_by=[BUCKET],
            name=draft.note.kind,
            description=draft.note.dump(),
            configuration=_PROPERTIES,
            storage_options=place.delta_options,
            commit_properties=properties,
        )
        return
    if not draft.grown:
        removes = [_remove(file) for file in draft.removed]
        base.create_write_transaction(
            [*adds, *removes], "append", base.schema(), [BUCKET], commit_properties=properties
        )
        return
    # Only an overwrite may bring a new schema; it replaces the buckets named, and all of each.
    replaced = sorted({str(file.bucket) for file in draft.removed}) or [_NO_BUCKET]
    base.create_write_transaction(
        adds,
        "overwrite",
        schema,
        [BUCKET],
        partition_filters=[(BUCKET, "in", replaced)],
        commit_properties=properties,
    )


def _next(base: DeltaTable | None) -> int:
    return 0 if base is None else base.version() + 1


def _add(file: DataFile) -> AddAction:
    stats: dict[str, object] = {"numRecords": file.rows}
    if file.low is not None and file.high is not None:
        stats |= {"minValues": {SUBJECT: file.low}, "maxValues": {SUBJECT: file.high}}
    return AddAction(
        path=file.path,
        size=file.size,
        partition_values={BUCKET: str(file.bucket)},
        modification_time=_now(),
        data_change=True,
        stats=json.dumps(stats, ensure_ascii=False),
    )


def _remove(file: DataFile) -> RemoveAction:
    return RemoveAction(
        file.path,
        data_change=True,
        deletion_timestamp=_now(),
        size=file.size,
        partition_values={BUCKET: str(file.bucket)},
    )


def _now() -> int:
    return time.time_ns() // 1_000_000
