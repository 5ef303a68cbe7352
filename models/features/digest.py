"""Digests of texts: 64 bits in which no name or number can be read."""

from __future__ import annotations

from hashlib import blake2b
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

Keys: TypeAlias = NDArray[np.uint64]


def keyed(values: pl.Series, salt: str = "") -> pl.Series:
    """Return the 64-bit digest (BLAKE2b) of each text, ``salt`` before it; null stays null."""
    distinct = values.unique().drop_nulls()
    digests = [
        int.from_bytes(blake2b(f"{salt}{text}".encode(), digest_size=8).digest(), "little")
        for text in distinct.to_list()
    ]
    known = pl.DataFrame({"_text": distinct, "_key": pl.Series(digests, dtype=pl.UInt64)})
    joined = (
        values.alias("_text").to_frame().join(known, on="_text", how="left", maintain_order="left")
    )
    return joined["_key"].alias(values.name)
