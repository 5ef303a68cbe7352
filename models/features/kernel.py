# ruff: noqa: C901, FBT001, PLR0912, PLR0913, PLR0917
# Compiled functions take plain arrays and scalars by place; a loop over rows is what they are for.
"""The compiled pass over rows sorted by subject and day.

Importing this module imports numba and loads the machine code, or compiles it (:mod:`.compiled`).
One thread, no interpreter lock, no reordering of float64 arithmetic: the same rows give the same
bits on one machine and on another.

Days are int32 since 1970-01-01, instants int64 microseconds since then.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.features.compiled import compiled

NEVER: Final = -(2**31)
"""A day before all days, as in :mod:`.interval`; here because the cache watches this file alone."""
TILE: Final = 32
"""Subjects whose features are gathered before they are written to their columns."""

Bytes: TypeAlias = NDArray[np.uint8]
Days: TypeAlias = NDArray[np.int32]
Longs: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]


@compiled("i8 i8 i4 u1*")
def day_order(starts: Longs, stops: Longs, day: Days, answer: Bytes) -> None:
    """Set ``answer[0]`` to 1 where the days of every subject ascend, else to 0."""
    answer[0] = 1
    for subject in range(len(starts)):
        for i in range(starts[subject] + 1, stops[subject]):
            if day[i] < day[i - 1]:
                answer[0] = 0
                return


@compiled()
def _first_from(day: Days, low: int, high: int, date: int) -> int:
    """Return the first row in [low, high) whose day is not before ``date``; ``high`` if none."""
    while low < high:
        middle = (low + high) // 2
        if day[middle] < date:
            low = middle + 1
        else:
            high = middle
    return low


@compiled()
def _choose(
    day: Days,
    known: Longs,
    until: Days,
    low: int,
    high: int,
    date: int,
    cut: int,
    widths: Days,
    chosen: Longs,
    within: Longs,
    ends: Longs,
) -> tuple[int, bool]:
    """List the rows that count as of ``date``, newest first; tell the newest day, and of ties.

    ``within`` is the shortest window of each row in ``chosen``; ``ends[w]`` is how many rows lie
    within window ``w``. The newest day may be older than every window; it is NEVER where no row
    counts at all.
    """
    i = _first_from(day, low, high, date) - 1
    window, count, ties = 0, 0, False
    while i >= low and window < len(widths):
        if day[i] < date - widths[window]:
            ends[window] = count
            window += 1
            continue
        if known[i] < cut and until[i] > date:
            ties = ties or (count > 0 and day[chosen[count - 1]] == day[i])
            chosen[count] = i
            within[count] = window
            count += 1
        i -= 1
    while window < len(widths):
        ends[window] = count
        window += 1
    if count > 0:
        return int(day[chosen[0]]), ties
    while i >= low:
        if known[i] < cut and until[i] > date:
            return int(day[i]), False
        i -= 1
    return NEVER, False


@compiled()
def _measure(
    day: Days,
    measures: Floats,
    measure: int,
    chosen: Longs,
    within: Longs,
    ends: Longs,
    ties: bool,
    values: Floats,
    full: Floats,
    partial: Floats,
    first_sum: int,
    first_max: int,
    row: int,
) -> None:
    """Write sum and maximum of one measure over each window; NaN is a missing value.

    Added newest day first and, within a day, smallest first: whatever the order of equal days.
    """
    for p in range(ends[-1]):
        values[p] = measures[measure, chosen[p]]
    if ties:
        _sort_days(day, chosen, values, ends[-1])
    total, largest = 0.0, -np.inf
    for p in range(ends[-1]):
        value = values[p]
        if not np.isnan(value):
            total += value
            largest = max(largest, value)
            full[row, first_sum + within[p]] = total
            partial[row, first_max + within[p]] = largest + 0.0  # order would choose 0 or −0
    for window in range(1, len(ends)):
        if np.isnan(partial[row, first_max + window]):
            full[row, first_sum + window] = full[row, first_sum + window - 1]
            partial[row, first_max + window] = partial[row, first_max + window - 1]


@compiled()
def _sort_days(day: Days, chosen: Longs, values: Floats, count: int) -> None:
    """Sort the values of each day."""
    p = 0
    while p < count:
        q = p + 1
        while q < count and day[chosen[q]] == day[chosen[p]]:
            q += 1
        if q > p + 1:
            values[p:q].sort()
        p = q


@compiled()
def _category(
    codes: Days,
    offsets: Longs,
    categories: Longs,
    category: int,
    chosen: Longs,
    within: Longs,
    ends: Longs,
    seen: Longs,
    in_row: Longs,
    serial: int,
    full: Floats,
    partial: Floats,
    first_count: int,
    first_distinct: int,
    first_share: int,
    row: int,
) -> None:
    """Write the counts and shares of one category's levels and its distinct values.

    A line of ``categories``: where codes, offsets (−1: one code a row) and the category's tables of
    last sight begin, and how many levels it has. A level stated twice in a row counts once; code −1
    is null. What is counted first by its shortest window is then added up over longer ones.
    """
    begin, bounds, mark0 = categories[category, 0], categories[category, 1], categories[category, 2]
    known = categories[category, 3]
    for p in range(ends[-1]):
        i = chosen[p]
        if bounds < 0:
            start, stop = begin + i, begin + i + 1
        else:
            start, stop = begin + offsets[bounds + i], begin + offsets[bounds + i + 1]
        for place in range(start, stop):
            code = codes[place]
            if code < 0:
                continue
            mark = mark0 + code
            if seen[mark] != serial:
                seen[mark] = serial
                full[row, first_distinct + within[p]] += 1.0
            elif bounds >= 0 and in_row[mark] == i:
                continue
            if bounds >= 0:
                in_row[mark] = i
            if code < known:
                full[row, first_count + within[p] * known + code] += 1.0
    for window in range(len(ends)):
        at, whole = first_count + window * known, np.float64(ends[window])
        if window > 0:
            full[row, first_distinct + window] += full[row, first_distinct + window - 1]
            for level in range(known):
                full[row, at + level] += full[row, at - known + level]
        if whole > 0.0:
            share = first_share + window * known
            for level in range(known):
                partial[row, share + level] = full[row, at + level] / whole


@compiled()
def _counts(
    ends: Longs, widths: Days, trends: Longs, full: Floats, partial: Floats, row: int
) -> None:
    """Write how many records each window has, and how the rates of two windows compare."""
    for window in range(len(ends)):
        full[row, window] = ends[window]
    for t in range(len(trends)):
        short, long = trends[t, 0], trends[t, 1]
        if ends[long] > 0:
            wide, narrow = np.int64(widths[long]), np.int64(widths[short])
            partial[row, 1 + t] = (ends[short] * wide) / (ends[long] * narrow)


@compiled()
def _flush(tile: Floats, into: Floats, at: int, size: int) -> None:
    """Write the lines of a tile to columns."""
    for feature in range(len(into)):
        for row in range(size):
            into[feature, at + row] = tile[row, feature]


@compiled("i8 i8 i4 i8 i4 f8,2 i4 i8 i8,2 i4 i8 i8 i4 i8,2 f8,2* f8,2*")
def windows(
    starts: Longs,
    stops: Longs,
    day: Days,
    known: Longs,
    until: Days,
    measures: Floats,
    codes: Days,
    offsets: Longs,
    categories: Longs,
    dates: Days,
    cuts: Longs,
    rows: Longs,
    widths: Days,
    trends: Longs,
    full: Floats,
    partial: Floats,
) -> None:
    """Write every feature of every subject as of every date.

    Rows ``starts[s]`` to ``stops[s]`` belong to subject ``s`` and ascend by day. A row counts as of
    a date where ``known`` is before the date's cut and ``until`` after the date, and its day is
    before it. ``widths`` ascend. The features of subject ``s`` as of date ``k`` go to column
    ``rows[k] + s`` of ``full`` (0 where none: counts, sums, counts of levels, distinct) and of
    ``partial`` (NaN where none: recency, trends, maxima, shares).

    Some subjects' features are gathered in a tile that the nearest cache holds, and then written to
    each column in one stretch: to write every number to its own far place costs several times more.
    """
    width, many = len(widths), len(measures)
    listed, marks, longest = 0, 0, 0
    for c in range(len(categories)):
        listed += categories[c, 3]
        marks = max(marks, categories[c, 2] + categories[c, 4])
    for s in range(len(starts)):
        longest = max(longest, stops[s] - starts[s])
    chosen, values = np.empty(longest, np.int64), np.empty(longest, np.float64)
    within, ends = np.empty(longest, np.int64), np.empty(width, np.int64)
    seen, in_row = np.zeros(marks, np.int64), np.full(marks, -1, np.int64)
    zeros, gaps = np.empty((TILE, len(full))), np.empty((TILE, len(partial)))
    first_max = 1 + len(trends)
    serial = 0
    for first in range(0, len(starts), TILE):
        size = min(TILE, len(starts) - first)
        for k in range(len(dates)):
            zeros[:] = 0.0
            gaps[:] = np.nan
            for row in range(size):
                newest, ties = _choose(
                    day,
                    known,
                    until,
                    starts[first + row],
                    stops[first + row],
                    dates[k],
                    cuts[k],
                    widths,
                    chosen,
                    within,
                    ends,
                )
                if newest == NEVER:
                    continue
                gaps[row, 0] = dates[k] - newest
                if ends[-1] == 0:
                    continue
                serial += 1
                _counts(ends, widths, trends, zeros, gaps, row)
                for m in range(many):
                    at, gap = width * (1 + m), first_max + width * m
                    _measure(
                        day,
                        measures,
                        m,
                        chosen,
                        within,
                        ends,
                        ties,
                        values,
                        zeros,
                        gaps,
                        at,
                        gap,
                        row,
                    )
                before = 0
                for c in range(len(categories)):
                    at, gap = width * (1 + many + before), first_max + width * (many + before)
                    _category(
                        codes,
                        offsets,
                        categories,
                        c,
                        chosen,
                        within,
                        ends,
                        seen,
                        in_row,
                        serial,
                        zeros,
                        gaps,
                        at,
                        width * (1 + many + listed + c),
                        gap,
                        row,
                    )
                    before += categories[c, 3]
            _flush(zeros, full, rows[k] + first, size)
            _flush(gaps, partial, rows[k] + first, size)
