"""How checks of those alike turned out: whom it counts, when, and that it is the same online."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from math import isclose
from pathlib import Path
from typing import Final

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.codes.uscc import make_uscc
from models.features import area
from models.features.area import OWN_WEIGHT, WEIGHT
from models.features.network import Network
from models.features.outcomes import Outcomes, spans_of
from models.features.pipeline import Pipeline, build, reference_of
from models.features.reference import Reference
from models.records.contracts import CONTRACTS
from models.records.reading import MemoryRecords
from tests.models.features.firms import AS_OF, Row, firm, frame, records, scenario

DECLARED: Final = scenario(
    "{tables: [inspection], windows: [30d, 365d], families: [identity, area]}"
)
PIPELINE: Final = Pipeline.of(DECLARED)
HERE: Final = [make_uscc("91", "210102", body=f"MA000{n:04d}") for n in range(10)]
THERE: Final = [make_uscc("91", "210202", body=f"MA001{n:04d}") for n in range(10)]
SHOP, CAFE = "阳光书店", "阳光上网服务"
DAY: Final = timedelta(days=1)


def check(subject: str, on: date, *, fails: bool = False, name: str = SHOP, **more: object) -> Row:
    return {
        "subject_id": subject,
        "happened_on": on,
        "subject_name": name,
        "result": "fail" if fails else "pass",
        **more,
    }


def at(on: date) -> datetime:
    return datetime(on.year, on.month, on.day, tzinfo=UTC)


def row(
    checks: Sequence[Row], subject: str = HERE[0], on: date = AS_OF, *, register: Sequence[Row] = ()
) -> dict[str, object]:
    known = [{"subject_id": one, "name": SHOP} for one in (*HERE, *THERE)]
    data = records(subject=[*register] or known, inspection=checks)
    made = build(data, DECLARED, [on], subjects=[subject])
    return made.row(0, named=True)


def share(told: dict[str, object], level: str, days: int = 365) -> object:
    return told[f"area_inspection_{level}_fail_share_{days}d"]


def drawn(failed: int, checks: int, everybody: float) -> float:
    return (failed + WEIGHT * everybody) / (checks + WEIGHT)


SOME: Final = date(2024, 12, 20)


def test_names_windows_and_words() -> None:
    by_name = {spec.name: spec for spec in area.specs(DECLARED, CONTRACTS)}
    spec = by_name["area_inspection_region_kind_fail_share_30d"]
    assert spec.title == "近30天同地区同业态行政检查不合格率"
    assert (spec.family, spec.window, spec.unit) == ("area", 30, "比例")
    assert by_name["area_inspection_kind_trend_30d_365d"].window == 365
    assert "area_inspection_own_fail_share_365d" in by_name
    assert {spec.window for spec in by_name.values()} == {7, 14, 30, 365}


def test_a_scenario_that_looks_at_no_checks_has_none() -> None:
    assert area.specs(scenario("{tables: [penalty], windows: [30d]}"), CONTRACTS) == ()


def test_the_subjects_own_checks_are_left_out() -> None:
    checks = [check(HERE[0], SOME, fails=True), check(HERE[1], SOME), check(HERE[2], SOME)]
    told = row(checks)
    assert share(told, "all") == 0
    assert share(row(checks, HERE[1]), "all") == 1 / 2
    assert share(row([checks[0]]), "all") is None


def test_a_share_of_few_is_drawn_towards_that_of_everybody() -> None:
    checks = [
        *(check(one, SOME, fails=True) for one in HERE[1:4]),
        *(check(one, SOME) for one in THERE[:9]),
    ]
    told = row(checks)
    assert share(told, "all") == 0.25
    assert share(told, "region") == drawn(3, 3, 0.25)
    assert share(row(checks, THERE[9]), "region") == drawn(0, 9, 0.25)


def test_kinds_are_told_by_the_name_that_the_row_gives() -> None:
    checks = [
        check(HERE[1], SOME, fails=True, name=CAFE),
        check(THERE[1], SOME, name=CAFE),
        check(HERE[2], SOME),
        check(THERE[2], SOME),
    ]
    told = row(checks, register=[firm_of(HERE[0], CAFE)])
    assert share(told, "kind") == drawn(1, 2, 0.25)
    assert share(told, "region_kind") == drawn(1, 1, 0.25)
    other = row(checks, register=[firm_of(HERE[0], SHOP)])
    assert share(other, "kind") == drawn(0, 2, 0.25)


def firm_of(subject: str, name: str, **more: object) -> Row:
    return {**firm(0, name=name, **more), "subject_id": subject}


def test_who_has_no_name_or_code_has_no_group() -> None:
    checks = [check(one, SOME) for one in HERE[1:4]]
    told = row(checks, register=[firm_of(HERE[5], SHOP)])
    assert share(told, "kind") is share(told, "region_kind") is None
    assert share(told, "region") == 0
    stranger = row(checks, "P_1", register=[{**firm(), "subject_id": "P_1", "name": SHOP}])
    assert share(stranger, "region") is None
    assert share(stranger, "kind") == 0


def test_industries_are_those_known_of_the_register() -> None:
    known = SOME + 4 * DAY
    register = [
        firm_of(HERE[0], SHOP, industry="R8810"),
        firm_of(THERE[1], SHOP, industry="R8820", known_at=at(known)),
        firm_of(THERE[2], SHOP, industry="F5243"),
    ]
    checks = [check(THERE[1], SOME, fails=True), check(THERE[2], SOME)]
    before = row(checks, on=known - DAY, register=register)
    assert share(before, "industry") == drawn(0, 0, 0.5)
    assert share(row(checks, on=known, register=register), "industry") == drawn(1, 1, 0.5)


def test_a_check_counts_from_the_day_after_it_when_it_is_known() -> None:
    checks = [check(HERE[1], SOME, fails=True, known_at=at(SOME + 9 * DAY))]
    assert share(row(checks, on=SOME + 8 * DAY), "all") is None
    assert share(row(checks, on=SOME + 9 * DAY), "all") == 1
    at_once = [check(HERE[1], SOME, fails=True, known_at=at(SOME))]
    assert share(row(at_once, on=SOME), "all") is None
    assert share(row(at_once, on=SOME + DAY), "all") == 1


def test_windows_end_and_voided_rows_stop() -> None:
    old = [check(HERE[1], SOME, fails=True), check(HERE[2], SOME - 40 * DAY)]
    assert share(row(old, on=SOME + 30 * DAY), "all", 30) == 1
    assert share(row(old, on=SOME + 31 * DAY), "all", 30) is None
    voided: Row = {"void_from": SOME + 5 * DAY, "void_reason": "repaired"}
    stopped = [{**check(HERE[1], SOME, fails=True), **voided}, old[1]]
    assert share(row(stopped, on=SOME + 4 * DAY), "all") == 0.5
    assert share(row(stopped, on=SOME + 5 * DAY), "all") == 0


def test_visits_that_found_nothing_to_check_do_not_count() -> None:
    checks = [check(HERE[1], SOME, fails=True), {**check(HERE[2], SOME), "result": "excluded"}]
    assert share(row(checks), "all") == 1


def test_a_trend_is_the_rate_of_a_month_over_that_of_a_year() -> None:
    checks = [check(HERE[n], AS_OF - days * DAY) for n, days in ((1, 5), (2, 10), (3, 300))]
    told = row(checks)
    assert told["area_inspection_region_trend_30d_365d"] == (2 * 365) / (3 * 30)
    assert row([], on=AS_OF)["area_inspection_region_trend_30d_365d"] is None


def test_the_own_share_is_drawn_towards_the_narrowest_group() -> None:
    checks = [
        check(HERE[0], SOME, fails=True),
        check(HERE[0], SOME - DAY),
        *(check(one, SOME, fails=True) for one in HERE[1:3]),
        *(check(one, SOME) for one in THERE[:6]),
    ]
    told = row(checks)
    group = share(told, "region_kind")
    assert isinstance(group, float)
    assert told["area_inspection_own_fail_share_365d"] == (1 + OWN_WEIGHT * group) / (
        2 + OWN_WEIGHT
    )


CHECKS = st.lists(
    st.tuples(
        st.integers(0, 7),
        st.integers(0, 400),
        st.integers(0, 20),
        st.booleans(),
        st.sampled_from([SHOP, CAFE]),
    ),
    max_size=25,
)
START: Final = date(2024, 1, 1)


def rows_of(drawn_: Sequence[tuple[int, int, int, bool, str]]) -> list[Row]:
    return [
        check(
            (HERE + THERE)[who * 2],
            START + day * DAY,
            fails=fails,
            name=name,
            known_at=at(START + (day + late) * DAY),
            record_id=f"{number:032d}",
        )
        for number, (who, day, late, fails, name) in enumerate(drawn_)
    ]


@settings(max_examples=15, deadline=None)
@given(CHECKS, st.integers(1, 430), st.integers(0, 7))
def test_shares_are_those_counted_row_by_row(
    some: list[tuple[int, int, int, bool, str]], view: int, who: int
) -> None:
    on, subject = START + view * DAY, (HERE + THERE)[who * 2]
    told = row(rows_of(some), subject, on)
    for level, days in (("all", 30), ("region", 365), ("kind", 7), ("region_kind", 30)):
        there = [
            fails
            for other, day, late, fails, name in some
            if other != who
            and view - days <= day < view
            and day + late <= view
            and ("region" not in level or (other < 5) == (who < 5))
            and ("kind" not in level or name == SHOP)
        ]
        year = [
            fails
            for other, day, late, fails, _ in some
            if other != who and view - 365 <= day < view and day + late <= view
        ]
        found = share(told, level, days)
        if level == "all":
            assert found == (sum(there) / len(there) if there else None)
        elif year:
            expected = drawn(sum(there), len(there), sum(year) / len(year))
            assert isinstance(found, float)
            assert isclose(found, expected)
        else:
            assert found is None


@settings(max_examples=8, deadline=None)
@given(CHECKS, st.integers(1, 430))
def test_what_happens_or_is_known_later_changes_nothing(
    some: list[tuple[int, int, int, bool, str]], view: int
) -> None:
    there = [one for one in some if one[1] < view and one[1] + one[2] <= view]
    on = START + view * DAY
    before = [row for row, one in zip(rows_of(some), some, strict=True) if one in there]
    for subject in (HERE[0], THERE[6]):
        assert row(rows_of(some), subject, on) == row(before, subject, on)


@settings(max_examples=8, deadline=None)
@given(CHECKS, st.lists(st.integers(1, 430), min_size=1, max_size=3, unique=True))
def test_one_subject_with_a_reference_gets_the_bits_of_the_batch(
    some: list[tuple[int, int, int, bool, str]], views: list[int]
) -> None:
    register = [{"subject_id": one, "name": SHOP} for one in (*HERE, *THERE)]
    data = records(subject=register, inspection=rows_of(some))
    dates = [START + view * DAY for view in views]
    whole = build(data, DECLARED, dates)
    reference = reference_of(data, DECLARED, dates)
    for subject in (HERE[0], HERE[4], THERE[2]):
        mine = MemoryRecords({n: f.filter(subject_id=subject) for n, f in data.frames.items()})
        alone = PIPELINE.build(mine, dates, subjects=[subject], reference=reference)
        expected = whole.filter(subject_id=subject).join(
            alone, on=["subject_id", "as_of"], how="semi"
        )
        assert_frame_equal(
            alone.join(expected, on=["subject_id", "as_of"], how="semi"), expected, check_exact=True
        )


def test_parts_of_a_population_give_what_the_whole_gives(tmp_path: Path) -> None:
    some = rows_of([(n % 8, 10 * n % 300, n % 9, n % 3 == 0, SHOP) for n in range(40)])
    whole = MemoryRecords({"inspection": frame("inspection", some)})
    parts = [
        MemoryRecords(
            {"inspection": whole.frames["inspection"].filter(pl.col("subject_id").hash() % 3 == n)}
        )
        for n in range(3)
    ]
    outcomes = Outcomes.of(map(spans_of, parts))
    assert_frame_equal(outcomes.spans, Outcomes.of([spans_of(whole)]).spans)
    outcomes.save(tmp_path)
    assert_frame_equal(Outcomes.load(tmp_path).spans, outcomes.spans)


def test_a_kept_reference_has_the_outcomes_and_no_name(tmp_path: Path) -> None:
    data = records(inspection=[check(one, SOME, fails=one < HERE[3]) for one in HERE])
    reference_of(data, DECLARED, [AS_OF]).save(tmp_path)
    network = Reference.load(tmp_path).network
    assert_frame_equal(network.outcomes.spans, PIPELINE.network([data]).outcomes.spans)
    for path in tmp_path.iterdir():
        assert HERE[1].encode() not in path.read_bytes()
        assert SHOP.encode() not in path.read_bytes()


def test_a_record_newer_than_the_reference_is_the_subjects_own() -> None:
    register = [{"subject_id": one, "name": SHOP} for one in HERE]
    old = records(subject=register, inspection=[check(one, SOME) for one in HERE[1:6]])
    reference = reference_of(old, DECLARED, [AS_OF])
    new = records(subject=register[:1], inspection=[check(HERE[0], SOME, fails=True)])
    told = PIPELINE.build(new, [AS_OF], subjects=[HERE[0]], reference=reference)
    own = told["area_inspection_own_fail_share_365d"].item()
    assert own == pytest.approx(1 / (1 + OWN_WEIGHT))
    assert told["area_inspection_all_fail_share_365d"].to_list() == [0]


def test_records_without_checks_are_unknown() -> None:
    data = MemoryRecords({"subject": frame("subject", [firm(0)])})
    made = PIPELINE.build(data, [AS_OF], subjects=[HERE[0]])
    assert made.select(spec.name for spec in PIPELINE.family("area")).null_count().row(0) == (
        1,
    ) * len(PIPELINE.family("area"))


def test_a_network_that_needs_no_outcomes_counts_none() -> None:
    data = records(inspection=[check(HERE[1], SOME)])
    assert Network.of([data], outcomes=False).outcomes.spans.is_empty()
    plain = Pipeline.of(scenario("{tables: [penalty], windows: [30d], families: [window]}"))
    assert plain.network([data]).outcomes.spans.is_empty()
