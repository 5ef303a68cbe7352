from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from models.errors import ModelError
from serving.app import create_app
from serving.auth.roles import Role
from serving.jobs import process
from serving.jobs import worker as module
from serving.jobs.worker import Worker
from serving.ledger import decisions, inbox, jobs, workers
from serving.ledger.jobs import Job, Status
from serving.service import Service
from tests.serving import village
from tests.serving.posts import penalty, post

FIRM = village.KNOWN[0]


@pytest.fixture
def running(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Service]:
    """Return a service over a village of the test's own, for this process and those it starts."""
    home = tmp_path / "home"
    village.furnish(home)
    monkeypatch.setenv("XINJIAN_HOME", str(home))
    monkeypatch.setenv("XINJIAN_DATABASE_URL", database)
    monkeypatch.setenv("XINJIAN_MODEL_POLL", "3600")
    opened = Service.open(village.settings(home, database), clock=village.Clock())
    yield opened
    opened.close()


@pytest.fixture
def worker(running: Service) -> Generator[Worker]:
    """Return a worker that works in this process."""
    made = Worker(running, "w")
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join(30)
    assert not thread.is_alive()


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        threading.Event().wait(0.02)


def look(service: Service, number: int) -> Job:
    with service.ledger.begin() as connection:
        found = jobs.get(connection, number)
    assert found is not None
    return found


def put(service: Service, kind: str, **more: object) -> int:
    with service.ledger.begin() as connection:
        return jobs.enqueue(connection, kind, payload=more, created_by="t", max_attempts=2)


def ended(service: Service, number: int) -> Job:
    until(lambda: look(service, number).status not in {Status.QUEUED, Status.RUNNING})
    return look(service, number)


def alive(service: Service) -> list[str]:
    with service.ledger.begin() as connection:
        return list(connection.execute(text("select name from worker")).scalars())


def decided(service: Service, subject: str) -> list[decisions.Decision]:
    with service.ledger.begin() as connection:
        return decisions.history(connection, village.SCENARIO, subject)


@pytest.mark.usefixtures("worker")
def test_a_posted_record_is_decided_upon_and_told(
    running: Service, as_caller: Callable[..., dict[str, str]]
) -> None:
    app = create_app(service=running)
    with TestClient(app) as client:
        headers = as_caller(app, roles=[Role.PARTNER])
        row = penalty(subject_id=FIRM, happened_on="2024-12-20", region="210100")
        told = post(client, headers, row).json()
        assert told["accepted"] == 1
        job = ended(running, told["job"])
    assert (job.status, job.result) == (Status.DONE, {"decisions": 1})
    (made,) = decided(running, FIRM)
    with running.ledger.begin() as connection:
        assert made.inbox_mark == inbox.high_water(connection)


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_heavy_jobs_run_in_processes_of_their_own(running: Service) -> None:
    village.post(running, "penalty", {"subject_id": FIRM, "happened_on": village.AS_OF})
    compacted = ended(running, put(running, "compact"))
    assert compacted.status is Status.DONE, compacted.error
    assert "1 records" in str(compacted.result)
    scored = ended(
        running, put(running, "score_all", scenario=village.SCENARIO, as_of=str(village.AS_OF))
    )
    assert scored.status is Status.DONE, scored.error
    assert decided(running, FIRM)
    assert (running.settings.home / "jobs" / f"{scored.id}.log").exists()
    # A command that says what its user has to mend is not tried again.
    wrong = ended(running, put(running, "score_all", scenario="nowhere"))
    assert (wrong.status, wrong.attempts) == (Status.DEAD, 1)
    assert "nowhere" in str(wrong.error)


@pytest.mark.usefixtures("worker")
def test_work_that_is_none_is_given_up_at_once(running: Service) -> None:
    for kind in ("redecide", "retrain"):
        job = ended(running, put(running, kind, scenario="--help"))
        assert (job.status, job.attempts) == (Status.DEAD, 1)


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let jobs run a program that sleeps for long."""
    program = tmp_path / "sleeper"
    program.write_text("#!/bin/sh\necho begun\nexec sleep 60\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(process.sys, "executable", str(program))
    return program


@pytest.mark.usefixtures("sleeper")
def test_a_running_job_is_cancelled(
    running: Service, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(module, "BEAT", 0.05)
    request.getfixturevalue("worker")
    number = put(running, "retrain", scenario="town")
    until(lambda: look(running, number).status is Status.RUNNING)
    with running.ledger.begin() as connection:
        jobs.cancel(connection, number)
    assert ended(running, number).status is Status.CANCELLED


@pytest.mark.usefixtures("sleeper")
def test_a_worker_that_is_stopped_gives_its_jobs_back(running: Service) -> None:
    made = Worker(running, "w")
    thread = threading.Thread(target=made.run)
    thread.start()
    number = put(running, "retrain", scenario="town")
    until(lambda: look(running, number).status is Status.RUNNING)
    made.stop()
    thread.join(30)
    job = look(running, number)
    assert (job.status, job.attempts) == (Status.QUEUED, 0)
    with running.ledger.begin() as connection:
        assert workers.silence(connection) is None


def test_what_fails_alone_does_not_take_others_along(
    running: Service, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    real = module.redecide

    def picky(service: Service, subjects: list[str]) -> int:
        if "bad" in subjects:
            raise ModelError("no model for it")
        return real(service, subjects)

    monkeypatch.setattr(module, "redecide", picky)
    good = put(running, "redecide", subjects=[FIRM])
    bad = put(running, "redecide", subjects=["bad"])
    request.getfixturevalue("worker")
    assert ended(running, good).status is Status.DONE
    until(lambda: look(running, bad).error is not None)
    assert look(running, bad).error == "no model for it"


def test_live_records_that_waited_long_are_due_for_the_lake(running: Service) -> None:
    village.post(running, "penalty", {"subject_id": FIRM, "happened_on": village.AS_OF})
    made = Worker(running, "w")
    made._upkeep()  # pyright: ignore[reportPrivateUsage]
    with running.ledger.begin() as connection:
        assert jobs.waiting(connection) == {}
    clock = running.clock
    assert isinstance(clock, village.Clock)
    clock.on(village.AS_OF.replace(month=2))
    for _ in range(2):
        made._upkeep()  # pyright: ignore[reportPrivateUsage]
    with running.ledger.begin() as connection:
        assert jobs.waiting(connection) == {"compact": 1}


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["no-such-command"], 2)])
def test_a_process_is_run_to_its_end_and_its_words_kept(
    tmp_path: Path, words: list[str], code: int
) -> None:
    done = process.run(words, tmp_path / "jobs" / "1.log", stop=lambda s: time.sleep(s) or False)
    assert (done.code, done.stopped) == (code, False)
    assert ("xinjian" if code == 0 else "no-such-command") in done.tail


@pytest.mark.slow
def test_a_worker_that_is_killed_leaves_nothing_undone(running: Service, root: Path) -> None:
    numbers = [put(running, "redecide", subjects=[one]) for one in village.KNOWN[:100]]
    command = [sys.executable, "-m", "xinjian", "serve", "worker", "--name"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    first = subprocess.Popen([*command, "first"], env=environment, stderr=subprocess.DEVNULL)
    until(lambda: any(look(running, one).status is Status.DONE for one in numbers), 120)
    first.send_signal(signal.SIGKILL)
    first.wait()
    with running.ledger.begin() as connection:
        # As if the time after which a worker counts as lost had passed.
        connection.execute(text("update job set beat_at = beat_at - interval '1 minute'"))
    second = subprocess.Popen([*command, "second"], env=environment, stderr=subprocess.DEVNULL)
    try:
        until(lambda: "second" in alive(running), 120)
        until(lambda: all(look(running, one).status is Status.DONE for one in numbers), 180)
    finally:
        second.terminate()
        assert second.wait(60) == 0
    with running.ledger.begin() as connection:
        twice = text(
            "select count(*) from (select 1 from decision group by subject_id, as_of "
            "having count(*) > 1) as twice"
        )
        assert connection.execute(twice).scalar_one() == 0
    assert "second" not in alive(running)
