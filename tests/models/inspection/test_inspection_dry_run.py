from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from models.errors import InspectionError
from models.inspection.allocate import Mandatory
from models.inspection.dry_run import allocation, dry_run, eligible
from models.inspection.plan import Plan, parse_plan
from models.inspection.pool import Pool
from models.scenarios import Scenario, scenario_named
from tests.models.inspection.catering import TEXT
from tests.models.inspection.catering import people as firms

SCENARIO = scenario_named("food_safety")


def plan(**changes: str) -> Plan:
    text = TEXT.replace("per_month: 1200", "per_month: 60")
    for old, new in changes.items():
        text = text.replace({"by_risk": "by: risk, precision: 0.1", "share": "1200"}[old], new)
    return parse_plan(text, "plan.yaml")


def people(many: int = 3000) -> pl.DataFrame:
    return firms(many)


def test_a_plan_by_risk_fills_its_capacity() -> None:
    tried = dry_run(plan(), people(), SCENARIO)
    visits = float(tried.workload["visits"].sum())
    assert visits == pytest.approx(12 * 60, abs=2)
    assert tried.workload["month"].n_unique() == 12
    assert tried.workload["office"].unique().sort().to_list() == ["东", "西"]
    assert set(tried.expected) == {"2027H1", "2027H2"}
    half = tried.expected["2027H1"]
    assert half.low < half.findings < half.high
    assert 0 < half.half_width < 0.2
    assert half.rate == pytest.approx(float(people()["probability"].to_numpy().mean()))
    assert tried.visits_saved == pytest.approx(visits)
    assert tried.capped == 0


def test_workload_follows_the_days_of_the_months() -> None:
    tried = dry_run(plan(), people(), SCENARIO)
    months = tried.workload.group_by("month").agg(pl.col("visits").sum()).sort("month")
    january, february = months["visits"].to_list()[:2]
    assert january / february == pytest.approx(31 / 28)
    assert tried.workload.filter("over")["month"].dt.month().unique().sort().to_list()[0] == 1


def test_ratios_of_a_year_are_shared_out_to_periods() -> None:
    by_grade = plan(by_risk="by: grade")
    rows = people()
    tried = dry_run(by_grade, rows, SCENARIO)
    share = dict(tried.coverage.select("grade", "share").rows())
    assert share["D"] == pytest.approx(0.44, abs=0.03)  # 1 − (1 − 0.25)²: some are drawn twice
    assert share["A"] == pytest.approx(0.01, abs=0.002)
    part = allocation(by_grade, by_grade.period("2027H1"), rows, {**(by_grade.ratios or {})})
    Pool.of(part.select("subject_id", "stratum", "pi"))
    assert tried.coverage["subjects"].sum() == rows.height


def test_a_scenario_gives_the_ratios_that_a_plan_leaves_out() -> None:
    text = TEXT.replace("ratios: {A: 0.01, B: 0.03, C: 0.15, D: 0.5}\n", "")
    text = text.replace("by: risk, precision: 0.1", "by: grade")
    tried = dry_run(parse_plan(text, "plan.yaml"), people(), SCENARIO)
    assert tried.coverage["grade"].to_list() == list(SCENARIO.grades)


def test_mandatory_visits_come_every_month_and_take_capacity() -> None:
    rows = people().with_columns(
        pl.when(pl.col("subject_id") < "S000012")
        .then(pl.lit(Mandatory.FOOD_DISHONEST.value))
        .alias("mandatory")
    )
    tried = dry_run(plan(), rows, SCENARIO)
    assert float(tried.workload["visits"].sum()) == pytest.approx(12 * 60, abs=3)
    with_none = rows.with_columns(mandatory=pl.lit(None, pl.String))
    alone = dry_run(plan(), with_none, SCENARIO)
    assert alone.expected["2027H1"].inspections > tried.expected["2027H1"].inspections


def test_lists_that_a_plan_does_not_name_are_drawn_by_chance() -> None:
    rows = people(100).with_columns(mandatory=pl.lit(Mandatory.VETO.value))
    assert eligible(plan(), rows)["mandatory"].count() == 0


def test_used_up_caps_are_left_out_but_for_mandatory() -> None:
    rows = people().with_columns(
        pl.when(pl.col("subject_id") < "S000002")
        .then(pl.lit(Mandatory.FOOD_DISHONEST.value))
        .alias("mandatory"),
        pl.when(pl.col("subject_id") < "S000010").then(0).otherwise(1).alias("remaining"),
    )
    kept = eligible(plan(), rows)
    assert kept.height == 3000 - 8
    assert dry_run(plan(), rows, SCENARIO).capped == 8


def test_more_capacity_than_subjects_is_refused() -> None:
    with pytest.raises(InspectionError, match="is more than the 300 subjects"):
        dry_run(plan(), people(300), SCENARIO)


def test_a_dry_run_needs_its_columns_and_its_scenario() -> None:
    with pytest.raises(InspectionError, match="needs 'office'"):
        dry_run(plan(), people().drop("office"), SCENARIO)
    other: Scenario = SCENARIO.model_copy(update={"id": "other"})
    with pytest.raises(InspectionError, match="is of the scenario 'food_safety', not 'other'"):
        dry_run(plan(), people(), other)


def test_the_first_month_is_the_first_period() -> None:
    assert dry_run(plan(), people(), SCENARIO).workload["month"].min() == date(2027, 1, 1)
