"""How far a plan has come: draft → approved → frozen → seeded → drawn → published → closed.

Nothing goes back and nothing is left out. What each step needs as evidence is kept with it, so that
whoever looks later sees who did what, when, on which numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from models.errors import InspectionError


class State(StrEnum):
    """A state of a plan, in order."""

    DRAFT = "draft"
    APPROVED = "approved"
    FROZEN = "frozen"
    SEEDED = "seeded"
    DRAWN = "drawn"
    PUBLISHED = "published"
    CLOSED = "closed"

    @property
    def label(self) -> str:
        """Return its Chinese title."""
        return _TITLES[self]


_TITLES: Final = dict(
    zip(State, ("拟订", "已批准", "已冻结", "已定种子", "已抽取", "已公示", "已办结"), strict=True)
)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_EVIDENCE: Final = {
    State.FROZEN: "the commitment of the pool",
    State.SEEDED: "the seed",
    State.DRAWN: "the digest of the draw record",
}
"""The SHA-256 in hex that a step needs."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the state reached, by whom, when, and the digest that shows it, if it needs one."""

    state: State
    by: str
    at: datetime
    evidence: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The steps of a plan so far, the draft first; ``digest`` is that of the plan as declared.

    ``editors`` are those who changed the draft after it was begun.
    """

    plan_id: str
    digest: str
    steps: tuple[Step, ...]
    editors: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """Return the state reached."""
        return self.steps[-1].state

    def step(self, state: State) -> Step | None:
        """Return the step to ``state``, or None where it was not reached."""
        return next((one for one in self.steps if one.state is state), None)


def begin(plan_id: str, digest: str, *, by: str, at: datetime) -> Progress:
    """Return a draft by ``by``."""
    return Progress(plan_id, digest, (_step(State.DRAFT, by, at, None),))


def edit(progress: Progress, digest: str, *, by: str) -> Progress:
    """Return the draft with the digest of the plan as it was edited.

    Who edited a plan cannot approve it. Raises :class:`InspectionError` for a plan that is no draft
    any more, and without the person.
    """
    if not by.strip():
        raise InspectionError(f"the edit of plan {progress.plan_id} needs the person who makes it")
    if progress.state is not State.DRAFT:
        raise InspectionError(
            f"plan {progress.plan_id} is {progress.state} and cannot be edited; make a new plan"
        )
    return replace(progress, digest=digest, editors=(*progress.editors, by))


def advance(
    progress: Progress, to: State, *, by: str, at: datetime, evidence: str | None = None
) -> Progress:
    """Return the plan one step further.

    ``evidence`` is the SHA-256 in hex of what a step rests on: the pool's commitment for frozen,
    the seed for seeded, the record's digest for drawn; other steps take none. ``at`` has a time
    zone.

    Raises:
        InspectionError: The step is not the next one, evidence is missing or not wanted, the
            approver is who drafted or edited it, or time runs backwards.
    """
    _check_order(progress, to)
    last = progress.steps[-1]
    step = _step(to, by, at, evidence)
    if at < last.at or (to is State.SEEDED and at == last.at):
        raise InspectionError(
            f"plan {progress.plan_id} became {last.state} at {last.at.isoformat()}; it cannot "
            f"become {to} at {at.isoformat()}, which is not later"
        )
    authors = {one.strip() for one in (progress.steps[0].by, *progress.editors)}
    if to is State.APPROVED and by.strip() in authors:
        raise InspectionError(
            f"plan {progress.plan_id} was drafted by {by}, who cannot approve it; ask another "
            "person"
        )
    return replace(progress, steps=(*progress.steps, step))


def pool_trouble(progress: Progress, commitment: str) -> str | None:
    """Return why a pool of this commitment is not the one that was frozen, or None where it is."""
    frozen = progress.step(State.FROZEN)
    if frozen is None:
        return f"plan {progress.plan_id} has no frozen pool yet"
    if frozen.evidence == commitment:
        return None
    return (
        f"the pool of plan {progress.plan_id} was changed after it was frozen: its digest is "
        f"{commitment}, the published one {frozen.evidence}"
    )


def _check_order(progress: Progress, to: State) -> None:
    order = list(State)
    now, then = order.index(progress.state), order.index(to)
    who = f"plan {progress.plan_id} is {progress.state}"
    if then <= now:
        raise InspectionError(f"{who}; it cannot become {to} again, as nothing goes back")
    if to is State.SEEDED and State.FROZEN not in {one.state for one in progress.steps}:
        raise InspectionError(
            f"{who}; a seed is taken only after the pool is frozen, else the pool could be fitted "
            "to it"
        )
    if then > now + 1:
        raise InspectionError(f"{who}; it must become {order[now + 1]} before it can be {to}")


def _step(state: State, by: str, at: datetime, evidence: str | None) -> Step:
    if not by.strip():
        raise InspectionError(f"the step to {state} needs the person who makes it")
    if at.tzinfo is None:
        raise InspectionError(f"{at.isoformat()} has no time zone; give one, such as +08:00")
    wanted = _EVIDENCE.get(state)
    if wanted is None and evidence is not None:
        raise InspectionError(f"the step to {state} takes no evidence, got {evidence!r}")
    if wanted is not None and not _DIGEST.fullmatch(evidence or ""):
        raise InspectionError(
            f"the step to {state} needs {wanted}, 64 hex digits in lower case, got {evidence!r}"
        )
    return Step(state, by, at, evidence)
