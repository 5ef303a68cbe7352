"""CSV as departments send it: GBK or UTF-8, quoted newlines, ragged rows."""

from __future__ import annotations

import codecs
import csv
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import polars as pl
from polars.exceptions import PolarsError

from models.errors import SourceError
from training.sources import read
from training.sources.mapping import Options
from training.sources.read import LINE, Batch, BrokenRow, check_lines
from training.sources.shown import listed

CHUNK: Final = 8 << 20
BATCH_BYTES: Final = 64 << 20
SPAN: Final = 10_000
"""Most lines one row may take; a quote still open after them was never closed."""

_CANDIDATES: Final = ("utf-8", "gb18030")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a look at the bytes of a file tells: its encoding, and that lines end in a bare CR."""

    encoding: str
    bom: int
    bare_cr: bool


def read_csv(path: Path, options: Options) -> Iterator[Batch]:
    """Yield the rows of a CSV file, all columns as text.

    A row of the wrong width, or with a quote that is not closed, is a broken one (rule F05). Raises
    :class:`SourceError` for a wrong encoding, an endless line, or no header.
    """
    shape = look(path, options)
    if shape.encoding == "utf-8" and not shape.bare_cr:
        yield from _read_utf8(path, path, shape.bom, options)
        return
    with tempfile.TemporaryDirectory(prefix="xinjian-") as folder:
        copy = Path(folder) / "utf8.csv"
        _transcode(path, copy, shape)
        check_lines(copy, shown=path)
        yield from _read_utf8(copy, path, 0, options)


def look(path: Path, options: Options) -> Shape:
    """Find out encoding and line ends; refuse a line too long to be a row."""
    with path.open("rb") as file:
        start = file.read(CHUNK)
    wide = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    bare_cr = not wide and b"\n" not in start and b"\r" in start
    if not wide:
        check_lines(path, end=b"\r" if bare_cr else b"\n")
    encoding, bom = _encoding(path, start, options.encoding)
    return Shape(encoding=encoding, bom=bom, bare_cr=bare_cr)


def _encoding(path: Path, start: bytes, declared: str | None) -> tuple[str, int]:
    if start.startswith(codecs.BOM_UTF8):
        return _declared(path, "utf-8", "by its first bytes"), 3
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _declared(path, "utf-16", "by its first bytes"), 0
    if declared is not None:
        return _declared(path, declared, "as declared"), 0
    faults: list[str] = []
    for candidate in _CANDIDATES:
        fault = _fault(path, candidate)
        if fault is None:
            return candidate, 0
        faults.append(f"{candidate}: {fault}")
    raise SourceError(
        f"{path}: neither UTF-8 nor GB18030 ({'; '.join(faults)}); "
        "save the file as UTF-8, or name its encoding in 'options'"
    )


def _declared(path: Path, declared: str, how: str) -> str:
    try:
        name = codecs.lookup(declared).name
        "".encode(name)  # refuses codecs that are no character encoding, such as base64
    except (LookupError, ValueError):
        raise SourceError(f"{path}: unknown encoding {declared!r}; use utf-8 or gb18030") from None
    name = {"gbk": "gb18030", "gb2312": "gb18030"}.get(name, name)
    fault = _fault(path, name)
    if fault is not None:
        fits = [c for c in _CANDIDATES if c != name and _fault(path, c) is None]
        hint = f"it reads as {fits[0]}" if fits else "save the file as UTF-8"
        raise SourceError(f"{path}: not {declared} {how} ({fault}); {hint}")
    return name


def _fault(path: Path, encoding: str) -> str | None:
    """Return where the file stops being ``encoding``, or ``None`` if it never does."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with path.open("rb") as file:
        while True:
            chunk = file.read(CHUNK)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                good = error.object[: error.start].decode(encoding, "ignore")
                return f"line {line + good.count(chr(10))}"
            except UnicodeError:  # UTF-16 without its mark
                return f"line {line}"
            if not chunk:
                return None
            line += chunk.count(b"\n")


def _transcode(path: Path, copy: Path, shape: Shape) -> None:
    decoder = codecs.getincrementaldecoder(shape.encoding)()
    with path.open("rb") as source, copy.open("wb") as target:
        source.seek(shape.bom)
        while chunk := source.read(CHUNK):
            text = decoder.decode(chunk)
            target.write((text.replace("\r", "\n") if shape.bare_cr else text).encode("utf-8"))


@dataclass(frozen=True, slots=True)
class _Table:
    """How the lines of one file divide into cells."""

    path: Path
    header: Sequence[str]
    separator: str


def _read_utf8(content: Path, path: Path, bom: int, options: Options) -> Iterator[Batch]:
    with content.open("rb") as file:
        file.seek(bom)
        table, line = _header(file, path, options)
        first = line
        for lines in _chunks(file):
            yield _batch(table, lines, line)
            line += len(lines)
        if line == first:  # a table without rows still has columns to look at
            yield _batch(table, [], line)


def _header(file: BinaryIO, path: Path, options: Options) -> tuple[_Table, int]:
    """Return the table and the line its first row stands on."""
    first = options.header_row
    before = sum(1 for _ in islice(file, first - 1))
    lines = [next(file, b"")] if before == first - 1 else [b""]
    while b"".join(lines).count(b'"') % 2 and len(lines) < SPAN and (more := next(file, b"")):
        lines.append(more)
    text = b"".join(lines).decode()
    if not text.strip():
        raise SourceError(f"{path}: no header in line {first}; check 'header_row'")
    if "\0" in text:
        raise SourceError(
            f"{path}: line {first} holds NUL bytes; if the file is UTF-16, name its encoding "
            "in 'options', else save it as UTF-8"
        )
    separator = options.separator or max(",\t;|", key=text.count)
    row = next(csv.reader(text.splitlines(keepends=True), delimiter=separator))
    names = [cell.strip() or f"Unnamed: {i}" for i, cell in enumerate(row)]
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise SourceError(f"{path}: the header repeats '{listed(repeated)}'; rename the columns")
    read.check_headings(path, names)
    return _Table(path, names, separator), first + len(lines)


def _chunks(file: BinaryIO) -> Iterator[list[bytes]]:
    """Yield the lines of the next rows: as many as a batch holds, not ending inside a quote."""
    pending: list[bytes] = []
    while pending or (pending := file.readlines(BATCH_BYTES)):
        cut = min(read.BATCH_ROWS, len(pending))
        quotes = b"".join(pending[:cut]).count(b'"')
        while quotes % 2 and cut < read.BATCH_ROWS + SPAN:
            if cut == len(pending):
                pending.append(file.readline())
            quotes += pending[cut].count(b'"')
            cut += 1
            if not pending[-1]:  # the end of the file: the quote is never closed
                pending.pop()
                break
        yield pending[:cut]
        pending = pending[cut:]


def _batch(table: _Table, lines: list[bytes], first: int) -> Batch:
    frame = _fast(table, lines, first)
    if frame is None:
        return _slow(table, lines, first)
    # Empty lines are no rows.
    kept = frame.filter(pl.any_horizontal(pl.exclude(LINE) != ""))
    return Batch(file=table.path.name, frame=kept)


def _fast(table: _Table, lines: list[bytes], first: int) -> pl.DataFrame | None:
    """Read regular lines; ``None`` where a row may be ragged or a quote is out of place.

    Polars refuses rows that are too long but fills those that are too short, so the separators are
    counted: as many must stand between cells as full rows have.
    """
    raw = b"".join(lines)
    schema = dict.fromkeys(table.header, pl.String())
    try:
        frame = (
            pl.read_csv(raw, separator=table.separator, has_header=False, schema=schema)
            if lines
            else pl.DataFrame(schema=schema)
        )
    except PolarsError:
        return None
    quoted = b'"' in raw
    inside = _count(frame, table.separator) if quoted else pl.repeat(0, frame.height, eager=True)
    breaks = _count(frame, "\n") if quoted else inside
    rows = frame.select(pl.any_horizontal(pl.all().is_not_null()).sum()).item() if lines else 0
    between = rows * (frame.width - 1) + inside.sum()
    if raw.count(table.separator.encode()) != between or len(lines) != len(breaks) + breaks.sum():
        return None
    begin = pl.int_range(frame.height, eager=True) + first + breaks.cum_sum() - breaks
    return frame.insert_column(0, begin.cast(pl.Int64).alias(LINE))


def _count(frame: pl.DataFrame, mark: str) -> pl.Series:
    counts = pl.sum_horizontal(pl.all().str.count_matches(mark, literal=True).fill_null(0))
    return frame.select(counts.cast(pl.Int64).alias("n"))["n"]


def _slow(table: _Table, lines: list[bytes], first: int) -> Batch:
    """Read lines row by row; one that cannot be read costs itself alone."""
    csv.field_size_limit(read.MAX_LINE)
    rows: list[list[str | None]] = []
    numbers: list[int] = []
    broken: list[BrokenRow] = []
    at, width = 0, len(table.header)
    while at < len(lines):
        cells, used = _record(table, lines, at)
        if cells is None:
            broken.append(_unclosed(lines[at], first + at))
        elif len(cells) != width and any(cells):
            broken.append(_ragged(cells, width, first + at))
        elif any(cells):
            rows.append([cell or None for cell in cells])
            numbers.append(first + at)
        at += used
    frame = pl.DataFrame(rows, schema=dict.fromkeys(table.header, pl.String()), orient="row")
    numbered = frame.insert_column(0, pl.Series(LINE, numbers, pl.Int64))
    return Batch(file=table.path.name, frame=numbered, broken=tuple(broken))


def _record(table: _Table, lines: list[bytes], at: int) -> tuple[list[str] | None, int]:
    """Return the cells of the row at ``at`` and how many lines it takes; ``None``: a bad quote.

    A row of the wrong width whose quotes swallow a line that is a full row by itself has a quote
    that was never closed: it counts as one line, so that the rows behind it are not lost.
    """
    cells, used = _split(table, lines[at : at + SPAN] if b'"' in lines[at] else [lines[at]])
    if cells is not None and used > 1 and len(cells) != len(table.header):
        alone = (_split(table, [line])[0] for line in lines[at + 1 : at + used])
        if any(cells is not None and len(cells) == len(table.header) for cells in alone):
            return None, 1
    return cells, used


def _split(table: _Table, lines: list[bytes]) -> tuple[list[str] | None, int]:
    if b'"' not in lines[0]:
        return lines[0].decode().rstrip("\r\n").split(table.separator), 1
    reader = csv.reader((x.decode() for x in lines), delimiter=table.separator, strict=True)
    try:
        return next(reader), reader.line_num
    except csv.Error:
        return None, 1


def _unclosed(line: bytes, number: int) -> BrokenRow:
    text = line.decode().rstrip("\r\n")
    raw = json.dumps([text], ensure_ascii=False)
    return BrokenRow(number, "F05", None, "a quote is not closed, or text follows it", raw)


def _ragged(row: list[str], width: int, line: int) -> BrokenRow:
    raw = json.dumps(row, ensure_ascii=False)
    return BrokenRow(line, "F05", None, f"{len(row)} fields instead of {width}", raw)
