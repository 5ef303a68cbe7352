"""Rows of the ledger: made of frozen values and made into them, held, and told in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, Select, literal
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import ColumnElement

from serving.ledger.base import Base

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def columns_of(table: type[Base], value: type[DataclassInstance]) -> tuple[ColumnElement[Any], ...]:
    """Return a table's columns as a value names its fields, so that ``value(*row)`` is a row."""
    return tuple(getattr(table, field.name) for field in fields(value))


def values_of(value: DataclassInstance) -> dict[str, Any]:
    """Return a value's fields by name, as its row is written; what they hold stays as it is."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def add_once(connection: Connection, table: type[Base], values: Mapping[str, object]) -> bool:
    """Write a row; false where one is there that it may not stand beside, which stays as it is.

    A transaction that writes the same one meanwhile is waited for.
    """
    added = upsert(table).values(values).on_conflict_do_nothing().returning(literal(value=True))
    return connection.execute(added).first() is not None


def first_of(connection: Connection, query: Select[Any], *, lock: bool = False) -> Row[Any] | None:
    """Return the row of a query; ``lock`` holds it until the transaction ends."""
    return connection.execute(query.with_for_update() if lock else query).first()


def newest(
    connection: Connection,
    query: Select[Any],
    number: InstrumentedAttribute[int],
    *,
    before: int | None = None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Return at most ``limit`` rows, the newest first, of numbers below ``before`` where given."""
    if before is not None:
        query = query.where(number < before)
    return connection.execute(query.order_by(number.desc()).limit(limit)).all()
