"""Measures against subjects: proposed on a record, confirmed by another, lifted when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import (
    BigInteger,
    Connection,
    ForeignKey,
    Identity,
    Index,
    Integer,
    insert,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from serving.ledger import locks
from serving.ledger.base import Base
from serving.ledger.locks import Lock
from serving.ledger.rows import add_once, columns_of, first_of, newest, values_of
from serving.ledger.scope import in_regions


class MeasureRow(Base):
    """A measure as it was proposed: the row of the list, the record, and the list's digest."""

    __tablename__ = "measure"
    __table_args__ = (Index("ix_measure_subject_id", "subject_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    measure: Mapped[str]
    title: Mapped[str]
    type: Mapped[int] = mapped_column(Integer)
    trigger: Mapped[str]
    subject_id: Mapped[str]
    region: Mapped[str | None]
    subject_kind: Mapped[str]
    table_name: Mapped[str]
    record_id: Mapped[str]
    authority: Mapped[str]
    basis: Mapped[str]
    list_digest: Mapped[str]
    on: Mapped[date]
    by: Mapped[str]
    at: Mapped[datetime]


class MeasureActRow(Base):
    """What was done to a measure, each kind once: ``confirm``, ``reject`` or ``lift``."""

    __tablename__ = "measure_act"

    measure_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("measure.id"), primary_key=True, autoincrement=False
    )
    kind: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str | None]
    by: Mapped[str]
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class NewMeasure:
    """A measure that is proposed."""

    measure: str
    title: str
    type: int
    trigger: str
    subject_id: str
    region: str | None
    subject_kind: str
    table_name: str
    record_id: str
    authority: str
    basis: str
    list_digest: str
    on: date
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ActTaken:
    """What was done to a measure."""

    kind: str
    reason: str | None
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure with what was done to it."""

    id: int
    told: NewMeasure
    acts: tuple[ActTaken, ...]


_NEW: Final = columns_of(MeasureRow, NewMeasure)
_ACT: Final = columns_of(MeasureActRow, ActTaken)


def hold(connection: Connection, subject: str) -> None:
    """Let nobody else propose measures against a subject until the transaction ends."""
    locks.hold(connection, Lock.MEASURES, subject)


def add(connection: Connection, new: NewMeasure) -> int:
    """Write a measure and return its number."""
    values = values_of(new)
    return connection.execute(
        insert(MeasureRow).values(values).returning(MeasureRow.id)
    ).scalar_one()


def act(connection: Connection, number: int, taken: ActTaken) -> bool:
    """Write what was done to a measure; false where that was done before."""
    return add_once(connection, MeasureActRow, {"measure_id": number, **values_of(taken)})


def get(connection: Connection, number: int, *, lock: bool = False) -> Measured | None:
    """Return a measure; ``lock`` holds it until the transaction ends."""
    query = select(*_NEW).where(MeasureRow.id == number)
    row = first_of(connection, query, lock=lock)
    return None if row is None else _whole(connection, number, NewMeasure(*row))


def listing(
    connection: Connection,
    *,
    regions: Sequence[str],
    subject: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Measured]:
    """Return measures, the newest first."""
    query = select(MeasureRow.id, *_NEW).where(in_regions(MeasureRow.region, regions))
    if subject is not None:
        query = query.where(MeasureRow.subject_id == subject)
    found = newest(connection, query, MeasureRow.id, before=before, limit=limit)
    return [_whole(connection, number, NewMeasure(*rest)) for number, *rest in found]


def _whole(connection: Connection, number: int, told: NewMeasure) -> Measured:
    query = select(*_ACT).where(MeasureActRow.measure_id == number).order_by(MeasureActRow.at)
    return Measured(number, told, tuple(ActTaken(*row) for row in connection.execute(query)))
