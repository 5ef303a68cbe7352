"""True inclusion probabilities of Pareto order sampling, by exact formulas evaluated numerically.

The target ``pi`` of order sampling is met only nearly (Rosén 1997); an unbiased estimate needs the
probability with which the design really draws a subject. Take keys as times ``t``: a subject of
target ``v`` has its key below ``t`` with probability ``F(t) = t·o / (1 + t·o)``, ``o = v/(1 − v)``.
Those in ``R`` are all among the ``n`` smallest when at most ``n − |R|`` others come before the last
of them, so that

    P(R is drawn) = ∫ P(S(t) ≤ n − |R|) d ∏ F(t)        over t from 0 to infinity,

``S(t)`` counting the others before ``t``. Its distribution at ``t`` is that at 1, a sum of
independent indicators, with weights ``t^m``; at 1 it comes from its characteristic function, of
which a few frequencies matter however large the stratum. Sources: Rosén, B. (1997), On sampling
with probability proportional to size; Bondesson, Traat and Lundqvist (2006), Pareto sampling versus
Sampford and conditional Poisson sampling (the same mixture over ``t``).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.typing import NDArray

from models.errors import InspectionError

if TYPE_CHECKING:
    from collections.abc import Callable

Floats: TypeAlias = NDArray[np.float64]
Complexes: TypeAlias = NDArray[np.complex128]

TOLERANCE: Final = 1e-9
"""How far a stated inclusion probability may be from the exact one; held by tests."""

_MOST_EXACT: Final = 4096
"""Distinct targets that enter one by one; more are gathered in as many bins of two points."""
_MOST_JOINT: Final = 400
_FAINT: Final = 1e-20
"""Size below which a frequency of the characteristic function changes no result."""
_REACH: Final = 45.0
"""Logarithm of the odds against a key beyond the ends of the integral."""
_PANEL, _NODES = 8.0, 40
_CHUNK: Final = 256


def inclusion_probabilities(pi: Floats) -> Floats:
    """Return the true probability of each subject of one stratum, in the order of ``pi``.

    ``pi`` are the targets of a stratum's subjects that are not mandatory: in (0, 1), summing to a
    whole number ``n`` (:class:`~models.inspection.pool.Pool` holds them to it). Equal targets mean
    equal probabilities ``n / N``. Else the result is within :data:`TOLERANCE` of the exact one.
    Raises :class:`InspectionError` for targets outside (0, 1) or an impossible sum.
    """
    values, places, counts = np.unique(pi, return_inverse=True, return_counts=True)
    n = _drawn(pi, values)
    if len(values) == 1:
        return np.full(len(pi), n / len(pi))
    law = _law(values, counts.astype(np.float64), n)
    made = _along(values, lambda v: _all_drawn(law, v[:, None]))[places]
    return np.clip(made, np.finfo(np.float64).tiny, 1.0)  # rounding may pass an end


def joint_probabilities(pi: Floats) -> Floats:
    """Return the matrix of the probabilities that two subjects are both drawn; one stratum.

    The diagonal holds the inclusion probabilities. Exact as :func:`inclusion_probabilities` is, and
    for strata with at most 400 distinct targets; larger ones want :func:`joint_approximation`.
    """
    values, places, counts = np.unique(pi, return_inverse=True, return_counts=True)
    n = _drawn(pi, values)
    if len(values) > _MOST_JOINT:
        raise InspectionError(
            f"{len(values)} distinct targets: exact joint probabilities are for at most "
            f"{_MOST_JOINT}; use joint_approximation, which needs only the inclusion probabilities"
        )
    law = _law(values, counts.astype(np.float64), n)
    rows, columns = np.triu_indices(len(values))
    both = np.zeros((len(values), len(values)))
    if len(values) == 1:
        both[0, 0] = n * (n - 1) / (len(pi) * (len(pi) - 1))
    elif n > 1:
        both[rows, columns] = _all_drawn(law, np.column_stack([values[rows], values[columns]]))
        both = np.maximum(both, both.T)
    matrix = both[np.ix_(places, places)]
    np.fill_diagonal(matrix, inclusion_probabilities(pi))
    return matrix


def joint_approximation(inclusion: Floats) -> Floats:
    """Return the matrix of joint probabilities by Hájek's high-entropy approximation.

    ``p_i p_j (1 − (1 − p_i)(1 − p_j) / d)`` with ``d = Σ p (1 − p)``; ``inclusion`` are the true
    probabilities of one stratum, without mandatory subjects. Relative error is of order ``1/d²``
    (Hájek 1964); the tests hold it against the exact ones.
    """
    rest = 1 - inclusion
    matrix = np.outer(inclusion, inclusion)
    matrix *= 1 - np.outer(rest, rest) / float(inclusion @ rest)
    np.fill_diagonal(matrix, inclusion)
    return matrix


@dataclass(frozen=True, slots=True)
class _Law:
    """The keys of a stratum: targets with counts, and the law of how many are below 1."""

    values: Floats
    counts: Floats
    n: int
    offsets: NDArray[np.int64]
    """Counts ``m`` of subjects below 1 that matter, less ``n``."""
    turns: Complexes
    """``z``: the points of the unit circle whose frequencies matter."""
    spectrum: Complexes
    """Characteristic function at each turn, by ``z^−n``, by its weight in the inverse."""


def _drawn(pi: Floats, values: Floats) -> int:
    if not len(pi) or not (values[0] > 0 and values[-1] < 1):
        raise InspectionError("targets must lie in (0, 1): leave mandatory subjects (pi 1) out")
    total = float(pi.sum())
    n = round(total)
    if not 1 <= n < len(pi) or abs(total - n) > 1e-6 * len(pi):
        raise InspectionError(
            f"the targets of {len(pi)} subjects sum to {total:.9g}; they must sum to a whole "
            f"number from 1 to {len(pi) - 1}: allocate the draw again"
        )
    return n


def _law(values: Floats, counts: Floats, n: int) -> _Law:
    values, counts = _gathered(values, counts)
    size = round(float(counts.sum()))
    half = ceil(9 * sqrt(float(counts @ (values * (1 - values))))) + 25
    low, high = (-n, size - n) if size <= 2 * half else (-half, half)
    points = (high - low + 1) | 1  # odd: −1 is no turn, where a target of 1/2 has no inverse
    angles = 2 * np.pi * np.arange(points // 2 + 1) / points
    turns = np.exp(1j * angles)
    bound = np.concatenate([_spectrum(values, counts, n, a) for a in np.array_split(angles, 64)])
    weights = np.where(angles == 0, 1.0, 2.0) / points
    kept = np.abs(bound) > _FAINT
    return _Law(values, counts, n, np.arange(low, high + 1), turns[kept], (bound * weights)[kept])


def _spectrum(values: Floats, counts: Floats, n: int, angles: Floats) -> Complexes:
    """Return the characteristic function at ``angles``, turned back by ``n``."""
    if not len(angles) or float(np.min(_sizes(values, counts, angles[:1]))) < np.log(_FAINT):
        return np.zeros(len(angles), np.complex128)  # sizes fall with the angle
    step = values[None, :] * (np.exp(1j * angles) - 1)[:, None]
    phase = np.arctan2(step.imag, 1 + step.real) - angles[:, None] * values[None, :]
    turned = phase @ counts + angles * (float(values @ counts) - n)
    return np.exp(_sizes(values, counts, angles) + 1j * turned)


def _sizes(values: Floats, counts: Floats, angles: Floats) -> Floats:
    """Return the logarithm of the characteristic function's absolute value."""
    spread = 2 * values * (1 - values)
    return 0.5 * np.log1p(np.outer(np.cos(angles) - 1, spread)) @ counts


def _gathered(values: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Gather many targets in bins of equal width of the logit, two points for each."""
    if len(values) <= _MOST_EXACT:
        return values, counts
    logits = _logit(values)
    width = (logits[-1] - logits[0]) / (_MOST_EXACT // 2)
    bins = np.minimum(((logits - logits[0]) / width).astype(np.int64), _MOST_EXACT // 2 - 1)
    weight = np.bincount(bins, counts)
    there = weight > 0
    share = np.where(there, weight, 1.0)
    # In the target itself, not its logit, so that the expected number below 1 stays exact.
    mean = np.bincount(bins, counts * values) / share
    spread = np.sqrt(np.bincount(bins, counts * (values - mean[bins]) ** 2) / share)
    points = np.concatenate([(mean - spread)[there], (mean + spread)[there]])
    return points, np.tile(weight[there] / 2, 2)


def _all_drawn(law: _Law, removed: Floats) -> Floats:
    """Return for each row of targets (rows x r) the probability that all r are drawn."""
    chunks = range(0, len(removed), _CHUNK)
    ends = _ends(law)
    return np.concatenate([_integral(law, removed[c : c + _CHUNK], ends) for c in chunks])


def _integral(law: _Law, removed: Floats, ends: tuple[float, float]) -> Floats:
    width = removed.shape[1]
    spectrum = law.spectrum / np.prod(
        1 + removed[:, :, None] * (law.turns - 1)[None, None, :], axis=1
    )
    # The law of the others' count at t = 1, rows x offsets.
    angles = np.outer(np.angle(law.turns), law.offsets)
    chances = spectrum.real @ np.cos(angles) + spectrum.imag @ np.sin(angles)
    before = law.offsets <= -width
    first = _before(np.array([ends[0]]), removed)[0]
    total = np.prod(first[:, :, 0], axis=1)
    for x, weights, keep, sign in (
        (*_nodes(ends[0], 0.0), ~before, -1.0),
        (*_nodes(0.0, ends[1]), before, 1.0),
    ):
        below, above, others = _before(x, removed)
        tilt = np.exp(np.outer(law.offsets[keep], x) + _tilt(law, x)[None, :])
        some = (chances[:, keep] @ tilt) * others
        at_most = some if sign > 0 else 1 - some
        density = np.prod(below, axis=1) * above.sum(axis=1)
        total += (at_most * density) @ weights
    return total


def _before(x: Floats, removed: Floats) -> tuple[Floats, Floats, Floats]:
    """Return ``F(e^x)``, ``1 − F(e^x)`` (rows x r x nodes) and what leaves the removed out."""
    rest, part = (1 - removed)[:, :, None], removed[:, :, None] * np.exp(x)[None, None, :]
    return part / (rest + part), rest / (rest + part), np.prod(rest + part, axis=1)


def _tilt(law: _Law, x: Floats) -> Floats:
    """Return ``n·x − Σ log(1 + v·(e^x − 1))``: at most 0, 0 at 0, concave."""
    change = np.outer(np.expm1(x), law.values)
    # Near −1 the change of a target near 1 has lost its digits; the sum of positives has not.
    direct = np.log((1 - law.values) + np.outer(np.exp(x), law.values))
    logs = np.where(change > -0.5, np.log1p(np.maximum(change, -0.5)), direct)
    parts = logs - np.outer(x, law.values)
    return (law.n - float(law.values @ law.counts)) * x - parts @ law.counts


def _ends(law: _Law) -> tuple[float, float]:
    """Return the logarithms of the times before and after which nothing is left to chance."""
    found: list[float] = []
    for sign in (-1.0, 1.0):
        low, high = 0.0, 1e-6
        while high < 512 and float(_tilt(law, np.array([sign * high]))[0]) > -_REACH:
            low, high = high, 2 * high
        for _ in range(12):
            middle = (low + high) / 2
            near = float(_tilt(law, np.array([sign * middle]))[0]) > -_REACH
            low, high = (middle, high) if near else (low, middle)
        found.append(sign * high)
    return found[0], found[1]


def _nodes(low: float, high: float) -> tuple[Floats, Floats]:
    """Return the nodes and weights of Gauss and Legendre on panels no longer than 8."""
    panels = ceil((high - low) / _PANEL)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    edges = np.linspace(low, high, panels + 1)
    half = (high - low) / panels / 2
    return ((edges[:-1, None] + half) + half * nodes).ravel(), np.tile(half * weights, panels)


def _along(values: Floats, function: Callable[[Floats], Floats]) -> Floats:
    """Return ``function`` of each value, interpolated where there are many: it is analytic."""
    low, high = float(_logit(values[:1])[0]), float(_logit(values[-1:])[0])
    degree = ceil(32 + 8 * (high - low))
    if len(values) <= degree + 1:
        return function(values)

    def shift(logits: Floats) -> Floats:
        return _logit(function(_expit(logits))) - logits

    fitted = Chebyshev.interpolate(shift, degree, domain=[low, high])
    logits = _logit(values)
    parts = np.array_split(logits, ceil(len(logits) / (1 << 18)))
    return np.concatenate([_expit(part + np.asarray(fitted(part))) for part in parts])


def _logit(values: Floats) -> Floats:
    return np.log(values) - np.log1p(-values)


def _expit(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-logits))
