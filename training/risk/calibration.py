"""Fitting the step from log-odds to probability on rows later than those the booster saw.

It also undoes what weights did to the classes: whatever the booster was told of how common the
outcome is, the calibrated probability is that of the rows it is fitted on.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from models.errors import FitError
from models.risk.calibrate import Calibrator, Kind, logit, sigmoid
from models.risk.encode import FloatArray

BoolArray = npt.NDArray[np.bool_]

_STEPS: Final = 100
_CLOSE: Final = 1e-10
_STRIDE: Final = 0.5
"""Distance in log-odds of the knots beyond the outermost blocks."""
_BEYOND: Final = 3.0
"""How far, in log-odds, the curve is carried on past the values that it was fitted on."""


def calibrate(
    kind: Kind, raw: FloatArray, positive: BoolArray, weight: FloatArray | None = None
) -> Calibrator:
    """Fit a calibrator of a kind; see :class:`~models.risk.calibrate.Calibrator`.

    Args:
        kind: ``none`` leaves the log-odds as they are.
        raw: Log-odds of the booster, finite.
        positive: The outcome.
        weight: Weight of each row, not negative; equal where left out.

    Raises:
        FitError: both outcomes do not occur.
    """
    if kind == "none":
        return Calibrator()
    weights = np.ones(len(raw)) if weight is None else weight * (len(weight) / weight.sum())
    if not 0 < float(weights[positive].sum()) < float(weights.sum()):
        raise FitError(
            f"a calibration needs both outcomes; {int(positive.sum())} of {len(raw)} rows are "
            "positive: move the split, or import more"
        )
    match kind:
        case "platt":
            slope, intercept = _rising(raw[:, None], positive, weights)
            return Calibrator("platt", slope=float(slope), intercept=float(intercept))
        case "beta":
            low, high = np.logaddexp(0.0, -raw), np.logaddexp(0.0, raw)
            columns = np.column_stack([-low, high])
            first, second, intercept = _rising(columns, positive, weights)
            return Calibrator("beta", float(first), float(second), float(intercept))
        case "isotonic":
            return _isotonic(raw, positive, weights)


def _rising(columns: FloatArray, positive: BoolArray, weights: FloatArray) -> FloatArray:
    """Fit a logistic regression without falling coefficients: such a one is left out, and is 0."""
    kept = list(range(columns.shape[1]))
    while True:
        found = _logistic(columns[:, kept], _smoothed(positive, weights), weights)
        falling = [k for k, slope in zip(kept, found[:-1], strict=True) if slope < 0]
        if not falling:
            break
        kept = [k for k in kept if k not in falling]
    coefficients = np.zeros(columns.shape[1] + 1)
    coefficients[[*kept, -1]] = found
    return coefficients


def _smoothed(positive: BoolArray, weights: FloatArray) -> FloatArray:
    """Return Platt's targets, short of 0 and 1, so that a clean separation stays finite."""
    positives = float(weights[positive].sum())
    negatives = float(weights.sum()) - positives
    return np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def _logistic(columns: FloatArray, target: FloatArray, weights: FloatArray) -> FloatArray:
    """Fit by Newton's method; the coefficients, the intercept last."""
    whole = np.hstack([columns, np.ones((len(columns), 1))])
    found = np.zeros(columns.shape[1] + 1)
    rate = float((target * weights).sum() / weights.sum())
    found[-1] = float(logit(np.array([rate]))[0])
    loss = _loss(whole @ found, target, weights)
    for _ in range(_STEPS):
        p = sigmoid(whole @ found)
        gradient = whole.T @ (weights * (p - target))
        curvature = (whole * (weights * p * (1 - p))[:, None]).T @ whole
        curvature += 1e-9 * np.trace(curvature) * np.eye(len(found))
        step = np.asarray(np.linalg.solve(curvature, gradient), np.float64)
        size = 1.0
        while (new := _loss(whole @ (found - size * step), target, weights)) > loss and size > 1e-6:
            size /= 2
        if new >= loss - _CLOSE * len(target):
            break
        found, loss = found - size * step, new
    return found


def _loss(log_odds: FloatArray, target: FloatArray, weights: FloatArray) -> float:
    return float((weights * (np.logaddexp(0.0, log_odds) - target * log_odds)).sum())


def _isotonic(raw: FloatArray, positive: BoolArray, weights: FloatArray) -> Calibrator:
    """Pool adjacent violators, put each block's level at its centre, and carry the ends on.

    Between centres the curve is linear, so ranks inside a block are kept. Beyond the outermost
    centres it follows Platt's slope, else the riskiest would all be tied.
    """
    centres, levels = _blocks(raw, positive, weights)
    least = 0.5 / (float(weights.sum()) + 1)
    levels = np.clip(levels, least, 1 - least)
    slope = float(_rising(raw[:, None], positive, weights)[0])
    below = _onward(float(centres[0]), float(levels[0]), float(raw.min()) - _BEYOND, slope)
    above = _onward(float(centres[-1]), float(levels[-1]), float(raw.max()) + _BEYOND, slope)
    knots = np.concatenate([below[0][::-1], centres, above[0]])
    heights = np.concatenate([below[1][::-1], levels, above[1]])
    return Calibrator("isotonic", knots=tuple(knots.tolist()), levels=tuple(heights.tolist()))


def _onward(centre: float, level: float, end: float, slope: float) -> tuple[FloatArray, FloatArray]:
    """Return knots from ``centre`` (itself left out) towards ``end``, and their levels."""
    steps = max(int(np.ceil(abs(end - centre) / _STRIDE)), 1)
    knots = np.linspace(centre, end, steps + 1)[1:]
    start = float(logit(np.array([level]))[0])
    levels = sigmoid(start + slope * (knots - centre))
    return knots, np.maximum(levels, level) if end > centre else np.minimum(levels, level)


def _blocks(
    raw: FloatArray, positive: BoolArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return weighted mean log-odds and rate of each block, both ascending."""
    place = np.unique(raw, return_inverse=True)[1]
    mass = np.bincount(place, weights)
    hits = np.bincount(place, weights * positive)
    moment = np.bincount(place, weights * raw)
    kept = mass > 0
    stack: list[tuple[float, float, float]] = []
    for m, h, r in zip(
        mass[kept].tolist(), hits[kept].tolist(), moment[kept].tolist(), strict=True
    ):
        block = (m, h, r)
        while stack and stack[-1][1] * block[0] >= block[1] * stack[-1][0]:
            before = stack.pop()
            block = (before[0] + block[0], before[1] + block[1], before[2] + block[2])
        stack.append(block)
    pooled = np.array(stack)
    return pooled[:, 2] / pooled[:, 0], pooled[:, 1] / pooled[:, 0]
