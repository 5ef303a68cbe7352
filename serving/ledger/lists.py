"""一单两库 as they stood: every edition of a list of matters, targets or inspectors.

An edition is of a region: the list of a province or of a city. Its content is kept once, under the
digest of what it says, so that a plan can name the lists that it was made with.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from sqlalchemy import BigInteger, Connection, ForeignKey, LargeBinary, func, literal, select
from sqlalchemy.orm import Mapped, mapped_column

from models.errors import LedgerError
from models.inspection.list_fields import ListName
from models.inspection.lists import Listing
from serving.ledger.base import Base
from serving.ledger.rows import add_once


class ListContentRow(Base):
    """What a version of a list says, as Parquet."""

    __tablename__ = "list_content"

    version: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    rows: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class ListEditionRow(Base):
    """An edition of a region's list, counted from 1: from ``at`` on, it was the list."""

    __tablename__ = "list_edition"

    name: Mapped[str] = mapped_column(primary_key=True)
    region: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    version: Mapped[str] = mapped_column(ForeignKey("list_content.version"))
    note: Mapped[str | None]
    by: Mapped[str]
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Edition:
    """An edition without its content; ``region`` is a prefix of region codes."""

    name: str
    region: str
    number: int
    version: str
    rows: int
    note: str | None
    by: str
    at: datetime


_EDITIONS = select(
    ListEditionRow.name,
    ListEditionRow.region,
    ListEditionRow.number,
    ListEditionRow.version,
    ListContentRow.rows,
    ListEditionRow.note,
    ListEditionRow.by,
    ListEditionRow.at,
).join(ListContentRow, ListContentRow.version == ListEditionRow.version)


def add(
    connection: Connection,
    listing: Listing,
    region: str,
    *,
    after: int,
    by: str,
    at: datetime,
    note: str | None = None,
) -> bool:
    """Keep a list as the edition that follows number ``after``; false where another did before."""
    content = {
        "version": listing.version,
        "name": listing.name.value,
        "rows": listing.frame.height,
        "content": packed(listing.frame),
    }
    add_once(connection, ListContentRow, content)
    edition = {
        "name": listing.name.value,
        "region": region,
        "number": after + 1,
        "version": listing.version,
        "note": note,
        "by": by,
        "at": at,
    }
    return add_once(connection, ListEditionRow, edition)


def current(connection: Connection, name: ListName, region: str) -> Edition | None:
    """Return the edition in force of exactly this region; ``None`` where it has no list."""
    found = editions(connection, name, region, limit=1)
    return found[0] if found else None


def in_force(connection: Connection, name: ListName, region: str) -> Edition | None:
    """Return the edition in force for a region: its own, else that of the nearest one above."""
    row = ListEditionRow
    query = _EDITIONS.where(row.name == name.value, literal(region).startswith(row.region))
    query = query.order_by(func.length(row.region).desc(), row.number.desc()).limit(1)
    found = connection.execute(query).first()
    return None if found is None else Edition(*found)


def editions(
    connection: Connection, name: ListName, region: str, *, limit: int = 100
) -> list[Edition]:
    """Return the editions of a region's list, the newest first."""
    row = ListEditionRow
    query = _EDITIONS.where(row.name == name.value, row.region == region)
    found = connection.execute(query.order_by(row.number.desc()).limit(limit))
    return [Edition(*one) for one in found]


def regions_of(connection: Connection, version: str) -> list[str]:
    """Return the regions whose list ever was of this version."""
    row = ListEditionRow
    query = select(row.region).where(row.version == version).distinct().order_by(row.region)
    return list(connection.execute(query).scalars())


def content(connection: Connection, version: str) -> Listing | None:
    """Return the list of a version; ``None`` where there is none.

    Raises :class:`LedgerError` where what is kept is not what its version says.
    """
    row = ListContentRow
    found = connection.execute(
        select(row.name, row.content).where(row.version == version)
    ).one_or_none()
    if found is None:
        return None
    listing = Listing(ListName(found.name), unpacked(found.content))
    if listing.version != version:
        raise LedgerError(
            f"the list of version {version} was changed in the ledger (it is {listing.version} "
            "now); restore a backup"
        )
    return listing


def packed(frame: pl.DataFrame) -> bytes:
    """Return a frame as Parquet."""
    file = io.BytesIO()
    frame.write_parquet(file, compression="zstd", statistics=False)
    return file.getvalue()


def unpacked(content: bytes) -> pl.DataFrame:
    """Return the frame of :func:`packed`."""
    return pl.read_parquet(io.BytesIO(content))
