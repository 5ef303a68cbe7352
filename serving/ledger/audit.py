"""The audit: who did what to what, when, why and with what outcome, in a chain of hashes.

Each row holds the SHA-256 of itself and of the row before, and the database refuses to change
rows, so that :func:`verify` finds a row that was changed, removed, inserted or moved. Whoever can
rewrite the whole table could compute a chain anew: an :class:`Anchor` that is kept elsewhere tells.

Law: 网络安全法 21 and GB/T 22239-2019 安全审计 (every user, important acts, protected against
removal, kept for six months at least; here for good).
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from sqlalchemy import BigInteger, CheckConstraint, Connection, Index, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from models.errors import LedgerDownError, LedgerError
from serving.ledger.base import Base
from serving.ledger.engine import Ledger
from serving.request import request_id

Outcome = Literal["done", "denied", "failed"]

GENESIS: Final = "0" * 64
"""What the first row has for the hash before it."""
SYSTEM: Final = "system"
"""The actor of what the service does by itself, or an operator at its console."""


class AuditRow(Base):
    """One act, linked to the one before."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "actor", "seq"), Index(None, "target", "seq"))

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str | None]
    outcome: Mapped[str]
    purpose: Mapped[str | None]
    request_id: Mapped[str]
    # Text, not jsonb: the hash is over these very characters.
    details: Mapped[str]
    previous: Mapped[str]
    hash: Mapped[str]


class AuditHead(Base):
    """The end of the chain: one row, which whoever appends holds until the commit."""

    __tablename__ = "audit_head"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """An act to be recorded.

    ``actor`` is a caller's id or :data:`SYSTEM`; ``action`` is dotted, as in ``user.create``;
    ``target`` is what it was done to; ``purpose`` is the caller's own word. ``details`` are what
    JSON can hold (other values as their text) and never a secret.
    """

    at: datetime
    actor: str
    action: str
    target: str | None = None
    outcome: Outcome = "done"
    purpose: str | None = None
    details: Mapping[str, object] = field(default_factory=dict[str, object])
    request_id: str = field(default_factory=request_id)


@dataclass(frozen=True, slots=True)
class Anchor:
    """The chain as it stood: that the row ``seq`` had this hash."""

    seq: int
    hash: str


def append(connection: Connection, *entries: Entry) -> Anchor:
    """Append entries to the chain in the caller's transaction; return its new end.

    Others that append wait from here to the commit: call it last, and where an act is audited
    without a transaction of its own, through a :class:`Recorder`, which writes many at once.

    Raises:
        LedgerError: The chain has no end, as in a ledger that was not migrated.
    """
    anchor = head(connection, lock=True)
    rows: list[dict[str, object]] = []
    for entry in entries:
        row = _row(entry, anchor)
        anchor = Anchor(anchor.seq + 1, str(row["hash"]))
        rows.append(row)
    if rows:
        connection.execute(insert(AuditRow), rows)
        connection.execute(update(AuditHead).values(seq=anchor.seq, hash=anchor.hash))
    return anchor


def head(connection: Connection, *, lock: bool = False) -> Anchor:
    """Return the end of the chain; ``lock`` holds it until the transaction ends."""
    query = select(AuditHead.seq, AuditHead.hash)
    found = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if found is None:
        raise LedgerError(
            "the audit has no end (its row in audit_head is missing); restore a backup"
        )
    return Anchor(*found)


def page(
    connection: Connection,
    *,
    after: int = 0,
    limit: int = 100,
    actor: str | None = None,
    target: str | None = None,
) -> list[dict[str, object]]:
    """Return at most ``limit`` rows behind ``after``, oldest first, of an actor or a target."""
    query = select(*_COLUMNS).where(AuditRow.seq > after).order_by(AuditRow.seq).limit(limit)
    if actor is not None:
        query = query.where(AuditRow.actor == actor)
    if target is not None:
        query = query.where(AuditRow.target == target)
    return [dict(row) for row in connection.execute(query).mappings()]


def lines(connection: Connection, *, after: int = 0) -> Iterator[str]:
    """Give every row behind ``after`` as one line of canonical JSON, hash included."""
    query = select(*_COLUMNS).where(AuditRow.seq > after).order_by(AuditRow.seq)
    for row in connection.execute(query.execution_options(yield_per=_BATCH)).mappings():
        yield canonical({**row, "at": _instant(row["at"])})


class Recorder:
    """Append entries of many threads, each of which waits until its own are committed.

    While one transaction is at its commit the entries of others gather and are the next one's: what
    a disk can commit in a second does not bound how many acts are audited.
    """

    def __init__(self, ledger: Ledger) -> None:
        """Append to ``ledger``."""
        self._ledger = ledger
        self._guard = threading.Lock()
        self._queue: list[_Waiting] = []
        self._busy = False

    def record(self, *entries: Entry) -> None:
        """Return once the entries are committed; the error of the ledger where they are not."""
        waiting = _Waiting(entries)
        for entry in entries:
            _row(entry, Anchor(0, GENESIS))  # what cannot be written must not take others along
        with self._guard:
            self._queue.append(waiting)
            first, self._busy = not self._busy, True
        if not first:
            waiting.woken.wait()  # by who wrote it, or by who leaves the writing to this one
        if not waiting.done:
            self._write()
        if waiting.error is not None:
            raise waiting.error

    def _write(self) -> None:
        """Write everything that waits, and leave what came meanwhile to one of those who wait."""
        with self._guard:
            batch, self._queue = self._queue, []
        error: Exception | None = LedgerDownError("the audit was interrupted; repeat the request")
        try:
            with self._ledger.begin() as connection:
                append(connection, *(entry for one in batch for entry in one.entries))
            error = None
        except Exception as raised:  # noqa: BLE001 -- handed to every thread whose entry it was
            error = raised
        finally:
            with self._guard:
                following = self._queue[:1]
                self._busy = bool(following)
            for one in batch:
                one.error, one.done = error, True
            for one in (*batch, *following):
                one.woken.set()


@dataclass(slots=True, eq=False)
class _Waiting:
    entries: Sequence[Entry]
    done: bool = False
    error: Exception | None = None
    woken: threading.Event = field(default_factory=threading.Event)


# Verification


@dataclass(frozen=True, slots=True)
class Fault:
    """What does not fit at a row of the chain."""

    seq: int
    kind: Literal["changed", "missing", "moved", "head", "anchor"]
    told: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification read: rows, the end of the chain, and the faults, in order."""

    rows: int
    head: Anchor
    faults: tuple[Fault, ...]

    @property
    def whole(self) -> bool:
        """Return whether nothing was found."""
        return not self.faults


def verify(connection: Connection, anchors: Sequence[Anchor] = ()) -> Verdict:
    """Read the whole chain, recompute every hash, and compare it with anchors kept elsewhere.

    One row after the other in constant memory; appends go on meanwhile and are not looked at.
    """
    end = head(connection)
    # The end and the rows in one statement, hence as of one instant.
    told = select(AuditHead.seq).scalar_subquery()
    sealed = select(AuditHead.hash).scalar_subquery()
    query = select(*_COLUMNS, told.label("_seq"), sealed.label("_hash")).order_by(AuditRow.seq)
    kept = {anchor.seq: anchor.hash for anchor in anchors}
    faults: list[Fault] = []
    rows, last, seen = 0, Anchor(0, GENESIS), set[int]()
    for row in connection.execute(query.execution_options(yield_per=_BATCH)).mappings():
        rows += 1
        end = Anchor(row["_seq"], row["_hash"])
        faults += _faults(dict(row), last)
        last = Anchor(row["seq"], row["hash"])
        if last.seq in kept:
            seen.add(last.seq)
            if kept[last.seq] != last.hash:
                faults.append(Fault(last.seq, "anchor", "has not the hash of its anchor"))
    faults += _end_faults(last, end)
    faults += [
        Fault(seq, "anchor", "has an anchor and is not there")
        for seq in sorted(set(kept) - seen - {0})
    ]
    return Verdict(rows, end, tuple(faults))


def _faults(row: Mapping[str, object], last: Anchor) -> Iterator[Fault]:
    seq = int(str(row["seq"]))
    if seq > last.seq + 1:
        yield Fault(last.seq + 1, "missing", f"rows {last.seq + 1} to {seq - 1} are missing")
    elif row["previous"] != last.hash:
        yield Fault(seq, "moved", "does not follow the row before it: one of them was replaced")
    if _hash(row) != row["hash"]:
        yield Fault(seq, "changed", "is not what was recorded: its hash differs")


def _end_faults(last: Anchor, end: Anchor) -> Iterator[Fault]:
    if last.seq < end.seq:
        yield Fault(
            last.seq + 1, "missing", f"rows {last.seq + 1} to {end.seq} are missing at the end"
        )
    elif last != end:
        yield Fault(
            last.seq, "head", f"the chain's end is {end.seq}, of other content: rows were added"
        )


def canonical(value: Mapping[str, object]) -> str:
    """Return JSON that is the same for the same content: sorted keys, no space, one line."""
    return json.dumps(
        value,
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
        default=str,
    )


_BATCH: Final = 2000
_COLUMNS: Final = (
    AuditRow.seq,
    AuditRow.at,
    AuditRow.actor,
    AuditRow.action,
    AuditRow.target,
    AuditRow.outcome,
    AuditRow.purpose,
    AuditRow.request_id,
    AuditRow.details,
    AuditRow.previous,
    AuditRow.hash,
)
_SEALED: Final = tuple(column.key for column in _COLUMNS if column.key != "hash")


def _row(entry: Entry, last: Anchor) -> dict[str, object]:
    row: dict[str, object] = {
        "seq": last.seq + 1,
        "at": entry.at,
        "actor": _plain(entry.actor),
        "action": _plain(entry.action),
        "target": _maybe(entry.target),
        "outcome": entry.outcome,
        "purpose": _maybe(entry.purpose),
        "request_id": _plain(entry.request_id),
        "details": _plain(canonical(entry.details)),
        "previous": last.hash,
    }
    return {**row, "hash": _hash(row)}


def _hash(row: Mapping[str, object]) -> str:
    sealed = {name: row[name] for name in _SEALED}
    sealed["at"] = _instant(row["at"])
    return hashlib.sha256(canonical(sealed).encode()).hexdigest()


def _instant(at: object) -> str:
    if not isinstance(at, datetime) or at.tzinfo is None:
        message = f"{at!r} is not an instant: an audited act needs a time with its zone"
        raise ValueError(message)
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _plain(text: str) -> str:
    """Replace what a text of the database cannot hold: NUL, and halves of characters."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _maybe(text: str | None) -> str | None:
    return None if text is None else _plain(text)
