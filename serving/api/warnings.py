"""Warnings: what waits for an officer, each step of its handling, and what the ladder proposes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Path, Query

from models.errors import TransitionError
from models.supervision.ladder import Proposal, proposals
from models.supervision.warning import MACHINE, Book, Level, check_outcome
from serving.api.asked import (
    LAST,
    AfterQuery,
    BeforeQuery,
    LimitQuery,
    PageQuery,
    ScenarioFilter,
    SubjectFilter,
)
from serving.api.audited import audited
from serving.api.lookup import PLAIN
from serving.api.warned import (
    FeedbackShown,
    ProposalShown,
    StepAsked,
    StepShown,
    WarningRead,
    WarningShown,
)
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.handling import rulebook
from serving.ledger import changes, explanations, feedback, reviews, warnings
from serving.ledger.engine import Connection
from serving.ledger.rows import values_of
from serving.ledger.warnings import Asked, Kept, StepTaken
from serving.problems import Problem
from serving.service import Service
from serving.supervision import WITHDRAWN, date_the_undated, dues, told

router = APIRouter(prefix="/v1/warnings", tags=["warnings"])

_NOTE: Final = "note"
_REPEATED: Final = timedelta(days=365)
"""Within which warnings of one subject are repeated ones."""

State = Literal["new", "acknowledged", "assigned", "handling", "reopened", "closed"]
Number = Annotated[int, Path(ge=1, le=LAST, description="预警编号")]
Reader = Annotated[Caller, Depends(allow(Permission.WARNINGS_READ))]
Handler = Annotated[Caller, Depends(allow(Permission.WARNINGS_HANDLE))]


@router.get("", summary="预警列表")
def every(  # noqa: PLR0913 -- each is a filter of its own
    service: ServiceDep,
    caller: Reader,
    *,
    state: Annotated[State | None, Query(description="状态")] = None,
    level: Annotated[Level | None, Query(description="级别")] = None,
    scenario: ScenarioFilter = None,
    subject: SubjectFilter = None,
    assignee: Annotated[
        str | None, Query(pattern=PLAIN, max_length=100, description="承办人")
    ] = None,
    overdue: Annotated[bool, Query(description="只看超期的")] = False,
    before: BeforeQuery = None,
    limit: LimitQuery = 50,
) -> list[WarningShown]:
    """List the warnings of the caller's regions, the newest first."""
    asked = Asked(
        caller.regions,
        service.today(),
        state=state,
        level=level,
        scenario=scenario,
        subject_id=subject,
        assignee=assignee,
        overdue=overdue,
        before=before,
        limit=limit,
    )
    with service.ledger.begin() as connection:
        date_the_undated(connection)
        rules = rulebook.book(connection, service.today())
        return [_shown(service, rules, one) for one in warnings.listing(connection, asked)]


@router.get("/escalations", summary="超期预警，按应报告的人")
def escalations(
    service: ServiceDep, caller: Reader, limit: LimitQuery = 200
) -> dict[str, list[WarningShown]]:
    """List what is overdue in the caller's regions by who is to hear of it, the newest first."""
    asked = Asked(caller.regions, service.today(), overdue=True, limit=limit)
    found: dict[str, list[WarningShown]] = {}
    with service.ledger.begin() as connection:
        date_the_undated(connection)
        rules = rulebook.book(connection, service.today())
        for one in warnings.listing(connection, asked):
            shown = _shown(service, rules, one)
            found.setdefault(shown.escalate_to, []).append(shown)
    return found


@router.get("/feedback", summary="核查反馈（标签）")
def labels(
    service: ServiceDep,
    caller: Reader,
    scenario: ScenarioFilter = None,
    after: AfterQuery = 0,
    limit: PageQuery = 100,
) -> list[FeedbackShown]:
    """List what officers found of decisions, the oldest first."""
    with service.ledger.begin() as connection:
        found = feedback.listing(
            connection, regions=caller.regions, scenario=scenario, after=after, limit=limit
        )
        void = reviews.annulled(connection, {one.decision for one in found})
    return [
        FeedbackShown.model_validate({**asdict(one), "annulled": one.decision in void})
        for one in found
    ]


@router.get("/{number}", summary="预警及其处置过程")
def one(number: Number, service: ServiceDep, caller: Reader) -> WarningRead:
    """Show a warning with every step of its handling."""
    with service.ledger.begin() as connection:
        return _read(service, connection, visible(connection, number, caller))


@router.post(
    "/{number}/steps",
    summary="处置预警",
    responses={409: {"description": "此状态不允许该操作，或他人已先操作"}},
)
def step(number: Number, body: StepAsked, service: ServiceDep, caller: Handler) -> WarningRead:
    """Take a step; of two officers at once one is first, and the other is told where it stands.

    Closing as confirmed or a false alarm gives the decision a label.
    """
    with service.ledger.begin() as connection:
        held = visible(connection, number, caller, lock=True)
        _check_version(held, body)
        state = held.state if body.step == _NOTE else _after(held, body.step)
        _check_body(body)
        rules = rulebook.book(connection, service.today())
        taken = StepTaken(
            held.version + 1,
            body.step,
            held.state,
            state,
            caller.id,
            service.clock(),
            assignee=body.to,
            outcome=body.outcome,
            note=body.note,
        )
        moved = warnings.take(connection, held, taken, changed=_changed(service, held, body, rules))
        _label(connection, moved, taken)
        changes.append_all(connection, [told(service, moved, body.step)])
        answer = _read(service, connection, moved)
        audited(connection, service, caller, f"warning.{body.step}", f"warning:{number}")
    return answer


@router.get("/{number}/proposals", summary="渐进式执法建议")
def ladder(
    number: Number,
    service: ServiceDep,
    caller: Reader,
    fact: Annotated[list[str] | None, Query(max_length=40, description="已查明的事实")] = None,
    evidence: Annotated[list[str] | None, Query(max_length=40, description="已在卷的证据")] = None,
) -> list[ProposalShown]:
    """Propose stages of the ladder, the gravest first, with what is missing; a person decides."""
    today = service.today()
    with service.ledger.begin() as connection:
        found = visible(connection, number, caller)
        before = warnings.count_of(connection, found.subject_id, since=today - _REPEATED)
        reasons = explanations.find(connection, [found.decision])
        rungs = rulebook.rungs(connection, today)
    facts = {"rule_alert" if "veto" in found.rules else "model_alert", *(fact or ())}
    if before > 1:
        facts.add("repeated_alert")
    filed = {"alert_id", *(("record_ids",) if reasons else ()), *(evidence or ())}
    found_stages = proposals(sorted(facts), sorted(filed), today, rungs=rungs)
    return [_proposal(one) for one in found_stages]


def _allowed(found: Kept) -> tuple[str, ...]:
    return () if found.outcome == WITHDRAWN else MACHINE.allowed(found.state)


def _after(held: Kept, step: str) -> str:
    """Return the state that a step leads to; what a review withdrew stays closed."""
    if held.outcome == WITHDRAWN:
        raise TransitionError(
            f"预警处置：第 {held.id} 号预警所依据的判定已经复核撤销，预警随之撤回，无可执行的操作",
            state=held.state,
            allowed=(),
        )
    return MACHINE.after(held.state, step)


def _check_version(held: Kept, body: StepAsked) -> None:
    if body.version is None or body.version == held.version:
        return
    raise Problem(
        409,
        "changed-meanwhile",
        f"warning {held.id} was at step {body.version} when it was read and is at {held.version} "
        f"({held.state}) now; read it again",
        more={
            "state": held.state,
            "version": held.version,
            "allowed": _allowed(held),
        },
    )


def _check_body(body: StepAsked) -> None:
    """Refuse a step that lacks what it needs, or brings what only another step takes."""
    needs = {"assign": "to", "reopen": "note", _NOTE: "note"}
    name = needs.get(body.step)
    if name is not None and getattr(body, name) is None:
        raise Problem(422, "incomplete", f"{body.step} needs '{name}'; say it")
    if body.step == "close":
        check_outcome(body.outcome)
    for name, owner in (("to", "assign"), ("outcome", "close")):
        if getattr(body, name) is not None and body.step != owner:
            raise Problem(422, "incomplete", f"'{name}' goes with {owner} alone; leave it out")


def _changed(service: Service, held: Kept, body: StepAsked, rules: Book) -> dict[str, object]:
    """Return what a step changes of a warning besides its state."""
    match body.step:
        case "assign":
            return {"assignee": body.to}
        case "close":
            return {"closed_on": service.today(), "outcome": body.outcome}
        case "reopen":
            first, last = dues(held.level, service.today(), rules)
            return {
                "begun_on": service.today(),
                "acknowledge_due": first,
                "close_due": last,
                "closed_on": None,
                "outcome": None,
            }
        case _:
            return {}


def _label(connection: Connection, moved: Kept, taken: StepTaken) -> None:
    if taken.step == "close" and taken.outcome in {"confirmed", "false_alarm"}:
        confirmed = taken.outcome == "confirmed"
        feedback.give(connection, moved, confirmed=confirmed, by=taken.by, at=taken.at)


def visible(connection: Connection, number: int, caller: Caller, *, lock: bool = False) -> Kept:
    """Return the warning of a number that the caller may see; a problem 404 otherwise."""
    found = warnings.get(connection, number, lock=lock)
    if found is None or not caller.sees_region(found.region):
        raise Problem(404, "not-found", f"there is no warning {number}")
    return found


def _shown(service: Service, rules: Book, found: Kept) -> WarningShown:
    today = service.today()
    unseen = found.state in {"new", "reopened"} and (found.acknowledge_due or date.max) < today
    late = found.state != "closed" and (unseen or (found.close_due or date.max) < today)
    return WarningShown.model_validate(
        {
            **values_of(found),
            "title": MACHINE.states[found.state],
            "allowed": _allowed(found),
            "overdue": late,
            "escalate_to": rules.terms(found.level).escalate_to,
        }
    )


def _read(service: Service, connection: Connection, found: Kept) -> WarningRead:
    rules = rulebook.book(connection, service.today())
    taken = warnings.steps(connection, found.id)
    shown = [StepShown.model_validate(one, from_attributes=True) for one in taken]
    return WarningRead(**_shown(service, rules, found).model_dump(), steps=shown)


def _proposal(found: Proposal) -> ProposalShown:
    stage = found.stage
    return ProposalShown(
        stage=stage.id,
        title=stage.title,
        document=stage.document,
        basis=list(stage.basis),
        because=list(found.because),
        missing=list(found.missing),
        complete=found.complete,
        rights=stage.rights,
    )
