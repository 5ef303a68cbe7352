"""How people come in: name, password and second factor against a session, and what they change."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from models.errors import AccessError
from serving.auth import passwords, tokens, totp
from serving.auth.caller import Caller
from serving.auth.secret import seal, unseal
from serving.ledger import audit, sessions, users
from serving.ledger.audit import Entry
from serving.ledger.engine import Connection
from serving.ledger.sessions import SessionRow
from serving.ledger.users import AccountRow
from serving.service import Service

ATTEMPTS: Final = 5
"""Failures in a row that lock an account (GB/T 22239-2019 身份鉴别)."""
LOCKED: Final = timedelta(minutes=15)
LONGEST: Final = timedelta(hours=12)
"""How long a session lasts however busy it is."""
INVITED: Final = timedelta(days=7)
"""How long an invitation may wait."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that began; ``token`` is its secret."""

    token: str = field(repr=False)
    account: AccountRow
    session: SessionRow


def sign_in(service: Service, name: str, *, password: str, code: str | None) -> SignedIn | None:
    """Begin a session; ``None`` for whatever is wrong, which is not told apart.

    Unknown names, wrong passwords and codes, and locked and disabled accounts take as long as each
    other, and every attempt at an account counts before it is judged.
    """
    now = service.clock()
    with service.ledger.begin() as connection:
        account = users.named(connection, name)
        free = account is not None and _attempt(connection, account, now)
    with service.access.hashing:
        right = passwords.matches(password, account.password_hash if account else None)
    if account is None or not (right and free) or account.disabled_at is not None:
        _tell(service, "session.begin", account, failed=True)
        return None
    with service.ledger.begin() as connection:
        account = users.find(connection, account.id, lock=True)
        if account is None or not _proves(service, connection, account, code):
            signed_in = None
        else:
            signed_in = _begin(service, connection, account, second=code is not None)
    if signed_in is None:
        _tell(service, "session.begin", account, failed=True)
    return signed_in


def sign_out(service: Service, caller: Caller) -> None:
    """End the caller's session."""
    with service.ledger.begin() as connection:
        if caller.session is not None:
            sessions.end(connection, caller.session)
        audit.append(connection, Entry(service.clock(), caller.id, "session.end"))
    service.access.memory.forget()


def take_invitation(service: Service, text: str, *, password: str) -> AccountRow | None:
    """Set the first password of an account; ``None`` where there is no such invitation.

    Raises:
        AccessError: The password is not good enough; the invitation stays.
    """
    token, now = tokens.parse(text), service.clock()
    if token is None or token.kind is not tokens.Kind.INVITATION:
        return None
    with service.ledger.begin() as connection:
        account = users.invited(connection, token.digest)
        if (
            account is None
            or account.disabled_at is not None
            or account.invitation_until is None
            or now >= account.invitation_until
        ):
            return None
        _set_password(service, connection, account, password)
        users.change(connection, account.id, invitation=None, invitation_until=None)
        _append(service, connection, f"user:{account.id}", "invitation.take")
    return account


def change_password(service: Service, caller: Caller, *, old: str, new: str) -> None:
    """Change the caller's password and end their other sessions.

    Raises:
        AccessError: The old one is wrong, which counts as a failure; or the new one not good.
    """
    account = _judged(service, caller, old)
    with service.ledger.begin() as connection:
        _set_password(service, connection, account, new)
        sessions.end_all(connection, account.id, but=caller.session or "")
        _append(service, connection, caller.id, "password.change")
    service.access.memory.forget()


def new_factor(service: Service, caller: Caller, *, password: str) -> str:
    """Give the caller a seed for a second factor, which counts once a code of it was shown.

    Raises:
        AccessError: The password is wrong, or there is a second factor: an administrator resets it.
    """
    account = _judged(service, caller, password)
    if account.totp_confirmed_at is not None:
        raise AccessError(
            "this account has a second factor; if it was lost, a system administrator invites the "
            "account anew"
        )
    seed = totp.new_seed()
    sealed = seal(service.settings, seed.encode(), context=f"totp:{account.id}")
    with service.ledger.begin() as connection:
        users.change(connection, account.id, totp_secret=sealed, totp_step=0)
        _append(service, connection, caller.id, "factor.make")
    return seed


def confirm_factor(service: Service, caller: Caller, *, code: str) -> bool:
    """Let the second factor count, for this session too; ``False`` where the code is wrong."""
    with service.ledger.begin() as connection:
        account = users.find(connection, _own_id(caller), lock=True)
        if account is None or account.totp_secret is None or account.totp_confirmed_at is not None:
            raise AccessError("there is no second factor to confirm; make one first")
        if not _uses_code(service, connection, account, code):
            return False
        users.change(connection, account.id, totp_confirmed_at=service.clock())
        sessions.strengthen(connection, caller.session or "")
        sessions.end_all(connection, account.id, but=caller.session or "")
        _append(service, connection, caller.id, "factor.confirm")
    service.access.memory.forget()
    return True


def _judged(service: Service, caller: Caller, password: str) -> AccountRow:
    """Return the caller's account if the password is theirs; an attempt like one to sign in."""
    now = service.clock()
    with service.ledger.begin() as connection:
        account = users.find(connection, _own_id(caller))
        free = account is not None and _attempt(connection, account, now)
    with service.access.hashing:
        right = passwords.matches(password, account.password_hash if account else None)
    if account is None or not (free and right):
        raise AccessError("the password is wrong, or the account is locked for some minutes")
    with service.ledger.begin() as connection:
        users.change(connection, account.id, failures=0, locked_until=None)
    return account


def _own_id(caller: Caller) -> str:
    return caller.id.removeprefix("user:")


def _attempt(connection: Connection, account: AccountRow, now: datetime) -> bool:
    return users.try_once(connection, account.id, now=now, most=ATTEMPTS, until=now + LOCKED)


def _proves(
    service: Service, connection: Connection, account: AccountRow, code: str | None
) -> bool:
    """Return whether the second factor is shown where there is one; a code without one is wrong."""
    if account.totp_confirmed_at is None:
        return code is None
    return code is not None and _uses_code(service, connection, account, code)


def _uses_code(service: Service, connection: Connection, account: AccountRow, code: str) -> bool:
    seed = unseal(service.settings, account.totp_secret or b"", context=f"totp:{account.id}")
    step = totp.step_of(seed.decode(), code, now=service.clock())
    return step is not None and users.use_step(connection, account.id, step)


def _begin(
    service: Service, connection: Connection, account: AccountRow, *, second: bool
) -> SignedIn:
    now, token = service.clock(), tokens.make(tokens.Kind.SESSION)
    session = SessionRow(
        token.id, token.digest, account.id, now, now, now + LONGEST, second_factor=second
    )
    users.change(connection, account.id, failures=0, locked_until=None)
    sessions.add(connection, session)
    _append(service, connection, f"user:{account.id}", "session.begin")
    return SignedIn(token.text, account, session)


def _set_password(
    service: Service, connection: Connection, account: AccountRow, password: str
) -> None:
    had = account.former_hashes + ((account.password_hash,) if account.password_hash else ())
    with service.access.hashing:
        passwords.check(password, name=account.name, former=had)
        kept = passwords.hashed(password)
    users.change(
        connection,
        account.id,
        password_hash=kept,
        password_set_at=service.clock(),
        former_hashes=had[-passwords.REMEMBERED :],
        failures=0,
        locked_until=None,
    )


def _append(service: Service, connection: Connection, actor: str, action: str) -> None:
    audit.append(connection, Entry(service.clock(), actor, action, actor))


def _tell(service: Service, action: str, account: AccountRow | None, *, failed: bool) -> None:
    """Audit an attempt, without an unknown name: it may be a password in the wrong field."""
    actor = f"user:{account.id}" if account else "nobody"
    outcome = "failed" if failed else "done"
    service.audit.record(Entry(service.clock(), actor, action, actor, outcome=outcome))
