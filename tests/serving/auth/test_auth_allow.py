from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.auth.caller import Caller
from serving.auth.roles import Permission, Role
from serving.deps import allow
from serving.service import Service

Headers = Callable[..., dict[str, str]]


@pytest.fixture
def app(service: Service) -> FastAPI:
    made = create_app(service=service)

    @made.get("/scored")
    def scored(caller: Annotated[Caller, Depends(allow(Permission.SCORE))]) -> dict[str, object]:
        return {
            "name": caller.name,
            "kind": caller.kind,
            "regions": caller.regions,
            "purpose": caller.purpose,
        }

    @made.get("/persons")
    def persons(caller: Annotated[Caller, Depends(allow(Permission.PERSONAL_READ))]) -> str:
        return caller.id

    @made.get("/accounts")
    def accounts(caller: Annotated[Caller, Depends(allow(Permission.USERS_MANAGE))]) -> str:
        return caller.kind

    return made


def test_nobody_is_told_how_to_be_somebody(client: TestClient) -> None:
    answer = client.get("/scored")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["type"] == "/problems/unauthenticated"


def test_a_key_answers_for_its_roles_and_scope(client: TestClient, as_caller: Headers) -> None:
    headers = as_caller(roles=[Role.ANALYST], regions=("21",), purpose="inspection")
    answer = client.get("/scored", headers=headers)
    assert answer.json() == {
        "name": "test",
        "kind": "key",
        "regions": ["21"],
        "purpose": "inspection",
    }


def test_a_key_is_taken_in_its_own_header(client: TestClient, as_caller: Headers) -> None:
    text = as_caller(roles=[Role.ANALYST])["Authorization"].removeprefix("Bearer ")
    assert client.get("/scored", headers={"X-API-Key": text}).status_code == 200


def test_a_role_without_the_permission_is_refused(client: TestClient, as_caller: Headers) -> None:
    answer = client.get("/scored", headers=as_caller(roles=[Role.VIEWER]))
    assert answer.status_code == 403
    assert answer.json()["permission"] == "score"


def test_persons_data_asks_for_a_purpose(client: TestClient, as_caller: Headers) -> None:
    headers = as_caller(roles=[Role.INSPECTOR])
    answer = client.get("/persons", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/purpose-missing")
    assert client.get("/persons", headers=headers | {"X-Purpose": "repair"}).status_code == 200
    assert client.get("/persons", headers=headers | {"X-Purpose": "curious"}).status_code == 422


def test_an_administrator_works_through_a_session(client: TestClient, as_caller: Headers) -> None:
    headers = as_caller(roles=[Role.SYSTEM_ADMIN])
    assert client.get("/accounts", headers=headers).json() == "user"
    assert client.get("/scored", headers=headers).status_code == 403


def test_whoever_asks_too_fast_waits(
    service: Service, as_caller: Headers, request: pytest.FixtureRequest
) -> None:
    del request
    slow = replace(service, settings=service.settings.model_copy(update={"rate_limit": 1.0}))
    made = create_app(service=slow)

    @made.get("/scored")
    def scored(caller: Annotated[Caller, Depends(allow(Permission.SCORE))]) -> str:
        return caller.id

    with TestClient(made) as client:
        mine, other = as_caller(roles=[Role.ANALYST]), as_caller(roles=[Role.ANALYST])
        codes = [client.get("/scored", headers=mine).status_code for _ in range(3)]
        held = client.get("/scored", headers=mine)
        assert client.get("/scored", headers=other).status_code == 200
    assert codes[:2] == [200, 200]
    assert (held.status_code, held.headers["Retry-After"]) == (429, "1")


def test_an_address_that_only_fails_is_slowed(client: TestClient) -> None:
    codes = [
        client.get("/scored", headers={"X-API-Key": f"guess-{n}"}).status_code for n in range(40)
    ]
    assert (codes[0], codes[-1]) == (401, 429)


def test_a_key_ends_when_it_expires_however_lately_it_was_seen(
    service: Service, as_caller: Headers
) -> None:
    instant = [datetime(2026, 1, 1, tzinfo=UTC)]
    timed = replace(service, clock=lambda: instant[0])
    made = create_app(service=timed)

    @made.get("/scored")
    def scored(caller: Annotated[Caller, Depends(allow(Permission.SCORE))]) -> str:
        return caller.id

    with TestClient(made) as client:
        headers = as_caller(made, roles=[Role.ANALYST])
        assert client.get("/scored", headers=headers).status_code == 200
        instant[0] += timedelta(days=1)
        assert client.get("/scored", headers=headers).status_code == 401
