from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from serving.app import create_app
from serving.auth import accounts, login, totp
from serving.auth.roles import Role
from serving.ledger import audit
from serving.service import Service
from tests.serving.village import Clock

GOOD = "Rivers-run-7-deep"
OTHER = "Mountains+stand-9"


@pytest.fixture
def app(timed: Service) -> FastAPI:
    return create_app(service=timed)


@pytest.fixture
def person(timed: Service) -> str:
    """Make an account with a password, without rights; return its id."""
    row, invitation = accounts.create(timed, "system", name="officer.1", title="执法一组")
    assert login.take_invitation(timed, invitation, password=GOOD)
    return row.id


def enter(client: TestClient, password: str = GOOD, code: str | None = None) -> dict[str, str]:
    body = {"name": "officer.1", "password": password, "code": code}
    answer = client.post("/v1/auth/sessions", json=body)
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def refused(client: TestClient, password: str, code: str | None = None) -> None:
    body = {"name": "officer.1", "password": password, "code": code}
    answer = client.post("/v1/auth/sessions", json=body)
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/sign-in-refused")


def acts(service: Service) -> list[tuple[object, object]]:
    with service.ledger.begin() as connection:
        return [(row["action"], row["outcome"]) for row in audit.page(connection)]


@pytest.mark.usefixtures("person")
def test_a_session_begins_is_used_and_ends(client: TestClient, timed: Service) -> None:
    headers = enter(client)
    me = client.get("/v1/auth/me", headers=headers).json()
    assert (me["name"], me["roles"], me["regions"]) == ("officer.1", {}, [])
    assert client.delete("/v1/auth/session", headers=headers).status_code == 204
    assert client.get("/v1/auth/me", headers=headers).status_code == 401
    assert acts(timed)[-2:] == [("session.begin", "done"), ("session.end", "done")]


@pytest.mark.usefixtures("person")
def test_an_idle_session_ends_and_a_busy_one_lasts_half_a_day(
    client: TestClient, clock: Clock
) -> None:
    idle, busy = enter(client), enter(client)
    for _ in range(2):
        clock.at += timedelta(minutes=10)
        assert client.get("/v1/auth/me", headers=busy).status_code == 200
    assert client.get("/v1/auth/me", headers=idle).status_code == 401
    for _ in range(int(login.LONGEST / timedelta(minutes=10)) - 3):
        clock.at += timedelta(minutes=10)
        assert client.get("/v1/auth/me", headers=busy).status_code == 200
    clock.at += timedelta(minutes=10)
    assert client.get("/v1/auth/me", headers=busy).status_code == 401


@pytest.mark.usefixtures("person")
def test_five_failures_lock_an_account_even_for_its_owner(
    client: TestClient, timed: Service, clock: Clock
) -> None:
    for _ in range(login.ATTEMPTS):
        refused(client, "Wrong-guess-1")
    refused(client, GOOD)
    clock.at += login.LOCKED + timedelta(seconds=1)
    enter(client)
    assert acts(timed).count(("session.begin", "failed")) == login.ATTEMPTS + 1


@pytest.mark.usefixtures("person")
def test_success_forgives_the_failures_before_it(client: TestClient) -> None:
    for _ in range(2):
        for _ in range(login.ATTEMPTS - 1):
            refused(client, "Wrong-guess-1")
        enter(client)


def test_guesses_at_once_are_no_more_than_one_after_the_other(
    timed: Service, person: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []

    def matching(password: str, kept: str | None) -> bool:
        judged.append(password)
        return password == "the right one" and kept is not None

    monkeypatch.setattr("serving.auth.passwords.matches", matching)
    guesses = [*(f"guess {n}" for n in range(11)), "the right one"]
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(login.sign_in, timed, "officer.1", password=guess, code=None)
            for guess in guesses
        ]
        got_in = [job.result() for job in jobs]
    assert len(judged) == 12  # as long for each, whether it can count or not
    assert got_in[-1] is None
    with timed.ledger.begin() as connection:
        query = text("select failures, locked_until from account where id = :id")
        failures, until = connection.execute(query, {"id": person}).one()
    assert (failures, until) == (login.ATTEMPTS, timed.clock() + login.LOCKED)


@pytest.mark.usefixtures("person")
def test_an_unknown_name_is_answered_like_a_wrong_password(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bool] = []

    def matching(password: str, hashed: str | None) -> bool:
        del password
        kept.append(hashed is None)
        return False

    monkeypatch.setattr("serving.auth.passwords.matches", matching)
    answers = [
        client.post("/v1/auth/sessions", json={"name": name, "password": "Wrong-guess-1"}).json()
        for name in ("nobody.here", "officer.1")
    ]
    assert kept == [True, False]  # both pay for a hash
    assert [one | {"instance": ""} for one in answers] == [answers[0] | {"instance": ""}] * 2


def test_a_second_factor_is_asked_for_once_it_was_confirmed(
    client: TestClient, timed: Service, clock: Clock
) -> None:
    row, invitation = accounts.create(timed, "system", name="officer.1", title="")
    login.take_invitation(timed, invitation, password=GOOD)
    refused(client, GOOD, code="123456")  # there is none yet
    headers = enter(client)
    made = client.post("/v1/auth/totp", headers=headers, json={"password": GOOD}).json()
    assert made["uri"].startswith("otpauth://totp/")
    enter(client)  # not confirmed: does not count
    code = totp.code_at(made["secret"], clock.at)
    wrong = f"{(int(code) + 1) % 10**6:06}"
    confirm = "/v1/auth/totp/confirm"
    assert client.post(confirm, headers=headers, json={"code": wrong}).status_code == 422
    assert client.post(confirm, headers=headers, json={"code": code}).status_code == 204
    refused(client, GOOD)
    refused(client, GOOD, code)  # used up
    clock.at += timedelta(seconds=totp.STEP)
    enter(client, code=totp.code_at(made["secret"], clock.at))
    with timed.ledger.begin() as connection:
        query = text("select totp_secret from account where id = :id")
        sealed = connection.execute(query, {"id": row.id}).scalar_one()
    assert made["secret"].encode() not in bytes(sealed)
    again = client.post("/v1/auth/totp", headers=headers, json={"password": GOOD})
    assert again.status_code == 422


def test_an_administrator_without_a_second_factor_can_do_nothing_but_get_one(
    client: TestClient, timed: Service, person: str, clock: Clock
) -> None:
    accounts.grant(
        timed, "system", account_id=person, roles=[Role.SYSTEM_ADMIN], regions=(), departments=()
    )
    headers = enter(client)
    answer = client.get("/v1/users", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/second-factor-missing")
    seed = client.post("/v1/auth/totp", headers=headers, json={"password": GOOD}).json()["secret"]
    code = totp.code_at(seed, clock.at)
    client.post("/v1/auth/totp/confirm", headers=headers, json={"code": code})
    assert client.get("/v1/users", headers=headers).status_code == 200


@pytest.mark.usefixtures("person")
def test_a_changed_password_ends_the_other_sessions_and_the_old_one(client: TestClient) -> None:
    mine, other = enter(client), enter(client)
    url = "/v1/auth/password"
    body = {"old": "Wrong-guess-1", "new": OTHER}
    assert client.put(url, headers=mine, json=body).status_code == 422
    assert client.put(url, headers=mine, json={"old": GOOD, "new": GOOD}).status_code == 422
    assert client.put(url, headers=mine, json={"old": GOOD, "new": OTHER}).status_code == 204
    assert client.get("/v1/auth/me", headers=mine).status_code == 200
    assert client.get("/v1/auth/me", headers=other).status_code == 401
    refused(client, GOOD)
    enter(client, OTHER)


def test_an_old_password_must_be_changed_before_anything_else(
    client: TestClient, timed: Service, person: str, clock: Clock
) -> None:
    accounts.grant(
        timed, "system", account_id=person, roles=[Role.VIEWER], regions=[""], departments=()
    )
    clock.at += timedelta(days=91)
    headers = enter(client)
    assert client.get("/v1/auth/me", headers=headers).json()["held"] == "password-old"
    client.put("/v1/auth/password", headers=headers, json={"old": GOOD, "new": OTHER})
    me = client.get("/v1/auth/me", headers=headers).json()
    assert (me["held"], me["roles"]) == (None, {"viewer": "查看员"})


def test_an_invitation_is_taken_once_in_time_and_with_a_good_password(
    client: TestClient, timed: Service, clock: Clock
) -> None:
    _, first = accounts.create(timed, "system", name="officer.1", title="")
    _, late = accounts.create(timed, "system", name="officer.2", title="")
    url = "/v1/auth/invitations"
    weak = client.post(url, json={"invitation": first, "password": "password123"})
    assert (weak.status_code, "password123" in weak.text) == (422, False)
    assert client.post(url, json={"invitation": first, "password": GOOD}).status_code == 201
    assert client.post(url, json={"invitation": first, "password": OTHER}).status_code == 403
    clock.at += login.INVITED
    assert client.post(url, json={"invitation": late, "password": GOOD}).status_code == 403


def test_a_system_has_no_session(
    client: TestClient, as_caller: Callable[..., dict[str, str]]
) -> None:
    headers = as_caller(client.app, roles=[Role.PARTNER])
    answer = client.delete("/v1/auth/session", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/no-session")


def test_guessing_from_one_address_is_slowed_before_it_is_judged(client: TestClient) -> None:
    body = {"name": "nobody.here", "password": "Wrong-guess-1"}
    codes = [client.post("/v1/auth/sessions", json=body).status_code for _ in range(33)]
    assert (codes[0], codes[-1]) == (401, 429)
