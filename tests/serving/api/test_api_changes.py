from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from serving.auth.roles import Role
from serving.ledger import changes
from serving.ledger.changes import ChangeKind
from serving.service import Service

Headers = dict[str, str]


@pytest.fixture
def put(service: Service) -> Callable[..., None]:
    def given(*subjects: str, region: str | None = "210102", kind: str = "decision") -> None:
        with service.ledger.begin() as connection:
            for one in subjects:
                changes.append(
                    connection,
                    ChangeKind(kind),
                    subject_id=one,
                    region=region,
                    payload={"grade": "D"},
                    at=service.clock(),
                )

    return given


def test_a_reader_follows_the_feed_by_its_cursor(
    client: TestClient, as_caller: Callable[..., Headers], put: Callable[..., None]
) -> None:
    headers = as_caller(roles=[Role.PARTNER])
    put(*"abcde")
    seen: list[str] = []
    after, more = 0, True
    while more:
        page = client.get("/v1/changes", params={"after": after, "limit": 2}, headers=headers)
        told = page.json()
        seen += [one["subject_id"] for one in told["changes"]]
        after, more = told["cursor"], told["more"]
    assert seen == list("abcde")
    put("f")
    again = client.get("/v1/changes", params={"after": after}, headers=headers).json()
    assert [one["subject_id"] for one in again["changes"]] == ["f"]
    assert again["more"] is False


def test_a_region_is_told_of_its_own_and_its_cursor_passes_the_others(
    client: TestClient, as_caller: Callable[..., Headers], put: Callable[..., None]
) -> None:
    dalian = as_caller(roles=[Role.PARTNER], regions=("2102",))
    everything = as_caller(roles=[Role.PARTNER])
    put("shenyang", region="210102")
    put("dalian", region="210202")
    put("nowhere", "else", region=None)
    told = client.get("/v1/changes", headers=dalian).json()
    assert [one["subject_id"] for one in told["changes"]] == ["dalian"]
    assert told["cursor"] == client.get("/v1/changes", headers=everything).json()["cursor"]


def test_a_reader_may_ask_for_some_kinds(
    client: TestClient, as_caller: Callable[..., Headers], put: Callable[..., None]
) -> None:
    headers = as_caller(roles=[Role.ANALYST])
    put("a")
    put("b", kind="repair")
    put("c", kind="warning")
    asked = {"kind": ["repair", "warning"]}
    told = client.get("/v1/changes", params=asked, headers=headers).json()
    assert [one["kind"] for one in told["changes"]] == ["repair", "warning"]


def test_an_empty_feed_leaves_the_cursor(
    client: TestClient, as_caller: Callable[..., Headers]
) -> None:
    headers = as_caller(roles=[Role.PARTNER])
    told = client.get("/v1/changes", params={"after": 17}, headers=headers).json()
    assert told == {"changes": [], "cursor": 17, "more": False}


@pytest.mark.parametrize(
    "asked", [{"after": "-1"}, {"after": str(2**63)}, {"limit": "0"}, {"kind": "x"}, {"after": "a"}]
)
def test_a_cursor_that_is_none_is_refused(
    client: TestClient, as_caller: Callable[..., Headers], asked: dict[str, str]
) -> None:
    headers = as_caller(roles=[Role.PARTNER])
    assert client.get("/v1/changes", params=asked, headers=headers).status_code == 422


def test_a_viewer_has_no_feed(client: TestClient, as_caller: Callable[..., Headers]) -> None:
    assert client.get("/v1/changes", headers=as_caller(roles=[Role.VIEWER])).status_code == 403
