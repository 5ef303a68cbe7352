"""Rows by the hundred thousand: PostgreSQL's COPY, fed from frames."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Final, Literal, cast

import polars as pl
import psycopg
from psycopg import sql
from sqlalchemy import JSON, Connection, Table
from sqlalchemy.exc import DBAPIError, IntegrityError

from models.errors import RecordError
from serving.ledger.base import Base

OnConflict = Literal["fail", "ignore"]

CHUNK: Final = 50_000
"""Rows that are text at one time: what bounds the memory of a copy."""
_NUL: Final = "\0"


def copy_rows(
    connection: Connection,
    table: type[Base] | Table,
    frame: pl.DataFrame,
    *,
    on_conflict: OnConflict = "fail",
) -> int:
    """Copy a frame into a table within the caller's transaction; return how many rows it got.

    Columns are matched by name; those of the table that the frame lacks get their defaults. Null
    is NULL, structs and lists become JSON in a JSON column, binary becomes bytea, an instant
    without a zone is UTC.

    Args:
        connection: One in a transaction, from ``ledger.begin()``.
        table: A table class, or its table.
        frame: May be empty.
        on_conflict: ``ignore`` leaves rows alone whose key is there already, in any unique
            constraint; they do not count.

    Raises:
        RecordError: The frame has a column that the table has not, or a text with a NUL.
        sqlalchemy.exc.IntegrityError: A row breaks a constraint, as in any insert.
    """
    target = _table_of(table)
    ready = _ready(frame, target)
    if on_conflict == "fail":
        return _copy(connection, target.name, ready)
    return _copy_new(connection, target, ready)


def copied(
    connection: Connection, statement: str, told: Mapping[str, object], *, schema: pl.Schema
) -> pl.DataFrame:
    """Return the rows of a ``copy (select …) to stdout (format csv)``, by the million.

    The columns are those of ``schema``, in order: texts, numbers, days, and truth as ``true`` or
    ``false``. ``told`` fills ``%(name)s``.
    """
    raw = _driver(connection)
    try:
        with raw.cursor() as cursor, cursor.copy(statement.encode(), told) as copying:
            content = b"".join(copying)
    except psycopg.Error as error:
        raise _as_sqlalchemy(connection, error, "to stdout") from error
    if not content:
        return schema.to_frame()
    return pl.read_csv(content, has_header=False, schema=schema)


def _table_of(table: type[Base] | Table) -> Table:
    return table if isinstance(table, Table) else cast("Table", table.__table__)


def _ready(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return the frame with every column as text of its kind can hold it."""
    unknown = [name for name in frame.columns if name not in table.columns]
    if unknown:
        raise RecordError(
            f"the table {table.name} has no column {', '.join(unknown)}; it has "
            f"{', '.join(table.columns.keys())}"
        )
    ready = frame.select(
        _written(name, kind, json=isinstance(table.columns[name].type, JSON))
        for name, kind in frame.schema.items()
    )
    texts = ready.select(pl.col(pl.String).str.contains(_NUL, literal=True).any())
    broken = [name for name in texts.columns if texts[name][0]]
    if broken:
        raise RecordError(
            f"a text in {', '.join(broken)} has a NUL, which PostgreSQL cannot hold; remove it"
        )
    return ready


def _written(name: str, kind: pl.DataType, *, json: bool) -> pl.Expr:
    column = pl.col(name)
    if isinstance(kind, pl.Struct):
        return column.struct.json_encode().alias(name)
    if isinstance(kind, pl.List | pl.Array):
        if not json:
            raise RecordError(
                f"the column {name} is a list, which only a JSON column can hold; encode it"
            )
        # Only structs have an encoder: {"v":[…]} is made, and its shell taken off.
        shelled = pl.struct(column.alias("v")).struct.json_encode()
        taken = shelled.str.slice(5).str.head(-1)
        return pl.when(column.is_not_null()).then(taken).alias(name)
    if kind == pl.Binary:
        return (pl.lit("\\x") + column.bin.encode("hex")).alias(name)
    if isinstance(kind, pl.Datetime) and kind.time_zone is None:
        return column.dt.replace_time_zone("UTC")
    if isinstance(kind, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    return column


def _chunks(frame: pl.DataFrame) -> Iterator[bytes]:
    for part in frame.iter_slices(CHUNK):
        # Texts are quoted and nulls never: COPY tells an empty text from a null by that.
        yield part.write_csv(include_header=False, quote_style="non_numeric").encode()


def _copy(connection: Connection, table: str, frame: pl.DataFrame) -> int:
    if frame.height == 0:
        return 0
    statement = sql.SQL("copy {} ({}) from stdin with (format csv)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, frame.columns))
    )
    raw = _driver(connection)
    try:
        with raw.cursor() as cursor:
            with cursor.copy(statement) as copying:
                for chunk in _chunks(frame):
                    copying.write(chunk)
            return cursor.rowcount
    except psycopg.Error as error:
        raise _as_sqlalchemy(connection, error, table) from error


def _copy_new(connection: Connection, table: Table, frame: pl.DataFrame) -> int:
    if frame.height == 0:
        return 0
    # As a rule all are new, and then the way through another table would take twice as long.
    try:
        with connection.begin_nested():
            return _copy(connection, table.name, frame)
    except IntegrityError as error:
        if not isinstance(error.orig, psycopg.errors.UniqueViolation):
            raise
    quote = connection.dialect.identifier_preparer.quote
    passing = f"copied_{secrets.token_hex(4)}"
    columns = ", ".join(map(quote, frame.columns))
    target = quote(table.name)
    # The names are the schema's and our own, and quoted.
    connection.exec_driver_sql(
        f"create temporary table {passing} on commit drop as "  # noqa: S608
        f"select {columns} from {target} with no data"
    )
    _copy(connection, passing, frame)
    done = connection.exec_driver_sql(
        f"insert into {target} ({columns}) "  # noqa: S608
        f"select {columns} from {passing} on conflict do nothing"
    )
    connection.exec_driver_sql(f"drop table {passing}")
    return done.rowcount


def _as_sqlalchemy(connection: Connection, error: psycopg.Error, table: str) -> BaseException:
    """Return the driver's error as every other statement of the ledger raises it."""
    lost = _driver(connection).closed
    if lost:
        connection.invalidate(error)
    return DBAPIError.instance(
        f"COPY {table}",
        None,
        error,
        psycopg.Error,
        connection_invalidated=lost,
        dialect=connection.dialect,
    )


def _driver(connection: Connection) -> psycopg.Connection[object]:
    return cast("psycopg.Connection[object]", connection.connection.driver_connection)
