"""The counting rule, branch by branch and purpose by purpose; the expression and its twin agree."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models.errors import ConfigError, RecordError
from models.records.countable import (
    DTYPES,
    countable,
    countable_record,
    publicity_end,
    publicity_end_record,
    repairable_from,
    repairable_from_record,
    well_formed,
)
from models.records.publicity import Purpose, Rules, Transition, default_rules
from models.time import AsOf

ALL = frozenset(Purpose)
CASES = frozenset({Purpose.LAW_ENFORCEMENT_REPEAT, Purpose.STATISTICS})
"""The purposes that look at neither repair nor publicity."""
PUBLIC = ALL - CASES
GUIDANCE = frozenset({Purpose.INTERNAL_GUIDANCE})
NONE: frozenset[Purpose] = frozenset()
LIST_ONLY = {"kind", "removed_on"}
DAYS = {"void_from", "restrict_until", "removed_on"}


def day(text: str) -> date:
    return date.fromisoformat(text)


def penalty(happened: str = "2026-05-10", **changes: object) -> dict[str, object]:
    """Return a general penalty known on its day; dates among the changes are ISO text."""
    record: dict[str, object] = {name: None for name in DTYPES if name not in LIST_ONLY}
    record["happened_on"] = day(happened)
    record["known_at"] = datetime.combine(day(happened), time(), UTC)
    record["severity"] = "general"
    for name, value in changes.items():
        record[name] = day(value) if name in DAYS and isinstance(value, str) else value
    return record


def listing(kind: str | None, happened: str = "2026-05-10", **changes: object) -> dict[str, object]:
    return penalty(happened, **{"severity": None, "removed_on": None, "kind": kind} | changes)


def frame(record: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame([record], schema={n: DTYPES[n] for n in record}, orient="row")


def counts(record: dict[str, object], on: str | date, **options: Any) -> bool:  # noqa: ANN401
    """Return the answer of the twin, after checking that the expression gives the same."""
    as_of = AsOf(day(on) if isinstance(on, str) else on)
    scalar = countable_record(record, as_of, **options)
    expression = countable(as_of, columns=record.keys(), **options)
    assert frame(record).select(expression).to_series().to_list() == [scalar]
    return scalar


def purposes(record: dict[str, object], on: str, rules: Rules | None = None) -> frozenset[Purpose]:
    return frozenset(p for p in Purpose if counts(record, on, purpose=p, rules=rules))


def with_rules(**changes: object) -> Rules:
    return Rules.model_validate(default_rules().model_dump() | changes)


def keeping() -> Rules:
    """Return rules under which a sector keeps general records until they are corrected."""
    data = default_rules().model_dump()
    for version in data["severities"]:
        version["terms"]["general"]["keeps_uncorrected"] = True
    return Rules.model_validate(data)


@pytest.mark.parametrize(
    ("record", "on", "expected"),
    [
        # time
        pytest.param(penalty(), "2026-05-09", NONE, id="not yet happened"),
        pytest.param(penalty(), "2026-05-10", ALL, id="on the day"),
        pytest.param(
            penalty(known_at=datetime(2026, 6, 1, 15, 59, 59, 999_999, UTC)),
            "2026-06-01",
            ALL,
            id="known in the last microsecond of the day in Shanghai",
        ),
        pytest.param(
            penalty(known_at=datetime(2026, 6, 1, 16, tzinfo=UTC)),
            "2026-06-01",
            NONE,
            id="known at the first instant of the next day",
        ),
        # voided
        pytest.param(
            penalty(void_from="2026-07-01", void_reason="repaired"),
            "2026-06-30",
            ALL,
            id="the day before repair",
        ),
        pytest.param(
            penalty(void_from="2026-07-01", void_reason="repaired"),
            "2026-07-01",
            CASES,
            id="repaired",
        ),
        pytest.param(
            penalty(void_from="2026-07-01", void_reason="expired"),
            "2026-06-30",
            ALL,
            id="the day before expiry",
        ),
        pytest.param(
            penalty(void_from="2026-07-01", void_reason="expired"),
            "2026-07-01",
            CASES,
            id="expired",
        ),
        pytest.param(
            penalty(void_from="2026-07-01", void_reason="annulled"),
            "2026-06-30",
            NONE,
            id="annulled later never counted",
        ),
        pytest.param(
            penalty(void_from="2026-07-01", void_reason="annulled"),
            "2026-07-01",
            NONE,
            id="annulled",
        ),
        # publicity under Order 36
        pytest.param(penalty(), "2027-05-09", ALL, id="last day of a general term"),
        pytest.param(penalty(), "2027-05-10", CASES, id="general term ended"),
        pytest.param(penalty(severity="serious"), "2028-05-10", ALL, id="serious goes on"),
        pytest.param(
            penalty(severity="serious"),
            "2029-05-09",
            PUBLIC | {Purpose.STATISTICS},
            id="last day of a serious term, past the default statute window",
        ),
        pytest.param(
            penalty(severity="serious"),
            "2029-05-10",
            {Purpose.STATISTICS},
            id="serious term ended",
        ),
        pytest.param(penalty(severity=None), "2027-05-09", ALL, id="no class: as general"),
        pytest.param(penalty(severity=None), "2027-05-10", CASES, id="no class: as general, over"),
        # not published
        pytest.param(
            penalty(severity="minor"), "2026-05-10", CASES | GUIDANCE, id="minor is not published"
        ),
        pytest.param(
            penalty(severity="minor", published=False),
            "2026-05-10",
            CASES | GUIDANCE,
            id="minor said to be unpublished",
        ),
        pytest.param(
            penalty(severity="minor"),
            "2031-05-09",
            GUIDANCE | {Purpose.STATISTICS},
            id="guidance until retention ends",
        ),
        pytest.param(
            penalty(severity="minor"), "2031-05-10", {Purpose.STATISTICS}, id="retention ended"
        ),
        pytest.param(
            penalty(severity="minor", void_from="2026-06-01", void_reason="repaired"),
            "2026-06-01",
            CASES,
            id="minor repaired",
        ),
        pytest.param(
            penalty(severity="minor", published=True),
            "2026-08-09",
            ALL,
            id="minor published all the same",
        ),
        pytest.param(
            penalty(severity="minor", published=True),
            "2026-08-10",
            CASES,
            id="minor published: three months",
        ),
        pytest.param(
            penalty(published=False), "2026-05-10", ALL, id="a general record needs no word"
        ),
        # overrides
        pytest.param(penalty(max_months=24), "2028-05-09", ALL, id="sector term"),
        pytest.param(
            penalty(max_months=24), "2028-05-10", CASES, id="sector term ended, window still open"
        ),
        pytest.param(penalty(max_months=0), "2026-05-10", CASES, id="a term of no months"),
        pytest.param(
            penalty(restrict_until="2027-12-01"), "2027-11-30", ALL, id="ban outlasts the term"
        ),
        pytest.param(penalty(restrict_until="2027-12-01"), "2027-12-01", CASES, id="ban ended"),
        pytest.param(
            penalty(restrict_until="2026-06-01"), "2027-05-09", ALL, id="ban shorter than the term"
        ),
        pytest.param(
            penalty(restrict_until="2099-12-31"),
            "2060-01-01",
            PUBLIC | {Purpose.STATISTICS},
            id="ban for life",
        ),
        pytest.param(
            penalty(corrected=False), "2027-05-10", CASES, id="no sector rule keeps it by default"
        ),
        # older rules, by document date
        pytest.param(
            penalty("2025-06-01"), "2027-05-31", ALL, id="Order 58 goes on for its own documents"
        ),
        pytest.param(
            penalty("2025-06-01"),
            "2028-05-31",
            PUBLIC | {Purpose.STATISTICS},
            id="Order 58: three years",
        ),
        pytest.param(
            penalty("2025-06-01"), "2028-06-01", {Purpose.STATISTICS}, id="Order 58: ended"
        ),
        pytest.param(penalty("2026-03-31"), "2027-03-31", ALL, id="the last day of Order 58"),
        pytest.param(penalty("2026-04-01"), "2027-04-01", CASES, id="the first day of Order 36"),
        pytest.param(penalty("2023-04-30"), "2024-04-30", CASES, id="before Order 58: one year"),
        pytest.param(
            penalty("2023-04-30", severity="minor"),
            "2024-04-29",
            ALL,
            id="before Order 58 minor was published",
        ),
        pytest.param(
            penalty("2020-08-31", max_months=120),
            "2022-01-01",
            PUBLIC - {Purpose.SPECIAL_REPORT} | CASES,
            id="before special reports begin",
        ),
        pytest.param(
            penalty("2020-09-01", max_months=120),
            "2022-01-01",
            ALL,
            id="the first day of special reports",
        ),
        # lists
        pytest.param(
            listing("abnormal"),
            "2050-01-01",
            PUBLIC | {Purpose.STATISTICS},
            id="abnormal stays until removed",
        ),
        pytest.param(
            listing("abnormal", removed_on="2026-08-01"), "2026-07-31", ALL, id="not yet removed"
        ),
        pytest.param(
            listing("abnormal", removed_on="2026-08-01"), "2026-08-01", CASES, id="removed"
        ),
        pytest.param(listing("debtor"), "2028-05-09", ALL, id="debtor: two years"),
        pytest.param(listing("debtor"), "2028-05-10", CASES, id="debtor: over"),
        pytest.param(
            listing("serious", "2021-08-31"),
            "2026-08-30",
            PUBLIC | {Purpose.STATISTICS},
            id="serious list before Order 44: five years",
        ),
        pytest.param(
            listing("serious", "2021-09-01"),
            "2024-09-01",
            {Purpose.STATISTICS},
            id="serious list since Order 44: three years",
        ),
        pytest.param(
            listing("statistics", severity="serious"),
            "2027-05-10",
            CASES,
            id="the list's term goes before the severity's",
        ),
        pytest.param(
            listing("statistics", severity="minor"), "2026-06-10", ALL, id="a list is published"
        ),
        pytest.param(
            listing("statistics", max_months=36),
            "2028-05-10",
            ALL,
            id="the record's own term goes before the list's",
        ),
        pytest.param(listing("unheard of"), "2027-05-10", CASES, id="unknown list: by severity"),
        pytest.param(listing(None), "2027-05-10", CASES, id="no kind: by severity"),
    ],
)
def test_which_purposes_a_record_counts_for(
    record: dict[str, object], on: str, expected: frozenset[Purpose]
) -> None:
    assert purposes(record, on) == expected


def test_a_sector_rule_keeps_what_is_not_corrected() -> None:
    rules = keeping()
    assert purposes(penalty(), "2027-06-01", rules) == ALL
    assert purposes(penalty(corrected=False), "2027-06-01", rules) == ALL
    assert purposes(penalty(corrected=True), "2027-06-01", rules) == CASES
    assert purposes(penalty(severity="minor", published=True), "2027-06-01", rules) == CASES


def test_an_explicit_end_goes_before_a_sector_rule() -> None:
    record = penalty(void_from="2026-06-01", void_reason="expired")
    assert purposes(record, "2027-06-01", keeping()) == CASES


def test_records_without_a_class_column_count_until_voided() -> None:
    licence = {n: v for n, v in penalty("2001-01-01").items() if n in {"happened_on", "known_at"}}
    assert purposes(licence, "2026-01-01") == PUBLIC - {Purpose.SPECIAL_REPORT} | {
        Purpose.STATISTICS
    }
    voided = licence | {"void_from": day("2010-01-01"), "void_reason": "repaired"}
    assert purposes(voided, "2026-01-01") == {Purpose.STATISTICS}
    kind_alone = licence | {"kind": "statistics"}
    assert counts(kind_alone, "2026-01-01", purpose=Purpose.CREDIT_SCORE)
    own_term = licence | {"max_months": 12}
    assert not counts(own_term, "2026-01-01", purpose=Purpose.CREDIT_SCORE)


@pytest.mark.parametrize(
    ("statute", "last"),
    [
        (None, "2028-05-10"),
        ("default", "2028-05-10"),
        ("food_safety_134", "2027-05-10"),
        ("work_safety_113_180d", "2026-11-06"),
        ("work_safety_113_1y", "2027-05-10"),
        ("advertising_55", "2028-05-10"),
    ],
)
def test_a_repeat_test_looks_at_the_window_of_its_statute(statute: str | None, last: str) -> None:
    record = penalty(void_from="2026-06-01", void_reason="repaired")
    options = {"purpose": Purpose.LAW_ENFORCEMENT_REPEAT, "statute": statute}
    assert counts(record, last, **options)
    assert not counts(record, day(last) + timedelta(days=1), **options)


def test_a_statute_must_exist_and_have_a_place() -> None:
    as_of, columns = AsOf(day("2026-05-10")), DTYPES.keys()
    repeat = Purpose.LAW_ENFORCEMENT_REPEAT
    with pytest.raises(ConfigError, match="'food_safty_134'; did you mean 'food_safety_134'"):
        countable(as_of, purpose=repeat, columns=columns, statute="food_safty_134")
    with pytest.raises(ConfigError, match="did you mean"):
        countable_record(penalty(), as_of, purpose=repeat, statute="food_safty_134")
    with pytest.raises(ConfigError, match="looks at no statute"):
        countable(as_of, purpose=Purpose.STATISTICS, columns=columns, statute="food_safety_134")
    with pytest.raises(ConfigError, match="looks at no statute"):
        countable_record(penalty(), as_of, purpose=Purpose.STATISTICS, statute="food_safety_134")


def test_the_transition_is_a_choice_of_the_data() -> None:
    by_view = with_rules(transition=Transition.AS_OF)
    old, score = penalty("2025-06-01"), Purpose.CREDIT_SCORE
    assert counts(old, "2026-07-01", purpose=score)
    assert counts(old, "2026-03-31", purpose=score, rules=by_view)
    assert counts(old, "2026-04-01", purpose=score, rules=by_view)
    assert not counts(old, "2026-07-01", purpose=score, rules=by_view)
    on_list = listing("serious", "2020-01-01")
    assert counts(on_list, "2024-01-01", purpose=score)
    assert not counts(on_list, "2024-01-01", purpose=score, rules=by_view)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"void_from": day("2026-06-01")}, "void_from and void_reason come together"),
        ({"void_reason": "repaired"}, "void_from and void_reason come together"),
        ({"void_reason": "annulled"}, "void_from and void_reason come together"),
        ({"void_from": day("2026-06-01"), "void_reason": "lost"}, "'lost'; give one of repaired"),
        ({"severity": "grave"}, "'grave'; give one of minor, general, serious"),
        ({"max_months": -1}, "-1; give months from 0 to 1200"),
        ({"max_months": 1201}, "1201; give months from 0 to 1200"),
        ({"max_months": 2**31 - 1}, "give months from 0 to 1200"),
        ({"happened_on": None}, "happened_on is None; every record needs its times"),
        ({"known_at": None}, "known_at is None; every record needs its times"),
    ],
)
@pytest.mark.parametrize("purpose", [Purpose.CREDIT_SCORE, Purpose.STATISTICS])
def test_a_malformed_record_is_refused_by_the_twin_and_never_counts(
    changes: dict[str, object], message: str, purpose: Purpose
) -> None:
    record = penalty() | changes
    with pytest.raises(RecordError, match=message):
        countable_record(record, AsOf(day("2026-06-10")), purpose=purpose)
    answers = frame(record).select(
        counts=countable(AsOf(day("2026-06-10")), purpose=purpose, columns=record.keys()),
        good=well_formed(record.keys()),
    )
    assert answers.row(0) == (False, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"happened_on": datetime(2026, 5, 10, tzinfo=UTC)},
        {"happened_on": "2026-05-10"},
        {"known_at": day("2026-05-10")},
        {"known_at": datetime(2026, 5, 10)},  # noqa: DTZ001 - what is refused
        {"published": 1},
        {"corrected": "yes"},
        {"max_months": True},
        {"max_months": 3.0},
        {"severity": 1},
        {"removed_on": None, "kind": 7},
    ],
)
def test_a_value_of_another_type_is_refused_by_the_twin(changes: dict[str, object]) -> None:
    with pytest.raises(RecordError, match=next(reversed(changes))):
        countable_record(penalty() | changes, AsOf(day("2026-06-10")), purpose=Purpose.CREDIT_SCORE)


def test_an_error_names_the_record() -> None:
    record = penalty() | {"record_id": "ab" * 16, "severity": "grave"}
    with pytest.raises(RecordError, match="record abab"):
        countable_record(record, AsOf(day("2026-06-10")), purpose=Purpose.CREDIT_SCORE)


@pytest.mark.parametrize("missing", ["happened_on", "known_at"])
def test_a_table_without_times_is_refused(missing: str) -> None:
    columns = DTYPES.keys() - {missing}
    with pytest.raises(RecordError, match=f"no column '{missing}'"):
        countable(AsOf(day("2026-06-10")), purpose=Purpose.CREDIT_SCORE, columns=columns)
    record = {name: value for name, value in penalty().items() if name != missing}
    with pytest.raises(RecordError, match=missing):
        countable_record(record, AsOf(day("2026-06-10")), purpose=Purpose.CREDIT_SCORE)


@pytest.mark.parametrize(
    ("record", "end", "repair"),
    [
        (penalty(), "2027-05-10", "2026-08-10"),
        (penalty("2026-11-30"), "2027-11-30", "2027-02-28"),
        (penalty("2027-11-30"), "2028-11-30", "2028-02-29"),
        (penalty("2028-02-29"), "2029-02-28", "2028-05-29"),
        (penalty("2028-02-29", severity="serious"), "2031-02-28", "2029-02-28"),
        (penalty("2026-05-31", max_months=1), "2026-06-30", "2026-08-31"),
        (penalty("2024-02-29", max_months=48), "2028-02-29", "2024-05-29"),
        (penalty(severity="minor"), "2026-08-10", "2026-05-10"),
        (penalty(restrict_until="2030-01-01"), "2030-01-01", "2026-08-10"),
        (listing("abnormal"), None, "2026-05-10"),
        (listing("abnormal", restrict_until="2030-01-01"), None, "2026-05-10"),
        (listing("procurement"), "2029-05-10", None),
        (listing("wage_arrears"), "2029-05-10", "2026-11-10"),
        (listing("honour"), None, None),
        (
            {"happened_on": day("2026-05-10"), "known_at": datetime(2026, 6, 1, tzinfo=UTC)},
            None,
            None,
        ),
    ],
)
def test_ends_of_publicity_and_first_days_of_repair(
    record: dict[str, object], end: str | None, repair: str | None
) -> None:
    as_of = AsOf(day("2026-11-22"))
    dates = frame(record).select(
        end=publicity_end(as_of, columns=record.keys()),
        repair=repairable_from(as_of, columns=record.keys()),
    )
    expected = (end and day(end), repair and day(repair))
    assert dates.row(0) == expected
    assert dates.schema == {"end": pl.Date(), "repair": pl.Date()}
    assert expected == (publicity_end_record(record, as_of), repairable_from_record(record, as_of))


def test_a_term_beyond_the_calendar_has_no_end_that_comes() -> None:
    record = penalty("9990-01-01", max_months=1200)
    assert publicity_end_record(record, AsOf(day("9991-01-01"))) == date.max
    assert counts(record, "9991-01-01", purpose=Purpose.CREDIT_SCORE)


def test_an_empty_table_is_filtered_to_an_empty_table() -> None:
    empty = pl.DataFrame(schema=DTYPES)
    for purpose in Purpose:
        rule = countable(AsOf(day("2026-06-01")), purpose=purpose, columns=DTYPES.keys())
        assert empty.filter(rule).schema == empty.schema


def test_a_scan_skips_rows_by_their_times(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    pl.DataFrame([penalty()], schema=DTYPES, orient="row").write_parquet(path)
    rule = countable(AsOf(day("2026-06-01")), purpose=Purpose.CREDIT_SCORE, columns=DTYPES.keys())
    plan = pl.scan_parquet(path).filter(rule).explain()
    assert "PARQUET SCAN" in plan.upper()
    assert "FILTER" not in plan  # a part that cannot be pushed down would hold back the others
