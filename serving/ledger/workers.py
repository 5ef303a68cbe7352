"""The worker processes, and when each was heard of last, by the database's clock."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Mapped, mapped_column

from serving.ledger.base import Base


class WorkerRow(Base):
    """A worker process."""

    __tablename__ = "worker"

    name: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


def seen(connection: Connection, worker: str) -> None:
    """Note that a worker lives."""
    now = func.clock_timestamp()
    lives = upsert(WorkerRow).values(name=worker, started_at=now, seen_at=now)
    connection.execute(
        lives.on_conflict_do_update(index_elements=[WorkerRow.name], set_={"seen_at": now})
    )


def gone(connection: Connection, worker: str) -> None:
    """Note that a worker ended, and forget those not heard of for a day."""
    old = WorkerRow.seen_at < func.clock_timestamp() - text("interval '1 day'")
    connection.execute(delete(WorkerRow).where(or_(WorkerRow.name == worker, old)))


def silence(connection: Connection) -> float | None:
    """Return the seconds since any worker was heard of; ``None`` where none is known."""
    age = func.extract("epoch", func.clock_timestamp() - func.max(WorkerRow.seen_at))
    found = connection.execute(select(age)).scalar()
    return None if found is None else float(found)
