"""What the past-rate rule goes by, and the groups of an audit."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

import polars as pl
import pytest

from models.records.reading import MemoryRecords
from models.scenarios.scenario import AuditBy
from tests.training.risk.world import FIRMS, LABEL, frame, scenario
from training.risk.audit import groups
from training.risk.past import past

ON: Final = date(2024, 6, 1)
EVENT: Final = "{table: penalty, horizon: 180d}"
REPORT: Final = (
    '{kind: survival, table: annual_report, where: "year == year(due) - 1", until: "06-30"}'
)


def keys(*firms: int, on: date = ON) -> pl.DataFrame:
    schema = {"subject_id": pl.String(), "as_of": pl.Date()}
    return pl.DataFrame([[FIRMS[n], on] for n in firms], schema=schema, orient="row")


def counted(
    label: str, *firms: int, on: date = ON, **tables: pl.DataFrame
) -> list[tuple[float, ...]]:
    told = past(MemoryRecords(tables), scenario(label=label), keys(*firms, on=on))
    assert told.columns == ["subject_id", "as_of", "past_seen", "past_found"]
    assert told["subject_id"].to_list() == [FIRMS[n] for n in firms]
    return [row[2:] for row in told.iter_rows()]


def visit(on: date, result: str = "pass", **more: object) -> dict[str, object]:
    return {"subject_id": FIRMS[0], "happened_on": on, "result": result, **more}


def test_inspected_days_and_findings_are_counted() -> None:
    rows = [
        visit(date(2020, 1, 1), "fail"),
        visit(date(2023, 1, 1)),
        visit(date(2023, 1, 1), "fail"),  # two visits of one day are one
        visit(date(2023, 2, 2), "excluded"),
        visit(ON, "fail"),
        visit(date(2024, 7, 1), "fail"),
        visit(date(2024, 1, 1), "fail", known_at=datetime(2024, 6, 2, tzinfo=UTC)),
        visit(date(2022, 1, 1), "fail", void_from=date(2022, 2, 1), void_reason="annulled"),
    ]
    assert counted(LABEL, 0, 1, inspection=frame("inspection", rows)) == [(2, 2), (0, 0)]


def test_horizons_with_an_event_are_counted() -> None:
    days = [date(2024, 5, 1), date(2024, 5, 20), date(2023, 9, 1), date(2010, 1, 1), ON]
    rows = [
        {"subject_id": FIRMS[0], "happened_on": on, "document_number": str(n)}
        for n, on in enumerate(days)
    ]
    assert counted(EVENT, 1, 0, penalty=frame("penalty", rows)) == [(6, 0), (6, 2)]


def test_an_event_that_comes_after_its_row_counts_from_its_own_day() -> None:
    label = "{table: pledge, where: \"fulfilment == 'breached'\", on: settled_on, horizon: 180d}"
    made = date(2023, 1, 1)
    rows = [
        {"subject_id": FIRMS[n], "happened_on": made, "fulfilment": "breached", "settled_on": on}
        for n, on in enumerate((date(2024, 5, 1), date(2024, 7, 1), ON))
    ]
    assert counted(label, 0, 1, 2, pledge=frame("pledge", rows)) == [(6, 1), (6, 0), (6, 0)]


def test_terms_that_passed_without_a_report_are_counted() -> None:
    register = frame(
        "subject",
        [
            {"subject_id": FIRMS[n], "name": "甲", "happened_on": on}
            for n, on in enumerate((date(2015, 1, 1), date(2022, 1, 1), date(2024, 1, 1)))
        ],
    )
    reports = frame(
        "annual_report",
        [
            {"subject_id": FIRMS[0], "happened_on": date(2023, 3, 1), "year": 2022},
            {"subject_id": FIRMS[0], "happened_on": date(2023, 8, 1), "year": 2021},  # too late
        ],
    )
    told = counted(REPORT, 0, 1, 2, subject=register, annual_report=reports)
    assert told == [(3, 2), (2, 2), (0, 0)]


def test_a_leap_day_has_a_past() -> None:
    on = date(2024, 2, 29)
    register = frame(
        "subject", [{"subject_id": FIRMS[0], "name": "甲", "happened_on": date(2015, 1, 1)}]
    )
    reports = frame("annual_report", [])
    assert counted(REPORT, 0, on=on, subject=register, annual_report=reports) == [(3, 3)]


def test_without_records_there_is_no_past() -> None:
    assert counted(LABEL, 0) == [(0, 0)]
    assert counted(EVENT, 0) == [(6, 0)]
    assert past(MemoryRecords({}), scenario(), keys()).height == 0


ALL: Final[tuple[AuditBy, ...]] = (
    "region", "city", "industry", "ownership", "subject_type", "size", "age_band",
)  # fmt: skip


def audited(on: date = ON, **columns: object) -> dict[str, object]:
    row = {"subject_id": FIRMS[0], "name": "甲", "happened_on": date(2022, 1, 1), **columns}
    told = groups(MemoryRecords({"subject": frame("subject", [row])}), keys(0, on=on), ALL)
    return {name.removeprefix("audit_"): value for name, value in told.row(0, named=True).items()}


def test_groups_are_those_of_the_register() -> None:
    told = audited(region="210102", industry="6210", ownership="国有", employees=30)
    assert told | {"subject_id": "", "as_of": ""} == {
        "subject_id": "",
        "as_of": "",
        "region": "210102",
        "city": "210100",
        "industry": "H",
        "ownership": "国有",
        "subject_type": "unknown",
        "size": "small",
        "age_band": "1-3y",
    }


@pytest.mark.parametrize(
    ("employees", "size"),
    [(0, "micro"), (9, "micro"), (10, "small"), (299, "medium"), (300, "large"), (None, "unknown")],
)
def test_size_goes_by_employees(employees: int | None, size: str) -> None:
    assert audited(employees=employees)["size"] == size


@pytest.mark.parametrize(
    ("on", "band"),
    [
        (date(2021, 12, 31), "unknown"),  # not established, and not known
        (date(2022, 1, 1), "unknown"),  # known a day later
        (date(2022, 1, 2), "0-1y"),
        (date(2022, 12, 31), "0-1y"),
        (date(2023, 1, 1), "1-3y"),
        (date(2025, 1, 1), "3-5y"),
        (date(2027, 1, 2), "5y+"),
    ],
)
def test_age_bands_are_of_the_date(on: date, band: str) -> None:
    assert audited(on)["age_band"] == band


def test_who_is_annulled_or_not_registered_is_unknown() -> None:
    told = audited(region="210102", void_from=date(2023, 1, 1), void_reason="annulled")
    assert told["region"] == "unknown"
    nobody = groups(MemoryRecords({}), keys(1, 2), ["city"])
    assert nobody["audit_city"].to_list() == ["unknown", "unknown"]
