from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from serving.auth.roles import Role
from serving.ledger import audit, jobs
from serving.service import Service

Headers = dict[str, str]
DRIFT = {"kind": "drift", "scenario": "food_safety"}


@pytest.fixture
def manager(as_caller: Callable[..., Headers]) -> Headers:
    return as_caller(roles=[Role.DATA_MANAGER])


def submit(client: TestClient, headers: Headers, **work: object) -> Any:  # noqa: ANN401
    answer = client.post("/v1/jobs", json=work, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()


def test_a_job_is_queued_seen_and_cancelled(
    client: TestClient, manager: Headers, service: Service
) -> None:
    made = submit(client, manager, **DRIFT)
    assert (made["kind"], made["status"], made["payload"]) == (
        "drift",
        "queued",
        {"scenario": "food_safety"},
    )
    place = f"/v1/jobs/{made['id']}"
    assert client.get(place, headers=manager).json() == made
    assert client.post(f"{place}/cancel", headers=manager).json()["status"] == "cancelled"
    assert client.post(f"{place}/retry", headers=manager).json()["status"] == "queued"
    with service.ledger.begin() as connection:
        acts = [row["action"] for row in audit.page(connection, target=str(made["id"]))]
    assert acts == ["job.submit", "job.cancel", "job.retry"]


def test_the_same_job_waits_once(client: TestClient, manager: Headers) -> None:
    first, again = submit(client, manager, **DRIFT), submit(client, manager, **DRIFT)
    assert again["id"] == first["id"]
    assert submit(client, manager, kind="drift", scenario="other")["id"] != first["id"]


def test_jobs_are_listed_in_pages(client: TestClient, manager: Headers) -> None:
    numbers = [submit(client, manager, kind="drift", scenario=f"s{n}")["id"] for n in range(5)]
    seen: list[int] = []
    before: int | None = None
    while True:
        asked = {"limit": 2} | ({} if before is None else {"before": before})
        page = client.get("/v1/jobs", params=asked, headers=manager).json()
        seen += [one["id"] for one in page["jobs"]]
        before = page["before"]
        if before is None:
            break
    assert seen == numbers[::-1]
    none = client.get("/v1/jobs", params={"status": "dead", "kind": "x\x00"}, headers=manager)
    assert none.json() == {"jobs": [], "before": None}


def test_what_ended_is_not_cancelled_and_what_runs_is_not_retried(
    client: TestClient, manager: Headers, service: Service
) -> None:
    number = submit(client, manager, **DRIFT)["id"]
    assert client.post(f"/v1/jobs/{number}/retry", headers=manager).status_code == 409
    with service.ledger.begin() as connection:
        jobs.claim(connection, "w", kinds=("drift",))
        jobs.finish(connection, [number], worker="w")
    refused = client.post(f"/v1/jobs/{number}/cancel", headers=manager)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/job-ended")


@pytest.mark.parametrize(
    "work",
    [
        {},
        {"kind": "shell", "command": "rm"},
        {"kind": "retrain"},
        {"kind": "retrain", "scenario": "../../x"},
        {"kind": "retrain", "scenario": "ok", "arguments": ["--x"]},
        {"kind": "publish", "scenario": "ok", "version": "--help"},
        {"kind": ["drift"]},
        [],
    ],
)
def test_what_is_no_work_is_refused(
    client: TestClient, manager: Headers, work: dict[str, object]
) -> None:
    assert client.post("/v1/jobs", json=work, headers=manager).status_code == 422


@pytest.mark.parametrize("number", ["0", "-1", "x", str(2**63), "1e3"])
def test_a_number_that_is_none_is_refused(
    client: TestClient, manager: Headers, number: str
) -> None:
    assert client.get(f"/v1/jobs/{number}", headers=manager).status_code == 422


def test_a_job_that_is_not_there_is_not_found(client: TestClient, manager: Headers) -> None:
    for method, place in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
        answer = client.request(method, f"/v1/jobs/{2**63 - 1}{place}", headers=manager)
        assert answer.status_code == 404


def test_who_may_look_may_not_run(client: TestClient, as_caller: Callable[..., Headers]) -> None:
    analyst = as_caller(roles=[Role.ANALYST])
    assert client.get("/v1/jobs", headers=analyst).status_code == 200
    assert client.post("/v1/jobs", json=DRIFT, headers=analyst).status_code == 403
    assert client.get("/v1/jobs", headers=as_caller(roles=[Role.PARTNER])).status_code == 403
