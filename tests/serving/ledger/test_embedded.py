from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from models.errors import LedgerDownError, LedgerError
from serving.ledger import embedded
from serving.ledger.engine import Ledger
from serving.settings import ServeSettings

pytestmark = pytest.mark.slow

HOLDER = """
import sys, time
from serving.ledger.engine import Ledger
from serving.settings import ServeSettings
ledger = Ledger.open(ServeSettings())
print("open", flush=True)
time.sleep(600)
"""


@pytest.fixture
def own() -> Generator[ServeSettings]:
    """Return settings of an installation whose embedded server is nobody else's."""
    # A short path: a socket's address has no room for a long one.
    with tempfile.TemporaryDirectory(prefix="xj-em-") as folder:
        yield ServeSettings.model_validate({"home": Path(folder) / "new" / "home"})


def postmaster(settings: ServeSettings) -> int | None:
    lock = settings.postgres_folder / "postmaster.pid"
    return int(lock.read_text().splitlines()[0]) if lock.exists() else None


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)


def rows(ledger: Ledger) -> int:
    with ledger.begin() as connection:
        return connection.execute(text("select count(*) from seen")).scalar_one()


def test_a_killed_server_is_started_again_and_nothing_acknowledged_is_lost(
    own: ServeSettings,
) -> None:
    ledger = Ledger.open(own)
    with ledger.begin() as connection:
        connection.execute(text("create table seen (n int primary key)"))
    acknowledged: list[int] = []
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                with ledger.begin() as connection:
                    connection.execute(text("insert into seen values (:n)"), {"n": number})
                acknowledged.append(number)
            except LedgerDownError:
                time.sleep(0.05)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(2):
        first, seen = postmaster(own), len(acknowledged)
        while len(acknowledged) < seen + 20:
            time.sleep(0.01)
        assert first is not None
        kill(first)
        seen = len(acknowledged)
        until = time.monotonic() + 30
        while len(acknowledged) < seen + 20 and time.monotonic() < until:
            time.sleep(0.01)
        assert len(acknowledged) >= seen + 20, "the server did not come back"
        assert postmaster(own) != first
    stop.set()
    writer.join()
    with ledger.begin() as connection:
        kept = set(connection.execute(text("select n from seen")).scalars())
    assert set(acknowledged) <= kept
    ledger.close()


def test_a_killed_backend_is_an_error_of_one_moment(own: ServeSettings) -> None:
    ledger = Ledger.open(own)
    with pytest.raises(LedgerDownError), ledger.begin() as connection:  # noqa: PT012
        backend = connection.execute(text("select pg_backend_pid()")).scalar_one()
        os.kill(backend, signal.SIGKILL)
        connection.execute(text("select 1"))
    until = time.monotonic() + 20
    while True:
        try:
            ledger.ping()
            break
        except LedgerDownError:
            assert time.monotonic() < until
            time.sleep(0.1)
    ledger.close()


def test_the_server_lives_as_long_as_somebody_in_the_process_uses_it(own: ServeSettings) -> None:
    first, second = Ledger.open(own), Ledger.open(own)
    pid = postmaster(own)
    first.close()
    first.close()
    second.ping()
    assert postmaster(own) == pid
    second.close()
    assert postmaster(own) is None
    again = Ledger.open(own)
    again.ping()
    again.close()


def test_a_process_that_was_killed_does_not_keep_the_server_for_ever(own: ServeSettings) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        env=os.environ | {"XINJIAN_HOME": str(own.home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    pid = postmaster(own)
    other = Ledger.open(own)
    assert postmaster(own) == pid
    other.close()
    assert postmaster(own) == pid, "stopped under another process"
    holder.kill()
    holder.wait()
    holder.stdout.close()
    last = Ledger.open(own)
    last.ping()
    last.close()
    assert postmaster(own) is None


@pytest.mark.parametrize("other", ["somebody else's", "broken"])
def test_what_a_power_cut_leaves_behind_does_not_stand_in_the_way(
    own: ServeSettings, other: str
) -> None:
    ledger = Ledger.open(own)
    with ledger.begin() as connection:
        connection.execute(text("create table seen as select 1 as n"))
    pid = postmaster(own)
    assert pid is not None
    kill(pid)
    ledger.engine.dispose()
    users = own.postgres_folder / ".handle_pids.json"
    if other == "broken":
        users.write_text("[12")
    else:
        # The machine was started anew, and the server's number is now that of this very test.
        lock = own.postgres_folder / "postmaster.pid"
        lines = lock.read_text().splitlines()
        lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
        (own.postgres_folder / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
        users.write_text(json.dumps([2**22 - 1, os.getpid()]))
    assert rows(ledger) == 1
    ledger.close()
    again = Ledger.open(own)
    assert rows(again) == 1
    again.close()
    assert postmaster(own) is None


def test_a_server_that_cannot_start_is_told_once_and_not_tried_by_every_request(
    own: ServeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.open(own)
    server = ledger.server
    assert server is not None
    tries: list[int] = []

    def fail(_: object) -> None:
        tries.append(1)
        message = "no space left on device"
        raise OSError(message)

    pid = postmaster(own)
    assert pid is not None
    kill(pid)
    ledger.engine.dispose()
    monkeypatch.setattr(embedded, "_run", fail)
    for _ in range(3):
        with pytest.raises(LedgerDownError, match="start"):
            ledger.ping()
    assert len(tries) == 1
    monkeypatch.undo()
    server._failed = -100
    ledger.ping()
    ledger.close()


def test_a_folder_that_cannot_be_used_is_told_with_another_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="XINJIAN_DATABASE_URL"):
        embedded.start(tmp_path / "file" / "pg")
