from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from models.errors import AccessError
from serving.auth import accounts, login
from serving.auth.roles import ADMINISTRATORS, Role
from serving.ledger import audit, users
from serving.ledger.audit import SYSTEM
from serving.service import Service

Headers = Callable[..., dict[str, str]]
NAMES = {
    Role.SYSTEM_ADMIN: "sys.admin",
    Role.SECURITY_ADMIN: "sec.admin",
    Role.AUDIT_ADMIN: "aud.admin",
}


def ids(service: Service) -> dict[str, str]:
    with service.ledger.begin() as connection:
        return {row.name: row.id for row in users.every(connection)}


@pytest.fixture
def three(service: Service) -> dict[str, str]:
    """Set the installation up; return the ids by name."""
    token = accounts.first_token(service.ledger, service.clock())
    assert token
    assert accounts.set_up(service, token, names=NAMES)
    return ids(service)


def test_the_first_start_gives_a_token_that_makes_the_three_once(
    client: TestClient, service: Service
) -> None:
    body = {"system_admin": "sys.admin", "security_admin": "sec.admin", "audit_admin": "aud.admin"}
    stale = accounts.first_token(service.ledger, service.clock())
    token = accounts.first_token(service.ledger, service.clock())
    assert client.post("/v1/setup", json=body | {"token": stale}).status_code == 403
    answer = client.post("/v1/setup", json=body | {"token": token})
    assert sorted(answer.json()["invitations"]) == sorted(ADMINISTRATORS)
    assert client.post("/v1/setup", json=body | {"token": token}).status_code == 403
    assert accounts.first_token(service.ledger, service.clock()) is None


def test_three_of_the_same_name_are_refused_and_the_token_stays(
    client: TestClient, service: Service
) -> None:
    token = accounts.first_token(service.ledger, service.clock())
    same = {"system_admin": "root.one", "security_admin": "root.one", "audit_admin": "aud.admin"}
    assert client.post("/v1/setup", json=same | {"token": token}).status_code == 422
    good = same | {"security_admin": "sec.admin", "token": token}
    assert client.post("/v1/setup", json=good).status_code == 201


def test_a_system_administrator_gives_no_rights_and_a_security_one_makes_no_account(
    client: TestClient, as_caller: Headers, three: dict[str, str]
) -> None:
    system = as_caller(roles=[Role.SYSTEM_ADMIN])
    security = as_caller(roles=[Role.SECURITY_ADMIN])
    audits = as_caller(roles=[Role.AUDIT_ADMIN])
    made = client.post("/v1/users", headers=system, json={"name": "officer.1"}).json()
    assert made["user"]["roles"] == []
    rights = f"/v1/users/{made['user']['id']}/rights"
    body = {"roles": ["inspector"], "regions": ["210100"], "departments": ["市文旅局"]}
    assert client.put(rights, headers=system, json=body).status_code == 403
    assert client.put(rights, headers=audits, json=body).status_code == 403
    assert client.post("/v1/users", headers=security, json={"name": "x.y"}).status_code == 403
    assert client.get("/v1/users", headers=audits).status_code == 403
    granted = client.put(rights, headers=security, json=body).json()
    assert (granted["roles"], granted["regions"]) == (["inspector"], ["2101"])
    assert {user["name"] for user in client.get("/v1/users", headers=security).json()} > set(three)


@pytest.mark.parametrize(
    "roles",
    [
        ["system_admin", "security_admin"],
        ["security_admin", "audit_admin"],
        ["audit_admin", "viewer"],
        ["system_admin", "inspector"],
        ["partner"],
    ],
)
def test_no_account_is_two_of_what_stands_apart(
    client: TestClient, as_caller: Headers, three: dict[str, str], roles: list[str]
) -> None:
    answer = client.put(
        f"/v1/users/{three['aud.admin']}/rights",
        headers=as_caller(roles=[Role.SECURITY_ADMIN]),
        json={"roles": roles, "regions": []},
    )
    assert answer.status_code == 422


def test_nobody_changes_their_own_account(
    service: Service, client: TestClient, as_caller: Headers
) -> None:
    headers = as_caller(roles=[Role.SECURITY_ADMIN])
    own = client.get("/v1/auth/me", headers=headers).json()["id"].removeprefix("user:")
    body = {"roles": ["inspector"], "regions": [""]}
    answer = client.put(f"/v1/users/{own}/rights", headers=headers, json=body)
    assert (answer.status_code, "own" in answer.json()["detail"]) == (422, True)
    with service.ledger.begin() as connection:
        row = users.find(connection, own)
    assert row is not None
    assert row.roles == ("security_admin",)


def test_the_last_of_each_administrator_stays(service: Service, three: dict[str, str]) -> None:
    for role, name in NAMES.items():
        with pytest.raises(AccessError, match=f"last {role}"):
            accounts.enable(service, SYSTEM, account_id=three[name], enabled=False)
        with pytest.raises(AccessError, match=f"last {role}"):
            accounts.invite(service, SYSTEM, account_id=three[name])
        with pytest.raises(AccessError, match=f"last {role}"):
            accounts.grant(
                service, SYSTEM, account_id=three[name], roles=(), regions=(), departments=()
            )
    second, _ = accounts.create(service, SYSTEM, name="sys.admin.2", title="")
    accounts.grant(
        service, SYSTEM, account_id=second.id, roles=[Role.SYSTEM_ADMIN], regions=(), departments=()
    )
    assert accounts.enable(service, SYSTEM, account_id=three["sys.admin"], enabled=False)
    with pytest.raises(AccessError, match="last system_admin"):
        accounts.enable(service, SYSTEM, account_id=second.id, enabled=False)


@pytest.mark.usefixtures("three")
def test_two_who_close_each_other_at_once_do_not_both_win(service: Service) -> None:
    pair: list[str] = []
    for name in ("one.admin", "two.admin"):
        row, _ = accounts.create(service, SYSTEM, name=name, title="")
        accounts.grant(
            service, SYSTEM, account_id=row.id, roles=[Role.AUDIT_ADMIN], regions=(), departments=()
        )
        pair.append(row.id)
    accounts.enable(service, SYSTEM, account_id=ids(service)["aud.admin"], enabled=False)

    def close(own: str, other: str) -> bool:
        try:
            accounts.enable(service, f"user:{own}", account_id=other, enabled=False)
        except AccessError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(close, pair, reversed(pair)))
    assert sorted(done) == [False, True]


def test_whoever_resets_a_password_does_not_get_the_rights_behind_it(
    service: Service, client: TestClient, as_caller: Headers
) -> None:
    row, first = accounts.create(service, SYSTEM, name="officer.1", title="")
    login.take_invitation(service, first, password="Rivers-run-7-deep")
    accounts.grant(
        service,
        SYSTEM,
        account_id=row.id,
        roles=[Role.DATA_MANAGER],
        regions=[""],
        departments=(),
    )
    url = f"/v1/users/{row.id}/invitation"
    again = client.post(url, headers=as_caller(roles=[Role.SYSTEM_ADMIN])).json()
    assert again["user"]["roles"] == []
    login.take_invitation(service, again["invitation"], password="Mountains+stand-9")
    signed = login.sign_in(service, "officer.1", password="Mountains+stand-9", code=None)
    assert signed is not None
    headers = {"Authorization": f"Bearer {signed.token}"}
    assert client.get("/v1/auth/me", headers=headers).json()["permissions"] == []


def test_a_change_of_rights_ends_the_sessions_of_before(
    service: Service, client: TestClient
) -> None:
    row, first = accounts.create(service, SYSTEM, name="officer.1", title="")
    login.take_invitation(service, first, password="Rivers-run-7-deep")
    for change in (
        lambda: accounts.grant(
            service, SYSTEM, account_id=row.id, roles=[], regions=[], departments=[]
        ),
        lambda: accounts.enable(service, SYSTEM, account_id=row.id, enabled=False),
    ):
        signed = login.sign_in(service, "officer.1", password="Rivers-run-7-deep", code=None)
        assert signed is not None
        headers = {"Authorization": f"Bearer {signed.token}"}
        assert client.get("/v1/auth/me", headers=headers).status_code == 200
        change()
        assert client.get("/v1/auth/me", headers=headers).status_code == 401
    closed = login.sign_in(service, "officer.1", password="Rivers-run-7-deep", code=None)
    assert closed is None
    accounts.enable(service, SYSTEM, account_id=row.id, enabled=True)
    assert login.sign_in(service, "officer.1", password="Rivers-run-7-deep", code=None)


@pytest.mark.parametrize("name", ["", "AB", "Big.Name", "a b", "x' or 1=1 --", "中文名", "a" * 65])
def test_a_name_that_is_none_is_refused(client: TestClient, as_caller: Headers, name: str) -> None:
    headers = as_caller(roles=[Role.SYSTEM_ADMIN])
    assert client.post("/v1/users", headers=headers, json={"name": name}).status_code == 422


def test_an_account_that_is_not_there_is_404(client: TestClient, as_caller: Headers) -> None:
    system = as_caller(roles=[Role.SYSTEM_ADMIN])
    security = as_caller(roles=[Role.SECURITY_ADMIN])
    gone = "/v1/users/0123456789abcdef"
    body: dict[str, list[str]] = {"roles": [], "regions": []}
    codes = [
        client.put(f"{gone}/rights", headers=security, json=body),
        client.put(f"{gone}/state", headers=system, json={"enabled": True}),
        client.post(f"{gone}/unlock", headers=system),
        client.post(f"{gone}/invitation", headers=system),
    ]
    assert [answer.status_code for answer in codes] == [404] * 4


def test_what_administrators_do_is_in_the_audit_without_secrets(
    service: Service, client: TestClient, as_caller: Headers
) -> None:
    headers = as_caller(roles=[Role.SYSTEM_ADMIN])
    me = client.get("/v1/auth/me", headers=headers).json()["id"]
    made = client.post("/v1/users", headers=headers, json={"name": "officer.1"}).json()
    client.get("/v1/keys", headers=headers)
    with service.ledger.begin() as connection:
        rows = audit.page(connection)
    assert [(row["actor"], row["action"], row["outcome"]) for row in rows] == [
        (me, "user.create", "done"),
        (me, "access.deny", "denied"),
    ]
    assert made["invitation"] not in str(rows)
