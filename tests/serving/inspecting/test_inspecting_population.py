from __future__ import annotations

from datetime import date
from uuid import UUID

import polars as pl
import pytest
from sqlalchemy import insert

from models.inspection.pool import Pool
from serving.ledger import draws
from serving.ledger.decisions import DecisionRow
from serving.ledger.engine import Ledger
from tests.serving.inspecting.office import MATTERS, Office, code, declared

MANY = 40


def targets(**changed: object) -> list[dict[str, object]]:
    """Return targets of two cities under a department's headings."""
    return [
        {
            "社会信用代码": code(number),
            "企业名称": f"某餐饮店{number}",
            "经营状态": "存续",
            "行政区划": ("210102", "210202")[number % 2],
            "行业": "H62",
            "信用风险等级": "AB"[number // (MANY // 2)],
            "适用事项": "M01",
            **changed,
        }
        for number in range(MANY)
    ]


def decide(ledger: Ledger, number: int, grade: str, *, on: date, **more: object) -> None:
    """Keep a made-up decision."""
    values: dict[str, object] = {
        "id": UUID(int=hash((number, grade, on)) % 2**127),
        "scenario": "food_safety",
        "subject_id": code(number),
        "as_of": on,
        "inbox_mark": 0,
        "region": "210102",
        "probability": 0.2,
        "risk_score": 500.0,
        "grade": grade,
        "vetoes": [],
        "valid_until": date(2026, 12, 31),
        "warn": False,
        "draw": 0.1,
        "inputs_digest": b"x",
        "basis": UUID(int=1),
        "made_at": "2026-11-20T00:00:00Z",
        **more,
    }
    with ledger.begin() as connection:
        connection.execute(insert(DecisionRow).values(values))


def ready(office: Office, rows: list[dict[str, object]], **plan: object) -> None:
    """Import targets, and have a plan approved."""
    assert office.lists("pools/targets", rows=rows).status_code == 201
    assert office.draft(declared(**plan)).status_code == 201
    assert office.approve().status_code == 200


def strata(office: Office) -> dict[str, int]:
    """Return how many of the frozen pool are in each stratum."""
    told = office.get("/strata", who=office.drafter).json()
    pool = Pool.read(office.get("/pool", who=office.drafter).content)
    sizes = dict(pool.frame.group_by("stratum").len().iter_rows())
    assert {one["label"]: one["size"] for one in told} == sizes
    return {one["name"]: one["size"] for one in told}


def test_a_pool_is_made_of_the_list_and_the_decisions_that_stand(
    office: Office, ledger: Ledger
) -> None:
    ready(office, targets())
    decide(ledger, 0, "C", on=date(2026, 11, 1))
    decide(ledger, 0, "D", on=date(2026, 11, 20))
    decide(ledger, 1, "D", on=date(2026, 11, 20), vetoes=["serious"])
    decide(ledger, 2, "D", on=date(2026, 11, 20), scenario="other")
    decide(ledger, 3, "D", on=date(2026, 11, 30))
    made = office.freeze(population=None)
    assert made.status_code == 200, made.text
    assert strata(office) == {"A": 18, "B": 20, "D": 2}
    told = made.json()["made_with"]
    assert (told["from"], told["as_of"], told["subjects"]) == ("lists", "2026-11-23", MANY)
    assert len(told["targets"]) == 64
    with ledger.begin() as connection:
        graded = draws.graded(connection, "food_safety", date(2026, 11, 23))
        kept = draws.population(connection, office.plan, "Q4")
    assert sorted(graded.select("subject_id", "vetoed").rows()) == sorted(
        [(code(0), False), (code(1), True)]
    )
    assert kept is not None
    assert kept.filter(pl.col("mandatory").is_not_null())["subject_id"].to_list() == [code(1)]


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ({"经营状态": "注销"}, None),
        ({"适用事项": "M99"}, None),
        ({"年度检查上限": 1, "已检查次数": 1}, None),
        ({"适用事项": None}, MANY),
        ({"年度检查上限": 9, "已检查次数": 3}, MANY),
    ],
)
def test_who_may_not_be_drawn_is_left_out(
    office: Office, changed: dict[str, object], left: int | None
) -> None:
    ready(office, targets(**changed))
    made = office.freeze(population=None)
    assert made.status_code == (200 if left else 422), made.text
    if left:
        assert sum(strata(office).values()) == left


def test_a_plan_of_a_city_draws_from_that_city(office: Office) -> None:
    assert office.lists("pools/targets", rows=targets(), region="21").status_code == 201
    assert office.draft(region="2101").status_code == 201
    office.approve()
    assert office.freeze(population=None).status_code == 200
    assert sum(strata(office).values()) == MANY // 2


def test_nobody_is_exempt_for_want_of_a_decision(office: Office) -> None:
    ready(office, targets(), allocation={"by": "risk", "precision": 0.1})
    answer = office.freeze(population=None)
    assert answer.status_code == 422
    assert "have no probability" in answer.json()["detail"]


def test_mandatory_subjects_must_be_on_the_list(office: Office) -> None:
    ready(office, targets(), mandatory=[{"list": "serious_dishonest"}])
    strange = [{"subject_id": code(999), "list": "serious_dishonest"}]
    answer = office.freeze(population=None, mandatory=strange)
    assert answer.status_code == 422
    assert "cannot be drawn" in answer.json()["detail"]
    one = [{"subject_id": code(5), "list": "serious_dishonest"}]
    assert office.freeze(population=None, mandatory=one).status_code == 200
    pool = Pool.read(office.get("/pool", who=office.drafter).content)
    assert pool.frame.filter(pl.col("pi") == 1)["subject_id"].to_list() == [code(5)]


def test_a_matter_that_is_not_published_is_not_executed(office: Office) -> None:
    matter = {
        "事项编号": "M01",
        "抽查事项名称": "餐饮服务监督检查",
        "实施部门": "市场监管局",
        "检查依据": "食品安全法",
        "检查对象": "食品经营者",
        "检查方式": "现场检查",
        "事项类别": "一般",
        "公布日期": None,
    }
    assert office.lists("matters", rows=[matter]).status_code == 201
    ready(office, targets(), matters=MATTERS)
    answer = office.freeze(population=None)
    assert answer.status_code == 422
    assert "not published" in answer.json()["detail"]
    office.lists("matters", rows=[{**matter, "公布日期": "2026-01-01"}])
    assert office.freeze(population=None).status_code == 200
