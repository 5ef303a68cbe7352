"""What every act on a plan does: find it, see who may, lock it, take the step, audit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Path, Query

from models.inspection.plan import Period
from models.inspection.progress import Progress, State
from serving.api.audited import audited
from serving.auth.caller import Caller
from serving.inspecting.scope import sees_above, takes_part
from serving.ledger import plans
from serving.ledger.engine import Connection
from serving.ledger.plans import WHOLE, Declared
from serving.problems import Problem
from serving.service import Service

PlanId = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="计划编号", examples=["catering_2027"])
]
PERIOD: Final = r"^[^\x00-\x1f\x7f]{1,60}$"
PeriodName = Annotated[
    str | None, Query(pattern=PERIOD, description="期次；计划只有一期时可省", examples=["2027Q1"])
]


@dataclass(frozen=True, slots=True)
class At:
    """A period of a plan and how far it has come."""

    declared: Declared
    period: Period
    progress: Progress

    @property
    def key(self) -> tuple[str, str]:
        """Return the plan's id and the period's."""
        return self.declared.plan.id, self.period.id


def visible(
    connection: Connection, plan_id: str, caller: Caller, *, lock: bool = False, write: bool = False
) -> Declared:
    """Return a plan that the caller may see; a problem 404 as if there were none otherwise.

    ``write``: the plan's region must be within the caller's, not only the other way round.
    """
    found = plans.find(connection, plan_id, lock=lock)
    if found is None or not (sees_above(caller, found.region) and takes_part(caller, found.plan)):
        raise missing(plan_id)
    if write and not caller.sees_region(found.region):
        raise Problem(
            403,
            "outside-scope",
            f"plan {plan_id} is of region '{found.region}', which is wider than this caller's; "
            "whoever is in charge there acts on it",
        )
    return found


def public(connection: Connection, plan_id: str, period: str | None) -> At:
    """Return a period that everybody may see: from the freeze on."""
    declared = plans.find(connection, plan_id)
    if declared is None or plans.progress(connection, declared).state is State.DRAFT:
        raise missing(plan_id)
    found = at(connection, declared, period)
    if found.progress.step(State.FROZEN) is None:
        raise Problem(
            404,
            "not-frozen",
            f"period {found.period.id} of plan {plan_id} is not frozen yet; nothing is public",
        )
    return found


def at(connection: Connection, declared: Declared, period: str | None) -> At:
    """Return a period of a plan, the only one by default; a problem 404 where there is none."""
    known = {one.id: one for one in declared.plan.periods}
    name = next(iter(known)) if period is None and len(known) == 1 else period
    if name is None or name not in known:
        raise Problem(
            404 if name else 422,
            "no-such-period",
            f"plan {declared.plan.id} has the periods {', '.join(known)}; name one of them",
            more={"periods": list(known)},
        )
    return At(declared, known[name], plans.progress(connection, declared, name))


def held(
    connection: Connection,
    plan_id: str,
    caller: Caller,
    period: str | None,
    *,
    to: State | None = None,
    within: tuple[State, ...] = (),
) -> At:
    """Return a period that nobody else acts on until the transaction ends.

    A problem 409 where ``to`` is not its next state, or its state is not one of ``within``.
    """
    found = at(connection, visible(connection, plan_id, caller, lock=True, write=True), period)
    if to is not None:
        plans.refuse_early(found.progress, to)
    elif found.progress.state not in within:
        raise Problem(
            409,
            "not-in-this-state",
            f"period {found.period.id} of plan {plan_id} is {found.progress.state}; this is for "
            f"one that is {' or '.join(within)}",
            more={"state": found.progress.state, "allowed": list(within)},
        )
    return found


def step(
    connection: Connection,
    service: Service,
    caller: Caller,
    found: At,
    to: State,
    *,
    evidence: str | None = None,
) -> Progress:
    """Take a step of a period and audit it; the last thing of a transaction."""
    made = plans.step(
        connection,
        found.progress,
        to,
        period=found.period.id,
        by=caller.id,
        at=service.clock(),
        evidence=evidence,
    )
    tell(connection, service, caller, f"plan.{to}", found.key, {"evidence": evidence})
    return made


def tell(
    connection: Connection,
    service: Service,
    caller: Caller,
    action: str,
    key: tuple[str, str],
    details: Mapping[str, object],
) -> None:
    """Audit an act on a plan, or on a period of it."""
    plan_id, period = key
    target = f"plan:{plan_id}" + ("" if period == WHOLE else f"/{period}")
    audited(connection, service, caller, action, target, details=details)


def missing(plan_id: str) -> Problem:
    """Return the problem of a plan that there is not."""
    return Problem(404, "no-such-plan", f"there is no plan {plan_id}; GET /v1/plans lists them")
