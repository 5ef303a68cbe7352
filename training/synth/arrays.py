"""Arrays by their element, and the random streams that fill them."""

from __future__ import annotations

import zlib
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Texts: TypeAlias = NDArray[np.object_]
Random: TypeAlias = np.random.Generator

SHARED: Final = 1 << 30
"""Chunk number of what all chunks share: plans of draws and campaigns, public bodies."""


def stream(seed: int, chunk: int, topic: str) -> Random:
    """Return the random stream of one topic in one chunk.

    Every topic draws from its own stream, so that a change to one table leaves the others as they
    are, and a chunk comes out the same however many chunks follow.
    """
    key = zlib.crc32(topic.encode())
    return np.random.Generator(
        np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(chunk, key)))
    )


def choose(rng: Random, weights: Floats, size: int) -> Ints:
    """Return ``size`` indexes drawn with ``weights``, which need not sum to one."""
    edges = np.cumsum(weights)
    drawn: Floats = rng.random(size) * edges[-1]
    return np.searchsorted(edges, drawn, side="right").astype(np.int64)


def choose_by(rng: Random, weights: Floats, rows: Ints) -> Ints:
    """Return for each of ``rows`` an index drawn with that row's ``weights[row]``."""
    edges = np.cumsum(weights, axis=1)
    drawn = rng.random(len(rows)) * edges[rows, -1]
    return (edges[rows] <= drawn[:, None]).sum(axis=1).astype(np.int64)


def between(rng: Random, low: Floats | float, high: Floats | float, size: int) -> Floats:
    """Return ``size`` numbers drawn evenly on the logarithm from ``low`` to ``high``."""
    return np.exp(rng.uniform(np.log(low), np.log(high), size))


def rounded(values: Floats) -> Ints:
    """Return amounts as people set them: two leading digits, the rest zeros, at least 50."""
    scale = np.power(10.0, np.floor(np.log10(np.maximum(values, 50.0))) - 1)
    return np.maximum(np.round(values / scale) * scale, 50).astype(np.int64)


def sigmoid(values: Floats) -> Floats:
    """Return the probability with log-odds ``values``."""
    return 1.0 / (1.0 + np.exp(-values))


def days(values: Ints, *, none: Flags | None = None) -> pl.Series:
    """Return days since 1970-01-01 as dates; null where ``none``."""
    dates = pl.Series(values.astype(np.int32)).cast(pl.Date)
    return dates if none is None else dates.set(pl.Series(none), None)


def texts(values: list[str], places: Ints) -> pl.Series:
    """Return ``values[place]`` for each place."""
    return pl.Series(values, dtype=pl.String).gather(pl.Series(places))


def as_texts(series: pl.Series) -> Texts:
    """Return a column of strings as an array of Python strings."""
    return np.array(series.to_list(), dtype=object)
