"""Accounts and who may change what about them.

A system administrator makes accounts, without any right; a security administrator grants rights,
and makes no account; an audit administrator reads what both did. Nobody changes their own rights,
and of each kind of administrator one stays.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from models.errors import AccessError
from serving.auth import tokens
from serving.auth.caller import region_prefixes
from serving.auth.login import INVITED
from serving.auth.roles import ADMINISTRATORS, Role, check_apart
from serving.ledger import audit, sessions, users
from serving.ledger.audit import Entry
from serving.ledger.engine import Connection, Ledger
from serving.ledger.users import AccountRow
from serving.service import Service

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{2,63}")
_SETUP: Final = timedelta(hours=24)
FIRST: Final = (Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.AUDIT_ADMIN)
"""What the first accounts are."""


def first_token(ledger: Ledger, now: datetime) -> str | None:
    """Return a token to set a new installation up with; ``None`` where there are accounts.

    It is shown once and good for a day; a later start makes another in its place.
    """
    token = tokens.make(tokens.Kind.SETUP)
    with ledger.begin() as connection:
        if users.count(connection):
            return None
        users.put_setup(connection, token.digest, now)
    return token.text


def set_up(service: Service, text: str, *, names: Mapping[Role, str]) -> dict[Role, str] | None:
    """Make the three administrators; return their invitations, ``None`` where the token is wrong.

    Args:
        service: An installation without accounts.
        text: The token of its first start.
        names: A name for each of :data:`FIRST`.
    """
    token, now = tokens.parse(text), service.clock()
    if token is None or token.kind is not tokens.Kind.SETUP:
        return None
    with service.ledger.begin() as connection:
        made_at = users.take_setup(connection, token.digest)
        if made_at is None or now - made_at > _SETUP or users.count(connection):
            return None
        return {role: _create(service, connection, names[role], roles=(role,))[1] for role in FIRST}


def create(service: Service, actor: str, *, name: str, title: str) -> tuple[AccountRow, str]:
    """Make an account without any right; return it and its invitation.

    Raises:
        AccessError: The name is not one, or is taken.
    """
    with service.ledger.begin() as connection:
        return _create(service, connection, name, title=title, actor=actor)


def grant(
    service: Service,
    actor: str,
    *,
    account_id: str,
    roles: Iterable[Role],
    regions: Iterable[str],
    departments: Iterable[str],
) -> AccountRow | None:
    """Set what an account may do and see; ``None`` where there is no such account.

    Its sessions end, so that nothing of before stays.

    Raises:
        AccessError: The roles do not go together, it is the actor's own account, or the last
            administrator of a kind.
    """
    held = frozenset(roles)
    check_apart(held)
    if Role.PARTNER in held:
        raise AccessError("partner is the role of a system; issue a key for it")
    scope = {"regions": region_prefixes(regions), "departments": tuple(sorted(set(departments)))}
    with service.ledger.begin() as connection:
        account = _changed(connection, actor, account_id)
        if account is None:
            return None
        _keep_one(connection, account, held)
        users.change(connection, account.id, roles=tuple(sorted(held)), **scope)
        sessions.end_all(connection, account.id)
        _append(service, connection, actor, "user.grant", account, roles=sorted(held), **scope)
        found = users.find(connection, account.id)
    service.access.memory.forget()
    return found


def invite(
    service: Service, actor: str, *, account_id: str, keep_rights: bool = False
) -> str | None:
    """Let an account choose a password anew; ``None`` where there is no such account.

    Password, second factor and sessions end, and so do its rights, which a security administrator
    grants again: whoever makes invitations could else take any account over. ``keep_rights`` is for
    the console of the machine, which reaches the database anyway.

    Raises:
        AccessError: It is the actor's own account, or the last administrator of a kind.
    """
    token = tokens.make(tokens.Kind.INVITATION)
    with service.ledger.begin() as connection:
        account = _changed(connection, actor, account_id)
        if account is None:
            return None
        if not keep_rights:
            _keep_one(connection, account, frozenset())
            users.change(connection, account.id, roles=())
        users.change(
            connection,
            account.id,
            invitation=token.digest,
            invitation_until=service.clock() + INVITED,
            password_hash=None,
            totp_secret=None,
            totp_confirmed_at=None,
            failures=0,
            locked_until=None,
        )
        sessions.end_all(connection, account.id)
        _append(service, connection, actor, "user.invite", account, keep_rights=keep_rights)
    service.access.memory.forget()
    return token.text


def enable(service: Service, actor: str, *, account_id: str, enabled: bool) -> AccountRow | None:
    """Open or close an account; ``None`` where there is no such account. Closing ends its sessions.

    Raises:
        AccessError: It is the actor's own account, or the last administrator of a kind.
    """
    with service.ledger.begin() as connection:
        account = _changed(connection, actor, account_id)
        if account is None:
            return None
        if not enabled:
            _keep_one(connection, account, frozenset())
            sessions.end_all(connection, account.id)
        users.change(connection, account.id, disabled_at=None if enabled else service.clock())
        _append(service, connection, actor, "user.enable" if enabled else "user.disable", account)
        found = users.find(connection, account.id)
    service.access.memory.forget()
    return found


def unlock(service: Service, actor: str, *, account_id: str) -> AccountRow | None:
    """End the lock that failures set; ``None`` where there is no such account."""
    with service.ledger.begin() as connection:
        account = _changed(connection, actor, account_id)
        if account is None:
            return None
        users.change(connection, account.id, failures=0, locked_until=None)
        _append(service, connection, actor, "user.unlock", account)
        return users.find(connection, account.id)


def _create(
    service: Service,
    connection: Connection,
    name: str,
    *,
    title: str = "",
    actor: str = audit.SYSTEM,
    roles: tuple[Role, ...] = (),
) -> tuple[AccountRow, str]:
    if not _NAME.fullmatch(name):
        raise AccessError(
            f"{name!r} is no account's name; use 3 to 64 small letters, digits, dots, hyphens, "
            "underscores, the first a letter or digit"
        )
    token, now = tokens.make(tokens.Kind.INVITATION), service.clock()
    account = AccountRow(
        id=secrets.token_hex(8),
        name=name,
        title=title or name,
        roles=roles,
        regions=(),
        departments=(),
        created_at=now,
        created_by=actor,
        invitation=token.digest,
        invitation_until=now + INVITED,
    )
    if not users.add(connection, account):
        raise AccessError(f"there is an account {name!r}; choose another name")
    _append(service, connection, actor, "user.create", account, name=name, roles=list(roles))
    return account, token.text


def _changed(connection: Connection, actor: str, account_id: str) -> AccountRow | None:
    if actor == f"user:{account_id}":
        raise AccessError("nobody changes their own account or rights; ask another administrator")
    return users.find(connection, account_id, lock=True)


def _keep_one(connection: Connection, account: AccountRow, left: frozenset[Role]) -> None:
    """Refuse to take the last administrator of a kind away; only they could make another."""
    for role in sorted((frozenset(account.roles) & ADMINISTRATORS) - left):
        if set(users.holders(connection, role)) <= {account.id}:
            raise AccessError(
                f"{account.name} is the last {role}; give the role to another account first"
            )


def _append(
    service: Service,
    connection: Connection,
    actor: str,
    action: str,
    account: AccountRow,
    **details: object,
) -> None:
    entry = Entry(service.clock(), actor, action, f"user:{account.id}", details=details)
    audit.append(connection, entry)
