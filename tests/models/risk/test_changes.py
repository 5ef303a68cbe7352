"""What may be changed, from when, on what ground, and what it does to the records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.records.countable import countable_record, repairable_from_record
from models.records.publicity import Purpose
from models.records.reading import MemoryRecords
from models.risk.changes import Change, Changes, applied, changes_of
from models.risk.remedies import remedies
from models.time import AsOf
from tests.models.features.firms import AS_OF, FIRMS, Row, firm, penalty, records

TABLES = ("penalty", "listing", "annual_report", "licence")


def found(*, tables: Sequence[str] = TABLES, on: date = AS_OF, **rows: Sequence[Row]) -> Changes:
    return changes_of(records(**rows), FIRMS[0], on, tables=tables)


def listing(on: date = date(2023, 1, 10), /, **columns: object) -> Row:
    return {"subject_id": FIRMS[0], "happened_on": on, "kind": "abnormal", **columns}


def report(year: int, /, **columns: object) -> Row:
    return {"subject_id": FIRMS[0], "happened_on": date(year + 1, 5, 1), "year": year, **columns}


def licence(until: date, name: str = "食品经营许可证", /, **columns: object) -> Row:
    since = until - timedelta(days=1095)
    return {
        "subject_id": FIRMS[0],
        "happened_on": since,
        "document_number": f"许{until}",
        "certificate_name": name,
        "valid_from": since,
        "valid_to": until,
        **columns,
    }


def _counts(there: MemoryRecords, change: Change) -> list[bool]:
    """Tell of each record a change is about whether it still counts."""
    ids = {(one.table, one.record_id) for one in change.records}
    return [
        countable_record(row, AsOf(AS_OF), purpose=Purpose.RISK_CLASS)
        for table, identity in ids
        for row in there.frames[table].filter(record_id=identity).iter_rows(named=True)
    ]


def test_a_penalty_past_its_least_publicity_can_be_repaired() -> None:
    there = records(penalty=[penalty(0, date(2024, 1, 1), severity="general")])
    (change,) = changes_of(there, FIRMS[0], AS_OF, tables=TABLES).now
    assert change.kind == "repair"
    assert change.text == "对2024年1月1日的行政处罚（文号罚02024-01-01）申请信用修复"
    assert change.available_from == date(2024, 4, 1)
    assert change.lapses_on == date(2027, 1, 1)
    assert change.basis == (
        "信用修复管理办法（国家发展改革委令第36号）",
        "失信行为纠正后的信用信息修复管理办法（试行），国家发展改革委令第58号",
    )
    assert change.working_days == 10
    assert len(change.needs) == 3
    assert _counts(there, change) == [True]
    assert _counts(applied(there, [change]), change) == [False]


def test_a_penalty_before_that_day_waits_for_it() -> None:
    declared = found(penalty=[penalty(0, date(2024, 12, 1), severity="general")])
    assert not declared.now
    (later,) = declared.later
    assert later.available_from == date(2025, 3, 1)


def test_a_ban_that_still_runs_puts_repair_off() -> None:
    until = date(2026, 1, 1)
    (later,) = found(penalty=[penalty(0, date(2023, 1, 1), restrict_until=until)]).later
    assert later.available_from == until


def test_what_does_not_count_any_more_or_was_not_known_needs_no_change() -> None:
    late = datetime(2025, 3, 1, tzinfo=UTC)
    declared = found(
        penalty=[
            penalty(0, date(2020, 1, 1), severity="general"),
            penalty(0, date(2024, 1, 2), void_from=date(2024, 6, 1), void_reason="repaired"),
            penalty(0, date(2024, 1, 3), known_at=late),
        ]
    )
    assert declared == Changes((), (), ())


def test_the_regulators_own_heavy_penalties_are_refused_until_they_lapse() -> None:
    heavy: Row = {"authority": "沈阳市市场监督管理局", "penalty_kinds": ["03", "10"]}
    declared = found(penalty=[penalty(0, date(2023, 6, 1), **heavy)])
    assert not declared.now
    (fixed,) = declared.fixed
    assert "不提前停止公示" in fixed.why
    assert fixed.basis == ("市场监督管理行政处罚信息公示规定（市场监管总局令第45号）",)
    assert fixed.lapses_on == date(2026, 6, 1)
    others = found(penalty=[penalty(0, date(2023, 6, 1), **{**heavy, "authority": "沈阳市文旅局"})])
    assert len(others.now) == 1


@pytest.mark.parametrize(
    ("columns", "remedy"),
    [
        ({"reason_code": "1"}, "exit_unreported"),
        ({"reason_code": "2"}, "exit_unpublished"),
        ({"reason_code": "3"}, "exit_false_information"),
        ({"reason_code": "4"}, "exit_unreachable"),
        ({}, "exit_abnormal"),
        ({"kind": "serious"}, "exit_serious_list"),
        ({"kind": "debtor"}, "exit_debtor"),
        ({"kind": "wage_arrears"}, "exit_wage_arrears"),
        ({"kind": "tax_serious"}, "exit_serious_list"),
        ({"kind": "other"}, "exit_serious_list"),
    ],
)
def test_a_listing_ends_when_its_cause_is_cured(columns: Row, remedy: str) -> None:
    there = records(listing=[listing(date(2023, 6, 1), **columns)])
    (change,) = changes_of(there, FIRMS[0], AS_OF, tables=TABLES).now
    assert (change.remedy, change.kind) == (remedy, "exit")
    after = applied(there, [change])
    assert _counts(after, change) == [False]
    assert after.frames["listing"]["removed_on"].to_list() == [AS_OF]


def test_lists_without_early_end_are_fixed_and_honours_are_left_alone() -> None:
    declared = found(
        listing=[listing(date(2023, 6, 1), kind="procurement"), listing(kind="honour")]
    )
    assert (declared.now, declared.later) == ((), ())
    (fixed,) = declared.fixed
    assert fixed.lapses_on == date(2026, 6, 1)
    assert fixed.basis == ("政府采购法 第七十七条",)


def test_a_serious_list_is_left_after_its_first_year_at_the_earliest() -> None:
    (later,) = found(listing=[listing(date(2024, 6, 1), kind="serious")]).later
    assert later.available_from == date(2025, 6, 1)


def test_a_listing_for_reports_is_left_by_filing_those_that_are_missing() -> None:
    there = records(
        subject=[firm(0)],
        listing=[listing(date(2023, 7, 10), reason_code="1")],
        annual_report=[report(2021)],
    )
    (change,) = changes_of(there, FIRMS[0], AS_OF, tables=TABLES).now
    assert "补报2022、2023年年度报告" in change.text
    after = applied(there, [change])
    filed = after.frames["annual_report"]
    assert filed["year"].to_list() == [2021, 2022, 2023]
    assert filed["happened_on"].to_list()[1:] == [AS_OF - timedelta(days=1)] * 2
    assert filed["record_id"].n_unique() == 3
    assert filed["subject_id"].unique().to_list() == [FIRMS[0]]


def test_an_overdue_report_is_filed_where_others_of_its_year_were_collected() -> None:
    mine = records(subject=[firm(0)], annual_report=[report(2021), report(2022)])
    everyone = records(annual_report=[report(2021), {**report(2023), "subject_id": FIRMS[1]}])

    def of(around: MemoryRecords | None) -> tuple[Change, ...]:
        return changes_of(mine, FIRMS[0], AS_OF, tables=TABLES, around=around).now

    assert of(None) == ()
    (change,) = of(everyone)
    assert (change.remedy, change.records) == ("file_report", ())
    assert change.text == "补报2023年年度报告并公示"
    assert change.basis == ("企业信息公示暂行条例 第八条",)


@pytest.mark.parametrize(
    ("on", "years"),
    [
        (date(2024, 6, 30), []),
        (date(2024, 7, 1), [2023]),
        (date(2025, 7, 1), [2023, 2024]),
        (date(2028, 1, 1), [2024, 2025, 2026]),
    ],
)
def test_reports_are_owed_from_july_on_and_for_three_years(on: date, years: list[int]) -> None:
    rows = [report(y, subject_id=FIRMS[0]) for y in (2021, 2022)]
    ahead = records(annual_report=[*rows, {**report(2027), "subject_id": FIRMS[1]}])
    mine = records(subject=[firm(0)], annual_report=rows)
    made = changes_of(mine, FIRMS[0], on, tables=TABLES, around=ahead).now
    owed = [e.values["year"] for change in made for e in change.edits]
    assert owed == years


def test_a_firm_owes_no_report_for_years_before_it_was_established() -> None:
    mine = records(subject=[firm(0, happened_on=date(2023, 9, 1))])
    everyone = records(annual_report=[report(y, subject_id=FIRMS[1]) for y in range(2019, 2024)])
    (change,) = changes_of(mine, FIRMS[0], AS_OF, tables=TABLES, around=everyone).now
    assert [edit.values["year"] for edit in change.edits] == [2023]


def test_a_licence_that_ran_out_lately_is_renewed_for_as_long() -> None:
    there = records(subject=[firm(0)], licence=[licence(date(2024, 11, 1))])
    (change,) = changes_of(there, FIRMS[0], AS_OF, tables=TABLES).now
    assert change.kind == "renew"
    assert "食品经营许可证" in change.text
    last = applied(there, [change]).frames["licence"].row(-1, named=True)
    assert last["valid_from"] == AS_OF - timedelta(days=1)
    assert last["valid_to"] - last["valid_from"] == timedelta(days=1095)
    assert last["valid"] is True
    assert last["certificate_name"] == "食品经营许可证"


@pytest.mark.parametrize(
    "rows",
    [
        [licence(date(2025, 6, 1))],
        [licence(date(2024, 11, 1)), licence(date(2027, 1, 1))],
        [licence(date(2023, 11, 1))],
        [licence(date(2024, 11, 1), void_from=date(2024, 2, 1), void_reason="annulled")],
    ],
    ids=["still runs", "followed", "long ago", "annulled"],
)
def test_other_licences_are_not_renewed(rows: list[Row]) -> None:
    assert found(subject=[firm(0)], licence=rows).now == ()


def test_tables_that_do_not_matter_are_left_alone() -> None:
    there = records(penalty=[penalty(0, date(2023, 1, 1))], listing=[listing()])
    assert len(changes_of(there, FIRMS[0], AS_OF, tables=["listing"]).now) == 1
    assert changes_of(there, FIRMS[0], AS_OF, tables=["inspection"]) == Changes((), (), ())


def test_records_are_not_changed_in_place() -> None:
    there = records(penalty=[penalty(0, date(2023, 1, 1)), penalty(0, date(2023, 2, 1))])
    before = {name: frame.clone() for name, frame in there.frames.items()}
    newest, oldest = changes_of(there, FIRMS[0], AS_OF, tables=TABLES).now
    after = applied(there, [oldest])
    assert _counts(after, oldest) == [False]
    assert _counts(after, newest) == [True]
    assert all(frame.equals(before[name]) for name, frame in there.frames.items())
    assert {n: f.schema for n, f in after.frames.items()} == {
        n: f.schema for n, f in before.items()
    }


_DAYS = st.dates(min_value=date(2019, 1, 1), max_value=date(2026, 12, 31))


@given(
    st.lists(st.tuples(_DAYS, st.sampled_from(["minor", "general", "serious", None])), max_size=6)
)
def test_only_what_counts_and_may_be_repaired_is_offered(drawn: list[tuple[date, str]]) -> None:
    on = date(2026, 6, 1)
    rows = [
        penalty(0, day, severity=severity, document_number=f"罚{n}")
        for n, (day, severity) in enumerate(drawn)
    ]
    there = records(penalty=rows)
    made = changes_of(there, FIRMS[0], on, tables=TABLES)
    counting = {
        str(row["record_id"]): repairable_from_record(row, AsOf(on))
        for row in there.frames["penalty"].iter_rows(named=True)
        if countable_record(row, AsOf(on), purpose=Purpose.RISK_CLASS)
    }
    assert {c.records[0].record_id: c.available_from for c in (*made.now, *made.later)} == counting
    assert all(c.available_from and c.available_from <= on for c in made.now)
    assert all(c.available_from and c.available_from > on for c in made.later)
    assert all(c.lapses_on is None or c.lapses_on > on for c in (*made.now, *made.later))


def test_every_remedy_says_what_it_needs_and_has_its_blanks_filled() -> None:
    known = remedies()
    assert len({remedy.id for remedy in known.remedies}) == len(known.remedies)
    for remedy in known.remedies:
        assert remedy.needs
        text = remedy.does.format(on="某日", document="某号", name="某证", years="某年")
        assert "{" not in text
