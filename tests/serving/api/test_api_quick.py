"""Rows of features are answered as the route answers them, whichever way they take."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serving import metrics
from serving.api import quick
from serving.auth.roles import Role
from serving.service import Service
from tests.models.features.firms import AS_OF
from tests.models.risk import town
from tests.serving import village

SCORE = "/v1/scenarios/town/score"
PURPOSE = {"X-Purpose": "warning"}
"""A purpose is the route's to look at, so that a request with one takes the long way."""
FAULTS: Sequence[dict[str, object]] = (
    {"as_of": "2031-01-01"},
    {"as_of": "x"},
    {"features": [{}]},
    {"features": [{"no_such": 1.0}]},
    {"features": []},
    {"subjects": ["a"]},
)
Headers = dict[str, str]


@pytest.fixture
def service(database: str, tmp_path: Path) -> Generator[Service]:
    with village.running(tmp_path / "home", database, rate_limit=20) as made:
        yield made


@pytest.fixture
def analyst(as_caller: Callable[..., Headers], client: TestClient) -> Headers:
    """Return the headers of an analyst who was proven a moment ago."""
    headers = as_caller(roles={Role.ANALYST})
    assert client.post(SCORE, content=b"?", headers=headers).status_code == 400
    return headers


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Tell of every request whether it was answered the short way."""
    found: list[bool] = []
    real = quick.answer_features

    def noted(*given: object) -> bytes:
        made = real(*given)  # pyright: ignore[reportArgumentType]
        found.append(True)
        return made

    monkeypatch.setattr(quick, "answer_features", noted)
    return found


def features(count: int = 1) -> list[dict[str, object]]:
    rows = town.features().head(count).drop("subject_id", "as_of").to_dicts()
    assert len(rows) == count
    return rows


@pytest.mark.parametrize("more", [{}, {"as_of": str(AS_OF)}, {"as_of": "2024-02-29"}])
def test_the_short_way_answers_what_the_route_does(
    client: TestClient, analyst: Headers, answered: list[bool], more: dict[str, str]
) -> None:
    body = {"features": features(3), **more}
    short = client.post(SCORE, json=body, headers=analyst)
    assert answered == [True], short.text
    long = client.post(SCORE, json=body, headers=analyst | PURPOSE)
    assert answered == [True]
    assert (
        (short.status_code, short.json()) == (long.status_code, long.json()) == (200, long.json())
    )
    dropped = {"x-request-id", "date"}
    told = [{k: v for k, v in one.headers.items() if k not in dropped} for one in (short, long)]
    assert told[0] == told[1]
    assert short.headers["x-request-id"] != long.headers["x-request-id"]


@pytest.mark.parametrize("more", FAULTS)
def test_a_fault_is_told_as_the_route_tells_it(
    client: TestClient, analyst: Headers, more: dict[str, object]
) -> None:
    body = {"features": features(), **more}
    short = client.post(SCORE, json=body, headers=analyst)
    long = client.post(SCORE, json=body, headers=analyst | PURPOSE)
    assert short.status_code == long.status_code == 422
    assert short.headers["content-type"] == "application/problem+json"
    instance = ("instance", short.headers["x-request-id"])
    assert dict([*short.json().items(), instance]) == short.json()
    assert short.json() | {"instance": ""} == long.json() | {"instance": ""}


def test_who_is_not_known_or_may_not_is_told_so(
    client: TestClient, as_caller: Callable[..., Headers], answered: list[bool]
) -> None:
    body = {"features": features()}
    nobody = client.post(SCORE, json=body)
    forged = client.post(SCORE, json=body, headers={"X-API-Key": "xk_no.such"})
    manager = as_caller(roles={Role.DATA_MANAGER})
    barred = [client.post(SCORE, json=body, headers=manager) for _ in range(2)]
    assert [nobody.status_code, forged.status_code] == [401, 401]
    assert [one.status_code for one in barred] == [403, 403]
    assert answered == []


def test_a_key_that_is_forgotten_is_proven_again(
    client: TestClient, service: Service, analyst: Headers, answered: list[bool]
) -> None:
    body = {"features": features()}
    service.access.memory.forget()
    assert client.post(SCORE, json=body, headers=analyst).status_code == 200
    assert answered == []  # by the route, which asked the ledger
    key = {"X-API-Key": analyst["Authorization"].removeprefix("Bearer ")}
    assert client.post(SCORE, json=body, headers=key).status_code == 200
    assert answered == [True]


def test_requests_are_counted_and_bounded_alike(client: TestClient, analyst: Headers) -> None:
    labels = {"method": "POST", "route": "/v1/scenarios/{scenario}/score", "status": "200"}

    def counted() -> float:
        return metrics.REGISTRY.get_sample_value("xinjian_requests_total", labels) or 0.0

    before = counted()
    body = {"features": features()}
    found = [client.post(SCORE, json=body, headers=analyst).status_code for _ in range(80)]
    assert set(found) == {200, 429}
    assert counted() - before == found.count(200)
