"""The fate of one record: where it stands, and what must follow when it counts no more, or again.

The record is read as it is now, lake and live rows together. What was done to it is in the ledger
(:mod:`serving.ledger.repairs`); where it stands follows from both.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import polars as pl

from models.errors import LakeMissingError, TransitionError
from models.records.contract import Contract
from models.records.publicity import VoidReason
from models.records.reading import MemoryRecords
from models.scenarios.cohort import REGISTER
from models.supervision.repair import (
    MACHINE,
    TITLES,
    Act,
    InForce,
    Kind,
    State,
    Status,
    status,
)
from serving.jobs.kinds import REDECIDE
from serving.ledger import changes, inbox, jobs, repairs
from serving.ledger.changes import ChangeKind
from serving.ledger.engine import Connection
from serving.ledger.inbox import Posted
from serving.ledger.overlay import overlay
from serving.ledger.repairs import ActKept, Case, Effect
from serving.runtime.gather import regions_of
from serving.service import Service

ACCEPT: Final = "accept"
"""Taking an application on (受理): it starts a clock and changes no state."""
ENDING: Final = frozenset({Kind.REPAIR, Kind.ANNUL, Kind.RESTORE})
"""Acts after which everything that was made of the record is made anew."""
NEVER: Final = date(9999, 12, 31)
"""From when a record is void whose repair was undone: a day that never comes.

A null cannot say it. Of a record that is known already a null says nothing, in the inbox, in a post
and in the lake's merge alike, so that a source that repeats its record without ``void_from`` does
not undo a repair. To undo one, a fate has to be stated, and this is the one under which a record
counts on every day (:func:`models.records.countable.countable`). What reads records looks at the
day, never at whether there is one; the reason of the void before stays beside it as its history.
"""
_URGENT: Final = 10
_SOON: Final = 50
_BATCH: Final = 500


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One record as it is now: one row with its contract's columns, and its subject's region."""

    contract: Contract
    record_id: str
    subject_id: str
    row: pl.DataFrame
    region: str | None

    @property
    def record(self) -> dict[str, object]:
        """Return the record by column."""
        return self.row.row(0, named=True)


def find(
    service: Service, connection: Connection, table: str, *, subject: str, record_id: str
) -> Found | None:
    """Return a subject's record; ``None`` where there is no such table, subject or record."""
    contract = service.runtime.contracts.get(table)
    if contract is None or table == REGISTER:
        return None
    frames = of_subject(service, connection, subject, [table, REGISTER])
    row = frames[table].filter(pl.col("record_id") == record_id)
    if row.is_empty():
        return None
    region = regions_of(MemoryRecords(frames)).get(subject)
    return Found(contract, record_id, subject, row.head(1), region)


def of_subject(
    service: Service, connection: Connection, subject: str, tables: Sequence[str]
) -> dict[str, pl.DataFrame]:
    """Return a subject's records by table, live ones included, as they are now."""
    runtime = service.runtime
    # The inbox first: what moves into the lake meanwhile is seen twice, and twice is once.
    fresh = inbox.pending(connection, [subject], contracts=runtime.contracts)
    found: dict[str, pl.DataFrame] = {}
    for table in tables:
        frame = pl.DataFrame(schema=runtime.contracts[table].dtypes)
        with suppress(LakeMissingError):  # a table that nobody has filled yet
            frame = runtime.lake.subject(table, subject)
        found[table] = overlay(frame, fresh[table]) if table in fresh else frame
    return found


def stands(found: Found, done: Sequence[ActKept], on: date, *, steps: InForce) -> Status:
    """Return where a record stands at the end of a day, by the procedure that holds on a day.

    A record that another system ended, of whose acts nothing is known here, stands as it says.
    """
    record = found.record
    now = status(record, acts_of(done), on, steps=steps)
    own, reason = record.get("void_from"), record.get("void_reason")
    if not isinstance(own, date) or not isinstance(reason, str) or own > on:
        return now
    ours = now.void_from is not None or any(one.kind in ENDING for one in done)
    if ours and reason != VoidReason.ANNULLED:
        return now
    return replace(now, state=State(reason), void_from=own, void_reason=VoidReason(reason))


def acts_of(done: Sequence[ActKept]) -> list[Act]:
    """Return the acts that a record's state follows from."""
    return [Act(one.on, Kind(one.kind), f"{one.id:020}") for one in done if one.kind != ACCEPT]


def accepted(done: Sequence[ActKept]) -> ActKept | None:
    """Return the acceptance of the application that is under way, if it was accepted."""
    last: ActKept | None = None
    for one in done:
        if one.kind == Kind.APPLY:
            last = None
        elif one.kind == ACCEPT:
            last = one
    return last


def check_accept(now: Status, done: Sequence[ActKept]) -> None:
    """Raise :class:`TransitionError` unless there is an application that waits to be accepted."""
    if now.state is State.APPLIED and accepted(done) is None:
        return
    allowed = MACHINE.allowed(now.state)
    raise TransitionError(
        f"信用修复：状态“{TITLES[now.state]}”({now.state}) 没有待受理的申请；可执行的操作："
        f"{'、'.join(allowed) or '无，已是终态'}",
        state=now.state,
        allowed=allowed,
    )


def follow(
    service: Service,
    connection: Connection,
    case: Case,
    found: Found,
    act: int,
    *,
    now: Status,
    around: Sequence[str],
    by: str,
) -> None:
    """Let everything follow an act after which a record counts no more, or counts again.

    A live record takes its fate to the lake, its subject and those around are queued to be decided
    anew, partners are told, and what was set going is written down for the proof. The inbox's lock
    comes last but for the audit's.
    """
    numbers = [_queue(connection, [case.subject_id], by, _URGENT)]
    numbers += [
        _queue(connection, around[start : start + _BATCH], by, _SOON)
        for start in range(0, len(around), _BATCH)
    ]
    void_from = now.void_from or NEVER
    reason = now.void_reason or VoidReason.REPAIRED
    changes.append(
        connection,
        ChangeKind.REPAIR,
        subject_id=case.subject_id,
        region=case.region,
        payload={
            "table": case.table_name,
            "record_id": case.record_id,
            "case": case.id,
            "act": act,
            "state": now.state.value,
            "void_from": None if now.void_from is None else now.void_from.isoformat(),
            "void_reason": now.void_reason,
        },
        at=service.clock(),
    )
    seq = inbox.write(
        connection, [_posted(found, void_from, reason)], caller=by, at=service.clock()
    )
    effect = Effect(act, seq, numbers, [case.subject_id, *around], service.clock())
    repairs.keep_effect(connection, effect)


def _queue(connection: Connection, subjects: Sequence[str], by: str, priority: int) -> int:
    payload = {"subjects": list(subjects)}
    return jobs.enqueue(connection, REDECIDE, payload=payload, created_by=by, priority=priority)


def _posted(found: Found, void_from: date, reason: VoidReason) -> Posted:
    row = found.row.with_columns(
        pl.lit(void_from).alias("void_from"), pl.lit(reason.value).alias("void_reason")
    )
    record = row.select(pl.struct(found.contract.columns).struct.json_encode()).item()
    region = found.record.get("region")
    return Posted(
        found.contract.name,
        found.record_id,
        found.subject_id,
        region if isinstance(region, str) else None,
        str(record),
    )
