"""Decisions as a caller sees them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final
from uuid import UUID

from pydantic import BaseModel, Field

from serving.ledger.decisions import Decision


class Evidence(BaseModel):
    """原因背后的一条记录."""

    table: str = Field(description="表")
    record_id: str = Field(description="记录编号")
    happened_on: date | None = Field(description="发生日期")
    neighbour: str | None = Field(default=None, description="经由的关联主体；本主体的记录为空")


class Reason(BaseModel):
    """一条原因."""

    text: str = Field(description="原因", examples=["近365日行政处罚3次"])
    family: str = Field(description="特征族")
    contribution: float = Field(description="对数几率上的贡献；正值推高风险")
    parts: list[dict[str, object]] = Field(description="组成该原因的特征、取值与贡献")
    evidence: list[Evidence] | None = Field(default=None, description="记录；空：没有查")


class ExplanationShown(BaseModel):
    """判定的原因：判定时存档，此后不重算."""

    base: float = Field(description="平均主体的对数几率")
    raw: float = Field(description="本主体的对数几率（校准前）")
    reasons: list[Reason] = Field(description="推高风险的原因，按大小")
    mitigating: list[Reason] = Field(description="降低风险的原因，按大小")
    families: list[dict[str, object]] = Field(description="各特征族的合计")
    rest: float = Field(description="未列出的其余贡献")


class ReviewedShown(BaseModel):
    """对判定的人工复核结论，最近一次."""

    review: int = Field(description="复核编号")
    outcome: str = Field(description="upheld 维持，changed 变更，annulled 撤销")
    grade: str | None = Field(description="变更后的等级")
    reason: str | None = Field(description="理由")
    at: datetime = Field(description="时间")


class DecisionShown(BaseModel):
    """一个判定."""

    id: UUID | None = Field(default=None, description="编号；未存档的没有")
    scenario: str | None = Field(default=None, description="场景")
    subject_id: str | None = Field(default=None, description="主体")
    as_of: date | None = Field(default=None, description="截面日")
    probability: float = Field(description="校准后的概率", examples=[0.073])
    risk_score: float = Field(description="风险分，0–1000，越高风险越大", examples=[380.5])
    grade: str = Field(description="风险等级", examples=["C"])
    previous_grade: str | None = Field(default=None, description="上一判定的等级")
    vetoes: list[str] = Field(description="直接判定等级的情形")
    valid_until: date = Field(description="有效至（含）")
    warn: bool = Field(description="是否预警")
    draw: float = Field(description="抽查比例，恒大于 0")
    action: str | None = Field(description="处置措施")
    made_at: datetime | None = Field(default=None, description="作出时间")
    role: str | None = Field(default=None, description="champion：现用模型；challenger：影子模型")
    scenario_digest: str | None = Field(default=None, description="场景声明的摘要")
    bundle_digest: str | None = Field(default=None, description="模型的摘要")
    inputs_digest: str | None = Field(default=None, description="特征行的 SHA-256")
    data_versions: dict[str, int] | None = Field(default=None, description="所读数据湖各表的版本")
    inbox_mark: int | None = Field(default=None, description="所见最新实时记录的序号")
    reference: str | None = Field(default=None, description="所用参照（邻居与同业）")
    superseded_by: UUID | None = Field(default=None, description="取代它的判定；现行的为空")
    explanation: ExplanationShown | None = Field(default=None, description="原因与证据")
    reviewed: ReviewedShown | None = Field(default=None, description="人工复核结论；没有的不列")


_SAID: Final = ("base", "raw", "reasons", "mitigating", "families", "rest")


def shown(
    decision: Decision, explanation: Mapping[str, object] | None, *, role: str = "champion"
) -> dict[str, object]:
    """Return a decision as :class:`DecisionShown` tells of it, for an encoder."""
    made: dict[str, object] = {
        "id": decision.id,
        "scenario": decision.scenario,
        "subject_id": decision.subject_id,
        "as_of": decision.as_of,
        "probability": decision.probability,
        "risk_score": decision.risk_score,
        "grade": decision.grade,
        "previous_grade": decision.previous_grade,
        "vetoes": decision.vetoes,
        "valid_until": decision.valid_until,
        "warn": decision.warn,
        "draw": decision.draw,
        "action": decision.action,
        "made_at": decision.made_at,
        "role": role,
        "scenario_digest": decision.scenario_digest,
        "bundle_digest": decision.bundle_digest,
        "inputs_digest": decision.inputs_digest.hex(),
        "data_versions": decision.data_versions,
        "inbox_mark": decision.inbox_mark,
        "reference": decision.reference,
        "superseded_by": decision.superseded_by,
    }
    if explanation is not None:
        made["explanation"] = explanation_shown(explanation)
    return made


def explanation_shown(content: Mapping[str, object]) -> dict[str, object]:
    """Return an explanation as :class:`ExplanationShown` tells of it."""
    return {name: content[name] for name in _SAID}
