"""One version of one table: its columns and the files that hold its rows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from models.errors import LakeError
from models.records.lake.layout import (
    BUCKET,
    SUBJECT,
    Note,
    bucket_of,
    read_note,
    reader_schema,
)
from models.records.lake.place import Place, reading, translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PATH = "__path"


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table; ``low`` and ``high`` bound its subjects, None where unknown."""

    path: str
    bucket: int
    rows: int
    size: int
    low: str | None
    high: str | None

    @property
    def name(self) -> str:
        """Give the last part of the path, which no two files share."""
        return self.path.rsplit("/", 1)[-1]

    def may_hold(self, subject_id: str) -> bool:
        """Tell whether rows of the subject can be in this file."""
        return (self.low is None or self.low <= subject_id) and (
            self.high is None or subject_id <= self.high
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table at one version. ``schema`` is what readers see, without the bucket."""

    place: Place
    table: str
    version: int
    note: Note
    schema: pl.Schema
    files: Mapping[int, tuple[DataFile, ...]]

    @property
    def all_files(self) -> list[DataFile]:
        """Give the files of every bucket."""
        return [file for files in self.files.values() for file in files]

    @property
    def size(self) -> int:
        """Give the bytes of all files."""
        return sum(file.size for file in self.all_files)

    @property
    def rows(self) -> int:
        """Give the number of rows."""
        return sum(file.rows for file in self.all_files)

    def path(self, file: DataFile) -> str:
        """Give the whole path or URL of ``file``."""
        return self.place.at(self.table, file.path)

    def of_subject(self, subject_id: str) -> list[DataFile]:
        """Give the files that can hold rows of the subject."""
        files = self.files.get(bucket_of(subject_id, self.note.buckets), ())
        return [file for file in files if file.may_hold(subject_id)]

    def scan(self, files: Iterable[DataFile], *, path_column: str | None = None) -> pl.LazyFrame:
        """Read ``files`` lazily with the table's columns; what an old file lacks is null."""
        paths = [self.path(file) for file in files]
        if not paths:
            empty = pl.LazyFrame(schema=self.schema)
            return (
                empty
                if path_column is None
                else empty.with_columns(pl.lit(None, pl.String).alias(path_column))
            )
        return pl.scan_parquet(
            paths,
            schema=self.schema,
            missing_columns="insert",
            hive_partitioning=False,
            glob=False,
            include_file_paths=path_column,
            storage_options=self.place.polars_options,
        )

    def read(self, files: Iterable[DataFile]) -> pl.DataFrame:
        """Read ``files`` whole; raises LakeError naming a file that is missing or damaged."""
        wanted = list(files)
        return self.collect(self.scan(wanted), wanted)

    def collect(self, query: pl.LazyFrame, files: Iterable[DataFile]) -> pl.DataFrame:
        """Run ``query`` over ``files`` in bounded memory, with errors that name the file."""
        with reading(self.place, [self.path(file) for file in files]):
            return query.collect(engine="streaming")

    def check_files(self, files: Iterable[DataFile]) -> None:
        """Compare local ``files`` with the sizes the table states (LakeError)."""
        if self.place.remote:
            return
        for file in files:
            path = self.path(file)
            with translated("read", path):
                size = os.stat(path).st_size  # noqa: PTH116 - thousands of files, no Path objects
            if size != file.size:
                raise LakeError(
                    f"{path} has {size} bytes, the table {self.table!r} states {file.size}; "
                    "restore the damaged file from a backup, or read another version"
                )


def open_delta(place: Place, table: str, version: int | None = None) -> DeltaTable | None:
    """Open the Delta table of ``table``, None when there is none yet."""
    path = place.at(table)
    with translated("open", path):
        try:
            return DeltaTable(path, version=version, storage_options=place.delta_options)
        except TableNotFoundError:
            return None


def take_snapshot(place: Place, table: str, delta: DeltaTable) -> Snapshot:
    """Read what ``delta`` knows about its files and columns."""
    path = place.at(table)
    with translated("read the log of", path):
        note = read_note(delta.metadata().description, path)
        schema = reader_schema(delta.schema(), path)
        actions = pl.DataFrame(delta.get_add_actions(flatten=True))
        version = delta.version()
    return Snapshot(place, table, version, note, schema, _files(actions))


def _files(actions: pl.DataFrame) -> dict[int, tuple[DataFile, ...]]:
    def column(name: str, dtype: pl.DataType) -> pl.Expr:
        known = name in actions.columns
        return (pl.col(name) if known else pl.lit(None)).cast(dtype).alias(name)

    bounds = [column(f"{end}.{SUBJECT}", pl.String()) for end in ("min", "max")]
    rows = actions.select(
        "path",
        column(f"partition.{BUCKET}", pl.Int64()),
        column("num_records", pl.Int64()).fill_null(0),
        column("size_bytes", pl.Int64()),
        *bounds,
    ).sort("path")
    found: dict[int, list[DataFile]] = {}
    for path, bucket, count, size, low, high in rows.iter_rows():
        file = DataFile(unquote(path), int(bucket or 0), count, size, low, high)
        found.setdefault(file.bucket, []).append(file)
    return {bucket: tuple(found[bucket]) for bucket in sorted(found)}
