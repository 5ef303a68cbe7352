"""Excel workbooks: one sheet as text, formulas by their stored results."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import fastexcel
import polars as pl
from fastexcel import ExcelSheet

from models.errors import SourceError
from training.sources.mapping import Options
from training.sources.read import LINE, Batch, BrokenRow, check_headings, numbered
from training.sources.shown import nearest_heading, reason

MAX_BYTES: Final = 1 << 30
MAX_CELLS: Final = 50_000_000
"""What a workbook may come to when unpacked, and the cells between the first and the last."""

_PLACE: Final = re.compile(rb"<(?:\w+:)?(?:c|row)\b[^<>]*?\br=[\"']([A-Za-z]{0,3})(\d{1,7})[\"']")
# The last two: a part that is encrypted, or packed in a way not known.
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
_CELL: Final = re.compile(rb'<c r="([A-Z]+)(\d+)"([^>]*?)(?:/>|>(.*?)</c>)', re.DOTALL)
_FILLED: Final = re.compile(rb'<c r="[A-Z]+(\d+)"[^>]*><(?:f|v|is)\b')
_FORMULA: Final = re.compile(rb"<f[ >/]")
_STORED: Final = re.compile(rb"<v>[^<]+</v>")
_EMPTY_TEXT: Final = b't="str"'
"""Mark of a formula whose stored result is text, be it empty."""
_SHEET_LINK: Final = re.compile(rb'<(?:\w+:)?sheet\b[^>]*?\br:id="([^"]+)"')
_LINK: Final = re.compile(rb"<Relationship\b[^>]*>")


def read_excel(path: Path, options: Options) -> Iterator[Batch]:
    """Yield the one batch of a sheet, all columns as text.

    A formula whose result was never stored makes its row a broken one (rule F06). Raises
    :class:`SourceError` for a damaged workbook or an unknown sheet.
    """
    _check_size(path)
    try:
        book = fastexcel.read_excel(path)
        names = book.sheet_names
        if options.sheet is not None and options.sheet not in names:
            raise SourceError(
                f"{path}: no sheet {options.sheet!r}{nearest_heading(options.sheet, names)}"
            )
        content = _sheet_xml(path, names.index(options.sheet) if options.sheet else 0)
        _check_cells(path, content)
        # The overload that reads eagerly has no type; this is the other one.
        sheet: ExcelSheet = book.load_sheet(  # pyright: ignore[reportUnknownMemberType]
            options.sheet or 0,
            header_row=options.header_row - 1,
            dtypes="string",
            skip_whitespace_tail_rows=True,
        )
        frame = sheet.to_polars()
    except (fastexcel.FastExcelError, *_DAMAGED) as error:
        raise SourceError(f"{path}: not a readable workbook ({reason(error)})") from None
    if frame.width == 0:
        raise SourceError(
            f"{path}: sheet {options.sheet or names[0]!r} is empty; check 'sheet' and 'header_row'"
        )
    check_headings(path, frame.columns)
    filled = _FILLED.search(content)
    # The reader takes the first filled row for the header where the asked one lies above it.
    first = max(options.header_row, int(filled[1]) if filled else 1) + 1
    rows = numbered(frame, first)
    unstored = _unstored_formulas(content)
    broken = tuple(_broken(rows, line, cell) for line, cell in unstored.items() if line >= first)
    kept = rows.filter(
        ~pl.col(LINE).is_in(list(unstored)) & ~pl.all_horizontal(pl.exclude(LINE).is_null())
    )
    yield Batch(file=path.name, frame=kept, broken=broken)


def _check_size(path: Path) -> None:
    """Refuse an archive that unpacks to more than memory should hold."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
            # What a part says of its size holds where its check sum does.
            damaged = archive.testzip() if size <= MAX_BYTES else None
    except _DAMAGED as error:
        raise SourceError(f"{path}: not a readable workbook ({reason(error)})") from None
    if damaged is not None:
        raise SourceError(f"{path}: not a readable workbook ({damaged} is damaged)")
    if size > MAX_BYTES:
        raise SourceError(
            f"{path}: unpacks to {size >> 20} MiB, more than {MAX_BYTES >> 20}; "
            "split the workbook, or export it as CSV"
        )


def _check_cells(path: Path, content: bytes) -> None:
    """Refuse a sheet whose outermost cells span more than memory should hold."""
    rows, letters = 0, set[bytes]()
    for place in _PLACE.finditer(content):
        rows = max(rows, int(place[2]))
        letters.add(place[1])
    columns = max(map(_number, letters), default=0)
    if rows * columns > MAX_CELLS:
        raise SourceError(
            f"{path}: the cells of the sheet span {rows} rows and {columns} columns, more than "
            f"{MAX_CELLS} cells; delete what stands far outside the table"
        )


def _number(letters: bytes) -> int:
    """Return the number of a column: A is 1, AA is 27."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - ord("A") + 1
    return number


def _sheet_xml(path: Path, sheet: int) -> bytes:
    """Return a sheet of an .xlsx or .xlsm workbook as it is stored; nothing for other kinds."""
    if not zipfile.is_zipfile(path):
        return b""
    with zipfile.ZipFile(path) as archive:
        part = _part(archive, sheet)
        return archive.read(part) if part in archive.namelist() else b""


def _unstored_formulas(content: bytes) -> dict[int, str]:
    """Return row → first cell whose formula has no stored result."""
    found: dict[int, str] = {}
    if b"<f" in content:
        for column, row, marks, body in _CELL.findall(content):
            stored = _STORED.search(body) or _EMPTY_TEXT in marks
            if _FORMULA.search(body) and not stored:
                found.setdefault(int(row), f"{column.decode()}{row.decode()}")
    return found


def _part(archive: zipfile.ZipFile, sheet: int) -> str:
    """Return the name of the part that holds a sheet; its number need not be its place."""
    names = archive.namelist()
    if "xl/workbook.xml" not in names or "xl/_rels/workbook.xml.rels" not in names:
        return ""
    links = _SHEET_LINK.findall(archive.read("xl/workbook.xml"))
    wanted = b'Id="' + links[sheet] + b'"' if sheet < len(links) else b" "
    for link in _LINK.findall(archive.read("xl/_rels/workbook.xml.rels")):
        target = re.search(rb'\bTarget="([^"]+)"', link)
        if re.search(rb"\b" + re.escape(wanted), link) and target:
            path = target[1].decode()
            return path.lstrip("/") if path.startswith("/") else f"xl/{path}"
    return ""


def _broken(rows: pl.DataFrame, line: int, cell: str) -> BrokenRow:
    row = rows.filter(pl.col(LINE) == line).drop(LINE).to_dicts()
    raw = json.dumps(row[0] if row else {}, ensure_ascii=False)
    return BrokenRow(line, "F06", None, f"cell {cell} holds a formula without a result", raw)
