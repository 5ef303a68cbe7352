"""Keys of systems: issued once, changed for new ones, ended."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from models.errors import AccessError
from serving.auth import tokens
from serving.auth.caller import Purpose, region_prefixes
from serving.auth.roles import Permission, Role, check_system, permissions
from serving.ledger import audit, keys
from serving.ledger.audit import Entry
from serving.ledger.engine import Connection
from serving.ledger.keys import KeyRow
from serving.service import Service

_NAME: Final = re.compile(r"[A-Za-z0-9\u4e00-\u9fff][A-Za-z0-9._\u4e00-\u9fff-]{1,63}")
MOST_DAYS: Final = 366
MOST_HOURS: Final = 7 * 24


@dataclass(frozen=True, slots=True)
class Wish:
    """What a key shall be good for: acts, regions (none: nowhere), authorities (none: all)."""

    name: str
    roles: frozenset[Role]
    regions: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    purposes: tuple[Purpose, ...] = ()
    days: int = 180


def issue(service: Service, actor: str, *, wish: Wish) -> tuple[KeyRow, str]:
    """Make a key; return it and its text, which is nowhere else.

    Raises:
        AccessError: The wish breaks a rule: an administrator's role, no role, persons' data
            without a purpose, more than :data:`MOST_DAYS`.
    """
    _check(wish)
    now = service.clock()
    row = KeyRow(
        id="",
        name=wish.name,
        digest=b"",
        roles=tuple(sorted(wish.roles)),
        regions=region_prefixes(wish.regions),
        departments=tuple(sorted(set(wish.departments))),
        purposes=tuple(sorted(set(wish.purposes))),
        created_at=now,
        created_by=actor,
        expires_at=now + timedelta(days=wish.days),
    )
    with service.ledger.begin() as connection:
        return _keep(service, connection, row)


def rotate(
    service: Service, actor: str, *, key_id: str, hours: int = 24
) -> tuple[KeyRow, str] | None:
    """Make a key of the same rights and life; the one before ends in some ``hours``.

    ``None`` where there is no such key that is live.

    Raises:
        AccessError: More ``hours`` than allowed, or the key was rotated before.
    """
    if not 0 <= hours <= MOST_HOURS:
        raise AccessError(f"{hours} hours for both keys: 0 to {MOST_HOURS} are allowed")
    now = service.clock()
    with service.ledger.begin() as connection:
        old = keys.find(connection, key_id, lock=True)
        if old is None or not old.live_at(now):
            return None
        if (newer := keys.successor(connection, old.id)) is not None:
            raise AccessError(f"key {old.id} was rotated before; rotate its successor {newer}")
        keys.expire_by(connection, old.id, now + timedelta(hours=hours))
        made = replace(
            old,
            created_at=now,
            created_by=actor,
            expires_at=now + (old.expires_at - old.created_at),
            used_at=None,
            replaces=old.id,
        )
        found = _keep(service, connection, made)
    service.access.memory.forget()
    return found


def revoke(service: Service, actor: str, *, key_id: str) -> bool:
    """End a key at once; ``False`` where there is no such key, or it was revoked before."""
    with service.ledger.begin() as connection:
        found = keys.revoke(connection, key_id, service.clock())
        if found:
            audit.append(connection, Entry(service.clock(), actor, "key.revoke", f"key:{key_id}"))
    service.access.memory.forget()
    return found


def state(row: KeyRow, now: datetime) -> str:
    """Return whether a key is ``live``, ``expired`` or ``revoked``."""
    if row.revoked_at is not None:
        return "revoked"
    return "live" if row.live_at(now) else "expired"


def _check(wish: Wish) -> None:
    if not _NAME.fullmatch(wish.name):
        raise AccessError(
            f"{wish.name!r} is no key's name; use 2 to 64 letters, digits, dots, hyphens, "
            "underscores, Chinese characters"
        )
    if not wish.roles:
        raise AccessError("a key without a role is good for nothing; name one at least")
    check_system(wish.roles)
    if not 1 <= wish.days <= MOST_DAYS:
        raise AccessError(f"{wish.days} days: a key lives 1 to {MOST_DAYS} days")
    if Permission.PERSONAL_READ in permissions(wish.roles) and not wish.purposes:
        raise AccessError(
            f"{', '.join(sorted(wish.roles))} may read persons' data: bind the key to its purposes "
            f"({', '.join(Purpose)})"
        )


def _keep(service: Service, connection: Connection, row: KeyRow) -> tuple[KeyRow, str]:
    token = tokens.make(tokens.Kind.KEY)
    kept = replace(row, id=token.id, digest=token.digest)
    keys.add(connection, kept)
    details: dict[str, object] = {
        "name": kept.name,
        "roles": kept.roles,
        "regions": kept.regions,
        "departments": kept.departments,
        "purposes": kept.purposes,
        "expires_at": kept.expires_at,
        "replaces": kept.replaces,
    }
    action = "key.issue" if kept.replaces is None else "key.rotate"
    entry = Entry(service.clock(), kept.created_by, action, f"key:{kept.id}", details=details)
    audit.append(connection, entry)
    return kept, token.text
