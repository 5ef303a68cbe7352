"""What follows a draw: who goes where, what they found, and what was published of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import polars as pl
from sqlalchemy import (
    BigInteger,
    Connection,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    insert,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.time import SHANGHAI
from serving.ledger.base import Base
from serving.ledger.lists import packed, unpacked

RESULT: Final = pl.Schema(
    {
        "task_id": pl.String(),
        "matter_id": pl.String(),
        "result_code": pl.String(),
        "ended_on": pl.Date(),
        "inspectors": pl.List(pl.String()),
        "problem": pl.String(),
    }
)
"""The fields of a result."""


class AssignmentRow(Base):
    """Who goes where, from ``at`` on; number 1 is the draw of teams, each further one a recusal.

    ``acts`` are the recusals and the changes that followed, as JSON; ``inspectors`` is the version
    of the list of inspectors.
    """

    __tablename__ = "inspection_assignment"

    plan_id: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    tasks: Mapped[bytes] = mapped_column(LargeBinary)
    teams: Mapped[bytes] = mapped_column(LargeBinary)
    acts: Mapped[str]
    authority: Mapped[str]
    inspectors: Mapped[str]
    size: Mapped[int] = mapped_column(Integer)
    by: Mapped[str]
    at: Mapped[datetime]


class ResultRow(Base):
    """The result of one matter of one task; a later row corrects an earlier one."""

    __tablename__ = "inspection_result"
    __table_args__ = (
        Index(
            "ix_inspection_result_plan_id_period",
            *("plan_id", "period", "task_id", "matter_id", "id"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    plan_id: Mapped[str]
    period: Mapped[str]
    task_id: Mapped[str]
    matter_id: Mapped[str]
    content: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]


class PublicationRow(Base):
    """What was published of a result, without personal data."""

    __tablename__ = "inspection_publication"
    __table_args__ = (
        Index("ix_inspection_publication_plan_id_period", "plan_id", "period", "result_id"),
    )

    result_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("inspection_result.id"), primary_key=True, autoincrement=False
    )
    plan_id: Mapped[str]
    period: Mapped[str]
    content: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]


@dataclass(frozen=True, eq=False)
class Assigned:
    """An assignment: ``tasks`` and ``teams`` as :mod:`models.inspection` has them."""

    number: int
    tasks: pl.DataFrame
    teams: pl.DataFrame
    acts: Mapping[str, Sequence[Mapping[str, str]]]
    authority: str
    inspectors: str
    size: int
    by: str
    at: datetime


def keep_assignment(connection: Connection, plan_id: str, period: str, assigned: Assigned) -> None:
    """Keep an assignment."""
    values = {
        "plan_id": plan_id,
        "period": period,
        "number": assigned.number,
        "tasks": packed(assigned.tasks),
        "teams": packed(assigned.teams),
        "acts": json.dumps(assigned.acts, ensure_ascii=False),
        "authority": assigned.authority,
        "inspectors": assigned.inspectors,
        "size": assigned.size,
        "by": assigned.by,
        "at": assigned.at,
    }
    connection.execute(insert(AssignmentRow).values(values))


def assignment(connection: Connection, plan_id: str, period: str) -> Assigned | None:
    """Return who goes where now; ``None`` where no teams were drawn yet."""
    row = AssignmentRow
    query = select(*(getattr(row, name) for name in _ASSIGNED)).where(
        row.plan_id == plan_id, row.period == period
    )
    found = connection.execute(query.order_by(row.number.desc()).limit(1)).first()
    if found is None:
        return None
    told: dict[str, Any] = dict(zip(_ASSIGNED, found, strict=True))
    told |= {"tasks": unpacked(told["tasks"]), "teams": unpacked(told["teams"])}
    return Assigned(**{**told, "acts": json.loads(told["acts"])})


def keep_results(
    connection: Connection,
    plan_id: str,
    period: str,
    *,
    rows: pl.DataFrame,
    by: str,
    at: datetime,
) -> None:
    """Keep checked results (see :data:`RESULT`), each beside what was told before of the same."""
    values = [
        {
            "plan_id": plan_id,
            "period": period,
            "task_id": row["task_id"],
            "matter_id": row["matter_id"],
            "content": json.dumps(row, ensure_ascii=False, default=str),
            "by": by,
            "at": at,
        }
        for row in rows.select(*RESULT).iter_rows(named=True)
    ]
    if values:
        connection.execute(insert(ResultRow), values)


def results(connection: Connection, plan_id: str, period: str) -> pl.DataFrame:
    """Return the last result of each matter of each task.

    The columns of :data:`RESULT`, ``result_id``, and ``published_on``: when anything of the task's
    matter was published first, null for never; ``told`` is whether this very result was.
    """
    row, out = ResultRow, PublicationRow
    query = (
        select(row.id, row.content, out.at)
        .join(out, out.result_id == row.id, isouter=True)
        .where(row.plan_id == plan_id, row.period == period)
        .order_by(row.task_id, row.matter_id, row.id)
    )
    made = [_result(*one) for one in connection.execute(query)]
    schema = {**RESULT, "result_id": pl.Int64(), "published_on": pl.Date(), "told": pl.Boolean()}
    frame = pl.DataFrame(made, schema=schema, orient="row")
    key = ["task_id", "matter_id"]
    return frame.with_columns(pl.col("published_on").min().over(key)).unique(
        key, keep="last", maintain_order=True
    )


def keep_publication(
    connection: Connection,
    plan_id: str,
    period: str,
    *,
    rows: Mapping[int, Mapping[str, object]],
    by: str,
    at: datetime,
) -> None:
    """Keep what was published, by the id of the result that it tells."""
    values = [
        {
            "result_id": number,
            "plan_id": plan_id,
            "period": period,
            "content": json.dumps(row, ensure_ascii=False, default=str),
            "by": by,
            "at": at,
        }
        for number, row in rows.items()
    ]
    connection.execute(insert(PublicationRow), values)


def publications(
    connection: Connection, plan_id: str, period: str, *, after: int, limit: int
) -> list[tuple[int, datetime, dict[str, object]]]:
    """Return what was published behind a number, in order: its number, when, and what."""
    row = PublicationRow
    query = select(row.result_id, row.at, row.content).where(
        row.plan_id == plan_id, row.period == period, row.result_id > after
    )
    found = connection.execute(query.order_by(row.result_id).limit(limit))
    return [(number, at, json.loads(content)) for number, at, content in found]


_ASSIGNED: Final = (
    *("number", "tasks", "teams", "acts", "authority", "inspectors", "size"),
    *("by", "at"),
)


def _result(number: int, content: str, published: datetime | None) -> tuple[object, ...]:
    row = json.loads(content)
    ended = date.fromisoformat(row["ended_on"])
    day = None if published is None else published.astimezone(SHANGHAI).date()
    return (
        *(row["task_id"], row["matter_id"], row["result_code"], ended, row["inspectors"]),
        *(row["problem"], number, day, published is not None),
    )
