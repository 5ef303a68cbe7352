"""Workbooks: cells as text, formulas by their results, faults by sheet and cell."""

from __future__ import annotations

import datetime as dt
import json
import re
import zipfile
from pathlib import Path

import openpyxl
import pytest

from models.errors import SourceError
from training.sources import excel
from training.sources.excel import read_excel
from training.sources.mapping import Options
from training.sources.read import LINE, Batch

Cell = str | int | float | dt.date | dt.datetime | None


def workbook(path: Path, *sheets: tuple[str, list[list[Cell]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def read(path: Path, **options: object) -> Batch:
    (batch,) = read_excel(path, Options.model_validate(options))
    return batch


def rewrite(path: Path, part: str, old: bytes, new: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert re.search(old, parts[part])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, re.sub(old, new, content) if name == part else content)


def test_cells_become_text(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [
        ["名称", "日期", "时间", "金额", "代码"],
        [
            "甲公司",
            dt.date(2024, 1, 31),
            dt.datetime(2024, 1, 31, 9, 30),  # noqa: DTZ001 - workbooks know no zones
            0.2,
            "91210102MA0000018T",
        ],
        ["乙公司", "2024年2月1日", None, 20000, "210102000012345678"],
    ]
    frame = read(workbook(tmp_path / "a.xlsx", ("Sheet", rows))).frame
    assert frame[LINE].to_list() == [2, 3]
    assert frame["代码"].to_list() == ["91210102MA0000018T", "210102000012345678"]
    assert [text[:10] for text in frame["日期"]] == ["2024-01-31", "2024年2月1日"]
    assert frame["时间"][0].startswith("2024-01-31 09:30")
    assert [float(n) for n in frame["金额"]] == [0.2, 20000]


def test_a_formula_without_result_makes_a_broken_row(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [["名称", "金额"], ["甲", 1], ["乙", "=1+1"], ["丙", 3]]
    batch = read(workbook(tmp_path / "a.xlsx", ("Sheet", rows)))
    assert batch.frame["名称"].to_list() == ["甲", "丙"]
    (broken,) = batch.broken
    assert (broken.line, broken.rule, broken.value) == (
        3,
        "F06",
        "cell B3 holds a formula without a result",
    )
    assert json.loads(broken.raw)["名称"] == "乙"


def test_a_stored_result_is_what_a_formula_says(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [["a", "b"], ["=1+1", '=IF(1=1,"","x")'], [3, "y"]]
    path = workbook(tmp_path / "a.xlsx", ("Sheet", rows))
    part = "xl/worksheets/sheet1.xml"
    rewrite(path, part, rb"(<f>1\+1</f>)<v ?(/>|></v>)", rb"\1<v>2</v>")
    # So does Excel store a result that is empty text.
    rewrite(path, part, b'<c r="B2">', b'<c r="B2" t="str">')
    batch = read(path)
    assert not batch.broken
    assert batch.frame["a"].to_list() == ["2", "3"]
    assert batch.frame["b"].to_list() == ["", "y"]


def test_the_cell_is_named_where_empty_cells_stand_before_it(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in (["a", "b", "c"], ["1", "2", None], ["=1", "x", "y"]):
        sheet.append(row)
    sheet["C2"].number_format = "0.00"  # an empty cell with a style, written as <c …/>
    book.save(path)
    (broken,) = read(path).broken
    assert (broken.line, broken.value[:7]) == (3, "cell A3")


def test_formulas_are_looked_for_in_the_sheet_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    book.worksheets[0].title = "说明"
    book.worksheets[0].append(["=1+1"])
    data = book.create_sheet("数据", 0)  # first in the book, second in the archive
    for row in (["a"], ["1"], ["=2"]):
        data.append(row)
    book.save(path)
    assert [row.line for row in read(path).broken] == [3]
    assert [row.line for row in read(path, sheet="数据").broken] == [3]


@pytest.mark.parametrize("text", ["=cmd|'/c calc'!A1", "+1+1", "-2+3", "@SUM(A1)"])
def test_text_that_looks_like_a_formula_is_only_text(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet["A1"] = "a"
    sheet["A2"] = text
    sheet["A2"].data_type = "s"
    book.save(path)
    batch = read(path)
    assert batch.frame["a"].to_list() == [text]
    assert not batch.broken


def test_line_numbers_are_those_of_the_sheet(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [["沈阳市报表"], ["a", "b"], ["1", "2"], [], ["3", "4"], [None, None]]
    batch = read(workbook(tmp_path / "a.xlsx", ("Sheet", rows)), header_row=2)
    assert batch.frame.rows() == [(3, "1", "2"), (5, "3", "4")]


def test_empty_rows_above_the_header_do_not_shift_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    for cell, value in {"B3": "a", "C3": "b", "B4": "1", "C4": "2", "B6": "=1"}.items():
        book.worksheets[0][cell] = value
    book.save(path)
    batch = read(path)
    assert batch.frame.rows() == [(4, "1", "2")]
    assert [row.line for row in batch.broken] == [6]


def test_an_unknown_sheet_gets_the_nearest_name(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("处罚2024", [["a"], ["1"]]), ("说明", [["x"]]))
    with pytest.raises(SourceError, match="no sheet '处罚2042'; did you mean '处罚2024'"):
        read(path, sheet="处罚2042")
    assert read(path, sheet="处罚2024").frame["a"].to_list() == ["1"]


def test_an_empty_sheet_is_an_error(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("空", []))
    with pytest.raises(SourceError, match=r"a.xlsx"):
        read(path)


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    batch = read(workbook(tmp_path / "a.xlsx", ("Sheet", [["a", "b"]])))
    assert batch.frame.shape == (0, 3)


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.99])
def test_a_damaged_workbook_is_one_clear_error(keep: float, tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("Sheet", [["a"], *[[str(n)] for n in range(500)]]))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(SourceError, match=r"a.xlsx: not a readable workbook"):
        read(path)


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"<html><table></table></html>", b"PK\x03\x04"])
def test_another_kind_of_file_called_xlsx_is_an_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="not a readable workbook"):
        read(path)


def test_an_archive_that_is_no_workbook_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(SourceError, match="not a readable workbook"):
        read(path)


def test_a_heading_we_use_ourselves_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("Sheet", [["a", "__line__"], ["1", "2"]]))
    with pytest.raises(SourceError, match="'__line__' is reserved"):
        read(path)


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize(
    "far",
    [
        b'<row r="100000"><c r="AMJ100000"><v>1</v></c></row>',
        b"<row r='1048576'><c r='XFD1048576'><v>1</v></c></row>",
        b'<row r="2"><c s="1" r="XFD2"><v>1</v></c></row><row r="90000"><c><v>1</v></c></row>',
    ],
)
def test_cells_far_outside_are_refused_before_they_take_memory(far: bytes, tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("Sheet", [["a"], ["1"]]))
    rewrite(path, SHEET, b"</sheetData>", far + b"</sheetData>")
    with pytest.raises(SourceError, match=r"span [0-9]+ rows and [0-9]+ columns, more than 5"):
        read(path)


def test_a_dimension_alone_spans_nothing(tmp_path: Path) -> None:
    """Sheets with formatted columns say so, although they hold little."""
    path = workbook(tmp_path / "a.xlsx", ("Sheet", [["a"], ["1"]]))
    rewrite(path, SHEET, b'<dimension ref="[^"]*"', b'<dimension ref="A1:XFD1048576"')
    assert read(path).frame["a"].to_list() == ["1"]


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workbook(tmp_path / "a.xlsx", ("Sheet", [["a"], ["1"]]))
    monkeypatch.setattr(excel, "MAX_BYTES", 3 << 20)
    read(path)
    rewrite(path, SHEET, b"</sheetData>", b" " * (4 << 20) + b"</sheetData>")
    assert path.stat().st_size < 5 << 20
    with pytest.raises(SourceError, match="unpacks to 4 MiB, more than 3; split the workbook"):
        read(path)


def test_a_part_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("Sheet", [["a"], ["1"]]))
    rewrite(path, SHEET, b"</sheetData>", b" " * (1 << 20) + b"</sheetData>")
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(SHEET).file_size
    content = path.read_bytes()
    path.write_bytes(content.replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(SourceError, match=r"not a readable workbook .*sheet1.xml is damaged"):
        read(path)
