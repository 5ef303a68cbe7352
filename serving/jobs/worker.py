"""The worker: decides anew what live records touch, runs jobs, tells partners.

Its lanes go beside each other, so that a training that takes an hour holds up no decision:
decisions and deliveries in threads of this process, everything heavy in processes of its own.
Whatever is killed at any point is done again by the next worker, and doing it again is harmless.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Final

from pydantic import ValidationError

from models.errors import XinjianError
from models.logs import logger
from serving.jobs import deliver, kinds, process
from serving.ledger import inbox, jobs, warnings, workers
from serving.ledger.jobs import Job
from serving.runtime.scoring import redecide
from serving.service import Service
from serving.threads import of_a_job

IDLE: Final = 0.05
"""Seconds between two looks at a queue that was empty."""
BEAT: Final = 5.0
"""Seconds between two beats of the jobs that are held."""
UPKEEP: Final = 60.0
"""Seconds between two looks at what is due by itself."""
TOGETHER: Final = 20
"""Jobs of new decisions that are done as one."""
_MOST_SUBJECTS: Final = 1000
_AFTER_ERROR: Final = 1.0
_ANSWERS_KEPT: Final = timedelta(days=30)
_MANY_ROWS: Final = 20_000
"""Live records that are brought into the lake without waiting any longer."""
_ENDINGS: Final = frozenset({0, 10, 11, 12})
"""Exit codes of commands that did what they were for: 10 to 12 are verdicts of a retraining."""
_USER_ERROR: Final = 2
_log = logger(__name__)


class Worker:
    """One worker process; :meth:`run` it until :meth:`stop` is called from elsewhere."""

    def __init__(self, service: Service, name: str | None = None) -> None:
        """Take the service that it works for."""
        self.service = service
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._stopped = threading.Event()
        self._held: dict[int, threading.Event] = {}
        self._lock = threading.Lock()
        self._upkept = 0.0
        self._escalated: date | None = None

    def run(self) -> None:
        """Work until told to stop, then end what is under way and give the rest back."""
        self.service.runtime.start()
        lanes = {
            "beat": self._pulse,
            "decide": self._decide,
            "upkeep": lambda: self._processes(kinds.UPKEEP),
            "learn": lambda: self._processes(kinds.LEARNING),
            "tell": self._tell,
        }
        threads = [
            threading.Thread(target=self._lane, args=(name, step), name=f"xinjian-{name}")
            for name, step in lanes.items()
        ]
        for thread in threads:
            thread.start()
        _log.info("worker", became="started", worker=self.name)
        for thread in threads:
            thread.join()
        with self.service.ledger.begin() as connection:
            workers.gone(connection, self.name)
        _log.info("worker", became="ended", worker=self.name)

    def stop(self) -> None:
        """Ask the worker to end."""
        self._stopped.set()

    def _lane(self, name: str, step: Callable[[], float]) -> None:
        """Repeat a step, which returns the seconds to wait; an error is logged and waited out."""
        while not self._stopped.is_set():
            try:
                wait = step()
            except Exception as error:  # noqa: BLE001 - a lane that died would stop that work for good
                told = str(error) if isinstance(error, XinjianError) else None
                _log.error("lane", lane=name, error=told, exc_info=None if told else error)
                wait = _AFTER_ERROR
            self._stopped.wait(wait)

    # Holding jobs

    @contextmanager
    def _holding(self, found: Sequence[Job]) -> Generator[threading.Event]:
        """Beat for jobs; the event is set when one is to stop, or the worker ends."""
        cancelled = threading.Event()
        with self._lock:
            self._held.update({job.id: cancelled for job in found})
        try:
            yield cancelled
        finally:
            with self._lock:
                for job in found:
                    self._held.pop(job.id, None)

    def _pulse(self) -> float:
        with self._lock:
            held = dict(self._held)
        with self.service.ledger.begin() as connection:
            workers.seen(connection, self.name)
            for number, cancelled in held.items():
                if not jobs.beat(connection, number, worker=self.name):
                    cancelled.set()
            if taken := jobs.take_from_lost(connection):
                _log.warning("jobs of a lost worker", number=taken)
        if time.monotonic() - self._upkept >= UPKEEP or not self._upkept:
            self._upkeep()
            self._upkept = time.monotonic()
        return BEAT

    def _upkeep(self) -> None:
        """Queue what is due by itself."""
        now, after = self.service.clock(), self.service.settings.compact_after
        with self.service.ledger.begin() as connection:
            rows, oldest = inbox.backlog(connection)
            waited = oldest is not None and (now - oldest).total_seconds() >= after
            if rows >= _MANY_ROWS or waited:
                jobs.enqueue(
                    connection,
                    kinds.COMPACT,
                    payload={},
                    created_by=self.name,
                    dedupe=kinds.COMPACT,
                )
            inbox.forget_answers(connection, before=now - _ANSWERS_KEPT)
            # Terms end with a day, so once a day is enough; doing it again says nothing twice.
            today = self.service.today()
            if self._escalated != today and warnings.any_late(connection, today):
                jobs.enqueue(
                    connection,
                    kinds.ESCALATE,
                    payload={},
                    created_by=self.name,
                    dedupe=kinds.ESCALATE,
                )
                self._escalated = today

    # New decisions

    def _decide(self) -> float:
        if not self.service.runtime.wait(1.0):
            return IDLE
        with self.service.ledger.begin() as connection:
            found = jobs.claim(connection, self.name, kinds=(kinds.REDECIDE,), limit=TOGETHER)
        if not found:
            return IDLE
        with self._holding(found):
            try:
                self._redecide(found)
            except XinjianError:
                if len(found) == 1:
                    raise
                _log.warning("decided one by one", jobs=len(found))
            else:
                return 0.0
        for job in found:
            with self._holding([job]):
                self._redecide([job])
        return 0.0

    def _redecide(self, found: Sequence[Job]) -> None:
        """Decide anew for several jobs as one; what fails alone is noted at its job."""
        numbers = [job.id for job in found]
        try:
            subjects = list(dict.fromkeys(one for job in found for one in _subjects(job)))
            decided = sum(
                redecide(self.service, subjects[i : i + _MOST_SUBJECTS])
                for i in range(0, len(subjects), _MOST_SUBJECTS)
            )
        except (XinjianError, ValidationError) as error:
            if len(found) > 1:
                raise XinjianError(str(error)) from error
            self._fail(found[0], str(error), again=not isinstance(error, ValidationError))
            return
        with self.service.ledger.begin() as connection:
            jobs.finish(connection, numbers, worker=self.name, result={"decisions": decided})

    def _fail(self, job: Job, error: str, *, again: bool = True) -> None:
        with self.service.ledger.begin() as connection:
            status = jobs.fail(connection, job.id, worker=self.name, error=error, again=again)
        _log.error("job failed", job=job.id, kind=job.kind, became=status, error=error[-500:])

    # Everything heavy

    def _processes(self, which: Sequence[str]) -> float:
        with self.service.ledger.begin() as connection:
            found = jobs.claim(connection, self.name, kinds=which)
        if not found:
            return 10 * IDLE
        job = found[0]
        try:
            work = kinds.read(job.kind, job.payload)
        except ValidationError as error:
            self._fail(job, str(error), again=False)
            return 0.0
        words = kinds.command(work, number=job.id, worker=self.name)
        log = self.service.settings.home / "jobs" / f"{job.id}.log"
        with self._holding(found) as cancelled:

            def stop(seconds: float) -> bool:
                return cancelled.wait(seconds) or self._stopped.is_set()

            ended = process.run(words, log, stop=stop, environment=of_a_job())
        self._settle(job, ended)
        return 0.0

    def _settle(self, job: Job, ended: process.Ended) -> None:
        if ended.stopped:
            with self.service.ledger.begin() as connection:
                jobs.end_cancelled(connection, job.id, worker=self.name)
                jobs.release(connection, job.id, worker=self.name)
        elif ended.code in _ENDINGS:
            result = {"exit": ended.code, "said": ended.tail[-1000:]}
            with self.service.ledger.begin() as connection:
                jobs.finish(connection, [job.id], worker=self.name, result=result)
        else:
            self._fail(
                job, ended.tail or f"exit code {ended.code}", again=ended.code != _USER_ERROR
            )

    # Partners

    def _tell(self) -> float:
        moved = deliver.plan(self.service)
        while not self._stopped.is_set() and deliver.deliver(self.service):
            moved += 1
        return IDLE if moved else 10 * IDLE


def _subjects(job: Job) -> Sequence[str]:
    work = kinds.read(job.kind, job.payload)
    if not isinstance(work, kinds.Redecide):
        raise XinjianError(f"job {job.id} is of kind {job.kind}, not {kinds.REDECIDE}")
    return work.subjects
