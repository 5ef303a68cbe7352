from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.supervision.report import Report, Section
from serving.reports.credit import pdf, printable
from tests.serving.reports.printed import pages

ISSUED = datetime(2026, 11, 20, 1, 30, tzinfo=UTC)
COLUMNS = ("处罚决定日期", "处罚机关", "违法行为类型")


def report(*rows: tuple[str, str, str]) -> Report:
    section = Section("penalty", "行政处罚", COLUMNS, rows)
    return Report(
        "public",
        "公共信用信息报告",
        "91210100YY000001XP",
        "沈阳某某商贸有限公司",
        date(2026, 11, 20),
        None,
        date(2026, 11, 20),
        (section, Section("listing", "名录名单", ("列入日期",), ())),
    )


def made(found: Report, address: str | None = None) -> bytes:
    return pdf(found, code="ABCD-EFGH-JKLM", issued_at=ISSUED, verify_at=address)


def test_the_same_report_gives_the_same_bytes() -> None:
    found = report(("2026-10-01", "市场监管局", "超范围经营"))
    assert made(found) == made(found)
    assert made(found).startswith(b"%PDF-")
    assert made(found) != made(report())


def test_a_disputed_row_is_marked_on_the_page() -> None:
    plain = report(("2026-10-01", "市场监管局", "超范围经营"))
    marked = replace(plain, sections=(replace(plain.sections[0], disputed=(0,)),))
    limited = replace(plain, authorities=("税务局",), data_from=date(2020, 1, 1), unsorted=2)
    assert len({made(plain), made(marked), made(limited)}) == 3


def test_forty_rows_go_over_pages_and_none_is_lost() -> None:
    row = ("2026-10-01", "市场监管局", "未按规定公示应当公示的信息")
    assert pages(made(report(*[row] * 40))) > pages(made(report(row))) == 1


def test_what_a_record_says_is_never_markup() -> None:
    hostile = '#panic("x") $1/0$ = 标题 *粗* `#read("/etc/passwd")` \\ < > @a [b](c) "'
    assert pages(made(report((hostile, hostile, hostile)))) == 1


def test_an_address_becomes_a_picture_on_the_page() -> None:
    plain, coded = made(report()), made(report(), "https://credit.example/v/ABCD-EFGH-JKLM")
    assert len(coded) > len(plain)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("辽宁 ABC-12", "辽宁 ABC-12"),
        ("䶮记饭店", "〔U+4DAE〕记饭店"),
        ("a\x00b\u202e", "a〔U+0000〕b〔U+202E〕"),
        ("😀", "〔U+1F600〕"),
    ],
)
def test_a_character_the_font_lacks_is_told_and_not_dropped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(max_size=200))
def test_printable_text_is_stable(text: str) -> None:
    assert printable(printable(text)) == printable(text)
