from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.inspection.list_cells import REMEDIES, SEPARATOR, CellKind, day_of, value, written
from tests.models.inspection.listed import FIRM, PERSON


def cell(text: str, kind: CellKind) -> object:
    return pl.DataFrame({"v": [text]}).select(value("v", kind)).item()


def cells(text: str, kind: CellKind) -> list[str] | None:
    found = cell(text, kind)
    return found.to_list() if isinstance(found, pl.Series) else None


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-03-02", date(2026, 3, 2)),
        ("2026/3/2", date(2026, 3, 2)),
        ("2026.03.02", date(2026, 3, 2)),
        ("2026年3月2日", date(2026, 3, 2)),
        ("20260302", date(2026, 3, 2)),
        ("2026-03-02 14:05:06", date(2026, 3, 2)),
        ("2026-03-02T00:00:00.000000", date(2026, 3, 2)),
        ("2026-02-29", None),
        ("2026-3", None),
        ("26-3-2", None),
        ("2026-03-021", None),
        ("２０２６-03-02", None),
    ],
)
def test_days(text: str, day: date | None) -> None:
    assert day_of(text) == day
    assert cell(text, "day") == day


@given(st.dates(date(1000, 1, 1)))
def test_a_day_reads_back(day: date) -> None:
    assert day_of(str(day)) == day == day_of(f"{day.year}年{day.month}月{day.day}日")


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("text", " 甲\n乙 ", " 甲 乙 "),
        ("text", "a\x00b", None),
        ("text", "长" * 401, None),
        ("id", "ＡＢ１", "AB1"),
        ("id", "a b", None),
        ("id", "a，b", None),
        ("code", "食品01", None),
        ("subject", FIRM.lower(), FIRM),
        ("subject", PERSON, PERSON),
        ("subject", FIRM[:-1], None),
        ("count", "12.0", 12),
        ("count", "1.5", None),
        ("count", "-1", None),
        ("status", "吊销，未注销", "REVOKED_LICENCE"),
        ("region", "210102", "210102"),
        ("industry", "h62", "H62"),
        ("industry", "Z99", None),
        ("result", "未发现问题", "IR1"),
        ("result", "1", None),
    ],
)
def test_plain_cells(kind: CellKind, text: str, found: object) -> None:
    assert cell(text, kind) == found


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("laws", "甲法、条例，第一条；乙法\n甲法、条例，第一条", ["甲法、条例，第一条", "乙法"]),
        ("codes", "M2, M1；M1、M3", ["M1", "M2", "M3"]),
        ("codes", "M1;食品", None),
        ("ids", "i2；辽001", ["i2", "辽001"]),
        ("subjects", f"{FIRM};{PERSON}", [FIRM, PERSON]),
        ("subjects", f"{FIRM};x", None),
        ("regions", "210100，21,210102", ["21", "2101", "210102"]),
        ("regions", "211000", ["2110"]),
        ("regions", "2", None),
        ("regions", "990000", None),
        ("spans", "2026-03-02", ["2026-03-02/2026-03-02"]),
        (
            "spans",
            "2026年3月2日至2026年3月4日；2026-05-01/2026-05-02",
            ["2026-03-02/2026-03-04", "2026-05-01/2026-05-02"],
        ),
        ("spans", "2026-03-02~2026-03-01", None),
        ("spans", "2026/3/2/2026/3/4", ["2026-03-02/2026-03-04"]),
        ("codes", "；", None),
    ],
)
def test_cells_of_several(kind: CellKind, text: str, found: list[str] | None) -> None:
    assert cells(text, kind) == found
    if found is not None:
        assert cells(SEPARATOR.join(found), kind) == found


def test_choices_are_found_however_they_are_typed() -> None:
    frame = pl.DataFrame({"v": [" 现场 检查", "别的", None]})
    found = frame.select(value("v", "choice", choices={"现场检查": "on_site"}))
    assert found["v"].to_list() == ["on_site", None, None]


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pl.Series([" a ", "无", "", None]), ["a", None, None, None]),
        (pl.Series([1.0, 2.5, None]), ["1", "2.5", None]),
        (pl.Series([3, None]), ["3", None]),
        (pl.Series([date(2026, 3, 2)]), ["2026-03-02"]),
        (pl.Series([["a", "b"], [], None]), ["a；b", None, None]),
        (pl.Series([datetime(2026, 3, 2, 17, tzinfo=UTC)]), ["2026-03-03"]),
    ],
)
def test_any_plain_type_is_taken_as_text(column: pl.Series, texts: list[str | None]) -> None:
    assert written(column.alias("v")).to_list() == texts


def test_every_kind_has_a_remedy() -> None:
    for kind, remedy in REMEDIES.items():
        assert remedy.startswith("write ")
        if kind != "choice":
            assert cell("\x00", kind) is None
