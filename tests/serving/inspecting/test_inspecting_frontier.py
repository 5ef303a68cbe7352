"""The frontier of a plan, as data and as a picture, and the point that an office picks."""

from __future__ import annotations

from typing import Any

import pytest

from models.inspection.frontier import POINTS
from tests.serving.inspecting.office import Office, declared, firms
from tests.serving.inspecting.test_inspecting_population import targets

RISK = {"allocation": {"by": "risk", "precision": 0.1}, "capacity": {"per_month": 20}}


def points(office: Office, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the frontier over the firms."""
    answer = office.post("frontier", office.drafter, population=firms(), **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_frontier_goes_from_findings_to_precision(office: Office) -> None:
    office.draft(declared(**RISK))
    told = points(office)
    assert (told["period"], told["chosen"]) == ("Q4", 0.1)
    assert set(told["points"][0]) == set(POINTS)
    line = [one for one in told["points"] if one["mix"] == "risk"]
    assert line[0]["findings"] > line[-1]["findings"]
    assert line[0]["half_width"] > line[-1]["half_width"]
    greedy = next(one for one in told["points"] if one["mix"] == "greedy")
    assert greedy["findings"] >= line[0]["findings"]


def test_the_picture_is_of_the_same_points(office: Office) -> None:
    office.draft()
    path = "frontier?format=svg"
    answer = office.post(path, office.drafter, population=firms())
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert answer.text.startswith(("<svg", "<?xml"))
    assert "按等级" in answer.text


def test_a_frontier_is_of_the_list_of_targets_where_nobody_is_told(office: Office) -> None:
    office.draft(declared(**RISK))
    none = office.get("/frontier", who=office.drafter)
    assert none.status_code == 422
    office.lists("pools/targets", rows=targets())
    refused = office.get("/frontier", who=office.drafter)
    assert "have no probability" in refused.json()["detail"]


@pytest.mark.parametrize(
    "asked", [{"precision": 2.5}, {"half_width": 0.12}, {"share": 0.7}], ids=lambda a: next(iter(a))
)
def test_the_point_that_is_picked_stands_in_the_plan(
    office: Office, asked: dict[str, float]
) -> None:
    digest = office.draft(declared(**RISK)).json()["digest"]
    body = {"base": digest, "population": firms(), **asked}
    answer = office.post("frontier/choice", office.drafter, **body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    rule = told["plan"]["allocation"]
    assert (told["edition"], rule["by"]) == (2, "risk")
    if "precision" in asked:
        assert rule["precision"] == 2.5
    chosen = next(
        one for one in points(office)["points"] if one["precision"] == rule["precision"]
    ) if "precision" not in asked else {"half_width": 0, "findings": 1e9}  # fmt: skip
    assert chosen["half_width"] <= asked.get("half_width", 1)
    assert points(office)["chosen"] == rule["precision"]
    stale = office.post("frontier/choice", office.drafter, **body)
    assert (stale.status_code, stale.json()["type"]) == (409, "/problems/plan-changed")
    assert office.approve().status_code == 200
    late = office.post("frontier/choice", office.drafter, **{**body, "base": told["digest"]})
    assert (late.status_code, late.json()["type"]) == (409, "/problems/not-in-this-state")


def test_a_point_that_is_not_there_is_not_picked(office: Office) -> None:
    digest = office.draft(declared(**RISK)).json()["digest"]
    body = {"base": digest, "population": firms()}
    narrow = office.post("frontier/choice", office.drafter, half_width=0.0001, **body)
    assert narrow.status_code == 422
    assert "the best is" in narrow.json()["detail"]
    both = office.post("frontier/choice", office.drafter, share=0.5, precision=1, **body)
    assert "exactly one" in both.json()["detail"]
    assert office.post("frontier/choice", office.inspector, precision=1, **body).status_code == 403
    assert office.get(who=office.drafter).json()["edition"] == 1
