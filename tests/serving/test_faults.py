"""What the service promises when the database or a process of its own is taken away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.deps import ServiceDep
from serving.ledger import audit, embedded
from serving.ledger.audit import Entry
from serving.ledger.engine import Ledger
from serving.ledger.migrate import migrate
from serving.service import Service
from serving.settings import ServeSettings

pytestmark = pytest.mark.slow

WRITER = """
import itertools, sys
from serving.ledger.audit import Entry, Recorder
from serving.ledger.engine import Ledger
from serving.service import now
recorder = Recorder(Ledger.at(sys.argv[1]))
for number in itertools.count():
    recorder.record(Entry(now(), sys.argv[2], "written", str(number)))
    print(number, flush=True)
"""


@pytest.fixture
def server() -> Generator[embedded.Server]:
    """Return a server of the test's own, which it may take down; shadows the shared one."""
    with tempfile.TemporaryDirectory(prefix="xj-ft-") as folder:
        found = embedded.start(Path(folder) / "pg")
        yield found
        found.cleanup()


@pytest.fixture
def service(server: embedded.Server, tmp_path: Path) -> Generator[Service]:
    # An address, as of a server of somebody else's: nobody here starts it again.
    address = server.get_uri("postgres")
    settings = ServeSettings.model_validate(
        {"home": tmp_path / "home", "database_url": address, "database_wait": 1}
    )
    opened = Service.open(settings)
    migrate(opened.ledger)
    yield opened
    opened.close()


@pytest.fixture
def app(service: Service) -> FastAPI:
    app = create_app(service=service)

    @app.post("/act/{number}")
    def act(number: int, service: ServiceDep) -> int:
        service.audit.record(Entry(service.clock(), "user:1", "act", str(number)))
        return number

    return app


def stop(server: embedded.Server) -> None:
    control = server._inner
    command = [str(server.programs / "pg_ctl"), "-D", str(server.folder), "-m", "immediate", "stop"]
    subprocess.run(command, check=True, capture_output=True, user=control.system_user)


def acts(ledger: Ledger) -> set[str]:
    with ledger.begin() as connection:
        rows = audit.page(connection, limit=1_000_000)
    return {str(row["target"]) for row in rows}


def test_a_database_that_is_down_is_a_503_that_ends_by_itself(
    server: embedded.Server, service: Service, client: TestClient
) -> None:
    assert client.post("/act/1").status_code == 200
    stop(server)
    began = time.monotonic()
    for path in ("/act/2", "/act/3"):
        answer = client.post(path)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"
        assert answer.json()["type"] == "/problems/ledger-down"
    assert client.get("/health/ready").status_code == 503
    assert client.get("/health/live").status_code == 200
    assert time.monotonic() - began < 20, "a caller waits for an answer, not for the database"
    server.revive()
    assert client.post("/act/4").status_code == 200
    assert client.get("/health/ready").status_code == 200
    assert acts(service.ledger) == {"1", "4"}


def test_a_database_that_goes_and_comes_back_under_load_loses_nothing_acknowledged(
    server: embedded.Server, service: Service, client: TestClient
) -> None:
    acknowledged: list[str] = []
    others: set[int] = set()
    ended = threading.Event()

    def call(thread: int) -> None:
        number = thread
        while not ended.is_set():
            number += 4
            answer = client.post(f"/act/{number}")
            if answer.status_code == 200:
                acknowledged.append(str(number))
            else:
                others.add(answer.status_code)
                ended.wait(0.05)

    threads = [threading.Thread(target=call, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            time.sleep(0.5)
            stop(server)
            time.sleep(1)
            server.revive()
        seen, until = len(acknowledged), time.monotonic() + 20
        while len(acknowledged) < seen + 20 and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert len(acknowledged) >= seen + 20
    assert others <= {503}
    assert set(acknowledged) <= acts(service.ledger)
    with service.ledger.begin() as connection:
        assert audit.verify(connection).whole


def test_processes_that_are_killed_while_they_write_leave_a_whole_chain(
    server: embedded.Server, service: Service
) -> None:
    address = server.get_uri("postgres")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, address, f"process:{number}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    told: list[str] = []
    for writer in writers:
        assert writer.stdout is not None
        told += [writer.stdout.readline().strip() for _ in range(20)]
        os.kill(writer.pid, signal.SIGKILL)
        told += writer.stdout.read().split()
        writer.wait()
        writer.stdout.close()
    with service.ledger.begin() as connection:
        verdict = audit.verify(connection)
    assert verdict.whole
    # Each may have been killed between the commit and the word of it; never the other way round.
    assert len(told) <= verdict.rows <= len(told) + 2
    service.ledger.ping()
