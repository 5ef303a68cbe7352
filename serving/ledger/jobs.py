"""The queue of work: claimed by one worker at a time, tried again, given up after so many times.

A worker that works on a job *beats*: one that is not heard of for :data:`LOST` seconds has lost it,
and the job is another's. So a job may run twice, and what it does must bear that. Every time here
is the database's own, because workers compare them and their machines' clocks may differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Float,
    Identity,
    Index,
    Integer,
    and_,
    case,
    func,
    literal,
    null,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from serving.ledger.base import Base
from serving.ledger.rows import columns_of, newest

LOST: Final = 30.0
"""Seconds without a beat after which a job is taken from its worker."""
ATTEMPTS: Final = 5
"""Times that a job is tried, unless it says otherwise."""
LONGEST_WAIT: Final = 3600.0
"""Most seconds between two attempts."""
_ERROR: Final = 2000
"""Characters of an error that are kept."""


class Status(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    """Given up: a person looks at it, and queues it again."""
    CANCELLED = "cancelled"


class JobRow(Base):
    """One job; ``dedupe`` is shared by jobs of which one waiting is enough."""

    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_ready", "priority", "id", postgresql_where=text("status = 'queued'")),
        Index("ix_job_running", "beat_at", postgresql_where=text("status = 'running'")),
        Index("uq_job_dedupe", "dedupe", unique=True, postgresql_where=text("status = 'queued'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    status: Mapped[str]
    priority: Mapped[int] = mapped_column(Integer)
    dedupe: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(Integer)
    max_attempts: Mapped[int] = mapped_column(Integer)
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    ready_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    beat_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    worker: Mapped[str | None]
    cancel: Mapped[bool]
    progress: Mapped[float | None] = mapped_column(Float)
    note: Mapped[str | None]
    error: Mapped[str | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands; ``progress`` is a share from 0 to 1, null where nothing told it."""

    id: int
    kind: str
    payload: Mapping[str, object]
    status: Status
    attempts: int
    max_attempts: int
    created_by: str
    created_at: datetime
    ready_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None
    cancel: bool
    progress: float | None
    note: str | None
    error: str | None
    result: Mapping[str, object] | None


_TOLD: Final = columns_of(JobRow, Job)
_NOW: Final = func.clock_timestamp()


def enqueue(
    connection: Connection,
    kind: str,
    *,
    payload: Mapping[str, object],
    created_by: str,
    priority: int = 100,
    dedupe: str | None = None,
    max_attempts: int = ATTEMPTS,
    wait: float = 0.0,
) -> int:
    """Queue a job in the caller's transaction and return its number.

    Lower ``priority`` goes first. Where a job of the same ``dedupe`` waits already, that one's
    number is returned. ``wait`` is in seconds.
    """
    values = {
        "kind": kind,
        "payload": dict(payload),
        "status": Status.QUEUED,
        "priority": priority,
        "dedupe": dedupe,
        "attempts": 0,
        "max_attempts": max_attempts,
        "created_by": created_by,
        "created_at": _NOW,
        "ready_at": _NOW + _seconds(wait),
        "cancel": False,
    }
    made = (
        upsert(JobRow)
        .values(values)
        .on_conflict_do_nothing(
            index_elements=[JobRow.dedupe], index_where=text("status = 'queued'")
        )
        .returning(JobRow.id)
    )
    number = connection.execute(made).scalar()
    if number is not None:
        return number
    same = and_(JobRow.dedupe == dedupe, JobRow.status == Status.QUEUED)
    found = connection.execute(select(JobRow.id).where(same)).scalar()
    if found is not None:
        return found
    # Claimed in between: what it will see may be older than what this call is about.
    return connection.execute(made).scalar_one()


def claim(
    connection: Connection, worker: str, *, kinds: Sequence[str], limit: int = 1
) -> list[Job]:
    """Take up to ``limit`` jobs that are ready, the most urgent and oldest first."""
    ready = and_(
        text("status = 'queued'"),  # as its index says it, so that the index serves
        JobRow.ready_at <= _NOW,
        JobRow.kind.in_(kinds),
    )
    taken = (
        select(JobRow.id)
        .where(ready)
        .order_by(JobRow.priority, JobRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("taken")
    )
    claimed = (
        update(JobRow)
        .where(JobRow.id.in_(select(taken.c.id)))
        .values(
            status=Status.RUNNING,
            worker=worker,
            attempts=JobRow.attempts + 1,
            started_at=_NOW,
            beat_at=_NOW,
            progress=null(),
            note=null(),
        )
        .returning(*_TOLD)
    )
    return sorted((_job(row) for row in connection.execute(claimed)), key=lambda j: j.id)


def beat(
    connection: Connection,
    number: int,
    *,
    worker: str,
    progress: float | None = None,
    note: str | None = None,
) -> bool:
    """Say that the job is worked on; false where it is to stop: cancelled, or another's by now."""
    told: dict[str, object] = {"beat_at": _NOW}
    if progress is not None:
        told["progress"] = min(max(progress, 0.0), 1.0)
    if note is not None:
        told["note"] = note[:_ERROR]
    mine = update(JobRow).where(_held(number, worker)).values(told).returning(JobRow.cancel)
    return connection.execute(mine).scalar() is False


def finish(
    connection: Connection,
    numbers: Sequence[int],
    *,
    worker: str,
    result: Mapping[str, object] | None = None,
) -> int:
    """End jobs as done; return of how many this worker still was the holder."""
    held = and_(JobRow.id.in_(numbers), JobRow.worker == worker, JobRow.status == Status.RUNNING)
    done = (
        update(JobRow)
        .where(held)
        .values(
            status=Status.DONE,
            finished_at=_NOW,
            progress=1.0,
            error=null(),
            result=None if result is None else dict(result),
        )
    )
    return connection.execute(done).rowcount


def fail(
    connection: Connection, number: int, *, worker: str, error: str, again: bool = True
) -> Status | None:
    """End an attempt; the job waits for its next one, twice as long each time, or is dead.

    ``again`` false gives up at once: what it asks for cannot be done. ``None`` where the job is
    another's by now.
    """
    more = and_(JobRow.attempts < JobRow.max_attempts, literal(again))
    ended = (
        update(JobRow)
        .where(_held(number, worker))
        .values(**_ended(more, error))
        .returning(JobRow.status)
    )
    status = connection.execute(ended).scalar()
    return None if status is None else Status(status)


def end_cancelled(connection: Connection, number: int, *, worker: str) -> None:
    """End a job that stopped because it was cancelled."""
    stopped = update(JobRow).where(_held(number, worker), JobRow.cancel)
    connection.execute(stopped.values(status=Status.CANCELLED, finished_at=_NOW))


def release(connection: Connection, number: int, *, worker: str) -> None:
    """Give a job back that this worker has no time for; it does not count as an attempt."""
    freed = (
        update(JobRow)
        .where(_held(number, worker))
        .values(
            status=Status.QUEUED,
            attempts=JobRow.attempts - 1,
            ready_at=_NOW,
            worker=null(),
            dedupe=null(),
        )
    )
    connection.execute(freed)


def take_from_lost(connection: Connection, *, lost: float = LOST) -> int:
    """Queue again, or give up, what workers not heard of for ``lost`` seconds held."""
    silent = and_(JobRow.status == Status.RUNNING, JobRow.beat_at < _NOW - _seconds(lost))
    held = select(JobRow.id).where(silent).with_for_update(skip_locked=True).cte("held")
    more = JobRow.attempts < JobRow.max_attempts
    taken = (
        update(JobRow)
        .where(JobRow.id.in_(select(held.c.id)))
        .values(**_ended(more, "the worker that had this job was not heard of any more"))
    )
    return connection.execute(taken).rowcount


def cancel(connection: Connection, number: int) -> Status | None:
    """Cancel a job: at once while it waits, soon while it runs; ``None`` where there is none."""
    waiting = JobRow.status == Status.QUEUED
    asked = (
        update(JobRow)
        .where(JobRow.id == number, JobRow.status.in_((Status.QUEUED, Status.RUNNING)))
        .values(
            cancel=True,
            status=case((waiting, Status.CANCELLED), else_=JobRow.status),
            finished_at=case((waiting, _NOW), else_=JobRow.finished_at),
        )
        .returning(JobRow.status)
    )
    status = connection.execute(asked).scalar()
    if status is not None:
        return Status(status)
    found = get(connection, number)
    return None if found is None else found.status


def revive(connection: Connection, number: int) -> bool:
    """Queue a dead or cancelled job again with all its attempts; false where it is neither."""
    ended = JobRow.status.in_((Status.DEAD, Status.CANCELLED))
    again = (
        update(JobRow)
        .where(JobRow.id == number, ended)
        .values(
            status=Status.QUEUED,
            attempts=0,
            cancel=False,
            ready_at=_NOW,
            finished_at=null(),
            dedupe=null(),
        )
    )
    return connection.execute(again).rowcount == 1


def get(connection: Connection, number: int) -> Job | None:
    """Return a job; ``None`` where there is none of that number."""
    row = connection.execute(select(*_TOLD).where(JobRow.id == number)).first()
    return None if row is None else _job(row)


def listing(
    connection: Connection,
    *,
    status: Status | None = None,
    kind: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Job]:
    """Return jobs, the newest first, those of numbers below ``before`` where it is given."""
    asked = select(*_TOLD)
    if status is not None:
        asked = asked.where(JobRow.status == status)
    if kind is not None:
        asked = asked.where(JobRow.kind == kind)
    return [_job(row) for row in newest(connection, asked, JobRow.id, before=before, limit=limit)]


def waiting(connection: Connection) -> Mapping[str, int]:
    """Return how many jobs wait, by kind."""
    counted = select(JobRow.kind, func.count()).where(JobRow.status == Status.QUEUED)
    found = connection.execute(counted.group_by(JobRow.kind))
    return {row[0]: row[1] for row in found}


def _held(number: int, worker: str) -> ColumnElement[bool]:
    return and_(JobRow.id == number, JobRow.worker == worker, JobRow.status == Status.RUNNING)


def _ended(more: ColumnElement[bool], error: str) -> dict[str, object]:
    """Return what an attempt that failed leaves: the next one's time, or the end."""
    again = and_(more, ~JobRow.cancel)
    wait = func.least(func.power(2.0, JobRow.attempts), LONGEST_WAIT)
    return {
        "status": case(
            (JobRow.cancel, Status.CANCELLED), (again, Status.QUEUED), else_=Status.DEAD
        ),
        "ready_at": case((again, _NOW + wait * text("interval '1 second'")), else_=JobRow.ready_at),
        "finished_at": case((again, null()), else_=_NOW),
        # A twin may wait by now, and of those that wait one name is enough.
        "dedupe": null(),
        "error": error[:_ERROR],
    }


def _seconds(number: float) -> ColumnElement[Any]:
    return func.make_interval(0, 0, 0, 0, 0, 0, number)


def _job(row: Sequence[Any]) -> Job:
    told = list(row)
    told[3] = Status(row[3])
    return Job(*told)
