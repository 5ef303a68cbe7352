"""How good answers are: F1, calibration, and how much can be answered without a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from models.text.calibrate import PRECISION, answers
from models.text.heads import Floats, Head
from training.text.baseline import vectorizer

Bools = npt.NDArray[np.bool_]
BINS: Final = 15


class Measured(BaseModel):
    """One model's answers to one head, measured on texts that it has not learnt from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    macro_f1: float
    """Mean over the labels that occur, in truth or answer."""
    micro_f1: float
    """Share of right answers, where one label holds."""
    ece: float
    """Expected calibration error of the confidence, 15 bins of equal width."""
    nll: float
    """Mean negative log-likelihood of the truth, in nats."""
    coverage: float
    """Largest share of texts that could be answered with 95 % right: the best threshold."""
    answered: float
    """Share of texts answered at the threshold that was set beforehand."""
    precision: float | None
    """Share of right answers among these; null where none was answered."""


def measure(head: Head, probabilities: Floats, targets: Floats, *, threshold: float) -> Measured:
    """Measure probabilities (rows × labels) against the truth (1 where a label holds)."""
    sure, right = answers(head, probabilities, targets)
    truth, said = truths(head, probabilities, targets)
    answered = sure >= threshold
    told = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    loss = targets * np.log(told)
    if head.kind == "many":
        loss = loss + (1 - targets) * np.log(1 - told)
    return Measured(
        rows=len(right),
        macro_f1=macro_f1(truth, said),
        micro_f1=micro_f1(truth, said),
        ece=calibration_error(sure, right),
        nll=float(-loss.sum(axis=1).mean()) if len(right) else 0.0,
        coverage=coverage_at(sure, right, PRECISION),
        answered=float(answered.mean()) if len(right) else 0.0,
        precision=float(right[answered].mean()) if answered.any() else None,
    )


def truths(head: Head, probabilities: Floats, targets: Floats) -> tuple[Bools, Bools]:
    """Return truth and answer as rows × labels."""
    truth = targets >= 0.5
    if head.kind == "many":
        return truth, probabilities >= 0.5
    said = np.zeros(truth.shape, dtype=np.bool_)
    said[np.arange(len(said)), probabilities.argmax(axis=1)] = True
    return truth, said


def macro_f1(truth: Bools, said: Bools) -> float:
    """Return the mean F1 over labels that occur in truth or answer."""
    both, either = (truth & said).sum(axis=0), truth.sum(axis=0) + said.sum(axis=0)
    there = either > 0
    return float((2 * both[there] / either[there]).mean()) if there.any() else 0.0


def micro_f1(truth: Bools, said: Bools) -> float:
    """Return F1 over all labels together."""
    either = int(truth.sum() + said.sum())
    return float(2 * (truth & said).sum() / either) if either else 0.0


def calibration_error(sure: npt.NDArray[np.float64], right: Bools, *, bins: int = BINS) -> float:
    """Return the mean gap between confidence and share of right answers, weighted by bin."""
    if not sure.size:
        return 0.0
    number = np.minimum((sure * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(number, weights=right - sure, minlength=bins)
    return float(np.abs(gaps).sum() / sure.size)


def coverage_at(sure: npt.NDArray[np.float64], right: Bools, precision: float) -> float:
    """Return the largest share of texts, the surest first, of which ``precision`` are right."""
    if not sure.size:
        return 0.0
    order = np.argsort(-sure, kind="stable")
    ranked = sure[order]
    shares = np.cumsum(right[order]) / np.arange(1, order.size + 1)
    whole = np.append(ranked[1:] != ranked[:-1], True)
    good = np.flatnonzero(whole & (shares >= precision))
    return float((good[-1] + 1) / order.size) if good.size else 0.0


def bootstrap_gain(
    truth: Bools, new: Bools, old: Bools, *, seed: int = 7, resamples: int = 1000
) -> npt.NDArray[np.float64]:
    """Return the gain in macro-F1 of ``new`` over ``old`` in each of many resamples of rows."""
    rng = np.random.default_rng(seed)
    gains = np.empty(resamples)
    for turn in range(resamples):
        rows = rng.integers(0, len(truth), len(truth))
        gains[turn] = macro_f1(truth[rows], new[rows]) - macro_f1(truth[rows], old[rows])
    return gains


def near_duplicates(learnt: Sequence[str], others: Sequence[str], *, at: float = 0.8) -> Bools:
    """Tell which of ``others`` are near copies of a text that was learnt from.

    Near means that the cosine of their TF-IDF vectors of character n-grams is at least ``at``.
    """
    made = vectorizer(1)
    known = cast("_Sparse", made.fit_transform(learnt)).transpose()
    asked = cast("_Sparse", made.transform(others))
    out = np.zeros(len(others), dtype=np.bool_)
    for begin in range(0, len(others), 256):
        near = asked[begin : begin + 256] @ known
        out[begin : begin + 256] = near.max(axis=1).toarray().ravel() >= at
    return out


class _Sparse(Protocol):
    """The part of SciPy's sparse matrices that is used."""

    def transpose(self) -> _Sparse: ...
    def __getitem__(self, rows: slice) -> _Sparse: ...
    def __matmul__(self, other: _Sparse) -> _Sparse: ...
    def max(self, axis: int) -> _Sparse: ...
    def toarray(self) -> npt.NDArray[np.float32]: ...
