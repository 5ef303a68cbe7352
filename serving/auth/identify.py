"""Find who shows a key, a session or a token; whoever is not found is nobody."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from serving.auth import oidc, tokens
from serving.auth.access import Known
from serving.auth.caller import Caller
from serving.auth.roles import ADMINISTRATORS, known
from serving.ledger import keys, sessions, users
from serving.ledger.keys import KeyRow
from serving.ledger.sessions import SessionRow
from serving.ledger.users import AccountRow
from serving.service import Service
from serving.settings import ServeSettings

_TOUCH: Final = timedelta(minutes=1)
"""How far the kept time of use may lag."""
_SEEN: Final = timedelta(seconds=20)
"""And that of a session, which ends when idle."""


def identify(service: Service, text: str) -> Known | None:
    """Return who shows ``text``; ``None`` for whatever is unknown, ended or forged."""
    token = tokens.parse(text)
    if token is None:
        return oidc.by_token(service, text) if text.count(".") == 2 else None
    match token.kind:
        case tokens.Kind.KEY:
            return _by_key(service, token)
        case tokens.Kind.SESSION:
            return _by_session(service, token)
        case _:
            return None


def key_caller(row: KeyRow) -> Caller:
    """Return the caller that a key is; never an administrator, whatever the row says."""
    return Caller(
        id=f"key:{row.id}",
        kind="key",
        name=row.name,
        roles=known(row.roles) - ADMINISTRATORS,
        regions=row.regions,
        departments=row.departments,
        purposes=row.purposes,
    )


def _by_key(service: Service, token: tokens.Token) -> Known | None:
    now = service.clock()
    with service.ledger.begin() as connection:
        row = keys.find(connection, token.id)
        if not token.matches(row.digest if row else None) or row is None or not row.live_at(now):
            return None
        if row.used_at is None or now - row.used_at > _TOUCH:
            keys.used(connection, row.id, now)
    return Known(key_caller(row), row.expires_at)


def _by_session(service: Service, token: tokens.Token) -> Known | None:
    now, settings = service.clock(), service.settings
    idle = timedelta(minutes=settings.session_idle)
    with service.ledger.begin() as connection:
        row = sessions.find(connection, token.id)
        if not token.matches(row.digest if row else None) or row is None:
            return None
        until = min(row.until, row.seen_at + idle)
        account = users.find(connection, row.account_id)
        if now >= until or account is None or account.disabled_at is not None:
            return None
        if now - row.seen_at > _SEEN:
            sessions.seen(connection, row.id, now)
            until = min(row.until, now + idle)
    return Known(user_caller(account, row, settings, now), until)


def user_caller(
    account: AccountRow, session: SessionRow, settings: ServeSettings, now: datetime
) -> Caller:
    """Return the caller that a session's account is, without its roles while they are held."""
    held = _held(account, session, settings, now)
    return Caller(
        id=f"user:{account.id}",
        kind="user",
        name=account.name,
        roles=frozenset() if held else known(account.roles),
        regions=account.regions,
        departments=account.departments,
        session=session.id,
        held=held,
    )


def _held(
    account: AccountRow, session: SessionRow, settings: ServeSettings, now: datetime
) -> Literal["second-factor-missing", "password-old"] | None:
    administrator = not ADMINISTRATORS.isdisjoint(account.roles)
    if not session.second_factor and (administrator or settings.second_factor == "everyone"):
        return "second-factor-missing"
    days = settings.password_days
    set_at = account.password_set_at
    if days and (set_at is None or now - set_at > timedelta(days=days)):
        return "password-old"
    return None
