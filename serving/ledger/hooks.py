"""Partners' hooks: who is told of changes at which address, and every delivery with its attempts.

A hook goes through the feed of changes by a cursor of its own. What it is told at one time is a
*delivery*: the changes between two positions. One that cannot be delivered is tried again, and
after the last attempt it is *dead*: a person sees it and sends it again. A hook has one delivery
under way at a time, so its changes arrive in order; a dead one does not hold up what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    and_,
    case,
    exists,
    func,
    insert,
    literal,
    null,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from serving.ledger.base import Base
from serving.ledger.rows import columns_of, newest

ATTEMPTS: Final = 12
"""Times that a delivery is tried: over about a day, since each wait is longer."""
LEASE: Final = 60.0
"""Seconds that whoever delivers has before another takes the delivery over."""
FIRST_WAIT: Final = 10.0
"""Seconds to the second attempt; each later wait is twice as long, up to six hours."""
_LONGEST: Final = 21_600.0
_ERROR: Final = 500


class Status(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


class HookRow(Base):
    """A hook; ``secret`` is sealed, ``cursor`` the position of the last change it was given."""

    __tablename__ = "hook"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    title: Mapped[str]
    url: Mapped[str]
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text))
    regions: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    active: Mapped[bool]
    cursor: Mapped[int] = mapped_column(BigInteger)
    created_by: Mapped[str]
    created_at: Mapped[datetime]


class DeliveryRow(Base):
    """One delivery: the hook's changes behind ``after`` up to and with ``upto``."""

    __tablename__ = "hook_delivery"
    __table_args__ = (
        Index("ix_hook_delivery_waiting", "next_at", postgresql_where=text("status = 'waiting'")),
        Index("ix_hook_delivery_hook_id_id", "hook_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    hook_id: Mapped[int] = mapped_column(ForeignKey("hook.id"))
    after: Mapped[int] = mapped_column(BigInteger)
    upto: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[datetime]
    answer: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str | None]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook without its secret; ``regions`` are prefixes that it is told of."""

    id: int
    title: str
    url: str
    kinds: Sequence[str]
    regions: Sequence[str]
    active: bool
    cursor: int
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery; ``answer`` is the HTTP status that the partner gave last, null for none."""

    id: int
    hook_id: int
    after: int
    upto: int
    status: Status
    attempts: int
    next_at: datetime
    answer: int | None
    error: str | None
    created_at: datetime
    ended_at: datetime | None


_HOOK: Final = columns_of(HookRow, Hook)
_DELIVERY: Final = columns_of(DeliveryRow, Delivery)
_NOW: Final = func.clock_timestamp()
_WAITING: Final = text("hook_delivery.status = 'waiting'")


def create(
    connection: Connection,
    title: str,
    *,
    url: str,
    kinds: Sequence[str],
    regions: Sequence[str],
    secret: bytes,
    cursor: int,
    by: str,
) -> int:
    """Write a hook, told of what comes behind ``cursor``, and return its number."""
    made = insert(HookRow).values(
        title=title,
        url=url,
        kinds=list(kinds),
        regions=list(regions),
        secret=secret,
        active=True,
        cursor=cursor,
        created_by=by,
        created_at=_NOW,
    )
    return connection.execute(made.returning(HookRow.id)).scalar_one()


def listing(connection: Connection) -> list[Hook]:
    """Return the hooks, the newest first."""
    asked = select(*_HOOK).order_by(HookRow.id.desc())
    return [Hook(*row) for row in connection.execute(asked)]


def get(connection: Connection, number: int) -> Hook | None:
    """Return a hook; ``None`` where there is none of that number."""
    row = connection.execute(select(*_HOOK).where(HookRow.id == number)).first()
    return None if row is None else Hook(*row)


def secret(connection: Connection, number: int) -> bytes:
    """Return a hook's sealed secret."""
    return connection.execute(select(HookRow.secret).where(HookRow.id == number)).scalar_one()


def set_active(connection: Connection, number: int, *, active: bool) -> bool:
    """Switch a hook on or off; false where there is none of that number."""
    switched = update(HookRow).where(HookRow.id == number).values(active=active)
    return connection.execute(switched).rowcount == 1


def idle(connection: Connection) -> Hook | None:
    """Return and hold, to the transaction's end, an active hook behind the newest change.

    One with a delivery under way, or that another transaction holds, is left out.
    """
    busy = exists().where(DeliveryRow.hook_id == HookRow.id, _WAITING)
    newest = text("(select coalesce(max(position), 0) from change)")
    asked = (
        select(*_HOOK)
        .where(HookRow.active, ~busy, HookRow.cursor < newest)
        .order_by(HookRow.cursor)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = connection.execute(asked).first()
    return None if row is None else Hook(*row)


def advance(connection: Connection, hook: Hook, *, upto: int, deliver: bool) -> None:
    """Move a held hook's cursor; ``deliver`` where something between is to be told."""
    connection.execute(update(HookRow).where(HookRow.id == hook.id).values(cursor=upto))
    if deliver:
        values = {
            "hook_id": hook.id,
            "after": hook.cursor,
            "upto": upto,
            "status": Status.WAITING,
            "attempts": 0,
            "next_at": _NOW,
            "created_at": _NOW,
        }
        connection.execute(insert(DeliveryRow).values(values))


def take(connection: Connection) -> Delivery | None:
    """Take a delivery that is due; it is this caller's for :data:`LEASE` seconds."""
    due = (
        select(DeliveryRow.id)
        .join(HookRow, HookRow.id == DeliveryRow.hook_id)
        .where(_WAITING, DeliveryRow.next_at <= _NOW, HookRow.active)
        .order_by(DeliveryRow.next_at)
        .limit(1)
        .with_for_update(skip_locked=True, of=DeliveryRow)
        .cte("due")
    )
    taken = (
        update(DeliveryRow)
        .where(DeliveryRow.id.in_(select(due.c.id)))
        .values(attempts=DeliveryRow.attempts + 1, next_at=_NOW + _seconds(LEASE))
        .returning(*_DELIVERY)
    )
    row = connection.execute(taken).first()
    return None if row is None else _delivery(row)


def delivered(connection: Connection, number: int, *, answer: int) -> None:
    """Note that a delivery arrived."""
    values = {"status": Status.DELIVERED, "answer": answer, "error": null(), "ended_at": _NOW}
    connection.execute(update(DeliveryRow).where(DeliveryRow.id == number).values(values))


def failed(connection: Connection, number: int, *, answer: int | None, error: str) -> Status:
    """Note that an attempt failed; the delivery waits for the next one, or is dead."""
    more = DeliveryRow.attempts < ATTEMPTS
    wait = func.least(FIRST_WAIT * func.power(2.0, DeliveryRow.attempts - 1), _LONGEST)
    ended = (
        update(DeliveryRow)
        .where(DeliveryRow.id == number, _WAITING)
        .values(
            status=case((more, Status.WAITING), else_=Status.DEAD),
            next_at=_NOW + wait * text("interval '1 second'"),
            ended_at=case((more, null()), else_=_NOW),
            answer=answer,
            error=error[:_ERROR],
        )
        .returning(DeliveryRow.status)
    )
    return Status(connection.execute(ended).scalar() or Status.DELIVERED)


def again(connection: Connection, hook: int, number: int) -> bool:
    """Let a dead delivery be tried anew; false where there is no such dead one."""
    dead = and_(DeliveryRow.hook_id == hook, DeliveryRow.id == number)
    revived = (
        update(DeliveryRow)
        .where(dead, DeliveryRow.status == Status.DEAD)
        .values(status=Status.WAITING, attempts=0, next_at=_NOW, ended_at=null())
    )
    return connection.execute(revived).rowcount == 1


def deliveries(
    connection: Connection, hook: int, *, status: Status | None = None, limit: int = 50
) -> list[Delivery]:
    """Return a hook's deliveries, the newest first."""
    asked = select(*_DELIVERY).where(DeliveryRow.hook_id == hook)
    if status is not None:
        asked = asked.where(DeliveryRow.status == status)
    return [_delivery(row) for row in newest(connection, asked, DeliveryRow.id, limit=limit)]


def _delivery(row: Sequence[Any]) -> Delivery:
    told = list(row)
    told[4] = Status(row[4])
    return Delivery(*told)


def _seconds(number: float) -> ColumnElement[Any]:
    return literal(number) * text("interval '1 second'")
