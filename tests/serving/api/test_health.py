from __future__ import annotations

from fastapi.testclient import TestClient

from serving.app import create_app
from serving.ledger.engine import Ledger
from serving.service import Service
from serving.settings import ServeSettings


def test_a_migrated_ledger_is_ready(client: TestClient) -> None:
    assert client.get("/health/live").json() == {"status": "live"}
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ready", "ledger": "ok", "models": "ok"},
    )


def test_an_unmigrated_ledger_is_not_ready_and_says_what_to_run(
    empty_database: str, settings: ServeSettings
) -> None:
    service = Service(settings, Ledger.at(empty_database))
    with TestClient(create_app(service=service)) as client:
        answer = client.get("/health/ready")
    service.close()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "xinjian serve migrate" in answer.json()["ledger"]


def test_a_ledger_that_is_down_is_told_without_its_address(settings: ServeSettings) -> None:
    service = Service(settings, Ledger.at("postgresql://secret-host.invalid/x", wait=1))
    with TestClient(create_app(service=service)) as client:
        answer = client.get("/health/ready")
        assert client.get("/health/live").status_code == 200
    service.close()
    assert answer.status_code == 503
    assert "secret" not in answer.text


def test_metrics_count_by_declared_route_and_never_by_path(client: TestClient) -> None:
    client.get("/health/live")
    client.get("/91210100YY000001XP")
    told = client.get("/metrics").text
    assert 'xinjian_requests_total{method="GET",route="/health/live",status="200"}' in told
    assert "91210100" not in told
