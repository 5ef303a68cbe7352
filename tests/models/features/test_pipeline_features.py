"""From records to rows: one code for a lake, a bucket and one subject, and no look ahead."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.errors import ConfigError, LakeMissingError, RecordError
from models.features.pipeline import Pipeline, build, reference_of
from models.records.bookkeeping import IMPORT_RUN, QUARANTINE
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from models.records.reading import LakeRecords, MemoryRecords
from models.scenarios import Scenario, catalogue
from models.scenarios.cohort import cohorts
from tests.models.features.firms import (
    AS_OF,
    FIRMS,
    Row,
    firm,
    frame,
    penalty,
    records,
    role,
    scenario,
    tie,
)

DATES = [date(2024, 3, 31), date(2025, 1, 1), date(2025, 7, 1)]
by_scenario = pytest.mark.parametrize(
    "declared", list(catalogue().values()), ids=lambda one: one.id
)


def covering() -> list[Scenario]:
    """Return scenarios that among them use every table, family and depth the catalogue does."""
    met: set[object] = set()
    chosen: list[Scenario] = []
    for one in sorted(catalogue().values(), key=lambda one: -len(one.features.tables)):
        uses = {*one.features.tables, *one.features.families, one.features.hops}
        if uses - met:
            chosen.append(one)
            met |= uses
    return chosen


by_covering_scenario = pytest.mark.parametrize("declared", covering(), ids=lambda one: one.id)
WIDE = scenario(
    "{tables: [penalty, inspection, listing, complaint, change], windows: [90d, 365d],"
    " levels: {inspection: {result: [fail]}}, hops: 2}"
)


def subject_records(lake: Lake, subject: str) -> MemoryRecords:
    tables = set(lake.tables()) - {QUARANTINE, IMPORT_RUN}
    return MemoryRecords({table: lake.subject(table, subject) for table in tables})


@by_covering_scenario
def test_buckets_and_single_subjects_get_the_bits_of_the_whole(
    province: Lake, declared: Scenario
) -> None:
    everything = LakeRecords(province)
    whole = build(everything, declared, DATES)
    assert whole.height > 0
    reference = reference_of(everything, declared, DATES)
    assert_frame_equal(build(everything, declared, DATES, reference=reference), whole)

    buckets = [
        build(LakeRecords(province, bucket=b), declared, DATES, reference=reference)
        for b in range(province.buckets)
    ]
    assert_frame_equal(pl.concat(buckets).sort("as_of", "subject_id"), whole, check_exact=True)

    ids = whole["subject_id"].unique().sort().to_list()
    some = random.Random(declared.id).sample(ids, min(3, len(ids)))
    pipeline = Pipeline.of(declared)
    for subject in some:
        own = subject_records(province, subject)
        alone = pipeline.build(own, DATES, subjects=[subject], reference=reference)
        expected = whole.filter(subject_id=subject)
        alone = alone.join(expected, on=["subject_id", "as_of"], how="semi")
        assert_frame_equal(alone, expected, check_exact=True)


@by_scenario
def test_the_frame_is_laid_out_as_the_catalogue_says(province: Lake, declared: Scenario) -> None:
    made = build(LakeRecords(province), declared, DATES)
    assert made.schema == Pipeline.of(declared).schema()
    members = cohorts(LakeRecords(province), declared, DATES)
    assert_frame_equal(made.select("subject_id", "as_of"), members)


def test_the_order_of_dates_does_not_matter(province: Lake) -> None:
    declared = catalogue()["dishonesty_warning"]
    everything = LakeRecords(province)
    assert_frame_equal(build(everything, declared, DATES[::-1]), build(everything, declared, DATES))


def test_families_tell_something(province: Lake) -> None:
    made = build(LakeRecords(province), catalogue()["dishonesty_warning"], DATES)
    assert made["relation_count"].max() > 3  # type: ignore[operator]
    assert made["relation_flagged_count"].sum() > 0
    assert made["relation_second_count"].sum() > 0
    assert made["penalty_count_365d"].sum() > 0
    assert 0.4 < made["peers_penalty_count_365d"].mean() < 0.6  # type: ignore[operator]
    assert made["subject_age_days"].null_count() == 0
    assert made["penalty_text_food_count_365d"].null_count() == made.height


def test_a_subject_without_records_is_a_row_of_zeros_and_nulls() -> None:
    row = build(records(), WIDE, [AS_OF], subjects=[FIRMS[5]]).row(0, named=True)
    assert row["subject_id"] == FIRMS[5]
    assert row["penalty_count_365d"] == row["relation_count"] == 0
    for name in ("penalty_recency", "subject_age_days", "inspection_result_fail_share_365d"):
        assert row[name] is None


def test_a_subject_outside_the_cohort_gets_its_row_where_it_is_asked_for() -> None:
    data = records(subject=[firm(0), firm(1, closed_on=date(2024, 1, 1))])
    assert build(data, WIDE, [AS_OF])["subject_id"].to_list() == [FIRMS[0]]
    asked = build(data, WIDE, [AS_OF], subjects=[FIRMS[1], FIRMS[0]])
    assert asked["subject_id"].to_list() == sorted(FIRMS[:2])


def test_nobody_gives_an_empty_frame_of_the_same_columns() -> None:
    made = build(records(), WIDE, [AS_OF])
    assert made.is_empty()
    assert made.schema == Pipeline.of(WIDE).schema()


def test_a_table_that_the_records_lack_is_unknown_and_not_empty() -> None:
    data = records(subject=[firm()])
    short = MemoryRecords({k: v for k, v in data.frames.items() if k != "complaint"})
    assert build(data, WIDE, [AS_OF])["complaint_count_365d"].to_list() == [0]
    assert build(short, WIDE, [AS_OF])["complaint_count_365d"].to_list() == [None]


def test_a_column_that_a_table_lacks_is_unknown() -> None:
    frames = dict(records(subject=[firm()], penalty=[penalty()]).frames)
    frames["penalty"] = frames["penalty"].drop("fine_amount", "penalty_kinds")
    row = build(MemoryRecords(frames), WIDE, [AS_OF]).row(0, named=True)
    assert row["penalty_count_365d"] == 1
    assert row["penalty_fine_amount_sum_365d"] is None
    assert row["penalty_penalty_kinds_distinct_365d"] is None
    assert row["penalty_confiscated_amount_sum_365d"] == 0


def test_a_record_id_that_occurs_twice_is_an_error() -> None:
    frames = dict(records(subject=[firm()], penalty=[penalty()]).frames)
    frames["penalty"] = pl.concat([frames["penalty"], frames["penalty"]])
    data = MemoryRecords(frames)
    with pytest.raises(RecordError, match="occurs more than once"):
        build(data, WIDE, [AS_OF])
    trusting = build(data, WIDE, [AS_OF], check_ids=False)
    assert trusting["penalty_count_365d"].to_list() == [2]


def test_what_cannot_be_meant_is_said() -> None:
    data = records(subject=[firm()])
    with pytest.raises(ConfigError, match="given twice"):
        build(data, WIDE, [AS_OF, AS_OF])
    with pytest.raises(ConfigError, match="no date of view"):
        build(data, WIDE, [])
    with pytest.raises(RecordError, match="given twice"):
        build(data, WIDE, [AS_OF], subjects=[FIRMS[0], FIRMS[0]])
    with pytest.raises(ConfigError, match="unknown table 'change'"):
        build(data, WIDE, [AS_OF], contracts={k: v for k, v in CONTRACTS.items() if k != "change"})


def test_a_table_that_is_not_there_is_said_when_read() -> None:
    with pytest.raises(LakeMissingError):
        MemoryRecords({}).columns("penalty")


def test_a_voided_record_counts_before_and_not_after() -> None:
    rows = [penalty(0, void_from=date(2024, 10, 1), void_reason="repaired")]
    dates = [date(2024, 9, 30), date(2024, 10, 1)]
    data = records(
        subject=[firm(0), firm(1)], penalty=rows, person_role=[role(0, "P"), role(1, "P")]
    )
    made = build(data, WIDE, dates)
    own = made.filter(subject_id=FIRMS[0])
    assert own["penalty_count_365d"].to_list() == [1, 0]
    assert own["penalty_recency"].to_list() == [121, None]
    assert made.filter(subject_id=FIRMS[1])["relation_flagged_count"].to_list() == [1, 0]


@dataclass(frozen=True)
class Later:
    """A record that is no part of the past: it happens, or becomes known, after the date."""

    table: str
    number: int
    days: int
    late: bool

    @property
    def row(self) -> Row:
        happened = AS_OF + timedelta(days=self.days)
        if self.late:
            happened = AS_OF - timedelta(days=self.days)
        known = max(happened, AS_OF) + timedelta(days=1)
        own: dict[str, Row] = {
            "penalty": {
                "document_number": f"后{self.days}",
                "severity": "serious",
                "fine_amount": 9e9,
            },
            "inspection": {"result": "fail"},
            "listing": {"kind": "serious"},
            "complaint": {"kind": "report"},
            "change": {"item": "address", "old_value": "甲", "new_value": "乙"},
            "person_role": {"person_id": "P", "role": "executive"},
            "relation": {"other_id": FIRMS[(self.number + 1) % 6], "kind": "supply"},
            "subject": {"name": "后来", "address": "沈阳市和平区南京街1号", "employees": 7},
        }
        return {
            "subject_id": FIRMS[self.number],
            "happened_on": happened,
            "known_at": datetime(known.year, known.month, known.day, tzinfo=UTC),
            "record_id": f"{random.Random(repr(self)).getrandbits(128):032x}",
            **own[self.table],
        }


PAST: dict[str, list[Row]] = {
    "subject": [firm(n, address="沈阳市和平区南京街1号", employees=n) for n in range(6)],
    "penalty": [penalty(0), penalty(2, date(2024, 12, 1))],
    "inspection": [{"subject_id": FIRMS[1], "happened_on": date(2024, 5, 1), "result": "fail"}],
    "person_role": [role(0, "P"), role(3, "P"), role(4, "Q")],
    "relation": [tie(1, 2, "supply"), tie(4, 5, "branch")],
    "listing": [{"subject_id": FIRMS[3], "happened_on": date(2024, 2, 1), "kind": "abnormal"}],
    "complaint": [],
    "change": [],
}
# A firm is in the register once: only those that come later are added to it.
later = st.builds(
    Later,
    table=st.sampled_from([name for name in PAST if name != "subject"]),
    number=st.integers(0, 8),
    days=st.integers(1, 900),
    late=st.booleans(),
) | st.builds(
    Later,
    table=st.just("subject"),
    number=st.integers(6, 11),
    days=st.integers(1, 900),
    late=st.booleans(),
)


@cache
def before() -> pl.DataFrame:
    return build(records(**PAST), WIDE, [AS_OF])


@settings(max_examples=60)
@given(st.lists(later, min_size=1, max_size=25, unique=True))
def test_nothing_that_comes_later_changes_anything(added: Sequence[Later]) -> None:
    world = dict(records(**PAST).frames)
    once = {(a.table, a.number): a for a in added if a.table == "subject"}
    for one in [*once.values(), *(a for a in added if a.table != "subject")]:
        world[one.table] = pl.concat([world[one.table], frame(one.table, [one.row])])
    assert_frame_equal(build(MemoryRecords(world), WIDE, [AS_OF]), before(), check_exact=True)


def test_what_came_later_does_count_later() -> None:
    world = dict(records(**PAST).frames)
    one = Later("penalty", 0, 5, late=False)
    world["penalty"] = pl.concat([world["penalty"], frame("penalty", [one.row])])
    after = build(MemoryRecords(world), WIDE, [AS_OF + timedelta(days=30)])
    assert after.filter(subject_id=FIRMS[0])["penalty_count_365d"].to_list() == [2]


def test_nothing_that_comes_later_changes_a_province(province: Lake) -> None:
    """The lake's own records are cut off where they were not known yet: the same rows."""
    declared, on = catalogue()["dishonesty_warning"], date(2024, 1, 1)
    everything = LakeRecords(province)
    tables = [table for table in everything.tables() if table in CONTRACTS]
    cut = datetime(2024, 1, 1, 16, tzinfo=UTC)
    past = MemoryRecords(
        {
            table: everything.frame(table).filter(pl.col("known_at") < cut).collect()
            for table in tables
        }
    )
    assert_frame_equal(
        build(past, declared, [on]), build(everything, declared, [on]), check_exact=True
    )
