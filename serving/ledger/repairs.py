"""What was done to records: applications, decisions, annulments, and what followed from each.

A *case* is one record of dishonesty. Nothing of it is kept but acts; where it stands follows from
them (:mod:`models.supervision.repair`). Whoever acts holds the case's row meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    ForeignKey,
    Identity,
    Index,
    Text,
    insert,
    select,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from serving.ledger.base import Base
from serving.ledger.rows import add_once, columns_of, first_of, newest, values_of
from serving.ledger.scope import in_regions


class CaseRow(Base):
    """A record that something was done to."""

    __tablename__ = "repair_case"
    __table_args__ = (
        Index("uq_repair_case_record", "table_name", "record_id", unique=True),
        Index("ix_repair_case_subject_id", "subject_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    table_name: Mapped[str]
    record_id: Mapped[str]
    subject_id: Mapped[str]
    region: Mapped[str | None]
    opened_at: Mapped[datetime]


class ActRow(Base):
    """Something done to a record; ``kind`` is one of the repair's, or ``accept`` (受理)."""

    __tablename__ = "repair_act"
    __table_args__ = (Index("ix_repair_act_case_id", "case_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("repair_case.id"))
    kind: Mapped[str]
    on: Mapped[date]
    by: Mapped[str]
    at: Mapped[datetime]
    note: Mapped[str | None]


class EffectRow(Base):
    """What an act set going: the live record, the jobs, and the subjects that are decided anew."""

    __tablename__ = "repair_effect"
    __table_args__ = (Index("ix_repair_effect_subjects", "subjects", postgresql_using="gin"),)

    act_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("repair_act.id"), primary_key=True, autoincrement=False
    )
    inbox_seq: Mapped[int] = mapped_column(BigInteger)
    jobs: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    subjects: Mapped[list[str]] = mapped_column(ARRAY(Text))
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Case:
    """A record that something was done to."""

    id: int
    table_name: str
    record_id: str
    subject_id: str
    region: str | None
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class ActKept:
    """An act as it was recorded; ``on`` is the regulator's day, ``at`` UTC."""

    id: int
    kind: str
    on: date
    by: str
    at: datetime
    note: str | None


@dataclass(frozen=True, slots=True)
class Effect:
    """What an act set going."""

    act_id: int
    inbox_seq: int
    jobs: Sequence[int]
    subjects: Sequence[str]
    at: datetime


_CASE: Final = columns_of(CaseRow, Case)
_ACT: Final = columns_of(ActRow, ActKept)
_EFFECT: Final = columns_of(EffectRow, Effect)


def open_case(
    connection: Connection,
    table: str,
    record_id: str,
    *,
    subject_id: str,
    region: str | None,
    at: datetime,
) -> Case:
    """Return the case of a record, made where there is none, and hold it."""
    values = {
        "table_name": table,
        "record_id": record_id,
        "subject_id": subject_id,
        "region": region,
        "opened_at": at,
    }
    add_once(connection, CaseRow, values)
    found = of_record(connection, table, record_id, lock=True)
    assert found is not None  # noqa: S101 - it was written just now, and is never removed
    return found


def of_record(
    connection: Connection, table: str, record_id: str, *, lock: bool = False
) -> Case | None:
    """Return the case of a record; ``None`` where nothing was ever done to it."""
    asked = select(*_CASE).where(CaseRow.table_name == table, CaseRow.record_id == record_id)
    row = first_of(connection, asked, lock=lock)
    return None if row is None else Case(*row)


def get(connection: Connection, number: int, *, lock: bool = False) -> Case | None:
    """Return a case; ``lock`` holds it until the transaction ends."""
    asked = select(*_CASE).where(CaseRow.id == number)
    row = first_of(connection, asked, lock=lock)
    return None if row is None else Case(*row)


def listing(
    connection: Connection,
    *,
    regions: Sequence[str],
    subject: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Case]:
    """Return cases, the newest first."""
    query = select(*_CASE).where(in_regions(CaseRow.region, regions))
    if subject is not None:
        query = query.where(CaseRow.subject_id == subject)
    return [Case(*row) for row in newest(connection, query, CaseRow.id, before=before, limit=limit)]


def act(
    connection: Connection,
    case: Case,
    kind: str,
    *,
    on: date,
    by: str,
    at: datetime,
    note: str | None,
) -> int:
    """Write an act of a case that this transaction holds, and return its number."""
    values = {"case_id": case.id, "kind": kind, "on": on, "by": by, "at": at, "note": note}
    return connection.execute(insert(ActRow).values(values).returning(ActRow.id)).scalar_one()


def acts(connection: Connection, case: int) -> list[ActKept]:
    """Return the acts of a case in the order of their recording."""
    asked = select(*_ACT).where(ActRow.case_id == case).order_by(ActRow.id)
    return [ActKept(*row) for row in connection.execute(asked)]


def disputed(connection: Connection, subject: str) -> set[tuple[str, str]]:
    """Return table and id of a subject's records that are disputed now."""
    marks = (
        select(CaseRow.table_name, CaseRow.record_id, ActRow.kind)
        .join(ActRow, ActRow.case_id == CaseRow.id)
        .where(CaseRow.subject_id == subject, ActRow.kind.in_(("dispute", "settle", "annul")))
        .order_by(ActRow.id)
    )
    newest = {(table, record): kind for table, record, kind in connection.execute(marks)}
    return {record for record, kind in newest.items() if kind == "dispute"}


def keep_effect(connection: Connection, effect: Effect) -> None:
    """Write what an act set going."""
    values = values_of(effect)
    connection.execute(insert(EffectRow).values(values))


def effects(connection: Connection, case: Case) -> list[Effect]:
    """Return what the acts of a case set going, in their order."""
    asked = (
        select(*_EFFECT)
        .join(ActRow, ActRow.id == EffectRow.act_id)
        .where(ActRow.case_id == case.id)
        .order_by(EffectRow.act_id)
    )
    return [Effect(*row) for row in connection.execute(asked)]


def unsettled(connection: Connection, scenario: str) -> list[str]:
    """Return whose standing decision an act has overtaken while the new one is still to come.

    They are those of a scenario who were decided before it; the job of the new decision waits, runs
    or was given up.
    """
    found = connection.execute(_UNSETTLED, {"scenario": scenario})
    return list(found.scalars())


_UNSETTLED: Final = text(
    """
select distinct s.id from repair_effect e cross join unnest(e.subjects) as s(id)
where exists (select from job j where j.id = any(e.jobs) and j.status <> 'done'
              and j.payload -> 'subjects' @> to_jsonb(s.id))
  and exists (select from decision d where d.scenario = :scenario and d.subject_id = s.id)
  and not exists (select from decision d where d.scenario = :scenario and d.subject_id = s.id
                  and d.inbox_mark >= e.inbox_seq)
order by 1
"""
)
