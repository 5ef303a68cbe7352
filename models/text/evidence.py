"""Evidence: which words of a text carried an answer, as character offsets.

A text is cut into clauses, and each clause is weighed by one of several methods: what the
probability loses without it (``deletion``), the mean of that and what it says alone (``both_ends``:
the first and last terms of Shapley's value, which sees a clause whose news another one repeats), or
the sum of integrated gradients over its characters (``gradients``, transformers only). Which method
is to be believed is measured, not assumed: deleting the span it names must cost more than deleting
a random one of equal length. On fitted transformers ``deletion`` did best by that measure, which is
nearest to what it does itself, and was the quickest; so :func:`evidence_of` uses it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.errors import BundleError
from models.text.classifier import Classifier
from models.text.encoder import clean

Weights: TypeAlias = NDArray[np.float64]
Place: TypeAlias = tuple[int, int]
Scorer: TypeAlias = Callable[[Sequence[str]], Weights]
"""Texts to the probability of one answer."""
Finder: TypeAlias = Callable[[str, Sequence[Place]], Weights]
"""A text and its pieces to a weight for each piece."""

LONGEST: Final = 5_000
"""Characters of a text that are searched for evidence; markup does not count."""
MOST: Final = 64
"""Pieces of a text; neighbours are joined until there are no more."""
_WIDE: Final = 24
_NARROW: Final = 12
_DRAWS: Final = 4
"""Random spans that a method's span is held against, for each text."""
_PIECE: Final = re.compile(r"[^，,。；;：:！!？?、\s]+")


@dataclass(frozen=True, slots=True)
class Span:
    """Words that carried an answer; ``drop`` is what its probability loses without them."""

    start: int
    end: int
    drop: float


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """How far a method's first span is what an answer rests on, as means over texts."""

    drop: float
    """What the probability loses without the span."""
    random_drop: float
    """What it loses without a random span of the same length, the mean of four."""
    texts: int

    @property
    def gain(self) -> float:
        """Return how much more than chance the span carries."""
        return self.drop - self.random_drop


def pieces(text: str) -> tuple[Place, ...]:
    """Cut a text into clauses; one of more than 24 characters into parts of twelve."""
    out: list[Place] = []
    for found in _PIECE.finditer(clean(text, longest=LONGEST)):
        start, end = found.span()
        step = _NARROW if end - start > _WIDE else end - start
        out += [(at, min(at + step, end)) for at in range(start, end, step)]
    joined = -(-len(out) // MOST) or 1
    groups = [out[at : at + joined] for at in range(0, len(out), joined)]
    return tuple((group[0][0], group[-1][1]) for group in groups)


def by_deletion(score: Scorer) -> Finder:
    """Return the method that weighs a piece by what is lost without it."""

    def weigh(text: str, places: Sequence[Place]) -> Weights:
        told = score([text, *(_without(text, place) for place in places)])
        return told[0] - told[1:]

    return weigh


def by_both_ends(score: Scorer) -> Finder:
    """Return the method that also asks what a piece says alone."""

    def weigh(text: str, places: Sequence[Place]) -> Weights:
        without = [_without(text, place) for place in places]
        alone = [text[start:end] for start, end in places]
        told = score([text, "", *without, *alone])
        lost = told[0] - told[2 : 2 + len(places)]
        return (lost + told[2 + len(places) :] - told[1]) / 2

    return weigh


def by_characters(attribute: Callable[[str], Weights]) -> Finder:
    """Return the method that adds up a weight for every character of a text."""

    def weigh(text: str, places: Sequence[Place]) -> Weights:
        total = np.concatenate([[0.0], np.cumsum(attribute(text))])
        # A reader may have looked at the beginning of a text only.
        ends = np.minimum(np.asarray(places, dtype=np.int64).reshape(-1, 2), total.size - 1)
        return total[ends[:, 1]] - total[ends[:, 0]]

    return weigh


def find_evidence(text: str, score: Scorer, finder: Finder, *, top: int = 3) -> tuple[Span, ...]:
    """Return the spans that carried an answer, those that lose most first.

    Neighbouring pieces that both weigh are one span. None for a text without words, or one whose
    answer rests on no part of it.
    """
    places = pieces(text)
    if not places:
        return ()
    weights = finder(text, places)
    order: list[int] = np.argsort(-weights, kind="stable")[:top].tolist()
    chosen = _joined(text, [places[at] for at in sorted(order) if weights[at] > 0])
    if not chosen:
        return ()
    told = score([text, *(_without(text, place) for place in chosen)])
    spans = [
        Span(*place, float(told[0] - left)) for place, left in zip(chosen, told[1:], strict=True)
    ]
    return tuple(sorted(spans, key=lambda span: -span.drop))


def evidence_of(classifier: Classifier, text: str, head: str, *, top: int = 3) -> tuple[Span, ...]:
    """Return the spans that carried a classifier's likeliest answer to one question.

    Offsets are of the text as given. The cost is one reading for each of at most 64 clauses; twice
    that where each clause repeats another.

    Raises:
        BundleError: The classifier has no such question.
    """
    known = {one.name: one.labels for one in classifier.bundle.heads}
    if head not in known:
        raise BundleError(f"there is no head {head}; the model answers {', '.join(known)}")
    best = int(classifier.probabilities([text])[head][0].argmax())
    score = scorer_of(classifier, head, known[head][best])
    found = find_evidence(text, score, by_deletion(score), top=top)
    # Where one clause repeats another, nothing is lost without either of them.
    return found or find_evidence(text, score, by_both_ends(score), top=top)


def faithfulness(
    texts: Sequence[str], scorers: Sequence[Scorer], finder: Sequence[Finder], *, seed: int = 7
) -> Faithfulness:
    """Measure a method on texts, each with the scorer and finder of its own answer.

    Texts of a single piece are left out: there a random span is the same.
    """
    rng = np.random.default_rng(seed)
    drops: list[tuple[float, float]] = []
    for text, score, find in zip(texts, scorers, finder, strict=True):
        places = pieces(text)
        if len(places) < 2:
            continue
        place = places[int(np.argmax(find(text, places)))]
        length = place[1] - place[0]
        starts: list[int] = rng.integers(0, len(text[:LONGEST]) - length + 1, _DRAWS).tolist()
        others = [_without(text, (at, at + length)) for at in starts]
        told = score([text, _without(text, place), *others])
        drops.append((float(told[0] - told[1]), float(told[0] - told[2:].mean())))
    means = np.mean(drops, axis=0) if drops else np.zeros(2)
    return Faithfulness(float(means[0]), float(means[1]), len(drops))


def most_faithful(measured: Mapping[str, Faithfulness]) -> str:
    """Return the method whose spans carry most above chance; the first of equals."""
    return max(measured, key=lambda name: measured[name].gain)


def scorer_of(classifier: Classifier, head: str, label: str) -> Scorer:
    """Return the probability of one answer to one question as a scorer."""
    labels = {one.name: one.labels for one in classifier.bundle.heads}[head]
    column = labels.index(label)

    def score(texts: Sequence[str]) -> Weights:
        return classifier.probabilities(texts)[head][:, column].astype(np.float64)

    return score


def _without(text: str, place: Place) -> str:
    return text[: place[0]] + text[place[1] :]


def _joined(text: str, places: Sequence[Place]) -> list[Place]:
    """Join pieces, in order, that only punctuation or nothing parts."""
    out: list[Place] = []
    for start, end in places:
        if out and not _PIECE.search(text[out[-1][1] : start]):
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out
