"""Guidance: the fewest lawful changes, and what follows by the very pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from itertools import combinations

import numpy as np
import polars as pl
import pytest

from models.decide import decide
from models.errors import BundleError, ConfigError
from models.features.pipeline import Pipeline, reference_of
from models.features.reference import Reference
from models.records.reading import MemoryRecords
from models.risk.bundle import Bundle
from models.risk.changes import applied, changes_of
from models.risk.guidance import LIMIT, Guidance, guide
from models.scenarios import parse_scenario
from tests.models.features.firms import AS_OF, FIRMS, Row, firm, penalty, records
from tests.models.risk import town

SUBJECT = FIRMS[0]
OLD = date(2023, 6, 1)
FINED, LISTED, FILED = (
    "penalty_count_1095d",
    "listing_kind_abnormal_count_1095d",
    "annual_report_count_365d",
)


@cache
def bundle() -> Bundle:
    """Return a bundle that knows three counts: penalties and listings harm, reports help."""
    rng = np.random.default_rng(0)
    size = 4000
    counts = {
        FINED: rng.integers(0, 7, size).astype(float),
        LISTED: rng.integers(0, 3, size).astype(float),
        FILED: rng.integers(0, 3, size).astype(float),
    }
    odds = 1.2 * counts[FINED] + 2.0 * counts[LISTED] - 1.5 * counts[FILED] - 2.0
    risk = (rng.random(size) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    specs = town.pipeline().features
    blank = pl.DataFrame(
        [pl.repeat(None, size, dtype=s.polars, eager=True).alias(s.name) for s in specs]
    )
    return town.fitted(blank.with_columns(**{n: pl.Series(v) for n, v in counts.items()}), risk)


@cache
def reference() -> Reference:
    return reference_of(town.everyone(), town.declared(), [AS_OF])


def guided(
    *,
    limit: int = LIMIT,
    pipeline: Pipeline | None = None,
    previous: pl.DataFrame | None = None,
    **tables: Sequence[Row],
) -> Guidance:
    """Return the guidance of the first firm with these rows of tables."""
    return guide(
        records(subject=[firm(0)], **tables),
        bundle(),
        SUBJECT,
        AS_OF,
        reference=reference(),
        pipeline=pipeline,
        previous=previous,
        limit=limit,
    )


def fines(count: int, on: date = OLD) -> list[Row]:
    return [
        penalty(0, on + timedelta(days=n), document_number=f"罚{n}", severity="general")
        for n in range(count)
    ]


def listing(on: date = OLD, /, **columns: object) -> Row:
    return {"subject_id": SUBJECT, "happened_on": on, "kind": "abnormal", **columns}


def decided(there: MemoryRecords, *, previous: pl.DataFrame | None = None) -> pl.DataFrame:
    row = town.pipeline().build(there, [AS_OF], subjects=[SUBJECT], reference=reference())
    return decide(row, town.declared(), bundle(), previous=previous)


def test_one_repair_that_is_enough_is_the_guidance() -> None:
    made = guided(penalty=fines(3))
    assert made.outcome == "grade"
    assert len(made.steps) == 1
    assert made.smallest
    assert made.after.grade < made.before.grade
    assert made.after.risk_score < made.before.risk_score
    assert made.steps[0].change.kind == "repair"


def test_what_follows_is_what_the_records_give_once_they_are_changed() -> None:
    rows = fines(3)
    made = guided(penalty=rows)
    changed = made.steps[0].change.records[0].record_id
    frame = records(penalty=rows).frames["penalty"]
    repaired = [
        {**row, "void_from": AS_OF, "void_reason": "repaired"} if identity == changed else row
        for row, identity in zip(rows, frame["record_id"].to_list(), strict=True)
    ]
    before, after = (
        decided(records(subject=[firm(0)], penalty=some)).row(0, named=True)
        for some in (rows, repaired)
    )
    for standing, row in ((made.before, before), (made.after, after)):
        assert standing.grade == row["grade"]
        assert standing.probability == row["probability"]
        assert standing.risk_score == row["risk_score"]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_no_smaller_set_lowers_the_grade(number: int) -> None:
    """Hold the search against one of its own here, over every set of changes."""
    penalties, listings = fines(number), [listing(reason_code="2")]
    made = guided(penalty=penalties, listing=listings)
    own = records(subject=[firm(0)], penalty=penalties, listing=listings)
    known = changes_of(own, SUBJECT, AS_OF, tables=town.declared().features.tables).now
    first = decided(own)
    lowering = [
        size
        for size in range(1, 4)
        for some in combinations(known, size)
        if decided(applied(own, some), previous=first)["grade"][0] < made.before.grade
    ]
    assert made.smallest
    assert len(made.steps) == min(lowering)
    assert made.tried <= LIMIT


def test_steps_come_in_the_order_in_which_they_help() -> None:
    made = guided(penalty=fines(5), listing=[listing(reason_code="2")])
    scores = [made.before.risk_score, *(step.after.risk_score for step in made.steps)]
    assert len(made.steps) > 1
    assert scores == sorted(scores, reverse=True)
    assert made.after == made.steps[-1].after


def test_filing_the_missing_report_lowers_the_grade() -> None:
    filed: list[Row] = [
        {"subject_id": SUBJECT, "happened_on": date(y + 1, 5, 1), "year": y} for y in (2021, 2022)
    ]
    there = records(subject=[firm(0)], penalty=fines(2, date(2024, 12, 1)), annual_report=filed)
    others = {n: f.filter(f["subject_id"] != SUBJECT) for n, f in town.everyone().frames.items()}
    whole = MemoryRecords({n: pl.concat([f, others[n]]) for n, f in there.frames.items()})
    made = guide(whole, bundle(), SUBJECT, AS_OF, reference=reference())
    assert [step.change.kind for step in made.steps] == ["file"]
    assert made.outcome == "grade"
    assert {later.kind for later in made.later} == {"repair"}


def test_a_veto_ends_with_the_listing_that_gave_it() -> None:
    made = guided(listing=[listing(date(2023, 6, 1), kind="serious")])
    assert made.before.grade == "D"
    assert made.before.vetoes == ("在严重失信名单",)
    assert [step.change.remedy for step in made.steps] == ["exit_serious_list"]
    assert made.after.vetoes == ()
    assert made.after.grade == "A"


def test_what_can_only_be_repaired_later_is_said_and_not_promised() -> None:
    made = guided(penalty=fines(3, date(2024, 12, 1)))
    assert made.outcome == "nothing"
    assert made.steps == ()
    assert [later.available_from for later in made.later] == [
        date(2025, 3, 3), date(2025, 3, 2), date(2025, 3, 1)
    ]  # fmt: skip
    assert made.after == made.before


def test_facts_behind_the_risk_are_named_with_the_day_they_leave() -> None:
    visits: list[Row] = [
        {"subject_id": FIRMS[4], "happened_on": date(2024, 3, 1), "result": "fail", "matter": "甲"}
    ]
    there = records(subject=[firm(4)], inspection=visits)
    made = guide(there, town.bundle(), FIRMS[4], AS_OF, reference=reference())
    visit = there.frames["inspection"]["record_id"][0]
    facts = {fixed.record.record_id: fixed for fixed in made.fixed}
    assert facts[visit].lapses_on == date(2024, 3, 1) + timedelta(days=1096)
    assert "不适用信用修复" in facts[visit].why


def test_what_a_rule_refuses_is_fixed_until_it_lapses() -> None:
    heavy = penalty(0, OLD, authority="某市市场监管局", penalty_kinds=["08"])
    made = guided(penalty=[heavy, *fines(1)])
    assert [f.lapses_on for f in made.fixed if f.record.table == "penalty"] == [date(2026, 6, 1)]
    assert len(made.steps) <= 1


def test_the_best_grade_needs_no_guidance() -> None:
    made = guided(penalty=fines(1), annual_report=[
        {"subject_id": SUBJECT, "happened_on": date(2024, 5, 1), "year": y} for y in (2021, 2022)
    ])  # fmt: skip
    assert (made.before.grade, made.outcome, made.steps) == ("A", "best", ())
    assert made.tried == 0


def test_a_subject_with_nothing_to_mend_is_told_so() -> None:
    rows: list[Row] = [
        {"subject_id": FIRMS[4], "happened_on": date(2024, 3, n), "result": "fail", "matter": "甲"}
        for n in range(1, 9)
    ]
    there = records(subject=[firm(4)], inspection=rows)
    made = guide(there, town.bundle(), FIRMS[4], AS_OF, reference=reference())
    assert made.before.grade != "A"
    assert (made.outcome, made.steps, made.later) == ("nothing", (), ())
    assert made.fixed


def test_where_nothing_lowers_the_grade_the_score_is_lowered() -> None:
    made = guided(penalty=[*fines(1), *fines(4, date(2024, 12, 1))])
    assert made.outcome == "score"
    assert made.after.grade == made.before.grade
    assert made.after.risk_score < made.before.risk_score
    assert len(made.later) == 4


def test_changes_that_help_nothing_are_not_proposed() -> None:
    there = records(subject=[firm(0)], penalty=fines(3, date(2024, 12, 1)), licence=[
        {"subject_id": SUBJECT, "happened_on": date(2021, 1, 1), "certificate_name": "甲证",
         "document_number": "许1", "valid_to": date(2024, 11, 1)}
    ])  # fmt: skip
    made = guide(there, bundle(), SUBJECT, AS_OF, reference=reference())
    assert (made.outcome, made.steps) == ("no_effect", ())
    assert made.tried == 1


@cache
def _thorough() -> Guidance:
    return guided(penalty=fines(5), listing=[listing(reason_code="2")])


@pytest.mark.parametrize("limit", [1, 8, 20])
def test_a_small_limit_finds_a_set_that_need_not_be_the_smallest(limit: int) -> None:
    made = guided(penalty=fines(5), listing=[listing(reason_code="2")], limit=limit)
    assert _thorough().smallest
    assert _thorough().outcome == "grade"
    assert made.before == _thorough().before
    if made.outcome == "grade":
        assert len(made.steps) >= len(_thorough().steps)
        assert made.after.grade < made.before.grade
    if limit == 20:
        assert made.outcome == "grade"
    assert made.tried <= limit + len(made.steps) ** 2 + 1


def test_a_grade_in_force_yields_only_beyond_the_hysteresis() -> None:
    text = town.TEXT + "validity: {days: 30, hysteresis: 0.15}\n"
    slow = Pipeline.of(parse_scenario(text, "slow.yaml"))
    plain = guided(penalty=fines(3))
    held = guided(penalty=fines(3), pipeline=slow)
    assert held.before == plain.before
    assert len(held.steps) >= len(plain.steps)
    previous = decided(records(subject=[firm(0)], penalty=fines(6))).with_columns(
        as_of=AS_OF - timedelta(days=5), valid_until=AS_OF
    )
    pressed = guided(penalty=fines(3), pipeline=slow, previous=previous)
    assert pressed.before.grade >= plain.before.grade


def test_the_subjects_own_records_suffice_with_a_reference() -> None:
    rows = [*fines(3), *(penalty(n, OLD) for n in range(1, 9))]
    everyone = records(subject=[firm(n) for n in range(40)], penalty=rows)
    own = MemoryRecords({n: f.filter(subject_id=SUBJECT) for n, f in everyone.frames.items()})
    kept = reference_of(everyone, town.declared(), [AS_OF])
    alone = guide(own, bundle(), SUBJECT, AS_OF, reference=kept)
    assert alone == guide(everyone, bundle(), SUBJECT, AS_OF)


def test_tables_that_the_scenario_does_not_read_are_not_touched() -> None:
    """A lake has tables beside those of records, without subjects."""
    runs = pl.DataFrame({"run_id": ["r1"]})
    there = records(subject=[firm(0)], penalty=fines(3))
    lake = MemoryRecords({**there.frames, "import_run": runs})
    plain = guide(there, bundle(), SUBJECT, AS_OF, reference=reference())
    assert guide(lake, bundle(), SUBJECT, AS_OF, reference=reference()) == plain


@pytest.mark.parametrize(
    ("subject", "rows", "message"),
    [
        (FIRMS[7], [firm(0)], "nothing is known of subject"),
        (SUBJECT, [firm(0, closed_on=date(2024, 1, 1))], "fails at 'open'"),
        (SUBJECT, [firm(0, happened_on=date(2025, 6, 1))], "fails at 'known'"),
    ],
)
def test_who_cannot_be_guided_is_refused(subject: str, rows: Sequence[Row], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        guide(records(subject=rows), bundle(), subject, AS_OF, reference=reference())


def test_a_limit_that_allows_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="limit is 0"):
        guided(penalty=fines(1), limit=0)


def test_a_pipeline_of_other_features_is_refused() -> None:
    other = parse_scenario(town.TEXT.replace("90d, 365d", "180d, 365d"), "other.yaml")
    with pytest.raises(BundleError, match="features"):
        guided(penalty=fines(1), pipeline=Pipeline.of(other))
