"""The record of an assignment (派员记录): who was drawn to go, who kept away and why, who came.

With the inspectors and tasks that it was made from, it lets anyone who may see them compute the
teams again, recusals included. Reasons of recusals are personal: the record stays in the office.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from models.errors import InspectionError
from models.inspection.assign import Assignment, Recusal, assign, recuse
from models.inspection.inspectors import Inspectors
from models.inspection.record import parsed
from models.inspection.seed import Digest
from models.inspection.tasks import Tasks


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Team(_Value):
    """The team of a task, by id."""

    task_id: str
    inspectors: tuple[str, ...]


class Recused(_Value):
    """An inspector taken off a task, and why."""

    task_id: str
    inspector_id: str
    reason: str


class Changed(_Value):
    """A change that followed from the recusal at the place ``cause``, from 0."""

    task_id: str
    left: str
    joined: str
    cause: Annotated[int, Field(ge=0)]


class AssignmentRecord(_Value):
    """All that was decided; digests are of what it was decided from and of the final teams."""

    version: Literal["xinjian-teams-v1"] = "xinjian-teams-v1"
    seed: Digest
    size: Annotated[int, Field(ge=2)]
    inspectors: Digest
    tasks: Digest
    teams: tuple[Team, ...]
    recusals: tuple[Recused, ...] = ()
    changes: tuple[Changed, ...] = ()
    result: Digest

    @classmethod
    def of(cls, made: Assignment, inspectors: Inspectors, tasks: Tasks) -> Self:
        """Record an assignment with what it was made from."""
        teams = made.teams.group_by("task_id").agg(pl.col("inspector_id").sort()).sort("task_id")
        return cls(
            seed=made.seed,
            size=made.size,
            inspectors=_people(inspectors),
            tasks=_digest(tasks.frame),
            teams=tuple(Team(task_id=task, inspectors=tuple(who)) for task, who in teams.rows()),
            recusals=tuple(Recused(**_told(one)) for one in made.recusals),
            changes=tuple(
                Changed(
                    task_id=one.task_id,
                    left=one.left,
                    joined=one.joined,
                    cause=made.recusals.index(one.cause),
                )
                for one in made.changes
            ),
            result=_digest(made.teams),
        )

    @classmethod
    def parse(cls, text: str | bytes, source: str) -> Self:
        """Read a record; :class:`InspectionError` names the ``source`` and the first fault."""
        return parsed(cls, text, source, "record of an assignment")


def verify_teams(record: AssignmentRecord, inspectors: Inspectors, tasks: Tasks) -> tuple[str, ...]:
    """Return what does not hold of a record; empty where the teams are those of the seed.

    Raises :class:`InspectionError` where no assignment can be made of what is given.
    """
    given = {
        "inspectors": (_people(inspectors), record.inspectors),
        "tasks": (_digest(tasks.frame), record.tasks),
    }
    other = [
        f"the {what} are not those that the teams were made from: their digest is {made}, the "
        f"record says {said}"
        for what, (made, said) in given.items()
        if made != said
    ]
    first = assign(inspectors, tasks, seed=record.seed, size=record.size)
    recusals = [Recusal(one.task_id, one.inspector_id, one.reason) for one in record.recusals]
    again = AssignmentRecord.of(
        recuse(first, inspectors, tasks, recusals=recusals), inspectors, tasks
    )
    apart = sorted(
        {one.task_id for one in set(again.teams) ^ set(record.teams)}
        | {one.task_id for one in set(again.changes) ^ set(record.changes)}
    )
    if apart:
        other.append(
            f"{len(apart)} tasks have other teams or changes than the seed gives, the first "
            f"'{apart[0]}'"
        )
    if not apart and again.result != record.result:
        other.append(f"the digest of the teams is {again.result}, the record says {record.result}")
    return tuple(other)


def _people(inspectors: Inspectors) -> str:
    frames = (inspectors.frame, inspectors.conflicts, inspectors.leave)
    return sha256("".join(map(_digest, frames)).encode()).hexdigest()


def _digest(frame: pl.DataFrame) -> str:
    """Return the SHA-256 of a frame as lines of JSON."""
    return sha256(frame.write_ndjson().encode()).hexdigest()


def _told(one: Recusal) -> dict[str, str]:
    return {"task_id": one.task_id, "inspector_id": one.inspector_id, "reason": one.reason}


def read_teams(text: str | bytes, source: str, inspectors: Inspectors, tasks: Tasks) -> Assignment:
    """Return a recorded assignment that holds, to be gone on with.

    Raises :class:`InspectionError` for a record that does not hold.
    """
    record = AssignmentRecord.parse(text, source)
    wrong = verify_teams(record, inspectors, tasks)
    if wrong:
        raise InspectionError(f"{source} does not hold: {'; '.join(wrong)}")
    recusals = tuple(Recusal(one.task_id, one.inspector_id, one.reason) for one in record.recusals)
    made = assign(inspectors, tasks, seed=record.seed, size=record.size)
    return recuse(made, inspectors, tasks, recusals=recusals)
