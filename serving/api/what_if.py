"""What-if: the decision that would follow if records were void or added; nothing is stored."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from models.records.publicity import VoidReason
from serving.api.asked import SubjectPath
from serving.api.lookup import PLAIN, day_of_view, live_model
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.ledger import portraits
from serving.ledger.audit import Entry
from serving.ledger.engine import Connection
from serving.portrait.standing import standing
from serving.portrait.view import View
from serving.portrait.what_if import Faults, Supposed, compared, supposed
from serving.problems import FieldProblem, Problem, ProblemDetails
from serving.runtime.live import Live
from serving.service import Service

router = APIRouter(tags=["portraits"])

MOST: Final = 100
"""Records that may be supposed void, and rows that may be added, in one request."""
_MEDIA: Final = "application/json"
_encoder: Final = msgspec.json.Encoder()
Scorer = Annotated[Caller, Depends(allow(Permission.SCORE))]


class WhatIf(BaseModel):
    """假设：若干记录不再使用，或另有若干记录."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"void": ["0f3c9a6e5b7d4c1a8e2f0b9d6c5a4e3f"]}]},
    )

    void: list[Annotated[str, Field(pattern=PLAIN, max_length=64)]] = Field(
        default_factory=list[str],
        max_length=MOST,
        description="假设自查询日起不再使用的记录编号，须为本主体的",
    )
    reason: Literal["annulled", "repaired"] = Field(
        default="annulled", description="不再使用的原因：annulled 撤销；repaired 修复"
    )
    add: dict[str, list[dict[str, object]]] = Field(
        default_factory=dict[str, list[dict[str, object]]],
        description="假设另有的记录，按表；按同一规则校验，主体可省略",
    )
    scenarios: list[Annotated[str, Field(pattern=PLAIN, max_length=64)]] | None = Field(
        default=None, max_length=40, description="场景；默认全部"
    )
    as_of: date | None = Field(default=None, description="截面日；默认当日")


class Supposition(BaseModel):
    """一个未存档的判定."""

    probability: float = Field(description="校准后的概率")
    risk_score: float = Field(description="风险分，0–1000")
    grade: str = Field(description="风险等级")
    previous_grade: str | None = Field(description="上一判定的等级")
    vetoes: list[str] = Field(description="直接判定等级的情形")
    valid_until: date = Field(description="有效至（含）")
    warn: bool = Field(description="是否预警")
    draw: float = Field(description="抽查比例")
    action: str | None = Field(description="处置措施")


class DifferenceShown(BaseModel):
    """两个判定之差（假设减现状）."""

    probability: float = Field(description="概率之差")
    risk_score: float = Field(description="风险分之差")
    grade: str | None = Field(description="等级变化；不变的为空", examples=["C→B"])


class ReasonChanged(BaseModel):
    """一条原因的变化；贡献为对数几率，正值推高风险."""

    before_text: str | None = Field(description="现状下的原因；新增的为空")
    after_text: str | None = Field(description="假设下的原因；消失的为空")
    before: float | None = Field(description="现状下的贡献")
    after: float | None = Field(description="假设下的贡献")


class ScenarioWhatIf(BaseModel):
    """一个场景下的现状与假设."""

    scenario: str = Field(description="场景")
    title: str = Field(description="场景名称")
    standing: dict[str, object] | None = Field(description="存档的现行判定；没有的为空")
    before: Supposition | None = Field(description="按现有记录的判定；不在监管对象范围的为空")
    after: Supposition | None = Field(description="按假设的判定；不在监管对象范围的为空")
    difference: DifferenceShown | None = Field(description="两者之差；缺一的为空")
    reasons: list[ReasonChanged] = Field(description="原因的变化，按大小")


class WhatIfShown(BaseModel):
    """假设的结果；均未存档."""

    subject_id: str = Field(description="主体")
    as_of: date = Field(description="截面日")
    stored: Literal[False] = Field(description="恒为否")
    scenarios: list[ScenarioWhatIf] = Field(description="各场景")


@router.post(
    "/v1/subjects/{subject}/what-if",
    summary="假设分析",
    response_model=WhatIfShown,
    responses={
        404: {"model": ProblemDetails, "description": "没有该主体，或不在本人范围内"},
        422: {"model": ProblemDetails, "description": "记录不是本主体的，或所加的行有误"},
    },
)
def suppose(subject: SubjectPath, body: WhatIf, service: ServiceDep, caller: Scorer) -> Response:
    """Decide a subject as it is and as it would be, and tell what differs; nothing is stored.

    Neighbours and peers are left as they are. Who looks is audited as access, before they are told.
    """
    on = day_of_view(service, body.as_of)
    _check_size(body)
    chosen = _chosen(service, body.scenarios)
    with service.ledger.begin() as connection:
        view = View.of(service, connection, caller, subject=subject, on=on)
        if view is None:
            raise Problem(404, "not-found", f"nothing is known of subject '{subject}'")
        stands = _standing(view, connection)
    what = supposed(
        service,
        view.own,
        on,
        void=list(dict.fromkeys(body.void)),
        reason=VoidReason(body.reason),
        add=body.add,
    )
    if isinstance(what, Faults):
        raise _wrong(what)
    service.audit.record(
        Entry(
            service.clock(),
            caller.id,
            "what_if.read",
            f"subject:{subject}",
            purpose=caller.purpose,
            details={"void": len(body.void), "add": sum(map(len, body.add.values()))},
        )
    )
    made = _compared(service, chosen, subject, on, what)
    told = [{**one, "standing": stands.get(str(one["scenario"]))} for one in made]
    content = {"subject_id": subject, "as_of": on, "stored": False, "scenarios": told}
    return Response(_encoder.encode(content), media_type=_MEDIA)


def _compared(
    service: Service, chosen: list[Live], subject: str, on: date, what: Supposed
) -> list[dict[str, object]]:
    with service.runtime.many:
        return [compared(service, live, subject, on, what) for live in chosen]


def _check_size(body: WhatIf) -> None:
    rows = sum(map(len, body.add.values()))
    if rows > MOST:
        raise Problem(422, "too-many", f"add has {rows} rows; suppose {MOST} at most")
    if not rows and not body.void:
        raise Problem(422, "nothing-supposed", "suppose something: name records in void, or add")


def _chosen(service: Service, asked: list[str] | None) -> list[Live]:
    if asked:
        return [live_model(service, name) for name in dict.fromkeys(asked)]
    return [live for live in service.runtime.all() if live.role == "champion"]


def _standing(view: View, connection: Connection) -> dict[str, dict[str, object]]:
    known = portraits.grades(connection, view.subject, view.on, before=view.before, limit=1)
    return {
        name: {
            key: value
            for key, value in asdict(point).items()
            if key in {"id", "as_of", "grade", "probability", "risk_score", "valid_until"}
        }
        for name, point in standing(view, known).items()
    }


def _wrong(faults: Faults) -> Problem:
    found = [FieldProblem(field=place, message=rule) for place, rule in faults.errors]
    first = "; ".join(f"{one.field}: {one.message}" for one in found[:3])
    return Problem(422, "not-supposable", first, errors=found)
