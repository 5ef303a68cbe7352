"""Objections: a record is marked as disputed at once, and an answer is due."""

from __future__ import annotations

from datetime import date, datetime
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, status
from pydantic import BaseModel, ConfigDict, Field

from models.codes import uscc
from models.errors import CodeError, TransitionError
from models.supervision.repair import Kind, State
from models.time import SHANGHAI
from serving import fates
from serving.api.asked import LAST, BeforeQuery, LimitQuery
from serving.api.audited import audited
from serving.api.lookup import PLAIN, TEXT
from serving.api.repairs import found_record, open_case, refuse_before
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.handling import rulebook
from serving.ledger import objections, repairs
from serving.ledger.engine import Connection
from serving.ledger.objections import Objection
from serving.ledger.rows import values_of
from serving.problems import Problem
from serving.reach import page
from serving.service import Service

router = APIRouter(prefix="/v1/objections", tags=["objections"])

Number = Annotated[int, Path(ge=1, le=LAST, description="异议编号")]
Reader = Annotated[Caller, Depends(allow(Permission.RECORDS_READ, Permission.REPAIRS_WRITE))]
Writer = Annotated[Caller, Depends(allow(Permission.REPAIRS_WRITE))]


class ObjectionAsked(BaseModel):
    """对一条记录的异议."""

    model_config = ConfigDict(extra="forbid")

    table: str = Field(description="记录表", pattern=PLAIN, max_length=63, examples=["penalty"])
    subject_id: str = Field(
        description="记录的主体", pattern=PLAIN, max_length=64, examples=["91210102123456788E"]
    )
    record_id: str = Field(description="记录编号", pattern=PLAIN, max_length=64)
    objector: str = Field(description="异议人，须为记录的主体", pattern=PLAIN, max_length=64)
    ground: str = Field(description="理由", pattern=TEXT, max_length=4000)


class AnswerAsked(BaseModel):
    """对异议的答复."""

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["upheld", "partly", "rejected"] = Field(
        description="upheld 成立，partly 部分成立，rejected 不成立；更正另行报送记录"
    )
    answer: str = Field(description="答复", pattern=TEXT, max_length=4000)


class ObjectionShown(BaseModel):
    """一项异议."""

    id: int = Field(description="编号")
    case_id: int = Field(description="所属记录的案件编号")
    table_name: str = Field(description="记录表")
    record_id: str = Field(description="记录编号")
    subject_id: str = Field(description="主体")
    objector: str = Field(description="异议人")
    ground: str = Field(description="理由")
    by: str = Field(description="登记人")
    at: datetime = Field(description="登记时间")
    due_on: date | None = Field(description="答复期限；尚无该年度工作日历的为空")
    overdue: bool = Field(description="是否超期")
    outcome: str | None = Field(description="结论；未答复的为空")
    answer: str | None = Field(description="答复")
    answered_by: str | None = Field(description="答复人")
    answered_at: datetime | None = Field(description="答复时间")


@router.post(
    "",
    summary="提出异议",
    status_code=status.HTTP_201_CREATED,
    responses={
        403: {"description": "异议人不是记录的主体"},
        409: {"description": "已有未答复的异议，或记录已撤销"},
    },
)
def object_to(body: ObjectionAsked, service: ServiceDep, caller: Writer) -> ObjectionShown:
    """Register the objection of a record's own subject; the record is disputed from now on."""
    with service.ledger.begin() as connection:
        found = found_record(
            service, connection, caller, body.table, body.subject_id, body.record_id
        )
        if (uscc.normalise(body.objector) or body.objector) != found.subject_id:
            raise Problem(
                403,
                "stranger",
                "only the subject of a record may object to it; a law's other ways stay open",
            )
        case = open_case(service, connection, found)
        refuse_before(repairs.acts(connection, case.id), service.today())
        steps = rulebook.procedures(connection)
        now = fates.stands(found, repairs.acts(connection, case.id), service.today(), steps=steps)
        if now.disputed or now.state is State.ANNULLED:
            raise TransitionError(
                f"异议：记录{'已在异议处理中' if now.disputed else '已撤销'}，不能再提出异议",
                state="disputed" if now.disputed else now.state,
                allowed=("settle",) if now.disputed else (),
            )
        _act(service, connection, caller, case, Kind.DISPUTE, body.ground)
        again = fates.stands(found, repairs.acts(connection, case.id), service.today(), steps=steps)
        if not again.disputed:
            raise Problem(
                409,
                "out-of-order",
                f"an objection to this record was answered on {service.today()} already; register "
                "another tomorrow",
                more={"state": now.state, "allowed": []},
            )
        number = objections.add(
            connection,
            case.id,
            objector=found.subject_id,
            ground=body.ground,
            by=caller.id,
            at=service.clock(),
            due_on=_due(connection, service.today()),
        )
        answer = _shown(service, connection, visible(connection, number, caller))
        audited(connection, service, caller, "objection.raise", f"objection:{number}")
    return answer


@router.post(
    "/{number}/answer",
    summary="答复异议",
    responses={409: {"description": "已答复"}},
)
def settle(
    number: Number, body: AnswerAsked, service: ServiceDep, caller: Writer
) -> ObjectionShown:
    """Answer an objection, once; the record is no longer disputed.

    What was wrong is corrected by a record (``POST /v1/records``) or an annulment.
    """
    with service.ledger.begin() as connection:
        found = visible(connection, number, caller)
        found_record(
            service, connection, caller, found.table_name, found.subject_id, found.record_id
        )
        case = repairs.get(connection, found.case_id, lock=True)
        refuse_before(repairs.acts(connection, found.case_id), service.today())
        answered = objections.answer(
            connection,
            number,
            outcome=body.outcome,
            answer=body.answer,
            by=caller.id,
            at=service.clock(),
        )
        if case is None or not answered:
            raise TransitionError(
                f"异议：第 {number} 号异议已答复，无可执行的操作", state="settled", allowed=()
            )
        _act(service, connection, caller, case, Kind.SETTLE, body.answer)
        answer = _shown(service, connection, visible(connection, number, caller))
        audited(connection, service, caller, "objection.answer", f"objection:{number}")
    return answer


@router.get("", summary="异议列表")
def every(
    service: ServiceDep,
    caller: Reader,
    *,
    waiting: Annotated[bool, Query(description="只看未答复的")] = False,
    overdue: Annotated[bool, Query(description="只看超期未答复的")] = False,
    before: BeforeQuery = None,
    limit: LimitQuery = 50,
) -> list[ObjectionShown]:
    """List the objections of the caller's regions, the newest first."""
    with service.ledger.begin() as connection:
        read = partial(
            objections.listing,
            connection,
            regions=caller.regions,
            waiting=waiting,
            overdue=service.today() if overdue else None,
            limit=limit,
        )
        found = page(
            service, connection, caller, lambda n: read(before=n), before=before, limit=limit
        )
        return [_shown(service, connection, one) for one in found]


@router.get("/{number}", summary="异议")
def one(number: Number, service: ServiceDep, caller: Reader) -> ObjectionShown:
    """Show an objection and its answer."""
    with service.ledger.begin() as connection:
        found = visible(connection, number, caller)
        found_record(
            service, connection, caller, found.table_name, found.subject_id, found.record_id
        )
        return _shown(service, connection, found)


def _act(
    service: Service,
    connection: Connection,
    caller: Caller,
    case: repairs.Case,
    kind: Kind,
    note: str,
) -> None:
    repairs.act(
        connection,
        case,
        kind,
        on=service.today(),
        by=caller.id,
        at=service.clock(),
        note=note,
    )


def visible(connection: Connection, number: int, caller: Caller) -> Objection:
    """Return the objection of a number that the caller may see; a problem 404 otherwise."""
    found = objections.get(connection, number)
    if found is None or not caller.sees_region(found.region):
        raise Problem(404, "not-found", f"there is no objection {number}")
    return found


def _due(connection: Connection, start: date) -> date | None:
    """Return when an objection of a day is to be answered, by the procedure of that day."""
    try:
        return rulebook.procedure(connection, start).steps["objection"].due(start)
    except CodeError:  # no notice of that year's working days yet
        return None


def _shown(service: Service, connection: Connection, found: Objection) -> ObjectionShown:
    due = found.due_on or _due_of(connection, found)
    return ObjectionShown.model_validate(
        {
            **values_of(found),
            "due_on": due,
            "overdue": found.outcome is None and due is not None and due < service.today(),
        }
    )


def _due_of(connection: Connection, found: Objection) -> date | None:
    """Return the day that no calendar knew when the objection was made, if one does now."""
    return _due(connection, found.at.astimezone(SHANGHAI).date())
