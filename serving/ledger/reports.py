"""Credit reports that were issued: what anyone who holds a copy may check, and no content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import ARRAY, Connection, Index, Integer, Text, and_, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from serving.ledger import locks
from serving.ledger.base import Base
from serving.ledger.locks import Lock
from serving.ledger.rows import columns_of, values_of


class ReportRow(Base):
    """A report that was issued; ``digest`` is the SHA-256 of its canonical bytes.

    ``authorities`` are those whose records alone it shows; null is all.
    """

    __tablename__ = "report"
    __table_args__ = (Index("ix_report_subject_id", "subject_id"),)

    code: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    subject_id: Mapped[str]
    name: Mapped[str | None]
    as_of: Mapped[date]
    since: Mapped[date | None]
    until: Mapped[date]
    records: Mapped[int] = mapped_column(Integer)
    digest: Mapped[str]
    issued_at: Mapped[datetime]
    issued_by: Mapped[str]
    domain: Mapped[str | None]
    authorities: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    data_from: Mapped[date | None]


@dataclass(frozen=True, slots=True)
class Issued:
    """A report that was issued, ``issued_at`` UTC."""

    code: str
    kind: str
    subject_id: str
    name: str | None
    as_of: date
    since: date | None
    until: date
    records: int
    digest: str
    issued_at: datetime
    issued_by: str
    domain: str | None = None
    authorities: Sequence[str] | None = None
    data_from: date | None = None


_TOLD: Final = columns_of(ReportRow, Issued)


def issue(connection: Connection, issued: Issued) -> None:
    """Write that a report was issued."""
    values = values_of(issued)
    connection.execute(insert(ReportRow).values(values))


def hold(connection: Connection, subject: str) -> None:
    """Let nobody else issue a report of the subject until the transaction ends."""
    locks.hold(connection, Lock.REPORTS, subject)


def same(
    connection: Connection, subject: str, digest: str, *, by: str, since: datetime
) -> Issued | None:
    """Return what a caller was issued since an instant with this very content, if anything."""
    asked = and_(
        ReportRow.subject_id == subject,
        ReportRow.digest == digest,
        ReportRow.issued_by == by,
        ReportRow.issued_at >= since,
    )
    row = connection.execute(select(*_TOLD).where(asked).order_by(ReportRow.issued_at)).first()
    return None if row is None else Issued(*row)


def find(connection: Connection, code: str) -> Issued | None:
    """Return the report of a code; ``None`` where none was issued under it."""
    row = connection.execute(select(*_TOLD).where(ReportRow.code == code)).first()
    return None if row is None else Issued(*row)
