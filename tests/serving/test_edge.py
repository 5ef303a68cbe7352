from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.service import Service


@pytest.fixture
def small(service: Service) -> FastAPI:
    settings = service.settings.model_copy(update={"body_limit": 1024})
    app = create_app(service=Service(settings, service.ledger))

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    return app


def chunks(number: int) -> Iterator[bytes]:
    for _ in range(number):
        yield b"x" * 512


def test_a_body_within_the_limit_arrives(small: FastAPI) -> None:
    with TestClient(small) as client:
        assert client.post("/size", content=b"x" * 1024).json() == 1024
        assert client.post("/size", content=chunks(2)).json() == 1024


@pytest.mark.parametrize("told", [True, False], ids=["told", "in chunks"])
def test_a_body_beyond_the_limit_is_refused_whether_or_not_it_says_so(
    small: FastAPI, *, told: bool
) -> None:
    with TestClient(small) as client:
        answer = client.post("/size", content=b"x" * 1025 if told else chunks(3))
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert "1024 bytes" in answer.json()["detail"]


def test_a_request_keeps_its_id_where_a_log_can_hold_it(client: TestClient) -> None:
    kept = client.get("/health/live", headers={"X-Request-ID": "abc-123.DEF"})
    assert kept.headers["X-Request-ID"] == "abc-123.DEF"
    for bad in ('a"}\\nforged', "short", "x" * 65):
        made = client.get("/health/live", headers={"X-Request-ID": bad})
        assert made.headers["X-Request-ID"] != bad
        assert len(made.headers["X-Request-ID"]) == 24


def test_answers_are_not_kept_by_whoever_passes_them_on(client: TestClient) -> None:
    headers = client.get("/health/live").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_the_page_of_the_routes_needs_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs").text
    needed = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {address.rpartition(".")[2] for address in needed} >= {"js", "css"}
    assert "//" not in "".join(needed), "an office's network has no way to the web"
    for address in (*needed, "/openapi.json"):
        assert client.get(address).status_code == 200
