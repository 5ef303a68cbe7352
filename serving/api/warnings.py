"""Warnings: what waits for an officer, each step of its handling, and what the ladder proposes."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from models.errors import ConfigError
from models.supervision.ladder import Proposal, proposals
from models.supervision.warning import MACHINE, Level, book, check_outcome
from serving.api.lookup import PLAIN
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.ledger import audit, changes, explanations, warnings
from serving.ledger.engine import Connection
from serving.ledger.warnings import Asked, Kept, StepTaken
from serving.problems import Problem
from serving.service import Service
from serving.supervision import date_the_undated, dues, told

router = APIRouter(prefix="/v1/warnings", tags=["warnings"])

TEXT: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+$"
"""What a text of several lines is made of."""
_NOTE: Final = "note"
_REPEATED: Final = timedelta(days=365)
"""Within which warnings of one subject are repeated ones."""
_LAST: Final = 2**63 - 1

StepName = Literal["acknowledge", "assign", "handle", "close", "reopen", "note"]
State = Literal["new", "acknowledged", "assigned", "handling", "reopened", "closed"]
Number = Annotated[int, Path(ge=1, le=_LAST, description="预警编号")]
Reader = Annotated[Caller, Depends(allow(Permission.WARNINGS_READ))]
Handler = Annotated[Caller, Depends(allow(Permission.WARNINGS_HANDLE))]
BeforeQuery = Annotated[int | None, Query(ge=1, le=_LAST, description="只看编号更小的；用于翻页")]
LimitQuery = Annotated[int, Query(ge=1, le=200, description="最多条数")]


class StepShown(BaseModel):
    """预警处置的一步."""

    version: int = Field(description="第几步")
    step: str = Field(description="操作", examples=["assign"])
    state_before: str | None = Field(description="之前的状态；产生时为空")
    state: str = Field(description="之后的状态")
    by: str = Field(description="操作人")
    at: datetime = Field(description="时间")
    assignee: str | None = Field(description="派发给谁")
    outcome: str | None = Field(description="办结结果")
    note: str | None = Field(description="说明")


class WarningShown(BaseModel):
    """一条预警：供人核查的线索，不是证据."""

    id: int = Field(description="编号", examples=[1])
    scenario: str = Field(description="场景")
    subject_id: str = Field(description="主体", examples=["91210102123456788E"])
    region: str | None = Field(description="行政区划代码")
    decision: UUID = Field(description="引发预警的判定")
    as_of: date = Field(description="判定的截面日")
    level: Level = Field(description="预警级别：red 红、orange 橙、yellow 黄")
    rules: list[str] = Field(description="引发预警的规则", examples=[["warned"]])
    grade: str = Field(description="风险等级")
    previous_grade: str | None = Field(description="此前的等级")
    probability: float = Field(description="概率")
    previous_probability: float | None = Field(description="此前的概率")
    raised_at: datetime = Field(description="产生时间")
    state: str = Field(description="状态", examples=["new"])
    title: str = Field(description="状态名称", examples=["新预警"])
    allowed: list[str] = Field(description="此状态允许的操作")
    version: int = Field(description="已有步数；提交操作时可带上，防止覆盖他人操作")
    assignee: str | None = Field(description="承办人")
    acknowledge_due: date | None = Field(description="签收期限；尚无该年度工作日历的为空")
    close_due: date | None = Field(description="办结期限；尚无该年度工作日历的为空")
    overdue: bool = Field(description="是否超期")
    escalate_to: str = Field(description="超期报告谁")
    closed_on: date | None = Field(description="办结日期")
    outcome: str | None = Field(description="办结结果")


class WarningRead(WarningShown):
    """一条预警及其处置过程."""

    steps: list[StepShown] = Field(description="处置过程，旧的在前")


class StepAsked(BaseModel):
    """预警处置操作."""

    model_config = ConfigDict(extra="forbid")

    step: StepName = Field(
        description="acknowledge 签收、assign 派发、handle 开始处置、close 办结、reopen 重新开启、"
        "note 备注（不改变状态）"
    )
    to: str | None = Field(
        default=None, description="派发给谁；派发时必填", pattern=PLAIN, max_length=100
    )
    outcome: str | None = Field(
        default=None,
        description="办结结果：confirmed 属实、false_alarm 误报、no_action 无需处置；办结时必填",
        max_length=32,
    )
    note: str | None = Field(
        default=None, description="说明；备注、重新开启时必填", pattern=TEXT, max_length=4000
    )
    version: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="所见的步数；他人已先操作的为 409"
    )


class ProposalShown(BaseModel):
    """渐进式执法的一个阶段：供人决定，不自动生效."""

    stage: str = Field(description="阶段", examples=["L0"])
    title: str = Field(description="名称", examples=["预警提醒"])
    document: str = Field(description="文书")
    basis: list[str] = Field(description="依据")
    because: list[str] = Field(description="所据事实")
    missing: list[str] = Field(description="尚缺的证据")
    complete: bool = Field(description="证据是否齐备，可由人决定")
    rights: str = Field(description="当事人权利")


class FeedbackShown(BaseModel):
    """一条核查反馈：训练用的标签；同一判定以最新一条为准."""

    id: int = Field(description="编号")
    warning_id: int = Field(description="预警编号")
    decision: UUID = Field(description="判定")
    scenario: str = Field(description="场景")
    subject_id: str = Field(description="主体")
    as_of: date = Field(description="截面日")
    confirmed: bool = Field(description="是否属实；否为误报")
    by: str = Field(description="谁")
    at: datetime = Field(description="时间")


@router.get("", summary="预警列表")
def every(  # noqa: PLR0913 -- each is a filter of its own
    service: ServiceDep,
    caller: Reader,
    *,
    state: Annotated[State | None, Query(description="状态")] = None,
    level: Annotated[Level | None, Query(description="级别")] = None,
    scenario: Annotated[str | None, Query(pattern=PLAIN, max_length=64, description="场景")] = None,
    subject: Annotated[str | None, Query(pattern=PLAIN, max_length=64, description="主体")] = None,
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
        return [_shown(service, one) for one in warnings.listing(connection, asked)]


@router.get("/escalations", summary="超期预警，按应报告的人")
def escalations(
    service: ServiceDep, caller: Reader, limit: LimitQuery = 200
) -> dict[str, list[WarningShown]]:
    """List what is overdue in the caller's regions by who is to hear of it, the newest first."""
    asked = Asked(caller.regions, service.today(), overdue=True, limit=limit)
    found: dict[str, list[WarningShown]] = {}
    with service.ledger.begin() as connection:
        date_the_undated(connection)
        for one in warnings.listing(connection, asked):
            shown = _shown(service, one)
            found.setdefault(shown.escalate_to, []).append(shown)
    return found


@router.get("/feedback", summary="核查反馈（标签）")
def labels(
    service: ServiceDep,
    caller: Reader,
    scenario: Annotated[str | None, Query(pattern=PLAIN, max_length=64, description="场景")] = None,
    after: Annotated[int, Query(ge=0, le=_LAST, description="上次最后的编号；从头为 0")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="最多条数")] = 100,
) -> list[FeedbackShown]:
    """List what officers found of decisions, the oldest first."""
    with service.ledger.begin() as connection:
        found = warnings.feedback(
            connection, regions=caller.regions, scenario=scenario, after=after, limit=limit
        )
    return [FeedbackShown.model_validate(one, from_attributes=True) for one in found]


@router.get("/{number}", summary="预警及其处置过程")
def one(number: Number, service: ServiceDep, caller: Reader) -> WarningRead:
    """Show a warning with every step of its handling."""
    with service.ledger.begin() as connection:
        return _read(service, connection, _visible(connection, number, caller))


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
        held = _visible(connection, number, caller, lock=True)
        _check_version(held, body)
        state = held.state if body.step == _NOTE else MACHINE.after(held.state, body.step)
        _check_body(body)
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
        moved = warnings.take(connection, held, taken, changed=_changed(service, held, body))
        _label(connection, moved, taken)
        changes.append_all(connection, [told(service, moved, body.step)])
        answer = _read(service, connection, moved)
        _audited(connection, service, caller, f"warning.{body.step}", number)
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
        found = _visible(connection, number, caller)
        before = warnings.count_of(connection, found.subject_id, since=today - _REPEATED)
        reasons = explanations.find(connection, [found.decision])
    facts = {"rule_alert" if "veto" in found.rules else "model_alert", *(fact or ())}
    if before > 1:
        facts.add("repeated_alert")
    filed = {"alert_id", *(("record_ids",) if reasons else ()), *(evidence or ())}
    return [_proposal(one) for one in proposals(sorted(facts), sorted(filed), today)]


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
            "allowed": MACHINE.allowed(held.state),
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


def _changed(service: Service, held: Kept, body: StepAsked) -> dict[str, object]:
    """Return what a step changes of a warning besides its state."""
    match body.step:
        case "assign":
            return {"assignee": body.to}
        case "close":
            return {"closed_on": service.today(), "outcome": body.outcome}
        case "reopen":
            first, last = dues(held.level, service.today())
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
        warnings.give_feedback(connection, moved, confirmed=confirmed, by=taken.by, at=taken.at)


def _visible(connection: Connection, number: int, caller: Caller, *, lock: bool = False) -> Kept:
    found = warnings.get(connection, number, lock=lock)
    if found is None or not caller.sees_region(found.region):
        raise Problem(404, "not-found", f"there is no warning {number}")
    return found


def _shown(service: Service, found: Kept) -> WarningShown:
    today = service.today()
    unseen = found.state in {"new", "reopened"} and (found.acknowledge_due or date.max) < today
    late = found.state != "closed" and (unseen or (found.close_due or date.max) < today)
    return WarningShown.model_validate(
        {
            **{name: getattr(found, name) for name in Kept.__slots__},
            "title": MACHINE.states[found.state],
            "allowed": MACHINE.allowed(found.state),
            "overdue": late,
            "escalate_to": _escalate_to(found.level),
        }
    )


def _escalate_to(level: str) -> str:
    try:
        return book().terms(level).escalate_to
    except ConfigError:  # a level of before, which the rules know no more
        return ""


def _read(service: Service, connection: Connection, found: Kept) -> WarningRead:
    taken = warnings.steps(connection, found.id)
    shown = [StepShown.model_validate(one, from_attributes=True) for one in taken]
    return WarningRead(**_shown(service, found).model_dump(), steps=shown)


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


def _audited(
    connection: Connection, service: Service, caller: Caller, action: str, number: int
) -> None:
    audit.append(
        connection,
        audit.Entry(
            service.clock(), caller.id, action, f"warning:{number}", purpose=caller.purpose
        ),
    )
