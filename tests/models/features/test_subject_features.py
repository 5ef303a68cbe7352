"""What the register says of a subject, as far as it was known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import polars as pl
import pytest

from models.features import subject
from models.records.contracts import CONTRACTS
from models.records.reading import MemoryRecords
from tests.models.features.firms import AS_OF, FIRMS, Row, firm, records, scenario

FULL = {
    "registered_capital": 2_000_000.0,
    "paid_capital": 500_000.0,
    "employees": 12,
    "industry": "C1495",
    "region": "210102",
    "enterprise_type": "1130",
    "subject_type": "企业",
}


def built(rows: Sequence[Row], *dates: date, subjects: Sequence[str] = FIRMS[:1]) -> pl.DataFrame:
    wanted = pl.Series("subject_id", subjects, dtype=pl.String)
    return subject.build(records(subject=rows), subjects=wanted, dates=dates or (AS_OF,))


def told(name: str, *dates: date, **columns: object) -> list[object]:
    return built([firm(**{**FULL, **columns})], *dates)[name].to_list()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject_age_days", 1827.0),
        ("subject_registered_capital", 2_000_000.0),
        ("subject_paid_capital", 500_000.0),
        ("subject_paid_share", 0.25),
        ("subject_employees", 12.0),
        ("subject_industry_section", "C"),
        ("subject_industry_division", "14"),
        ("subject_city", "210100"),
        ("subject_enterprise_type", "1130"),
        ("subject_subject_type", "企业"),
        ("subject_status", "open"),
        ("_province", "210000"),
    ],
)
def test_what_the_register_says(name: str, value: object) -> None:
    assert told(name) == [value]


def test_ownership_follows_from_the_type_where_the_register_does_not_tell() -> None:
    assert told("subject_ownership", ownership="国有") == ["国有"]
    assert told("subject_ownership")[0] is not None


def test_age_is_exact_at_every_date() -> None:
    dates = [date(2020, 1, 2), date(2021, 1, 1), date(2025, 1, 1)]
    assert told("subject_age_days", *dates) == [1.0, 366.0, 1827.0]


def test_age_is_null_where_the_day_is_not_known_or_has_not_come() -> None:
    early = datetime(2019, 1, 1, tzinfo=UTC)
    assert told("subject_age_days", happened_on=None, known_at=early) == [None]
    assert told("subject_age_days", date(2019, 6, 1), known_at=early) == [None]


def test_status_follows_from_dated_columns_alone() -> None:
    dates = [date(2023, 1, 1), date(2023, 6, 1), date(2024, 6, 1)]
    ends = {"revoked_on": date(2023, 6, 1), "closed_on": date(2024, 6, 1), "status": "CANCELLED"}
    assert told("subject_status", *dates, **ends) == ["open", "revoked", "closed"]


def test_share_of_capital_paid_is_null_without_capital() -> None:
    assert told("subject_paid_share", registered_capital=0.0) == [None]
    assert told("subject_paid_share", registered_capital=None) == [None]


def test_a_subject_outside_listed_cities_has_its_province() -> None:
    assert told("subject_city", region="110105") == ["110000"]


def test_who_is_not_in_the_register_has_nulls() -> None:
    made = built([firm()], subjects=[FIRMS[7]])
    assert made.height == 1
    assert made.null_count().sum_horizontal().item() == made.width


def test_nothing_is_known_before_it_was_known() -> None:
    late = datetime(2024, 12, 31, 16, tzinfo=UTC)  # 2025-01-01 00:00 in Shanghai
    on = [date(2024, 12, 31), date(2025, 1, 1)]
    assert told("subject_employees", *on, known_at=late) == [None, 12.0]


def test_an_annulled_registration_tells_nothing() -> None:
    void = {"void_from": date(2021, 1, 1), "void_reason": "annulled"}
    assert told("subject_employees", **void) == [None]


def test_rows_are_by_date_then_in_the_order_of_the_subjects() -> None:
    rows = [firm(0, employees=1), firm(1, employees=2)]
    made = built(rows, date(2022, 1, 1), date(2023, 1, 1), subjects=[FIRMS[1], FIRMS[0]])
    assert made["subject_employees"].to_list() == [2, 1, 2, 1]
    assert made["subject_age_days"].to_list() == [731, 731, 1096, 1096]


def test_without_a_register_all_is_null() -> None:
    wanted = pl.Series("subject_id", FIRMS[:2])
    made = subject.build(MemoryRecords({}), subjects=wanted, dates=[AS_OF])
    assert made.height == 2
    assert made.drop_nulls().is_empty()


def test_a_register_that_lacks_columns_gives_nulls_for_them() -> None:
    full = records(subject=[firm(**FULL)]).frames["subject"]
    short = MemoryRecords({"subject": full.drop("employees", "industry", "revoked_on")})
    wanted = pl.Series("subject_id", FIRMS[:1])
    row = subject.build(short, subjects=wanted, dates=[AS_OF]).row(0, named=True)
    assert row["subject_employees"] is None
    assert row["subject_industry_section"] is None
    assert row["subject_status"] == "open"


def test_types_are_those_of_the_catalogue() -> None:
    specs = subject.specs(scenario(), CONTRACTS)
    made = built([firm(**FULL)])
    assert {s.name: s.polars for s in specs} == {s.name: made.schema[s.name] for s in specs}


def test_what_is_left_out_gives_no_feature() -> None:
    declared = scenario(
        "{tables: [penalty, subject], windows: [365d], exclude: [registered_capital]}"
    )
    names = {s.name for s in subject.specs(declared, CONTRACTS)}
    assert not names & {"subject_registered_capital", "subject_paid_share"}
    assert "subject_paid_capital" in names
