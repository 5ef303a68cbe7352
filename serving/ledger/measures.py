"""Measures against subjects: proposed on a record, confirmed by another, lifted when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    ForeignKey,
    Identity,
    Index,
    Integer,
    and_,
    insert,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from serving.ledger.base import Base
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


_NEW: Final = tuple[ColumnElement[Any], ...](getattr(MeasureRow, n) for n in NewMeasure.__slots__)
_ACT: Final = tuple[ColumnElement[Any], ...](getattr(MeasureActRow, n) for n in ActTaken.__slots__)


def hold(connection: Connection, subject: str) -> None:
    """Let nobody else propose measures against a subject until the transaction ends."""
    connection.execute(
        text("select pg_advisory_xact_lock(hashtextextended(:name, 7346121))"), {"name": subject}
    )


def add(connection: Connection, new: NewMeasure) -> int:
    """Write a measure and return its number."""
    values = {name: getattr(new, name) for name in NewMeasure.__slots__}
    return connection.execute(
        insert(MeasureRow).values(values).returning(MeasureRow.id)
    ).scalar_one()


def act(connection: Connection, number: int, taken: ActTaken) -> bool:
    """Write what was done to a measure; false where that was done before."""
    values = {name: getattr(taken, name) for name in ActTaken.__slots__}
    made = upsert(MeasureActRow).values({"measure_id": number, **values}).on_conflict_do_nothing()
    return connection.execute(made.returning(MeasureActRow.kind)).first() is not None


def get(connection: Connection, number: int, *, lock: bool = False) -> Measured | None:
    """Return a measure; ``lock`` holds it until the transaction ends."""
    query = select(*_NEW).where(MeasureRow.id == number)
    row = connection.execute(query.with_for_update() if lock else query).first()
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
    wanted = [in_regions(MeasureRow.region, regions)]
    if subject is not None:
        wanted.append(MeasureRow.subject_id == subject)
    if before is not None:
        wanted.append(MeasureRow.id < before)
    query = select(MeasureRow.id, *_NEW).where(and_(*wanted)).order_by(MeasureRow.id.desc())
    found = connection.execute(query.limit(limit)).all()
    return [_whole(connection, number, NewMeasure(*rest)) for number, *rest in found]


def _whole(connection: Connection, number: int, told: NewMeasure) -> Measured:
    query = select(*_ACT).where(MeasureActRow.measure_id == number).order_by(MeasureActRow.at)
    return Measured(number, told, tuple(ActTaken(*row) for row in connection.execute(query)))
