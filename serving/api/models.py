"""Which models decide, which were refused and why, and what became of them before."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from serving.api.asked import PageQuery, ScenarioFilter
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.ledger import promotions
from serving.runtime.live import Live

router = APIRouter(tags=["models"])


class ModelShown(BaseModel):
    """一个在用的模型."""

    scenario: str = Field(description="场景", examples=["food_safety"])
    title: str = Field(description="场景名称", examples=["食品安全风险"])
    role: str = Field(description="champion：现用；challenger：影子运行，判定另存")
    source: str = Field(description="registry：模型登记库；folder：本机文件夹")
    version: int | None = Field(description="登记库中的版本；本机文件夹的没有")
    bundle_digest: str = Field(description="模型的摘要")
    scenario_digest: str = Field(description="现行场景声明的摘要")
    since: datetime = Field(description="本进程启用它的时间")
    trained_from: date = Field(description="训练数据自")
    trained_to: date = Field(description="训练数据至")
    features: list[str] = Field(description="模型与直接判定情形所读的特征")


class RefusedModel(BaseModel):
    """一个未获启用的模型：原模型继续使用."""

    scenario: str = Field(description="场景")
    role: str = Field(description="champion 或 challenger")
    version: int | None = Field(description="登记库中的版本")
    bundle_digest: str = Field(description="模型的摘要")
    reason: str = Field(description="原因")


class ModelList(BaseModel):
    """本进程的模型."""

    loaded: bool = Field(description="上次启用的模型是否已装入")
    registry: str = Field(description="模型登记库：ok，或原因")
    live: list[ModelShown] = Field(description="在用的模型")
    refused: list[RefusedModel] = Field(description="未获启用的模型")


class ModelEventShown(BaseModel):
    """模型的一次变动."""

    scenario: str = Field(description="场景")
    role: str = Field(description="champion 或 challenger")
    event: str = Field(description="live：启用；retired：停用；refused：未获启用")
    bundle_digest: str = Field(description="模型的摘要")
    version: int | None = Field(description="登记库中的版本")
    reason: str | None = Field(description="原因")
    at: datetime = Field(description="时间")


class ModelHistory(BaseModel):
    """模型的变动，最近的在前."""

    events: list[ModelEventShown] = Field(description="变动")


@router.get("/v1/models", summary="在用的模型")
def models(
    service: ServiceDep, caller: Annotated[Caller, Depends(allow(Permission.MODELS_READ))]
) -> ModelList:
    """Return the models that this process decides with, and those that it refused."""
    del caller
    runtime = service.runtime
    return ModelList(
        loaded=runtime.loaded,
        registry=runtime.registry_says or "ok",
        live=[_shown(one) for one in runtime.all()],
        refused=[
            RefusedModel(
                scenario=one.named.scenario,
                role=one.named.role,
                version=one.named.version,
                bundle_digest=one.named.digest,
                reason=one.reason,
            )
            for _, one in sorted(runtime.refused.items())
        ],
    )


@router.get("/v1/models/events", summary="模型的变动")
def events(
    service: ServiceDep,
    caller: Annotated[Caller, Depends(allow(Permission.MODELS_READ))],
    scenario: ScenarioFilter = None,
    limit: PageQuery = 100,
) -> ModelHistory:
    """Return what became of models: live from then on, retired, refused."""
    del caller
    with service.ledger.begin() as connection:
        found = promotions.history(connection, scenario=scenario, limit=limit)
    return ModelHistory(
        events=[
            ModelEventShown(
                scenario=one.scenario,
                role=one.role,
                event=one.event,
                bundle_digest=one.bundle_digest,
                version=one.version,
                reason=one.reason,
                at=one.at,
            )
            for one in found
        ]
    )


def _shown(live: Live) -> ModelShown:
    manifest = live.bundle.manifest
    return ModelShown(
        scenario=live.scenario.id,
        title=live.scenario.title,
        role=live.role,
        source=live.source,
        version=live.version,
        bundle_digest=live.bundle.digest,
        scenario_digest=live.scenario.digest,
        since=live.since,
        trained_from=manifest.trained_from,
        trained_to=manifest.trained_to,
        features=list(live.inline.needed),
    )
