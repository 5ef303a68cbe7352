from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from serving.auth.roles import Role
from serving.ledger.audit import Entry
from serving.service import Service

Headers = Callable[..., dict[str, str]]


def test_an_audit_administrator_reads_page_by_page_and_leaves_a_line(
    service: Service, client: TestClient, as_caller: Headers
) -> None:
    for number in range(5):
        service.audit.record(Entry(service.clock(), f"user:{number % 2}", "score", f"s:{number}"))
    headers = as_caller(roles=[Role.AUDIT_ADMIN])
    first = client.get("/v1/audit", headers=headers, params={"limit": 2}).json()
    assert [row["target"] for row in first] == ["s:0", "s:1"]
    assert first[1]["previous"] == first[0]["hash"]
    rest = client.get("/v1/audit", headers=headers, params={"after": first[-1]["seq"]}).json()
    assert [row["target"] for row in rest[:3]] == ["s:2", "s:3", "s:4"]
    assert [row["action"] for row in rest[3:]] == ["audit.read", "audit.read"]
    of_one = client.get("/v1/audit", headers=headers, params={"actor": "user:1"}).json()
    assert [row["target"] for row in of_one] == ["s:1", "s:3"]


def test_nobody_else_reads_the_audit(client: TestClient, as_caller: Headers) -> None:
    for role in set(Role) - {Role.AUDIT_ADMIN}:
        answer = client.get("/v1/audit", headers=as_caller(roles=[role]))
        assert answer.status_code == 403, role


@pytest.mark.parametrize(
    "query", [{"after": -1}, {"limit": 0}, {"limit": 1001}, {"actor": "a\0b"}, {"after": 10**30}]
)
def test_a_page_that_cannot_be_is_refused(
    client: TestClient, as_caller: Headers, query: dict[str, str]
) -> None:
    headers = as_caller(roles=[Role.AUDIT_ADMIN])
    assert client.get("/v1/audit", headers=headers, params=query).status_code == 422
