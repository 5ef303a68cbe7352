"""Retrieval by words: which of many texts share the most telling character pairs with another.

BM25 over neighbouring characters (Robertson & Zaragoza, 2009), so no word list is needed. The
index is a handful of arrays, kept as one ``.npz`` without pickles.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, cast
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError

K1: Final = 1.2
B: Final = 0.75
"""BM25's usual constants."""
LONGEST: Final = 20_000
"""Characters of a text that are asked for."""

_CHUNK: Final = 2_000_000
"""Characters that are cut into pairs at a time."""
_GAP: Final = "\0"
_NO_WORD: Final = re.compile(r"[^\w\0]|_")
_BITS: Final = np.uint64(20)
"""Bits of a row in a sorting key: about a million texts; the rest is for the pair."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """Postings of character pairs: text ``rows[s]`` weighs ``weights[s]`` for pair ``p``.

    ``s`` runs over ``starts[p]:starts[p + 1]``; ``characters`` (sorted code points) and ``pairs``
    (sorted, first character's place times the number of characters, plus the second's) say which
    pair is ``p``.
    """

    characters: NDArray[np.uint32]
    pairs: NDArray[np.uint64]
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    weights: NDArray[np.float32]
    size: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Index:
        """Index texts; their places are their numbers. At most a million of them."""
        if len(texts) >= 1 << int(_BITS):
            raise ConfigError(f"{len(texts)} texts are more than an index holds; split the table")
        codes = [_codes(chunk) for chunk in _chunks(texts)]
        characters = np.unique(np.concatenate([np.zeros(0, np.uint32), *map(np.unique, codes)]))
        keys, lengths = _keys(codes, characters, len(texts))
        keys.sort()  # in place: the one large array
        first = np.ones(keys.size, dtype=np.bool_)
        np.not_equal(keys[1:], keys[:-1], out=first[1:])
        places = np.flatnonzero(first).astype(np.uint32)
        times = np.diff(places, append=np.uint32(keys.size)).astype(np.float32)
        keys = keys[first]
        del first, places
        rows = (keys & np.uint64((1 << int(_BITS)) - 1)).astype(np.int32)
        keys >>= _BITS
        begin = np.ones(keys.size, dtype=np.bool_)
        np.not_equal(keys[1:], keys[:-1], out=begin[1:])
        starts = np.append(np.flatnonzero(begin), keys.size).astype(np.int64)
        many = np.diff(starts)
        rarity = np.log1p((len(texts) - many + 0.5) / (many + 0.5)).astype(np.float32)
        usual = max(float(lengths.mean()), 1.0) if lengths.size else 1.0
        damp = (K1 * (1 - B + B * lengths / usual)).astype(np.float32)
        weights = np.repeat(rarity, many) * times / (times + damp[rows])
        weights = (weights * (K1 + 1)).astype(np.float32)
        size = np.array([len(texts)], dtype=np.int64)
        return cls(characters, keys[begin], starts, rows, weights, size)

    def scores(self, text: str) -> Floats:
        """Return how near each indexed text is; 0 where no pair is shared."""
        total = np.zeros(int(self.size[0]), dtype=np.float64)
        codes = _codes(text[:LONGEST])
        asked = np.unique(_pairs(codes, self.characters)[0])
        places = np.searchsorted(self.pairs, asked)
        known = places < self.pairs.size
        known[known] = self.pairs[places[known]] == asked[known]
        for place in places[known].tolist():
            span = slice(int(self.starts[place]), int(self.starts[place + 1]))
            total[self.rows[span]] += self.weights[span]
        return total

    def save(self, path: Path, *, of: str) -> None:
        """Write the index; ``of`` is the digest of what was indexed."""
        arrays = {one.name: cast("NDArray[np.generic]", getattr(self, one.name)) for one in _FIELDS}
        arrays["digest"] = np.frombuffer(of.encode("ascii"), dtype=np.uint8)
        np.savez(path, **arrays)  # pyright: ignore[reportArgumentType] - its stub has one option more

    @classmethod
    def load(cls, path: Path, *, of: str) -> Index:
        """Read an index; :class:`ConfigError` where it is damaged or of something else."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                held = bytes(cast("NDArray[np.uint8]", kept["digest"])).decode("ascii")
                index = cls(**{one.name: kept[one.name] for one in _FIELDS})
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise ConfigError(
                f"{path} is no index of texts ({error}); delete it, or make it anew"
            ) from error
        if held != of:
            raise ConfigError(f"{path} is the index of other texts; delete it, or make it anew")
        return index


_FIELDS: Final = fields(Index)


def _chunks(texts: Sequence[str]) -> list[str]:
    """Join texts, each ended by a gap, into strings of bounded length."""
    out: list[str] = []
    held: list[str] = []
    count = 0
    for text in texts:
        held.append(text.replace(_GAP, " "))
        count += len(text)
        if count >= _CHUNK:
            out.append(_GAP.join([*held, ""]))
            held, count = [], 0
    return [*out, _GAP.join([*held, ""])] if held else out


def _codes(text: str) -> NDArray[np.uint32]:
    """Return the letters, digits and characters of a text as code points; a gap is 0."""
    kept = _NO_WORD.sub("", unicodedata.normalize("NFKC", text))
    return np.frombuffer(kept.encode("utf-32-le", "replace"), dtype=np.uint32)


def _pairs(
    codes: NDArray[np.uint32], characters: NDArray[np.uint32]
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return the pairs of neighbours that are both known and no gap, and where they stand."""
    places = np.searchsorted(characters, codes)
    known = places < characters.size
    known[known] = characters[places[known]] == codes[known]
    known &= codes != 0
    both = known[:-1] & known[1:]
    left, right = places[:-1][both], places[1:][both]
    return left.astype(np.uint64) * np.uint64(characters.size) + right.astype(np.uint64), both


def _keys(
    codes: list[NDArray[np.uint32]], characters: NDArray[np.uint32], size: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return each pair with its text in one number, and how many pairs each text has."""
    keys = np.zeros(sum(chunk.size for chunk in codes), dtype=np.uint64)
    filled = 0
    lengths = np.zeros(size, dtype=np.int64)
    begun = 0
    for place, chunk in enumerate(codes):
        owner = begun + np.cumsum(chunk == 0)
        begun = int(owner[-1])
        pairs, both = _pairs(chunk, characters)
        owner = owner[:-1][both]
        lengths += np.bincount(owner, minlength=size)
        keys[filled : filled + pairs.size] = (pairs << _BITS) | owner.astype(np.uint64)
        filled += pairs.size
        codes[place] = np.zeros(0, np.uint32)  # no longer needed: keep the peak low
    return keys[:filled], lengths
