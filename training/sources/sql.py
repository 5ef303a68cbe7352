"""Tables behind a database address, streamed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from models.errors import ConfigError, SourceError
from training.sources import read
from training.sources.mapping import Source
from training.sources.read import LINE, Batch
from training.sources.shown import listed, reason


def read_sql(source: Source) -> Iterator[Batch]:
    """Yield the rows of a source's query; the database streams, memory stays bounded.

    Raises :class:`ConfigError` for an address that is not set, :class:`SourceError` when the
    database refuses; neither shows the password.
    """
    options = source.options
    try:
        url = sa.make_url(_address(source))
    except (ArgumentError, ValueError):  # a port that is no number
        raise ConfigError(
            f"source {source.id!r}: the database address is not of the form dialect://user:password@host/name"
        ) from None
    first = 1
    try:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            streaming = connection.execution_options(stream_results=True, yield_per=read.BATCH_ROWS)
            result = streaming.execute(sa.text(options.query or ""))
            columns = _columns(source, result)
            for rows in result.partitions(read.BATCH_ROWS):
                frame = _frame(columns, rows)
                yield Batch(file=f"{source.id}.sql", frame=read.numbered(frame, first))
                first += frame.height
            if first == 1:
                yield Batch(file=f"{source.id}.sql", frame=read.numbered(_frame(columns, []), 1))
        engine.dispose()
    except ModuleNotFoundError as error:
        raise SourceError(
            f"source {source.id!r}: the driver {error.name!r} is not installed: pip install it"
        ) from None
    except NoSuchModuleError:
        raise ConfigError(
            f"source {source.id!r}: unknown kind of database {url.drivername!r}; "
            "write the address as dialect://user:password@host/name, such as postgresql+psycopg://…"
        ) from None
    except SQLAlchemyError as error:
        why = reason(getattr(error, "orig", None) or error)
        shown = url.set(query={}).render_as_string()  # a password may also stand in the options
        raise SourceError(f"source {source.id!r}: {shown} refused the query: {why}") from None


def _columns(source: Source, result: sa.CursorResult[tuple[object, ...]]) -> list[str]:
    if not result.returns_rows:
        raise ConfigError(f"source {source.id!r}: the query returns no rows; write a SELECT")
    columns = list(result.keys())
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated or LINE in columns:
        wrong = listed(repeated or [LINE])
        raise SourceError(
            f"source {source.id!r}: the query gives the column '{wrong}' "
            f"{'twice' if repeated else 'that is reserved'}; name it with AS"
        )
    return columns


def _frame(columns: list[str], rows: Sequence[sa.Row[tuple[object, ...]]]) -> pl.DataFrame:
    """Return rows as a frame; a column whose values are of several types becomes text."""
    cells: list[tuple[object, ...]] = list(zip(*rows, strict=True)) or [()] * len(columns)
    return read.readable(pl.DataFrame([_series(n, v) for n, v in zip(columns, cells, strict=True)]))


def _series(name: str, values: tuple[object, ...]) -> pl.Series:
    try:
        series = pl.Series(name, values, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        series = pl.Series(name, [None if v is None else str(v) for v in values], pl.String)
    return series.cast(pl.String) if series.dtype == pl.Null else series


def _address(source: Source) -> str:
    options = source.options
    if options.url is not None:
        return options.url
    variable = options.url_env or ""
    value = os.environ.get(variable)
    if not value:
        raise ConfigError(
            f"source {source.id!r}: the environment variable {variable!r} is not set; "
            "it must hold the database address"
        )
    return value
