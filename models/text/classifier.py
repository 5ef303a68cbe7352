"""Reading texts: for each head the answer, how sure it is, and the next best ones.

An answer below its head's threshold is withheld: the text goes to a human desk, with the three
likeliest answers. A text without a single letter or character (null, blank, markup, digits or
emoji alone) gets no answer at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from models.errors import ModelError
from models.logs import logger
from models.text.bundle import Answering, EncoderPart, TextBundle
from models.text.encoder import clean, plain
from models.text.engine import Engine, Ids, Wanted, open_engine
from models.text.heads import Floats, places, width
from models.text.untyped import cut_at

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENS: Final = 8192
"""Tokens of a batch, padding counted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one head says of one text."""

    head: str
    labels: tuple[str, ...]
    """The answer; empty where none is sure enough, or where there is nothing to read."""
    confidence: float | None
    """Calibrated probability that the likeliest answer is right; null for nothing to read."""
    top: tuple[tuple[str, float], ...]
    """The likeliest answers, best first, for whoever decides."""
    parent: str | None = None
    """The likeliest parent of the answer, which may be sure where the leaf is not."""
    parent_confidence: float | None = None

    @property
    def abstains(self) -> bool:
        """Tell whether a person must decide."""
        return not self.labels


class Classifier:
    """Reads texts with a bundle and an engine."""

    def __init__(
        self, bundle: TextBundle, *, engine: Wanted = "auto", threads: int | None = None
    ) -> None:
        """Open the engine where the bundle has a transformer.

        Raises:
            ModelError: See :func:`models.text.engine.open_engine`.
        """
        self.bundle = bundle
        part = bundle.encoder
        self.engine: Engine | None = None
        self._reader: EncoderReader | None = None
        if part is not None:
            self.engine = open_engine(part, want=engine, threads=threads)
            self._reader = EncoderReader.of(part, self.engine)

    def scores(self, texts: Sequence[str | None]) -> Floats:
        """Return the mixed scores of all heads, rows × columns, before the last temperature."""
        read = [clean(text) for text in texts]
        encoder = self._reader.scores(read) if self._reader else None
        linear = self.bundle.linear.scores(read) if self.bundle.linear else None
        return mixed(self.bundle.answering, encoder, linear)

    def probabilities(self, texts: Sequence[str | None]) -> dict[str, Floats]:
        """Return each head's calibrated probabilities, rows × labels."""
        return calibrated_probabilities(self.bundle.answering, self.scores(texts))

    def read(self, texts: Sequence[str | None], *, top: int = 3) -> list[dict[str, Answer]]:
        """Return the answers for each text, by head."""
        told = self.probabilities(texts)
        blank = [not any(map(str.isalpha, plain(clean(text)))) for text in texts]
        return [
            {
                each.head.name: _nothing(each)
                if blank[row]
                else _answer(each, told[each.head.name][row], top)
                for each in self.bundle.answering
            }
            for row in range(len(texts))
        ]

    def frame(self, texts: Sequence[str | None], *, top: int = 3) -> pl.DataFrame:
        """Return the answers as columns, a row a text.

        For head ``leaf``: ``leaf`` (List[String], empty where a person must decide),
        ``leaf_confidence``, ``leaf_top`` (List[Struct]), ``leaf_parent``,
        ``leaf_parent_confidence``.
        """
        rows = self.read(texts, top=top)
        columns: list[pl.Series] = []
        for head in self.bundle.heads:
            said = [row[head.name] for row in rows]
            best = [[{"label": name, "p": p} for name, p in one.top] for one in said]
            shape = pl.List(pl.Struct({"label": pl.String, "p": pl.Float64}))
            name = head.name
            columns += [
                pl.Series(name, [list(one.labels) for one in said], pl.List(pl.String)),
                pl.Series(f"{name}_confidence", [one.confidence for one in said], pl.Float64),
                pl.Series(f"{name}_top", best, shape),
                pl.Series(f"{name}_parent", [one.parent for one in said], pl.String),
                pl.Series(
                    f"{name}_parent_confidence",
                    [one.parent_confidence for one in said],
                    pl.Float64,
                ),
            ]
        return pl.DataFrame(columns)


@dataclass(frozen=True, slots=True)
class EncoderReader:
    """Turns texts into tokens and batches, and batches into scores."""

    engine: Engine
    tokenizer: Tokenizer
    pad: int
    columns: int

    @classmethod
    def of(cls, part: EncoderPart, engine: Engine) -> EncoderReader:
        """Return the reader of a fitted transformer."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(part.tokenizer)
        tokenizer.encode_special_tokens = True
        cut_at(tokenizer, part.length)
        pad = tokenizer.token_to_id("[PAD]")
        return cls(engine, tokenizer, pad or 0, part.probe.scores.shape[1])

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return rows × columns; texts of like length are read together."""
        ids = [one.ids for one in self.tokenizer.encode_batch_fast(list(texts))]
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        out = np.zeros((len(ids), self.columns), dtype=np.float32)
        for rows in _batched(order, [len(one) for one in ids]):
            out[rows] = self._run(*_padded([ids[row] for row in rows], self.pad))
        return out

    def _run(self, ids: Ids, mask: Ids) -> Floats:
        """Run a batch; in halves where memory does not allow the whole."""
        try:
            return self.engine.run(ids, mask)
        except MemoryError as error:
            half = len(ids) // 2
            if not half:
                raise ModelError(
                    "a single text does not fit into the device's memory; "
                    "choose another engine, such as onnx"
                ) from error
            logger(__name__).warning("out of memory: smaller batches", texts=half)
            parts = [self._run(ids[:half], mask[:half]), self._run(ids[half:], mask[half:])]
            return np.concatenate(parts)


def mixed(answering: Sequence[Answering], encoder: Floats | None, linear: Floats | None) -> Floats:
    """Return the scores of both parts, each at its own temperature, mixed by head."""
    heads = [each.head for each in answering]
    given = [part for part in (encoder, linear) if part is not None]
    out = np.zeros((len(given[0]), width(heads)), dtype=np.float32)
    for each, columns in zip(answering, places(heads).values(), strict=True):
        alone = linear is None or encoder is None
        if encoder is not None:
            share = 1.0 if alone else each.share
            out[:, columns] += share * encoder[:, columns] / each.encoder_temperature
        if linear is not None:
            share = 1.0 if alone else 1 - each.share
            out[:, columns] += share * linear[:, columns] / each.linear_temperature
    return out


def calibrated_probabilities(answering: Sequence[Answering], scores: Floats) -> dict[str, Floats]:
    """Return each head's probabilities of mixed scores."""
    columns = places([each.head for each in answering])
    return {
        each.head.name: each.head.probabilities(
            scores[:, columns[each.head.name]], each.calibration.temperature
        )
        for each in answering
    }


def _answer(each: Answering, told: Floats, top: int) -> Answer:
    head = each.head
    order: list[int] = np.argsort(-told, kind="stable").tolist()
    best = tuple((head.labels[place], float(told[place])) for place in order[:top])
    if head.kind == "many":
        said = tuple(head.labels[place] for place in order if told[place] >= 0.5)
        confidence = float(np.maximum(told, 1 - told).min())
    else:
        said, confidence = (best[0][0],), best[0][1]
    if confidence < each.calibration.threshold:
        said = ()
    if not head.parents:
        return Answer(head.name, said, confidence, best)
    groups = told @ head.membership
    first = int(groups.argmax())
    return Answer(head.name, said, confidence, best, head.groups[first], float(groups[first]))


def _nothing(each: Answering) -> Answer:
    return Answer(each.head.name, (), None, ())


def _batched(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cut rows that are sorted by length into batches of at most ``TOKENS`` padded tokens."""
    out: list[list[int]] = []
    for row in order:
        if not out or lengths[row] * (len(out[-1]) + 1) > TOKENS:
            out.append([])
        out[-1].append(row)
    return out


def _padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Ids, Ids]:
    wide = max(map(len, rows))
    ids = np.full((len(rows), wide), pad, dtype=np.int64)
    mask = np.zeros((len(rows), wide), dtype=np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return ids, mask
