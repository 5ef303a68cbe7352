"""One rate from several draws: of the periods of a plan, and of plans over the same targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from serving.auth.roles import Role
from tests.serving.inspecting.office import MATTERS, Headers, Office, declared, firms, people

PERIODS = [
    {"id": "E", "first": "2026-11-24", "last": "2026-11-30"},
    {"id": "L", "first": "2026-12-01", "last": "2026-12-31"},
]


def carried(office: Office, period: str | None = None, *, bad: int = 5) -> None:
    """Carry a period of the approved plan out, up to its results."""
    for answer in (
        office.freeze(period=period),
        office.seed(period=period),
        office.post("draw", office.drafter, period=period),
    ):
        assert answer.status_code == 200, answer.text
    tasks = office.assign(period=period)
    assert tasks.status_code == 201, tasks.text
    day = max(office.clock.at.date().isoformat(), tasks.json()["tasks"][0]["starts"])
    office.later(days=(int(day[8:]) - office.clock.at.day) % 30)
    rows = office.filled(tasks.json(), bad=bad)
    told = office.post("results", office.inspector, rows=rows, period=period)
    assert (told.status_code, told.json()["refused"]) == (201, 0), told.text


def asked(office: Office, **query: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a combined estimate of several plans."""
    answer = office.client.get("/v1/estimates", params=query, headers=office.drafter)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_periods_of_a_plan_make_one_rate(office: Office) -> None:
    office.lists("pools/inspectors", rows=people(9))
    office.draft(declared(periods=PERIODS, ratios=dict.fromkeys("ABCD", 0.5)))
    office.approve()
    none = office.get("/estimate/combined", who=office.drafter)
    assert none.json()["type"] == "/problems/not-in-this-state"
    office.later(days=1)
    carried(office, "E")
    (alone, whole) = office.get("/estimate/combined", who=office.drafter).json()["rates"]
    assert alone["rate"] == whole["rate"]
    single = office.get("/estimate", who=office.drafter, period="E").json()["rates"][0]
    assert single["rate"] == pytest.approx(whole["rate"])
    carried(office, "L", bad=9)
    told = office.get("/estimate/combined", who=office.drafter).json()
    assert told["draws"] == ["catering_2026/E", "catering_2026/L"]
    first, second, both = told["rates"]
    assert both["period"] is None
    assert min(first["rate"], second["rate"]) < both["rate"] < max(first["rate"], second["rate"])
    assert both["standard_error"] < max(first["standard_error"], second["standard_error"])
    only = office.get("/estimate/combined", who=office.drafter, period=["L"]).json()
    assert only["rates"][-1]["rate"] == second["rate"]
    one = office.get("/estimate/combined", who=office.drafter, as_one=True, method="ht").json()
    assert [row["draws"] for row in one["rates"]] == [2, 2]
    assert one["rates"][0]["population"] == len(firms())


def test_plans_over_the_same_targets_are_one_sample(
    office: Office, as_caller: Callable[..., Headers]
) -> None:
    office.lists("pools/inspectors", rows=people(9))
    names = ("random_2026", "aimed_2026", "other_2026")
    risk = {"allocation": {"by": "risk", "precision": 0.1}, "capacity": {"per_month": 20}}
    fire = {"matters": [{**MATTERS[0], "title": "消防安全检查"}]}
    for name, changed in zip(names, ({}, risk, fire), strict=True):
        office.draft(office.another(name, **changed))
        office.approve()
        if name != "other_2026":
            carried(office)
    told = asked(office, draw=["random_2026", "aimed_2026/Q4"])
    assert told["draws"] == ["random_2026/Q4", "aimed_2026/Q4"]
    assert [row["draws"] for row in told["rates"]] == [2, 2]
    assert told["rates"][0]["population"] == len(firms())
    alone = asked(office, draw=["random_2026"])["rates"][0]
    assert told["rates"][0]["observed"] > alone["observed"]
    unlike = office.client.get("/v1/estimates", params={"draw": names[1:]}, headers=office.drafter)
    assert (unlike.status_code, unlike.json()["type"]) == (422, "/problems/unlike-plans")
    early = office.client.get("/v1/estimates", params={"draw": names[2]}, headers=office.drafter)
    assert early.status_code == 409
    partner = as_caller(roles=[Role.PARTNER])
    path = "/v1/estimates?draw=random_2026"
    assert office.client.get(path, headers=partner).status_code == 403
    assert office.client.get("/v1/estimates?draw=none", headers=office.chief).status_code == 404
