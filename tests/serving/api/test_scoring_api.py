from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import polars as pl
import pytest
from fastapi.testclient import TestClient

from serving.api import scoring
from serving.auth.roles import Role
from serving.service import Service
from tests.models.features.firms import AS_OF, FIRMS, penalty
from tests.models.risk import town
from tests.serving import village

SCORE = "/v1/scenarios/town/score"
Headers = dict[str, str]


@pytest.fixture
def service(running: Service) -> Service:
    return running


@pytest.fixture
def analyst(as_caller: Callable[..., Headers]) -> Headers:
    return as_caller(roles={Role.ANALYST})


def region_of(number: int) -> str:
    return str(village.stored(number, "subject")["region"][0])


def test_subjects_are_decided_stored_and_read_again(client: TestClient, analyst: Headers) -> None:
    body = {"subjects": FIRMS[:3], "explain": True}
    answer = client.post(SCORE, json=body, headers=analyst)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["stored"], told["as_of"], told["refused"]) == (True, str(AS_OF), [])
    assert [one["subject_id"] for one in told["decisions"]] == FIRMS[:3]
    first = told["decisions"][0]
    assert first["explanation"]["reasons"] or first["explanation"]["mitigating"]
    read = client.get(f"/v1/decisions/{first['id']}", headers=analyst).json()
    assert read == first
    query = {"scenario": "town"}
    now = client.get(f"/v1/subjects/{FIRMS[0]}/decision", params=query, headers=analyst)
    assert now.json() == first
    assert client.post(SCORE, json=body, headers=analyst).json() == told
    again = client.get(
        f"/v1/decisions/{first['id']}", params={"replay": True}, headers=analyst
    ).json()
    assert again["replay"] == {"identical": True, "differs": {}}


def test_a_later_decision_supersedes_and_the_old_one_can_still_be_read(
    client: TestClient, service: Service, analyst: Headers
) -> None:
    body = {"subjects": [FIRMS[4]]}
    (old,) = client.post(SCORE, json=body, headers=analyst).json()["decisions"]
    day = AS_OF - timedelta(days=4)
    village.post(service, "penalty", penalty(4, day), penalty(4, day, document_number="2"))
    (new,) = client.post(SCORE, json=body, headers=analyst).json()["decisions"]
    assert new["id"] != old["id"]
    read = client.get(f"/v1/decisions/{old['id']}", headers=analyst).json()
    assert read == {**old, "superseded_by": new["id"]}
    listed = client.get(
        f"/v1/subjects/{FIRMS[4]}/decisions", params={"scenario": "town"}, headers=analyst
    ).json()
    assert [one["id"] for one in listed["decisions"]] == [new["id"], old["id"]]


def test_a_subject_elsewhere_is_as_one_that_is_not_there(
    client: TestClient, as_caller: Callable[..., Headers], analyst: Headers
) -> None:
    (made,) = client.post(SCORE, json={"subjects": [FIRMS[0]]}, headers=analyst).json()["decisions"]
    other = "2102" if region_of(0).startswith("2101") else "2101"
    there = as_caller(roles={Role.ANALYST}, regions=(other,))
    asked = [
        client.post(SCORE, json={"subjects": [FIRMS[0]]}, headers=there),
        client.get(f"/v1/decisions/{made['id']}", headers=there),
        client.get(f"/v1/subjects/{FIRMS[0]}/decision", params={"scenario": "town"}, headers=there),
        client.get(
            f"/v1/subjects/{FIRMS[0]}/decisions", params={"scenario": "town"}, headers=there
        ),
        client.post(SCORE, json={"subjects": [FIRMS[-1]]}, headers=there),
        client.get(f"/v1/decisions/{uuid4()}", headers=there),
    ]
    assert [one.status_code for one in asked] == [404] * 6
    elsewhere, nowhere = asked[0].json(), asked[4].json()
    assert elsewhere["detail"].replace(FIRMS[0], "") == nowhere["detail"].replace(FIRMS[-1], "")


def test_who_is_outside_the_cohort_is_told_why(
    client: TestClient, service: Service, analyst: Headers
) -> None:
    village.post(
        service,
        "subject",
        {
            "subject_id": FIRMS[-1],
            "name": "已注销",
            "happened_on": AS_OF - timedelta(days=900),
            "closed_on": AS_OF - timedelta(days=3),
        },
    )
    alone = client.post(SCORE, json={"subjects": [FIRMS[-1]]}, headers=analyst)
    assert alone.status_code == 422
    assert alone.json()["type"] == "/problems/outside-cohort"
    assert "closed" in alone.json()["detail"]
    both = client.post(SCORE, json={"subjects": [FIRMS[-1], FIRMS[0]]}, headers=analyst)
    assert both.status_code == 200
    assert [one["subject_id"] for one in both.json()["decisions"]] == [FIRMS[0]]
    assert [one["kind"] for one in both.json()["refused"]] == ["outside-cohort"]


def test_features_that_come_along_are_decided_and_not_stored(
    client: TestClient, analyst: Headers
) -> None:
    names = [spec.name for spec in town.pipeline().features]
    rows = town.features().select(names).to_dicts()
    body = {"features": rows[:70], "explain": True}
    told = client.post(SCORE, json=body, headers=analyst).json()
    assert told["stored"] is False
    assert len(told["decisions"]) == 70
    assert all("id" not in one and one["explanation"] for one in told["decisions"])
    plain = client.post(SCORE, json={"features": rows[:70]}, headers=analyst).json()
    assert [one["probability"] for one in plain["decisions"]] == [
        one["probability"] for one in told["decisions"]
    ]
    asked = client.get(
        f"/v1/subjects/{FIRMS[0]}/decision", params={"scenario": "town"}, headers=analyst
    )
    assert asked.status_code == 404


def test_records_that_come_along_are_decided_and_not_stored(
    client: TestClient, analyst: Headers
) -> None:
    firm = {"subject_id": FIRMS[0], "name": "甲", "happened_on": "2020-01-01", "region": "210102"}
    bad = [
        {
            "subject_id": FIRMS[0],
            "happened_on": str(AS_OF - timedelta(days=n)),
            "document_number": f"罚{n}",
            "severity": "serious",
            "fine_amount": 350_000,
        }
        for n in (3, 9, 40)
    ]
    records = {"subject": [firm]}
    calm = client.post(SCORE, json={"records": records}, headers=analyst)
    assert calm.status_code == 200, calm.text
    worse = client.post(
        SCORE, json={"records": {**records, "penalty": bad}, "explain": True}, headers=analyst
    ).json()
    assert worse["stored"] is False
    (one,) = worse["decisions"]
    assert one["probability"] > calm.json()["decisions"][0]["probability"]
    assert one["explanation"]["reasons"][0]["evidence"] is not None


def test_records_of_a_subject_elsewhere_tell_nothing_of_its_neighbours(
    client: TestClient,
    as_caller: Callable[..., Headers],
    analyst: Headers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It is tied to others by the reference alone: the records that come along name nobody.
    firm = {"subject_id": FIRMS[0], "name": "甲", "happened_on": "2020-01-01", "region": "210102"}
    here = region_of(0)[:4]
    made: list[pl.DataFrame] = []
    real = scoring.decide_brought

    def noted(*given: object, **named: object) -> tuple[pl.DataFrame, pl.DataFrame]:
        features, decided = real(*given, **named)  # pyright: ignore[reportArgumentType]
        made.append(features.select(pl.col("^relation_.*$")))
        return features, decided

    monkeypatch.setattr(scoring, "decide_brought", noted)
    for headers in (
        analyst,
        as_caller(roles={Role.ANALYST}, regions=(here,)),
        as_caller(roles={Role.ANALYST}, regions=("2102" if here == "2101" else "2101",)),
    ):
        body = {"records": {"subject": [firm]}, "explain": True}
        answer = client.post(SCORE, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
    everywhere, inside, outside = made
    assert everywhere.equals(inside)
    assert inside["relation_count"][0] > 0
    assert all(column.null_count() == 1 for column in outside.iter_columns())


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ("{", 400, "not JSON"),
        ('{"records": {"penalty": [{"a": ' + "[" * 100_000, 400, "not JSON"),
        ("[]", 422, "body"),
        ("{}", 422, "name one of"),
        ('{"subjects": []}', 422, "body.subjects"),
        ('{"subjects": ["a", 3]}', 422, "body.subjects.1"),
        ('{"subjects": ["a"], "features": [{}]}', 422, "name one of"),
        ('{"features": [{}]}', 422, "the model reads it"),
        ('{"features": [{"x": true}]}', 422, "body.features.0"),
        ('{"features": [{"x": 1e999}]}', 422, "body.features.0"),
        ('{"subjects": ["a"], "scenario": "x"}', 422, "scenario"),
        ('{"subjects": ["a"], "as_of": "2025-02-30"}', 422, "body.as_of"),
        ('{"subjects": ["a"], "as_of": "2999-01-01"}', 422, "no day of view"),
        ('{"records": {}}', 422, "0 rows"),
        ('{"records": {"penalty": [{}]}}', 422, "breaks rule"),
        ('{"records": {"penalty": [{"subject_id": {"a": [1]}}]}}', 422, "breaks rule"),
        ('{"records": {"pg_user": [{}]}}', 422, "no such table"),
        ('{"subjects": ["\'; drop table decision; --\\u0000"]}', 422, "body.subjects.0"),
    ],
)
def test_whatever_is_sent_is_answered(
    client: TestClient, analyst: Headers, body: str, status: int, told: str
) -> None:
    answer = client.post(SCORE, content=body, headers=analyst)
    assert (answer.status_code, told in answer.text) == (status, True), answer.text


def test_an_unknown_scenario_is_told_with_the_nearest(client: TestClient, analyst: Headers) -> None:
    answer = client.post("/v1/scenarios/towm/score", json={"subjects": ["a"]}, headers=analyst)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-scenario")
    assert "town" in answer.json()["detail"]
    lacking = client.post(
        "/v1/scenarios/food_safety/score", json={"subjects": ["a"]}, headers=analyst
    )
    assert lacking.json()["type"] == "/problems/no-model"


def test_who_may_not_score_does_not(
    client: TestClient, as_caller: Callable[..., Headers], analyst: Headers
) -> None:
    body = {"subjects": [FIRMS[0]]}
    assert client.post(SCORE, json=body).status_code == 401
    viewer = as_caller(roles={Role.VIEWER})
    assert client.post(SCORE, json=body, headers=viewer).status_code == 403
    (made,) = client.post(SCORE, json=body, headers=analyst).json()["decisions"]
    assert client.get(f"/v1/decisions/{made['id']}", headers=viewer).status_code == 200


def test_models_are_told_with_those_refused(
    client: TestClient, service: Service, analyst: Headers
) -> None:
    folder = village.place(village.other_bundle(), service.settings.home, "challenger")
    (folder / "booster.txt").write_text("tree", encoding="utf-8")
    service.runtime.refresh()
    told = client.get("/v1/models", headers=analyst).json()
    assert [(one["scenario"], one["role"], one["source"]) for one in told["live"]] == [
        ("town", "champion", "folder")
    ]
    assert [one["role"] for one in told["refused"]] == ["challenger"]
    assert "altered" in told["refused"][0]["reason"]
    history = client.get("/v1/models/events", params={"scenario": "town"}, headers=analyst).json()
    assert [one["event"] for one in history["events"]] == ["refused", "live"]


def test_a_reference_that_lacks_is_a_503_that_says_which_job_makes_it(
    client: TestClient, service: Service, analyst: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.runtime, "_few_subjects", lambda: False)
    answer = client.post(SCORE, json={"subjects": [FIRMS[0]]}, headers=analyst)
    assert answer.status_code == 503
    assert "score_all" in answer.json()["detail"]
    assert answer.headers["Retry-After"]
