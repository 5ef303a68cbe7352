"""The linear baseline, applied: weights of character n-grams, added up.

What scikit-learn's ``TfidfVectorizer(analyzer="char", sublinear_tf=True)`` followed by a linear
model computes, with numpy alone, so that serving needs neither scikit-learn nor a pickle. The
beginning of a text, where its title or its matter stands, may count more than the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from models.errors import BundleError
from models.text.encoder import clean, plain
from models.text.heads import Floats

Lead = tuple[int, int]
"""Characters at the beginning of a text, and how many times more their n-grams count."""
EVEN: Final[Lead] = (0, 0)


@dataclass(frozen=True, eq=False)
class Linear:
    """Scores of all heads from the n-grams of a text."""

    grams: tuple[str, ...]
    """The n-grams known, in the order of the weights' rows."""
    lengths: tuple[int, int]
    """Shortest and longest n-gram."""
    idf: Floats
    weights: Floats
    """N-grams × columns of the common matrix of scores."""
    intercepts: Floats
    lead: Lead = EVEN
    """How much more the beginning of a text counts."""

    def __post_init__(self) -> None:
        shape = (len(self.grams), self.intercepts.size)
        if self.idf.shape != shape[:1] or self.weights.shape != shape:
            raise BundleError(
                f"linear model: {len(self.grams)} n-grams, but weights {self.weights.shape} and "
                f"idf {self.idf.shape}; restore the bundle"
            )

    @cached_property
    def _place(self) -> Mapping[str, int]:
        return {gram: place for place, gram in enumerate(self.grams)}

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return rows × columns; a text with no known n-gram gets the intercepts."""
        out = np.tile(self.intercepts, (len(texts), 1))
        for row, text in enumerate(texts):
            columns, values = self._row(text)
            if columns.size:
                out[row] += values @ self.weights[columns]
        return out

    def _row(self, text: str) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Floats]:
        places, counts = self._place, Counter(ngrams(text, self.lengths, self.lead))
        found = ((places.get(gram), seen) for gram, seen in counts.items())
        known = [(place, seen) for place, seen in found if place is not None]
        columns = np.array([place for place, _ in known], dtype=np.int64)
        seen = np.array([seen for _, seen in known], dtype=np.float32)
        values = (1 + np.log(seen)) * self.idf[columns]
        length = float(np.sqrt(values @ values))
        return columns, values / length if length else values


def ngrams(text: str, lengths: tuple[int, int], lead: Lead = EVEN) -> list[str]:
    """Return the character n-grams of a text after normalisation, those of its lead repeated."""
    read = plain(clean(text))
    begin, times = lead
    return _grams(read, lengths) + times * _grams(read[:begin], lengths)


def _grams(read: str, lengths: tuple[int, int]) -> list[str]:
    return [
        read[begin : begin + size]
        for size in range(lengths[0], lengths[1] + 1)
        for begin in range(len(read) - size + 1)
    ]
