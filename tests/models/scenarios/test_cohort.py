"""Who is eligible at a date, by what was known then and nothing later."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codes.uscc import make_uscc
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from models.records.reading import LakeRecords, MemoryRecords
from models.scenarios import Scenario, parse_scenario
from models.scenarios.cohort import STAGES, cohort, cohorts, funnel, standing

Row = Mapping[str, object]
FIRMS = [make_uscc("91", "210100", body=f"YY{n:06d}") for n in range(8)]
SHOP = make_uscc("92", "210100", body="YY000009")
AS_OF = date(2025, 1, 1)

TEXT = """\
id: trial
title: 试验
legal_basis: [试验]
subject: {subject}
cohort: {cohort}
label: {label}
snapshots: {{every: 30d}}
features: {{tables: [penalty], windows: [365d]}}
grades: {{A: {{below: 0.1, draw: 0.1}}, B: {{draw: 0.5}}}}
"""
EVENT = "{table: penalty, horizon: 90d}"


def scenario(cohort: str = "{}", *, label: str = EVENT, subject: str = "enterprise") -> Scenario:
    return parse_scenario(TEXT.format(subject=subject, cohort=cohort, label=label), "s.yaml")


def identity(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def frame(table: str, rows: Sequence[Row]) -> pl.DataFrame:
    """Rows of a contract; known the day after they happened unless they say otherwise."""
    full: list[Row] = []
    for number, row in enumerate(rows):
        happened = row.get("happened_on", date(2020, 1, 1))
        assert isinstance(happened, date | None)
        known = (happened or date(2020, 1, 1)) + timedelta(days=1)
        base: Row = {
            "record_id": identity(table, number, *row.values()),
            "subject_id": FIRMS[0],
            "happened_on": happened,
            "known_at": datetime(known.year, known.month, known.day, tzinfo=UTC),
            "known_assumed": False,
            "source_ref": f"{table}.csv#{number + 2}",
            "findings": [],
        }
        full.append({**base, **row})
    return pl.DataFrame(full, schema=CONTRACTS[table].dtypes, orient="row")


def records(**tables: Sequence[Row]) -> MemoryRecords:
    return MemoryRecords({name: frame(name, rows) for name, rows in tables.items()})


def eligible(data: MemoryRecords, declared: Scenario, on: date = AS_OF) -> list[str]:
    return cohort(data, declared, on)["subject_id"].to_list()


def firm(which: int = 0, /, **columns: object) -> Row:
    return {"subject_id": FIRMS[which], "name": "甲", "happened_on": date(2020, 1, 1), **columns}


@pytest.mark.parametrize(
    ("columns", "status", "is_in"),
    [
        ({}, "open", True),
        ({"happened_on": None}, "open", True),
        ({"happened_on": date(2024, 12, 31)}, "open", True),
        ({"happened_on": AS_OF, "known_at": datetime(2024, 12, 1, tzinfo=UTC)}, "open", False),
        ({"known_at": datetime(2024, 12, 31, 15, 59, tzinfo=UTC)}, "open", True),
        ({"known_at": datetime(2025, 1, 1, 16, 0, tzinfo=UTC)}, "open", False),
        ({"closed_on": AS_OF}, "open", False),
        ({"closed_on": AS_OF}, "any", True),
        ({"closed_on": date(2025, 1, 2), "status": "注销"}, "open", True),
        ({"revoked_on": AS_OF}, "open", True),
        ({"revoked_on": AS_OF}, "active", False),
        ({"revoked_on": date(2025, 1, 2)}, "active", True),
        ({"void_from": AS_OF, "void_reason": "expired"}, "open", False),
        ({"void_from": date(2026, 1, 1), "void_reason": "expired"}, "open", True),
        ({"void_from": date(2026, 1, 1), "void_reason": "annulled"}, "any", False),
    ],
)
def test_the_register_as_it_was_known(columns: Row, status: str, is_in: bool) -> None:
    declared = scenario(f"{{status: {status}}}")
    assert eligible(records(subject=[firm(**columns)]), declared) == [FIRMS[0]] * is_in


@pytest.mark.parametrize(
    ("subject", "columns", "is_in"),
    [
        ("enterprise", {}, True),
        ("individual_business", {}, False),
        ("[enterprise, individual_business]", {"subject_id": SHOP}, True),
        (
            "enterprise",
            {"subject_id": SHOP, "subject_type": "企业"},
            False,
        ),  # the code knows better
        ("enterprise", {"subject_id": "N_1", "subject_type": "企业"}, True),
        ("enterprise", {"subject_id": "N_1"}, False),
    ],
)
def test_kinds_go_by_the_code_and_then_by_the_register(
    subject: str, columns: Row, is_in: bool
) -> None:
    data = records(subject=[firm(**columns)])
    assert len(eligible(data, scenario(subject=subject))) == is_in


def test_where_asks_the_register() -> None:
    data = records(
        subject=[firm(0, industry="6210"), firm(1, industry="1311"), firm(2)],
        penalty=[{"subject_id": FIRMS[3], "happened_on": date(2024, 5, 1)}],
    )
    assert eligible(data, scenario("{where: \"industry like '62%'\"}")) == [FIRMS[0]]
    seen = scenario("{seen_in: penalty, where: \"industry like '62%'\"}")
    assert eligible(data, seen) == []  # the register does not know it, so it cannot say


@pytest.mark.parametrize(
    ("columns", "is_in"),
    [
        ({"happened_on": date(2024, 12, 31)}, True),
        ({"happened_on": AS_OF}, False),  # the day of view lies in no window
        ({"happened_on": date(2024, 10, 3)}, True),
        ({"happened_on": date(2024, 10, 2)}, False),  # 91 days before
        ({"happened_on": date(2024, 12, 1), "known_at": datetime(2025, 2, 1, tzinfo=UTC)}, False),
        ({"result": "excluded"}, False),
        ({"void_from": date(2024, 12, 20), "void_reason": "repaired"}, True),
        ({"void_from": date(2025, 12, 20), "void_reason": "annulled"}, False),
    ],
)
def test_being_seen_is_having_a_known_row_in_the_window(columns: Row, is_in: bool) -> None:
    row = {"happened_on": date(2024, 12, 1), "result": "pass", **columns}
    seen = scenario(
        "{seen_in: [{table: inspection, where: \"result != 'excluded'\"}, licence], within: 90d}"
    )
    assert eligible(records(inspection=[row]), seen) == [FIRMS[0]] * is_in


def test_a_subject_that_only_records_know_is_eligible_if_it_was_seen() -> None:
    data = records(
        subject=[firm(1)], inspection=[{"happened_on": date(2021, 3, 1), "result": "pass"}]
    )
    assert eligible(data, scenario("{seen_in: inspection}")) == [FIRMS[0]]
    assert eligible(data, scenario()) == [FIRMS[1]]


@pytest.mark.parametrize(
    ("columns", "is_in"),
    [
        ({}, False),
        ({"happened_on": AS_OF, "known_at": datetime(2025, 1, 1, 12, tzinfo=UTC)}, False),
        ({"happened_on": date(2025, 1, 2)}, True),
        ({"removed_on": AS_OF}, True),
        ({"removed_on": date(2025, 1, 2)}, False),
        ({"reason_code": "1"}, True),
        ({"void_from": date(2024, 12, 1), "void_reason": "repaired"}, True),
    ],
)
def test_without_asks_what_counts_at_the_date(columns: Row, is_in: bool) -> None:
    row = {"happened_on": date(2024, 6, 1), "kind": "abnormal", "reason_code": "4", **columns}
    declared = scenario("{without: {table: listing, where: \"reason_code = '4'\"}}")
    assert eligible(records(subject=[firm()], listing=[row]), declared) == [FIRMS[0]] * is_in


REPORT = '{kind: survival, table: annual_report, where: "year == year(due) - 1", until: "06-30"}'


@pytest.mark.parametrize(
    ("columns", "is_in"),
    [
        ({}, False),
        ({"year": 2023}, True),  # last year's, filed late
        ({"happened_on": date(2025, 4, 30), "known_at": datetime(2025, 4, 30, tzinfo=UTC)}, False),
        ({"happened_on": date(2025, 5, 1)}, True),
        ({"known_at": datetime(2025, 5, 2, tzinfo=UTC)}, True),  # filed, and nobody knew
    ],
)  # fmt: skip
def test_what_has_come_is_awaited_no_more(columns: Row, is_in: bool) -> None:
    row = {"happened_on": date(2025, 3, 1), "year": 2024, **columns}
    data = records(subject=[firm()], annual_report=[row])
    declared = scenario('{where: "year(happened_on) < year(due)"}', label=REPORT)
    assert eligible(data, declared, date(2025, 4, 30)) == [FIRMS[0]] * is_in


def test_the_newly_established_have_no_report_due() -> None:
    data = records(subject=[firm(0, happened_on=date(2025, 1, 1)), firm(1)])
    declared = scenario('{where: "year(happened_on) < year(due)"}', label=REPORT)
    assert eligible(data, declared, date(2025, 4, 30)) == [FIRMS[1]]
    assert eligible(data, declared, date(2025, 7, 1)) == [FIRMS[0], FIRMS[1]]


def test_a_table_that_is_not_there_has_no_rows() -> None:
    assert eligible(records(subject=[firm()]), scenario("{seen_in: licence}")) == []
    assert eligible(records(penalty=[]), scenario()) == []


def test_the_funnel_tells_what_each_condition_leaves() -> None:
    data = records(
        subject=[
            firm(0),
            firm(1, closed_on=date(2024, 1, 1)),
            firm(2, happened_on=date(2025, 1, 1), known_at=datetime(2024, 12, 1, tzinfo=UTC)),
            {**firm(), "subject_id": SHOP},
        ]
    )
    counts = funnel(data, scenario(), AS_OF)
    assert tuple(counts) == STAGES
    assert list(counts.values()) == [4, 4, 3, 2, 1, 1, 1]
    assert list(funnel(records(penalty=[]), scenario(), AS_OF).values()) == [0] * len(STAGES)


# Properties

DAYS = st.dates(date(2023, 1, 1), date(2026, 12, 31))
DECLARED = [
    scenario(),
    scenario("{seen_in: [inspection, penalty], within: 365d, status: active}"),
    scenario("{without: {table: listing, where: \"kind = 'abnormal'\"}, status: active}"),
    scenario('{where: "year(happened_on) < year(due)"}', label=REPORT),
]


@st.composite
def rows(draw: st.DrawFn) -> dict[str, list[Row]]:
    """Records of all tables, some of them known long after they happened."""
    made: dict[str, list[Row]] = {
        name: [] for name in ("subject", "inspection", "penalty", "listing", "annual_report")
    }
    own: dict[str, Row] = {
        "subject": {"name": "甲"},
        "inspection": {"result": "pass"},
        "penalty": {"document_number": "1"},
        "listing": {"kind": "abnormal"},
        "annual_report": {"year": 2024},
    }
    for number in range(draw(st.integers(1, 12))):
        table = draw(st.sampled_from(sorted(made)))
        happened = draw(DAYS)
        known = happened + timedelta(days=draw(st.integers(0, 500)))
        subject = FIRMS[number % len(FIRMS)] if table == "subject" else draw(st.sampled_from(FIRMS))
        if table == "subject" and any(r["subject_id"] == subject for r in made["subject"]):
            continue
        made[table].append(
            {
                "subject_id": subject,
                "happened_on": happened,
                "known_at": datetime(known.year, known.month, known.day, 4, tzinfo=UTC),
                **own[table],
            }
        )
    return made


def until(made: Mapping[str, list[Row]], on: date) -> dict[str, list[Row]]:
    """Leave what had happened and was known by the end of a day."""
    end = datetime(on.year, on.month, on.day, 16, tzinfo=UTC)

    def there(row: Row) -> bool:
        happened, known = row["happened_on"], row["known_at"]
        assert isinstance(happened, date)
        assert isinstance(known, datetime)
        return happened <= on and known < end

    return {table: [row for row in some if there(row)] for table, some in made.items()}


@given(rows(), DAYS, st.sampled_from(DECLARED))
def test_what_happens_or_is_known_later_changes_nothing(
    made: dict[str, list[Row]], on: date, declared: Scenario
) -> None:
    now = cohort(records(**until(made, on)), declared, on)
    assert cohort(records(**made), declared, on).equals(now)


@given(rows(), st.lists(DAYS, min_size=1, max_size=4), st.sampled_from(DECLARED))
def test_several_dates_are_the_dates_one_by_one(
    made: dict[str, list[Row]], dates: list[date], declared: Scenario
) -> None:
    data = records(**made)
    together = cohorts(data, declared, dates)
    for on in set(dates):
        one = together.filter(pl.col("as_of") == on).select("subject_id")
        assert one.equals(cohort(data, declared, on))
        assert one["subject_id"].is_sorted()
        assert one["subject_id"].n_unique() == one.height
        assert funnel(data, declared, on)[STAGES[-1]] == one.height
    assert together.height == sum(len(eligible(data, declared, on)) for on in set(dates))


@given(rows(), DAYS, st.sampled_from(DECLARED))
def test_a_subject_s_own_records_are_enough(
    made: dict[str, list[Row]], on: date, declared: Scenario
) -> None:
    whole = eligible(records(**made), declared, on)
    alone = [
        subject
        for subject in sorted(FIRMS)
        if eligible(
            records(**{t: [r for r in s if r["subject_id"] == subject] for t, s in made.items()}),
            declared,
            on,
        )
    ]
    assert alone == whole


def test_buckets_of_a_lake_laid_together_are_the_lake(tmp_path: object) -> None:
    lake = Lake.open(str(tmp_path), buckets=4)
    lake.merge("subject", frame("subject", [firm(n) for n in range(8)]))
    lake.merge("penalty", frame("penalty", [{"subject_id": FIRMS[3], "document_number": "1"}]))
    declared = scenario("{seen_in: penalty}")
    for one in (scenario(), declared):
        parts = [cohort(LakeRecords(lake, bucket=b), one, AS_OF) for b in range(lake.buckets)]
        assert pl.concat(parts).sort("subject_id").equals(cohort(LakeRecords(lake), one, AS_OF))
    assert cohort(LakeRecords(lake), declared, AS_OF)["subject_id"].to_list() == [FIRMS[3]]


def test_who_stands_where_is_what_cohort_and_funnel_say() -> None:
    records = MemoryRecords(
        {
            "subject": frame(
                "subject",
                [
                    {"subject_id": FIRMS[0]},
                    {"subject_id": FIRMS[1], "happened_on": date(2026, 1, 1)},
                    {"subject_id": FIRMS[2], "closed_on": date(2024, 1, 1)},
                    {"subject_id": SHOP},
                ],
            )
        }
    )
    declared = scenario()
    asked = [*FIRMS[:4], SHOP]
    found = standing(records, declared, asked, AS_OF)
    inside = set(cohort(records, declared, AS_OF)["subject_id"])
    assert {one for one, stage in found.items() if stage is None} == inside == {FIRMS[0]}
    for one in asked:
        own = MemoryRecords(
            {t: f.filter(pl.col("subject_id") == one) for t, f in records.frames.items()}
        )
        left = funnel(own, declared, AS_OF)
        assert found[one] == next((stage for stage in STAGES if not left[stage]), None)
    assert found[FIRMS[3]] == "known"
