"""Sessions of people who signed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, ForeignKey, LargeBinary, delete, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from serving.ledger.base import Base
from serving.ledger.rows import values_of
from serving.ledger.users import Account


class LoginSession(Base):
    """One session; what ended is deleted, the audit tells of it."""

    __tablename__ = "login_session"

    id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id), index=True)
    began_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    until: Mapped[datetime]
    second_factor: Mapped[bool]


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as it stands; ``until`` is when it ends however busy it is."""

    id: str
    digest: bytes
    account_id: str
    began_at: datetime
    seen_at: datetime
    until: datetime
    second_factor: bool


_COLUMNS: Final = tuple(LoginSession.__table__.c)


def add(connection: Connection, row: SessionRow) -> None:
    """Keep a new session; forget those that ended by themselves."""
    connection.execute(delete(LoginSession).where(LoginSession.until < row.began_at))
    values = values_of(row)
    connection.execute(insert(LoginSession).values(values))


def find(connection: Connection, session_id: str) -> SessionRow | None:
    """Return a session."""
    query = select(*_COLUMNS).where(LoginSession.id == session_id)
    row = connection.execute(query).first()
    return None if row is None else SessionRow(*row)


def seen(connection: Connection, session_id: str, now: datetime) -> None:
    """Note that a session was used."""
    query = update(LoginSession).where(LoginSession.id == session_id)
    connection.execute(query.values(seen_at=now))


def strengthen(connection: Connection, session_id: str) -> None:
    """Note that a second factor was shown."""
    query = update(LoginSession).where(LoginSession.id == session_id)
    connection.execute(query.values(second_factor=True))


def end(connection: Connection, session_id: str) -> None:
    """End a session."""
    connection.execute(delete(LoginSession).where(LoginSession.id == session_id))


def end_all(connection: Connection, account_id: str, *, but: str = "") -> int:
    """End the sessions of an account, ``but`` one; return how many."""
    query = delete(LoginSession).where(
        LoginSession.account_id == account_id, LoginSession.id != but
    )
    return connection.execute(query).rowcount
