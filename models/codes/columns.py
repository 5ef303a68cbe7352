"""Work on whole columns of codes: by batch, by distinct value, by byte.

Pure Polars expressions are slow where each of 17 positions has its own weight, so a batch of codes
of equal width becomes one matrix of bytes and each position one look-up in a table of 256 entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

Column = str | pl.Expr
Bytes = NDArray[np.uint8]
Sums = NDArray[np.int32]
Flags = NDArray[np.bool_]
Value = TypeVar("Value")

BATCH_ROWS: Final = 1 << 16
"""Rows per step: small enough that the byte matrix stays in the processor's cache."""

FORBIDDEN: Final = 1 << 20
"""Weight of a symbol that may not stand at its position; sums at or above it are no code."""


def as_expr(column: Column) -> pl.Expr:
    """Return ``column`` as an expression."""
    return pl.col(column) if isinstance(column, str) else column


def as_text(column: Column) -> pl.Expr:
    """Return ``column`` as an expression of strings, whatever it holds."""
    return as_expr(column).cast(pl.String)


def by_batch(
    column: Column, function: Callable[[pl.Series], pl.Series], dtype: pl.DataType
) -> pl.Expr:
    """Apply ``function``, which keeps length and order, to slices of ``BATCH_ROWS`` rows."""

    def run(series: pl.Series) -> pl.Series:
        steps = range(0, max(series.len(), 1), BATCH_ROWS)
        parts = [function(series.slice(step, BATCH_ROWS)) for step in steps]
        return pl.concat(parts, rechunk=True) if len(parts) > 1 else parts[0]

    return as_expr(column).map_batches(run, return_dtype=dtype, is_elementwise=True)


def by_distinct(column: Column, function: Callable[[str], object], dtype: pl.DataType) -> pl.Expr:
    """Apply the scalar ``function`` once to each distinct string; for columns with few of them."""

    def run(series: pl.Series) -> pl.Series:
        distinct = series.drop_nulls().unique()
        values = pl.Series(series.name, [function(text) for text in distinct], dtype=dtype)
        if values.is_empty():
            return pl.Series(series.name, [None] * series.len(), dtype=dtype)
        places = pl.int_range(distinct.len(), dtype=pl.UInt32, eager=True)
        return values.gather(series.replace_strict(distinct, places, return_dtype=pl.UInt32))

    return as_text(column).map_batches(run, return_dtype=dtype, is_elementwise=True)


def half_width_expr(column: Column) -> pl.Expr:
    """Return text in Unicode's NFKC form: full-width letters and digits become half-width."""

    def fold(series: pl.Series) -> pl.Series:
        # Normalising is slow and nothing to ASCII, so only the other rows go through it.
        wide = (series.str.len_bytes() != series.str.len_chars()).fill_null(value=False)
        places = wide.arg_true()
        return series.scatter(places, series.gather(places).str.normalize("NFKC"))

    return by_batch(as_text(column), fold, pl.String())


def fixed_width(series: pl.Series, width: int) -> tuple[Flags, Bytes]:
    """Return which rows are exactly ``width`` bytes long, and those rows as a matrix of bytes.

    A row of that many bytes may still hold other than ASCII; its bytes are then above 127.
    """
    fits = (series.str.len_bytes() == width).fill_null(value=False)
    joined = str(series.filter(fits).str.join("").item()).encode()
    matrix = np.frombuffer(joined, np.uint8).reshape(-1, width)
    return fits.to_numpy(), matrix


def positions(alphabets: Sequence[Mapping[str, int]], weights: Sequence[int]) -> NDArray[np.int32]:
    """Return the table (position × byte) of value × weight, ``FORBIDDEN`` where none is allowed."""
    table = np.full((len(weights), 256), FORBIDDEN, np.int32)
    for row, alphabet, weight in zip(table, alphabets, weights, strict=True):
        for symbol, value in alphabet.items():
            row[ord(symbol)] = value * weight
    return table


def weighted_sum(matrix: Bytes, table: NDArray[np.int32]) -> Sums:
    """Return each row's sum of ``table[position, byte]``."""
    total = np.zeros(len(matrix), np.int32)
    for position, row in enumerate(table):
        total += row.take(matrix[:, position])
    return total


def flags(series: pl.Series, fits: Flags, holds: Flags) -> pl.Series:
    """Spread ``holds`` (of the rows that fit) over all rows: others are false, null stays null."""
    spread = np.zeros(series.len(), np.bool_)
    spread[fits] = holds
    return _null_where(pl.Series(series.name, spread), series.is_null())


def symbols(series: pl.Series, fits: Flags, places: Sums, alphabet: str) -> pl.Series:
    """Spread ``alphabet[place]`` over all rows; null for rows that do not fit or place < 0."""
    spread = np.full(series.len(), -1, np.int64)
    spread[fits] = places
    letters = pl.Series(series.name, list(alphabet))
    chosen = pl.Series(spread)
    return letters.gather(chosen.set(chosen < 0, None))


def _null_where(series: pl.Series, mask: pl.Series) -> pl.Series:
    return series.set(mask, None) if mask.any() else series
