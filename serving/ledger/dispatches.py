"""Complaints that were dispatched: where each stands, every act on it, and what people corrected.

The text is sealed before it comes here (:mod:`serving.auth.secret`). The row of a complaint says
where it stands; the acts that led there are appended beside it and never change. Whoever acts holds
the row meanwhile, so that of two people one is first and the other sees what the first did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    and_,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from serving.ledger.base import Base
from serving.ledger.rows import columns_of, first_of, newest, values_of
from serving.ledger.scope import in_regions

_OPEN: Final = text("state <> 'closed'")


class DispatchRow(Base):
    """A complaint as it stands; ``version`` counts its acts.

    ``leaf``, ``probability``, ``top``, ``reasons`` and ``model`` are what was read at first;
    ``office`` is the region of the office of ``department``. Days are null where no rule sets one.
    """

    __tablename__ = "dispatch"
    __table_args__ = (
        Index("uq_dispatch_source", "source", "source_id", unique=True),
        Index("ix_dispatch_open", "state", "id", postgresql_where=_OPEN),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    source: Mapped[str]
    source_id: Mapped[str]
    kind: Mapped[str]
    region: Mapped[str]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    received_on: Mapped[date]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    leaf: Mapped[str | None]
    probability: Mapped[float | None] = mapped_column(Float)
    top: Mapped[list[dict[str, object]]] = mapped_column(JSONB)
    reasons: Mapped[list[dict[str, str]]] = mapped_column(JSONB)
    model: Mapped[str | None]
    state: Mapped[str]
    version: Mapped[int] = mapped_column(Integer)
    department: Mapped[str | None]
    office: Mapped[str | None]
    recall_until: Mapped[date | None]
    accept_due: Mapped[date | None]
    end_due: Mapped[date | None]
    closed_on: Mapped[date | None]
    outcome: Mapped[str | None]


class DispatchActRow(Base):
    """One act on one complaint; the first is its dispatch."""

    __tablename__ = "dispatch_act"
    __table_args__ = (Index("uq_dispatch_act_version", "dispatch_id", "version", unique=True),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    dispatch_id: Mapped[int] = mapped_column(ForeignKey("dispatch.id"))
    version: Mapped[int] = mapped_column(Integer)
    step: Mapped[str]
    state_before: Mapped[str | None]
    state: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    department: Mapped[str | None]
    office: Mapped[str | None]
    leaf: Mapped[str | None]
    outcome: Mapped[str | None]
    note: Mapped[str | None]


class DispatchLabelRow(Base):
    """What a person says a complaint is of: a label, of which the newest of a complaint counts."""

    __tablename__ = "dispatch_label"
    __table_args__ = (Index("ix_dispatch_label_dispatch_id", "dispatch_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    dispatch_id: Mapped[int] = mapped_column(ForeignKey("dispatch.id"))
    region: Mapped[str]
    leaf: Mapped[str]
    department: Mapped[str | None]
    by: Mapped[str]
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A complaint as it stands; see :class:`DispatchRow`."""

    id: int
    source: str
    source_id: str
    kind: str
    region: str
    sealed: bytes
    received_on: date
    created_by: str
    created_at: datetime
    leaf: str | None
    probability: float | None
    top: Sequence[Mapping[str, object]]
    reasons: Sequence[Mapping[str, str]]
    model: str | None
    state: str
    version: int
    department: str | None
    office: str | None
    recall_until: date | None
    accept_due: date | None
    end_due: date | None
    closed_on: date | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Act:
    """One act on a complaint."""

    version: int
    step: str
    state_before: str | None
    state: str
    by: str
    at: datetime
    department: str | None = None
    office: str | None = None
    leaf: str | None = None
    outcome: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """What a person says a complaint is of."""

    id: int
    dispatch_id: int
    source: str
    source_id: str
    sealed: bytes
    region: str
    leaf: str
    department: str | None
    by: str
    at: datetime


_TOLD: Final = columns_of(DispatchRow, Dispatch)
_ACTS: Final = columns_of(DispatchActRow, Act)
_LABEL: Final[tuple[ColumnElement[Any], ...]] = (
    *(DispatchLabelRow.id, DispatchLabelRow.dispatch_id, DispatchRow.source),
    *(DispatchRow.source_id, DispatchRow.sealed, DispatchLabelRow.region, DispatchLabelRow.leaf),
    *(DispatchLabelRow.department, DispatchLabelRow.by, DispatchLabelRow.at),
)  # pyright: ignore[reportAssignmentType] -- mapped attributes are columns in a query


def add(connection: Connection, values: Mapping[str, object]) -> int | None:
    """Write a complaint with its first act and return its number; null where it is there already.

    ``values``: the columns of :class:`DispatchRow` but ``id`` and ``version``.
    """
    made = upsert(DispatchRow).values({**values, "version": 1}).on_conflict_do_nothing()
    number = connection.execute(made.returning(DispatchRow.id)).scalar()
    if number is None:
        return None
    first = {name: values[name] for name in ("state", "department", "office", "leaf")}
    acted = {"step": "dispatch", "by": values["created_by"], "at": values["created_at"]}
    connection.execute(
        insert(DispatchActRow).values({**first, **acted, "dispatch_id": number, "version": 1})
    )
    return number


def get(connection: Connection, number: int, *, lock: bool = False) -> Dispatch | None:
    """Return a complaint; nobody else acts on it until the transaction ends where it is locked."""
    asked = select(*_TOLD).where(DispatchRow.id == number)
    row = first_of(connection, asked, lock=lock)
    return None if row is None else Dispatch(*row)


def of_source(connection: Connection, source: str, source_id: str) -> Dispatch | None:
    """Return the complaint that a source knows by a number; null where there is none."""
    own = and_(DispatchRow.source == source, DispatchRow.source_id == source_id)
    row = connection.execute(select(*_TOLD).where(own)).first()
    return None if row is None else Dispatch(*row)


def act(
    connection: Connection, held: Dispatch, taken: Act, changed: Mapping[str, object]
) -> Dispatch:
    """Write an act on a complaint that is locked, and what it changes; return how it stands."""
    connection.execute(insert(DispatchActRow).values({"dispatch_id": held.id, **values_of(taken)}))
    moved = update(DispatchRow).where(DispatchRow.id == held.id)
    values = {**changed, "state": taken.state, "version": taken.version}
    return Dispatch(*connection.execute(moved.values(values).returning(*_TOLD)).one())


def acts(connection: Connection, number: int) -> list[Act]:
    """Return the acts on a complaint, the oldest first."""
    asked = select(*_ACTS).where(DispatchActRow.dispatch_id == number)
    return [Act(*row) for row in connection.execute(asked.order_by(DispatchActRow.version))]


def listing(
    connection: Connection,
    *,
    regions: Sequence[str],
    departments: Sequence[str] | None = None,
    states: Sequence[str] = (),
    department: str | None = None,
    overdue: date | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Dispatch]:
    """Return complaints, the newest first.

    ``departments`` are those whose complaints may be seen, null is all; ``overdue`` those open ones
    that were due before a day.
    """
    query = select(*_TOLD).where(in_regions(DispatchRow.region, regions))
    if departments is not None:
        query = query.where(DispatchRow.department.in_(departments))
    if states:
        query = query.where(DispatchRow.state.in_(states))
    if department is not None:
        query = query.where(DispatchRow.department == department)
    if overdue is not None:
        query = query.where(_late(overdue))
    found = newest(connection, query, DispatchRow.id, before=before, limit=limit)
    return [Dispatch(*row) for row in found]


def label(
    connection: Connection, held: Dispatch, leaf: str, *, department: str | None, taken: Act
) -> None:
    """Write what a person says a complaint is of."""
    values = {
        "dispatch_id": held.id,
        "region": held.region,
        "leaf": leaf,
        "department": department,
        "by": taken.by,
        "at": taken.at,
    }
    connection.execute(insert(DispatchLabelRow).values(values))


def labels(
    connection: Connection, *, regions: Sequence[str], after: int, limit: int
) -> list[Label]:
    """Return the labels behind a number, the oldest first."""
    seen = in_regions(DispatchLabelRow.region, regions)
    query = (
        select(*_LABEL)
        .select_from(DispatchLabelRow)
        .join(DispatchRow, DispatchRow.id == DispatchLabelRow.dispatch_id)
        .where(and_(DispatchLabelRow.id > after, seen))
    )
    return [
        Label(*row) for row in connection.execute(query.order_by(DispatchLabelRow.id).limit(limit))
    ]


def _late(on: date) -> ColumnElement[bool]:
    waiting = and_(DispatchRow.state != "accepted", DispatchRow.accept_due < on)
    running = and_(DispatchRow.state == "accepted", DispatchRow.end_due < on)
    return and_(_OPEN, or_(waiting, running))
