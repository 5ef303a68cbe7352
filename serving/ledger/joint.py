"""Visits: tasks of one target that a team carries out at once, of whatever plan (进一次门查多项事).

A task belongs to one visit, which is named by the first task that was made for it. Visits are what
the annual cap counts, so that a target that several plans drew is counted once where they go
together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

import polars as pl
from sqlalchemy import Connection, Index, select, text
from sqlalchemy.orm import Mapped, mapped_column

from serving.ledger.base import Base
from serving.ledger.copying import copy_rows

VISITS: Final = pl.Schema(
    {
        "subject_id": pl.String(),
        "visit_id": pl.String(),
        "plan_id": pl.String(),
        "period": pl.String(),
        "task_id": pl.String(),
        "starts": pl.Date(),
        "ends": pl.Date(),
        "ground": pl.String(),
        "done": pl.Boolean(),
    }
)
"""The columns of visits; ``task_id`` is null for who is drawn and has no task yet, ``ground`` for
what counts towards the cap; ``done``: something of the visit has a result."""


class VisitRow(Base):
    """Which visit a task belongs to, and its days; ``ground``: why it is exempt from the cap."""

    __tablename__ = "inspection_visit"
    __table_args__ = (
        Index("ix_inspection_visit_visit_id", "visit_id"),
        Index("ix_inspection_visit_subject_id", "subject_id"),
    )

    plan_id: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    task_id: Mapped[str] = mapped_column(primary_key=True)
    visit_id: Mapped[str]
    subject_id: Mapped[str]
    starts: Mapped[date]
    ends: Mapped[date]
    ground: Mapped[str | None]
    by: Mapped[str]
    at: Mapped[datetime]


def keep(
    connection: Connection, key: tuple[str, str], rows: pl.DataFrame, *, by: str, at: datetime
) -> None:
    """Keep which visit each task of a period belongs to.

    ``rows``: ``task_id``, ``visit_id``, ``subject_id``, ``starts``, ``ends``, ``ground``.
    """
    told = {"plan_id": key[0], "period": key[1], "by": by}
    named = rows.select(
        *("task_id", "visit_id", "subject_id", "starts", "ends", "ground"),
        *(pl.lit(value).alias(name) for name, value in told.items()),
        pl.lit(at).alias("at"),
    )
    copy_rows(connection, VisitRow, named)


def of_period(connection: Connection, key: tuple[str, str]) -> pl.DataFrame:
    """Return ``task_id`` and ``visit_id`` of a period's tasks, sorted."""
    row = VisitRow
    asked = select(row.task_id, row.visit_id).where(row.plan_id == key[0], row.period == key[1])
    rows = [tuple(one) for one in connection.execute(asked.order_by(row.task_id))]
    return pl.DataFrame(rows, {"task_id": pl.String, "visit_id": pl.String}, orient="row")


def together(connection: Connection, visits: Sequence[str]) -> pl.DataFrame:
    """Return all tasks of some visits, of whatever plan; see :data:`VISITS`."""
    return _frame(connection, _TOGETHER, {"visits": list(visits)})


def drawn(connection: Connection, plans: Sequence[str], but: tuple[str, str]) -> pl.DataFrame:
    """Return the visits to everybody whom these plans drew, but for one period of one of them.

    See :data:`VISITS`; who has no task yet stands with the id and without the days of a visit.
    """
    told = {"plans": list(plans), "plan": but[0], "period": but[1]}
    return _frame(connection, _DRAWN, told)


def of_subject(connection: Connection, plans: Sequence[str], subject: str) -> pl.DataFrame:
    """Return the visits of one subject in these plans; see :func:`drawn`."""
    told = {"plans": list(plans), "plan": "", "period": "", "subject": subject}
    return _frame(connection, f"{_DRAWN} and l.subject_id = :subject", told)


def _frame(connection: Connection, statement: str, told: Mapping[str, object]) -> pl.DataFrame:
    rows = [tuple(one) for one in connection.execute(text(statement), told)]
    return pl.DataFrame(rows, VISITS, orient="row")


_DONE: Final = """exists (
    select from inspection_visit w join inspection_result r
        on r.plan_id = w.plan_id and r.period = w.period and r.task_id = w.task_id
    where w.visit_id = v.visit_id)"""
_TOGETHER: Final = f"""
select v.subject_id, v.visit_id, v.plan_id, v.period, v.task_id, v.starts, v.ends, v.ground, {_DONE}
from inspection_visit v where v.visit_id = any(:visits)
order by v.visit_id, v.plan_id, v.period, v.task_id
"""  # noqa: S608 - of constants
_DRAWN: Final = f"""
select l.subject_id, coalesce(v.visit_id, concat_ws('/', l.plan_id, l.period, l.subject_id)),
    l.plan_id, l.period, v.task_id, v.starts, v.ends, v.ground, v.visit_id is not null and {_DONE}
from inspection_line l left join inspection_visit v
    on v.plan_id = l.plan_id and v.period = l.period and v.subject_id = l.subject_id
where l.drawn and l.plan_id = any(:plans) and not (l.plan_id = :plan and l.period = :period)
"""  # noqa: S608 - of constants
