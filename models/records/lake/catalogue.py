"""The lake's list of its tables and the number of their buckets, itself a small Delta table.

An object store cannot be listed cheaply, and every table must agree on the buckets, so both are
written down before the first table exists.
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Self

import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, Schema
from deltalake.exceptions import DeltaError
from deltalake.schema import PrimitiveType
from deltalake.transaction import AddAction

from models.errors import LakeError
from models.records.lake.layout import DEFAULT_BUCKETS, MAX_BUCKETS, Note, read_note
from models.records.lake.place import Place, check_folder, translated, write_parquet
from models.records.lake.snapshot import open_delta

FOLDER = "_lake"
_SCHEMA = Schema([Field("table", PrimitiveType("string"), nullable=True)])


@dataclass(slots=True)
class Catalogue:
    """The tables of the lake at ``place``; ``asked`` is the bucket count a caller insists on."""

    place: Place
    asked: int | None
    buckets: int
    known: set[str] = field(default_factory=set[str])
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, place: Place, asked: int | None) -> Self:
        """Read the catalogue at ``place``, or prepare one for a lake that is yet to be written."""
        if asked is not None and not 1 <= asked <= MAX_BUCKETS:
            raise LakeError(f"buckets={asked} is not usable; choose 1 to {MAX_BUCKETS}")
        check_folder(place, FOLDER)
        catalogue = cls(place, asked, asked or DEFAULT_BUCKETS)
        if (delta := open_delta(place, FOLDER)) is not None:
            catalogue._adopt(delta)
        return catalogue

    def tables(self) -> list[str]:
        """Give the names ever entered, sorted; a table whose first write failed may not exist."""
        delta = open_delta(self.place, FOLDER)
        return [] if delta is None else self._read(delta)

    def enter(self, table: str) -> None:
        """Write ``table`` down, creating the lake when this is its first."""
        with self.lock:
            if table in self.known:
                return
            delta = open_delta(self.place, FOLDER) or self._create()
            self._adopt(delta)
            if table not in self._read(delta):
                self._append(delta, table)
            self.known.add(table)

    def _create(self) -> DeltaTable:
        path = self.place.at(FOLDER)
        with translated("create the lake at", self.place.root):
            try:
                return DeltaTable.create(
                    path,
                    _SCHEMA,
                    mode="error",
                    description=Note(FOLDER, self.buckets).dump(),
                    storage_options=self.place.delta_options,
                    # A retried creation would replace the one of a faster process.
                    commit_properties=CommitProperties(max_commit_retries=0),
                )
            except DeltaError:
                delta = open_delta(self.place, FOLDER)
                if delta is None:
                    raise
                return delta

    def _append(self, delta: DeltaTable, table: str) -> None:
        # A blind append: two processes that enter the same table leave its name twice, no harm.
        path = f"part-{uuid.uuid4().hex}.parquet"
        with translated("write", self.place.at(FOLDER)):
            row = pl.DataFrame({"table": [table]})
            size = write_parquet(self.place, self.place.at(FOLDER, path), row)
            action = AddAction(
                path=path,
                size=size,
                partition_values={},
                modification_time=time.time_ns() // 1_000_000,
                data_change=True,
                stats='{"numRecords": 1}',
            )
            delta.create_write_transaction([action], "append", _SCHEMA)

    def _adopt(self, delta: DeltaTable) -> None:
        note = read_note(delta.metadata().description, self.place.root)
        if self.asked is not None and self.asked != note.buckets:
            raise LakeError(
                f"the lake at {self.place.root} has {note.buckets} buckets, {self.asked} were "
                "asked for; open it without a number, or import into a new lake"
            )
        self.buckets = note.buckets

    def _read(self, delta: DeltaTable) -> list[str]:
        path = self.place.at(FOLDER)
        with translated("read", path):
            files = pl.DataFrame(delta.get_add_actions())["path"].to_list()
            if not files:
                return []
            names = pl.scan_parquet(
                [f"{path}/{file}" for file in files],
                glob=False,
                storage_options=self.place.polars_options,
            )
            return sorted(set(names.collect()["table"].to_list()))
