"""How the ledger is doing: its clock, its worker, its backups."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from serving.ledger import workers
from serving.ledger.audit import AuditRow
from serving.ledger.engine import Ledger


def clock(ledger: Ledger) -> datetime:
    """Return the database's instant."""
    with ledger.begin() as connection:
        return connection.execute(select(func.clock_timestamp())).scalar_one()


def days_since(ledger: Ledger, action: str) -> float | None:
    """Return the days since an action was audited last; ``None`` where it never was."""
    age = func.extract("epoch", func.clock_timestamp() - func.max(AuditRow.at)) / 86_400
    with ledger.begin() as connection:
        found = connection.execute(select(age).where(AuditRow.action == action)).scalar()
    return None if found is None else float(found)


def worker_silence(ledger: Ledger) -> float | None:
    """Return the seconds since any worker was heard of; ``None`` where none is known."""
    with ledger.begin() as connection:
        return workers.silence(connection)
