"""What holds for any record: the two forms of the rule agree, and counting only ever stops."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from models.records.countable import (
    DTYPES,
    countable,
    countable_record,
    publicity_end,
    publicity_end_record,
    repairable_from,
    repairable_from_record,
)
from models.records.publicity import Purpose, Rules, Severity, Until, VoidReason, default_rules
from models.time import AsOf

NEEDED = {"happened_on", "known_at", "void_from", "void_reason"}
KINDS = [*sorted({rule.kind for rule in default_rules().listings}), "enforcement"]

Record = dict[str, object]
dates = st.dates(date(2014, 1, 1), date(2032, 12, 31))
# month ends and the days on which rules change are where mistakes live
edges = st.sampled_from(
    [date(2024, 2, 29), date(2026, 3, 31), date(2026, 4, 1), date(2023, 4, 30), date(2025, 8, 31)]
)
days = st.one_of(dates, edges)
flags = st.none() | st.booleans()
columns = st.sets(st.sampled_from(sorted(DTYPES.keys() - NEEDED))).map(lambda some: some | NEEDED)
counted = [p for p, use in default_rules().purposes.items() if use.until is Until.PUBLICITY]


@st.composite
def records(draw: st.DrawFn) -> Record:
    happened = draw(days)
    reason = draw(st.none() | st.sampled_from([str(r) for r in VoidReason]))
    known = datetime.combine(happened, datetime.min.time(), UTC)
    return {
        "happened_on": happened,
        "known_at": known + draw(st.timedeltas(timedelta(0), timedelta(days=400))),
        "void_from": None if reason is None else draw(days),
        "void_reason": reason,
        "severity": draw(st.none() | st.sampled_from([str(s) for s in Severity])),
        "published": draw(flags),
        "max_months": draw(st.none() | st.integers(0, 60)),
        "restrict_until": draw(st.none() | days),
        "corrected": draw(flags),
        "kind": draw(st.none() | st.sampled_from(KINDS)),
        "removed_on": draw(st.none() | days),
    }


@st.composite
def rule_books(draw: st.DrawFn) -> Rules:
    data = default_rules().model_dump()
    data["transition"] = draw(st.sampled_from(["document_date", "as_of"]))
    data["retention_months"] = draw(st.sampled_from([0, 24, 60]))
    for version in data["severities"]:
        version["unclassified"] = draw(st.sampled_from(list(Severity)))
        for term in version["terms"].values():
            term["keeps_uncorrected"] = draw(st.booleans())
    for rule in data["listings"]:
        rule["keeps_uncorrected"] = draw(st.booleans())
    return Rules.model_validate(data)


def frame(rows: list[Record], kept: set[str]) -> pl.DataFrame:
    schema = {name: dtype for name, dtype in DTYPES.items() if name in kept}
    return pl.DataFrame([{n: r[n] for n in schema} for r in rows], schema=schema, orient="row")


@settings(max_examples=60)
@given(
    rows=st.lists(records(), min_size=1, max_size=12),
    kept=columns,
    on=days,
    rules=st.none() | rule_books(),
    data=st.data(),
)
def test_the_expression_is_its_twin(
    rows: list[Record], kept: set[str], on: date, rules: Rules | None, data: st.DataObject
) -> None:
    as_of, table = AsOf(on), frame(rows, kept)
    statute = data.draw(st.none() | st.sampled_from([r.id for r in default_rules().statutes]))
    for purpose in Purpose:
        named = statute if purpose is Purpose.LAW_ENFORCEMENT_REPEAT else None
        rule = countable(as_of, purpose=purpose, columns=kept, rules=rules, statute=named)
        assert table.select(rule).to_series().to_list() == [
            countable_record(row, as_of, purpose=purpose, rules=rules, statute=named)
            for row in table.iter_rows(named=True)
        ]


@settings(max_examples=60)
@given(
    rows=st.lists(records(), min_size=1, max_size=12),
    kept=columns,
    on=days,
    rules=st.none() | rule_books(),
)
def test_the_dates_are_those_of_their_twins(
    rows: list[Record], kept: set[str], on: date, rules: Rules | None
) -> None:
    as_of, table = AsOf(on), frame(rows, kept)
    found = table.select(
        end=publicity_end(as_of, columns=kept, rules=rules),
        repair=repairable_from(as_of, columns=kept, rules=rules),
    )
    assert found.rows() == [
        (
            publicity_end_record(row, as_of, rules=rules),
            repairable_from_record(row, as_of, rules=rules),
        )
        for row in table.iter_rows(named=True)
    ]


@given(record=records(), on=days, purpose=st.sampled_from(Purpose))
def test_nothing_counts_before_it_happened_and_was_known(
    record: Record, on: date, purpose: Purpose
) -> None:
    as_of = AsOf(on)
    happened, known = record["happened_on"], record["known_at"]
    assert isinstance(happened, date)
    assert isinstance(known, datetime)
    if happened > on or known >= as_of.known_before:
        assert not countable_record(record, as_of, purpose=purpose)


@given(record=records(), void_from=days, on=days, purpose=st.sampled_from(Purpose))
def test_what_is_annulled_never_counts(
    record: Record, void_from: date, on: date, purpose: Purpose
) -> None:
    annulled = record | {"void_from": void_from, "void_reason": "annulled"}
    assert not countable_record(annulled, AsOf(on), purpose=purpose)


@given(
    record=records(),
    void_from=days,
    reason=st.sampled_from(["repaired", "expired"]),
    later=st.integers(0, 2000),
    purpose=st.sampled_from(counted),
    rules=rule_books(),
)
def test_what_is_voided_stays_so_for_all_but_the_case_system(
    record: Record, void_from: date, reason: str, later: int, purpose: Purpose, rules: Rules
) -> None:
    voided = record | {"void_from": void_from, "void_reason": reason}
    as_of = AsOf(void_from + timedelta(days=later))
    assert not countable_record(voided, as_of, purpose=purpose, rules=rules)


@given(
    record=records(),
    later=st.integers(0, 2000),
    purpose=st.sampled_from([p for p in counted if p is not Purpose.INTERNAL_GUIDANCE]),
)
def test_nothing_counts_from_the_end_of_its_publicity_on(
    record: Record, later: int, purpose: Purpose
) -> None:
    end = publicity_end_record(record, AsOf(date(2026, 11, 22)))
    if end is not None:
        assert not countable_record(record, AsOf(end + timedelta(days=later)), purpose=purpose)


@given(record=records(), first=days, later=st.integers(1, 3000), purpose=st.sampled_from(Purpose))
def test_once_known_a_record_only_ever_stops(
    record: Record, first: date, later: int, purpose: Purpose
) -> None:
    known = record | {"known_at": datetime(2000, 1, 1, tzinfo=UTC)}
    happened = known["happened_on"]
    assert isinstance(happened, date)
    start = max(first, happened)
    if countable_record(known, AsOf(start + timedelta(days=later)), purpose=purpose):
        assert countable_record(known, AsOf(start), purpose=purpose)


@given(record=records(), on=days)
def test_what_counts_in_public_counts_inside(record: Record, on: date) -> None:
    as_of = AsOf(on)
    answers = {p: countable_record(record, as_of, purpose=p) for p in Purpose}
    assert answers[Purpose.PUBLIC_REPORT] <= answers[Purpose.INTERNAL_GUIDANCE]
    assert answers[Purpose.SPECIAL_REPORT] <= answers[Purpose.PUBLIC_REPORT]
    assert all(answer <= answers[Purpose.STATISTICS] for answer in answers.values())
