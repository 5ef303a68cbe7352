"""What changed, in one order that every reader sees: the feed that partner systems follow.

A change is written in the transaction of what it tells of, so that neither is without the other.
Its *position* is given afterwards, when a reader asks: transactions end in another order than they
began, and a position given inside one could appear behind the cursor of a reader who is past it.
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
    Identity,
    Index,
    and_,
    insert,
    select,
    text,
)
from sqlalchemy import Sequence as SqlSequence
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from serving.ledger.base import Base
from serving.ledger.locks import Lock, hold
from serving.ledger.scope import in_regions


class ChangeKind(StrEnum):
    """What a change tells of."""

    DECISION = "decision"
    """A decision whose grade is another than the one before, or the first."""
    WARNING = "warning"
    """A warning was raised, or went on in its handling."""
    REPAIR = "repair"
    """A record was repaired, annulled or expired."""


class ChangeRow(Base):
    """One change; nothing of it is altered, but that it gets its position once."""

    __tablename__ = "change"
    __table_args__ = (
        Index("ix_change_waiting", "id", postgresql_where=text("position is null")),
        Index("ix_change_region_position", "region", "position"),
        Index("ix_change_subject_id_position", "subject_id", "position"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    position: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    kind: Mapped[str]
    subject_id: Mapped[str]
    region: Mapped[str | None]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    at: Mapped[datetime]


POSITIONS: Final = SqlSequence("change_position", metadata=Base.metadata)
_TOLD: Final = (
    ChangeRow.position,
    ChangeRow.kind,
    ChangeRow.subject_id,
    ChangeRow.region,
    ChangeRow.payload,
    ChangeRow.at,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One change; ``position`` is what a reader's cursor is compared with, ``at`` is UTC.

    ``region`` is the subject's region code, by which a reader's scope is told.
    """

    position: int
    kind: str
    subject_id: str
    region: str | None
    payload: Mapping[str, object]
    at: datetime


@dataclass(frozen=True, slots=True)
class NewChange:
    """A change that is to be written; ``payload`` has what JSON can hold and no personal data."""

    kind: ChangeKind
    subject_id: str
    region: str | None
    payload: Mapping[str, object]
    at: datetime


def append(
    connection: Connection,
    kind: ChangeKind,
    *,
    subject_id: str,
    region: str | None,
    payload: Mapping[str, object],
    at: datetime,
) -> None:
    """Write one change in the caller's transaction; ``at`` is the service's clock."""
    append_all(connection, [NewChange(kind, subject_id, region, payload, at)])


def append_all(connection: Connection, changes: Sequence[NewChange]) -> None:
    """Write many changes in the caller's transaction, in their order."""
    if not changes:
        return
    rows = [
        {
            "kind": one.kind.value,
            "subject_id": one.subject_id,
            "region": one.region,
            "payload": dict(one.payload),
            "at": one.at,
        }
        for one in changes
    ]
    connection.execute(insert(ChangeRow), rows)


def read(
    connection: Connection,
    after: int,
    *,
    limit: int,
    regions: Sequence[str] = ("",),
    kinds: Sequence[str] = (),
    upto: int | None = None,
) -> list[Change]:
    """Return the changes behind position ``after``, the oldest first, at most ``limit``.

    ``regions`` are prefixes of region codes that the reader may see: ``("",)`` sees everything,
    also what has no region. ``kinds`` limits what is told; empty tells all. ``upto`` is the last
    position that is told.
    """
    _give_positions(connection)
    asked = [ChangeRow.position > after, in_regions(ChangeRow.region, regions)]
    if upto is not None:
        asked.append(ChangeRow.position <= upto)
    if kinds:
        asked.append(ChangeRow.kind.in_(kinds))
    query = select(*_TOLD).where(and_(*asked)).order_by(ChangeRow.position).limit(limit)
    return [Change(*row) for row in connection.execute(query)]


def latest(connection: Connection) -> int:
    """Return the position of the newest change; 0 where there is none."""
    _give_positions(connection)
    newest = select(ChangeRow.position).where(ChangeRow.position.is_not(None))
    found = connection.execute(newest.order_by(ChangeRow.position.desc()).limit(1)).scalar()
    return found or 0


def _give_positions(connection: Connection) -> None:
    """Give positions to what was committed without; one does it at a time, so they are in order."""
    waiting = select(ChangeRow.id).where(ChangeRow.position.is_(None)).limit(1)
    if connection.execute(waiting).first() is None:
        return
    hold(connection, Lock.POSITIONS)
    # Numbered in the order of their writing; nextval alone would follow the plan's order.
    connection.execute(
        text(
            "with waiting as (select id from change where position is null order by id), "
            "numbered as (select id, nextval('change_position') as position from waiting) "
            "update change set position = numbered.position "
            "from numbered where change.id = numbered.id"
        )
    )
