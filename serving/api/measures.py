"""Measures (一目录两清单): the list of a day, and measures against subjects that rest on it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, status
from pydantic import BaseModel, ConfigDict, Field

from models.errors import TransitionError
from models.supervision.measures import SubjectKind
from models.supervision.rulefiles import RuleKind
from serving.api.asked import LAST, BeforeQuery, LimitQuery, SubjectPath
from serving.api.audited import audited
from serving.api.lookup import PLAIN, TEXT
from serving.api.repairs import found_record
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.handling import measuring, rulebook
from serving.handling.measuring import ALLOWED, TITLES, Wanted
from serving.ledger import measures
from serving.ledger.engine import Connection
from serving.ledger.measures import ActTaken, Measured, NewMeasure
from serving.ledger.rows import values_of
from serving.problems import Problem, ProblemDetails
from serving.service import Service

router = APIRouter(tags=["measures"])

Number = Annotated[int, Path(ge=1, le=LAST, description="措施编号")]
Reader = Annotated[Caller, Depends(allow(Permission.WARNINGS_READ))]
Writer = Annotated[Caller, Depends(allow(Permission.WARNINGS_HANDLE, Permission.REPAIRS_WRITE))]


class RowShown(BaseModel):
    """惩戒措施清单的一项."""

    id: str = Field(description="措施", examples=["consumption_limit"])
    type: int = Field(
        description="类别：1 须有法律法规或中央文件依据；2 职责内管理措施；3 市场主体自主"
    )
    title: str = Field(description="名称", examples=["限制消费"])
    triggers: list[str] = Field(description="哪些事实可以引发")
    subjects: list[SubjectKind] = Field(description="适用的主体种类")
    authority: str = Field(description="实施机关")
    basis: list[str] = Field(description="依据")
    certainty: str = Field(description="依据的确定程度")
    effective_from: date = Field(description="起始日")
    effective_to: date | None = Field(description="终止日；未定的为空")


class MeasureAsked(BaseModel):
    """拟采取的措施：清单的一项、引发它的记录."""

    model_config = ConfigDict(extra="forbid")

    measure: str = Field(
        description="措施", pattern=PLAIN, max_length=64, examples=["consumption_limit"]
    )
    trigger: str = Field(
        description="引发它的事实；评分、等级、预警不能引发",
        pattern=PLAIN,
        max_length=64,
        examples=["listing_debtor"],
    )
    table: str = Field(description="记录表", pattern=PLAIN, max_length=63, examples=["listing"])
    record_id: str = Field(description="记录编号", pattern=PLAIN, max_length=64)
    authority: str = Field(description="实施机关", pattern=PLAIN, max_length=200)
    basis: str = Field(description="依据，须为清单所列", pattern=PLAIN, max_length=400)


class ActAsked(BaseModel):
    """对措施的操作."""

    model_config = ConfigDict(extra="forbid")

    act: Literal["confirm", "reject", "lift"] = Field(
        description="confirm 确认（须由提出人以外的人）、reject 不予确认、lift 解除"
    )
    reason: str | None = Field(
        default=None, description="理由；不予确认、解除时必填", pattern=TEXT, max_length=2000
    )


class ActShown(BaseModel):
    """对措施的一次操作."""

    kind: str = Field(description="操作")
    reason: str | None = Field(description="理由")
    by: str = Field(description="操作人")
    at: datetime = Field(description="时间")


class MeasureShown(BaseModel):
    """对一个主体的一项措施."""

    id: int = Field(description="编号", examples=[1])
    measure: str = Field(description="措施")
    title: str = Field(description="名称")
    type: int = Field(description="类别")
    trigger: str = Field(description="引发它的事实")
    subject_id: str = Field(description="主体")
    subject_kind: str = Field(description="主体种类")
    table_name: str = Field(description="记录表")
    record_id: str = Field(description="记录编号")
    authority: str = Field(description="实施机关")
    basis: str = Field(description="依据")
    list_digest: str = Field(description="提出时清单内容的 SHA-256")
    on: date = Field(description="提出日期")
    by: str = Field(description="提出人")
    state: str = Field(description="状态", examples=["proposed"])
    state_title: str = Field(description="状态名称", examples=["待确认"])
    why: str | None = Field(description="为何解除或不予确认")
    allowed: list[str] = Field(description="此状态允许的操作")
    acts: list[ActShown] = Field(description="过程")


@router.get("/v1/measures", summary="失信惩戒措施清单")
def rows(
    service: ServiceDep,
    caller: Reader,
    *,
    on: Annotated[date | None, Query(description="哪一日的清单；默认今日")] = None,
    trigger: Annotated[
        str | None, Query(pattern=PLAIN, max_length=64, description="引发的事实")
    ] = None,
    subject_kind: Annotated[SubjectKind | None, Query(description="主体种类")] = None,
) -> list[RowShown]:
    """List the measures that are on the list on a day, for a fact or a kind of subject."""
    del caller
    day = on or service.today()
    with service.ledger.begin() as connection:
        listed = rulebook.measures_of(connection, day)
    return [
        RowShown.model_validate(one, from_attributes=True)
        for one in listed.measures
        if one.in_force(day)
        and (trigger is None or trigger in one.triggers)
        and (subject_kind is None or subject_kind in one.subjects)
    ]


@router.post(
    "/v1/subjects/{subject}/measures",
    summary="提出惩戒措施",
    status_code=status.HTTP_201_CREATED,
    responses={
        404: {"model": ProblemDetails, "description": "没有这个主体或记录"},
        409: {"model": ProblemDetails, "description": "同一记录已有此措施"},
        422: {"model": ProblemDetails, "description": "清单没有这一项，或记录不能引发它"},
    },
)
def propose(
    subject: SubjectPath, body: MeasureAsked, service: ServiceDep, caller: Writer
) -> MeasureShown:
    """Propose a measure that the list has for a record that counts; somebody else confirms it."""
    with service.ledger.begin() as connection:
        measures.hold(connection, subject)
        found = found_record(service, connection, caller, body.table, subject, body.record_id)
        wanted = Wanted(body.measure, body.trigger, body.authority, body.basis)
        row, kind = measuring.allowed_row(service, connection, found, wanted)
        _refuse_second(service, connection, subject, body)
        new = NewMeasure(
            measure=row.id,
            title=row.title,
            type=row.type,
            trigger=body.trigger,
            subject_id=found.subject_id,
            region=found.region,
            subject_kind=kind,
            table_name=body.table,
            record_id=found.record_id,
            authority=row.authority,
            basis=body.basis,
            list_digest=rulebook.edition(connection, RuleKind.MEASURES, service.today()).digest,
            on=service.today(),
            by=caller.id,
            at=service.clock(),
        )
        answer = _read(service, connection, measures.add(connection, new))
        _audited(connection, service, caller, "measure.propose", answer)
    return answer


@router.get("/v1/subjects/{subject}/measures", summary="主体的惩戒措施")
def of_subject(
    subject: SubjectPath,
    service: ServiceDep,
    caller: Reader,
    before: BeforeQuery = None,
    limit: LimitQuery = 50,
) -> list[MeasureShown]:
    """List the measures against a subject, the newest first, each as it stands today.

    One is lifted by itself when its record is repaired, annulled or expired, or its row is gone.
    """
    with service.ledger.begin() as connection:
        found = measures.listing(
            connection, regions=caller.regions, subject=subject, before=before, limit=limit
        )
        return [_shown(service, connection, one) for one in found]


@router.post(
    "/v1/measures/{number}/acts",
    summary="确认、不予确认或者解除惩戒措施",
    responses={
        403: {"model": ProblemDetails, "description": "提出人不得自行确认"},
        409: {"model": ProblemDetails, "description": "此状态不允许该操作"},
    },
)
def act(number: Number, body: ActAsked, service: ServiceDep, caller: Writer) -> MeasureShown:
    """Confirm, reject or lift a measure; who proposed it does not confirm it."""
    with service.ledger.begin() as connection:
        held = measures.get(connection, number, lock=True)
        if held is None or not caller.sees_region(held.told.region):
            raise Problem(404, "not-found", f"there is no measure {number}")
        now = measuring.standing(service, connection, held)
        if body.act not in ALLOWED[now.state]:
            raise TransitionError(
                f"惩戒措施：状态“{TITLES[now.state]}”({now.state}) 不允许操作 {body.act}；"
                f"可执行的操作：{'、'.join(ALLOWED[now.state]) or '无，已是终态'}",
                state=now.state,
                allowed=ALLOWED[now.state],
            )
        if body.act == "confirm" and held.told.by == caller.id:
            raise Problem(
                403, "second-person", f"measure {number} is this caller's own; another confirms it"
            )
        if body.act != "confirm" and body.reason is None:
            raise Problem(422, "incomplete", f"{body.act} needs 'reason'; say it")
        measures.act(
            connection, number, ActTaken(body.act, body.reason, caller.id, service.clock())
        )
        answer = _read(service, connection, number)
        _audited(connection, service, caller, f"measure.{body.act}", answer)
    return answer


def _refuse_second(
    service: Service, connection: Connection, subject: str, body: MeasureAsked
) -> None:
    """Refuse a measure that the same record has already, proposed or in force."""
    wanted = (body.measure, body.table, body.record_id)
    for one in measures.listing(connection, regions=("",), subject=subject, limit=1000):
        same = (one.told.measure, one.told.table_name, one.told.record_id) == wanted
        state = measuring.standing(service, connection, one).state if same else ""
        if ALLOWED.get(state):
            raise Problem(
                409,
                "not-in-this-state",
                f"measure {one.id} ({state}) is this one on this record already",
                more={"measure": one.id, "state": state, "allowed": ALLOWED[state]},
            )


def _read(service: Service, connection: Connection, number: int) -> MeasureShown:
    found = measures.get(connection, number)
    assert found is not None  # noqa: S101 - written or held by this transaction
    return _shown(service, connection, found)


def _shown(service: Service, connection: Connection, found: Measured) -> MeasureShown:
    now = measuring.standing(service, connection, found)
    told = values_of(found.told)
    return MeasureShown.model_validate(
        {
            **told,
            "id": found.id,
            "state": now.state,
            "state_title": TITLES[now.state],
            "why": now.why,
            "allowed": ALLOWED[now.state],
            "acts": [ActShown.model_validate(one, from_attributes=True) for one in found.acts],
        }
    )


def _audited(
    connection: Connection, service: Service, caller: Caller, action: str, told: MeasureShown
) -> None:
    details = {"measure": told.measure, "subject": told.subject_id, "record": told.record_id}
    audited(connection, service, caller, action, f"measure:{told.id}", details=details)
