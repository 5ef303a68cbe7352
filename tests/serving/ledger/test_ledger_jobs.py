from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from serving.ledger import jobs, workers
from serving.ledger.engine import Ledger
from serving.ledger.jobs import Job, Status


def put(ledger: Ledger, kind: str = "compact", **more: object) -> int:
    given: dict[str, object] = {"payload": {}, "created_by": "test", **more}
    with ledger.begin() as connection:
        return jobs.enqueue(connection, kind, **given)  # pyright: ignore[reportArgumentType]


def take(ledger: Ledger, worker: str = "w", limit: int = 1) -> list[Job]:
    with ledger.begin() as connection:
        return jobs.claim(connection, worker, kinds=("compact", "redecide"), limit=limit)


def look(ledger: Ledger, number: int) -> Job:
    with ledger.begin() as connection:
        found = jobs.get(connection, number)
    assert found is not None
    return found


def run(ledger: Ledger, statement: str) -> None:
    with ledger.begin() as connection:
        connection.execute(text(statement))


def ready(ledger: Ledger) -> None:
    run(ledger, "update job set ready_at = now() - interval '1 second' where status = 'queued'")


def test_the_most_urgent_then_the_oldest_goes_first(ledger: Ledger) -> None:
    late, early = put(ledger), put(ledger)
    urgent = put(ledger, priority=1)
    assert [job.id for _ in range(3) for job in take(ledger)] == [urgent, late, early]
    assert take(ledger) == []


def test_a_job_is_claimed_by_one_of_many(ledger: Ledger) -> None:
    numbers = {put(ledger) for _ in range(40)}
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(take, ledger, f"w{n}", 5) for n in range(16)]
        found = [job.id for batch in asked for job in batch.result()]
    assert len(found) == len(set(found))
    assert set(found) <= numbers
    found += [job.id for job in take(ledger, limit=40)]
    assert set(found) == numbers


def test_a_job_that_waits_for_its_time_is_not_claimed(ledger: Ledger) -> None:
    put(ledger, wait=60.0)
    assert take(ledger) == []


def test_one_waiting_job_of_a_name_is_enough(ledger: Ledger) -> None:
    first = put(ledger, dedupe="compact")
    assert put(ledger, dedupe="compact") == first
    take(ledger)
    # What runs may have begun before what this one is about.
    second = put(ledger, dedupe="compact")
    assert second != first
    with ledger.begin() as connection:
        jobs.fail(connection, first, worker="w", error="x")
    assert look(ledger, first).status is Status.QUEUED


def test_a_failure_is_tried_again_later_and_later_and_then_given_up(ledger: Ledger) -> None:
    number = put(ledger, max_attempts=3)
    waits: list[float] = []
    for _ in range(3):
        ready(ledger)
        (job,) = take(ledger)
        with ledger.begin() as connection:
            jobs.fail(connection, number, worker="w", error=f"attempt {job.attempts}")
            left = text("select extract(epoch from ready_at - clock_timestamp()) from job")
            waits.append(float(connection.execute(left).scalar_one()))
    assert waits[0] == pytest.approx(2, abs=1)
    assert waits[1] == pytest.approx(4, abs=1)
    dead = look(ledger, number)
    assert (dead.status, dead.attempts, dead.error) == (Status.DEAD, 3, "attempt 3")
    assert dead.finished_at is not None
    ready(ledger)
    assert take(ledger) == []


def test_what_cannot_be_done_is_given_up_at_once(ledger: Ledger) -> None:
    number = put(ledger)
    take(ledger)
    with ledger.begin() as connection:
        status = jobs.fail(connection, number, worker="w", error="no", again=False)
    assert status is Status.DEAD


def test_a_worker_that_is_not_heard_of_loses_its_jobs(ledger: Ledger) -> None:
    number = put(ledger)
    take(ledger, "gone")
    with ledger.begin() as connection:
        assert jobs.take_from_lost(connection) == 0
    run(ledger, "update job set beat_at = now() - interval '31 seconds'")
    with ledger.begin() as connection:
        assert jobs.take_from_lost(connection) == 1
    ready(ledger)
    (job,) = take(ledger, "next")
    assert (job.id, job.attempts) == (number, 2)
    with ledger.begin() as connection:
        assert jobs.beat(connection, number, worker="gone") is False
        assert jobs.finish(connection, [number], worker="gone") == 0
        assert jobs.fail(connection, number, worker="gone", error="late") is None
        assert jobs.finish(connection, [number], worker="next", result={"n": 1}) == 1
    assert look(ledger, number).result == {"n": 1}


def test_a_job_that_kills_its_workers_is_given_up(ledger: Ledger) -> None:
    number = put(ledger, max_attempts=2)
    for _ in range(2):
        ready(ledger)
        take(ledger)
        run(ledger, "update job set beat_at = now() - interval '1 hour'")
        with ledger.begin() as connection:
            jobs.take_from_lost(connection)
    assert look(ledger, number).status is Status.DEAD


def test_a_beat_tells_progress_and_hears_of_a_cancel(ledger: Ledger) -> None:
    number = put(ledger)
    take(ledger)
    with ledger.begin() as connection:
        assert jobs.beat(connection, number, worker="w", progress=0.5, note="half") is True
        assert jobs.cancel(connection, number) is Status.RUNNING
        assert jobs.beat(connection, number, worker="w") is False
        jobs.end_cancelled(connection, number, worker="w")
    ended = look(ledger, number)
    assert (ended.status, ended.progress, ended.note) == (Status.CANCELLED, 0.5, "half")


def test_a_waiting_job_is_cancelled_at_once_and_can_be_queued_again(ledger: Ledger) -> None:
    number = put(ledger)
    with ledger.begin() as connection:
        assert jobs.cancel(connection, number) is Status.CANCELLED
    assert take(ledger) == []
    with ledger.begin() as connection:
        assert jobs.revive(connection, number)
        assert not jobs.revive(connection, number)
    assert [job.id for job in take(ledger)] == [number]


def test_a_cancelled_job_that_fails_is_not_tried_again(ledger: Ledger) -> None:
    number = put(ledger)
    take(ledger)
    with ledger.begin() as connection:
        jobs.cancel(connection, number)
        assert jobs.fail(connection, number, worker="w", error="x") is Status.CANCELLED


def test_a_job_given_back_has_not_been_tried(ledger: Ledger) -> None:
    number = put(ledger)
    take(ledger)
    with ledger.begin() as connection:
        jobs.release(connection, number, worker="w")
    assert look(ledger, number).attempts == 0
    assert [job.id for job in take(ledger)] == [number]


def test_what_is_not_there_is_none(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        assert jobs.get(connection, 1) is None
        assert jobs.cancel(connection, 1) is None


def test_jobs_are_listed_newest_first_in_pages(ledger: Ledger) -> None:
    numbers = [put(ledger) for _ in range(5)]
    put(ledger, "retrain")
    with ledger.begin() as connection:
        first = jobs.listing(connection, kind="compact", limit=3)
        rest = jobs.listing(connection, kind="compact", limit=3, before=first[-1].id)
        assert jobs.listing(connection, status=Status.DEAD) == []
        assert jobs.waiting(connection) == {"compact": 5, "retrain": 1}
    assert [job.id for job in (*first, *rest)] == numbers[::-1]


def test_the_silence_of_workers_is_told(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        assert workers.silence(connection) is None
        workers.seen(connection, "a")
        workers.seen(connection, "a")
    with ledger.begin() as connection:
        assert 0 <= (workers.silence(connection) or -1) < 30
        workers.gone(connection, "a")
        assert workers.silence(connection) is None


class Queue(RuleBasedStateMachine):
    """Whatever workers do, a job is held by one of them or waits, and ends once."""

    ledger: Ledger

    def __init__(self) -> None:
        super().__init__()
        run(self.ledger, "truncate job")
        self.ended: set[int] = set()

    @rule(limit=st.integers(1, 3), worker=st.sampled_from("ab"))
    def claim(self, limit: int, worker: str) -> None:
        ready(self.ledger)
        assert self.ended.isdisjoint(job.id for job in take(self.ledger, worker, limit))

    @rule()
    def enqueue(self) -> None:
        put(self.ledger, max_attempts=3)

    @rule(worker=st.sampled_from("ab"), how=st.sampled_from(["finish", "fail", "release"]))
    def end(self, worker: str, how: str) -> None:
        with self.ledger.begin() as connection:
            for job in jobs.listing(connection, status=Status.RUNNING):
                if how == "fail":
                    jobs.fail(connection, job.id, worker=worker, error="x")
                elif how == "release":
                    jobs.release(connection, job.id, worker=worker)
                elif jobs.finish(connection, [job.id], worker=worker):
                    self.ended.add(job.id)

    @rule()
    def lose(self) -> None:
        run(self.ledger, "update job set beat_at = now() - interval '1 hour'")
        with self.ledger.begin() as connection:
            jobs.take_from_lost(connection)

    @invariant()
    def holds(self) -> None:
        with self.ledger.begin() as connection:
            for job in jobs.listing(connection, limit=200):
                assert 0 <= job.attempts <= job.max_attempts
                assert (job.status is Status.DONE) == (job.id in self.ended)
                assert job.status is not Status.RUNNING or job.worker in {"a", "b"}


def test_any_order_of_events_keeps_the_queue_whole(ledger: Ledger) -> None:
    kept = type("Kept", (Queue,), {"ledger": ledger})
    run_state_machine_as_test(
        kept, settings=settings(max_examples=4, stateful_step_count=15, deadline=None)
    )
