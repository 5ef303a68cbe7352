"""Complaints: sent to a department by what is read in them, or to a person who decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Path, Query, Response, status

from models.codes import regions
from models.errors import ConfigError
from models.text import dispatch
from models.text.dispatch import MACHINE, OUTCOMES, Kind, Route
from models.text.mask import mask
from models.text.taxonomy import taxonomy
from models.yaml import nearest
from serving.api.asked import LAST, AfterQuery, BeforeQuery, LimitQuery, PageQuery
from serving.api.audited import audited
from serving.api.dispatched import (
    AcceptAsked,
    ActShown,
    AssignAsked,
    CloseAsked,
    ComplaintSent,
    DispatchRead,
    DispatchShown,
    LabelShown,
    RecallAsked,
    State,
    Taken,
    check_version,
    context,
    departments,
    shown,
    text_of,
    visible,
)
from serving.api.lookup import EARLIEST, PLAIN
from serving.api.texts import check_lengths, text_model
from serving.auth.caller import Caller
from serving.auth.opening import opened
from serving.auth.roles import Permission
from serving.auth.secret import seal
from serving.deps import ServiceDep, allow
from serving.ledger import dispatches
from serving.ledger.dispatches import Act, Dispatch
from serving.problems import Problem
from serving.service import Service
from serving.texts.reading import read_for_dispatch

router = APIRouter(prefix="/v1/dispatches", tags=["dispatches"])

Number = Annotated[int, Path(ge=1, le=LAST, description="诉求编号")]
Reader = Annotated[Caller, Depends(allow(Permission.DISPATCHES_READ))]
Writer = Annotated[Caller, Depends(allow(Permission.DISPATCHES_WRITE))]
Handler = Annotated[Caller, Depends(allow(Permission.DISPATCHES_HANDLE))]
_NOT_NOW: Final[dict[int | str, dict[str, Any]]] = {
    409: {"description": "此状态不允许该操作，或他人已先操作"}
}


@router.post(
    "",
    summary="分派诉求",
    status_code=status.HTTP_201_CREATED,
    responses={
        200: {"model": DispatchShown, "description": "此前已分派；同一答复"},
        403: {"description": "事发地不在调用者的区域内"},
        409: {"description": "该编号此前已用于另一件诉求"},
    },
)
def send(
    body: ComplaintSent, service: ServiceDep, caller: Writer, response: Response
) -> DispatchShown:
    """Send a complaint to the department that its text is for, or to a person who decides.

    The text is kept sealed. Without a text model every complaint goes to a person. The same
    ``source`` and ``source_id`` with the same content gets the same answer.
    """
    check_lengths([body.text])
    received = _check(body, service, caller)
    with service.ledger.begin() as connection:
        before = dispatches.of_source(connection, body.source, body.source_id)
    if before is not None:
        return _again(service, before, body, caller, response)
    made, model = _routed(service, body)
    with service.ledger.begin() as connection:
        values = _values(service, body, caller, made, received)
        number = dispatches.add(connection, {**values, "model": model})
        if number is not None:
            audited(connection, service, caller, "dispatch.send", f"dispatch:{number}")
            return shown(service, visible(connection, number, caller, lock=False))
        first = dispatches.of_source(connection, body.source, body.source_id)
    if first is None:
        raise Problem(409, "conflict", "another request sent this complaint; send it again")
    return _again(service, first, body, caller, response)


@router.get("", summary="诉求列表")
def every(
    service: ServiceDep,
    caller: Reader,
    *,
    state: Annotated[list[State] | None, Query(description="状态；可多个")] = None,
    department: Annotated[
        str | None, Query(pattern=PLAIN, max_length=40, description="部门")
    ] = None,
    overdue: Annotated[bool, Query(description="只看超期的")] = False,
    before: BeforeQuery = None,
    limit: LimitQuery = 50,
) -> list[DispatchShown]:
    """List the complaints of the caller's regions and departments, the newest first."""
    with service.ledger.begin() as connection:
        found = dispatches.listing(
            connection,
            regions=caller.regions,
            departments=departments(caller),
            states=state or (),
            department=department,
            overdue=service.today() if overdue else None,
            before=before,
            limit=limit,
        )
    return [shown(service, one) for one in found]


@router.get("/labels", summary="人工认定（标签）")
def labels(
    service: ServiceDep,
    caller: Handler,
    after: AfterQuery = 0,
    limit: PageQuery = 100,
) -> list[LabelShown]:
    """List what people said complaints are of, the oldest first: rows for the next fit."""
    with service.ledger.begin() as connection:
        found = dispatches.labels(connection, regions=caller.regions, after=after, limit=limit)
    seen = departments(caller)
    return [
        LabelShown(
            id=one.id,
            dispatch_id=one.dispatch_id,
            text=mask(text_of(service, one.source, one.source_id, one.sealed)) or "",
            leaf=one.leaf,
            department=one.department,
            region=one.region,
            by=one.by,
            at=one.at,
        )
        for one in found
        if seen is None or one.department in seen
    ]


@router.get("/{number}", summary="诉求及其经过")
def one(number: Number, service: ServiceDep, caller: Reader) -> DispatchRead:
    """Show a complaint; its text in clear only to who may see persons' data for their purpose."""
    with service.ledger.begin() as connection:
        found = visible(connection, number, caller, lock=False)
        taken = dispatches.acts(connection, number)
    text = text_of(service, found.source, found.source_id, found.sealed)
    if not opened(service, caller, f"dispatch:{number}"):
        text = mask(text) or ""
    return DispatchRead(
        **shown(service, found).model_dump(),
        text=text,
        acts=[ActShown.model_validate(act, from_attributes=True) for act in taken],
    )


@router.post(
    "/{number}/recall",
    summary="撤回自动分派",
    responses={409: {"description": "撤回期限已过，或此状态不允许"}},
)
def recall(number: Number, body: RecallAsked, service: ServiceDep, caller: Writer) -> DispatchShown:
    """Take an automatic dispatch back, within its working day; then a person decides."""

    def changed(held: Dispatch) -> dict[str, object]:
        last = held.recall_until
        if last is None or service.today() > last:
            raise Problem(
                409,
                "recall-ended",
                f"this dispatch could be recalled until {last}; its department refers it on, or "
                "refuses it",
                more={"recall_until": None if last is None else last.isoformat()},
            )
        kind = cast("Kind", held.kind)
        return {
            "department": None,
            "office": None,
            "recall_until": None,
            "reasons": [*held.reasons, {"kind": "recalled", "text": f"已撤回：{mask(body.note)}"}],
            "accept_due": dispatch.accept_due(kind, None, held.received_on),
        }

    return _take(service, caller, number, "recall", body, changed)


@router.post("/{number}/assign", summary="人工分派", responses=_NOT_NOW)
def assign(
    number: Number, body: AssignAsked, service: ServiceDep, caller: Handler
) -> DispatchShown:
    """Let a person at the desk say whose it is; with a leaf, that is a label for the next fit."""
    _check_leaf(body.leaf)
    known = taxonomy().departments
    if body.department not in known:
        asked = body.department
        raise Problem(
            422,
            "no-such-department",
            f"there is no department '{asked}'{nearest(asked, known)}",
            more={"departments": known},
        )

    def changed(held: Dispatch) -> dict[str, object]:
        kind, department = cast("Kind", held.kind), body.department
        return {
            "department": department,
            "office": dispatch.office(held.region, department, body.leaf or held.leaf),
            "recall_until": None,
            "accept_due": dispatch.accept_due(kind, department, held.received_on),
        }

    return _take(service, caller, number, "assign", body, changed, leaf=body.leaf)


@router.post("/{number}/accept", summary="受理诉求", responses=_NOT_NOW)
def accept(
    number: Number, body: AcceptAsked, service: ServiceDep, caller: Handler
) -> DispatchShown:
    """Let the department take a complaint on; the clock of its end begins."""
    _check_leaf(body.leaf)

    def changed(held: Dispatch) -> dict[str, object]:
        kind = cast("Kind", held.kind)
        return {
            "recall_until": None,
            "end_due": dispatch.end_due(kind, held.department, service.today()),
        }

    return _take(service, caller, number, "accept", body, changed, leaf=body.leaf)


@router.post("/{number}/close", summary="结束诉求", responses=_NOT_NOW)
def close(number: Number, body: CloseAsked, service: ServiceDep, caller: Handler) -> DispatchShown:
    """End a complaint: settled, not accepted with the reason, or withdrawn."""
    if body.outcome == "not_accepted" and body.note is None:
        raise Problem(422, "incomplete", "not_accepted needs 'note', the reason; say it")

    def changed(held: Dispatch) -> dict[str, object]:
        settled = held.state == "accepted"
        if held.state != "closed" and body.outcome != "withdrawn":
            fits = settled if body.outcome == "settled" else not settled
            if not fits:
                title = OUTCOMES[body.outcome]
                raise Problem(
                    409,
                    "not-in-this-state",
                    f"“{title}”({body.outcome}) does not end a complaint that is {held.state}",
                    more={"state": held.state, "allowed": MACHINE.allowed(held.state)},
                )
        return {"closed_on": service.today(), "outcome": body.outcome, "recall_until": None}

    return _take(service, caller, number, "close", body, changed, outcome=body.outcome)


def _check(body: ComplaintSent, service: Service, caller: Caller) -> date:
    """Return the day on which a complaint came; a problem where it cannot be taken."""
    if not regions.is_known(body.region):
        raise Problem(
            422, "no-such-region", f"there is no region {body.region}; write a six-digit code"
        )
    if not caller.sees_region(body.region):
        raise Problem(403, "outside-scope", f"this caller does not write for region {body.region}")
    today = service.today()
    received = body.received_on or today
    if not EARLIEST <= received <= today:
        raise Problem(
            422, "received-on", f"received_on {received} must be from {EARLIEST} to {today}"
        )
    return received


def _routed(service: Service, body: ComplaintSent) -> tuple[Route, str | None]:
    """Return where a complaint goes, and the digest of the model that read it."""
    try:
        live = text_model(service)
    except Problem as problem:
        if problem.kind != "no-text-model":
            raise
        return dispatch.route(body.text, None, body.region), None
    with service.texts.reading:
        read = read_for_dispatch(live, body.text)
    return dispatch.route(body.text, read, body.region), live.named.digest


def _values(
    service: Service, body: ComplaintSent, caller: Caller, made: Route, received: date
) -> dict[str, object]:
    automatic = not made.reasons
    return {
        "source": body.source,
        "source_id": body.source_id,
        "kind": body.kind,
        "region": body.region,
        "sealed": seal(
            service.settings, body.text.encode(), context=context(body.source, body.source_id)
        ),
        "received_on": received,
        "created_by": caller.id,
        "created_at": service.clock(),
        "leaf": made.leaf,
        "probability": made.probability,
        "top": [{"code": code, "probability": p} for code, p in made.top],
        "reasons": [{"kind": one.kind, "text": one.text} for one in made.reasons],
        "state": made.state,
        "department": made.department,
        "office": made.region,
        "recall_until": dispatch.recall_until(service.today()) if automatic else None,
        "accept_due": dispatch.accept_due(body.kind, made.department, received),
    }


def _again(
    service: Service, before: Dispatch, body: ComplaintSent, caller: Caller, response: Response
) -> DispatchShown:
    """Return what was answered for a complaint before; a problem where it is another one."""
    text = text_of(service, before.source, before.source_id, before.sealed)
    sent = (body.kind, body.region, body.text, body.received_on or before.received_on)
    if not caller.sees_region(before.region) or sent != (
        *(before.kind, before.region, text, before.received_on),
    ):
        raise Problem(
            409,
            "source-id-reused",
            f"{body.source} sent another complaint under this source_id before; use a new one",
        )
    response.status_code = status.HTTP_200_OK
    response.headers["Idempotency-Replayed"] = "true"
    return shown(service, before)


def _take(
    service: Service,
    caller: Caller,
    number: int,
    step: str,
    body: Taken,
    changed: Callable[[Dispatch], dict[str, object]],
    *,
    leaf: str | None = None,
    outcome: str | None = None,
) -> DispatchShown:
    """Take a step on a complaint and audit it; of two people at once one is first."""
    with service.ledger.begin() as connection:
        held = visible(connection, number, caller, lock=True)
        check_version(held, body.version)
        state = MACHINE.after(held.state, step)
        values = changed(held)
        taken = Act(
            version=held.version + 1,
            step=step,
            state_before=held.state,
            state=state,
            by=caller.id,
            at=service.clock(),
            department=cast("str | None", values.get("department", held.department)),
            office=cast("str | None", values.get("office", held.office)),
            leaf=leaf,
            outcome=outcome,
            note=mask(body.note),
        )
        moved = dispatches.act(connection, held, taken, values)
        if leaf is not None:
            dispatches.label(connection, held, leaf, department=moved.department, taken=taken)
        audited(connection, service, caller, f"dispatch.{step}", f"dispatch:{number}")
    return shown(service, moved)


def _check_leaf(leaf: str | None) -> None:
    if leaf is None:
        return
    try:
        taxonomy().leaf(leaf)
    except ConfigError as error:
        raise Problem(422, "no-such-leaf", str(error)) from None
