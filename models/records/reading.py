"""Where records are read from: a lake, one of its buckets, or frames in memory.

Whatever makes something of records takes :class:`Records`, so that a whole province, one bucket of
it and one subject's records of a moment ago go the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from models.errors import LakeMissingError
from models.records.lake import Lake
from models.yaml import nearest


class Records(Protocol):
    """Tables of records as they stand at one moment."""

    def tables(self) -> Collection[str]:
        """Return the names of the tables there are."""
        ...

    def columns(self, table: str) -> Sequence[str]:
        """Return the columns of a table; :class:`LakeMissingError` where there is no such table."""
        ...

    def frame(self, table: str, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """Read a table, all of it or some columns.

        Raises :class:`LakeMissingError` where there is no such table or column.
        """
        ...


@dataclass(frozen=True, slots=True)
class MemoryRecords:
    """Frames in memory, by table: one subject online, or what a test makes."""

    frames: Mapping[str, pl.DataFrame]

    def tables(self) -> Collection[str]:
        """Return the names of the tables there are."""
        return self.frames.keys()

    def columns(self, table: str) -> Sequence[str]:
        """Return the columns of a table."""
        return self._frame(table).columns

    def frame(self, table: str, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """Read a table, all of it or some columns."""
        return self.at_once(table, columns).lazy()

    def at_once(self, table: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return what :meth:`frame` reads; for few rows a plan takes longer than the reading."""
        frame = self._frame(table)
        if columns is None:
            return frame
        for name in columns:
            if name not in frame.columns:
                raise LakeMissingError(
                    f"table {table!r} has no column {name!r}{nearest(name, frame.columns)}"
                )
        return frame[list(columns)]

    def _frame(self, table: str) -> pl.DataFrame:
        if table not in self.frames:
            raise _no_table(table, self.frames)
        return self.frames[table]


@dataclass(frozen=True, slots=True)
class LakeRecords:
    """A lake, or some of its buckets, at fixed versions of its tables.

    ``versions`` are those of :meth:`Lake.versions` at some moment; a table that they do not name is
    not there. They default to those of now, so that every read sees the same moment.
    """

    lake: Lake
    bucket: int | Sequence[int] | None = None
    versions: Mapping[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        """Fix the versions."""
        if not self.versions:
            object.__setattr__(self, "versions", self.lake.versions())

    def tables(self) -> Collection[str]:
        """Return the names of the tables there are."""
        return self.versions.keys()

    def columns(self, table: str) -> Sequence[str]:
        """Return the columns of a table."""
        return self.lake.schema(table, version=self._version(table)).names()

    def frame(self, table: str, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """Read a table, all of it or some columns."""
        version = self._version(table)
        return self.lake.scan(table, version=version, bucket=self.bucket, columns=columns)

    def _version(self, table: str) -> int:
        if table not in self.versions:
            raise _no_table(table, self.versions)
        return self.versions[table]


def _no_table(table: str, tables: Collection[str]) -> LakeMissingError:
    return LakeMissingError(f"there is no table {table!r}{nearest(table, tables)}")
