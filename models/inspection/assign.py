"""Assignment of teams (随机派员): qualified, independent, evenly loaded, and random by the seed.

An assignment is found whenever there is one. Where there is none, the error names the requirement
that binds, the tasks it binds and how many inspectors fail it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from models.errors import InspectionError
from models.inspection.board import REQUIREMENTS, Board, board
from models.inspection.inspectors import typed
from models.inspection.matching import (
    Matching,
    Stuck,
    complete,
    even_out,
    fill,
    greedy,
    matching_of,
)

if TYPE_CHECKING:
    from models.inspection.inspectors import Inspectors
    from models.inspection.tasks import Tasks

TEAMS: Final = pl.Schema({"task_id": pl.String, "inspector_id": pl.String})
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Recusal:
    """An inspector taken off a task (回避), and why: kinship, former employer, the party's plea."""

    task_id: str
    inspector_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a team that followed from a recusal."""

    task_id: str
    left: str
    joined: str
    cause: Recusal


@dataclass(frozen=True, eq=False)
class Assignment:
    """Who goes where: ``teams`` has ``task_id`` and ``inspector_id``, sorted by both.

    ``recusals`` and ``changes`` are what has happened since the first assignment, in order.
    """

    seed: str
    size: int
    teams: pl.DataFrame
    recusals: tuple[Recusal, ...] = ()
    changes: tuple[Change, ...] = ()

    def loads(self) -> pl.DataFrame:
        """Return ``inspector_id`` and ``tasks``, the busiest first."""
        counts = self.teams.group_by("inspector_id").agg(pl.len().alias("tasks"))
        return counts.sort("tasks", "inspector_id", descending=[True, False])


def assign(inspectors: Inspectors, tasks: Tasks, *, seed: str, size: int = 2) -> Assignment:
    """Return a team of ``size`` for every task.

    Every member meets all requirements, at least one was not in the last team, nobody is above
    capacity, and loads are as even as these rules allow: no chain of moves relieves anybody
    in favour of somebody with two tasks fewer. All that is left open, ``seed`` decides. Raises
    :class:`InspectionError` where no assignment exists, saying what binds.
    """
    on = board(inspectors, tasks, seed, size=size, recused=TEAMS.to_frame())
    _refuse_short(on, tasks)
    made = greedy(on)
    stuck = complete(made)
    if stuck is not None:
        raise InspectionError(_bottleneck(made, stuck))
    even_out(made)
    return Assignment(seed, size, _teams(made))


def recuse(
    assignment: Assignment, inspectors: Inspectors, tasks: Tasks, *, recusals: Sequence[Recusal]
) -> Assignment:
    """Return the assignment with ``recusals`` carried out, one after another.

    Each takes one inspector off one task for good and changes the fewest other teams: none where
    anybody who may go there has room. ``inspectors`` and ``tasks`` are those of the assignment.
    Raises :class:`InspectionError` for somebody who is not on the task, a recusal without reason,
    and where nobody can take the place.
    """
    for one in recusals:
        assignment = _recused(assignment, inspectors, tasks, one)
    return assignment


def shortages(inspectors: Inspectors, tasks: Tasks, *, size: int = 2) -> pl.DataFrame:
    """Return the tasks that no team can be made for, whatever the others get.

    Columns: ``task_id``, ``subject_id``, ``matters``, ``starts``, ``ends``; ``able``, and
    ``able_again``, those of them who were in the last team; by requirement, how many inspectors
    fail it first.
    """
    on = board(inspectors, tasks, "0" * 64, size=size, recused=TEAMS.to_frame())
    return _short(on, tasks)


def teams_of(frame: pl.DataFrame) -> pl.DataFrame:
    """Check teams that were read from elsewhere."""
    return typed(frame, TEAMS, (), "the teams").sort("task_id", "inspector_id")


def _recused(
    before: Assignment, inspectors: Inspectors, tasks: Tasks, recusal: Recusal
) -> Assignment:
    task, person = recusal.task_id, recusal.inspector_id
    there = before.teams.filter(pl.col("task_id") == task, pl.col("inspector_id") == person)
    if there.is_empty():
        raise InspectionError(f"inspector '{person}' is not on task '{task}'; look at the team")
    if not recusal.reason.strip():
        raise InspectionError(f"the recusal of '{person}' from '{task}' needs a reason")
    recusals = (*before.recusals, recusal)
    barred = pl.DataFrame([(r.task_id, r.inspector_id) for r in recusals], TEAMS, orient="row")
    on = board(inspectors, tasks, before.seed, size=before.size, recused=barred)
    made = matching_of(on, _places(on, before.teams.join(there, on=list(TEAMS), how="anti")))
    place = int(on.tasks.search_sorted(task))
    if fill(made, place) is not None:
        short = _short(on, tasks).filter(pl.col("task_id") == task)
        why = _told(short.row(0, named=True), on.size) if short.height else "all others are full"
        raise InspectionError(f"nobody can take the place of '{person}' on task '{task}': {why}")
    teams = _teams(made)
    changes = _changes(before.teams, teams, recusal)
    return replace(before, teams=teams, recusals=recusals, changes=(*before.changes, *changes))


def _places(on: Board, teams: pl.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return the teams as an array of places, −1 where there is nobody."""
    made = np.full((len(on.tasks), on.size), -1, np.int64)
    sorted_ = teams.sort("task_id", "inspector_id")
    for name, known in (("task_id", on.tasks), ("inspector_id", on.inspectors)):
        lost = sorted_.filter(~pl.col(name).is_in(known.to_list()))[name]
        if lost.len():
            raise InspectionError(
                f"{name} '{lost[0]}' of the assignment is not among those given; give the tasks "
                "and inspectors that it was made from"
            )
    rows = on.tasks.search_sorted(sorted_["task_id"]).to_numpy()
    seat = sorted_.select(pl.int_range(pl.len()).over("task_id")).to_series().to_numpy()
    made[rows, seat] = on.inspectors.search_sorted(sorted_["inspector_id"]).to_numpy()
    return made


def _teams(made: Matching) -> pl.DataFrame:
    rows = np.repeat(np.arange(len(made.teams)), made.board.size)
    teams = {
        "task_id": made.board.tasks.gather(rows),
        "inspector_id": made.board.inspectors.gather(made.teams.ravel()),
    }
    return pl.DataFrame(teams).sort("task_id", "inspector_id")


def _changes(before: pl.DataFrame, after: pl.DataFrame, cause: Recusal) -> list[Change]:
    left = before.join(after, on=list(TEAMS), how="anti")
    joined = after.join(before, on=list(TEAMS), how="anti")
    both = left.join(joined, on="task_id", suffix="_joined").sort("task_id")
    return [Change(task, out, into, cause) for task, out, into in both.iter_rows()]


def _short(on: Board, tasks: Tasks) -> pl.DataFrame:
    rows: list[tuple[int, int, int, int]] = []
    by_kind = on.able.sum(axis=1, dtype=np.int64)[on.kind]
    bound = np.maximum(0, np.diff(on.last.starts) - on.size + 1)
    doubtful = by_kind - np.diff(on.barred.starts) - bound < on.size
    for task in np.nonzero(doubtful)[0].tolist():
        may = on.may(task)
        able, again = int(may.sum()), int(may[on.last.at(task)].sum())
        if able - max(0, again - on.size + 1) < on.size:
            rows.append((task, able, again, int(by_kind[task]) - able))
    names = ("place", "able", "able_again", "in_conflict")
    short = pl.DataFrame(rows, dict.fromkeys(names, pl.Int64), orient="row")
    lacking = on.lacking[on.kind[short["place"].to_numpy()].tolist()]
    named = tasks.frame.select("task_id", "subject_id", "matters", "starts", "ends")
    table = pl.concat([named[short["place"].to_list()], short, lacking], how="horizontal")
    return table.drop("place")


def _refuse_short(on: Board, tasks: Tasks) -> None:
    short = _short(on, tasks)
    if short.is_empty():
        return
    some = "\n".join(
        f"  task '{row['task_id']}' (subject '{row['subject_id']}', {row['starts']} to "
        f"{row['ends']}, {'、'.join(row['matters'])}): {_told(row, on.size)}"
        for row in short.head(_NAMED).iter_rows(named=True)
    )
    raise InspectionError(
        f"{short.height} of {len(on.tasks)} tasks cannot have a team of {on.size}:\n{some}\n"
        "qualify or certify more inspectors, move the tasks to other days, or take them out"
    )


def _told(row: dict[str, object], size: int) -> str:
    """Return who lacks what for a task, in words."""
    lacks = [f"{row[name]} {words}" for name, words in REQUIREMENTS.items() if row[name]]
    again = row["able_again"]
    rule = f", {again} of them of the last team, where one must stay away" if again else ""
    return f"{row['able']} may go{rule}, {size} must; " + (", ".join(lacks) or "there are no more")


def _bottleneck(made: Matching, stuck: Stuck) -> str:
    """Return which tasks compete for whom: the minimum cut of the flow."""
    on = made.board
    needed = len(stuck.tasks) * on.size
    full = int(made.load[stuck.inspectors].sum())
    others = int((made.teams[stuck.tasks] >= 0).sum()) - full
    names = on.tasks.gather(stuck.tasks[:_NAMED]).to_list()
    people = on.inspectors.gather(stuck.inspectors[:_NAMED]).to_list()
    # Who could go but for the rule on last teams was not reached: then that rule binds too.
    again = any(
        {one for one in on.last.at(task).tolist() if on.may(task)[one]}
        - {*stuck.inspectors, *made.teams[task].tolist()}
        for task in stuck.tasks
    )
    rule = "; one of each team must be new to the target" if again else ""
    return (
        f"capacity binds: {len(stuck.tasks)} tasks ({', '.join(names)} …) need {needed} places, "
        f"and the {len(stuck.inspectors)} inspectors who can take them ({', '.join(people)} …) "
        f"are full with {full} of them, beside {others} places of others{rule}; raise their "
        "capacity, qualify more inspectors for these tasks, or take some out"
    )
