"""Live records: what arrived since the lake was last brought up to date.

A row is durable here before its sender is answered, counts from then on (:func:`pending` under
:func:`serving.ledger.overlay.overlay`), and is brought into the lake later. It stays here after
that, with the version of its table that has it, so that what was known at any moment can be told
again. Rows come in under one lock: their numbers are in the order in which they became visible, so
that one number says which rows a decision could see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import (
    BigInteger,
    Connection,
    Identity,
    Index,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from models.errors import ConfigError
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from serving.ledger.base import Base
from serving.ledger.locks import Lock, hold, try_hold
from serving.ledger.overlay import fold
from serving.ledger.rows import add_once


class InboxRow(Base):
    """One record as it was posted, typed and checked; ``record`` is its JSON.

    ``merged_at`` and ``lake_version`` are null until the lake's table has it at that version.
    """

    __tablename__ = "inbox"
    __table_args__ = (
        Index("ix_inbox_waiting", "seq", postgresql_where=text("merged_at is null")),
        Index("ix_inbox_subject_id", "subject_id"),
        Index("ix_inbox_table_version", "table_name", "lake_version"),
        Index(
            "ix_inbox_subject_waiting",
            *("subject_id", "seq"),
            postgresql_where=text("merged_at is null"),
        ),
    )

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    table_name: Mapped[str]
    record_id: Mapped[str]
    subject_id: Mapped[str]
    region: Mapped[str | None]
    record: Mapped[str]
    caller: Mapped[str]
    received_at: Mapped[datetime]
    merged_at: Mapped[datetime | None]
    lake_version: Mapped[int | None] = mapped_column(BigInteger)


class RefusedRow(Base):
    """One broken rule of one posted row; the lake's quarantine gets it with the next compaction."""

    __tablename__ = "inbox_refused"
    __table_args__ = (
        Index("ix_inbox_refused_waiting", "id", postgresql_where=text("merged_at is null")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    entry: Mapped[str]
    received_at: Mapped[datetime]
    merged_at: Mapped[datetime | None]


class InboxRequest(Base):
    """The answer that a caller's idempotency key got, and the digest of the body it came with."""

    __tablename__ = "inbox_request"
    __table_args__ = (Index("ix_inbox_request_at", "at"),)

    caller: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    answer: Mapped[dict[str, Any]] = mapped_column(JSONB)
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Posted:
    """A row that is to be written; ``record`` is the JSON of the contract's columns."""

    table: str
    record_id: str
    subject_id: str
    region: str | None
    record: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Rows of one table that the lake does not have yet: their numbers and their records.

    ``frame`` has one row a record, as the latest of its rows left it.
    """

    table: str
    seqs: tuple[int, ...]
    frame: pl.DataFrame


def pending(
    connection: Connection,
    subjects: Sequence[str],
    *,
    upto: int | None = None,
    contracts: Mapping[str, Contract] = CONTRACTS,
) -> dict[str, pl.DataFrame]:
    """Return the subjects' records that the lake does not have yet, by table.

    ``upto`` leaves out those of a higher number; null takes all.
    Each frame has the contract's columns and one row a record. A null says nothing: lay the frame
    over what the lake has with :func:`serving.ledger.overlay.overlay`.
    """
    asked = and_(InboxRow.subject_id.in_(subjects), InboxRow.merged_at.is_(None))
    if upto is not None:
        asked = and_(asked, InboxRow.seq <= upto)
    return {one.table: one.frame for one in _waiting(connection, asked, None, contracts)}


def known_then(
    connection: Connection,
    subjects: Sequence[str],
    *,
    high_water: int,
    versions: Mapping[str, int],
    contracts: Mapping[str, Contract] = CONTRACTS,
) -> dict[str, pl.DataFrame]:
    """Return what :func:`pending` returned when the inbox's newest row was ``high_water``.

    ``versions`` are those of the lake's tables that were read then; a row that one of them has is
    no longer pending, a row brought in later still was.
    """
    later = or_(
        InboxRow.lake_version.is_(None),
        InboxRow.table_name.not_in(list(versions)),
        *(
            and_(InboxRow.table_name == table, InboxRow.lake_version > version)
            for table, version in versions.items()
        ),
    )
    asked = and_(InboxRow.subject_id.in_(subjects), InboxRow.seq <= high_water, later)
    return {one.table: one.frame for one in _waiting(connection, asked, None, contracts)}


def high_water(connection: Connection) -> int:
    """Return the number of the newest row; 0 where there is none. Every row below is visible."""
    return connection.execute(select(func.max(InboxRow.seq))).scalar() or 0


def waiting(
    connection: Connection, *, limit: int, contracts: Mapping[str, Contract] = CONTRACTS
) -> list[Waiting]:
    """Return the oldest rows that the lake does not have, by table; ``limit`` rows in all."""
    return _waiting(connection, InboxRow.merged_at.is_(None), limit, contracts)


def write(connection: Connection, rows: Sequence[Posted], *, caller: str, at: datetime) -> int:
    """Write rows in the caller's transaction and return the number of the last.

    Nothing but the commit may follow: other writers wait until then.
    """
    hold(connection, Lock.INBOX)
    values = [
        {
            "table_name": row.table,
            "record_id": row.record_id,
            "subject_id": row.subject_id,
            "region": row.region,
            "record": row.record,
            "caller": caller,
            "received_at": at,
        }
        for row in rows
    ]
    written = insert(InboxRow).returning(InboxRow.seq)
    return max(connection.execute(written, values).scalars())


def alone(connection: Connection) -> bool:
    """Return whether nobody else brings rows into the lake, until this transaction ends."""
    return try_hold(connection, Lock.EMPTYING)


def mark(connection: Connection, seqs: Sequence[int], *, version: int | None, at: datetime) -> None:
    """Note that the lake has the rows at this version of their table."""
    connection.execute(
        update(InboxRow)
        .where(InboxRow.seq == func.any(list(seqs)), InboxRow.merged_at.is_(None))
        .values(merged_at=at, lake_version=version)
    )


def backlog(connection: Connection) -> tuple[int, datetime | None]:
    """Return how many rows the lake does not have, and when the oldest arrived."""
    asked = select(func.count(), func.min(InboxRow.received_at))
    count, oldest = connection.execute(asked.where(InboxRow.merged_at.is_(None))).one()
    return count, oldest


def refuse(connection: Connection, entries: Sequence[str], *, at: datetime) -> None:
    """Write broken rules, each the JSON of an entry of the lake's quarantine."""
    if entries:
        values = [{"entry": entry, "received_at": at} for entry in entries]
        connection.execute(insert(RefusedRow), values)


def refused(connection: Connection, *, limit: int) -> list[tuple[int, str]]:
    """Return the oldest entries that the lake's quarantine does not have."""
    asked = select(RefusedRow.id, RefusedRow.entry).where(RefusedRow.merged_at.is_(None))
    found = connection.execute(asked.order_by(RefusedRow.id).limit(limit))
    return [(number, entry) for number, entry in found]


def mark_refused(connection: Connection, numbers: Sequence[int], *, at: datetime) -> None:
    """Note that the lake's quarantine has the entries."""
    connection.execute(
        update(RefusedRow).where(RefusedRow.id == func.any(list(numbers))).values(merged_at=at)
    )


def answered(
    connection: Connection, caller: str, key: str
) -> tuple[str, Mapping[str, object]] | None:
    """Return the digest and the answer of a caller's key; ``None`` where it was not used."""
    asked = select(InboxRequest.digest, InboxRequest.answer).where(
        InboxRequest.caller == caller, InboxRequest.key == key
    )
    found = connection.execute(asked).first()
    return None if found is None else (found.digest, found.answer)


def answer(
    connection: Connection,
    caller: str,
    key: str,
    *,
    digest: str,
    answer: Mapping[str, object],
    at: datetime,
) -> bool:
    """Keep the answer of a caller's key; false where the key was used before.

    Of two requests at once with one key, the second waits here for the first's end.
    """
    told = {"caller": caller, "key": key, "digest": digest, "answer": dict(answer), "at": at}
    return add_once(connection, InboxRequest, told)


def forget_answers(connection: Connection, *, before: datetime) -> int:
    """Delete the answers given before then, and return how many there were."""
    return connection.execute(delete(InboxRequest).where(InboxRequest.at < before)).rowcount


def _waiting(
    connection: Connection,
    asked: ColumnElement[bool],
    limit: int | None,
    contracts: Mapping[str, Contract],
) -> list[Waiting]:
    query = select(InboxRow.seq, InboxRow.table_name, InboxRow.record).where(asked)
    found: dict[str, list[tuple[int, str]]] = {}
    for seq, table, record in connection.execute(query.order_by(InboxRow.seq).limit(limit)):
        found.setdefault(table, []).append((seq, record))
    return [
        Waiting(
            table, tuple(seq for seq, _ in rows), _typed([r for _, r in rows], table, contracts)
        )
        for table, rows in sorted(found.items())
    ]


def _typed(records: Sequence[str], table: str, contracts: Mapping[str, Contract]) -> pl.DataFrame:
    if table not in contracts:
        raise ConfigError(
            f"the inbox holds records of table {table!r}, whose contract is not kept any more; put "
            f"{table}.yaml back among the contracts"
        )
    whole = pl.Struct(contracts[table].dtypes)
    return fold(pl.Series(records).str.json_decode(whole).struct.unnest())
