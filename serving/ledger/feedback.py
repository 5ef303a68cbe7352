"""Labels that officers give: what closing a warning says of the decision behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

import polars as pl
from sqlalchemy import (
    BigInteger,
    Connection,
    ForeignKey,
    Identity,
    Index,
    and_,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Mapped, mapped_column

from models.features.spec import AS_OF, SUBJECT
from serving.ledger.base import Base
from serving.ledger.reviews import ReviewActRow, ReviewRow
from serving.ledger.rows import columns_of
from serving.ledger.scope import in_regions
from serving.ledger.warnings import Kept


class FeedbackRow(Base):
    """What an officer found of a decision: a label, of which the newest of a decision counts."""

    __tablename__ = "feedback"
    __table_args__ = (Index("ix_feedback_scenario", "scenario", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    warning_id: Mapped[int] = mapped_column(ForeignKey("warning.id"))
    decision: Mapped[UUID]
    scenario: Mapped[str]
    subject_id: Mapped[str]
    region: Mapped[str | None]
    as_of: Mapped[date]
    confirmed: Mapped[bool]
    by: Mapped[str]
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Feedback:
    """A label that an officer gave."""

    id: int
    warning_id: int
    decision: UUID
    scenario: str
    subject_id: str
    region: str | None
    as_of: date
    confirmed: bool
    by: str
    at: datetime


_FEEDBACK: Final = columns_of(FeedbackRow, Feedback)


def give(connection: Connection, held: Kept, *, confirmed: bool, by: str, at: datetime) -> None:
    """Write the label that closing a warning gives its decision."""
    values = {
        "warning_id": held.id,
        "decision": held.decision,
        "scenario": held.scenario,
        "subject_id": held.subject_id,
        "region": held.region,
        "as_of": held.as_of,
        "confirmed": confirmed,
        "by": by,
        "at": at,
    }
    connection.execute(insert(FeedbackRow).values(values))


def listing(
    connection: Connection, *, regions: Sequence[str], scenario: str | None, after: int, limit: int
) -> list[Feedback]:
    """Return the labels behind a number, the oldest first."""
    asked = [FeedbackRow.id > after, in_regions(FeedbackRow.region, regions)]
    if scenario is not None:
        asked.append(FeedbackRow.scenario == scenario)
    query = select(*_FEEDBACK).where(and_(*asked)).order_by(FeedbackRow.id).limit(limit)
    return [Feedback(*row) for row in connection.execute(query)]


LABELS: Final = pl.Schema(
    {
        "decision": pl.String(),
        "scenario": pl.String(),
        SUBJECT: pl.String(),
        AS_OF: pl.Date(),
        "confirmed": pl.Boolean(),
        "at": pl.Datetime("us", "UTC"),
    }
)
"""The columns of :func:`frame`."""


def frame(connection: Connection, scenario: str | None = None) -> pl.DataFrame:
    """Return the labels for training: of each decision the newest; see :data:`LABELS`.

    What a review annulled is left out: it says nothing of its subject.
    """
    void = select(ReviewRow.decision).join(ReviewActRow, ReviewActRow.review_id == ReviewRow.id)
    asked = (
        select(
            FeedbackRow.decision,
            FeedbackRow.scenario,
            FeedbackRow.subject_id,
            FeedbackRow.as_of,
            FeedbackRow.confirmed,
            FeedbackRow.at,
        )
        .where(FeedbackRow.decision.not_in(void.where(ReviewActRow.outcome == "annulled")))
        .ext(distinct_on(FeedbackRow.decision))
        .order_by(FeedbackRow.decision, FeedbackRow.id.desc())
    )
    if scenario is not None:
        asked = asked.where(FeedbackRow.scenario == scenario)
    rows = [(str(row[0]), *row[1:]) for row in connection.execute(asked)]
    return pl.DataFrame(rows, schema=LABELS, orient="row").sort(AS_OF, SUBJECT, "decision")
