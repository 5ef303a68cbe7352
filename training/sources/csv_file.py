"""CSV as departments send it: GBK or UTF-8, quoted newlines, ragged rows."""

from __future__ import annotations

import codecs
import csv
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import polars as pl
from polars.exceptions import PolarsError

from models.errors import SourceError
from training.sources.mapping import Options
from training.sources.read import BATCH_ROWS, LINE, Batch, BrokenRow, numbered

CHUNK: Final = 8 << 20
MAX_LINE: Final = 16 << 20
"""Longest line in bytes; a longer one means that this is not a table with one row a line."""

_CANDIDATES: Final = ("utf-8", "gb18030")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a look at every byte of a file tells."""

    encoding: str
    bom: int
    quoted: bool
    separator: str


def read_csv(path: Path, options: Options) -> Iterator[Batch]:
    """Yield the rows of a CSV file, all columns as text.

    Raises :class:`SourceError` for a wrong encoding, an endless line, or no header.
    """
    shape = look(path, options)
    if shape.encoding == "utf-8":
        yield from _read_utf8(path, path.name, shape, options)
        return
    with tempfile.TemporaryDirectory(prefix="xinjian-") as folder:
        copy = Path(folder) / "utf8.csv"
        _transcode(path, copy, shape)
        yield from _read_utf8(copy, path.name, shape, options)


def look(path: Path, options: Options) -> Shape:
    """Find out encoding, quoting and separator by reading the file once."""
    _check_lines(path)
    encoding, bom = _encoding(path, options.encoding)
    with path.open("rb") as file:
        start = file.read(CHUNK)[bom:]
        quoted = b'"' in start or any(
            b'"' in chunk for chunk in iter(lambda: file.read(CHUNK), b"")
        )
    header = start.split(b"\n", 1)[0].decode(encoding, "replace")
    separator = options.separator or max(",\t;|", key=header.count)
    return Shape(encoding=encoding, bom=bom, quoted=quoted, separator=separator)


def _check_lines(path: Path) -> None:
    """Refuse a line too long to be a row before anything tries to hold it in memory."""
    carried, line = 0, 1
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            first, last = chunk.find(b"\n"), chunk.rfind(b"\n")
            carried += len(chunk) if first < 0 else first
            if carried > MAX_LINE:
                raise SourceError(
                    f"{path}:{line}: a line of more than {MAX_LINE >> 20} MiB; "
                    "check that rows end in line breaks and that quotes are closed"
                )
            if first >= 0:
                carried = len(chunk) - last - 1
                line += chunk.count(b"\n")


def _encoding(path: Path, declared: str | None) -> tuple[str, int]:
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(codecs.BOM_UTF8):
        return "utf-8", 3
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", 0
    if declared is not None:
        return _declared(path, declared), 0
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


def _declared(path: Path, declared: str) -> str:
    try:
        name = codecs.lookup(declared).name
    except LookupError:
        raise SourceError(f"{path}: unknown encoding {declared!r}; use utf-8 or gb18030") from None
    name = {"gbk": "gb18030", "gb2312": "gb18030"}.get(name, name)
    fault = _fault(path, name)
    if fault is not None:
        fits = [c for c in _CANDIDATES if c != name and _fault(path, c) is None]
        hint = f"it reads as {fits[0]}" if fits else "save the file as UTF-8"
        raise SourceError(f"{path}: not {declared} as declared ({fault}); {hint}")
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
                line += chunk.count(b"\n", 0, error.start)
                return f"line {line}"
            if not chunk:
                return None
            line += chunk.count(b"\n")


def _transcode(path: Path, copy: Path, shape: Shape) -> None:
    decoder = codecs.getincrementaldecoder(shape.encoding)()
    with path.open("rb") as source, copy.open("wb") as target:
        while chunk := source.read(CHUNK):
            target.write(decoder.decode(chunk).encode("utf-8"))


def _read_utf8(path: Path, name: str, shape: Shape, options: Options) -> Iterator[Batch]:
    header = _header(path, name, shape, options)
    lines = _Lines(first=options.header_row + 1, quoted=shape.quoted)
    done = 0
    try:
        for frame in _fast(path, header, shape, options):
            yield Batch(file=name, frame=_without_blank(lines.number(frame)))
            done += frame.height
    except PolarsError:
        # One ragged or unclosed row stops the fast reader: read on from there row by row.
        yield from _slow(path, name, header, shape, options, skip=done)


def _header(path: Path, name: str, shape: Shape, options: Options) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=shape.separator)
        row = next(islice(reader, options.header_row - 1, None), None)
    if row is None:
        raise SourceError(f"{name}: no header in line {options.header_row}; check 'header_row'")
    names = [cell.strip() or f"Unnamed: {i}" for i, cell in enumerate(row)]
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise SourceError(
            f"{name}: the header repeats {', '.join(map(repr, repeated))}; rename the columns"
        )
    return names


def _fast(path: Path, header: list[str], shape: Shape, options: Options) -> Iterator[pl.DataFrame]:
    scan = pl.scan_csv(
        path,
        separator=shape.separator,
        has_header=True,
        skip_rows=options.header_row - 1,
        schema=dict.fromkeys(header, pl.String()),
        encoding="utf8",
    )
    yield from scan.collect_batches(chunk_size=BATCH_ROWS)


class _Lines:
    """Number rows by the line they begin on, counting line breaks inside quotes."""

    def __init__(self, *, first: int, quoted: bool) -> None:
        self.next = first
        self.quoted = quoted

    def number(self, frame: pl.DataFrame) -> pl.DataFrame:
        if not self.quoted:
            out = numbered(frame, self.next)
            self.next += frame.height
            return out
        breaks = pl.sum_horizontal(pl.all().str.count_matches("\n", literal=True).fill_null(0))
        counted = frame.with_columns((breaks + 1).cast(pl.Int64).alias(LINE))
        ends = counted[LINE].cum_sum()
        out = counted.with_columns((ends - counted[LINE] + self.next).alias(LINE))
        self.next += int(ends[-1]) if frame.height else 0
        return out


def _without_blank(frame: pl.DataFrame) -> pl.DataFrame:
    """Leave out empty lines, which are no rows."""
    return frame.filter(~pl.all_horizontal(pl.exclude(LINE).is_null()))


def _slow(
    path: Path, name: str, header: list[str], shape: Shape, options: Options, *, skip: int
) -> Iterator[Batch]:
    csv.field_size_limit(MAX_LINE)
    rows: list[list[str | None]] = []
    lines: list[int] = []
    broken: list[BrokenRow] = []
    seen = 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=shape.separator)
        start = 1
        for row in reader:
            line, start = start, reader.line_num + 1
            if line <= options.header_row:
                continue
            seen += 1
            if seen <= skip or not any(row):
                continue
            if len(row) == len(header):
                rows.append([cell or None for cell in row])
                lines.append(line)
            else:
                broken.append(_ragged(row, header, line))
            if len(rows) >= BATCH_ROWS:
                yield _batch(name, header, rows, lines, broken)
                rows, lines, broken = [], [], []
    yield _batch(name, header, rows, lines, broken)


def _ragged(row: list[str], header: list[str], line: int) -> BrokenRow:
    raw = json.dumps(row, ensure_ascii=False)
    return BrokenRow(
        line, "F05", None, f"{len(row)} fields instead of {len(header)}", raw[:1_000_000]
    )


def _batch(
    name: str,
    header: list[str],
    rows: list[list[str | None]],
    lines: list[int],
    broken: list[BrokenRow],
) -> Batch:
    schema = dict.fromkeys(header, pl.String())
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return Batch(
        file=name, frame=frame.with_columns(pl.Series(LINE, lines, pl.Int64)), broken=tuple(broken)
    )
