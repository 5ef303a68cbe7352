"""Accounts: made by system administrators, given rights by security administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from serving.api.asked import AccessText
from serving.auth import accounts
from serving.auth.caller import Caller
from serving.auth.roles import Permission, Role
from serving.deps import ServiceDep, allow
from serving.ledger import users
from serving.ledger.users import AccountRow
from serving.problems import Problem

router = APIRouter(prefix="/v1/users", tags=["users"])

SystemAdmin = Annotated[Caller, Depends(allow(Permission.USERS_MANAGE))]
SecurityAdmin = Annotated[Caller, Depends(allow(Permission.ACCESS_MANAGE))]
EitherAdmin = Annotated[Caller, Depends(allow(Permission.USERS_MANAGE, Permission.ACCESS_MANAGE))]
AccountId = Annotated[str, InPath(pattern=r"^[0-9a-f]{16}$", description="账号编号")]
Found = TypeVar("Found")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewUser(_Body):
    """新账号."""

    name: str = Field(max_length=64, description="账号名", examples=["zhifa.01"])
    title: str = Field(
        default="",
        max_length=64,
        pattern=r"^[^\x00]*$",
        description="显示名",
        examples=["执法一组"],
    )


class Rights(_Body):
    """角色与可见范围."""

    roles: frozenset[Role] = Field(description="角色；三员互斥", examples=[["inspector"]])
    regions: list[str] = Field(
        max_length=200, description="可见区域代码；空串为全部，空表为无", examples=[["210100"]]
    )
    departments: list[AccessText] = Field(
        default_factory=list, max_length=200, description="可见部门；空表为不限"
    )


class State(_Body):
    """启用或停用."""

    enabled: bool = Field(description="是否启用")


class User(BaseModel):
    """账号."""

    id: str = Field(description="账号编号")
    name: str = Field(description="账号名")
    title: str = Field(description="显示名")
    roles: list[str] = Field(description="角色")
    regions: list[str] = Field(description="可见区域前缀")
    departments: list[str] = Field(description="可见部门")
    enabled: bool = Field(description="是否启用")
    invited: bool = Field(description="邀请尚未使用")
    second_factor: bool = Field(description="是否启用双因素")
    locked_until: datetime | None = Field(description="锁定至")
    created_at: datetime = Field(description="建立时间")
    created_by: str = Field(description="建立者")


class Invited(BaseModel):
    """账号与邀请码."""

    user: User
    invitation: str = Field(description="邀请码，交给本人设置口令；只显示这一次")


@router.get("", summary="账号列表")
def every(service: ServiceDep, caller: EitherAdmin) -> list[User]:
    """Return all accounts, to either administrator who works on them."""
    del caller
    with service.ledger.begin() as connection:
        return [_user(row) for row in users.every(connection)]


@router.post("", summary="新建账号", status_code=201)
def create(service: ServiceDep, caller: SystemAdmin, body: NewUser) -> Invited:
    """Make an account without any right; its person sets the password with the invitation."""
    row, invitation = accounts.create(service, caller.id, name=body.name, title=body.title)
    return Invited(user=_user(row), invitation=invitation)


@router.put("/{account_id}/rights", summary="授权")
def grant(service: ServiceDep, caller: SecurityAdmin, account_id: AccountId, body: Rights) -> User:
    """Set what an account may do and see; its sessions end."""
    row = accounts.grant(
        service,
        caller.id,
        account_id=account_id,
        roles=body.roles,
        regions=body.regions,
        departments=body.departments,
    )
    return _user(_there(row, account_id))


@router.put("/{account_id}/state", summary="启用或停用账号")
def enable(service: ServiceDep, caller: SystemAdmin, account_id: AccountId, body: State) -> User:
    """Open or close an account; closing ends its sessions."""
    row = accounts.enable(service, caller.id, account_id=account_id, enabled=body.enabled)
    return _user(_there(row, account_id))


@router.post("/{account_id}/unlock", summary="解除锁定")
def unlock(service: ServiceDep, caller: SystemAdmin, account_id: AccountId) -> User:
    """End the lock that failures to sign in have set."""
    return _user(_there(accounts.unlock(service, caller.id, account_id=account_id), account_id))


@router.post("/{account_id}/invitation", summary="重新邀请（重置口令）", status_code=201)
def invite(service: ServiceDep, caller: SystemAdmin, account_id: AccountId) -> Invited:
    """Let an account choose a password anew; its rights end until they are granted again."""
    text = _there(accounts.invite(service, caller.id, account_id=account_id), account_id)
    with service.ledger.begin() as connection:
        row = _there(users.find(connection, account_id), account_id)
    return Invited(user=_user(row), invitation=text)


def _there(found: Found | None, account_id: str) -> Found:
    if found is None:
        raise Problem(404, "not-found", f"there is no account {account_id}")
    return found


def _user(row: AccountRow) -> User:
    return User(
        id=row.id,
        name=row.name,
        title=row.title,
        roles=list(row.roles),
        regions=list(row.regions),
        departments=list(row.departments),
        enabled=row.disabled_at is None,
        invited=row.invitation is not None,
        second_factor=row.totp_confirmed_at is not None,
        locked_until=row.locked_until,
        created_at=row.created_at,
        created_by=row.created_by,
    )
