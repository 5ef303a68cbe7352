"""What a caller did through a route, as a line of the audit."""

from __future__ import annotations

from collections.abc import Mapping

from serving.auth.caller import Caller
from serving.ledger import audit
from serving.ledger.engine import Connection
from serving.service import Service


def audited(
    connection: Connection,
    service: Service,
    caller: Caller,
    action: str,
    target: str,
    *,
    details: Mapping[str, object] | None = None,
) -> None:
    """Write one line of the audit, last in its transaction; see :class:`.audit.Entry`."""
    entry = audit.Entry(
        service.clock(), caller.id, action, target, purpose=caller.purpose, details=details or {}
    )
    audit.append(connection, entry)
