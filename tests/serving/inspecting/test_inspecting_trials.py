"""A trial of the model's list against usual practice, through its routes."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import text

from models.inspection.trial import needed
from serving.auth.roles import Role
from serving.ledger import audit
from serving.ledger.engine import Ledger
from tests.serving.inspecting.office import SOURCES, Headers, Office

OFFICES = ["和平所", "沈河所", "皇姑所", "铁西所"]
DESIGN = {"usual": 0.08, "model": 0.16, "per_unit": 100, "alike": 0.01}
MANY = [f"所{number}" for number in range(2000)]
Row = dict[str, Any]


def declare(office: Office, region: str = "", **changed: object) -> Response:
    """Declare a trial."""
    trial = {
        "id": "trial_2026",
        "title": "模型名单对照试验",
        "offices": OFFICES,
        "periods": ["11月", "12月"],
        "design": DESIGN,
        **changed,
    }
    body = {"region": region, "sources": SOURCES, "trial": trial}
    return office.client.post("/v1/trials", json=body, headers=office.drafter)


def seed(office: Office, **more: object) -> Response:
    """Assign the units of the trial."""
    body = {"entropy": office.values(), **more}
    return office.client.post("/v1/trials/trial_2026/seed", json=body, headers=office.drafter)


def fill(office: Office, rows: list[Row]) -> Response:
    """Enter sums of units."""
    path = "/v1/trials/trial_2026/results"
    return office.client.post(path, json={"rows": rows}, headers=office.inspector)


def compared(office: Office, **asked: float) -> Response:
    """Compare the arms."""
    path = "/v1/trials/trial_2026/comparison"
    return office.client.get(path, params=asked, headers=office.drafter)


def sums(units: list[Row], **more: float) -> list[Row]:
    """Return sums of all units, better where the model's list was used."""
    found = {"model": 16, "usual": 8}
    return [
        {
            "unit_id": one["unit_id"],
            "inspections": 100,
            "findings": found[one["arm"]] + place * place % 5,
            **more,
        }
        for place, one in enumerate(units)
    ]


def test_the_size_is_told_before_anything_is_declared(office: Office) -> None:
    told = office.client.post("/v1/trials/size", json=DESIGN, headers=office.drafter).json()
    wanted = needed(0.08, 0.16, per_unit=100, alike=0.01)
    assert told["units_per_arm"] == wanted.units_per_arm
    assert told["inspections_per_arm"] == wanted.units_per_arm * 100
    alike = {**DESIGN, "model": 0.08}
    refused = office.client.post("/v1/trials/size", json=alike, headers=office.drafter)
    assert refused.status_code == 422
    assert "which difference" in refused.json()["detail"]


def test_chance_assigns_half_of_each_period_and_everybody_can_check_it(office: Office) -> None:
    made = declare(office)
    assert made.status_code == 201, made.text
    told = made.json()
    assert [one["arm"] for one in told["units"]] == [None] * 8
    assert told["size"]["units"] == 8
    assert told["size"]["enough"] == (told["size"]["units_per_arm"] <= 4)
    assert 0.08 < told["size"]["detectable"] <= 1
    done = seed(office).json()
    for period in ("11月", "12月"):
        arms = [one["arm"] for one in done["units"] if one["block"] == period]
        assert sorted(arms) == ["model", "model", "usual", "usual"]
    for one in done["units"]:
        key = sha256(f"{done['seed']['seed']}\n{one['unit_id']}".encode()).hexdigest()
        assert one["key"] == key
    assert done["commitment"] == told["commitment"]


def test_a_trial_is_assigned_once_and_by_what_nobody_knew(office: Office) -> None:
    early = office.values()
    office.later(hours=1)
    assert declare(office).status_code == 201
    assert declare(office).json()["type"] == "/problems/trial-exists"
    assert compared(office).json()["type"] == "/problems/not-assigned"
    rows = [{"unit_id": "和平所@11月", "inspections": 1, "findings": 0}]
    assert fill(office, rows).status_code == 409
    refused = seed(office, entropy=early)
    assert refused.status_code == 422
    assert "not after the freeze" in refused.json()["detail"]
    assert seed(office).status_code == 200
    assert seed(office).json()["type"] == "/problems/assigned"


def test_the_arms_are_compared_once_every_unit_has_its_result(
    office: Office, ledger: Ledger
) -> None:
    declare(office)
    units = seed(office).json()["units"]
    rows = sums(units)
    assert fill(office, rows[:-1]).status_code == 201
    waiting = compared(office)
    assert (waiting.status_code, waiting.json()["missing"]) == (409, [units[-1]["unit_id"]])
    assert fill(office, rows[-1:]).status_code == 201
    told = compared(office).json()
    assert told["units"] == {"model": 4, "usual": 4}
    (rate,) = told["rows"]
    by = {arm: [one["findings"] for one, u in zip(rows, units, strict=True) if u["arm"] == arm]
          for arm in ("model", "usual")}  # fmt: skip
    assert rate["metric"] == "hit_rate"
    assert rate["difference"] == pytest.approx((sum(by["model"]) - sum(by["usual"])) / 400)
    assert 0 < rate["low"] < rate["difference"] < rate["high"]
    wider = compared(office, level=0.99).json()["rows"][0]
    assert wider["low"] < rate["low"]
    assert compared(office, level=1).status_code == 422
    with ledger.begin() as connection:
        acts = [one["action"] for one in audit.page(connection, target="trial:trial_2026")]
    assert acts == ["trial.declare", "trial.assign", *["trial.results"] * 2]


def test_days_cost_and_what_was_missed_are_compared_where_all_tell_them(office: Office) -> None:
    declare(office)
    units = seed(office).json()["units"]
    fill(office, sums(units, days_earlier=120.5, cost=30))
    told = {one["metric"] for one in compared(office).json()["rows"]}
    assert told == {"hit_rate", "days_earlier", "cost"}
    fill(office, sums(units[:1], found_later=2))
    part = compared(office)
    assert part.status_code == 409
    assert "for all of them" in part.json()["detail"]
    corrected = sums(units, days_earlier=120.5, cost=30, found_later=1)
    fill(office, corrected)
    assert len(compared(office).json()["rows"]) == 4


def test_rows_with_a_fault_keep_all_others_out(office: Office) -> None:
    declare(office)
    (first, *_) = sums(seed(office).json()["units"])
    rows = [first, first, {**first, "unit_id": "谁@何时"}, {**first, "findings": 101}]
    answer = fill(office, rows)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/faulty-rows")
    assert [one["field"] for one in answer.json()["errors"]] == [
        "body.rows.1.unit_id",
        "body.rows.2.unit_id",
        "body.rows.3.unit_id",
    ]
    units = office.client.get("/v1/trials/trial_2026", headers=office.drafter).json()["units"]
    assert all(one["result"] is None for one in units)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"offices": ["和平所"], "periods": ["11月", "12月"]}, "two of each arm"),
        ({"offices": ["和平所", "和平所"]}, "stands twice"),
        ({"offices": ["和平所@11月", "乙"]}, "parts the office"),
        ({"design": {**DESIGN, "usual": 0}}, "usual"),
        ({"offices": MANY, "periods": MANY[:20]}, "20000"),
    ],
)
def test_a_trial_that_could_show_nothing_is_refused(
    office: Office, changed: dict[str, Any], told: str
) -> None:
    answer = declare(office, **changed)
    assert answer.status_code == 422
    assert told in answer.text


@pytest.mark.parametrize("sources", [["a\x86b"], ["drand 1", "DRAND  1"]])
def test_sources_that_no_seed_can_name_are_refused(office: Office, sources: list[str]) -> None:
    trial = {"id": "t", "title": "t", "offices": OFFICES, "periods": ["1"], "design": DESIGN}
    body = {"sources": sources, "trial": trial}
    answer = office.client.post("/v1/trials", json=body, headers=office.drafter)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")


def test_a_single_office_alternates_by_chance_over_its_periods(office: Office) -> None:
    declare(office, offices=["和平所"], periods=["1", "2", "3", "4"])
    arms = [one["arm"] for one in seed(office).json()["units"]]
    assert sorted(arms) == ["model", "model", "usual", "usual"]


def test_a_trial_of_another_region_is_not_there(
    office: Office, as_caller: Callable[..., Headers], ledger: Ledger
) -> None:
    assert declare(office, "210100").json()["region"] == "2101"
    dalian = as_caller(roles=[Role.ANALYST, Role.INSPECTOR], regions=("2102",))
    assert office.client.get("/v1/trials", headers=dalian).json() == []
    for path in ("", "/comparison"):
        found = office.client.get(f"/v1/trials/trial_2026{path}", headers=dalian)
        assert found.status_code == 404
    (mine,) = office.client.get("/v1/trials", headers=office.drafter).json()
    assert (mine["id"], mine["assigned"]) == ("trial_2026", False)
    viewer = as_caller(roles=[Role.VIEWER])
    body = {"entropy": office.values()}
    path = "/v1/trials/trial_2026/seed"
    assert office.client.post(path, json=body, headers=viewer).status_code == 403
    for table in ("inspection_trial", "inspection_trial_seed", "inspection_trial_result"):
        with pytest.raises(Exception, match="append-only"), ledger.begin() as connection:
            connection.execute(text(f"delete from {table}"))  # noqa: S608
