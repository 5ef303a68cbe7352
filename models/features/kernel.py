# ruff: noqa: C901, PLR0913, PLR0917
# Compiled functions take plain arrays and scalars by place; a loop over rows is what they are for.
"""The compiled pass over rows sorted by subject and day.

Importing this module imports numba and loads the machine code, or compiles it (:mod:`.compiled`).
One thread, no interpreter lock, no reordering of float64 arithmetic: the same rows give the same
bits on one machine and on another.

Days are int32 since 1970-01-01, instants int64 microseconds since then.

The inner functions have one way out and call nothing that could raise. numba then does not count
the references to their arrays at every call, which would take a quarter of the time.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.features.arrays import Days, Floats, Longs
from models.features.compiled import compiled

NEVER: Final = -(2**31)
"""A day before all days, as in :mod:`.interval`; here because the cache watches this file alone."""
TILE: Final = 64
"""Subjects whose features are gathered before they are written to their columns."""


@compiled("i8 i8 i4 -> i8,0")
def day_order(starts: Longs, stops: Longs, day: Days) -> int:
    """Return how many rows are older than the row before them, of one subject."""
    count = 0
    for subject in range(len(starts)):
        for i in range(starts[subject] + 1, stops[subject]):
            count += day[i] < day[i - 1]
    return count


@compiled()
def _first_from(day: Days, low: int, high: int, date: int) -> int:
    """Return the first row in [low, high) whose day is not before ``date``; ``high`` if none."""
    size = high - low
    while size > 0:
        half = (size + 1) // 2
        low += half if day[low + half - 1] < date else 0  # a choice costs less than a jump
        size -= half
    return low


@compiled()
def _choose(
    day: Days,
    known: Longs,
    until: Days,
    first: int,
    end: int,
    date: int,
    cut: int,
    widths: Days,
    chosen: Longs,
    within: Longs,
    ends: Longs,
) -> bool:
    """List the rows in [first, end) that count as of ``date``, newest first, and tell of ties.

    ``within`` is the shortest window of each row in ``chosen``; ``ends[w]`` is how many rows lie
    within window ``w``.
    """
    for w in range(len(widths)):
        ends[w] = 0
    count, ties, last = 0, False, NEVER
    for i in range(end - 1, first - 1, -1):
        counts = (known[i] < cut) & (until[i] > date)
        window = 0
        for w in range(len(widths) - 1):
            window += day[i] < date - widths[w]
        chosen[count] = i
        within[count] = window
        ties |= counts & (day[i] == last)
        last = day[i] if counts else last
        count += counts
        ends[window] += counts
    for w in range(1, len(widths)):
        ends[w] += ends[w - 1]
    return ties


@compiled()
def _newest(known: Longs, until: Days, low: int, end: int, date: int, cut: int) -> int:
    """Return the last row in [low, end) that counts as of ``date``; ``low − 1`` if none."""
    i = end - 1
    while i >= low and not (known[i] < cut and until[i] > date):
        i -= 1
    return i


@compiled()
def _gather(measures: Floats, measure: int, chosen: Longs, count: int, values: Floats) -> None:
    """Copy one measure of the chosen rows."""
    for p in range(count):
        values[p] = measures[measure, chosen[p]]


@compiled()
def _sort_days(day: Days, chosen: Longs, count: int, values: Floats) -> None:
    """Sort the values of each day, NaN last."""
    begin = 0
    while begin < count:
        end = begin + 1
        while end < count and day[chosen[end]] == day[chosen[begin]]:
            end += 1
        gap = (end - begin) // 2
        while gap > 0:  # Shell's sort
            for p in range(begin + gap, end):
                value, q = values[p], p
                while q >= begin + gap and (
                    values[q - gap] > value or (np.isnan(values[q - gap]) and not np.isnan(value))
                ):
                    values[q] = values[q - gap]
                    q -= gap
                values[q] = value
            gap //= 2
        begin = end


@compiled()
def _measure(
    values: Floats,
    ends: Longs,
    sums: Floats,
    largest: Floats,
    full: Floats,
    partial: Floats,
    at_sum: int,
    at_max: int,
) -> None:
    """Write sum and maximum of the values within each window; NaN is a missing value.

    Added newest day first and, within a day, smallest first: whatever the order of equal days.
    ``sums[n]`` and ``largest[n]`` are those of the first n values.
    """
    total, most = 0.0, np.nan
    sums[0], largest[0] = total, most
    for p in range(ends[-1]):
        value, missing = values[p], np.isnan(values[p])
        total += 0.0 if missing else value
        most = value if (not missing) & (np.isnan(most) | (value > most)) else most
        sums[p + 1], largest[p + 1] = total, most
    for w in range(len(ends)):
        full[at_sum + w] = sums[ends[w]]
        partial[at_max + w] = largest[ends[w]] + 0.0  # order would choose 0 or −0


@compiled()
def _values(
    codes: Days,
    begin: int,
    chosen: Longs,
    within: Longs,
    count: int,
    seen: Longs,
    marks: int,
    serial: int,
    levels: int,
    full: Floats,
    at_count: int,
    at_distinct: int,
) -> None:
    """Count the levels and the distinct values of a category by the shortest window of each row.

    ``seen`` from ``marks`` on holds the serial at which each code was last seen; code −1 is null.
    """
    for p in range(count):
        code = codes[begin + chosen[p]]
        if code >= 0:
            full[at_distinct + within[p]] += seen[marks + code] != serial
            seen[marks + code] = serial
            if code < levels:
                full[at_count + within[p] * levels + code] += 1.0


@compiled()
def _lists(
    codes: Days,
    begin: int,
    offsets: Longs,
    bounds: int,
    chosen: Longs,
    within: Longs,
    count: int,
    seen: Longs,
    in_row: Longs,
    marks: int,
    serial: int,
    levels: int,
    full: Floats,
    at_count: int,
    at_distinct: int,
) -> None:
    """Do so of lists, whose bounds begin at ``bounds``; what a row states twice counts once."""
    for p in range(count):
        row = bounds + chosen[p]
        for place in range(begin + offsets[row], begin + offsets[row + 1]):
            code = codes[place]
            if code >= 0 and (seen[marks + code] != serial or in_row[marks + code] != row):
                full[at_distinct + within[p]] += seen[marks + code] != serial
                seen[marks + code], in_row[marks + code] = serial, row
                if code < levels:
                    full[at_count + within[p] * levels + code] += 1.0


@compiled()
def _widen(
    ends: Longs,
    levels: int,
    full: Floats,
    partial: Floats,
    at_count: int,
    at_distinct: int,
    at_share: int,
) -> None:
    """Add what shorter windows counted to the longer ones, and write the shares of the levels."""
    for w in range(1, len(ends)):
        full[at_distinct + w] += full[at_distinct + w - 1]
    for place in range(at_count + levels, at_count + levels * len(ends)):
        full[place] += full[place - levels]
    for w in range(len(ends)):
        whole = np.float64(ends[w])
        for place in range(w * levels, (w + 1) * levels):
            partial[at_share + place] = full[at_count + place] / whole  # NaN where both are 0


@compiled()
def _counts(
    ends: Longs,
    widths: Days,
    trends: Longs,
    full: Floats,
    partial: Floats,
    at_count: int,
    at_trend: int,
) -> None:
    """Write how many records each window has, and how the rates of two windows compare."""
    for w in range(len(ends)):
        full[at_count + w] = ends[w]
    for t in range(len(trends)):
        short, long = trends[t, 0], trends[t, 1]
        wide, narrow = np.int64(widths[long]), np.int64(widths[short])
        # NaN where the long window has no record, since the short one then has none
        partial[at_trend + t] = (ends[short] * wide) / (ends[long] * narrow)


@compiled()
def _flush(tile: Floats, into: Floats, at: int, size: int) -> None:
    """Write the lines of a tile to columns."""
    many = len(into)
    for feature in range(many):
        for row in range(size):
            into[feature, at + row] = tile[row * many + feature]


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
    chosen, within = np.empty(longest, np.int64), np.empty(longest, np.int64)
    values, sums, largest = np.empty(longest), np.empty(longest + 1), np.empty(longest + 1)
    ends = np.empty(width, np.int64)
    seen, in_row = np.zeros(marks, np.int64), np.full(marks, -1, np.int64)
    zeros, gaps = np.empty(TILE * len(full)), np.empty(TILE * len(partial))
    serial = 0
    for first in range(0, len(starts), TILE):
        size = min(TILE, len(starts) - first)
        for k in range(len(dates)):
            date, cut = dates[k], cuts[k]
            zeros[:] = 0.0
            gaps[:] = np.nan
            for row in range(size):
                low = starts[first + row]
                end = _first_from(day, low, stops[first + row], date)
                wide = _first_from(day, low, end, date - widths[-1])
                ties = _choose(
                    day, known, until, wide, end, date, cut, widths, chosen, within, ends
                )
                count = ends[-1]
                newest = chosen[0] if count > 0 else _newest(known, until, low, wide, date, cut)
                if newest < low:
                    continue
                at, gap = row * len(full), row * len(partial)
                gaps[gap] = date - day[newest]
                if count == 0:
                    continue
                serial += 1
                _counts(ends, widths, trends, zeros, gaps, at, gap + 1)
                at, gap = at + width, gap + 1 + len(trends)
                for m in range(many):
                    _gather(measures, m, chosen, count, values)
                    if ties:
                        _sort_days(day, chosen, count, values)
                    _measure(values, ends, sums, largest, zeros, gaps, at, gap)
                    at, gap = at + width, gap + width
                distinct = at + width * listed
                for c in range(len(categories)):
                    begin, bounds = categories[c, 0], categories[c, 1]
                    mark0, levels = categories[c, 2], categories[c, 3]
                    if bounds < 0:
                        _values(
                            codes,
                            begin,
                            chosen,
                            within,
                            count,
                            seen,
                            mark0,
                            serial,
                            levels,
                            zeros,
                            at,
                            distinct,
                        )
                    else:
                        _lists(
                            codes,
                            begin,
                            offsets,
                            bounds,
                            chosen,
                            within,
                            count,
                            seen,
                            in_row,
                            mark0,
                            serial,
                            levels,
                            zeros,
                            at,
                            distinct,
                        )
                    _widen(ends, levels, zeros, gaps, at, distinct, gap)
                    at, gap = at + width * levels, gap + width * levels
                    distinct += width
            _flush(zeros, full, rows[k] + first, size)
            _flush(gaps, partial, rows[k] + first, size)
