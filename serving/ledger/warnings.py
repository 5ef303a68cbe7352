"""Warnings and their handling: what was raised, where it stands, and every step as a row.

The row of a warning says where it stands; the steps that led there are appended beside it and never
change. Whoever takes a step holds the warning's row meanwhile, so that of two officers one is
first and the other sees what the first did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

import polars as pl
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Text,
    and_,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from models.features.spec import SUBJECT
from models.supervision.warning import HISTORY
from serving.ledger import locks
from serving.ledger.base import Base
from serving.ledger.decisions import DecisionRow
from serving.ledger.locks import Lock
from serving.ledger.rows import columns_of, first_of, newest, values_of
from serving.ledger.scope import in_regions

_OPEN: Final = text("state <> 'closed'")


class WarningRow(Base):
    """A warning as it stands; ``version`` counts its steps, ``decision`` raised it.

    The days that are due are null where the calendar of working days does not reach them yet.
    """

    __tablename__ = "warning"
    __table_args__ = (
        Index("uq_warning_decision", "decision", unique=True),
        Index("ix_warning_subject_id", "subject_id", "scenario"),
        Index("ix_warning_open", "close_due", postgresql_where=_OPEN),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    scenario: Mapped[str]
    subject_id: Mapped[str]
    region: Mapped[str | None]
    decision: Mapped[UUID]
    as_of: Mapped[date]
    level: Mapped[str]
    rules: Mapped[list[str]] = mapped_column(ARRAY(Text))
    grade: Mapped[str]
    previous_grade: Mapped[str | None]
    probability: Mapped[float] = mapped_column(Float)
    previous_probability: Mapped[float | None] = mapped_column(Float)
    raised_at: Mapped[datetime]
    state: Mapped[str]
    version: Mapped[int] = mapped_column(Integer)
    assignee: Mapped[str | None]
    begun_on: Mapped[date]
    acknowledge_due: Mapped[date | None]
    close_due: Mapped[date | None]
    closed_on: Mapped[date | None]
    outcome: Mapped[str | None]


class WarningStepRow(Base):
    """One step of one warning, or a note, which leaves the state as it is."""

    __tablename__ = "warning_step"
    __table_args__ = (Index("uq_warning_step_version", "warning_id", "version", unique=True),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    warning_id: Mapped[int] = mapped_column(ForeignKey("warning.id"))
    version: Mapped[int] = mapped_column(Integer)
    step: Mapped[str]
    state_before: Mapped[str | None]
    state: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    assignee: Mapped[str | None]
    outcome: Mapped[str | None]
    note: Mapped[str | None]


@dataclass(frozen=True, slots=True)
class Kept:
    """A warning as it stands; see :class:`WarningRow`."""

    id: int
    scenario: str
    subject_id: str
    region: str | None
    decision: UUID
    as_of: date
    level: str
    rules: Sequence[str]
    grade: str
    previous_grade: str | None
    probability: float
    previous_probability: float | None
    raised_at: datetime
    state: str
    version: int
    assignee: str | None
    begun_on: date
    acknowledge_due: date | None
    close_due: date | None
    closed_on: date | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class StepTaken:
    """One step of a warning, ``at`` UTC; ``state_before`` is null for its raising."""

    version: int
    step: str
    state_before: str | None
    state: str
    by: str
    at: datetime
    assignee: str | None = None
    outcome: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which warnings are asked for; what is null or false does not matter.

    ``overdue`` are those late on the day ``on``, to be acknowledged or closed; ``before`` takes
    those of lower numbers.
    """

    regions: Sequence[str]
    on: date
    state: str | None = None
    level: str | None = None
    scenario: str | None = None
    subject_id: str | None = None
    assignee: str | None = None
    overdue: bool = False
    before: int | None = None
    limit: int = 50


_TOLD: Final = columns_of(WarningRow, Kept)
_STEP: Final = columns_of(WarningStepRow, StepTaken)
BEFORE: Final = pl.Schema({SUBJECT: pl.String(), "grade": pl.String(), "probability": pl.Float64()})
"""The columns of :func:`before`."""


def hold(connection: Connection, scenario: str) -> None:
    """Let nobody else raise warnings of a scenario until the transaction ends."""
    locks.hold(connection, Lock.WARNINGS, scenario)


def before(connection: Connection, wanted: Mapping[str, str]) -> pl.DataFrame:
    """Return grade and probability of earlier decisions, by subject → id of a decision."""
    ids = {UUID(number): subject for subject, number in wanted.items()}
    asked = select(DecisionRow.id, DecisionRow.grade, DecisionRow.probability).where(
        DecisionRow.id == func.any(list(ids))
    )
    rows = [(ids[number], grade, odds) for number, grade, odds in connection.execute(asked)]
    return pl.DataFrame(rows, schema=BEFORE, orient="row")


def history(connection: Connection, scenario: str, subjects: Sequence[str]) -> pl.DataFrame:
    """Return the warnings of subjects there are already, as the rules of warning read them."""
    asked = select(
        WarningRow.subject_id, WarningRow.rules, WarningRow.grade, WarningRow.closed_on
    ).where(WarningRow.scenario == scenario, WarningRow.subject_id == func.any(list(subjects)))
    rows = [tuple(row) for row in connection.execute(asked)]
    return pl.DataFrame(rows, schema=dict(HISTORY), orient="row")


def add(connection: Connection, rows: Sequence[Mapping[str, object]], *, by: str) -> list[Kept]:
    """Write new warnings with their first step; those whose decision raised one already are not.

    ``rows`` have the columns of :class:`WarningRow` that are said when one is raised.
    """
    if not rows:
        return []
    values = [{**row, "state": "new", "version": 1} for row in rows]
    made = (
        upsert(WarningRow)
        .on_conflict_do_nothing(index_elements=[WarningRow.decision])
        .returning(*_TOLD)
    )
    kept = [Kept(*row) for row in connection.execute(made, values)]
    first = [(one.id, StepTaken(1, "raise", None, "new", by, one.raised_at)) for one in kept]
    _append(connection, first)
    return kept


def overtaken(connection: Connection, scenario: str, days: Mapping[str, date]) -> set[str]:
    """Return the subjects that have a decision of a day later than theirs here."""
    newest = (
        select(DecisionRow.subject_id, func.max(DecisionRow.as_of))
        .where(DecisionRow.scenario == scenario, DecisionRow.subject_id == func.any(list(days)))
        .group_by(DecisionRow.subject_id)
    )
    return {one for one, on in connection.execute(newest) if on > days[one]}


def get(connection: Connection, number: int, *, lock: bool = False) -> Kept | None:
    """Return a warning; ``lock`` holds it until the transaction ends, ``None`` where none is."""
    asked = select(*_TOLD).where(WarningRow.id == number)
    row = first_of(connection, asked, lock=lock)
    return None if row is None else Kept(*row)


def listing(connection: Connection, asked: Asked) -> list[Kept]:
    """Return warnings, the newest first; see :class:`Asked`."""
    query = select(*_TOLD).where(in_regions(WarningRow.region, asked.regions))
    for name in ("state", "level", "scenario", "subject_id", "assignee"):
        if (value := getattr(asked, name)) is not None:
            query = query.where(getattr(WarningRow, name) == value)
    if asked.overdue:
        query = query.where(_late(asked.on))
    found = newest(connection, query, WarningRow.id, before=asked.before, limit=asked.limit)
    return [Kept(*row) for row in found]


def count_of(connection: Connection, subject: str, *, since: date) -> int:
    """Return how many warnings of a subject were begun on or after a day, in every scenario."""
    counted = select(func.count()).where(
        WarningRow.subject_id == subject, WarningRow.begun_on >= since
    )
    return connection.execute(counted).scalar_one()


def tally(connection: Connection, on: date) -> tuple[int, int]:
    """Return how many warnings are open, and how many of these are overdue on a day."""
    counted = select(func.count(), func.count().filter(_late(on))).where(_OPEN)
    row = connection.execute(counted).one()
    return int(row[0]), int(row[1])


def steps(connection: Connection, number: int) -> list[StepTaken]:
    """Return the steps of a warning in their order."""
    asked = select(*_STEP).where(WarningStepRow.warning_id == number)
    found = connection.execute(asked.order_by(WarningStepRow.version))
    return [StepTaken(*row) for row in found]


def take(
    connection: Connection, held: Kept, step: StepTaken, *, changed: Mapping[str, object]
) -> Kept:
    """Write a step of a warning that this transaction holds, and where it stands now."""
    _append(connection, [(held.id, step)])
    moved = (
        update(WarningRow)
        .where(WarningRow.id == held.id)
        .values({"state": step.state, "version": step.version, **changed})
        .returning(*_TOLD)
    )
    return Kept(*connection.execute(moved).one())


def any_late(connection: Connection, on: date) -> bool:
    """Tell whether a warning is late on a day."""
    return connection.execute(select(WarningRow.id).where(_late(on)).limit(1)).first() is not None


def late(connection: Connection, on: date, *, after: int, limit: int) -> list[Kept]:
    """Return and hold warnings of higher numbers that are late on a day, the oldest first.

    Those that somebody acts on at this moment are passed over.
    """
    asked = select(*_TOLD).where(_late(on), WarningRow.id > after).order_by(WarningRow.id)
    found = connection.execute(asked.limit(limit).with_for_update(skip_locked=True))
    return [Kept(*row) for row in found]


def marks(
    connection: Connection, numbers: Sequence[int], names: Sequence[str]
) -> list[tuple[int, str, str | None, str | None]]:
    """Return the steps of these names: warning, step, assignee, outcome; in their order."""
    asked = select(
        WarningStepRow.warning_id,
        WarningStepRow.step,
        WarningStepRow.assignee,
        WarningStepRow.outcome,
    ).where(WarningStepRow.warning_id == func.any(list(numbers)), WarningStepRow.step.in_(names))
    found = connection.execute(asked.order_by(WarningStepRow.warning_id, WarningStepRow.version))
    return [(row[0], row[1], row[2], row[3]) for row in found]


def of_decision(connection: Connection, decision: UUID) -> Kept | None:
    """Return and hold the warning that a decision raised; ``None`` where it raised none."""
    asked = select(*_TOLD).where(WarningRow.decision == decision)
    row = first_of(connection, asked, lock=True)
    return None if row is None else Kept(*row)


def undated(connection: Connection, *, limit: int = 1000) -> list[Kept]:
    """Return and hold open warnings without a day on which they are due."""
    lacks = or_(WarningRow.close_due.is_(None), WarningRow.acknowledge_due.is_(None))
    asked = select(*_TOLD).where(_OPEN, lacks).order_by(WarningRow.id).limit(limit)
    return [Kept(*row) for row in connection.execute(asked.with_for_update(skip_locked=True))]


def set_due(connection: Connection, number: int, acknowledge: date, close: date) -> None:
    """Say when an open warning is due that lacked it."""
    dated = update(WarningRow).where(WarningRow.id == number)
    connection.execute(dated.values(acknowledge_due=acknowledge, close_due=close))


def _late(on: date) -> ColumnElement[bool]:
    unseen = and_(WarningRow.state.in_(("new", "reopened")), WarningRow.acknowledge_due < on)
    return and_(_OPEN, or_(unseen, WarningRow.close_due < on))


def _append(connection: Connection, taken: Sequence[tuple[int, StepTaken]]) -> None:
    values = [{"warning_id": number, **values_of(step)} for number, step in taken]
    if values:
        connection.execute(insert(WarningStepRow), values)
