"""What of persons is shown is written down first: who saw whose, and what for."""

from __future__ import annotations

from collections.abc import Mapping

from models.records.contract import Contract
from serving.auth import masks
from serving.auth.caller import Caller
from serving.ledger.audit import Entry
from serving.service import Service


def opened(service: Service, caller: Caller, target: str) -> bool:
    """Return whether the caller sees the persons' fields of ``target``, audited where they do.

    The line of the audit is committed before this returns: without an audit nothing is shown.
    """
    if not masks.shows(caller):
        return False
    service.audit.record(
        Entry(service.clock(), caller.id, "personal.read", target, purpose=caller.purpose)
    )
    return True


def record_for(
    service: Service,
    caller: Caller,
    row: Mapping[str, object],
    *,
    contract: Contract,
    target: str,
) -> dict[str, object]:
    """Return one record as the caller may see it, audited where it holds persons' fields."""
    sensitive = not (contract.personal | set(contract.texts)).isdisjoint(row)
    if not sensitive or opened(service, caller, target):
        return dict(row)
    return masks.masked_row(row, contract)
