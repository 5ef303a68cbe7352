# ruff: noqa: C901, PLR0912, PLR0913, PLR0917
# Compiled functions take plain arrays by place; a loop over rows is what they are for.
"""The compiled passes over ranked rows that serve many resamples at once.

``counts[g, b]`` says how often resample ``b`` drew cluster ``g``: the innermost loop runs over a
block of resamples that lie side by side, so that one read of a row serves them all.
Importing this module imports numba and loads or compiles the machine code.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.features.compiled import compiled

Bytes: TypeAlias = NDArray[np.uint8]
Ints: TypeAlias = NDArray[np.int32]
Floats: TypeAlias = NDArray[np.float64]

TOTAL: Final = 0
POSITIVES: Final = 1
PAIRS: Final = 2
"""Weight of pairs of a positive and a negative that are in the right order, ties being half."""
PRECISION_STEPS: Final = 3
SQUARES: Final = 4
HITS: Final = 5
"""The first of the rows for positives within each share; after them three rows for each bin:
weight, weight of positives, weighted sum of probabilities."""


@compiled()
def _weigh(counts: NDArray[np.uint8], factor: float, into: Floats) -> None:
    """Set the weights of one row; each loop over resamples is short enough to become vectors."""
    for b in range(len(into)):
        into[b] = counts[b] * factor


@compiled()
def _add(into: Floats, what: Floats) -> None:
    for b in range(len(into)):
        into[b] += what[b]


@compiled()
def _add_times(into: Floats, what: Floats, factor: float) -> None:
    for b in range(len(into)):
        into[b] += what[b] * factor


@compiled()
def _add_product(into: Floats, one: Floats, other: Floats) -> None:
    for b in range(len(into)):
        into[b] += one[b] * other[b]


@compiled()
def _add_precision(into: Floats, gained: Floats, found: Floats, seen: Floats) -> None:
    """Add precision times the positives just gained; where none were, ``seen`` may be 0."""
    for b in range(len(into)):
        into[b] += gained[b] * found[b] / max(seen[b], 1e-300)


@compiled()
def _reaches(seen: Floats, bound: Floats) -> bool:
    reached = 0
    for b in range(len(seen)):
        reached += seen[b] >= bound[b]
    return reached > 0


@compiled()
def _take_shares(
    seen: Floats,
    found: Floats,
    tied: Floats,
    tied_pos: Floats,
    shares: Floats,
    next_: NDArray[np.int64],
    bound: Floats,
    answer: Floats,
) -> None:
    """Write the positives within the shares that end inside the tie just seen."""
    many = len(shares)
    for b in range(len(seen)):
        while next_[b] < many and tied[b] > 0 and seen[b] >= bound[b]:
            above = (seen[b] - bound[b]) / tied[b]
            answer[5 + next_[b], b] = found[b] - above * tied_pos[b]
            next_[b] += 1
            bound[b] = np.inf
            if next_[b] < many:
                bound[b] = shares[next_[b]] * answer[0, b]


@compiled()
def _totals(
    group: Ints,
    positive: Bytes,
    weight: Floats,
    counts: NDArray[np.uint8],
    answer: Floats,
) -> None:
    groups = np.zeros((2, len(counts)))
    for i in range(len(group)):
        groups[0, group[i]] += weight[i]
        groups[1, group[i]] += weight[i] * positive[i]
    for g in range(len(counts)):
        for b in range(counts.shape[1]):
            answer[0, b] += counts[g, b] * groups[0, g]
            answer[1, b] += counts[g, b] * groups[1, g]


@compiled("i4 u1 f8 f8 u1 u1 u1,2 f8 f8,2*")
def sweep(
    group: Ints,
    positive: Bytes,
    weight: Floats,
    score: Floats,
    tie_ends: Bytes,
    bin_ends: Bytes,
    counts: NDArray[np.uint8],
    shares: Floats,
    answer: Floats,
) -> None:
    """Measure a ranking, rows from the highest score down, for each column of ``counts``.

    ``tie_ends`` marks the last row of equal scores, ``bin_ends`` the last of a bin of calibration.
    ``shares`` ascend; a share that ends inside a tie takes the same part of all its rows.
    """
    width, many = counts.shape[1], len(shares)
    _totals(group, positive, weight, counts, answer)
    row, seen, found = np.zeros(width), np.zeros(width), np.zeros(width)
    tied, tied_pos, tied_neg = np.zeros(width), np.zeros(width), np.zeros(width)
    foretold, squares = np.zeros(width), np.zeros(width)
    pairs, steps = np.zeros(width), np.zeros(width)
    next_ = np.zeros(width, np.int64)
    bound = np.full(width, np.inf)
    if many > 0:
        for b in range(width):
            bound[b] = shares[0] * answer[0, b]
    has_pos, has_neg = False, False
    at = 5 + many
    for i in range(len(group)):
        p, y = score[i], positive[i]
        _weigh(counts[group[i]], weight[i], row)
        _add_times(squares, row, (p - y) * (p - y))
        _add_times(foretold, row, p)
        _add(seen, row)
        if y:
            has_pos = True
            _add(tied_pos, row)
        else:
            has_neg = True
            _add(tied_neg, row)
        if tie_ends[i]:
            if has_neg:
                _add_product(pairs, tied_neg, found)
                if has_pos:
                    for b in range(width):
                        pairs[b] += 0.5 * tied_neg[b] * tied_pos[b]
            if has_pos:
                _add(found, tied_pos)
                _add_precision(steps, tied_pos, found, seen)
            if _reaches(seen, bound):
                for b in range(width):
                    tied[b] = tied_pos[b] + tied_neg[b]
                _take_shares(seen, found, tied, tied_pos, shares, next_, bound, answer)
            tied_pos[:] = 0.0
            tied_neg[:] = 0.0
            has_pos, has_neg = False, False
        if bin_ends[i]:
            for b in range(width):  # running sums here, made sums of the bin below
                answer[at, b] = seen[b]
                answer[at + 1, b] = found[b]
                answer[at + 2, b] = foretold[b]
            at += 3
    for b in range(width):
        answer[2, b], answer[3, b], answer[4, b] = pairs[b], steps[b], squares[b]
        for q in range(next_[b], many):  # a share of 1 that rounding kept from being reached
            answer[5 + q, b] = found[b]
        for place in range(at - 1, 5 + many + 2, -1):
            answer[place, b] -= answer[place - 3, b]


VISITS: Final = 6
"""Rows of a replay's answer: findings, sum of days gained, and count and days of those found
earlier and of those found later."""


@compiled("i8 f8 i4 f8 i4 u1 u1 u1,2 f8,2*")
def replay(
    stops: NDArray[np.int64],
    slot_day: Floats,
    slot_group: Ints,
    day: Floats,
    group: Ints,
    positive: Bytes,
    tie_ends: Bytes,
    counts: NDArray[np.uint8],
    answer: Floats,
) -> None:
    """Make the same visits of each window again in the order of a score.

    Windows end before ``stops``. ``slot_*`` hold a window's visits by day, the others by falling
    score. Equal scores share their slots evenly: each gets the mean day. Here ``counts`` has a row
    for each resample, since one after another is gone through.
    """
    for b in range(len(counts)):
        start = 0
        for window in range(len(stops)):
            stop = stops[window]
            slot, left = start, 0.0
            if start < stop:
                left = float(counts[b, slot_group[start]])
            first = start
            for i in range(start, stop):
                if not tie_ends[i]:
                    continue
                size = 0.0
                for j in range(first, i + 1):
                    size += counts[b, group[j]]
                days, wanted = 0.0, size
                while wanted > 0:
                    while left <= 0:
                        slot += 1
                        left = float(counts[b, slot_group[slot]])
                    taken = min(left, wanted)
                    days += taken * slot_day[slot]
                    left -= taken
                    wanted -= taken
                if size > 0:
                    mean = days / size
                    for j in range(first, i + 1):
                        n = counts[b, group[j]]
                        if positive[j] and n > 0:
                            gain = day[j] - mean
                            answer[0, b] += n
                            answer[1, b] += n * gain
                            if gain >= 0.5:
                                answer[2, b] += n
                                answer[3, b] += n * gain
                            elif gain <= -0.5:
                                answer[4, b] += n
                                answer[5, b] -= n * gain
                first = i + 1
            start = stop
