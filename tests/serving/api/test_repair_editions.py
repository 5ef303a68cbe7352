from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from models.supervision.rulefiles import FILES, RuleKind
from serving.auth.roles import Role
from tests.serving.bureau import TODAY, Office
from tests.serving.posts import FIRM

OWN = FILES[RuleKind.REPAIR].read_text(encoding="utf-8")
START = TODAY + timedelta(days=3)  # a Monday
QUICK = (
    OWN.replace("accept:      {working_days: 3", "accept:      {working_days: 1")
    .replace("objection:   {working_days: 7", "objection:   {working_days: 2")
    .replace("bar_months: 12", "bar_months: 24")
)


@pytest.fixture(autouse=True)
def edition(office: Office) -> None:
    """Let an edition of the office's own hold from :data:`START` on."""
    body = {"yaml": QUICK, "effective_from": START.isoformat(), "basis": "办理时限压缩通知"}
    analyst, chief = (office.as_caller(roles=[one]) for one in (Role.ANALYST, Role.PUBLISHER))
    path = "/v1/rules/repair/proposals"
    made = office.client.post(path, json=body, headers=analyst)
    assert made.status_code == 201, made.text
    path = f"{path}/{made.json()['id']}/ruling"
    assert office.client.post(path, json={"approved": True}, headers=chief).status_code == 200


def clock(office: Office, record: str) -> dict[str, Any]:
    told = office.get(f"/v1/subjects/{FIRM}/records/penalty/{record}/repair")
    assert told.status_code == 200, told.text
    (one,) = told.json()["clocks"]
    return one


def test_a_clock_runs_by_the_edition_of_the_day_on_which_it_began(office: Office) -> None:
    one, two = office.record(1), office.record(2)
    assert office.apply(one).status_code == 201
    assert clock(office, one)["due_on"] == "2026-11-25"  # three working days, over a weekend
    office.clock.on(START)
    assert office.apply(two).status_code == 201
    assert clock(office, one)["due_on"] == "2026-11-25"
    assert clock(office, two)["due_on"] == "2026-11-24"


def test_an_objection_is_answered_by_the_edition_of_its_day(office: Office) -> None:
    due: list[str] = []
    for number, day in enumerate((TODAY, START), start=1):
        record = office.record(number)
        office.clock.on(day)
        body = {"table": "penalty", "subject_id": FIRM, "record_id": record}
        asked = {**body, "objector": FIRM, "ground": "不属实"}
        made = office.client.post("/v1/objections", json=asked, headers=office.manager)
        assert made.status_code == 201, made.text
        due.append(made.json()["due_on"])
    assert due == ["2026-12-01", "2026-11-25"]
    assert [one["due_on"] for one in office.get("/v1/objections").json()] == due[::-1]


def test_letters_say_the_days_that_hold_when_they_are_served(office: Office) -> None:
    path = f"/v1/subjects/{FIRM}/records/penalty/{office.record()}/letters"
    assert "受理或不予受理：3 个工作日" in office.get(path).json()["repair_notice"]
    office.clock.on(START)
    notice = office.get(path).json()["repair_notice"]
    assert "受理或不予受理：1 个工作日" in notice
    assert "24 个月内不得再次申请" in notice


@pytest.mark.parametrize(("day", "until"), [(TODAY, "2027-11-20"), (START, "2028-11-23")])
def test_fraud_bars_for_as_long_as_the_edition_of_its_day_says(
    office: Office, day: date, until: str
) -> None:
    # Three years of publicity, so that the record outlives the bar.
    record = office.record(severity="serious", happened_on="2025-09-01")
    case = office.apply(record).json()["id"]
    for act in ("accept", "repair"):
        assert office.act(case, act).status_code == 200, act
    office.clock.on(day)
    told = office.act(case, "restore")
    assert told.json()["status"]["barred_until"] == until, told.text
    office.clock.on(START + timedelta(days=30))
    early = office.act(case, "apply")
    assert (early.status_code, early.json()["allowed_from"]) == (422, until)
    shown = office.get(f"/v1/subjects/{FIRM}/portrait", office.officer, sections="clocks")
    if shown.status_code == 200:
        (one,) = [c for c in shown.json()["clocks"]["clocks"] if c["record_id"] == record]
        assert (one["state"], one["opens_on"]) == ("waiting", until)
    else:
        pytest.fail(shown.text)
