"""The linear models: TF-IDF of character n-grams and a linear support vector machine.

The plain one is the baseline: it lives beside the transformer, runs in every evaluation, and is
what gets promoted where nothing beats it. The other counts the beginning of a text more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, cast

import numpy as np
import numpy.typing as npt

from models.errors import FitError
from models.text.heads import Floats, Head, places, width
from models.text.linear import EVEN, Lead, Linear, ngrams
from models.text.mask import STAR, mask
from training.text.targets import Targets

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LENGTHS: Final = (1, 3)
_ABSENT: Final = -2.0
"""Score of a label that no text to learn from has: below any usual negative."""


class _Machine(Protocol):
    """The part of scikit-learn's ``LinearSVC`` that is used."""

    coef_: npt.NDArray[np.float64]
    intercept_: npt.NDArray[np.float64]
    classes_: npt.NDArray[np.int64]

    def fit(self, rows: csr_matrix, labels: npt.NDArray[np.int64]) -> _Machine: ...


class Vectorizer(Protocol):
    """The part of scikit-learn's ``TfidfVectorizer`` that is used."""

    idf_: npt.NDArray[np.float64]

    def fit_transform(self, texts: Sequence[str]) -> csr_matrix:
        """Learn the n-grams of texts, and return rows × n-grams."""
        ...

    def transform(self, texts: Sequence[str]) -> csr_matrix:
        """Return rows × n-grams learnt before."""
        ...

    def get_feature_names_out(self) -> npt.NDArray[np.str_]:
        """Return the n-grams, in the order of columns."""
        ...


def vectorizer(at_least: int, *, grams: Callable[[str], list[str]] | None = None) -> Vectorizer:
    """Return scikit-learn's counter, with the n-grams that :mod:`models.text.linear` takes."""
    from sklearn.feature_extraction import text as counters

    make = cast("Callable[..., Vectorizer]", counters.TfidfVectorizer)
    return make(
        analyzer=grams or partial(ngrams, lengths=LENGTHS),
        min_df=at_least,
        sublinear_tf=True,
        dtype=np.float32,
    )


@dataclass(frozen=True, eq=False)
class Counted:
    """Texts as weighted n-grams, so that several settings can be tried on one count."""

    rows: csr_matrix
    grams: tuple[str, ...]
    idf: Floats
    lead: Lead

    def part(self, rows: npt.NDArray[np.int64]) -> Counted:
        """Return some of the texts, weighted as all of them are."""
        return Counted(cast("csr_matrix", self.rows[rows]), self.grams, self.idf, self.lead)

    def scores(self, model: Linear) -> Floats:
        """Return what a model of the same n-grams makes of the texts."""
        product = cast("Floats", self.rows @ model.weights)
        return product + model.intercepts


def count(texts: Sequence[str], *, at_least: int = 2, lead: Lead = EVEN) -> Counted:
    """Count the n-grams seen in ``at_least`` texts; :class:`FitError` where there are none.

    None of personal data is: the n-grams are written down in the bundle.
    """
    made = vectorizer(min(at_least, max(1, len(texts))), grams=partial(_impersonal, lead=lead))
    try:
        rows = made.fit_transform(texts)
    except ValueError as error:
        raise FitError(
            f"{len(texts)} texts have no character n-gram in common; "
            "give texts with content, and more of them"
        ) from error
    grams = tuple(str(gram) for gram in made.get_feature_names_out())
    return Counted(rows, grams, made.idf_.astype(np.float32), lead)


def _impersonal(text: str, *, lead: Lead) -> list[str]:
    return [gram for gram in ngrams(mask(text) or "", LENGTHS, lead) if STAR not in gram]


def fit_linear(counted: Counted, targets: Targets, *, c: float = 1.0, seed: int = 7) -> Linear:
    """Fit one linear machine a head.

    Args:
        counted: The texts.
        targets: Their answers; rows whose head is unknown are left out of that head.
        c: Inverse strength of regularisation.
        seed: Of the solver's coordinate order.
    """
    wide = width(targets.heads)
    weights = np.zeros((len(counted.grams), wide), dtype=np.float32)
    intercepts = np.full(wide, _ABSENT, dtype=np.float32)
    for head, columns in zip(targets.heads, places(targets.heads).values(), strict=True):
        rows, answers = targets.of(head)
        fit = _one_of if head.kind == "one" else _many_of
        weights[:, columns], intercepts[columns] = fit(
            head, cast("csr_matrix", counted.rows[rows]), answers, c, seed
        )
    return Linear(counted.grams, LENGTHS, counted.idf, weights, intercepts, counted.lead)


def _one_of(
    head: Head, rows: csr_matrix, answers: Floats, c: float, seed: int
) -> tuple[Floats, Floats]:
    weights, intercepts = _empty(head, rows)
    labels = answers.argmax(axis=1)
    if np.unique(labels).size < 2:
        intercepts[labels[:1]] = 1.0
        return weights, intercepts
    made = _machine(c, seed).fit(rows, labels)
    if made.classes_.size == 2:
        half = np.stack([-made.coef_[0], made.coef_[0]], axis=1) / 2
        weights[:, made.classes_] = half
        intercepts[made.classes_] = np.array([-1, 1]) * made.intercept_[0] / 2
    else:
        weights[:, made.classes_] = made.coef_.T
        intercepts[made.classes_] = made.intercept_
    return weights, intercepts


def _many_of(
    head: Head, rows: csr_matrix, answers: Floats, c: float, seed: int
) -> tuple[Floats, Floats]:
    weights, intercepts = _empty(head, rows)
    for label in range(len(head.labels)):
        holds = (answers[:, label] >= 0.5).astype(np.int64)
        if np.unique(holds).size == 2:
            made = _machine(c, seed).fit(rows, holds)
            weights[:, label], intercepts[label] = made.coef_[0], made.intercept_[0]
        elif holds.size and holds[0]:
            intercepts[label] = -_ABSENT
    return weights, intercepts


def _empty(head: Head, rows: csr_matrix) -> tuple[Floats, Floats]:
    shape = cast("tuple[int, int]", rows.shape)
    weights = np.zeros((shape[1], len(head.labels)), dtype=np.float32)
    return weights, np.full(len(head.labels), _ABSENT, dtype=np.float32)


def _machine(c: float, seed: int) -> _Machine:
    from sklearn.svm import LinearSVC

    return cast("_Machine", LinearSVC(C=c, random_state=seed))
