"""The database is taken away under callers: they are told at once, and nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text

from models.errors import LedgerDownError
from serving.auth.roles import Role
from serving.ledger import audit, embedded
from serving.ledger.engine import Ledger
from serving.ledger.migrate import migrate
from serving.ledger.watch import answers
from serving.service import Service
from serving.settings import ServeSettings
from tests.serving.api.test_api_killed import Api
from tests.serving.faults.outage import Load, documents, signalled
from tests.serving.posts import penalty

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Generator[embedded.Server]:
    """Return a server of the test's own, which it may take down; shadows the shared one."""
    with tempfile.TemporaryDirectory(prefix="xj-out-") as folder:
        found = embedded.start(Path(folder) / "pg")
        yield found
        found.cleanup()


@pytest.fixture
def service(server: embedded.Server, tmp_path: Path) -> Generator[Service]:
    # An address, as of a server of somebody else's: nobody here starts it again.
    made = {"home": tmp_path / "home", "database_url": server.get_uri("postgres")}
    opened = Service.open(ServeSettings.model_validate(made))
    migrate(opened.ledger)
    yield opened
    opened.close()


@pytest.fixture
def api(service: Service, root: Path) -> Generator[Api]:
    made = Api(
        {
            **os.environ,
            "PYTHONPATH": str(root),
            "XINJIAN_HOME": str(service.settings.home),
            "XINJIAN_DATABASE_URL": service.settings.database or "",
        }
    )
    made.wait()
    yield made
    made.kill()


@pytest.fixture
def partner(as_caller: Callable[..., dict[str, str]]) -> dict[str, str]:
    return as_caller(roles=[Role.PARTNER])


def check_kept(load: Load, ledger: Ledger) -> None:
    """Nothing acknowledged is missing; once everything was sent again, each is there once."""
    before = documents(ledger)
    assert {penalty(number)["document_number"] for number in load.acknowledged} <= before.keys()
    assert set(before.values()) == {1}
    assert set(load.again()) == {200}
    after = documents(ledger)
    assert after.keys() == {penalty(one.number)["document_number"] for one in load.tries}
    assert set(after.values()) == {1}
    with ledger.begin() as connection:
        asked = text("select count(*) from job where kind = 'redecide'")
        assert connection.execute(asked).scalar_one() == len(after)
        assert audit.verify(connection).whole


def test_a_minute_without_the_database_is_told_at_once_and_ends_by_itself(
    server: embedded.Server, service: Service, api: Api, partner: dict[str, str]
) -> None:
    with Load(api.address, partner) as load:
        load.until(50)
        signalled(server, signal.SIGSTOP)  # it hangs: whoever asks it waits without end
        hung = time.monotonic()
        threading.Event().wait(10)
        ready = httpx2.get(f"{api.address}/health/ready", timeout=5)
        assert ready.status_code == 503
        assert httpx2.get(f"{api.address}/health/live", timeout=5).status_code == 200
        threading.Event().wait(20)
        signalled(server, signal.SIGKILL)  # and then it is gone
        threading.Event().wait(30)
        down = [one for one in load.tries if one.at > hung + 0.1]
        server.revive()
        came_back = load.until(5)
        load.until(20)
    assert len(down) > 100
    assert {one.status for one in down} == {503}
    assert {one.retry_after for one in down} == {"5"}
    waits = sorted(one.seconds for one in down)
    assert waits[-1] < 6, "nobody waits for a server that hangs"
    assert waits[len(waits) // 2] < 1, "once it is known, everybody is told at once"
    assert came_back < 20
    assert api.process.poll() is None, "the same process answers again"
    check_kept(load, service.ledger)


def test_a_database_that_is_killed_while_records_are_posted_loses_none(
    server: embedded.Server, service: Service, api: Api, partner: dict[str, str]
) -> None:
    with Load(api.address, partner) as load:
        for _ in range(3):
            load.until(25)
            signalled(server, signal.SIGKILL)
            threading.Event().wait(0.5)
            server.revive()
        load.until(25)
    assert {one.status for one in load.tries} == {200, 503}
    check_kept(load, service.ledger)


def test_who_waits_for_a_server_that_hangs_is_told_within_seconds(
    server: embedded.Server, service: Service
) -> None:
    ledger, told = service.ledger, list[float]()

    def ask() -> None:
        began = time.monotonic()
        with pytest.raises(LedgerDownError):
            ledger.ping()
        told.append(time.monotonic() - began)

    ledger.ping()
    signalled(server, signal.SIGSTOP)
    try:
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(told) == 20
        assert max(told) < 5
        assert ledger.watch.silent
        began = time.monotonic()
        with pytest.raises(LedgerDownError, match="not answer"):
            ledger.ping()
        assert time.monotonic() - began < 0.1
    finally:
        signalled(server, signal.SIGCONT)
    until = time.monotonic() + 10
    while ledger.watch.silent and time.monotonic() < until:
        threading.Event().wait(0.05)
    ledger.ping()


def test_a_statement_that_takes_long_is_not_taken_for_silence(service: Service) -> None:
    with service.ledger.begin() as connection:
        connection.execute(text("select pg_sleep(3.5)"))
        assert connection.execute(text("select 7")).scalar_one() == 7
    assert not service.ledger.watch.silent


def test_a_server_gives_a_sign_of_life_or_none(server: embedded.Server, tmp_path: Path) -> None:
    where = f"{server.socket_folder}/.s.PGSQL.5432"
    assert answers(where)
    assert answers(str(tmp_path / "nothing")), "what is gone refuses, and nobody waits"
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        assert not answers(("127.0.0.1", deaf.getsockname()[1]))
