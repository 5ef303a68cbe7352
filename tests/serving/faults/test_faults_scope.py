"""Who sees some regions, or some departments, and tries to reach beyond them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.auth.caller import Caller
from serving.auth.roles import Role
from serving.ledger import changes
from serving.reach import evidence_within
from serving.service import Service
from tests.serving.bureau import Headers, Office, manager_and_officer, timed
from tests.serving.posts import FIRM, penalty, post

OTHER = "912101020000000007"
CITY = ("2101",)
ELSEWHERE = ("2102",)


@pytest.fixture
def office(service: Service, as_caller: Callable[..., dict[str, str]]) -> Generator[Office]:
    running, clock = timed(service)
    manager, officer = manager_and_officer(as_caller)
    with TestClient(create_app(service=running), raise_server_exceptions=False) as client:
        yield Office(running, clock, client, as_caller, manager, officer)


def publisher(office: Office, *regions: str) -> Headers:
    return office.as_caller(roles=[Role.PUBLISHER], regions=regions)


def submit(office: Office, who: Headers, **work: object) -> tuple[int, dict[str, object]]:
    answer = office.client.post("/v1/jobs", json=work, headers=who)
    return answer.status_code, answer.json()


def test_a_narrow_publisher_queues_decisions_of_the_own_region_only(office: Office) -> None:
    office.record()
    near, far = publisher(office, *CITY), publisher(office, *ELSEWHERE)
    mine = {"kind": "redecide", "subjects": [FIRM]}
    assert submit(office, near, **mine)[0] == 202
    status, told = submit(office, far, **mine)
    assert (status, told["type"]) == (404, "/problems/not-found")
    status, unknown = submit(office, far, kind="redecide", subjects=[OTHER])
    assert status == 404
    assert str(unknown["detail"]).replace(OTHER, FIRM) == told["detail"], "they look the same"
    assert submit(office, near, kind="redecide", subjects=[FIRM, OTHER])[0] == 404


@pytest.mark.parametrize(
    "work",
    [
        {"kind": "score_all", "scenario": "food_safety"},
        {"kind": "compact"},
        {"kind": "publish", "scenario": "food_safety", "version": "previous"},
        {"kind": "retrain", "scenario": "food_safety"},
    ],
    ids=lambda work: work["kind"],
)
def test_what_concerns_everybody_is_for_who_sees_everybody(
    office: Office, work: dict[str, object]
) -> None:
    status, told = submit(office, publisher(office, *CITY), **work)
    assert (status, told["type"]) == (403, "/problems/outside-scope")
    assert submit(office, publisher(office, ""), **work)[0] == 202


def test_nobody_stops_or_repeats_what_another_asked_for(office: Office) -> None:
    office.record()
    one, another = publisher(office, *CITY), publisher(office, *CITY)
    _, made = submit(office, one, kind="redecide", subjects=[FIRM])
    place = f"/v1/jobs/{made['id']}"
    for act in ("cancel", "retry"):
        refused = office.client.post(f"{place}/{act}", headers=another)
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/not-yours")
    assert office.get(place).json()["status"] == "queued"
    assert office.client.post(f"{place}/cancel", headers=one).status_code == 200
    assert office.client.post(f"{place}/retry", headers=publisher(office, "")).status_code == 200


def test_what_is_told_of_a_posted_repair_is_of_its_subjects_region(office: Office) -> None:
    register = {"subject_id": FIRM, "name": "某公司", "authority": "沈阳市市场监督管理局"}
    at_home = {**register, "happened_on": "2020-01-05", "region": "210102"}
    assert post(office.client, office.manager, at_home, table="subject").status_code == 200
    ended = {"void_from": "2026-06-06", "void_reason": "annulled"}
    abroad = [
        penalty(1, region="210202", **ended),
        penalty(2, subject_id=OTHER, region="210202", **ended),
    ]
    answer = post(office.client, office.manager, *abroad, key="k-2")
    assert answer.json()["accepted"] == 2, answer.text
    with office.service.ledger.begin() as connection:
        told = {one.subject_id: one.region for one in changes.read(connection, 0, limit=9)}
    assert told == {FIRM: "210102", OTHER: "210202"}


def test_lists_tell_of_the_own_department_only(office: Office) -> None:
    own, other = "沈阳市市场监督管理局", "沈阳市生态环境局"
    cases: dict[str, list[int]] = {own: [], other: []}
    for number in range(6):
        authority = (own, other)[number % 2]
        record = office.record(number + 1, authority=authority)
        body = {"table": "penalty", "subject_id": FIRM, "record_id": record}
        objection = {**body, "objector": FIRM, "ground": "有误"}
        made = office.client.post("/v1/objections", json=objection, headers=office.manager)
        assert made.status_code == 201, made.text
        cases[authority].append(made.json()["id"])
    for authority, numbers in cases.items():
        reader = office.as_caller(roles=[Role.DATA_MANAGER], departments=(authority,))
        seen: list[int] = []
        while page := office.get(
            "/v1/objections", reader, limit=2, **({"before": seen[-1]} if seen else {})
        ).json():
            seen += [one["id"] for one in page]
        assert seen == numbers[::-1]
        assert len(office.get("/v1/repairs", reader).json()) == len(numbers)
        hidden = next(one for name, all_ in cases.items() if name != authority for one in all_)
        assert office.get(f"/v1/objections/{hidden}", reader).status_code == 404
    assert len(office.get("/v1/repairs").json()) == 6


def test_evidence_names_no_neighbours_of_elsewhere(office: Office) -> None:
    office.record()
    record = penalty(2, subject_id=OTHER, region="210202")
    assert post(office.client, office.manager, record, key="o").json()["accepted"] == 1
    cited = [
        {"table": "penalty", "record_id": "1", "happened_on": None, "neighbour": neighbour}
        for neighbour in (None, FIRM, OTHER, "91210102MA0XXXXX00")
    ]
    reason = {"text": "关联主体处罚2次", "evidence": cited}
    content = {"base": 0.0, "reasons": [reason], "mitigating": [{"text": "", "evidence": None}]}

    def seen(*regions: str) -> list[object]:
        caller = Caller("key:1", "key", "x", frozenset(), regions=regions)
        told = cast("Any", evidence_within(office.service, caller, content))
        assert told["mitigating"] == content["mitigating"]
        return [one["neighbour"] for one in told["reasons"][0]["evidence"]]

    assert seen("2101") == [None, FIRM]
    assert seen("2102") == [None, OTHER]
    assert len(seen("")) == 4
