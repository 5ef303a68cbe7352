"""What goes wrong with pools and teams is refused in words that say what to do."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from serving.ledger.engine import Ledger
from tests.serving.inspecting.office import Office, code, declared, firms, people
from tests.serving.inspecting.test_inspecting_population import decide, ready, targets


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({"capacity": {"per_month": 1}}, "the capacity is"),
        ({"allocation": {"by": "risk"}, "capacity": {"per_month": 900}}, "is more than the 120"),
        ({"strata": ["grade", "office"]}, None),
        ({"strata": ["grade", "name"]}, "have no name"),
        ({"ratios": {"A": 0.1}}, "has no ratio"),
    ],
)
def test_a_pool_that_does_not_fit_is_not_frozen(
    office: Office, plan: dict[str, Any], told: str | None
) -> None:
    assert office.draft(declared(**plan)).status_code == 201
    office.approve()
    rows = firms()
    rows[3]["name"] = None
    answer = office.freeze(population=rows)
    assert answer.status_code == (422 if told else 200)
    assert (told or "") in answer.text
    state = office.get(who=office.drafter).json()["periods"][0]["state"]
    assert state == ("approved" if told else "frozen")


@pytest.mark.parametrize("ratio", [0, 1.5, -1])
def test_a_ratio_is_a_share(office: Office, ratio: float) -> None:
    answer = office.draft(declared(ratios={"A": ratio}))
    assert answer.status_code == 422
    assert "ratios" in answer.text


def test_a_decision_that_has_expired_grades_nobody(office: Office, ledger: Ledger) -> None:
    ready(office, targets(信用风险等级=None))
    for number in range(40):
        lapsed = date(2026, 11, 22) if number == 7 else date(2026, 11, 23)
        decide(ledger, number, "C", on=date(2026, 11, 1), valid_until=lapsed)
    answer = office.freeze(population=None)
    assert answer.status_code == 422
    assert "1 of 40 targets have no grade that holds today" in answer.json()["detail"]
    assert "(1 of a decision that has expired)" in answer.json()["detail"]
    decide(ledger, 7, "D", on=date(2026, 11, 23))
    made = office.freeze(population=None).json()["made_with"]
    assert (made["graded_by_decision"], made["graded_by_list"]) == (40, 0)


def test_a_grade_of_the_list_stands_in_for_an_expired_decision_and_that_is_told(
    office: Office, ledger: Ledger
) -> None:
    ready(office, targets())
    decide(ledger, 7, "D", on=date(2026, 11, 1), valid_until=date(2026, 11, 22))
    made = office.freeze(population=None).json()["made_with"]
    assert (made["graded_by_decision"], made["graded_by_list"]) == (0, 40)
    assert made["graded_by_list_for_expired_decision"] == 1


def test_a_target_stands_on_the_list_once(office: Office) -> None:
    answer = office.lists("pools/targets", rows=[*targets(), targets()[4]])
    assert answer.status_code == 422
    assert {one["field"] for one in answer.json()["faults"]} == {"subject_id"}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"有效期至": "2026-12-15"}, "not valid throughout the period"),
        ({"请假日期": "2026-12-20/2026-12-24"}, "are on leave"),
        ({"可检查事项": "M99"}, "are not qualified for the matters"),
        ({"执法区域": "4403"}, "are of other regions"),
        ({"回避对象": "；".join(code(n) for n in range(10))}, "must keep away"),
    ],
)
def test_inspectors_who_cannot_go_are_told_by_what_binds(
    office: Office, changed: dict[str, object], told: str
) -> None:
    rows = [{**row, "grade": "B"} for row in firms(10)]
    office.drawn(declared(ratios={"B": 1.0}), population=rows)
    office.lists("pools/inspectors", rows=[{**row, **changed} for row in people()])
    refused = office.assign()
    assert refused.status_code == 422
    assert "10 of 10 tasks cannot have a team of 2" in refused.json()["detail"]
    assert told in refused.json()["detail"]
    if told.endswith(("period", "leave")):
        assert office.assign(ends="2026-12-10").status_code == 201


def test_leave_and_conflicts_are_entered_on_the_list_and_kept_to(office: Office) -> None:
    office.drawn()
    base = office.lists("pools/inspectors", rows=people()).json()["edition"]
    drawn = [one["subject_id"] for one in office.get("/record").json()["drawn"]]
    path = "/v1/pools/inspectors"

    def change(rows: list[dict[str, Any]], **more: object) -> Any:  # noqa: ANN401
        body = {"rows": rows, **more}
        return office.client.patch(path, json=body, headers=office.drafter)

    away = {"key": "i0", "cells": {"请假日期": ["2026-12-01/2026-12-02"]}}
    close = {"key": "i1", "cells": {"conflicts": drawn}}
    made = change([away, close], base=base["number"], note="请假、回避")
    assert made.status_code == 200, made.text
    assert (made.json()["number"], made.json()["rows"]) == (2, base["rows"])
    assert change([away], base=1).json()["type"] == "/problems/list-changed"
    told = office.client.get(
        f"{path}/difference", params={"old": 1, "new": 2}, headers=office.drafter
    ).json()
    assert {(one["inspector_id"], one["field"]) for one in told} == {
        ("i0", "leave"),
        ("i1", "conflicts"),
    }
    assert change([{"key": "i9", "cells": {"leave": None}}]).status_code == 404
    assert change([{"key": "i0", "cells": {"工号": "i8"}}]).json()["type"] == (
        "/problems/no-such-field"
    )
    wrong = change([{"key": "i0", "cells": {"leave": "明天"}}])
    assert (wrong.status_code, wrong.json()["type"]) == (422, "/problems/faulty-rows")
    tasks = office.assign().json()
    assert tasks["inspectors"] == made.json()["version"]
    going = {one for task in tasks["tasks"] for one in task["team"]}
    assert not going & {"i0", "i1"}
    cleared = change([{"key": "i0", "cells": {"leave": None}}])
    assert cleared.json()["number"] == 3
