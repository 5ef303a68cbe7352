"""Read source files of any supported kind as batches of rows with their line numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import polars as pl
from polars.exceptions import PolarsError

from models.errors import ConfigError, SourceError
from models.yaml import nearest
from training.sources.mapping import Format, Source
from training.sources.shown import reason

LINE: Final = "__line__"
BATCH_ROWS: Final = 250_000
MAX_LINE: Final = 16 << 20
"""Longest line in bytes; a longer one means that this is no table with one row a line."""

_CHUNK: Final = 8 << 20

_SUFFIXES: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xls": "excel",
    ".xlsb": "excel",
    ".ods": "excel",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that could not be split into fields, or whose cell has no value to read."""

    line: int
    rule: str
    column: str | None
    value: str
    raw: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one file: source columns as they stand, and ``__line__`` (1-based, in the file)."""

    file: str
    frame: pl.DataFrame
    broken: tuple[BrokenRow, ...] = field(default=())


def find_files(source: Source, root: Path) -> list[Path]:
    """Return the files a source names; :class:`SourceError` for a pattern that finds none."""
    found: dict[Path, None] = {}
    for pattern in source.files:
        matches = _matches(source, pattern, root)
        if not matches:
            present = [p.name for p in root.iterdir() if p.is_file()] if root.is_dir() else []
            close = nearest(pattern, present) if len(present) <= 500 else ""
            hint = close if close.startswith("; did") else ""
            raise SourceError(
                f"source {source.id!r}: no file matches {pattern!r} in {root}{hint}; "
                "correct 'files' or point --root at the folder"
            )
        found |= dict.fromkeys(matches)
    return list(found)


def _matches(source: Source, pattern: str, root: Path) -> list[Path]:
    direct = root / pattern
    if direct.is_file():  # before any glob: names hold brackets
        return [direct]
    try:
        return sorted(path for path in root.glob(pattern) if path.is_file())
    except (ValueError, NotImplementedError):
        raise SourceError(
            f"source {source.id!r}: {pattern!r} is no pattern of files below a folder; "
            "write it relative to the mapping's folder, or to --root"
        ) from None


def read_batches(source: Source, path: Path) -> Iterator[Batch]:
    """Yield the rows of one file in bounded batches.

    Raises :class:`SourceError` when the file as a whole cannot be read; rows that cannot be read on
    their own are in :attr:`Batch.broken`.
    """
    try:
        yield from _read(source, path)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise SourceError(f"{path}: cannot be read: {why}; check the file and its rights") from None


def _read(source: Source, path: Path) -> Iterator[Batch]:
    kind = source.format if source.format != "auto" else _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(_SUFFIXES)
        raise SourceError(
            f"{path}: unknown kind of file {path.suffix!r}; set 'format', or use one of {known}"
        )
    if path.stat().st_size == 0:
        raise SourceError(
            f"{path}: the file is empty (0 bytes); send it again, or leave it out of 'files'"
        )
    match kind:
        case "csv":
            from training.sources.csv_file import read_csv

            yield from read_csv(path, source.options)
        case "excel":
            from training.sources.excel import read_excel

            yield from read_excel(path, source.options)
        case "parquet":
            yield from _read_parquet(path)
        case "jsonl":
            yield from _read_json_lines(path)
        case _:
            raise ConfigError(
                f"source {source.id!r}: format {kind!r} takes no files; give options.query"
            )


def numbered(frame: pl.DataFrame, first: int) -> pl.DataFrame:
    """Add the line column, counting from ``first``."""
    return frame.with_row_index(LINE, offset=first).with_columns(pl.col(LINE).cast(pl.Int64))


def check_headings(path: Path, names: Iterable[str]) -> None:
    """Refuse a column named as the one that numbers the lines."""
    if LINE in names:
        raise SourceError(f"{path}: the column name {LINE!r} is reserved; rename the column")


def check_lines(path: Path, *, end: bytes = b"\n", shown: Path | None = None) -> int:
    """Return the number of lines; refuse one too long to be a row before anything holds it."""
    carried, line = 0, 1
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            first, last = chunk.find(end), chunk.rfind(end)
            carried += len(chunk) if first < 0 else first
            if carried > MAX_LINE:
                raise SourceError(
                    f"{shown or path}:{line}: a line of more than {MAX_LINE >> 20} MiB; "
                    "check that rows end in line breaks and that quotes are closed"
                )
            if first >= 0:
                carried = len(chunk) - last - 1
                line += chunk.count(end)
    return line - (carried == 0)


def readable(frame: pl.DataFrame) -> pl.DataFrame:
    """Return ``frame`` without columns of bytes, durations or foreign objects: they become text."""
    odd = pl.Binary | pl.Object | pl.Duration
    return frame.with_columns(
        _as_readable(column) for column in frame if isinstance(column.dtype, odd)
    )


def _as_readable(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Object:
        values = cast("list[object]", column.to_list())
        texts = [None if value is None else str(value) for value in values]
        return pl.Series(column.name, texts, dtype=pl.String)
    if isinstance(column.dtype, pl.Duration):
        return column.dt.to_string()
    try:
        return column.cast(pl.String)
    except PolarsError:
        return column.bin.encode("base64")


def _read_parquet(path: Path) -> Iterator[Batch]:
    first = 1
    try:
        scan = pl.scan_parquet(path, glob=False)  # names hold brackets
        check_headings(path, scan.collect_schema().names())
        for frame in scan.collect_batches(chunk_size=BATCH_ROWS):
            yield Batch(file=path.name, frame=numbered(readable(frame), first))
            first += frame.height
        if first == 1:  # a table without rows still has columns to look at
            yield Batch(file=path.name, frame=numbered(readable(scan.head(0).collect()), first))
    except (PolarsError, OSError) as error:
        raise SourceError(
            f"{path}: not a readable Parquet file ({reason(error)}); "
            "it may be truncated: copy it again"
        ) from None


def _read_json_lines(path: Path) -> Iterator[Batch]:
    lines = check_lines(path)
    try:
        frame = _json_frame(path)
    except PolarsError:
        frame = pl.DataFrame()
    check_headings(path, frame.columns)
    # Empty lines leave no row behind, so that rows could not be told from lines; a float inside a
    # cell may have been a whole number of too many digits for one.
    inexact = any("Float" in str(dtype) for dtype in frame.dtypes)
    regular = frame.width > 0 and frame.height == lines and not inexact
    yield Batch(file=path.name, frame=numbered(frame, 1)) if regular else _json_by_line(path)


def _json_frame(path: Path) -> pl.DataFrame:
    """Read regular lines; a column of numbers with a fraction somewhere is the text of them.

    A float would lose digits of the whole numbers beside it.
    """
    with path.open("rb") as file:
        frame = pl.read_ndjson(file, infer_schema_length=None)
    as_text = {n: text for n, dtype in frame.schema.items() if (text := _textual(dtype))}
    if not as_text:
        return frame
    with path.open("rb") as file:
        frame = pl.read_ndjson(file, infer_schema_length=None, schema_overrides=as_text)
    plain = [name for name, dtype in as_text.items() if dtype == pl.String]
    return frame.with_columns(pl.col(plain).str.strip_suffix(".0"))


def _textual(dtype: pl.DataType) -> pl.DataType | None:
    """Return the type that keeps the digits of numbers read as ``dtype``; null where it does."""
    if dtype.is_float():
        return pl.String()
    return pl.List(pl.String()) if dtype in (pl.List(pl.Float64()), pl.List(pl.Float32())) else None


def _json_by_line(path: Path) -> Batch:
    """Read a file that holds broken lines, one line at a time."""
    rows: list[dict[str, str | None]] = []
    broken: list[BrokenRow] = []
    with path.open("rb") as file:
        for line, content in enumerate(file, start=1):
            if not content.strip():
                continue
            try:
                item = cast("object", json.loads(content))
            except (ValueError, RecursionError):
                item = None
            if isinstance(item, dict):
                cells = cast("dict[str, object]", item)
                check_headings(path, cells)
                rows.append({LINE: str(line)} | {k: _plain(v) for k, v in cells.items()})
            else:
                text = content.decode("utf-8", "replace").strip()
                broken.append(BrokenRow(line, "F05", None, text[:200], text))
    if not rows:
        raise SourceError(f"{path}: no line holds a JSON object; one object per line is expected")
    if not any(len(row) > 1 for row in rows):
        raise SourceError(f"{path}: no object has a field; check how the file was exported")
    frame = pl.from_dicts(rows, infer_schema_length=None).with_columns(pl.col(LINE).cast(pl.Int64))
    return Batch(file=path.name, frame=frame, broken=tuple(broken))


def _plain(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
