# ruff: noqa: C901, PLR0912, PLR0913, PLR0917
# Compiled functions take plain arrays and scalars by place; a loop over rows is what they are for.
"""The compiled first pass of an assignment: task after task, by load and random key."""

from __future__ import annotations

import numpy as np

from models.features.arrays import Bytes, Longs
from models.features.compiled import compiled


@compiled()
def _mixed(task: int, inspector: int) -> np.int64:
    """Return 63 random bits of a pair: the finaliser of splitmix64 (Steele et al. 2014)."""
    z = np.uint64(task) ^ np.uint64(inspector)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((z ^ (z >> np.uint64(31))) >> np.uint64(1))


@compiled("i8,0 i8 i8*")
def pair_keys(task: int, inspectors: Longs, keys: Longs) -> None:
    """Write the random key of one task with each inspector, from their 64 random bits."""
    for i in range(len(inspectors)):
        keys[i] = _mixed(task, int(inspectors[i]))


@compiled("i8 i8 u1,2 i8 i8 i8 i8 i8 i8 i8 i8* i8,2*")
def first_teams(
    order: Longs,
    kind: Longs,
    able: Bytes,
    barred: Longs,
    barred_from: Longs,
    last: Longs,
    last_from: Longs,
    task_bits: Longs,
    bits: Longs,
    room: Longs,
    load: Longs,
    teams: Longs,
) -> None:
    """Fill ``teams`` (tasks x size, −1 for an empty place) and ``load``, in the order given.

    Each place goes to the least loaded who may take it, of those to the smallest key. ``able`` says
    by kind of task who may; ``barred`` and ``last`` list by task who may not, and who went last
    time: of these at least one must stay away.
    """
    size = teams.shape[1]
    count = able.shape[1]
    state = np.zeros(count, np.uint8)  # 1: barred here, or in the team; 2: of the last team
    for o in range(len(order)):
        t = order[o]
        for b in range(barred_from[t], barred_from[t + 1]):
            state[barred[b]] |= 1
        for b in range(last_from[t], last_from[t + 1]):
            state[last[b]] |= 2
        again = 0
        for place in range(size):
            best, best_key = -1, 0
            for i in range(count):
                if able[kind[t], i] == 0 or (state[i] & 1) or load[i] >= room[i]:
                    continue
                if (state[i] & 2) and again >= size - 1:
                    continue
                if best >= 0 and load[i] > load[best]:
                    continue
                key = _mixed(int(task_bits[t]), int(bits[i]))
                if best < 0 or load[i] < load[best] or key < best_key:
                    best, best_key = i, key
            if best < 0:
                break
            teams[t, place] = best
            load[best] += 1
            again += (state[best] & 2) // 2
            state[best] |= 1
        for place in range(size):
            if teams[t, place] >= 0:
                state[teams[t, place]] = 0
        for b in range(barred_from[t], barred_from[t + 1]):
            state[barred[b]] = 0
        for b in range(last_from[t], last_from[t + 1]):
            state[last[b]] = 0
