"""What a code and a name tell, as of a date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from models.codes.uscc import make_uscc
from models.features import identity
from models.records.contracts import CONTRACTS
from models.records.reading import MemoryRecords
from tests.models.features.firms import AS_OF, FIRMS, Row, firm, frame, records, scenario

SPECS = identity.specs(scenario(), CONTRACTS)
DAY = timedelta(days=1)


def told(
    data: MemoryRecords, *dates: date, subjects: Sequence[str] = FIRMS[:1]
) -> dict[str, list[object]]:
    wanted = pl.Series("subject_id", subjects, dtype=pl.String)
    made = identity.build(data, SPECS, subjects=wanted, dates=dates or (AS_OF,))
    assert made.columns == [*(spec.name for spec in SPECS), *identity.GROUPS]
    return made.to_dict(as_series=False)


def kind(data: MemoryRecords, *dates: date) -> list[object]:
    return told(data, *dates)["identity_name_kind"]


def visit(on: date, name: str, **columns: object) -> Row:
    return {
        "subject_id": FIRMS[0],
        "subject_name": name,
        "happened_on": on,
        "result": "pass",
        **columns,
    }


def at(on: date) -> datetime:
    return datetime(on.year, on.month, on.day, tzinfo=UTC)


def test_a_code_tells_of_everybody_whatever_tables_there_are() -> None:
    row = told(MemoryRecords({}))
    assert row["identity_code_kind"] == ["91"]
    assert row["identity_code_region"] == ["辽宁省沈阳市"]
    assert row["_region"] == ["210100"]
    assert row["identity_name_kind"] == row["identity_name_length"] == [None]


def test_an_id_that_is_no_code_tells_nothing() -> None:
    row = told(MemoryRecords({}), subjects=["P_0011", "", "91210100"])
    for name in ("identity_code_kind", "identity_code_region", "identity_code_serial", "_region"):
        assert row[name] == [None, None, None]


def test_an_abolished_region_is_that_of_today() -> None:
    old, new = (make_uscc("91", region, body="MA000001X") for region in ("210122", "210115"))
    row = told(MemoryRecords({}), subjects=[old, new])
    assert row["_region"] == ["210115", "210115"]
    assert row["identity_code_region"][0] == row["identity_code_region"][1]


def test_a_region_without_a_name_here_keeps_its_code() -> None:
    far = make_uscc("91", "110105", body="MA000001X")
    assert told(MemoryRecords({}), subjects=[far])["identity_code_region"] == ["110105"]


def test_serials_ascend_as_codes_are_given_out() -> None:
    bodies = ["100000012", "76000000X", "MA0000015", "MA00A0015", "MAC000014"]
    codes = [make_uscc("91", "210100", body=body) for body in bodies]
    serials = told(MemoryRecords({}), subjects=codes)["identity_code_serial"]
    assert serials == sorted(serials, key=lambda one: float(str(one)))
    assert len(set(serials)) == len(serials)


def test_codes_given_out_in_no_order_have_no_serial() -> None:
    assert told(MemoryRecords({}))["identity_code_serial"] == [None]


def test_the_registers_name_is_used_from_the_day_it_is_known() -> None:
    known = at(date(2024, 12, 31))
    data = records(subject=[firm(name="阳光书店", known_at=known)])
    assert kind(data, date(2024, 12, 30), date(2024, 12, 31), AS_OF) == [None, "书店", "书店"]


def test_the_registers_name_goes_before_that_of_a_visit() -> None:
    data = records(
        subject=[firm(name="阳光书店", known_at=at(AS_OF))],
        inspection=[visit(date(2024, 6, 1), "阳光上网服务")],
    )
    assert kind(data, date(2024, 12, 1), AS_OF) == ["网吧", "书店"]


def test_the_newest_name_of_a_visit_is_used_until_the_register_is_known() -> None:
    visits = [visit(date(2024, 6, 1), "阳光上网服务"), visit(date(2024, 9, 1), "阳光书店")]
    data = records(inspection=visits)
    assert kind(data, date(2024, 8, 1), date(2024, 9, 1), date(2024, 9, 2)) == [
        "网吧",
        "网吧",
        "书店",
    ]


def test_a_visits_name_is_not_known_on_its_own_day_nor_before_it_is_reported() -> None:
    seen, reported = date(2024, 6, 1), date(2024, 6, 10)
    data = records(inspection=[visit(seen, "阳光书店", known_at=at(reported))])
    assert kind(data, seen, reported - DAY, reported) == [None, None, "书店"]
    at_once = records(inspection=[visit(seen, "阳光书店", known_at=at(seen - DAY))])
    assert kind(at_once, seen, seen + DAY) == [None, "书店"]


def test_an_annulled_row_names_nobody() -> None:
    voided = {"void_reason": "annulled", "void_from": date(2024, 7, 1)}
    assert kind(records(inspection=[visit(date(2024, 6, 1), "阳光书店", **voided)])) == [None]


def test_what_a_name_says_beside_its_kind() -> None:
    data = records(subject=[firm(name="阳光书店第一分公司（京东）")])
    row = told(data)
    assert row["identity_name_length"] == [13.0]
    assert row["identity_name_branch"] == row["identity_name_platform"] == [1.0]


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 30), st.sampled_from(["书店", "网吧", "厂"])),
        max_size=6,
        unique_by=lambda one: one[0],
    ),
    st.integers(0, 90),
)
def test_what_happens_or_is_known_later_changes_nothing(
    visits: list[tuple[int, int, str]], view: int
) -> None:
    start, on = date(2024, 1, 1), date(2024, 1, 1) + timedelta(view)
    rows = [
        visit(start + timedelta(day), name, known_at=at(start + timedelta(day + late)))
        for day, late, name in visits
    ]
    there = [
        row
        for row, (day, late, _) in zip(rows, visits, strict=True)
        if day < view and day + late <= view
    ]
    whole, before = (
        MemoryRecords({"inspection": frame("inspection", some)}) for some in (rows, there)
    )
    assert told(whole, on) == told(before, on)
