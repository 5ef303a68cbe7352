from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from models.supervision.rulefiles import FILES, RuleKind
from models.supervision.warning import LEVELS
from serving.app import create_app
from serving.auth.roles import Role
from serving.handling import rulebook
from serving.ledger import audit
from serving.service import Service
from tests.serving.bureau import TODAY, Headers, Office, decision
from tests.serving.posts import FIRM, OTHER

WARNINGS = FILES[RuleKind.WARNINGS].read_text(encoding="utf-8")
BAD = "suppressions: [{when: \"regon == '1'\", until: 2027-12-31, why: 试点, by: 某处}]"
QUIET = WARNINGS.replace(
    "suppressions: []",
    "suppressions:\n  - {when: \"region == '210102'\", until: 2027-12-31, why: 试点, by: 某处}\n#",
)


@pytest.fixture
def analyst(office: Office) -> Headers:
    return office.as_caller(roles=[Role.ANALYST])


@pytest.fixture
def chief(office: Office) -> Headers:
    return office.as_caller(roles=[Role.PUBLISHER])


def propose(
    office: Office,
    headers: Headers,
    content: str = QUIET,
    /,
    kind: str = "warnings",
    on: date = TODAY,
) -> Response:
    body = {"yaml": content, "effective_from": on.isoformat(), "basis": "试点方案第三条"}
    return office.client.post(f"/v1/rules/{kind}/proposals", json=body, headers=headers)


def rule(
    office: Office, headers: Headers, number: int, *, approved: bool = True, kind: str = "warnings"
) -> Response:
    path = f"/v1/rules/{kind}/proposals/{number}/ruling"
    return office.client.post(path, json={"approved": approved}, headers=headers)


def test_the_packages_rules_are_in_force_until_others_are(office: Office) -> None:
    told = office.get("/v1/rules").json()
    assert [one["kind"] for one in told] == [kind.value for kind in RuleKind]
    assert {one["number"] for one in told} == {None}
    assert told[0]["yaml"] == WARNINGS


def test_an_approved_edition_is_used_from_its_day_on(
    office: Office, analyst: Headers, chief: Headers
) -> None:
    start = TODAY + timedelta(days=10)
    made = propose(office, analyst, on=start)
    assert made.status_code == 201, made.text
    number = made.json()["id"]
    assert any(line.startswith("+  - {when") for line in made.json()["difference"])
    assert rule(office, chief, number).json()["approved"] is True
    assert office.get("/v1/rules").json()[0]["to_come"] == [number]
    assert len(office.warn(decision(1))) == 1
    office.clock.on(start)
    assert office.get("/v1/rules").json()[0]["number"] == number
    assert office.get("/v1/rules", on=TODAY.isoformat()).json()[0]["number"] is None
    assert office.warn(decision(2, OTHER, as_of=start)) == []
    with office.service.ledger.begin() as connection:
        assert audit.page(connection)[-1]["action"] == "rules.approve"


def test_two_processes_agree_at_once_and_a_restart_forgets_nothing(
    office: Office, analyst: Headers, chief: Headers
) -> None:
    other = Service.open(office.service.settings, clock=office.clock)
    try:
        with TestClient(create_app(service=other)) as client:
            there = replace(office, client=client)
            number = propose(office, analyst).json()["id"]
            assert there.get("/v1/rules").json()[0]["number"] is None
            assert rule(there, chief, number).status_code == 200
            assert office.get("/v1/rules").json()[0]["number"] == number
            assert there.get("/v1/rules").json()[0]["number"] == number
    finally:
        other.close()


def test_nobody_approves_their_own(office: Office, chief: Headers) -> None:
    number = propose(office, chief).json()["id"]
    answer = rule(office, chief, number)
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/second-person")
    assert office.get("/v1/rules").json()[0]["number"] is None


def test_a_proposal_is_ruled_on_once(office: Office, analyst: Headers, chief: Headers) -> None:
    number = propose(office, analyst).json()["id"]
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(rule, office, chief, number) for _ in range(3)]
        answers = [one.result() for one in asked]
    assert sorted(one.status_code for one in answers) == [200, 409, 409]
    assert office.get("/v1/rules/warnings/proposals", waiting=True).json() == []


def test_what_was_proposed_before_another_was_approved_is_proposed_anew(
    office: Office, analyst: Headers, chief: Headers
) -> None:
    first, second = (propose(office, analyst).json()["id"] for _ in range(2))
    assert rule(office, chief, first).status_code == 200
    late = rule(office, chief, second)
    assert (late.status_code, late.json()["latest"]) == (409, first)
    assert rule(office, chief, second, approved=False).status_code == 200


@pytest.mark.parametrize(
    ("kind", "old", "new", "told"),
    [
        ("warnings", "level: red, ", "level: rot, ", "'rot' is not allowed"),
        ("warnings", "suppressions: []", BAD, "no column 'regon'"),
        ("warnings", "escalate_to: 分管负责人", "escalate_to: 某人", "not in its chain"),
        ("warnings", "2019-07-09", "2199-01-01", "nothing would hold"),
        ("warnings", "cool_down_days: 30", "cool_down_days: [30", "not YAML"),
        ("measures", "listing_debtor", "grade_d", "no score, grade"),
        ("measures", "kind == 'safety'", "knd == 'safety'", "no column 'knd'"),
        ("ladder", "    effective_from: 2019-07-09\n", "", "missing key 'effective_from'"),
        ("repair", "  decide: ", "  decde: ", "missing decide"),
        ("review", "\nworking_days: 5", "\nworking_days: -1", "review.yaml:8:"),
    ],
)
def test_wrong_rules_are_refused_with_their_line(
    office: Office, analyst: Headers, kind: str, old: str, new: str, told: str
) -> None:
    content = FILES[RuleKind(kind)].read_text(encoding="utf-8")
    assert old in content
    answer = propose(office, analyst, content.replace(old, new), kind)
    assert answer.status_code == 422, answer.text
    assert told in answer.json()["detail"]


def test_a_day_that_has_passed_is_refused_also_at_the_approval(
    office: Office, analyst: Headers, chief: Headers
) -> None:
    assert propose(office, analyst, on=TODAY - timedelta(days=1)).status_code == 422
    number = propose(office, analyst).json()["id"]
    office.clock.on(TODAY + timedelta(days=1))
    answer = rule(office, chief, number)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/effective-from")


def test_what_changes_nothing_is_no_proposal(office: Office, analyst: Headers) -> None:
    assert propose(office, analyst, WARNINGS).json()["type"] == "/problems/no-change"


def test_who_may_propose_and_approve(office: Office, analyst: Headers, chief: Headers) -> None:
    assert propose(office, office.officer).status_code == 403
    number = propose(office, analyst).json()["id"]
    assert rule(office, office.manager, number).status_code == 403
    scoped = office.as_caller(roles=[Role.PUBLISHER], regions=("2101",))
    for answer in (propose(office, scoped), rule(office, scoped, number)):
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/outside-scope")
    assert rule(office, chief, number, kind="ladder").status_code == 404
    assert office.get(f"/v1/rules/warnings/proposals/{number}").json()["by"].startswith("key:")


def test_levels_and_stages_of_the_office_are_those_of_its_edition(
    office: Office, analyst: Headers, chief: Headers
) -> None:
    slower = WARNINGS.replace("acknowledge: 1, close: 3", "acknowledge: 2, close: 6")
    rule(office, chief, propose(office, analyst, slower).json()["id"])
    (kept,) = office.warn(decision(1))
    assert (kept.acknowledge_due, kept.close_due) == (date(2026, 11, 24), date(2026, 11, 30))
    ladder = FILES[RuleKind.LADDER].read_text(encoding="utf-8").replace("预警提醒", "书面提醒")
    made = propose(office, analyst, ladder, "ladder")
    rule(office, chief, made.json()["id"], kind="ladder")
    (stage,) = office.get(f"/v1/warnings/{kept.id}/proposals").json()
    assert (stage["title"], kept.subject_id, kept.level) == ("书面提醒", FIRM, LEVELS[0])


def test_rules_cannot_be_rewritten_and_an_altered_edition_is_not_used(
    office: Office, analyst: Headers, chief: Headers
) -> None:
    rule(office, chief, propose(office, analyst).json()["id"])
    alter = "update rule_proposal set content = content || ' '"
    with pytest.raises(DBAPIError, match="append-only"), office.service.ledger.begin() as held:
        held.execute(text(alter))
    with office.service.ledger.begin() as connection:
        connection.execute(text("alter table rule_proposal disable trigger append_only"))
        connection.execute(text(alter))
        with pytest.raises(Exception, match="was altered in the ledger"):
            rulebook.book(connection, TODAY)
