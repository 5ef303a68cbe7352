"""Warnings as a caller sees them, and the steps that a caller asks for."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from models.supervision.warning import Level
from serving.api.lookup import PLAIN, TEXT

StepName = Literal["acknowledge", "assign", "handle", "close", "reopen", "note"]


class StepShown(BaseModel):
    """预警处置的一步."""

    version: int = Field(description="第几步")
    step: str = Field(description="操作", examples=["assign"])
    state_before: str | None = Field(description="之前的状态；产生时为空")
    state: str = Field(description="之后的状态")
    by: str = Field(description="操作人")
    at: datetime = Field(description="时间")
    assignee: str | None = Field(description="派发给谁；超期上报的，报告谁")
    outcome: str | None = Field(description="办结结果；超期上报的，哪个期限超期")
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
    annulled: bool = Field(description="判定已经复核撤销；不用于训练")
    by: str = Field(description="谁")
    at: datetime = Field(description="时间")
