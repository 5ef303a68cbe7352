from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from serving.auth.roles import Role
from serving.jobs import deliver
from serving.jobs.hosts import Target
from serving.ledger import changes
from serving.ledger.changes import ChangeKind
from serving.service import Service
from serving.settings import ServeSettings

Headers = dict[str, str]
HOOK = {"title": "市信用平台", "url": "https://credit.example.cn/changes"}


@pytest.fixture
def settings(settings: ServeSettings) -> ServeSettings:
    return settings.model_copy(update={"hook_hosts": "credit.example.cn,10.20.0.0/16"})


@pytest.fixture
def manager(as_caller: Callable[..., Headers]) -> Headers:
    return as_caller(roles=[Role.DATA_MANAGER])


def made(client: TestClient, headers: Headers, **more: object) -> Any:  # noqa: ANN401
    answer = client.post("/v1/hooks", json={**HOOK, **more}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def change(service: Service, subject: str, region: str = "210102") -> None:
    with service.ledger.begin() as connection:
        changes.append(
            connection,
            ChangeKind.REPAIR,
            subject_id=subject,
            region=region,
            payload={},
            at=service.clock(),
        )


def test_the_secret_is_shown_once_and_kept_sealed(
    client: TestClient, manager: Headers, service: Service
) -> None:
    hook = made(client, manager)
    secret = base64.urlsafe_b64decode(hook["secret"])
    assert len(secret) == 32
    shown = client.get(f"/v1/hooks/{hook['id']}", headers=manager)
    listed = client.get("/v1/hooks", headers=manager)
    assert hook["secret"] not in shown.text + listed.text
    assert [one["id"] for one in listed.json()] == [hook["id"]]
    with service.ledger.begin() as connection:
        kept = connection.execute(text("select secret from hook")).scalar_one()
    assert secret not in bytes(kept)


def test_a_hook_is_told_of_what_comes_from_now_on(
    client: TestClient, manager: Headers, service: Service
) -> None:
    change(service, "before")
    made(client, manager, url="http://10.20.0.1/a")
    made(client, manager, url="http://10.20.0.2/b", from_start=True)
    change(service, "after")
    got: dict[str, bytes] = {}

    def send(where: Target, body: bytes, headers: dict[str, str]) -> int:
        del headers
        got[where.host] = body
        return 200

    deliver.plan(service)
    while deliver.deliver(service, send=send):
        pass
    assert b"before" not in got["10.20.0.1"]
    assert b"after" in got["10.20.0.1"]
    assert b"before" in got["10.20.0.2"]


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example.cn/",
        "http://127.0.0.1:5432/",
        "http://169.254.169.254/",
        "http://credit.example.cn/",
        "https://credit.example.cn@10.0.0.1/",
        "file:///etc/passwd",
        "https://credit.example.cn/ x",
    ],
)
def test_a_place_that_may_not_be_sent_to_is_refused(
    client: TestClient, manager: Headers, url: str
) -> None:
    answer = client.post("/v1/hooks", json={**HOOK, "url": url}, headers=manager)
    assert answer.status_code == 422
    assert client.get("/v1/hooks", headers=manager).json() == []


def test_a_hook_is_told_of_no_more_than_its_maker_may_see(
    client: TestClient, manager: Headers, as_caller: Callable[..., Headers]
) -> None:
    shenyang = as_caller(roles=[Role.DATA_MANAGER], regions=("2101",))
    assert made(client, shenyang)["regions"] == ["2101"]
    assert made(client, shenyang, regions=["210102"])["regions"] == ["210102"]
    for regions in (["210200"], ["21"], ["210102", "110000"]):
        answer = client.post("/v1/hooks", json={**HOOK, "regions": regions}, headers=shenyang)
        assert answer.status_code == 403
    whole = made(client, manager)
    assert whole["regions"] == [""]
    for place in ("", "/deliveries"):
        answer = client.get(f"/v1/hooks/{whole['id']}{place}", headers=shenyang)
        assert answer.status_code == 404
    assert len(client.get("/v1/hooks", headers=shenyang).json()) == 2
    assert len(client.get("/v1/hooks", headers=manager).json()) == 3


def test_a_region_that_is_none_is_refused(client: TestClient, manager: Headers) -> None:
    answer = client.post("/v1/hooks", json={**HOOK, "regions": ["x"]}, headers=manager)
    assert answer.status_code == 422


def test_a_hook_is_switched_off_and_on(client: TestClient, manager: Headers) -> None:
    place = f"/v1/hooks/{made(client, manager)['id']}"
    for active in (False, True):
        answer = client.patch(place, json={"active": active}, headers=manager)
        assert answer.json()["active"] is active


def test_a_delivery_that_was_given_up_is_sent_again(
    client: TestClient, manager: Headers, service: Service
) -> None:
    place = f"/v1/hooks/{made(client, manager, url='http://10.20.0.1/')['id']}"
    change(service, "a")
    deliver.plan(service)
    deliver.deliver(service, send=lambda _where, _body, _headers: 500)
    (waits,) = client.get(f"{place}/deliveries", headers=manager).json()
    assert (waits["status"], waits["answer"]) == ("waiting", 500)
    again = f"{place}/deliveries/{waits['id']}/retry"
    assert client.post(again, headers=manager).status_code == 409
    with service.ledger.begin() as connection:
        connection.execute(text("update hook_delivery set status = 'dead'"))
    assert client.post(again, headers=manager).status_code == 200
    asked = client.get(f"{place}/deliveries", params={"status": "waiting"}, headers=manager)
    assert [one["attempts"] for one in asked.json()] == [0]


def test_a_hook_that_is_not_there_is_not_found(client: TestClient, manager: Headers) -> None:
    assert client.get("/v1/hooks/77", headers=manager).status_code == 404
    assert client.get("/v1/hooks/77/deliveries", headers=manager).status_code == 404
    assert client.patch("/v1/hooks/77", json={"active": True}, headers=manager).status_code == 404
    assert client.post("/v1/hooks/77/deliveries/1/retry", headers=manager).status_code == 404


def test_a_partner_manages_no_hooks(client: TestClient, as_caller: Callable[..., Headers]) -> None:
    partner = as_caller(roles=[Role.PARTNER])
    assert client.get("/v1/hooks", headers=partner).status_code == 403
    assert client.post("/v1/hooks", json=HOOK, headers=partner).status_code == 403
