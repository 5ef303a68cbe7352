"""The API is killed while partners post, and the ledger goes away: nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from serving.auth.roles import Role
from serving.ledger.engine import Ledger
from serving.service import Service
from tests.serving.posts import penalty, post

POSTS = 60


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Api:
    """The API in a process of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "xinjian", "serve", "api", "--port", str(self.port)],
            env=environment,
            stderr=subprocess.DEVNULL,
        )

    def wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if httpx2.get(f"{self.address}/health/ready", timeout=5).status_code == 200:
                    return
            except httpx2.HTTPError:
                threading.Event().wait(0.05)
        raise TimeoutError(self.address)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start(service: Service, database: str, root: Path) -> Generator[Callable[[], Api]]:
    started: list[Api] = []
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "XINJIAN_HOME": str(service.settings.home),
        "XINJIAN_DATABASE_URL": database,
    }

    def made() -> Api:
        api = Api(environment)
        started.append(api)
        api.wait()
        return api

    yield made
    for api in started:
        api.kill()


def send(address: str, headers: dict[str, str], number: int) -> int | None:
    """Post a record of its own under a key of its own; the status, or nothing where none came."""
    try:
        return httpx2.post(
            f"{address}/v1/records",
            json={"table": "penalty", "rows": [penalty(number)]},
            headers={**headers, "Idempotency-Key": f"key-{number}"},
            timeout=30,
        ).status_code
    except httpx2.HTTPError:
        return None


def kept(ledger: Ledger) -> list[str]:
    with ledger.begin() as connection:
        return list(connection.execute(text("select record_id from inbox")).scalars())


@pytest.mark.slow
def test_a_kill_loses_nothing_that_was_answered(
    service: Service, start: Callable[[], Api], as_caller: Callable[..., dict[str, str]]
) -> None:
    headers = as_caller(roles=[Role.PARTNER])
    first = start()
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(send, first.address, headers, n) for n in range(POSTS)]
        while sum(one.done() for one in answers) < POSTS // 3:
            threading.Event().wait(0.005)
        first.kill()
    acknowledged = [n for n, one in enumerate(answers) if one.result() == 200]
    assert 0 < len(acknowledged) < POSTS
    before = kept(service.ledger)
    assert len(before) >= len(acknowledged)
    assert len(before) == len(set(before))
    second = start()
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(send, second.address, headers, n) for n in range(POSTS)]
        assert [one.result() for one in asked] == [200] * POSTS
    after = kept(service.ledger)
    assert len(after) == len(set(after)) == POSTS
    with service.ledger.begin() as connection:
        jobs = text("select count(*) from job where kind = 'redecide'")
        assert connection.execute(jobs).scalar_one() == POSTS


def test_a_ledger_that_is_away_is_told_and_used_again(
    app: FastAPI, service: Service, as_caller: Callable[..., dict[str, str]]
) -> None:
    headers = as_caller(roles=[Role.PARTNER])
    end = text(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    gone = Ledger.at("postgresql://127.0.0.1:1/nowhere", wait=1)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert post(client, headers, penalty(1), key="a").status_code == 200
        app.state.service = replace(service, ledger=gone)
        down = post(client, headers, penalty(2), key="b")
        assert down.status_code == 503
        assert int(down.headers["Retry-After"]) > 0
        app.state.service = service
        with service.ledger.begin() as connection:
            connection.execute(end)
        assert post(client, headers, penalty(2), key="b").status_code == 200
    gone.close()
    assert len(kept(service.ledger)) == 2
