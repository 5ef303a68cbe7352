"""Keys of systems, issued by security administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from serving.api.asked import AccessText
from serving.auth import issuing
from serving.auth.caller import Caller, Purpose
from serving.auth.issuing import MOST_DAYS, MOST_HOURS, Wish
from serving.auth.roles import Permission, Role
from serving.deps import ServiceDep, allow
from serving.ledger import keys
from serving.ledger.keys import KeyRow
from serving.problems import Problem

router = APIRouter(prefix="/v1/keys", tags=["keys"])

SecurityAdmin = Annotated[Caller, Depends(allow(Permission.ACCESS_MANAGE))]
KeyId = Annotated[str, InPath(pattern=r"^[0-9a-f]{16}$", description="密钥编号")]


class NewKey(BaseModel):
    """新密钥."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=64, description="对接系统名称", examples=["省级平台"])
    roles: frozenset[Role] = Field(description="角色；不得为三员", examples=[["partner"]])
    regions: list[str] = Field(
        max_length=200, description="可见区域代码；空串为全部，空表为无", examples=[["21"]]
    )
    departments: list[AccessText] = Field(
        default_factory=list, max_length=200, description="可见部门；空表为不限"
    )
    purposes: frozenset[Purpose] = Field(
        default_factory=frozenset[Purpose], description="限定的使用目的；可查看个人信息时必填"
    )
    days: int = Field(default=180, ge=1, le=MOST_DAYS, description="有效天数")


class Rotation(BaseModel):
    """轮换."""

    model_config = ConfigDict(extra="forbid")

    hours: int = Field(default=24, ge=0, le=MOST_HOURS, description="旧密钥继续有效的小时数")


class Key(BaseModel):
    """密钥."""

    id: str = Field(description="密钥编号")
    name: str = Field(description="对接系统名称")
    state: str = Field(description="live 有效 | expired 过期 | revoked 吊销")
    roles: list[str] = Field(description="角色")
    regions: list[str] = Field(description="可见区域前缀")
    departments: list[str] = Field(description="可见部门")
    purposes: list[str] = Field(description="限定的使用目的")
    created_at: datetime = Field(description="签发时间")
    created_by: str = Field(description="签发者")
    expires_at: datetime = Field(description="失效时间")
    used_at: datetime | None = Field(description="最近使用时间（精确到分钟）")
    replaces: str | None = Field(description="所轮换的旧密钥")


class IssuedKey(BaseModel):
    """密钥及其明文."""

    key: Key
    text: str = Field(description="密钥明文，只显示这一次")


@router.get("", summary="密钥列表")
def every(service: ServiceDep, caller: SecurityAdmin) -> list[Key]:
    """Return all keys, the newest first."""
    del caller
    with service.ledger.begin() as connection:
        return [_key(row, service.clock()) for row in keys.every(connection)]


@router.post("", summary="签发密钥", status_code=201)
def issue(service: ServiceDep, caller: SecurityAdmin, body: NewKey) -> IssuedKey:
    """Make a key; its text is in this answer and nowhere else."""
    wish = Wish(
        name=body.name,
        roles=body.roles,
        regions=tuple(body.regions),
        departments=tuple(body.departments),
        purposes=tuple(body.purposes),
        days=body.days,
    )
    row, text = issuing.issue(service, caller.id, wish=wish)
    return IssuedKey(key=_key(row, service.clock()), text=text)


@router.post("/{key_id}/rotation", summary="轮换密钥", status_code=201)
def rotate(service: ServiceDep, caller: SecurityAdmin, key_id: KeyId, body: Rotation) -> IssuedKey:
    """Make a key of the same rights; the one before stays good for some hours."""
    found = issuing.rotate(service, caller.id, key_id=key_id, hours=body.hours)
    if found is None:
        raise Problem(404, "not-found", f"there is no live key {key_id}")
    return IssuedKey(key=_key(found[0], service.clock()), text=found[1])


@router.delete("/{key_id}", summary="吊销密钥", status_code=204)
def revoke(service: ServiceDep, caller: SecurityAdmin, key_id: KeyId) -> None:
    """End a key: at once here, within seconds in the other processes."""
    if not issuing.revoke(service, caller.id, key_id=key_id):
        raise Problem(404, "not-found", f"there is no key {key_id} that is not revoked")


def _key(row: KeyRow, now: datetime) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        state=issuing.state(row, now),
        roles=list(row.roles),
        regions=list(row.regions),
        departments=list(row.departments),
        purposes=list(row.purposes),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        used_at=row.used_at,
        replaces=row.replaces,
    )
