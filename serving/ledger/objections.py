"""Objections to records: who objects to what, until when an answer is due, and the answer."""

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
    insert,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from serving.ledger.base import Base
from serving.ledger.repairs import CaseRow
from serving.ledger.rows import add_once, newest
from serving.ledger.scope import in_regions


class ObjectionRow(Base):
    """An objection to the record of a case; ``due_on`` is null beyond the known calendar."""

    __tablename__ = "objection"
    __table_args__ = (Index("ix_objection_case_id", "case_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("repair_case.id"))
    objector: Mapped[str]
    ground: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    due_on: Mapped[date | None]


class AnswerRow(Base):
    """The answer to an objection: one, for good."""

    __tablename__ = "objection_answer"

    objection_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("objection.id"), primary_key=True, autoincrement=False
    )
    outcome: Mapped[str]
    answer: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Objection:
    """An objection with its record and its answer, whose fields are null while it waits."""

    id: int
    case_id: int
    table_name: str
    record_id: str
    subject_id: str
    region: str | None
    objector: str
    ground: str
    by: str
    at: datetime
    due_on: date | None
    outcome: str | None
    answer: str | None
    answered_by: str | None
    answered_at: datetime | None


_TOLD: Final[tuple[ColumnElement[Any], ...]] = (
    *(ObjectionRow.id, ObjectionRow.case_id, CaseRow.table_name, CaseRow.record_id),
    *(CaseRow.subject_id, CaseRow.region, ObjectionRow.objector, ObjectionRow.ground),
    *(ObjectionRow.by, ObjectionRow.at, ObjectionRow.due_on, AnswerRow.outcome, AnswerRow.answer),
    *(AnswerRow.by, AnswerRow.at),
)  # pyright: ignore[reportAssignmentType] -- mapped attributes are columns in a query
_ALL: Final = (
    select(*_TOLD)
    .select_from(ObjectionRow)
    .join(CaseRow, CaseRow.id == ObjectionRow.case_id)
    .outerjoin(AnswerRow, AnswerRow.objection_id == ObjectionRow.id)
)


def add(
    connection: Connection,
    case: int,
    *,
    objector: str,
    ground: str,
    by: str,
    at: datetime,
    due_on: date | None,
) -> int:
    """Write an objection and return its number."""
    values = {
        "case_id": case,
        "objector": objector,
        "ground": ground,
        "by": by,
        "at": at,
        "due_on": due_on,
    }
    made = insert(ObjectionRow).values(values).returning(ObjectionRow.id)
    return connection.execute(made).scalar_one()


def answer(
    connection: Connection, number: int, *, outcome: str, answer: str, by: str, at: datetime
) -> bool:
    """Write the answer to an objection; false where there is one already."""
    values = {"objection_id": number, "outcome": outcome, "answer": answer, "by": by, "at": at}
    return add_once(connection, AnswerRow, values)


def get(connection: Connection, number: int) -> Objection | None:
    """Return an objection; ``None`` where there is none of that number."""
    row = connection.execute(_ALL.where(ObjectionRow.id == number)).first()
    return None if row is None else Objection(*row)


def listing(
    connection: Connection,
    *,
    regions: Sequence[str],
    waiting: bool = False,
    overdue: date | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Objection]:
    """Return objections, the newest first; ``overdue`` those unanswered that were due before."""
    query = _ALL.where(in_regions(CaseRow.region, regions))
    if waiting or overdue is not None:
        query = query.where(AnswerRow.outcome.is_(None))
    if overdue is not None:
        query = query.where(ObjectionRow.due_on < overdue)
    found = newest(connection, query, ObjectionRow.id, before=before, limit=limit)
    return [Objection(*row) for row in found]
