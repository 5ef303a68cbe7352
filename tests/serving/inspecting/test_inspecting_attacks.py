"""What somebody may try against an office: pools, names, hours and hands of others."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
from sqlalchemy import text

from serving.auth.roles import Role
from serving.ledger.engine import Ledger
from tests.serving.inspecting.office import SOURCES, Headers, Office, code, declared, firms, people
from tests.serving.inspecting.test_inspecting_joint import JOINT, few
from tests.serving.inspecting.test_inspecting_population import decide, ready, targets
from tests.serving.inspecting.test_inspecting_trials import compared, declare, fill, seed

SERIOUS = "serious_dishonest"


def approved(office: Office, plan: object = None, **more: Any) -> None:  # noqa: ANN401
    """Have a plan approved."""
    assert office.draft(plan, **more).status_code == 201
    assert office.approve().status_code == 200


def state(office: Office) -> str:
    """Return the state of the plan's only period."""
    return office.get(who=office.drafter).json()["periods"][0]["state"]


@pytest.mark.parametrize(
    "subject", ["a,b", " a", "a\u2028b", "a\x85b", "\ufeffa", "a\ud800"], ids=ascii
)
def test_an_id_that_no_line_can_hold_is_refused(office: Office, subject: str) -> None:
    approved(office)
    rows = firms(20)
    rows[0]["subject_id"] = subject
    path = f"/v1/plans/{office.plan}/freeze"
    body = json.dumps({"sources": SOURCES, "population": rows})
    headers = {**office.drafter, "Content-Type": "application/json"}
    answer = office.client.post(path, content=body, headers=headers)
    assert answer.status_code == 422, answer.text
    assert state(office) == "approved"


@pytest.mark.parametrize(
    "sources", [["drand 1", "DRAND  1"], ["a\u2028b"], ["a\x86b"], [" "], ["a", "a"]], ids=ascii
)
def test_sources_that_no_seed_can_name_are_refused_at_the_freeze(
    office: Office, sources: list[str]
) -> None:
    approved(office)
    assert office.freeze(sources=sources).status_code == 422


def test_a_subject_twice_in_a_pool_is_refused(office: Office) -> None:
    approved(office)
    rows = firms(20)
    for twin in (rows[3], {**rows[3], "grade": "D"}):
        answer = office.freeze(population=[*rows, twin])
        assert answer.status_code == 422, answer.text
        assert code(3) in answer.json()["detail"]


def test_a_pool_of_another_city_is_refused(office: Office) -> None:
    approved(office, region="2101")
    refused = office.freeze()
    assert refused.status_code == 422
    assert "not of region '2101'" in refused.json()["detail"]
    own = [row for row in firms() if row["region"] == "210102"]
    assert office.freeze(population=own).status_code == 200


def test_a_list_beside_a_population_told_inline_is_not_lost(office: Office) -> None:
    approved(office, declared(mandatory=[{"list": SERIOUS}]))
    named = [{"subject_id": code(5), "list": SERIOUS}]
    answer = office.freeze(mandatory=named)
    assert answer.status_code == 422
    assert "'mandatory' of each" in answer.json()["detail"]


def test_a_list_that_the_plan_does_not_visit_is_refused(office: Office) -> None:
    ready(office, targets())
    named = [{"subject_id": code(5), "list": SERIOUS}]
    answer = office.freeze(population=None, mandatory=named)
    assert answer.status_code == 422
    assert "the plan does not name" in answer.json()["detail"]


def test_a_subject_named_twice_is_refused(office: Office) -> None:
    ready(office, targets(), mandatory=[{"list": SERIOUS}, {"list": "veto"}])
    both = [{"subject_id": code(5), "list": one} for one in (SERIOUS, "veto")]
    assert "twice" in office.freeze(population=None, mandatory=both).text
    grounds = [{"subject_id": code(5), "ground": one} for one in ("complaint", "report")]
    answer = office.freeze(population=None, exempt=grounds)
    assert answer.status_code == 422
    assert "twice" in answer.text
    assert office.freeze(population=None, mandatory=both[:1]).status_code == 200


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_nobody_has_no_chance_or_more_than_one(office: Office, chance: float) -> None:
    plan = declared(allocation={"by": "risk", "precision": 0.2}, capacity={"per_month": 16})
    rows = [{**row, "probability": chance} for row in firms()]
    rows[0]["probability"] = 1 - chance
    office.drawn(plan, population=rows)
    for number in (0, 1):
        told = office.get(f"/lines/{code(number)}").json()
        assert 0 < told["inclusion_probability"] <= 1
        assert 0 < told["pi"] <= 1


def test_what_is_decided_after_the_freeze_is_not_looked_at(office: Office, ledger: Ledger) -> None:
    ready(office, targets(), ratios={"A": 0.3, "B": 0.3})
    made = office.freeze(population=None).json()
    pool = office.get("/pool", who=office.drafter).content
    for number in range(40):
        decide(ledger, number, "D", on=date(2026, 11, 23), probability=0.99, vetoes=["serious"])
    swapped = [{**row, "信用风险等级": "D", "经营状态": "注销"} for row in targets()]
    assert office.lists("pools/targets", rows=swapped, mode="replace").status_code in {201, 422}
    assert office.seed().status_code == 200
    assert office.post("draw", office.drafter).status_code == 200
    assert office.get("/pool", who=office.drafter).content == pool
    told = office.get("/verify").json()
    assert (told["commitment"], told["made_with"]) == (made["commitment"], made["made_with"])
    office.lists("pools/inspectors", rows=people())
    tasks = office.assign().json()
    office.later(days=2)
    office.post("results", office.inspector, rows=office.filled(tasks))
    rates = office.get("/estimate", who=office.drafter, by=["grade"]).json()["rates"]
    assert {one["grade"] for one in rates} == {"A", "B"}


def test_a_result_that_stands_twice_is_refused_and_told(office: Office) -> None:
    rows = office.filled(office.sent())
    office.later(days=2)
    for row in rows:
        row["检查结束日期"] = "2026-11-25"
    twice = [*rows, {**rows[0], "检查结果": "IR1"}]
    told = office.post("results", office.inspector, rows=twice).json()
    assert told["accepted"] == len(rows) - 1
    assert told["refused"] == 2
    assert told["missing"] == 1


def test_nothing_comes_in_after_the_close(office: Office) -> None:
    tasks = office.sent()
    rows = office.filled(tasks)
    office.later(days=2)
    for row in rows:
        row["检查结束日期"] = "2026-11-25"
    office.post("results", office.inspector, rows=rows)
    for act in ("publish", "close"):
        assert office.post(act, office.chief).status_code == 200
    first = tasks["tasks"][0]
    gone = {"task_id": first["task_id"], "inspector_id": first["team"][0], "reason": "近亲属"}
    answers = (
        office.post("results", office.inspector, rows=rows[:1]),
        office.post("recusals", office.drafter, **gone),
        office.post("publish", office.chief),
        office.post("close", office.chief),
        office.assign(),
    )
    assert {one.status_code for one in answers} == {409}


def test_a_recusal_beside_results_leaves_nothing_half_done(office: Office) -> None:
    tasks = office.sent()
    first = tasks["tasks"][0]
    rows = office.filled(tasks)
    office.later(days=2)
    for row in rows:
        row["检查结束日期"] = "2026-11-25"
    gone = {"task_id": first["task_id"], "inspector_id": first["team"][0], "reason": "近亲属"}
    calls = [("recusals", gone, office.drafter), ("results", {"rows": rows}, office.inspector)]

    def act(one: tuple[str, dict[str, Any], Headers]) -> Any:  # noqa: ANN401
        path, body, who = one
        whole = f"/v1/plans/{office.plan}/{path}"
        return office.client.post(whole, json=body, headers=who)

    with ThreadPoolExecutor(2) as pool:
        recused, taken = pool.map(act, calls)
    assert taken.status_code == 201, taken.text
    told = taken.json()
    assert told["accepted"] + told["refused"] == len(rows)
    kept = office.get("/results", who=office.drafter).json()
    assert len(kept["results"]) == told["accepted"]
    assert recused.status_code == 201, recused.text
    assert office.get("/tasks", who=office.drafter).json()["number"] == 2


def test_of_two_plans_frozen_at_once_one_waits_for_the_other(office: Office) -> None:
    names = ("first_2026", "second_2026")
    periods = [{"id": "Q4", "first": "2026-11-24", "last": "2026-12-31"}]
    for name in names:
        approved(office, office.another(name, caps={"per_year": 1}, periods=periods,
                                        ratios={"B": 0.5}, merge=None))  # fmt: skip
    office.later(seconds=1)

    def freeze(name: str) -> int:
        body = {"sources": SOURCES, "population": few()}
        path = f"/v1/plans/{name}/freeze"
        return office.client.post(path, json=body, headers=office.drafter).status_code

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(freeze, names)) <= {200, 409}


def test_a_plan_of_another_city_is_not_there_whatever_is_asked(
    office: Office, as_caller: Callable[..., Headers]
) -> None:
    office.arrive(regions=("2101",))
    approved(office, region="2101")
    own = [row for row in firms() if row["region"] == "210102"]
    for answer in (office.freeze(population=own), office.seed()):
        assert answer.status_code == 200, answer.text
    office.post("draw", office.drafter)
    away = as_caller(roles=[Role.ANALYST, Role.PUBLISHER, Role.INSPECTOR], regions=("2102",))
    gets = ("", "/pool", "/checks", "/strata", "/tasks", "/results", "/visits", "/sheets")
    for path in (*gets, "/estimate", "/estimate/combined", "/frontier"):
        assert office.get(path, who=away).status_code == 404, path
    rows = [{"任务编号": "T000001"}]
    posts: dict[str, dict[str, Any]] = {
        "freeze": {"sources": SOURCES},
        "seed": {"entropy": office.values()},
        "draw": {},
        "tasks": {"authority": "某局"},
        "results": {"rows": rows},
        "publish": {},
        "close": {},
        "dry-run": {},
        "approve": {"digest": "0" * 64},
        "recusals": {"task_id": "T000001", "inspector_id": "i1", "reason": "亲属"},
    }
    for path, body in posts.items():
        assert office.post(path, away, **body).status_code == 404, path
    found = office.client.get("/v1/estimates", params={"draw": f"{office.plan}/Q4"}, headers=away)
    assert found.status_code == 404


def test_a_city_does_not_try_a_provinces_plan_out_on_the_provinces_list(
    office: Office, as_caller: Callable[..., Headers]
) -> None:
    office.lists("pools/targets", rows=targets(), region="21")
    office.draft(region="21")
    dalian = as_caller(roles=[Role.ANALYST], regions=("2102",))
    assert office.get(who=dalian).status_code == 200
    assert office.post("dry-run", dalian).status_code == 403
    assert office.get("/frontier", who=dalian).status_code == 403


def test_units_without_inspections_or_findings_are_no_error_of_ours(office: Office) -> None:
    declare(office)
    units = seed(office).json()["units"]
    zero = [{"unit_id": one["unit_id"], "inspections": 0, "findings": 0} for one in units]
    assert fill(office, zero).status_code == 201
    assert compared(office).status_code in {200, 409, 422}
    none = [{**row, "inspections": 10, "cost": 0, "days_earlier": 0} for row in zero]
    assert fill(office, none).status_code == 201
    assert compared(office).status_code in {200, 409, 422}
    vast = [{**row, "inspections": 10**9, "findings": 10**9, "cost": 1e12,
             "days_earlier": -1e9} for row in zero]  # fmt: skip
    assert fill(office, vast).status_code == 201
    assert compared(office, level=0.999999).status_code in {200, 409, 422}


def test_of_two_who_assign_a_trial_at_once_one_does(office: Office) -> None:
    declare(office)
    body = {"entropy": office.values()}
    path = "/v1/trials/trial_2026/seed"

    def call(_: int) -> int:
        return office.client.post(path, json=body, headers=office.drafter).status_code

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(call, range(3))) == [200, 409, 409]


def test_a_seed_is_of_the_pool_that_was_frozen(office: Office, ledger: Ledger) -> None:
    approved(office)
    office.freeze()
    office.seed()
    with ledger.begin() as connection:
        connection.execute(text("alter table inspection_seed disable trigger append_only"))
        connection.execute(
            text("update inspection_seed set content = replace(content, :old, :new)"),
            {"old": '"value":"', "new": '"value":"1'},
        )
    answer = office.post("draw", office.drafter)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/seed-changed")
    assert state(office) == "seeded"


def test_a_plan_of_other_departments_is_not_there(
    office: Office, as_caller: Callable[..., Headers]
) -> None:
    fire = as_caller(roles=[Role.ANALYST, Role.INSPECTOR], departments=("消防救援局",))
    assert office.draft().status_code == 201
    assert office.get(who=fire).status_code == 404
    assert office.client.get("/v1/plans", headers=fire).json() == []
    body = {"plan": declared(id="own_2026")}
    refused = office.client.post("/v1/plans", json=body, headers=fire)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/outside-scope")
    joint = {"plan": declared(id="joint_2026", **JOINT)}
    made = office.client.post("/v1/plans", json=joint, headers=fire)
    assert made.status_code == 201, made.text
    away = {**declared(id="joint_2026"), "title": "别的计划"}
    edit = {"plan": away, "base": made.json()["digest"]}
    assert office.client.put("/v1/plans/joint_2026", json=edit, headers=fire).status_code == 403
    (mine,) = office.client.get("/v1/plans", headers=fire).json()
    assert mine["id"] == "joint_2026"


def test_a_department_enters_results_of_its_own_matters_alone(
    office: Office, as_caller: Callable[..., Headers]
) -> None:
    rows = office.filled(office.sent(declared(**JOINT)))
    office.later(days=2)
    for row in rows:
        row["检查结束日期"] = "2026-11-25"
    fire = as_caller(roles=[Role.INSPECTOR], departments=("消防救援局",))
    refused = office.post("results", fire, rows=rows)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/outside-scope")
    assert office.get("/results", who=fire).json()["results"] == []
    own = [row for row in rows if row["事项编码"] == "M02"]
    assert office.post("results", fire, rows=own).json()["accepted"] == len(own)
