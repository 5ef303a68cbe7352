"""Reviews of decisions by people: who asked, who decides, every act a row, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Connection,
    ForeignKey,
    Identity,
    Index,
    Integer,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from serving.ledger import locks
from serving.ledger.audit import SYSTEM
from serving.ledger.base import Base
from serving.ledger.locks import Lock
from serving.ledger.rows import columns_of, first_of, newest, values_of
from serving.ledger.scope import in_regions
from serving.ledger.warnings import WarningRow, WarningStepRow

OPEN: Final = ("asked", "assigned")


class ReviewRow(Base):
    """A request that a person look at a decision; ``due_on`` is null beyond the known calendar.

    ``asker`` is ``subject`` where it was asked for by whom the decision is about, else ``office``.
    """

    __tablename__ = "review"
    __table_args__ = (Index("ix_review_decision", "decision"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    decision: Mapped[UUID]
    scenario: Mapped[str]
    subject_id: Mapped[str]
    region: Mapped[str | None]
    asker: Mapped[str]
    ground: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    due_on: Mapped[date | None]


class ReviewActRow(Base):
    """One act of a review, counted from 1; the state after the last is the review's."""

    __tablename__ = "review_act"
    __table_args__ = (
        Index("uq_review_act_version", "review_id", "version", unique=True),
        Index("ix_review_act_annulled", "review_id", postgresql_where=text("outcome = 'annulled'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    review_id: Mapped[int] = mapped_column(ForeignKey("review.id"))
    version: Mapped[int] = mapped_column(Integer)
    step: Mapped[str]
    state: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    assignee: Mapped[str | None]
    outcome: Mapped[str | None]
    grade: Mapped[str | None]
    reason: Mapped[str | None]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How the last review of a decision ended; ``grade`` is null unless it was changed."""

    review: int
    outcome: str
    grade: str | None
    reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was registered."""

    decision: UUID
    scenario: str
    subject_id: str
    region: str | None
    asker: str
    ground: str
    by: str
    at: datetime
    due_on: date | None


@dataclass(frozen=True, slots=True)
class Act:
    """An act of a review."""

    version: int
    step: str
    state: str
    by: str
    at: datetime
    assignee: str | None = None
    outcome: str | None = None
    grade: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """A review as it stands: the request and its acts, of which there is one at least."""

    id: int
    asked: Asked
    acts: tuple[Act, ...]

    @property
    def last(self) -> Act:
        """Return the act that says where it stands."""
        return self.acts[-1]

    @property
    def assignee(self) -> str | None:
        """Return who decides; ``None`` while nobody was named."""
        return next((one.assignee for one in reversed(self.acts) if one.assignee), None)


_ASKED: Final = columns_of(ReviewRow, Asked)
_ACT: Final = columns_of(ReviewActRow, Act)


def hold(connection: Connection, decision: UUID) -> None:
    """Let nobody else ask for a review of a decision until the transaction ends."""
    locks.hold(connection, Lock.REVIEWS, str(decision))


def ask(connection: Connection, asked: Asked) -> int:
    """Write a request with its first act and return its number."""
    values = values_of(asked)
    number = connection.execute(
        insert(ReviewRow).values(values).returning(ReviewRow.id)
    ).scalar_one()
    act(connection, number, Act(1, "ask", "asked", asked.by, asked.at))
    return number


def act(connection: Connection, number: int, taken: Act) -> None:
    """Write an act of a review that this transaction holds."""
    values = values_of(taken)
    connection.execute(insert(ReviewActRow).values({"review_id": number, **values}))


def get(connection: Connection, number: int, *, lock: bool = False) -> Review | None:
    """Return a review; ``lock`` holds it until the transaction ends."""
    query = select(*_ASKED).where(ReviewRow.id == number)
    row = first_of(connection, query, lock=lock)
    return None if row is None else _whole(connection, number, Asked(*row))


def listing(
    connection: Connection,
    *,
    regions: Sequence[str],
    decision: UUID | None = None,
    waiting: bool = False,
    before: int | None = None,
    limit: int = 50,
) -> list[Review]:
    """Return reviews, the newest first; ``waiting`` those without an end."""
    query = select(ReviewRow.id, *_ASKED).where(in_regions(ReviewRow.region, regions))
    if decision is not None:
        query = query.where(ReviewRow.decision == decision)
    if waiting:
        ended = select(ReviewActRow.review_id).where(ReviewActRow.state.not_in(OPEN))
        query = query.where(ReviewRow.id.not_in(ended))
    found = newest(connection, query, ReviewRow.id, before=before, limit=limit)
    return [_whole(connection, number, Asked(*rest)) for number, *rest in found]


def of_decision(connection: Connection, decision: UUID) -> list[Review]:
    """Return the reviews of a decision, the newest first."""
    return listing(connection, regions=("",), decision=decision)


def annulled(connection: Connection, decisions: Collection[UUID]) -> set[UUID]:
    """Return those of the decisions that a review annulled."""
    if not decisions:
        return set()
    asked = (
        select(ReviewRow.decision)
        .join(ReviewActRow, ReviewActRow.review_id == ReviewRow.id)
        .where(ReviewActRow.outcome == "annulled", ReviewRow.decision == func.any(list(decisions)))
    )
    return set(connection.execute(asked).scalars())


def concluded(connection: Connection, decisions: Collection[UUID]) -> dict[UUID, Conclusion]:
    """Return what the last review that ended with an outcome says of each decision, where one did.

    That a decision is upheld leaves what an earlier review made of it as it was.
    """
    if not decisions:
        return {}
    query = (
        select(
            ReviewRow.decision,
            *(ReviewRow.id, ReviewActRow.outcome, ReviewActRow.grade),
            *(ReviewActRow.reason, ReviewActRow.at),
        )
        .join(ReviewActRow, ReviewActRow.review_id == ReviewRow.id)
        .where(ReviewActRow.outcome.is_not(None), ReviewRow.decision == func.any(list(decisions)))
        .order_by(ReviewActRow.id)
    )
    made: dict[UUID, Conclusion] = {}
    for decision, number, outcome, grade, reason, at in connection.execute(query):
        one = Conclusion(number, str(outcome), grade, reason, at)
        before = made.get(decision)
        if one.outcome == "upheld" and before is not None:
            one = replace(one, outcome=before.outcome, grade=before.grade)
        made[decision] = one
    return made


def handlers(connection: Connection, decision: UUID) -> set[str]:
    """Return who took a step on what a decision raised: they cannot review it."""
    asked = (
        select(WarningStepRow.by)
        .join(WarningRow, WarningRow.id == WarningStepRow.warning_id)
        .where(WarningRow.decision == decision, WarningStepRow.by != SYSTEM)
    )
    return set(connection.execute(asked.distinct()).scalars())


def _whole(connection: Connection, number: int, asked: Asked) -> Review:
    query = select(*_ACT).where(ReviewActRow.review_id == number).order_by(ReviewActRow.version)
    return Review(number, asked, tuple(Act(*row) for row in connection.execute(query)))
