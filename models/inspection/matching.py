"""Teams completed and evened out along alternating paths, so that nothing hangs on luck.

An inspector without room can take a task by leaving another one to somebody else. A shortest chain
of such moves is found by breadth-first search; where there is none, there is no assignment at all
(max-flow = min-cut), and what the search reached is the bottleneck.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.inspection.board import BOUNDLESS

if TYPE_CHECKING:
    from models.features.arrays import Longs
    from models.inspection.board import Board
    from models.inspection.inspectors import Flags


@dataclass(eq=False)
class Matching:
    """Teams as they are being made: ``teams`` (tasks x size, −1 for an empty place)."""

    board: Board
    teams: Longs
    load: Longs
    held: list[set[int]]


@dataclass(frozen=True, slots=True)
class Stuck:
    """What a search reached without finding a way: the bottleneck."""

    tasks: list[int]
    inspectors: list[int]


@dataclass(slots=True)
class _Search:
    """A breadth-first search: who was reached, and by which move."""

    reached: Flags
    moves: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    """Person: the task to be joined and who would leave it, −1 for an empty place."""
    tasks: set[int] = field(default_factory=set[int])
    spent: set[int] = field(default_factory=set[int])
    """Kinds of tasks that nobody is left for."""


def greedy(board: Board) -> Matching:
    """Fill teams one task after another, the least loaded first, at random among equals."""
    from models.inspection.teams import first_teams  # compiled: it takes a second to load

    teams = np.full((len(board.tasks), board.size), -1, np.int64)
    load = np.zeros(len(board.inspectors), np.int64)
    first_teams(
        board.order, board.kind, board.able, board.barred.of, board.barred.starts, board.last.of,
        board.last.starts, board.task_bits, board.bits, board.room, load, teams,
    )  # fmt: skip
    return matching_of(board, teams)


def matching_of(board: Board, teams: Longs) -> Matching:
    """Return the matching of given teams."""
    held: list[set[int]] = [set() for _ in range(len(board.inspectors))]
    for task, place in zip(*np.nonzero(teams >= 0), strict=True):
        held[int(teams[task, place])].add(int(task))
    load = np.array([len(one) for one in held], np.int64)
    return Matching(board, teams, load, held)


def complete(made: Matching) -> Stuck | None:
    """Fill every empty place; return the bottleneck of the first that no chain can fill."""
    for task in made.board.order.tolist():
        for _ in range(int((made.teams[task] < 0).sum())):
            stuck = fill(made, task)
            if stuck is not None:
                return stuck
    return None


def fill(made: Matching, task: int) -> Stuck | None:
    """Fill one empty place of ``task`` with the fewest other changes."""
    search = _Search(np.zeros(len(made.load), np.bool_))
    end = _reach(made, search, deque([(task, -1)]), most=BOUNDLESS)
    if end is None:
        return Stuck(sorted(search.tasks), np.nonzero(search.reached)[0].tolist())
    _move(made, search, end)
    return None


def even_out(made: Matching) -> None:
    """Move tasks along chains until nobody can be relieved by somebody who has two fewer."""
    settled = np.zeros(len(made.load), np.bool_)
    while True:
        left = np.where(settled | (made.load < made.load.min() + 2), -1, made.load)
        person = int(left.argmax())
        if left[person] < 0:
            return
        search = _Search(np.zeros(len(made.load), np.bool_))
        search.reached[person] = True
        starts = deque((task, person) for task in sorted(made.held[person]))
        end = _reach(made, search, starts, most=int(made.load[person]) - 2)
        if end is None:
            settled |= search.reached  # whoever is reached has nowhere else to go either
        else:
            touched = _move(made, search, end)
            if settled[made.teams[touched].ravel()].any() or settled[end]:
                settled[:] = False  # a way out of those who had none may have come about


def _reach(
    made: Matching, search: _Search, queue: deque[tuple[int, int]], *, most: int
) -> int | None:
    """Return who can take one task more, at most ``most`` loaded now; null if nobody is reached.

    A task may come up once for each of its members: who of the last team may join depends on who
    leaves. Each person comes up once, so a chain is of distinct people.
    """
    from models.inspection.teams import pair_keys

    keys = np.empty(len(made.load), np.int64)
    free = (made.load < made.board.room) & (made.load <= most)
    while queue:
        task, leaving = queue.popleft()
        search.tasks.add(task)
        kind = int(made.board.kind[task])
        if kind in search.spent:
            continue
        if not (made.board.able[kind].view(np.bool_) & ~search.reached).any():
            search.spent.add(kind)
            continue
        new = np.nonzero(_takers(made, task, leaving) & ~search.reached)[0]
        if not len(new):
            continue
        pair_keys(int(made.board.task_bits[task]), made.board.bits, keys)
        new = new[np.lexsort((keys[new], made.load[new]))]
        search.reached[new] = True
        search.moves.update(dict.fromkeys(new.tolist(), (task, leaving)))
        able = new[free[new]]
        if len(able):
            return int(able[0])
        for person in map(int, new):
            queue.extend((held, person) for held in sorted(made.held[person]))
    return None


def _takers(made: Matching, task: int, leaving: int) -> Flags:
    """Tell who could join ``task`` if ``leaving`` left it."""
    may = made.board.may(task)
    team = made.teams[task]
    may[team[team >= 0]] = False
    last = made.board.last.at(task)
    if len(last):
        staying = {one for one in team.tolist() if one != leaving}
        if len(staying.intersection(last.tolist())) >= made.board.size - 1:
            may[last] = False
    return may


def _move(made: Matching, search: _Search, end: int) -> list[int]:
    """Make the moves that led to ``end``; return the tasks whose teams they changed."""
    touched: list[int] = []
    person = end
    while person in search.moves:
        task, leaving = search.moves[person]
        made.teams[task, int(np.nonzero(made.teams[task] == leaving)[0][0])] = person
        made.held[person].add(task)
        made.load[person] += 1
        if leaving >= 0:
            made.held[leaving].discard(task)
            made.load[leaving] -= 1
        touched.append(task)
        person = leaving
    return touched
