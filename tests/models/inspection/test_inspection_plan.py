from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import ConfigError
from models.inspection.plan import Plan, load_plan, parse_plan
from tests.models.inspection.catering import TEXT


def refused(old: str, new: str) -> str:
    assert old in TEXT
    with pytest.raises(ConfigError) as caught:
        parse_plan(TEXT.replace(old, new), "plan.yaml")
    return str(caught.value)


def test_a_plan_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(TEXT, encoding="utf-8")
    plan = load_plan(path)
    assert plan == parse_plan(TEXT, "plan.yaml")
    assert plan.joint
    assert plan.period("2027H1").days == 181
    assert plan.caps.by_grade == {"D": 14}
    assert len(plan.digest) == 64


def test_the_digest_is_of_the_meaning() -> None:
    said = TEXT.replace("random_share: 0.1\n", "")
    assert parse_plan(said, "a").digest == parse_plan(TEXT, "b").digest
    other = TEXT.replace("per_month: 1200", "per_month: 1201")
    assert parse_plan(other, "c").digest != parse_plan(TEXT, "b").digest
    assert Plan.model_validate_json(parse_plan(TEXT, "b").canonical) == parse_plan(TEXT, "b")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("random_share", "random_shares", "plan.yaml:23: unknown key 'random_shares'"),
        ("C: 0.15", "C: 0", "greater than 0"),
        ("department: 消防救援局", "department: 消防局", "which is not among the departments"),
        ("published: 2026-11-01\n    kind", "published: 2027-02-01\n    kind", "after the plan"),
        ("[市场监管局, 消防救援局]", "[市场监管局, 消防救援局, 公安局]", "'公安局' has no matter"),
        ("id: M02", "id: M01", "matter M01 is named twice"),
        ("first: 2027-07-01", "first: 2027-06-30", "before 2027H1 has ended"),
        ("last: 2027-12-31", "last: 2028-01-31", "not within the year 2027"),
        ("last: 2027-06-30", "last: 2026-06-30", "exchange them"),
        ("monthly: 1, unannounced: 2", "monthly: 1", "a visit each month and unannounced"),
        ("list: food_dishonest", "list: food_dishonset", "did you mean 'food_dishonest'?"),
        ("per_year: 2", "per_year: 0", "greater than or equal to 1"),
        ("within: 30d", "within: soon", "soon"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, message: str) -> None:
    assert message in refused(old, new)


def test_an_error_stands_at_its_line() -> None:
    assert refused("per_month: 1200", "per_month: none").startswith("plan.yaml:24: ")


def test_ratios_need_grades_among_the_strata() -> None:
    assert "name grade among the strata" in refused(
        "allocation: {by: risk, precision: 0.1}", "strata: [region]"
    )


def test_periods_are_found_by_name() -> None:
    with pytest.raises(ConfigError, match="no period '2027H3'; did you mean"):
        parse_plan(TEXT, "plan.yaml").period("2027H3")
