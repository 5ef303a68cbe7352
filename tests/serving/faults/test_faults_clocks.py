"""Clocks that disagree: what came later stays later, and nobody is locked out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.auth.roles import Role
from serving.doctor import examine
from serving.jobs.worker import Worker
from serving.ledger import decisions, jobs, workers
from serving.runtime.scoring import redecide
from serving.service import Service, now
from tests.serving import village
from tests.serving.posts import penalty, post

FIRM = village.KNOWN[0]


def test_decisions_stay_in_the_order_in_which_they_were_made(
    running: Service, clock: village.Clock, as_caller: Callable[..., dict[str, str]]
) -> None:
    app = create_app(service=running)
    headers = as_caller(app, roles=[Role.DATA_MANAGER])
    marks: list[int] = []
    with TestClient(app) as client:
        for number, hours in enumerate((0, -2, 1, -3)):
            clock.at = village.NOON + timedelta(hours=hours)
            row = penalty(number, subject_id=FIRM, happened_on="2024-12-20", region="210100")
            told = post(client, headers, row, key=f"c{number}").json()
            assert told["accepted"] == 1
            assert redecide(running, [FIRM]) == 1
            with running.ledger.begin() as connection:
                found = decisions.current(connection, village.SCENARIO, FIRM, on=running.today())
            assert found is not None
            marks.append(found.inbox_mark)
    assert marks == sorted(set(marks)), "the one in force is the one that was made last"
    with running.ledger.begin() as connection:
        every = decisions.history(connection, village.SCENARIO, FIRM)
    assert [one.inbox_mark for one in every] == marks[::-1]


@pytest.mark.parametrize("off", [timedelta(minutes=10), timedelta(minutes=-10)], ids=str)
def test_a_server_whose_clock_is_off_still_takes_records_and_hands_out_jobs(
    service: Service, as_caller: Callable[..., dict[str, str]], off: timedelta
) -> None:
    headers = as_caller(roles=[Role.PARTNER])
    skewed = replace(service, clock=lambda: now() + off)
    with TestClient(create_app(service=skewed)) as client:
        told = post(client, headers, penalty(1)).json()
    assert told["accepted"] == 1
    worker = Worker(skewed, "w")
    worker._upkeep()  # pyright: ignore[reportPrivateUsage]
    with service.ledger.begin() as connection:
        (job,) = jobs.claim(connection, "w", kinds=("redecide",))
        assert job.id == told["job"]
        assert jobs.take_from_lost(connection) == 0, "the database's clock alone says who is lost"
        workers.seen(connection, "w")
        silence = workers.silence(connection)
        assert silence is not None
        assert silence < 5


@pytest.mark.parametrize(
    ("seconds", "state"), [(0, "ok"), (3, "warn"), (-3, "warn"), (-60, "fail")]
)
def test_the_doctor_tells_whichever_clock_is_behind(
    service: Service, seconds: int, state: str
) -> None:
    def off() -> datetime:
        return now() + timedelta(seconds=seconds)

    found = next(one for one in examine(service.settings, now=off) if one.title == "时钟")
    assert found.state == state
    assert (found.remedy is None) is (state == "ok")
