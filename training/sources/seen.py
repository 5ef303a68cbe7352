"""Which records a run has met, in eight bytes each."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray


class Seen:
    """Record ids met so far, by their first 64 bits, sorted."""

    def __init__(self) -> None:
        """Begin with none."""
        self._ids: NDArray[np.uint64] = np.empty(0, np.uint64)

    def first(self, record_ids: pl.Series) -> pl.Series:
        """Return a mask of the ids met for the first time, and remember them."""
        head = record_ids.str.head(16).str.to_integer(base=16, dtype=pl.UInt64)
        ids = head.to_numpy()
        places = np.searchsorted(self._ids, ids)
        known = np.zeros(len(ids), np.bool_)
        inside = places < len(self._ids)
        known[inside] = self._ids[places[inside]] == ids[inside]
        fresh = pl.Series(~known) & head.is_first_distinct()
        self._ids = np.sort(np.concatenate([self._ids, head.filter(fresh).to_numpy()]))
        return fresh
