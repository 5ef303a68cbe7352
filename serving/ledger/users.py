"""Accounts of people, and the token with which the first ones are made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Executable,
    LargeBinary,
    Text,
    any_,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from serving.ledger.base import Base
from serving.ledger.locks import Lock, hold


class Account(Base):
    """One person; without a password until they have taken their invitation up."""

    __tablename__ = "account"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    roles: Mapped[list[str]] = mapped_column(ARRAY(Text))
    regions: Mapped[list[str]] = mapped_column(ARRAY(Text))
    departments: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    disabled_at: Mapped[datetime | None]
    password_hash: Mapped[str | None]
    password_set_at: Mapped[datetime | None]
    former_hashes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    invitation: Mapped[bytes | None] = mapped_column(LargeBinary, unique=True)
    invitation_until: Mapped[datetime | None]
    failures: Mapped[int]
    locked_until: Mapped[datetime | None]
    totp_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    totp_confirmed_at: Mapped[datetime | None]
    totp_step: Mapped[int] = mapped_column(BigInteger)


class SetupToken(Base):
    """The token of the first start; there is one at most."""

    __tablename__ = "setup_token"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    made_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as it stands.

    ``totp_secret`` is sealed; it counts once ``totp_confirmed_at`` is set. ``totp_step`` is the
    last time step whose code was used.
    """

    id: str
    name: str
    title: str
    roles: tuple[str, ...]
    regions: tuple[str, ...]
    departments: tuple[str, ...]
    created_at: datetime
    created_by: str
    disabled_at: datetime | None = None
    password_hash: str | None = None
    password_set_at: datetime | None = None
    former_hashes: tuple[str, ...] = ()
    invitation: bytes | None = None
    invitation_until: datetime | None = None
    failures: int = 0
    locked_until: datetime | None = None
    totp_secret: bytes | None = None
    totp_confirmed_at: datetime | None = None
    totp_step: int = 0


_LISTS: Final = ("roles", "regions", "departments", "former_hashes")
_COLUMNS: Final = tuple(Account.__table__.c)


def add(connection: Connection, row: AccountRow) -> bool:
    """Keep a new account; return ``False`` where the name is taken."""
    from sqlalchemy.dialects.postgresql import insert as upsert

    values = {name: _listed(getattr(row, name)) for name in AccountRow.__slots__}
    query = upsert(Account).values(values).on_conflict_do_nothing(index_elements=["name"])
    return connection.execute(query.returning(Account.id)).first() is not None


def find(connection: Connection, account_id: str, *, lock: bool = False) -> AccountRow | None:
    """Return an account; ``lock`` it until the transaction ends, to change it."""
    query = select(*_COLUMNS).where(Account.id == account_id)
    return _one(connection, query.with_for_update() if lock else query)


def named(connection: Connection, name: str) -> AccountRow | None:
    """Return the account of a name; names are kept in lower case."""
    return _one(connection, select(*_COLUMNS).where(Account.name == name.lower()))


def invited(connection: Connection, digest: bytes) -> AccountRow | None:
    """Return, locked, the account that an invitation is for."""
    query = select(*_COLUMNS).where(Account.invitation == digest)
    return _one(connection, query.with_for_update())


def every(connection: Connection) -> list[AccountRow]:
    """Return all accounts by name, with those that are disabled."""
    query = select(*_COLUMNS).order_by(Account.name)
    return [_row(dict(row)) for row in connection.execute(query).mappings()]


def count(connection: Connection) -> int:
    """Return how many accounts there are."""
    return connection.execute(select(func.count()).select_from(Account)).scalar_one()


def change(connection: Connection, account_id: str, **values: object) -> None:
    """Set columns of an account."""
    known = {name: _listed(value) for name, value in values.items()}
    connection.execute(update(Account).where(Account.id == account_id).values(known))


def try_once(
    connection: Connection, account_id: str, *, now: datetime, most: int, until: datetime
) -> bool:
    """Count an attempt before it is judged; return ``False`` where the account is closed.

    The attempt after ``most`` failures in a row closes the account ``until`` then. Counting first
    lets many attempts at once be no more than as many one after the other.
    """
    over = Account.locked_until.is_not(None) & (Account.locked_until <= now)
    failures = case((over, 1), else_=Account.failures + 1)
    query = (
        update(Account)
        .where(Account.id == account_id, Account.locked_until.is_(None) | over)
        .values(failures=failures, locked_until=case((failures >= most, until), else_=None))
    )
    return connection.execute(query).rowcount > 0


def use_step(connection: Connection, account_id: str, step: int) -> bool:
    """Use a one-time code's step up; return ``False`` where it, or a later one, was used before."""
    query = (
        update(Account)
        .where(Account.id == account_id, Account.totp_step < step)
        .values(totp_step=step)
    )
    return connection.execute(query).rowcount > 0


def holders(connection: Connection, role: str) -> list[str]:
    """Return the ids of usable accounts with a role: enabled, with a password or an invitation.

    Locks the set of administrators until the transaction ends, so that two who each remove the
    last but one do not remove both.
    """
    hold(connection, Lock.ADMINISTRATORS)
    query = select(Account.id).where(
        literal(role) == any_(Account.roles),
        Account.disabled_at.is_(None),
        Account.password_hash.is_not(None) | Account.invitation.is_not(None),
    )
    return list(connection.execute(query).scalars())


def put_setup(connection: Connection, digest: bytes, now: datetime) -> None:
    """Keep the setup token in the place of one before."""
    connection.execute(delete(SetupToken))
    connection.execute(insert(SetupToken).values(digest=digest, made_at=now))


def take_setup(connection: Connection, digest: bytes) -> datetime | None:
    """Use the setup token up; return when it was made, ``None`` where there is no such one."""
    query = delete(SetupToken).where(SetupToken.digest == digest).returning(SetupToken.made_at)
    return connection.execute(query).scalar_one_or_none()


def _one(connection: Connection, query: Executable) -> AccountRow | None:
    row = connection.execute(query).mappings().first()
    return None if row is None else _row(dict(row))


def _listed(value: object) -> object:
    return list(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else value


def _row(values: dict[str, object]) -> AccountRow:
    lists = {name: tuple(cast("list[str]", values[name])) for name in _LISTS}
    return AccountRow(**(values | lists))  # pyright: ignore[reportArgumentType] - columns are typed
