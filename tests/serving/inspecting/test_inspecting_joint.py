"""One door, several matters: visits that departments and plans make together, and the cap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from serving.auth.roles import Role
from serving.ledger.engine import Ledger
from tests.serving.inspecting.office import MATTERS, Headers, Office, code, declared, firms, people
from tests.serving.inspecting.test_inspecting_population import targets

FIRE = {**MATTERS[0], "id": "M02", "title": "消防安全检查", "department": "消防救援局"}
CITY = declared()["departments"]
JOINT: dict[str, Any] = {"departments": [*CITY, "消防救援局"], "matters": [*MATTERS, FIRE]}
ALONE: dict[str, Any] = {"departments": ["消防救援局"], "matters": [FIRE]}
ALL = {"A": 1.0, "B": 1.0, "C": 1.0, "D": 1.0}
"""Ratios with which everybody is drawn."""
Row = Mapping[str, Any]


def few(many: int = 10, **changed: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return some firms, all of one grade."""
    return [{**row, "grade": "B", **changed} for row in firms(many)]


def experts(number: int, matter: str) -> list[dict[str, Any]]:
    """Return inspectors who are qualified for one matter alone."""
    rows = people(number)
    for row in rows:
        row["人员编号"] += matter
        row["执法证编号"] += matter
        row["可检查事项"] = matter
    return rows


def visits(office: Office) -> list[dict[str, Any]]:
    """Return the visits of the plan."""
    answer = office.get("/visits", who=office.drafter)
    assert answer.status_code == 200, answer.text
    return answer.json()


def teams(tasks: Sequence[Row]) -> dict[str, set[str]]:
    """Return who goes to each subject."""
    found: dict[str, set[str]] = {}
    for one in tasks:
        found.setdefault(one["subject_id"], set()).update(one["team"])
    return found


def all_drawn(office: Office, name: str, **plan: Any) -> None:  # noqa: ANN401
    """Carry a plan out that draws everybody of a few firms."""
    changed = {"ratios": ALL, **plan}
    office.drawn(office.another(name, **changed), population=few())


def test_who_is_qualified_for_all_matters_goes_alone_for_all_departments(office: Office) -> None:
    office.drawn(declared(**JOINT))
    office.lists("pools/inspectors", rows=people())
    tasks = office.assign().json()["tasks"]
    assert all(one["matters"] == ["M01", "M02"] for one in tasks)
    assert all(len(one["team"]) == 2 for one in tasks)
    (visit, *others) = visits(office)
    assert len(others) + 1 == len(tasks)
    assert visit["tasks"][0]["departments"] == ["市场监管局", "消防救援局"]


def test_experts_of_each_department_go_together_as_one_visit(office: Office) -> None:
    office.drawn(declared(**JOINT))
    office.lists("pools/inspectors", rows=[*experts(4, "M01"), *experts(4, "M02")])
    tasks = office.assign().json()["tasks"]
    assert {tuple(one["matters"]) for one in tasks} == {("M01",), ("M02",)}
    for visit in visits(office):
        assert [one["matters"] for one in visit["tasks"]] == [["M01"], ["M02"]]
        assert len(visit["team"]) == 4
        assert visit["ground"] is None
    assert len({one["visit_id"] for one in tasks}) == len(tasks) / 2


def test_too_few_who_can_do_all_do_not_stop_what_departments_can(office: Office) -> None:
    office.drawn(declared(ratios=ALL, **JOINT), population=few())
    able = [{**row, "任务上限": 2} for row in people(2)]
    office.lists("pools/inspectors", rows=[*able, *experts(3, "M01"), *experts(3, "M02")])
    answer = office.assign()
    assert answer.status_code == 201, answer.text
    assert len(teams(answer.json()["tasks"])) == 10


def test_a_team_takes_over_what_another_plan_drew_at_the_same_target(office: Office) -> None:
    office.lists("pools/inspectors", rows=people(9))
    all_drawn(office, "food_2026")
    first = office.assign().json()["tasks"]
    all_drawn(office, "fire_2026", **ALONE)
    second = office.assign().json()["tasks"]
    assert teams(first) == teams(second)
    assert {one["visit_id"] for one in first} == {one["visit_id"] for one in second}
    for visit in visits(office):
        assert [one["plan"] for one in visit["tasks"]] == ["fire_2026", "food_2026"]
        assert len(visit["team"]) == 2


def test_results_of_a_joint_visit_stay_apart(office: Office) -> None:
    office.lists("pools/inspectors", rows=people(9))
    all_drawn(office, "food_2026")
    office.assign()
    all_drawn(office, "fire_2026", **ALONE)
    tasks = office.assign().json()
    office.later(days=2)
    told = office.post("results", office.inspector, rows=office.filled(tasks)).json()
    assert (told["accepted"], told["missing"]) == (10, 0)
    office.plan = "food_2026"
    assert len(office.get("/results", who=office.drafter).json()["missing"]) == 10


def test_who_is_not_qualified_is_joined_by_others(office: Office) -> None:
    office.lists("pools/inspectors", rows=[*experts(4, "M01"), *experts(4, "M02")])
    all_drawn(office, "food_2026")
    office.assign()
    all_drawn(office, "fire_2026", **ALONE)
    office.assign()
    for visit in visits(office):
        assert len(visit["team"]) == 4
        assert {one["plan"] for one in visit["tasks"]} == {"food_2026", "fire_2026"}


def test_other_days_are_another_visit(office: Office) -> None:
    office.lists("pools/inspectors", rows=people(9))
    all_drawn(office, "food_2026")
    office.assign(ends="2026-11-30")
    all_drawn(office, "fire_2026", **ALONE)
    office.assign(starts="2026-12-01")
    assert all(len(one["tasks"]) == 1 for one in visits(office))


def test_a_plan_says_how_far_apart_visits_are_still_one(office: Office) -> None:
    office.lists("pools/inspectors", rows=people(9))
    all_drawn(office, "food_2026")
    office.assign(starts="2026-12-10")
    all_drawn(office, "fire_2026", merge={"within": "7d"}, **ALONE)
    office.assign()
    assert all(len(one["tasks"]) == 1 for one in visits(office))


def test_a_visit_that_was_made_is_not_joined(office: Office) -> None:
    office.lists("pools/inspectors", rows=people(9))
    all_drawn(office, "food_2026")
    tasks = office.assign().json()
    office.later(days=2)
    office.post("results", office.inspector, rows=office.filled(tasks)[:4])
    all_drawn(office, "fire_2026", **ALONE)
    office.assign()
    assert sorted(len(one["tasks"]) for one in visits(office)) == [1] * 4 + [2] * 6


def test_a_recusal_takes_somebody_off_the_whole_visit(office: Office) -> None:
    office.drawn(declared(**JOINT))
    office.lists("pools/inspectors", rows=[*people(2), *experts(1, "M01"), *experts(1, "M02")])
    tasks = office.assign().json()["tasks"]
    pairs = zip(tasks[::2], tasks[1::2], strict=True)
    one, other = next(both for both in pairs if set(both[0]["team"]) & set(both[1]["team"]))
    who = min(set(one["team"]) & set(other["team"]))
    told = {"task_id": one["task_id"], "inspector_id": who, "reason": "近亲属"}
    gone = office.post("recusals", office.drafter, **told)
    assert gone.status_code == 201, gone.text
    wanted = [one["task_id"], other["task_id"]]
    assert [each["task_id"] for each in gone.json()["recusals"]] == wanted
    visit = next(each for each in visits(office) if each["visit_id"] == one["visit_id"])
    assert who not in visit["team"]
    assert len(visit["team"]) == 3


# The cap


def test_the_cap_is_of_all_plans_of_the_year(office: Office) -> None:
    office.lists("pools/inspectors", rows=people(9))
    early = [{"id": "Q3", "first": "2026-07-01", "last": "2026-09-30"}]
    all_drawn(office, "food_2026", periods=early)
    office.draft(office.another("fire_2026", ratios=ALL, caps={"per_year": 1}, **ALONE))
    office.approve()
    refused = office.freeze(population=few())
    assert refused.status_code == 422
    assert "empty" in refused.json()["detail"]
    more = office.freeze(population=few(14))
    assert more.status_code == 200, more.text
    assert more.json()["commitment"]["subjects"] == 4


def test_a_visit_of_several_plans_uses_the_cap_once(office: Office) -> None:
    office.lists("pools/inspectors", rows=people(9))
    once = {"caps": {"per_year": 1}}
    all_drawn(office, "food_2026", **once)
    assert office.assign().status_code == 201
    all_drawn(office, "fire_2026", **once, **ALONE)
    later = office.assign(starts="2026-12-01", ends="2026-12-31")
    assert later.status_code == 201, later.text
    months = [{"id": "E", "first": "2026-11-01", "last": "2026-11-20"}]
    office.draft(office.another("third_2026", ratios=ALL, periods=months, caps={"per_year": 2}))
    office.approve()
    assert office.freeze(population=few()).status_code == 200


def test_nobody_is_sent_past_the_cap_without_a_ground(office: Office) -> None:
    office.lists("pools/inspectors", rows=people(9))
    once = {"caps": {"per_year": 1}}
    all_drawn(office, "food_2026", **once)
    office.assign(ends="2026-11-30")
    all_drawn(office, "fire_2026", **once, **ALONE)
    days = {"starts": "2026-12-01", "ends": "2026-12-31"}
    refused = office.assign(**days)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/past-cap")
    assert len(refused.json()["subjects"]) == 10
    assert "complaint" in refused.json()["detail"]
    every = [{"subject_id": code(n), "ground": "complaint"} for n in range(10)]
    assert office.assign(exempt=every[:9], **days).json()["subjects"] == [code(9)]
    strange = [{"subject_id": code(99), "ground": "accident"}]
    assert "was not drawn" in office.assign(exempt=strange, **days).json()["detail"]
    assert office.assign(exempt=every, **days).status_code == 201
    assert {one["ground"] for one in visits(office)} == {"complaint"}


def test_an_exempted_target_may_be_drawn_again_and_counts_for_nobody(office: Office) -> None:
    office.lists("pools/inspectors", rows=people(9))
    early = {"periods": [{"id": "Q3", "first": "2026-07-01", "last": "2026-09-30"}]}
    all_drawn(office, "food_2026", **early)
    office.draft(office.another("fire_2026", ratios=ALL, caps={"per_year": 1}, **ALONE))
    office.approve()
    some = [{"subject_id": code(n), "ground": "superior"} for n in range(3)]
    strange = [{"subject_id": code(99), "ground": "superior"}]
    assert office.freeze(population=few(), exempt=strange).status_code == 422
    assert office.freeze(population=few(), exempt=some).json()["commitment"]["subjects"] == 3
    office.seed()
    office.post("draw", office.drafter)
    assert office.assign().status_code == 201
    assert {one["ground"] for one in visits(office)} == {"superior"}
    last = {"periods": [{"id": "Z", "first": "2026-10-01", "last": "2026-10-31"}]}
    office.draft(office.another("third_2026", ratios=ALL, caps={"per_year": 2}, **last))
    office.approve()
    assert office.freeze(population=few()).json()["commitment"]["subjects"] == 10


def test_a_target_in_two_pools_waits_for_the_first_draw(office: Office) -> None:
    early = {"periods": [{"id": "Q3", "first": "2026-07-01", "last": "2026-09-30"}]}
    once = {"caps": {"per_year": 1}, "ratios": {**ALL, "B": 0.5}}
    office.draft(office.another("food_2026", **once, **early))
    office.approve()
    assert office.freeze(population=few()).status_code == 200
    office.draft(office.another("fire_2026", **once, **ALONE))
    office.approve()
    refused = office.freeze(population=few())
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/in-two-pools")
    assert refused.json()["pools"] == ["food_2026/Q3"]
    office.plan = "food_2026"
    office.seed()
    drawn = office.post("draw", office.drafter).json()["drawn"]
    office.plan = "fire_2026"
    made = office.freeze(population=few())
    assert made.json()["commitment"]["subjects"] == 10 - drawn


def test_what_is_left_of_a_cap_is_shown_with_the_next_visit_to_join(
    office: Office, as_caller: Callable[..., Headers]
) -> None:
    office.lists("pools/inspectors", rows=people(9))
    office.lists("pools/targets", rows=targets())
    once = {"caps": {"per_year": 3}}
    path = f"/v1/pools/targets/{code(2)}/cap"

    def left(**asked: int) -> dict[str, Any]:
        answer = office.client.get(path, params=asked, headers=office.drafter)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert (left()["cap"], left()["used"], left()["next_merge"]) == (None, 0, None)
    all_drawn(office, "food_2026", **once)
    assert [one["task_id"] for one in left()["visits"]] == [None]
    office.assign()
    all_drawn(office, "fire_2026", **once, **ALONE)
    office.assign()
    told = left()
    assert (told["cap"], told["used"], told["remaining"]) == (3, 1, 2)
    assert told["next_merge"] == "2026-11-24"
    assert [one["plan"] for one in told["visits"]] == ["fire_2026", "food_2026"]
    assert len({one["visit_id"] for one in told["visits"]}) == 1
    assert left(year=2025)["visits"] == []
    other = as_caller(roles=[Role.VIEWER], regions=("2102",))
    assert office.client.get(path, headers=other).status_code == 404
    strange = office.client.get(f"/v1/pools/targets/{code(99)}/cap", headers=office.drafter)
    assert strange.status_code == 404


def test_visits_are_seen_in_their_regions_and_never_changed(
    office: Office, as_caller: Callable[..., Headers], ledger: Ledger
) -> None:
    tasks = office.sent()["tasks"]
    dalian = as_caller(roles=[Role.ANALYST], regions=("2102",))
    seen = office.get("/visits", who=dalian).json()
    assert {one["subject_id"] for one in seen} == {
        one["subject_id"] for one in tasks if one["region"] == "210202"
    }
    assert office.get("/visits").status_code == 401
    with pytest.raises(Exception, match="append-only"), ledger.begin() as connection:
        connection.execute(text("update inspection_visit set visit_id = 'x'"))
