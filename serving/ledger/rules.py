"""An office's own rules: proposed by one, approved by another, in force from a day on, for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    ForeignKey,
    Identity,
    Index,
    Select,
    insert,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from serving.ledger import locks
from serving.ledger.base import Base
from serving.ledger.locks import Lock
from serving.ledger.rows import add_once, newest


class ProposalRow(Base):
    """A proposed edition of a rule file; ``replaces`` is the newest that was approved before."""

    __tablename__ = "rule_proposal"
    __table_args__ = (Index("ix_rule_proposal_kind", "kind", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    kind: Mapped[str]
    content: Mapped[str]
    digest: Mapped[str]
    effective_from: Mapped[date]
    basis: Mapped[str]
    replaces: Mapped[int | None] = mapped_column(BigInteger)
    by: Mapped[str]
    at: Mapped[datetime]


class RulingRow(Base):
    """What somebody else said of a proposal: one word, for good."""

    __tablename__ = "rule_ruling"

    proposal_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("rule_proposal.id"), primary_key=True, autoincrement=False
    )
    approved: Mapped[bool]
    note: Mapped[str | None]
    by: Mapped[str]
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal and what was said of it, null while it waits; ``digest`` is of its text."""

    id: int
    kind: str
    content: str
    digest: str
    effective_from: date
    basis: str
    replaces: int | None
    by: str
    at: datetime
    approved: bool | None
    note: str | None
    ruled_by: str | None
    ruled_at: datetime | None


_TOLD: Final[tuple[ColumnElement[Any], ...]] = (
    *(ProposalRow.id, ProposalRow.kind, ProposalRow.content, ProposalRow.digest),
    *(ProposalRow.effective_from, ProposalRow.basis, ProposalRow.replaces, ProposalRow.by),
    *(ProposalRow.at, RulingRow.approved, RulingRow.note, RulingRow.by, RulingRow.at),
)  # pyright: ignore[reportAssignmentType] -- mapped attributes are columns in a query


def hold(connection: Connection, kind: str) -> None:
    """Let nobody else rule on a kind's proposals until the transaction ends."""
    locks.hold(connection, Lock.RULES, kind)


def propose(connection: Connection, values: Mapping[str, object]) -> int:
    """Write a proposal (the columns of :class:`ProposalRow`) and return its number."""
    made = insert(ProposalRow).values(values).returning(ProposalRow.id)
    return connection.execute(made).scalar_one()


def rule(
    connection: Connection,
    number: int,
    *,
    approved: bool,
    note: str | None,
    by: str,
    at: datetime,
) -> bool:
    """Write what was said of a proposal; false where it was ruled on before."""
    values = {"proposal_id": number, "approved": approved, "note": note, "by": by, "at": at}
    return add_once(connection, RulingRow, values)


def get(connection: Connection, number: int) -> Proposal | None:
    """Return a proposal; ``None`` where there is none of that number."""
    row = connection.execute(_all().where(ProposalRow.id == number)).first()
    return None if row is None else Proposal(*row)


def listing(
    connection: Connection, kind: str, *, waiting: bool = False, limit: int = 50
) -> list[Proposal]:
    """Return the proposals of a kind, the newest first."""
    query = _all().where(ProposalRow.kind == kind)
    if waiting:
        query = query.where(RulingRow.approved.is_(None))
    return [Proposal(*row) for row in newest(connection, query, ProposalRow.id, limit=limit)]


def latest(connection: Connection, kind: str) -> int | None:
    """Return the number of the edition that was approved last, in force or to come."""
    query = select(ProposalRow.id).join(RulingRow, RulingRow.proposal_id == ProposalRow.id)
    query = query.where(ProposalRow.kind == kind, RulingRow.approved)
    return connection.execute(query.order_by(RulingRow.at.desc(), ProposalRow.id.desc())).scalar()


def in_force(connection: Connection, kind: str, on: date) -> tuple[int, str, str] | None:
    """Return number, digest and text of the edition in force on a day; ``None``: the package's is.

    Of several that have begun it is the one that began last; of one day, the one approved last.
    """
    query = (
        select(ProposalRow.id, ProposalRow.digest, ProposalRow.content)
        .join(RulingRow, RulingRow.proposal_id == ProposalRow.id)
        .where(ProposalRow.kind == kind, RulingRow.approved, ProposalRow.effective_from <= on)
        .order_by(ProposalRow.effective_from.desc(), RulingRow.at.desc(), ProposalRow.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else (row[0], row[1], row[2])


def to_come(connection: Connection, kind: str, after: date) -> list[Proposal]:
    """Return the approved editions that begin after a day, the next first."""
    query = _all().where(
        ProposalRow.kind == kind, RulingRow.approved, ProposalRow.effective_from > after
    )
    found = connection.execute(query.order_by(ProposalRow.effective_from, ProposalRow.id))
    return [Proposal(*row) for row in found]


def approved(connection: Connection) -> list[Proposal]:
    """Return every edition that was approved, of every kind, the oldest first."""
    found = connection.execute(_all().where(RulingRow.approved).order_by(ProposalRow.id))
    return [Proposal(*row) for row in found]


def _all() -> Select[Any]:
    joined = select(*_TOLD).select_from(ProposalRow)
    return joined.outerjoin(RulingRow, RulingRow.proposal_id == ProposalRow.id)
