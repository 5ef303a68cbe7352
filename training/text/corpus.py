"""Texts to learn from: read, cut into pieces, tokenised, and put into batches of like lengths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import ConfigError, SourceError
from models.text.encoder import clean
from models.text.untyped import cut_at

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ints = npt.NDArray[np.int64]
_ENDS: Final = re.compile(r"[^。；！？\n]*(?:[。；！？\n]|$)")
_UTF8: Final = "is not in UTF-8; save it in UTF-8"
_WINDOW: Final = 64
"""Batches that are sorted by length together: enough to waste little padding, and still mixed."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of many texts, end to end."""

    ids: npt.NDArray[np.int32]
    starts: Ints
    """Where each text begins, and one more: the end of the last."""

    def __len__(self) -> int:
        """Return how many texts there are."""
        return self.starts.size - 1

    @property
    def lengths(self) -> Ints:
        """Return how many tokens each text has."""
        return np.diff(self.starts)

    def padded(self, rows: Ints, *, pad: int) -> Ints:
        """Return ``rows`` as one matrix, padded at the right to a multiple of eight."""
        lengths = self.lengths[rows]
        wide = -(-int(lengths.max()) // 8) * 8
        out = np.full((rows.size, wide), pad, dtype=np.int64)
        for place, row in enumerate(rows):
            out[place, : lengths[place]] = self.ids[self.starts[row] : self.starts[row + 1]]
        return out


def read_texts(source: str) -> list[str]:
    """Return the texts of ``file.parquet:column``, ``file.csv:column`` or a plain ``file.txt``.

    A plain file is one text a line. Null and blank texts are left out.

    Raises:
        ConfigError: The column is not named, or is not there.
        SourceError: The file cannot be read.
    """
    name, _, column = source.rpartition(":") if not Path(source).exists() else (source, "", "")
    path = Path(name)
    if not path.is_file():
        raise SourceError(f"{source}: no such file; write FILE.txt, or FILE.parquet:COLUMN")
    if path.suffix == ".txt":
        return [line for line in _lines(path) if line.strip()]
    frame = read_table(path)
    if column not in frame.columns:
        raise ConfigError(f"{source}: name one of its columns: {', '.join(frame.columns)}")
    kind = frame.schema[column]
    if kind.is_nested() or kind == pl.Binary():
        raise ConfigError(f"{source}: holds {kind}; name a column of texts")
    kept = frame[column].cast(pl.String).drop_nulls()
    return kept.filter(kept.str.strip_chars() != "").to_list()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: {_UTF8} ({error.reason} at byte {error.start})") from error


def read_table(path: Path) -> pl.DataFrame:
    """Read a Parquet or CSV file; :class:`SourceError` where that cannot be done."""
    readers = {".parquet": pl.read_parquet, ".csv": pl.read_csv}
    if path.suffix not in readers:
        raise SourceError(f"{path}: neither .parquet nor .csv; convert it to one of these")
    try:
        return readers[path.suffix](path)
    except (OSError, pl.exceptions.PolarsError) as error:
        if "utf" in str(error).lower():
            raise SourceError(f"{path}: {_UTF8}") from error
        raise SourceError(f"{path}: cannot be read ({error})") from error


def pieces(text: str, length: int) -> list[str]:
    """Cut a text of any length into pieces of at most ``length`` characters.

    Cuts are made after a sentence where one ends in time, else in the middle of it.
    """
    out: list[str] = []
    held = ""
    for found in _ENDS.finditer(text):
        sentence = found[0].strip()
        if len(held) + len(sentence) > length and held:
            out.append(held)
            held = ""
        while len(sentence) > length:
            out.append(sentence[:length])
            sentence = sentence[length:]
        held += sentence
    return [*out, held] if held else out


def encode(tokenizer: Tokenizer, texts: Sequence[str], *, longest: int) -> Encoded:
    """Return the token ids of ``texts``, each cut at ``longest`` tokens, specials included."""
    cut_at(tokenizer, longest)
    parts: list[npt.NDArray[np.int32]] = []
    for begin in range(0, len(texts), 4096):
        some = [clean(text) for text in texts[begin : begin + 4096]]
        parts += [np.asarray(one.ids, dtype=np.int32) for one in tokenizer.encode_batch_fast(some)]
    starts = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([part.size for part in parts], out=starts[1:])
    joined = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
    return Encoded(joined, starts)


def batches(lengths: Ints, *, tokens: int, rng: np.random.Generator) -> list[Ints]:
    """Return every row once, in batches of about ``tokens`` tokens, padding counted.

    Rows of like length share a batch, so that little is padded; batches come in random order.
    """
    order = rng.permutation(lengths.size)
    window = _WINDOW * max(1, tokens // max(1, int(lengths.mean()) if lengths.size else 1))
    out: list[Ints] = []
    for begin in range(0, order.size, window):
        some = order[begin : begin + window]
        some = some[np.argsort(lengths[some], kind="stable")]
        out += _filled(some, lengths, tokens)
    return [out[place] for place in rng.permutation(len(out))]


def _filled(rows: Ints, lengths: Ints, tokens: int) -> Iterator[Ints]:
    """Cut rows that are sorted by length into batches of at most ``tokens`` padded tokens."""
    begin = 0
    for place in range(1, rows.size + 1):
        if place == rows.size or int(lengths[rows[place]]) * (place + 1 - begin) > tokens:
            yield rows[begin:place]
            begin = place


def chunks(texts: Iterable[str], *, length: int, long: int, every: int = 6) -> list[str]:
    """Cut texts for pre-training: most into short pieces, each ``every``-th into long ones.

    Long pieces cost more a character, yet later positions must be seen too.
    """
    return [
        piece
        for place, text in enumerate(texts)
        for piece in pieces(text, long if place % every == every - 1 else length)
    ]


class Order:
    """Which batch comes at which step, epoch after epoch; the same for the same seed."""

    def __init__(self, lengths: Ints, *, tokens: int, seed: int) -> None:
        """Put rows of ``lengths`` tokens into batches of about ``tokens``."""
        self._lengths, self._tokens, self._seed = lengths, tokens, seed
        self._first = self._epoch = 0
        self._batches = self._of(0)

    def _of(self, epoch: int) -> list[Ints]:
        rng = np.random.default_rng([self._seed, epoch])
        return batches(self._lengths, tokens=self._tokens, rng=rng)

    def at(self, step: int) -> Ints:
        """Return the rows of a step; steps must not go backwards."""
        while step >= self._first + len(self._batches):
            self._first += len(self._batches)
            self._epoch += 1
            self._batches = self._of(self._epoch)
        return self._batches[step - self._first]

    def steps(self, epochs: int) -> int:
        """Return how many steps so many whole epochs have."""
        return sum(len(self._of(epoch)) for epoch in range(epochs))
