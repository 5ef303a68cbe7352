"""Telling partners: changes, signed, in order, tried again until they arrive or a person looks.

A request is ``POST`` with a JSON body and these headers:

``X-Xinjian-Delivery``   the delivery's number; the same when it is sent again: take each once
``X-Xinjian-Timestamp``  seconds since 1970 when this attempt was signed
``X-Xinjian-Signature``  ``v1=`` and the hex HMAC-SHA256, with the hook's secret, of timestamp,
                         a full stop, and the body's bytes

A receiver computes the signature itself and compares it in constant time, refuses a timestamp more
than five minutes off (a request that was recorded cannot be replayed later), and remembers the
numbers of deliveries for two days. Any answer 2xx means that it has taken the changes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from models.errors import AccessError, ConfigError
from models.logs import logger
from serving.auth.secret import unseal
from serving.jobs import hosts
from serving.jobs.hosts import Allowed, Target
from serving.ledger import changes, hooks
from serving.ledger.changes import Change
from serving.ledger.engine import Connection
from serving.ledger.hooks import Delivery, Hook
from serving.service import Service

MOST: Final = 100
"""Changes of one delivery."""
TIMEOUT: Final = 10.0
"""Seconds that a partner has to answer."""
_log = logger(__name__)


Send: TypeAlias = Callable[[Target, bytes, dict[str, str]], int]
"""Sends a body with headers and returns the HTTP status of the answer; ``OSError`` for none."""


def context(url: str) -> str:
    """Return whose the secret of a hook is, for sealing it."""
    return f"hook:{url}"


def sign(secret: bytes, timestamp: int, body: bytes) -> str:
    """Return the signature of a body, as its header has it."""
    signed = hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1={signed.hexdigest()}"


def body_of(hook: Hook, delivery: Delivery, found: Sequence[Change]) -> bytes:
    """Return the body of a delivery, the same at every attempt."""
    told = [
        {
            "position": one.position,
            "kind": one.kind,
            "subject_id": one.subject_id,
            "region": one.region,
            "at": one.at.isoformat(),
            "payload": dict(one.payload),
        }
        for one in found
    ]
    whole = {"hook": hook.id, "delivery": delivery.id, "cursor": delivery.upto, "changes": told}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def plan(service: Service) -> int:
    """Give hooks that lag behind their next delivery; return how many hooks moved."""
    moved = 0
    while True:
        with service.ledger.begin() as connection:
            newest = changes.latest(connection)
            hook = hooks.idle(connection)
            if hook is None:
                return moved
            found = _told(connection, hook, hook.cursor, MOST)
            last = found[-1].position if found else 0
            # What is left out up to the newest is not for this hook: it is passed at once.
            upto = last if len(found) == MOST else max(newest, last)
            hooks.advance(connection, hook, upto=upto, deliver=bool(found))
            moved += 1


def deliver(service: Service, *, send: Send | None = None) -> bool:
    """Make one attempt at a delivery that is due; false where none is."""
    with service.ledger.begin() as connection:
        delivery = hooks.take(connection)
        if delivery is None:
            return False
        hook = hooks.get(connection, delivery.hook_id)
        if hook is None:  # a foreign key says there is one
            raise LookupError(delivery.hook_id)
        sealed = hooks.secret(connection, hook.id)
        found = _told(connection, hook, delivery.after, MOST, upto=delivery.upto)
    answer, error = None, None
    try:
        secret = unseal(service.settings, sealed, context=context(hook.url))
        answer = _attempt(service, hook, body_of(hook, delivery, found), delivery, secret, send)
        error = None if 200 <= answer < 300 else f"the partner answered {answer}"
    except (OSError, ConfigError, AccessError) as raised:
        error = f"{type(raised).__name__}: {raised}"
    with service.ledger.begin() as connection:
        if error is None and answer is not None:
            hooks.delivered(connection, delivery.id, answer=answer)
            return True
        status = hooks.failed(connection, delivery.id, answer=answer, error=error or "no answer")
    _log.warning("hook not delivered", hook=hook.id, delivery=delivery.id, status=status.value)
    return True


def _told(
    connection: Connection, hook: Hook, after: int, limit: int, *, upto: int | None = None
) -> list[Change]:
    return changes.read(
        connection, after, limit=limit, regions=hook.regions, kinds=hook.kinds, upto=upto
    )


def _attempt(
    service: Service, hook: Hook, body: bytes, delivery: Delivery, secret: bytes, send: Send | None
) -> int:
    where = hosts.target(hook.url, Allowed.of(service.settings.hook_hosts))
    at = int(service.clock().timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "xinjian",
        "X-Xinjian-Delivery": str(delivery.id),
        "X-Xinjian-Timestamp": str(at),
        "X-Xinjian-Signature": sign(secret, at, body),
    }
    return (send or over_http)(where, body, headers)


def over_http(where: Target, body: bytes, headers: dict[str, str]) -> int:
    """Send over HTTP, to the address that was checked; redirects are not followed."""
    import httpx2

    try:
        with httpx2.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False) as client:
            asked = client.build_request(
                "POST",
                where.url,
                content=body,
                headers={**headers, "Host": where.authority},
                extensions={"sni_hostname": where.host},
            )
            # What the partner says beside its status is not read: it may be without end.
            answer = client.send(asked, stream=True)
            try:
                return answer.status_code
            finally:
                answer.close()
    except (httpx2.HTTPError, ssl.SSLError) as error:
        raise OSError(str(error) or type(error).__name__) from error
