from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime

from models.inspection.result_codes import codes
from serving.reports.checklist import NOTES, SCAN, page, pdf
from serving.reports.qr import qr
from serving.reports.sheets import Member, SheetMatter, TeamSheet, Visit
from tests.models.inspection.listed import FIRM, PERSON
from tests.serving.reports.printed import pages

ISSUED = datetime(2026, 3, 2, 1, tzinfo=UTC)
ADDRESS = "https://credit.example/draws/catering_2026"
MATTER = SheetMatter("M01", "食品销售监督检查", ("食品安全法 第一百一十条",), "现场检查", "重点")
VISIT = Visit(
    "T1", FIRM, "沈阳某某商贸有限公司", None, date(2026, 3, 3), date(2026, 3, 31), (MATTER,)
)
MEMBERS = (Member("i1", None, "辽001", "执法支队"), Member("i2", "检查员二", "辽002", "执法支队"))
SHEET = TeamSheet("catering_2026", 1, "沈阳市市场监督管理局", MEMBERS, (VISIT,))


def made(sheet: TeamSheet, address: str | None = ADDRESS) -> bytes:
    return pdf(sheet, issued_at=ISSUED, verify_at=address)


def test_the_same_sheet_gives_the_same_bytes() -> None:
    assert made(SHEET) == made(SHEET)
    assert made(SHEET).startswith(b"%PDF-")
    assert made(SHEET) != made(replace(SHEET, number=2))
    assert pages(made(SHEET)) == 1


def test_many_tasks_and_matters_go_over_pages() -> None:
    long = replace(VISIT, matters=(MATTER,) * 12)
    assert pages(made(replace(SHEET, visits=(long,) * 5))) > 5


def test_the_page_shows_what_the_sheet_says() -> None:
    shown = page(SHEET, ISSUED, ADDRESS)
    text = json.dumps(shown, ensure_ascii=False)
    wanted = (FIRM, "食品安全法 第一百一十条", "第001组，1 项任务", "2026-03-02 09:00", "重点事项")
    assert [word for word in wanted if word not in text] == []
    assert shown["members"] == [["i1", "辽001", "执法支队"], ["检查员二", "辽002", "执法支队"]]
    assert shown["codes"] == [(code, entry.label) for code, entry in codes().items()]


def test_a_qr_code_stands_there_with_an_address_only() -> None:
    assert page(SHEET, ISSUED, ADDRESS)["notes"] == (*NOTES, SCAN)
    assert page(SHEET, ISSUED, None)["notes"] == NOTES
    assert page(SHEET, ISSUED, None)["qr"] is None
    assert (qr(ADDRESS) or "").startswith("<?xml")
    assert qr(ADDRESS) != qr(ADDRESS + "x")
    assert len(made(SHEET)) > len(made(SHEET, None))


def test_a_person_s_key_is_not_printed() -> None:
    person = replace(SHEET, visits=(replace(VISIT, subject_id=PERSON),))
    assert PERSON not in json.dumps(page(person, ISSUED, None))


def test_what_a_list_says_is_never_markup() -> None:
    hostile = '#panic("x") $1/0$ = 标题 *粗* `#read("/etc/passwd")` \\ < > @a [b](c) "䶮'
    matter = replace(MATTER, title=hostile, legal_basis=(hostile, hostile))
    visit = replace(VISIT, name=hostile, address=hostile, task_id=hostile, matters=(matter,))
    members = (replace(MEMBERS[0], name=hostile, certificate=hostile, unit=hostile), MEMBERS[1])
    sheet = replace(SHEET, draw_id=hostile, authority=hostile, members=members, visits=(visit,))
    assert pages(made(sheet)) >= 1
    assert "䶮" not in json.dumps(page(sheet, ISSUED, None), ensure_ascii=False)
