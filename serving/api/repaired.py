"""Cases of repair as a caller states and sees them: where a record stands, and its clocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from models.errors import CodeError
from models.supervision.repair import MACHINE, Days, InForce, Kind, State, Status
from serving import fates
from serving.api.lookup import PLAIN, TEXT
from serving.fates import ACCEPT, ENDING, Found
from serving.ledger.proofs import Proof
from serving.ledger.repairs import ActKept, Case
from serving.service import Service


class Opened(BaseModel):
    """对一条失信记录提出修复申请，或撤销作出记录的决定."""

    model_config = ConfigDict(extra="forbid")

    act: Literal["apply", "annul"] = Field(
        default="apply", description="apply 申请修复；annul 原决定被撤销"
    )
    table: str = Field(description="记录表", pattern=PLAIN, max_length=63, examples=["penalty"])
    subject_id: str = Field(
        description="主体", pattern=PLAIN, max_length=64, examples=["91210102123456788E"]
    )
    record_id: str = Field(description="记录编号", pattern=PLAIN, max_length=64)
    performed: bool = Field(default=False, description="已纠正并履行完毕义务；申请时须为是")
    pledged: bool = Field(default=False, description="已作出信用承诺；申请时须为是")
    note: str | None = Field(default=None, pattern=TEXT, max_length=4000, description="说明")


class ActAsked(BaseModel):
    """对案件的一步."""

    model_config = ConfigDict(extra="forbid")

    act: Literal["apply", "accept", "refuse", "withdraw", "repair", "restore", "annul"] = Field(
        description="apply 再次申请、accept 受理、refuse 不予修复、withdraw 撤回、repair 准予修复、"
        "restore 撤销修复并恢复公示、annul 原决定被撤销"
    )
    performed: bool = Field(default=False, description="已纠正并履行完毕义务；申请时须为是")
    pledged: bool = Field(default=False, description="已作出信用承诺；申请时须为是")
    note: str | None = Field(default=None, pattern=TEXT, max_length=4000, description="说明")


class ActShown(BaseModel):
    """已记录的一步."""

    id: int = Field(description="编号")
    kind: str = Field(description="操作", examples=["apply"])
    on: date = Field(description="日期")
    by: str = Field(description="操作人")
    at: datetime = Field(description="时间")
    note: str | None = Field(description="说明")


class Clock(BaseModel):
    """一个办理时限."""

    step: str = Field(description="环节", examples=["accept"])
    title: str = Field(description="名称")
    due_on: date | None = Field(description="期限；尚无该年度工作日历的为空")
    latest_on: date | None = Field(description="延长后的期限；不可延长或日历未及的为空")
    overdue: bool = Field(description="是否超期")


class StatusShown(BaseModel):
    """一条记录的修复状态与各时限."""

    case: int | None = Field(description="案件编号；从未办理的为空")
    table: str = Field(description="记录表")
    record_id: str = Field(description="记录编号")
    subject_id: str = Field(description="主体")
    on: date = Field(description="截至日")
    state: State = Field(description="状态")
    title: str = Field(description="状态名称", examples=["公示中"])
    disputed: bool = Field(description="异议中")
    allowed: list[str] = Field(description="此状态允许的操作")
    eligible_from: date | None = Field(description="自何日起可申请修复；依规不可提前修复的为空")
    ends_on: date | None = Field(description="自何日起公示期满；无期限的为空")
    barred_until: date | None = Field(description="弄虚作假后，至何日不得再申请（不含）")
    void_from: date | None = Field(description="自何日起不再使用；仍在使用的为空")
    void_reason: str | None = Field(description="不再使用的原因")
    clocks: list[Clock] = Field(description="正在走的时限")


class CaseShown(BaseModel):
    """一个案件."""

    id: int = Field(description="编号")
    table_name: str = Field(description="记录表")
    record_id: str = Field(description="记录编号")
    subject_id: str = Field(description="主体")
    region: str | None = Field(description="行政区划代码")
    opened_at: datetime = Field(description="首次办理时间")


class CaseRead(BaseModel):
    """一个案件的状态与全部步骤."""

    id: int = Field(description="编号")
    status: StatusShown = Field(description="当前状态")
    acts: list[ActShown] = Field(description="步骤，按记录顺序")


class LettersShown(BaseModel):
    """两书同达：一并送达的两份告知书."""

    decision_notice: str = Field(description="决定信息公示告知书")
    repair_notice: str = Field(description="信用修复告知书")


class Decided(BaseModel):
    """一个主体在一个场景下，此前与此后的判定."""

    subject_id: str = Field(description="主体")
    scenario: str = Field(description="场景")
    before: UUID | None = Field(description="此前的判定；没有的为空")
    grade_before: str | None = Field(description="此前的等级", examples=["D"])
    score_before: float | None = Field(description="此前的风险分")
    after: UUID | None = Field(description="看到新状态之后首次作出的判定；尚未作出的为空")
    grade: str | None = Field(description="此后的等级", examples=["B"])
    score: float | None = Field(description="此后的风险分")
    made_at: datetime | None = Field(description="作出时间")


class SupersededShown(BaseModel):
    """一份在此之前出具、内容已被取代的信用报告."""

    code: str = Field(description="验证码", examples=["7KQM-2XW9-HB4T-PZ6D"])
    kind: str = Field(description="public 公共信用信息报告；special 专项信用报告")
    issued_at: datetime = Field(description="出具时间")


class FrozenShown(BaseModel):
    """一个在此之前冻结、含本主体的抽查对象库；已公布的抽取不改，下一次按新的判定."""

    plan_id: str = Field(description="计划")
    period: str = Field(description="批次")
    frozen_at: datetime = Field(description="冻结时间")
    drawn: bool | None = Field(description="是否抽中；尚未抽取的为空")


class ToldShown(BaseModel):
    """一次对外告知."""

    hook: str = Field(description="推送对象")
    position: int = Field(description="变动的位置")
    status: str = Field(description="waiting 待送、delivered 已送达、dead 未能送达")
    ended_at: datetime | None = Field(description="结束时间")


class JobShown(BaseModel):
    """一个重新判定任务."""

    id: int = Field(description="编号")
    status: str = Field(description="状态", examples=["done"])


class ProofShown(BaseModel):
    """一步办理之后，实际发生了什么."""

    act: int = Field(description="步骤编号")
    at: datetime = Field(description="时间")
    subjects: list[str] = Field(description="须重新判定的主体：本主体与关联主体")
    live: bool = Field(description="记录的新状态已即时生效（先于并入数据湖）")
    merged_at: datetime | None = Field(description="并入数据湖的时间；尚未并入的为空")
    lake_version: int | None = Field(description="数据湖该表的版本")
    jobs: list[JobShown] = Field(description="重新判定任务")
    waiting: int = Field(description="此前有判定、尚未重新作出的判定数；为 0 即全部重算完毕")
    settled_at: datetime | None = Field(description="最后一个判定重新作出的时间；未完的为空")
    decided: list[Decided] = Field(description="各主体各场景此前与此后的判定")
    reports: list[SupersededShown] = Field(description="内容已被取代的信用报告")
    draws: list[FrozenShown] = Field(description="此前冻结、含本主体的抽查对象库")
    changed: int = Field(description="此后这些主体的变动数")
    changes: list[int | None] = Field(description="变动流中的位置，最多一万条；尚未排定的为空")
    told: list[ToldShown] = Field(description="告知了谁")


def status_shown(
    service: Service,
    case: Case | None,
    found: Found,
    done: Sequence[ActKept],
    *,
    steps: InForce,
) -> StatusShown:
    """Return where a record stands today, with the clocks that run.

    A clock runs by the procedure of the day on which it began.
    """
    today = service.today()
    now = fates.stands(found, done, today, steps=steps)
    return StatusShown(
        case=case.id if case else None,
        table=found.contract.name,
        record_id=found.record_id,
        subject_id=found.subject_id,
        on=today,
        state=now.state,
        title=now.title,
        disputed=now.disputed,
        allowed=_allowed(now, done),
        eligible_from=now.eligible_from,
        ends_on=now.ends_on,
        barred_until=now.barred_until,
        void_from=now.void_from,
        void_reason=now.void_reason,
        clocks=_clocks(now, done, today, steps),
    )


def _allowed(now: Status, done: Sequence[ActKept]) -> list[str]:
    steps = list(MACHINE.allowed(now.state))
    if now.state is State.APPLIED and fates.accepted(done) is None:
        steps.insert(0, ACCEPT)
    return steps


def _clocks(now: Status, done: Sequence[ActKept], today: date, steps: InForce) -> list[Clock]:
    """Return the clocks that run: to accept, to decide, or to bring a repair everywhere."""
    if now.state is State.APPLIED:
        taken = fates.accepted(done)
        if taken is not None:
            return [_clock("decide", taken.on, today, steps)]
        return [_clock("accept", _last(done, {Kind.APPLY}), today, steps)]
    if done and now.void_from is not None and any(one.kind in ENDING for one in done):
        return [_clock("synchronise", _last(done, ENDING), today, steps)]
    return []


def _last(done: Sequence[ActKept], kinds: set[Kind] | frozenset[Kind]) -> date:
    return max(one.on for one in done if one.kind in kinds)


def _clock(step: str, start: date, today: date, steps: InForce) -> Clock:
    days = steps(start).steps[step]
    due = _due(days, start, extended=False)
    latest = _due(days, start, extended=True) if days.more else None
    end = latest or due
    return Clock(
        step=step,
        title=days.title,
        due_on=due,
        latest_on=latest,
        overdue=step != "synchronise" and end is not None and end < today,
    )


def _due(days: Days, start: date, *, extended: bool) -> date | None:
    try:
        return days.due(start, extended=extended)
    except CodeError:  # no notice of that year's working days yet
        return None


def proof_shown(found: Proof) -> ProofShown:
    """Return what became of an act's effect."""
    effect = found.effect
    made: Mapping[str, Any] = {
        "act": effect.act_id,
        "at": effect.at,
        "subjects": effect.subjects,
        "live": True,
        "merged_at": found.merged_at,
        "lake_version": found.lake_version,
        "jobs": [{"id": number, "status": state} for number, state in found.jobs],
        "waiting": sum(one.after is None for one in found.decided),
        "settled_at": _settled(found),
        "decided": found.decided,
        "reports": found.reports,
        "draws": found.draws,
        "changed": found.changed,
        "changes": [position for _, position in found.changes],
        "told": found.told,
    }
    return ProofShown.model_validate(made, from_attributes=True)


def _settled(found: Proof) -> datetime | None:
    """Return when the last decision was made anew; ``None`` while one is still to come."""
    made = [one.made_at for one in found.decided]
    return max((at for at in made if at is not None), default=None) if None not in made else None
