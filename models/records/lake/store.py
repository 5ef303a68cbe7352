"""The record lake: versioned tables of facts, merged by record id, read by subject."""

from __future__ import annotations

import difflib
import os
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import polars as pl

from models.errors import LakeConflictError, LakeError, LakeMissingError, RecordError
from models.records.lake.catalogue import Catalogue
from models.records.lake.difference import Difference, difference, first_rows
from models.records.lake.layout import KEY, SUBJECT, Note, check_table_name, row_order, storable
from models.records.lake.near import Near
from models.records.lake.place import Place, place_of, reading, translated
from models.records.lake.shelf import Shelf
from models.records.lake.snapshot import Snapshot, open_delta, take_snapshot
from models.records.lake.write import (
    ConflictError,
    commit,
    draft_compaction,
    draft_merge,
    draft_new,
)

ATTEMPTS = 30
"""Times a write is tried again after another writer was faster."""
UNMADE = -1
"""The version of a table that nobody has filled yet, for ``base``."""
_LEAST_KEEP = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did, and the table's version after it."""

    inserted: int
    updated: int
    unchanged: int
    version: int


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did: files before and after, files vacuumed, the version after it."""

    before: int
    after: int
    vacuumed: int
    version: int


class Lake:
    """A folder or object-store prefix of Delta tables, one per kind of record.

    Rows lie in buckets by a stable hash of the subject and are sorted by subject, day and record
    inside files. A handle may be shared by threads; processes open their own.
    """

    def __init__(self, place: Place, catalogue: Catalogue) -> None:
        self._place = place
        self._catalogue = catalogue
        self._shelf = Shelf(place, catalogue)
        self._near = Near()

    @classmethod
    def open(
        cls,
        url: str | os.PathLike[str],
        *,
        buckets: int | None = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> Self:
        """Open the lake at ``url``, a local path or an ``s3://`` URL; nothing is created yet.

        ``buckets`` is how many a new lake gets (64 when not said); an existing lake has its own.
        ``storage_options`` go to the object store, beside what its environment variables say.

        Raises LakeFormatError when the folder holds something else or a newer release wrote it,
        LakeError when ``buckets`` is not what the lake has or the place cannot be read.
        """
        place = place_of(url, storage_options)
        return cls(place, Catalogue.open(place, buckets))

    def __repr__(self) -> str:
        return f"Lake({self.url!r}, buckets={self.buckets})"

    @property
    def url(self) -> str:
        """Where the lake lies: an absolute path or a URL."""
        return self._place.root

    @property
    def buckets(self) -> int:
        """How many buckets every table has."""
        return self._catalogue.buckets

    # Reading

    def tables(self) -> list[str]:
        """Give the names of the tables, sorted."""
        return self._shelf.tables()

    def version(self, table: str) -> int:
        """Give the latest version of ``table`` (LakeMissingError when there is no such table)."""
        return self._shelf.snapshot(table, None).version

    def versions(self) -> dict[str, int]:
        """Give the latest version of every table: what a run pins to be repeatable."""
        return {table: self.version(table) for table in self.tables()}

    def size(self, table: str) -> int:
        """Give the bytes of the files of ``table``'s latest version."""
        return self._shelf.snapshot(table, None).size

    def rows(self, table: str, *, version: int | None = None) -> int:
        """Give the number of rows of ``table`` from its log, without reading files."""
        return self._shelf.snapshot(table, version).rows

    def schema(self, table: str, *, version: int | None = None) -> pl.Schema:
        """Give the columns of ``table`` as readers see them."""
        return self._shelf.snapshot(table, version).schema

    def history(self, table: str) -> pl.DataFrame:
        """Give what made each version, latest first.

        Columns: ``version`` Int64, ``at`` Datetime UTC, ``operation`` (merge, amend, compact, or
        Delta's own name), ``inserted`` and ``updated`` Int64 (null where not a merge).
        """
        delta = self._shelf.opened(table)
        with translated("read the log of", self._place.at(table)):
            entries = delta.history()
        schema = {
            "version": pl.Int64,
            "at": pl.Int64,
            "operation": pl.String,
            "inserted": pl.Int64,
            "updated": pl.Int64,
        }
        rows = [
            {
                "version": entry["version"],
                "at": entry.get("timestamp"),
                "operation": entry.get("xinjian", entry.get("operation")),
                "inserted": entry.get("inserted"),
                "updated": entry.get("updated"),
            }
            for entry in entries
        ]
        at = pl.from_epoch("at", time_unit="ms").dt.replace_time_zone("UTC")
        return pl.DataFrame(rows, schema=schema).with_columns(at).sort("version", descending=True)

    def scan(
        self,
        table: str,
        *,
        version: int | None = None,
        bucket: int | Sequence[int] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.LazyFrame:
        """Read ``table`` lazily: all of it, or one or more buckets.

        The files are fixed when this is called, so a later write does not change the frame. Local
        files are checked to be there and whole in size.
        """
        snapshot = self._shelf.snapshot(table, version)
        files = snapshot.all_files
        if bucket is not None:
            wanted = self._checked_buckets(bucket)
            files = [file for number in wanted for file in snapshot.files.get(number, ())]
        snapshot.check_files(files)
        frame = snapshot.scan(files)
        return frame if columns is None else frame.select(_known(snapshot, columns))

    def subject(
        self,
        table: str,
        subject_id: str,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        fresh: bool = True,
    ) -> pl.DataFrame:
        """Read the rows of one subject, sorted by day and record.

        With ``fresh=False`` the version known from the last look is used, without asking the
        storage for a newer one.
        """
        snapshot = self._shelf.snapshot(table, version, fresh=fresh)
        if snapshot.note.by != SUBJECT:
            raise LakeError(f"table {table!r} has no subjects; read it with scan")
        names = snapshot.schema.names() if columns is None else _known(snapshot, columns)
        files = snapshot.of_subject(subject_id)
        if not files:
            return pl.DataFrame(schema=snapshot.schema).select(names)
        if len(files) == 1:
            kept = self._near.rows(snapshot, files[0], subject_id)
            if kept is not None:
                return kept if columns is None else kept.select(names)
        query = snapshot.scan(files).filter(pl.col(SUBJECT) == subject_id)
        if len(files) > 1:
            query = query.sort(row_order(snapshot.schema))
        with reading(self._place, [snapshot.path(file) for file in files]):
            return query.select(names).collect()

    def verify(self, table: str, *, version: int | None = None) -> int:
        """Read every row of ``table`` and give their number; a damaged file is a LakeError."""
        snapshot = self._shelf.snapshot(table, version)
        snapshot.check_files(snapshot.all_files)
        for file in snapshot.all_files:
            snapshot.collect(snapshot.scan([file]).select(pl.all().null_count()), [file])
        return snapshot.rows

    # Writing

    def merge(
        self, table: str, frame: pl.DataFrame, *, fill: bool = False, base: int | None = None
    ) -> Merged:
        """Bring the rows of ``frame`` into ``table`` by ``record_id``, in one atomic commit.

        A new id is appended. A known one whose content differs replaces the stored row; it is then
        known since the later of both ``known_at`` when it was corrected, and since the first when
        only its fate changed (voided, ended, removed). Differences in ``known_at``,
        ``known_assumed`` and ``source_ref`` alone change nothing, so that importing twice writes
        nothing. With ``fill`` the stored row stays
        and only its nulls are filled. A column that ``frame`` lacks is left as stored; a column the
        table lacks is added. The first merge creates the table: by subject, or, when the frame has
        no ``subject_id``, by record. With ``base``, the version (or :data:`UNMADE`) on which the
        writer chose the rows, nothing is written to a table that has another one by then.

        The cost is one read of the table's ``record_id`` column, the rows written, and the files
        that lose a row.

        Raises RecordError for records the lake cannot keep, LakeError for a changed column type or
        failing storage, LakeConflictError when other writers were faster time after time, or once
        where there is a ``base``.
        """
        check_table_name(table)
        rows = storable(frame)
        self._catalogue.enter(table)
        with self._shelf.writing(table):
            for attempt in range(ATTEMPTS):
                try:
                    return self._merge(table, rows, fill=fill, at=base)
                except ConflictError:
                    _wait(attempt)
        raise _lost(table)

    def amend(self, table: str, frame: pl.DataFrame, *, base: int | None = None) -> Merged:
        """Bring columns of known records into ``table`` by ``record_id``, in one atomic commit.

        As :meth:`merge`, but ``frame`` states nothing except its own columns: it needs no subject,
        so a subject corrected meanwhile stays corrected, and a record that the table does not have
        (any more) is passed over and counted nowhere.

        Raises LakeMissingError when there is no such table, else as :meth:`merge`.
        """
        check_table_name(table)
        rows = storable(frame)
        with self._shelf.writing(table):
            for attempt in range(ATTEMPTS):
                try:
                    return self._amend(table, rows, at=base)
                except ConflictError:
                    _wait(attempt)
        raise _lost(table)

    def _amend(self, table: str, rows: pl.DataFrame, *, at: int | None) -> Merged:
        base = self._shelf.opened(table)
        _check_base(table, base.version(), at)
        snapshot = take_snapshot(self._place, table, base)
        change = difference(snapshot, rows, fill=False, grow=False)
        if change.fresh.is_empty():
            return _merged(change, snapshot.version)
        says = {"xinjian": "amend", "inserted": 0, "updated": change.updated}
        return _merged(change, commit(self._place, base, draft_merge(snapshot, change), says))

    def _merge(self, table: str, rows: pl.DataFrame, *, fill: bool, at: int | None) -> Merged:
        base = open_delta(self._place, table)
        _check_base(table, UNMADE if base is None else base.version(), at)
        if base is None:
            note = Note(table, self.buckets, SUBJECT if SUBJECT in rows.columns else KEY)
            change = first_rows(rows, self._place.at(table))
            draft = draft_new(self._place, note, change)
        else:
            snapshot = take_snapshot(self._place, table, base)
            _check_key(snapshot, rows)
            change = difference(snapshot, rows, fill=fill)
            if change.fresh.is_empty():
                return _merged(change, snapshot.version)
            draft = draft_merge(snapshot, change)
        says = {"xinjian": "merge", "inserted": change.inserted, "updated": change.updated}
        return _merged(change, commit(self._place, base, draft, says))

    def compact(
        self, table: str, *, keep: timedelta | None = None, keep_versions: Iterable[int] = ()
    ) -> Compacted:
        """Join the files of each bucket of ``table`` into one sorted file.

        With ``keep`` the files that no version younger than that needs are deleted (at least one
        hour, so that no write under way loses its files); versions in ``keep_versions``, such as
        those a training run has pinned, stay readable.
        """
        if keep is not None and keep < _LEAST_KEEP:
            raise LakeError(f"keep={keep} would delete files in use; keep at least {_LEAST_KEEP}")
        before = len(self._shelf.snapshot(table, None).all_files)
        with self._shelf.writing(table):
            for attempt in range(ATTEMPTS):
                try:
                    self._compact(table)
                    break
                except ConflictError:
                    _wait(attempt)
            else:
                raise _lost(table)
        vacuumed = 0 if keep is None else self._vacuum(table, keep, sorted(set(keep_versions)))
        snapshot = self._shelf.snapshot(table, None)
        return Compacted(before, len(snapshot.all_files), vacuumed, snapshot.version)

    def _compact(self, table: str) -> None:
        base = self._shelf.opened(table)
        draft = draft_compaction(take_snapshot(self._place, table, base))
        if draft.removed:
            commit(self._place, base, draft, {"xinjian": "compact"})

    def _vacuum(self, table: str, keep: timedelta, versions: list[int]) -> int:
        delta = self._shelf.opened(table)
        with translated("vacuum", self._place.at(table)):
            deleted = delta.vacuum(
                retention_hours=int(keep.total_seconds() // 3600),
                dry_run=False,
                enforce_retention_duration=False,
                full=True,
                keep_versions=versions or None,
            )
        return len(deleted)

    def _checked_buckets(self, bucket: int | Sequence[int]) -> list[int]:
        wanted = [bucket] if isinstance(bucket, int) else list(dict.fromkeys(bucket))
        for number in wanted:
            if not 0 <= number < self.buckets:
                raise LakeMissingError(
                    f"there is no bucket {number}; the lake has 0 to {self.buckets - 1}"
                )
        return wanted


def _lost(table: str) -> LakeConflictError:
    return LakeConflictError(
        f"other writers of table {table!r} were faster {ATTEMPTS} times; nothing of this write was "
        "kept, repeat it when fewer write"
    )


def _check_base(table: str, version: int, base: int | None) -> None:
    if base is not None and version != base:
        raise LakeConflictError(
            f"table {table!r} is at version {version}, no longer at {base}, for which this write "
            "was made; nothing of it was kept, look at the table again and repeat it"
        )


def _merged(change: Difference, version: int) -> Merged:
    return Merged(change.inserted, change.updated, change.unchanged, version)


def _wait(attempt: int) -> None:
    time.sleep(random.uniform(0, min(0.02 * 2**attempt, 2.0)))  # noqa: S311 - only spreads writers


def _check_key(snapshot: Snapshot, rows: pl.DataFrame) -> None:
    if snapshot.note.by not in rows.columns:
        raise RecordError(
            f"the records have no column {snapshot.note.by!r}, by which table {snapshot.table!r} "
            "is divided; every record names its subject"
        )


def _known(snapshot: Snapshot, columns: Sequence[str]) -> list[str]:
    for name in columns:
        if name not in snapshot.schema:
            near = difflib.get_close_matches(name, snapshot.schema.names(), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {snapshot.schema.names()}"
            raise LakeMissingError(f"table {snapshot.table!r} has no column {name!r}; {hint}")
    return list(columns)
