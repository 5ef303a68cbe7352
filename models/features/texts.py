# A compiled function takes plain arrays by place; a loop over rows is what it is for.
"""Texts told apart by their views, compiled (:mod:`.compiled`); see :mod:`.views`.

A view is two words of int64; ``valid`` holds a bit a row from bit ``offset`` on, or nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.features.arrays import Bytes, Days, Longs
from models.features.compiled import compiled

_SPREAD: Final = 0x1E3779B97F4A7C15
"""An odd number without a pattern, 2⁶⁴ over the golden ratio less a bit: it spreads words."""


@compiled("i8 u1 i8,0 i4,0 i8* i4* -> i8,0")
def number(words: Longs, valid: Bytes, offset: int, begin: int, first: Longs, numbers: Days) -> int:
    """Write the number of each view, from ``begin`` on, −1 for null; return how many there are.

    ``first`` takes the row where each was first seen; −1 where they are more than it holds.
    """
    size = 16
    while size < 2 * len(first):
        size *= 2
    slots, keys = np.full(size, -1, np.int32), np.empty(2 * size, np.int64)
    count, i = 0, 0
    while i < len(numbers) and count >= 0:
        low, high, bit = words[2 * i], words[2 * i + 1], offset + i
        number = -1
        if len(valid) == 0 or (valid[bit >> 3] >> (bit & 7)) & 1:
            slot = (((low ^ (high * _SPREAD)) * _SPREAD) >> 40) & (size - 1)
            while slots[slot] >= 0 and (keys[2 * slot] != low or keys[2 * slot + 1] != high):
                slot = (slot + 1) & (size - 1)
            number = slots[slot]
            if number < 0 and count < len(first):
                slots[slot], keys[2 * slot], keys[2 * slot + 1] = begin + count, low, high
                number = begin + count
                first[count] = i
                count += 1
            elif number < 0:
                count = -1
        numbers[i] = number
        i += 1
    return count


@compiled("i4 i4*")
def renumber(places: Days, numbers: Days) -> None:
    """Replace each number by its place; −1 stays."""
    for i in range(len(numbers)):
        if numbers[i] >= 0:
            numbers[i] = places[numbers[i]]


@compiled("i8 u1 i8,0 i8* -> i8,0")
def changes(words: Longs, valid: Bytes, offset: int, rows: Longs) -> int:
    """Write to ``rows`` where the view or being null differs from the row before; count them.

    ``rows`` may have room for fewer than there are.
    """
    count = 0
    for i in range(len(words) // 2):
        before = max(i - 1, 0)
        differs = i == 0
        differs |= words[2 * i] != words[2 * before] or words[2 * i + 1] != words[2 * before + 1]
        if len(valid) > 0:
            bit, last = offset + i, offset + before
            now, then = valid[bit >> 3] >> (bit & 7), valid[last >> 3] >> (last & 7)
            differs |= (now ^ then) & 1 == 1
        if differs:
            if count < len(rows):
                rows[count] = i
            count += 1
    return count
