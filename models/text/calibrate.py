"""Honest confidence: one temperature a head, and a threshold below which a person decides.

Temperature scaling divides all scores of a head by one number fitted on texts that the network
has not learnt from (Guo et al., On Calibration of Modern Neural Networks, ICML 2017): the order
of answers stays, and a confidence of 0.9 comes to mean right nine times in ten.
"""

from __future__ import annotations

from math import exp, log
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from models.text.heads import Floats, Head

PRECISION: Final = 0.95
"""How often an answer given without a person should be right."""
_RANGE: Final = (0.02, 50.0)


class HeadCalibration(BaseModel):
    """How far a head's answers can be trusted, as measured on a validation slice."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: float = Field(default=1.0, gt=0)
    threshold: float = Field(default=0.6, ge=0, le=1.01)
    """Confidence from which the answer stands by itself; above 1 where none may."""
    rows: int = Field(default=0, ge=0)
    """Texts it was measured on; 0 for the default, which was measured on none."""
    coverage: float = Field(default=0.0, ge=0, le=1)
    """Share of those texts at or above the threshold."""


def calibrated(
    head: Head, scores: Floats, targets: Floats, *, precision: float = PRECISION
) -> HeadCalibration:
    """Fit temperature and threshold of a head.

    Args:
        head: The question.
        scores: Rows × labels, of texts that were not learnt from.
        targets: Rows × labels, 1 where a label holds.
        precision: How often answers at or above the threshold should be right.
    """
    if not len(scores):
        return HeadCalibration()
    temperature = fitted_temperature(head, scores, targets)
    sure, right = answers(head, head.probabilities(scores, temperature), targets)
    threshold = threshold_for(sure, right, precision)
    return HeadCalibration(
        temperature=temperature,
        threshold=threshold,
        rows=len(scores),
        coverage=float(np.mean(sure >= threshold)),
    )


def fitted_temperature(head: Head, scores: Floats, targets: Floats) -> float:
    """Return the temperature of least negative log-likelihood, by golden-section search.

    The truth is softened by one part in rows + 2 (as Platt does): a few texts that are all
    answered rightly are no reason to be certain of everything.
    """
    slack = 1 / (len(scores) + 2)
    even = 0.5 if head.kind == "many" else 1 / len(head.labels)
    soft = targets * (1 - slack) + slack * even

    def loss(log_temperature: float) -> float:
        told = head.probabilities(scores, exp(log_temperature)).astype(np.float64)
        told = np.clip(told, 1e-7, 1 - 1e-7)
        if head.kind == "many":
            return -float(np.mean(soft * np.log(told) + (1 - soft) * np.log(1 - told)))
        return -float(np.sum(soft * np.log(told))) / len(soft)

    low, high = log(_RANGE[0]), log(_RANGE[1])
    ratio = (5**0.5 - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    return exp((low + high) / 2)


def answers(
    head: Head, probabilities: Floats, targets: Floats
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the confidence of each row's answer and whether it is right.

    Where many labels may hold, an answer is as sure as its least sure label, and right where every
    label is.
    """
    if head.kind == "many":
        said = probabilities >= 0.5
        sure = np.maximum(probabilities, 1 - probabilities).min(axis=1).astype(np.float64)
        return sure, (said == (targets >= 0.5)).all(axis=1)
    best = probabilities.argmax(axis=1)
    rows = np.arange(len(best))
    return probabilities[rows, best].astype(np.float64), targets[rows, best] >= 0.5


def threshold_for(
    sure: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], precision: float
) -> float:
    """Return the least confidence at and above which ``precision`` of the answers are right.

    1.01, which no confidence reaches, where there is none.
    """
    order = np.argsort(-sure, kind="stable")
    ranked = sure[order]
    share = np.cumsum(right[order]) / np.arange(1, order.size + 1)
    # Answers of one confidence stand or fall together.
    whole = np.append(ranked[1:] != ranked[:-1], True) if order.size else np.zeros(0, np.bool_)
    good = np.flatnonzero(whole & (share >= precision))
    return float(ranked[good[-1]]) if good.size else 1.01
