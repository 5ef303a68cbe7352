from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import cast

import openpyxl
import polars as pl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from models.errors import InspectionError
from models.inspection.list_fields import ListName
from models.inspection.result_codes import codes
from models.inspection.results import Round, read_results
from serving.reports.sheets import CODES, OVERVIEW, TeamSheet, as_json, team_sheets, workbook
from tests.models.inspection import listed
from tests.models.inspection.listed import FIRM, ON, PERSON, SHOP

ISSUED = datetime(2026, 3, 2, 1, tzinfo=UTC)
FILLED = ("检查结果", "检查结束日期", "发现问题")


def sheets(drawn: Round | None = None, **lists: pl.DataFrame) -> tuple[TeamSheet, ...]:
    given = {
        "matters": listed.matters_frame(),
        "targets": listed.targets_frame(),
        "inspectors": listed.inspectors_frame(),
    } | lists
    made = {name: listed.listing(ListName(name), frame) for name, frame in given.items()}
    return team_sheets(
        drawn or listed.round_(),
        matters=made["matters"],
        targets=made["targets"],
        inspectors=made["inspectors"],
    )


def opened(content: bytes) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(content))


def table(sheet: Worksheet) -> list[Sequence[object]]:
    return [tuple(cell.value for cell in row) for row in sheet.iter_rows()]


def filled(content: bytes, results: dict[tuple[str, str], tuple[str, date, str | None]]) -> bytes:
    """Fill in the results of tasks and matters, as a person does."""
    book = opened(content)
    for name in teams_in(book):
        sheet = cast("Worksheet", book[name])
        heads, *rows = table(sheet)
        for line, row in enumerate(rows, 2):
            key = (str(row[0]), str(row[1]))
            if key in results:
                for heading, value in zip(FILLED, results[key], strict=True):
                    sheet.cell(line, heads.index(heading) + 1, value)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def teams_in(book: openpyxl.Workbook) -> list[str]:
    return [name for name in book.sheetnames if name.startswith("第")]


def read_back(content: bytes) -> pl.DataFrame:
    """Return the rows of all teams as a frame of texts and days."""
    book = opened(content)
    rows = [table(cast("Worksheet", book[name])) for name in teams_in(book)]
    heads = [str(one) for one in rows[0][0]]
    parts = [dict(zip(heads, row, strict=True)) for sheet in rows for row in sheet[1:]]
    return pl.DataFrame(parts, infer_schema_length=None)


def test_each_team_has_its_own_tasks_and_none_is_lost() -> None:
    made = sheets()
    assert [[one.inspector_id for one in sheet.members] for sheet in made] == [
        ["i1", "i2"],
        ["i3", "i4"],
    ]
    assert [[visit.task_id for visit in sheet.visits] for sheet in made] == [["T1", "T3"], ["T2"]]
    assert [sheet.title for sheet in made] == ["第001组", "第002组"]
    first = made[0].visits[0]
    assert (first.subject_id, first.name) == (FIRM, "沈阳某某商贸有限公司")
    assert [matter.matter_id for matter in first.matters] == ["M01", "M02"]
    assert first.matters[0].legal_basis == ("食品安全法 第一百一十条", "实施条例 第五十九条")
    assert (first.matters[0].kind, first.matters[1].method) == ("重点", "网络监测")


def test_a_sheet_is_json() -> None:
    values = as_json(sheets()[0])
    again = json.loads(json.dumps(values, ensure_ascii=False))
    assert again == values
    assert again["visits"][0]["starts"] == "2026-03-03"
    assert again["members"][1] == {
        "inspector_id": "i2",
        "name": "检查员二",
        "certificate": "辽002",
        "unit": "执法支队",
    }


def test_the_workbook_has_an_overview_the_teams_and_the_codes() -> None:
    book = opened(workbook(sheets(), issued_at=ISSUED))
    assert book.sheetnames == [OVERVIEW, "第001组", "第002组", CODES]
    overview = table(cast("Worksheet", book[OVERVIEW]))
    assert overview[1] == ("第001组", "检查员一；检查员二", "辽001；辽002", 2)
    assert len(table(cast("Worksheet", book[CODES]))) == len(codes()) + 1
    (choice,) = cast("Worksheet", book["第001组"]).data_validations.dataValidation
    assert choice.formula1 == f"{CODES}!$A$2:$A${len(codes()) + 1}"


def test_the_same_sheets_give_the_same_bytes() -> None:
    assert workbook(sheets(), issued_at=ISSUED) == workbook(sheets(), issued_at=ISSUED)


def test_what_is_filled_in_reads_back_as_results() -> None:
    day = date(2026, 3, 5)
    content = filled(
        workbook(sheets(), issued_at=ISSUED),
        {
            ("T1", "M01"): ("IR1 未发现问题", day, None),
            ("T1", "M02"): ("IR5 发现问题已责令改正", day, "未标示"),
            ("T2", "M01"): ("IR4", day, None),
        },
    )
    found = read_results(read_back(content), listed.round_(), on=ON)
    assert found.frame.select("task_id", "result_code", "ended_on", "problem").rows() == [
        ("T1", "IR1", day, None),
        ("T1", "IR5", day, "未标示"),
        ("T2", "IR4", day, None),
    ]
    assert found.frame["inspectors"].to_list()[0] == ["i1", "i2"]
    assert found.missing.rows() == [("T3", "M01")]
    assert (found.blank, found.refused) == (1, 0)


@pytest.mark.parametrize(
    "hostile",
    ["=1+1", "+1", "-2+3", "@SUM(A1)", "=cmd|'/c calc'!A1", "https://x.example", "{=1}"],
)
def test_text_is_never_a_formula_or_a_link(hostile: str) -> None:
    names = listed.targets_frame().with_columns(pl.lit(hostile).alias("企业名称"))
    book = opened(workbook(sheets(targets=names), issued_at=ISSUED))
    cell = cast("Worksheet", book["第001组"])["D2"]
    assert (cell.value, cell.data_type, cell.hyperlink) == (hostile, "s", None)


def test_a_target_that_is_not_listed_has_no_name() -> None:
    rest = listed.targets_frame().filter(pl.col("社会信用代码") == SHOP)
    made = sheets(targets=rest)
    assert [(visit.subject_id, visit.name) for visit in made[0].visits] == [
        (FIRM, None),
        (PERSON, None),
    ]
    written = opened(workbook(made, issued_at=ISSUED))["第001组"]
    assert not table(cast("Worksheet", written))[1][3]


def test_what_may_not_be_executed_gets_no_sheet() -> None:
    late = listed.matters_frame().with_columns(pl.Series("公布日期", ["2026-03-04", None]))
    with pytest.raises(InspectionError, match="may not be executed on 2026-03-03"):
        sheets(matters=late)
    with pytest.raises(InspectionError, match="'M02' is not on the list"):
        sheets(matters=listed.matters_frame().head(1))
    with pytest.raises(InspectionError, match="inspector 'i4' of a team is not on the list"):
        sheets(inspectors=listed.inspectors_frame().head(3))


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(InspectionError, match="no team"):
        workbook((), issued_at=ISSUED)
    # Each law may have 400 characters, and a matter any number of laws.
    laws = "；".join(f"{n:04}{'法' * 390}" for n in range(90))
    long = listed.matters_frame().with_columns(pl.lit(laws).alias("检查依据"))
    with pytest.raises(InspectionError, match="a cell of Excel holds 32767"):
        workbook(sheets(matters=long), issued_at=ISSUED)
