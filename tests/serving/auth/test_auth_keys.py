from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from serving.app import create_app
from serving.auth import issuing, tokens
from serving.auth.access import FRESH
from serving.auth.issuing import Wish
from serving.auth.roles import Role
from serving.service import Service
from tests.serving.village import Clock

Headers = Callable[..., dict[str, str]]


@pytest.fixture
def app(timed: Service) -> FastAPI:
    return create_app(service=timed)


WISH = Wish(name="省级平台", roles=frozenset({Role.PARTNER}), regions=("210000",), days=30)


def status(client: TestClient, key: str) -> int:
    return client.get("/v1/auth/me", headers={"X-API-Key": key}).status_code


def test_a_key_is_shown_once_and_kept_as_a_digest(
    app: FastAPI, client: TestClient, as_caller: Headers, timed: Service
) -> None:
    headers = as_caller(app, roles=[Role.SECURITY_ADMIN])
    body = {"name": "省级平台", "roles": ["partner"], "regions": ["210000"], "days": 30}
    made = client.post("/v1/keys", headers=headers, json=body).json()
    me = client.get("/v1/auth/me", headers={"X-API-Key": made["text"]}).json()
    assert (me["name"], me["kind"], me["regions"]) == ("省级平台", "key", ["21"])
    listed = client.get("/v1/keys", headers=headers)
    secret = made["text"].rpartition("_")[2]
    with timed.ledger.begin() as connection:
        rows = connection.execute(text("select k::text from api_key k")).scalars().all()
        trail = connection.execute(text("select a::text from audit a")).scalars().all()
    assert secret not in listed.text + str(rows) + str(trail)
    assert [key["state"] for key in listed.json() if key["name"] == "省级平台"] == ["live"]


def test_an_expired_key_is_nobody(client: TestClient, timed: Service, clock: Clock) -> None:
    row, key = issuing.issue(timed, "system", wish=WISH)
    assert status(client, key) == 200
    clock.at = row.expires_at - timedelta(seconds=1)
    assert status(client, key) == 200
    clock.at = row.expires_at
    assert status(client, key) == 401


def test_a_revoked_key_ends_at_once_here_and_soon_elsewhere(
    client: TestClient, timed: Service, clock: Clock
) -> None:
    row, key = issuing.issue(timed, "system", wish=WISH)
    elsewhere = create_app(service=replace(timed, access=type(timed.access)()))
    with TestClient(elsewhere) as other:
        assert (status(client, key), status(other, key)) == (200, 200)
        assert issuing.revoke(timed, "system", key_id=row.id)
        assert status(client, key) == 401
        clock.at += FRESH
        assert status(other, key) == 401
    assert not issuing.revoke(timed, "system", key_id=row.id)


def test_a_rotated_key_overlaps_the_one_before_for_some_hours(
    client: TestClient, timed: Service, clock: Clock
) -> None:
    row, old = issuing.issue(timed, "system", wish=WISH)
    clock.at += timedelta(days=20)
    found = issuing.rotate(timed, "system", key_id=row.id, hours=2)
    assert found is not None
    made, new = found
    assert (made.roles, made.regions, made.replaces) == (row.roles, row.regions, row.id)
    assert made.expires_at == clock.at + timedelta(days=30)
    assert (status(client, old), status(client, new)) == (200, 200)
    clock.at += timedelta(hours=2)
    assert (status(client, old), status(client, new)) == (401, 200)


def test_a_key_is_rotated_once(app: FastAPI, client: TestClient, as_caller: Headers) -> None:
    headers = as_caller(app, roles=[Role.SECURITY_ADMIN])
    body = {"name": "省级平台", "roles": ["partner"], "regions": []}
    made = client.post("/v1/keys", headers=headers, json=body).json()
    url = f"/v1/keys/{made['key']['id']}/rotation"
    assert client.post(url, headers=headers, json={}).status_code == 201
    again = client.post(url, headers=headers, json={})
    assert (again.status_code, "rotated before" in again.text) == (422, True)
    gone = client.post("/v1/keys/0123456789abcdef/rotation", headers=headers, json={})
    assert gone.status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"roles": ["security_admin"]},
        {"roles": ["partner", "audit_admin"]},
        {"roles": []},
        {"roles": ["inspector"]},
        {"regions": ["2x"]},
        {"regions": ["00"]},
        {"name": "x'; drop table api_key; --"},
        {"days": 3650},
        {"surprise": 1},
    ],
)
def test_a_wish_that_breaks_a_rule_is_refused(
    app: FastAPI, client: TestClient, as_caller: Headers, change: dict[str, object]
) -> None:
    headers = as_caller(app, roles=[Role.SECURITY_ADMIN])
    body = {"name": "省级平台", "roles": ["partner"], "regions": [""]} | change
    assert client.post("/v1/keys", headers=headers, json=body).status_code == 422


def test_a_key_is_bound_to_its_purposes(client: TestClient, timed: Service) -> None:
    wish = replace(WISH, roles=frozenset({Role.INSPECTOR}), purposes=(issuing.Purpose.INSPECTION,))
    _, key = issuing.issue(timed, "system", wish=wish)
    headers = {"X-API-Key": key, "X-Purpose": "inspection"}
    assert client.get("/v1/auth/me", headers=headers).status_code == 200
    other = client.get("/v1/auth/me", headers=headers | {"X-Purpose": "statistics"})
    assert (other.status_code, other.json()["type"]) == (403, "/problems/purpose-not-allowed")


def test_only_a_security_administrator_issues_keys(
    app: FastAPI, client: TestClient, as_caller: Headers
) -> None:
    body = {"name": "省级平台", "roles": ["partner"], "regions": [""]}
    for role in set(Role) - {Role.SECURITY_ADMIN}:
        answer = client.post("/v1/keys", headers=as_caller(app, roles=[role]), json=body)
        assert answer.status_code == 403, role


def test_a_row_that_names_an_administrator_still_makes_none(
    client: TestClient, timed: Service
) -> None:
    row, key = issuing.issue(timed, "system", wish=WISH)
    with timed.ledger.begin() as connection:
        query = text("update api_key set roles = '{security_admin,viewer,king}' where id = :id")
        connection.execute(query, {"id": row.id})
    me = client.get("/v1/auth/me", headers={"X-API-Key": key}).json()
    assert set(me["roles"]) == {"viewer"}


def test_neither_part_of_a_key_can_be_swapped(client: TestClient, timed: Service) -> None:
    one, two = (issuing.issue(timed, "system", wish=WISH) for _ in range(2))
    swapped = f"xk_{two[0].id}_{one[1].split('_', 2)[2]}"
    assert status(client, swapped) == 401
    assert status(client, one[1][:-1] + ("A" if one[1][-1] != "A" else "B")) == 401
    assert status(client, one[1].replace("xk_", "xs_")) == 401
    assert status(client, one[1] + " ") in (200, 401)
    assert status(client, one[1]) == 200


def test_the_use_of_a_key_is_kept_to_the_minute(
    client: TestClient, timed: Service, clock: Clock
) -> None:
    row, key = issuing.issue(timed, "system", wish=WISH)
    seen: list[datetime | None] = []
    for seconds in (0, 30, 31):
        clock.at += timedelta(seconds=seconds)
        status(client, key)
        with timed.ledger.begin() as connection:
            query = text("select used_at from api_key where id = :id")
            seen.append(connection.execute(query, {"id": row.id}).scalar_one())
    begin = seen[0]
    assert begin is not None
    assert seen == [begin, begin, begin + timedelta(seconds=61)]


def test_a_token_says_what_it_is_for_and_is_compared_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    token = tokens.make(tokens.Kind.KEY)
    assert tokens.parse(token.text) == token
    assert token.text.split("_", 2)[2] not in repr(token)
    assert token.matches(token.digest)
    assert not token.matches(tokens.make(tokens.Kind.KEY).digest)
    compared: list[bytes] = []

    def comparing(one: bytes, two: bytes) -> bool:
        compared.append(two)
        return one == two

    monkeypatch.setattr("hmac.compare_digest", comparing)
    assert not token.matches(None)
    assert compared == [b"\0" * 32]  # an unknown id is compared too


@pytest.mark.parametrize("shown", ["", "xk_", "xk_1_2", "xk__", "xz_0123456789abcdef_" + "a" * 43])
def test_what_has_not_the_form_of_a_token_is_none(shown: str) -> None:
    assert tokens.parse(shown) is None
