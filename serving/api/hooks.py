"""Partners' webhooks: who is told of changes, and what became of every delivery."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, status
from pydantic import BaseModel, ConfigDict, Field

from models.errors import ConfigError
from serving.api.asked import LAST, LimitQuery
from serving.api.audited import audited
from serving.auth.caller import Caller, region_prefixes
from serving.auth.roles import Permission
from serving.auth.secret import seal
from serving.deps import ServiceDep, allow
from serving.jobs import deliver, hosts
from serving.jobs.hosts import Allowed
from serving.ledger import changes, hooks
from serving.ledger.changes import ChangeKind
from serving.ledger.engine import Connection
from serving.ledger.hooks import Delivery, Hook, Status
from serving.problems import Problem

router = APIRouter(prefix="/v1/hooks", tags=["hooks"])

Manager = Annotated[Caller, Depends(allow(Permission.HOOKS_MANAGE))]
Number = Annotated[int, Path(ge=1, le=LAST, description="编号", examples=[3])]
_SECRET_BYTES: Final = 32


class NewHook(BaseModel):
    """新的推送."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f]+$",
        description="名称",
        examples=["市信用平台"],
    )
    url: str = Field(
        min_length=1,
        max_length=500,
        pattern=r"^https?://[\x21-\x7e]+$",
        description="接收地址；主机须在 XINJIAN_HOOK_HOSTS 之内",
        examples=["https://credit.example.cn/changes"],
    )
    kinds: list[ChangeKind] = Field(default=[], max_length=10, description="种类；默认全部")
    regions: list[str] = Field(
        default=[],
        max_length=100,
        description="行政区划代码；默认为提交者的范围",
        examples=[["210100"]],
    )
    from_start: bool = Field(default=False, description="从最早的变动推送，而非从现在")


class HookAnswer(BaseModel):
    """推送."""

    id: int = Field(description="编号")
    title: str = Field(description="名称")
    url: str = Field(description="接收地址")
    kinds: list[str] = Field(description="种类；空为全部")
    regions: list[str] = Field(description="行政区划前缀；空字符串为全部")
    active: bool = Field(description="启用")
    cursor: int = Field(description="已推送到的位置")
    created_by: str = Field(description="建立者")
    created_at: datetime = Field(description="建立时间")


class Created(HookAnswer):
    """新建的推送."""

    secret: str = Field(description="签名密钥，只显示这一次")


class Switch(BaseModel):
    """启用或停用."""

    model_config = ConfigDict(extra="forbid")

    active: bool = Field(description="启用")


class DeliveryAnswer(BaseModel):
    """一次推送."""

    id: int = Field(description="编号，重发时不变")
    after: int = Field(description="起点（不含）")
    upto: int = Field(description="终点（含）")
    status: Status = Field(description="waiting 待推送，delivered 已送达，dead 已放弃")
    attempts: int = Field(description="已尝试次数")
    next_at: datetime = Field(description="下次尝试时间")
    answer: int | None = Field(description="对方最近的 HTTP 状态码")
    error: str | None = Field(description="最近一次错误")
    created_at: datetime = Field(description="建立时间")
    ended_at: datetime | None = Field(description="结束时间")


@router.post("", summary="建立推送", status_code=status.HTTP_201_CREATED)
def create(body: NewHook, service: ServiceDep, caller: Manager) -> Created:
    """Let a partner be told of changes; the secret of its signatures is shown this once."""
    regions = _regions(body, caller)
    try:
        hosts.check(body.url, Allowed.of(service.settings.hook_hosts))
    except ConfigError as error:
        raise Problem(422, "hook-not-allowed", str(error)) from error
    secret = secrets.token_bytes(_SECRET_BYTES)
    sealed = seal(service.settings, secret, context=deliver.context(body.url))
    with service.ledger.begin() as connection:
        number = hooks.create(
            connection,
            body.title,
            url=body.url,
            kinds=sorted(set(body.kinds)),
            regions=regions,
            secret=sealed,
            cursor=0 if body.from_start else changes.latest(connection),
            by=caller.id,
        )
        made = _visible(connection, number, caller)
        audited(connection, service, caller, "hook.create", str(number))
    shown = base64.urlsafe_b64encode(secret).decode()
    return Created(**_answer(made).model_dump(), secret=shown)


@router.get("", summary="推送列表")
def every(service: ServiceDep, caller: Manager) -> list[HookAnswer]:
    """List the hooks of the caller's regions, the newest first."""
    with service.ledger.begin() as connection:
        return [_answer(one) for one in hooks.listing(connection) if _sees(caller, one)]


@router.get("/{number}", summary="推送")
def one(number: Number, service: ServiceDep, caller: Manager) -> HookAnswer:
    """Show a hook."""
    with service.ledger.begin() as connection:
        return _answer(_visible(connection, number, caller))


@router.patch("/{number}", summary="启用或停用推送")
def switch(number: Number, body: Switch, service: ServiceDep, caller: Manager) -> HookAnswer:
    """Switch a hook on or off; what happens while it is off is told when it is on again."""
    with service.ledger.begin() as connection:
        _visible(connection, number, caller)
        hooks.set_active(connection, number, active=body.active)
        answer = _answer(_visible(connection, number, caller))
        audited(connection, service, caller, "hook.on" if body.active else "hook.off", str(number))
    return answer


@router.get("/{number}/deliveries", summary="推送记录")
def deliveries(
    number: Number,
    service: ServiceDep,
    caller: Manager,
    status: Annotated[Status | None, Query(description="只看此状态")] = None,
    limit: LimitQuery = 50,
) -> list[DeliveryAnswer]:
    """List a hook's deliveries, the newest first."""
    with service.ledger.begin() as connection:
        _visible(connection, number, caller)
        found = hooks.deliveries(connection, number, status=status, limit=limit)
    return [_delivery(one) for one in found]


@router.post("/{number}/deliveries/{delivery}/retry", summary="重新推送")
def again(
    number: Number,
    delivery: Annotated[int, Path(ge=1, le=LAST, description="推送记录编号")],
    service: ServiceDep,
    caller: Manager,
) -> HookAnswer:
    """Let a delivery that was given up be tried again."""
    with service.ledger.begin() as connection:
        hook = _visible(connection, number, caller)
        if not hooks.again(connection, number, delivery):
            raise Problem(
                409,
                "delivery-not-dead",
                f"hook {number} has no dead delivery {delivery}; only one that was given up is "
                "sent again",
            )
        audited(connection, service, caller, "hook.retry", str(number))
    return _answer(hook)


def _regions(body: NewHook, caller: Caller) -> list[str]:
    """Return the prefixes that a hook is told of: never more than whoever makes it may see."""
    try:
        asked = region_prefixes(body.regions) if body.regions else caller.regions
    except ConfigError as error:
        raise Problem(422, "invalid", str(error)) from error
    beyond = [one for one in asked if not caller.sees_region(one)]
    if beyond or not asked:
        raise Problem(
            403,
            "outside-scope",
            f"{', '.join(beyond) or 'no region'} is beyond the regions of this caller; a hook is "
            "told of no more than its maker may see",
        )
    return list(asked)


def _sees(caller: Caller, hook: Hook) -> bool:
    return all(caller.sees_region(one) for one in hook.regions)


def _visible(connection: Connection, number: int, caller: Caller) -> Hook:
    found = hooks.get(connection, number)
    if found is None or not _sees(caller, found):
        raise Problem(404, "no-such-hook", f"there is no hook {number}; GET /v1/hooks lists them")
    return found


def _answer(hook: Hook) -> HookAnswer:
    return HookAnswer.model_validate(hook, from_attributes=True)


def _delivery(found: Delivery) -> DeliveryAnswer:
    return DeliveryAnswer.model_validate(found, from_attributes=True)
