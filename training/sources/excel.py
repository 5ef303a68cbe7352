"""Excel workbooks: one sheet as text, formulas by their stored results."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import fastexcel
import polars as pl
from fastexcel import ExcelSheet

from models.errors import SourceError
from models.yaml import nearest
from training.sources.mapping import Options
from training.sources.read import LINE, Batch, BrokenRow, numbered

_CELL: Final = re.compile(rb'<c r="([A-Z]+)(\d+)"[^>]*>(.*?)</c>', re.DOTALL)
_FORMULA: Final = re.compile(rb"<f[ >/]")
_STORED: Final = re.compile(rb"<v>[^<]+</v>")


def read_excel(path: Path, options: Options) -> Iterator[Batch]:
    """Yield the one batch of a sheet, all columns as text.

    A formula whose result was never stored makes its row a broken one (rule F06). Raises
    :class:`SourceError` for a damaged workbook or an unknown sheet.
    """
    try:
        book = fastexcel.read_excel(path)
        names = book.sheet_names
        if options.sheet is not None and options.sheet not in names:
            raise SourceError(f"{path}: no sheet {options.sheet!r}{nearest(options.sheet, names)}")
        # The overload that reads eagerly has no type; this is the other one.
        sheet: ExcelSheet = book.load_sheet(  # pyright: ignore[reportUnknownMemberType]
            options.sheet or 0,
            header_row=options.header_row - 1,
            dtypes="string",
            skip_whitespace_tail_rows=True,
        )
        frame = sheet.to_polars()
    except fastexcel.FastExcelError as error:
        raise SourceError(
            f"{path}: not a readable workbook ({str(error).splitlines()[0][:160]})"
        ) from None
    if frame.width == 0:
        raise SourceError(
            f"{path}: sheet {options.sheet or names[0]!r} is empty; check 'sheet' and 'header_row'"
        )
    first = options.header_row + 1
    rows = numbered(frame, first)
    unstored = _unstored_formulas(path, names.index(options.sheet) if options.sheet else 0)
    broken = tuple(_broken(rows, line, cell) for line, cell in unstored.items() if line >= first)
    kept = rows.filter(
        ~pl.col(LINE).is_in(list(unstored)) & ~pl.all_horizontal(pl.exclude(LINE).is_null())
    )
    yield Batch(file=path.name, frame=kept, broken=broken)


def _unstored_formulas(path: Path, sheet: int) -> dict[int, str]:
    """Return row → first cell whose formula has no stored result (only .xlsx and .xlsm tell)."""
    if not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as archive:
        sheets = sorted(
            (n for n in archive.namelist() if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", n)),
            key=lambda n: int("".join(filter(str.isdigit, n))),
        )
        if sheet >= len(sheets):
            return {}
        content = archive.read(sheets[sheet])
    found: dict[int, str] = {}
    if b"<f" in content:
        for column, row, body in _CELL.findall(content):
            if _FORMULA.search(body) and not _STORED.search(body):
                found.setdefault(int(row), f"{column.decode()}{row.decode()}")
    return found


def _broken(rows: pl.DataFrame, line: int, cell: str) -> BrokenRow:
    row = rows.filter(pl.col(LINE) == line).drop(LINE).to_dicts()
    raw = json.dumps(row[0] if row else {}, ensure_ascii=False)
    return BrokenRow(line, "F06", None, f"cell {cell} holds a formula without a result", raw)
