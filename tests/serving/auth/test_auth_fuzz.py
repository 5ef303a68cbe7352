from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import AccessError
from serving.auth import accounts
from serving.auth.roles import ADMINISTRATORS, Role
from serving.ledger import users
from serving.ledger.audit import SYSTEM
from serving.service import Service

Headers = Callable[..., dict[str, str]]
SHARED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NASTY = st.sampled_from(
    ["' or 1=1 --", "\0", "\ud800", "a\r\nb: c", "${jndi:ldap://x}", "../..", "\u202e", "", " "]
)
TEXTS = NASTY | st.text(max_size=30)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    *("token", "system_admin", "security_admin", "audit_admin", "invitation", "password"),
    *("name", "code", "old", "new", "title", "roles", "regions", "departments", "enabled"),
    *("purposes", "days", "hours"),
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8) | JSON
IDS = st.sampled_from(["0123456789abcdef", "x", "%00", "..%2f", "' or 1=1", "ｆｆ"])


def _writing(app: FastAPI) -> list[tuple[str, str]]:
    mine = ("/v1/auth", "/v1/users", "/v1/keys", "/v1/setup")
    return sorted(
        (method.upper(), path)
        for path, known in app.openapi()["paths"].items()
        for method in known
        if path.startswith(mine) and path != "/v1/auth/session"
    )


@SHARED
@given(data=st.data())
def test_no_body_path_or_header_makes_an_error_of_ours(
    data: st.DataObject, app: FastAPI, client: TestClient, as_caller: Headers
) -> None:
    method, path = data.draw(st.sampled_from(_writing(app)))
    role = data.draw(st.sampled_from([Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.ANALYST]))
    number = data.draw(IDS)
    url = path.replace("{account_id}", number).replace("{key_id}", number)
    headers = {
        name.encode(): value.encode() for name, value in as_caller(app, roles=[role]).items()
    }
    purpose = data.draw(TEXTS).encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"")
    answer = client.request(
        method,
        url,
        headers=headers | {b"X-Purpose": purpose.replace(b"\0", b"")},
        content=_json(data.draw(BODIES)),
    )
    assert answer.status_code < 500, answer.text


def _json(value: object) -> bytes:
    import json

    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "shown",
    [
        b"Bearer",
        b"Bearer ",
        b"Basic dXNlcjpwYXNz",
        b"Bearer xk_0123456789abcdef_" + b"A" * 43,
        b"Bearer xs_0123456789abcdef_" + b"A" * 43,
        b"Bearer xi_0123456789abcdef_" + b"A" * 43,
        b"Bearer \xff\xfe",
        b"Bearer " + b"x" * 60_000,
        b"Bearer ' or 1=1 --",
        b"bearer a.b.c",
    ],
)
def test_whatever_is_shown_that_proves_nothing_is_nobody(client: TestClient, shown: bytes) -> None:
    answer = client.get("/v1/auth/me", headers={b"Authorization": shown})
    assert answer.status_code == 401
    assert client.get("/v1/auth/me", headers={b"X-API-Key": shown}).status_code == 401


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "' or 1=1 --", "a\r\nb", "名" * 65])
@pytest.mark.parametrize("password", ["a\0b", "\ud800", "x" * 100_000])
def test_a_nasty_name_or_password_is_refused(client: TestClient, name: str, password: str) -> None:
    answer = client.post("/v1/auth/sessions", content=_json({"name": name, "password": password}))
    assert answer.status_code in (401, 422)


ACTS = st.tuples(
    st.sampled_from(["grant", "disable", "enable", "invite", "create"]),
    st.integers(0, 5),
    st.integers(0, 5),
    st.frozensets(st.sampled_from(Role), max_size=2),
)


@settings(SHARED, max_examples=12)
@given(acts=st.lists(ACTS, max_size=12))
def test_whatever_administrators_do_the_three_stay_and_stay_apart(
    acts: list[tuple[str, int, int, frozenset[Role]]], service: Service
) -> None:
    token = accounts.first_token(service.ledger, service.clock())
    if token is not None:
        names = {role: f"first.{role.value}" for role in accounts.FIRST}
        accounts.set_up(service, token, names=names)
    for act, actor, target, roles in acts:
        rows = _rows(service)
        by = f"user:{rows[actor % len(rows)].id}" if actor else SYSTEM
        account = rows[target % len(rows)]
        with suppress(AccessError):
            _do(service, by, act=act, account_id=account.id, roles=roles)
        if by == f"user:{account.id}" and act != "create":
            assert account in _rows(service)  # nobody changes themselves
    live = [row for row in _rows(service) if row.disabled_at is None]
    for role in ADMINISTRATORS:
        assert any(role in row.roles for row in live), role
    for row in _rows(service):
        assert len(row.roles) == 1 or ADMINISTRATORS.isdisjoint(row.roles)


def _rows(service: Service) -> list[users.AccountRow]:
    with service.ledger.begin() as connection:
        return users.every(connection)


def _do(service: Service, by: str, *, act: str, account_id: str, roles: frozenset[Role]) -> None:
    match act:
        case "grant":
            accounts.grant(
                service, by, account_id=account_id, roles=roles, regions=[""], departments=[]
            )
        case "invite":
            accounts.invite(service, by, account_id=account_id)
        case "create":
            accounts.create(service, by, name=f"made.{len(_rows(service))}", title="")
        case _:
            accounts.enable(service, by, account_id=account_id, enabled=act == "enable")
