"""Attachments: papers beside a warning, a repair or an objection; what was put in stays as it was.

The content is in the ledger, once for each SHA-256: it is committed with its row, backed up with it
and as append-only as everything else here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import (
    BigInteger,
    Connection,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Mapped, mapped_column

from models.errors import LedgerError
from serving.ledger import locks
from serving.ledger.base import Base
from serving.ledger.locks import Lock
from serving.ledger.rows import columns_of

Owner = Literal["warning", "repair", "objection"]
"""What papers are beside."""


class ContentRow(Base):
    """The bytes of papers, by their hash."""

    __tablename__ = "attachment_content"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class AttachmentRow(Base):
    """A paper: what it is beside, how it is called, who put it there."""

    __tablename__ = "attachment"
    __table_args__ = (
        Index("uq_attachment_owner", "owner", "owner_id", "sha256", "name", unique=True),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    owner: Mapped[str]
    owner_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(ForeignKey("attachment_content.sha256"))
    by: Mapped[str]
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A paper without its content; ``size`` in bytes, ``at`` UTC."""

    id: int
    owner: str
    owner_id: int
    name: str
    media_type: str
    size: int
    sha256: str
    by: str
    at: datetime


_TOLD: Final = columns_of(AttachmentRow, Attachment)


def add(
    connection: Connection,
    owner: Owner,
    owner_id: int,
    *,
    name: str,
    media_type: str,
    content: bytes,
    by: str,
    at: datetime,
) -> Attachment:
    """Keep a paper; the same content under the same name is the one that is there already."""
    digest = hashlib.sha256(content).hexdigest()
    held = upsert(ContentRow).values(sha256=digest, content=content)
    connection.execute(held.on_conflict_do_nothing())
    values = {
        "owner": owner,
        "owner_id": owner_id,
        "name": name,
        "media_type": media_type,
        "size": len(content),
        "sha256": digest,
        "by": by,
        "at": at,
    }
    made = upsert(AttachmentRow).values(values).on_conflict_do_nothing().returning(*_TOLD)
    row = connection.execute(made).first()
    if row is None:
        same = select(*_TOLD).where(
            AttachmentRow.owner == owner,
            AttachmentRow.owner_id == owner_id,
            AttachmentRow.sha256 == digest,
            AttachmentRow.name == name,
        )
        row = connection.execute(same).one()
    return Attachment(*row)


def hold(connection: Connection, owner: Owner, owner_id: int) -> int:
    """Let nobody else add papers there until the transaction ends; return how many there are."""
    locks.hold(connection, Lock.ATTACHMENTS, f"{owner}:{owner_id}")
    counted = select(func.count()).where(
        AttachmentRow.owner == owner, AttachmentRow.owner_id == owner_id
    )
    return connection.execute(counted).scalar_one()


def listing(connection: Connection, owner: Owner, owner_id: int) -> list[Attachment]:
    """Return the papers beside something, the oldest first."""
    asked = select(*_TOLD).where(AttachmentRow.owner == owner, AttachmentRow.owner_id == owner_id)
    return [Attachment(*row) for row in connection.execute(asked.order_by(AttachmentRow.id))]


def get(connection: Connection, owner: Owner, owner_id: int, number: int) -> Attachment | None:
    """Return a paper of exactly this owner; ``None`` where there is none."""
    asked = select(*_TOLD).where(
        AttachmentRow.id == number,
        AttachmentRow.owner == owner,
        AttachmentRow.owner_id == owner_id,
    )
    row = connection.execute(asked).first()
    return None if row is None else Attachment(*row)


def content(connection: Connection, found: Attachment) -> bytes:
    """Return the bytes of a paper; :class:`LedgerError` where they are not what was put in."""
    asked = select(ContentRow.content).where(ContentRow.sha256 == found.sha256)
    held = connection.execute(asked).scalar()
    if held is None or hashlib.sha256(held).hexdigest() != found.sha256:
        raise LedgerError(
            f"attachment {found.id} is not what was put in (its SHA-256 is not {found.sha256}); "
            "it is not given out: restore a backup"
        )
    return bytes(held)
