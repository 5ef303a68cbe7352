"""Tables behind a database address, streamed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from models.errors import ConfigError, SourceError
from training.sources.mapping import Source
from training.sources.read import BATCH_ROWS, Batch, numbered


def read_sql(source: Source) -> Iterator[Batch]:
    """Yield the rows of a source's query; the database streams, memory stays bounded.

    Raises :class:`ConfigError` for an address that is not set, :class:`SourceError` when the
    database refuses; neither shows the password.
    """
    options = source.options
    try:
        url = sa.make_url(_address(source))
    except ArgumentError:
        raise ConfigError(
            f"source {source.id!r}: the database address is not of the form dialect://user:password@host/name"
        ) from None
    first = 1
    try:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            streaming = connection.execution_options(stream_results=True, yield_per=BATCH_ROWS)
            frames = pl.read_database(
                sa.text(options.query or ""),
                streaming,
                iter_batches=True,
                batch_size=BATCH_ROWS,
                infer_schema_length=None,
            )
            for frame in frames:
                yield Batch(file=f"{source.id}.sql", frame=numbered(frame, first))
                first += frame.height
        engine.dispose()
    except ModuleNotFoundError as error:
        raise SourceError(
            f"source {source.id!r}: the driver {error.name!r} is not installed: pip install it"
        ) from None
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0][:200]
        raise SourceError(
            f"source {source.id!r}: {url.render_as_string()} refused the query: {reason}"
        ) from None


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
