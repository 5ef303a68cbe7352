"""Credit reports that were issued: what anyone who holds a copy may check, and no content."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, Index, Integer, insert, select
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from serving.ledger.base import Base


class ReportRow(Base):
    """A report that was issued; ``digest`` is the SHA-256 of its canonical bytes."""

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


_TOLD: Final = tuple[ColumnElement[Any], ...](getattr(ReportRow, n) for n in Issued.__slots__)


def issue(connection: Connection, issued: Issued) -> None:
    """Write that a report was issued."""
    values = {name: getattr(issued, name) for name in Issued.__slots__}
    connection.execute(insert(ReportRow).values(values))


def find(connection: Connection, code: str) -> Issued | None:
    """Return the report of a code; ``None`` where none was issued under it."""
    row = connection.execute(select(*_TOLD).where(ReportRow.code == code)).first()
    return None if row is None else Issued(*row)
