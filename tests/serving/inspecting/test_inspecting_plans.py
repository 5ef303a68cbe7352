from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from fastapi.testclient import TestClient
from sqlalchemy import text

from models.inspection.progress import State
from serving.auth.roles import Role
from serving.ledger import audit, plans
from serving.ledger.engine import Ledger
from tests.serving.inspecting.office import PLAN, Headers, Office, code, declared, firms


def states(office: Office) -> list[str]:
    return [one["state"] for one in office.get(who=office.drafter).json()["periods"]]


def test_a_plan_is_drafted_edited_and_approved_by_another(office: Office, ledger: Ledger) -> None:
    made = office.draft()
    assert made.status_code == 201
    first = made.json()
    assert (first["edition"], states(office)) == (1, ["draft"])
    changed = office.client.put(
        f"/v1/plans/{PLAN}",
        json={"plan": declared(title="新的名称"), "base": first["digest"]},
        headers=office.drafter,
    )
    assert changed.status_code == 200
    assert changed.json()["edition"] == 2
    assert changed.json()["digest"] != first["digest"]
    answer = office.approve()
    assert answer.status_code == 200
    assert states(office) == ["approved"]
    with ledger.begin() as connection:
        acts = [one["action"] for one in audit.page(connection, target=f"plan:{PLAN}")]
        assert audit.verify(connection).whole
    assert acts == ["plan.draft", "plan.edit", "plan.approved"]


def test_a_plan_is_read_from_yaml_as_from_json(office: Office) -> None:
    as_json = office.draft().json()["digest"]
    other = declared(id="other_2026")
    as_yaml = office.draft(yaml.safe_dump(other, allow_unicode=True)).json()
    assert as_yaml["plan"] == {**office.get(who=office.chief).json()["plan"], "id": "other_2026"}
    assert as_yaml["digest"] != as_json


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({"scenario": "no_such"}, "unknown scenario"),
        ({"periods": []}, "periods"),
        ({"ratios": {"A": 0}}, "ratios"),
        ({"surplus": 1}, "surplus"),
        ({"title": "\ud800"}, "half a character"),
        ({"periods": [{"id": "Q" * 64, "first": "2026-11-24", "last": "2026-12-31"}]}, "shorten"),
    ],
)
def test_a_broken_plan_is_refused_with_the_reason(
    office: Office, plan: dict[str, object], told: str
) -> None:
    import json

    content = json.dumps({"plan": declared(**plan)})
    answer = office.client.post(
        "/v1/plans",
        content=content,
        headers={**office.drafter, "Content-Type": "application/json"},
    )
    assert answer.status_code == 422
    assert told in answer.text


def test_there_is_one_plan_of_an_id(office: Office) -> None:
    office.draft()
    again = office.draft()
    assert (again.status_code, again.json()["type"]) == (409, "/problems/plan-exists")


def test_who_wrote_or_edited_a_plan_does_not_approve_it(
    office: Office, as_caller: Callable[..., Headers]
) -> None:
    digest = office.draft().json()["digest"]
    both = as_caller(roles=[Role.PUBLISHER])
    edited = office.client.put(
        f"/v1/plans/{PLAN}", json={"plan": declared(title="改"), "base": digest}, headers=both
    ).json()
    answer = office.post("approve", both, digest=edited["digest"])
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/own-plan")
    assert office.post("approve", office.drafter, digest=edited["digest"]).status_code == 403
    assert office.approve().status_code == 200


def test_what_was_edited_since_it_was_read_is_not_approved_or_overwritten(office: Office) -> None:
    old = office.draft().json()["digest"]
    edit = {"plan": declared(title="改"), "base": old}
    path = f"/v1/plans/{PLAN}"
    assert office.client.put(path, json=edit, headers=office.drafter).status_code == 200
    again = office.client.put(path, json=edit, headers=office.drafter)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/plan-changed")
    assert office.approve(old).status_code == 409
    assert office.approve().status_code == 200


def test_an_approved_plan_is_not_edited(office: Office) -> None:
    digest = office.draft().json()["digest"]
    office.approve()
    answer = office.client.put(
        f"/v1/plans/{PLAN}", json={"plan": declared(), "base": digest}, headers=office.drafter
    )
    assert answer.status_code == 409
    assert (answer.json()["state"], answer.json()["allowed"]) == ("approved", ["draft"])


def test_of_two_officers_at_once_one_approves(
    office: Office, as_caller: Callable[..., Headers]
) -> None:
    digest = office.draft().json()["digest"]
    chiefs = [as_caller(roles=[Role.PUBLISHER]) for _ in range(4)]

    def approve(who: Headers) -> int:
        return office.client.post(
            f"/v1/plans/{PLAN}/approve", json={"digest": digest}, headers=who
        ).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(approve, chiefs)) == [200, 409, 409, 409]


def test_a_plan_of_another_region_is_not_there(
    office: Office, as_caller: Callable[..., Headers], client: TestClient
) -> None:
    assert office.draft(region="210100").json()["region"] == "2101"
    dalian = as_caller(roles=[Role.ANALYST], regions=("2102",))
    district = as_caller(roles=[Role.ANALYST], regions=("210102",))
    assert office.get(who=dalian).status_code == 404
    assert client.get("/v1/plans", headers=dalian).json() == []
    assert office.get(who=district).status_code == 200
    assert office.post("freeze", district, sources=["a"]).status_code == 403
    beyond = client.post(
        "/v1/plans", json={"plan": declared(id="x"), "region": "2101"}, headers=dalian
    )
    assert beyond.status_code == 403


def test_a_reader_drafts_nothing(office: Office, as_caller: Callable[..., Headers]) -> None:
    office.draft()
    viewer = as_caller(roles=[Role.VIEWER])
    assert office.get(who=viewer).status_code == 200
    assert office.post("dry-run", viewer).status_code == 403
    assert office.post("approve", office.inspector, digest="0" * 64).status_code == 403


def test_a_dry_run_tells_work_coverage_and_findings(office: Office) -> None:
    office.draft()
    answer = office.post("dry-run", office.drafter, population=firms(), frontier=True)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert {one["grade"] for one in told["coverage"]} == set("ABCD")
    assert 0 < told["expected"]["Q4"]["findings"] < told["expected"]["Q4"]["inspections"]
    assert sum(one["visits"] for one in told["workload"]) == pytest.approx(
        told["expected"]["Q4"]["inspections"]
    )
    assert {one["mix"] for one in told["frontier"]} >= {"greedy", "uniform", "risk"}
    assert states(office) == ["draft"]


def test_without_a_list_of_targets_somebody_must_be_named(office: Office) -> None:
    office.draft()
    answer = office.post("dry-run", office.drafter)
    assert answer.status_code == 422
    assert "/v1/pools/targets" in answer.json()["detail"]
    twice = [firms()[0]] * 2
    office.approve()
    refused = office.freeze(population=twice * 5)
    assert refused.status_code == 422
    assert "twice" in refused.json()["detail"]


def test_rows_of_plans_are_never_changed(office: Office, ledger: Ledger) -> None:
    office.draft()
    for table in ("inspection_plan", "inspection_step"):
        with pytest.raises(Exception, match="append-only"), ledger.begin() as connection:
            connection.execute(text(f"update {table} set by = 'x'"))  # noqa: S608


def test_steps_are_kept_in_order(office: Office, ledger: Ledger) -> None:
    office.draft()
    office.approve()
    with ledger.begin() as connection:
        found = plans.find(connection, PLAN)
        assert found is not None
        so_far = plans.progress(connection, found, "Q4")
    assert [one.state for one in so_far.steps] == [State.DRAFT, State.APPROVED]
    assert code(1) != code(2)
