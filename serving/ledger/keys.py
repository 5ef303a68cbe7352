"""API keys of systems."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from sqlalchemy import ARRAY, Connection, LargeBinary, Text, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from serving.ledger.base import Base
from serving.ledger.rows import values_of


class ApiKey(Base):
    """One key; its text is known to its holder alone."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    roles: Mapped[list[str]] = mapped_column(ARRAY(Text))
    regions: Mapped[list[str]] = mapped_column(ARRAY(Text))
    departments: Mapped[list[str]] = mapped_column(ARRAY(Text))
    purposes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    replaces: Mapped[str | None]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as it stands; ``used_at`` may lag by a minute; ``replaces`` is the key before it."""

    id: str
    name: str
    digest: bytes
    roles: tuple[str, ...]
    regions: tuple[str, ...]
    departments: tuple[str, ...]
    purposes: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None = None
    used_at: datetime | None = None
    replaces: str | None = None

    def live_at(self, now: datetime) -> bool:
        """Return whether the key is good at an instant."""
        return self.revoked_at is None and now < self.expires_at


_LISTS: Final = ("roles", "regions", "departments", "purposes")
_COLUMNS: Final = tuple(ApiKey.__table__.c)


def add(connection: Connection, row: KeyRow) -> None:
    """Keep a new key."""
    values = values_of(row)
    for name in _LISTS:
        values[name] = list(cast("tuple[str, ...]", values[name]))
    connection.execute(insert(ApiKey).values(values))


def find(connection: Connection, key_id: str, *, lock: bool = False) -> KeyRow | None:
    """Return a key; ``lock`` it until the transaction ends, to change it."""
    query = select(*_COLUMNS).where(ApiKey.id == key_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    return None if row is None else _row(dict(row))


def every(connection: Connection) -> list[KeyRow]:
    """Return all keys, the newest first, with those that are dead."""
    query = select(*_COLUMNS).order_by(ApiKey.created_at.desc(), ApiKey.id)
    return [_row(dict(row)) for row in connection.execute(query).mappings()]


def successor(connection: Connection, key_id: str) -> str | None:
    """Return the id of the key that a key was rotated to."""
    query = select(ApiKey.id).where(ApiKey.replaces == key_id).limit(1)
    return connection.execute(query).scalar_one_or_none()


def used(connection: Connection, key_id: str, now: datetime) -> None:
    """Note that a key was used."""
    connection.execute(update(ApiKey).where(ApiKey.id == key_id).values(used_at=now))


def revoke(connection: Connection, key_id: str, now: datetime) -> bool:
    """End a key at once; return whether it had not ended that way before."""
    found = connection.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return found.rowcount > 0


def expire_by(connection: Connection, key_id: str, at: datetime) -> None:
    """Let a key end at an instant, or when it was to end where that is sooner."""
    connection.execute(
        update(ApiKey).where(ApiKey.id == key_id, ApiKey.expires_at > at).values(expires_at=at)
    )


def _row(values: dict[str, object]) -> KeyRow:
    lists = {name: tuple(cast("list[str]", values[name])) for name in _LISTS}
    return KeyRow(**(values | lists))  # pyright: ignore[reportArgumentType] - columns are typed
