"""Coming in and going out: setting up, invitations, sessions, passwords, second factors."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from serving.auth import accounts, login, totp
from serving.auth.caller import PURPOSE_TITLES, Caller
from serving.auth.roles import TITLES, Role, permissions
from serving.deps import CallerDep, ServiceDep, UserDep, check_failures, hold_failures
from serving.problems import Problem

router = APIRouter(prefix="/v1", tags=["auth"])

Name = Annotated[str, Field(min_length=3, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
# Without limits of length: what breaks one is said back to its sender.
Password = Annotated[SecretStr, Field(description="口令")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SetUp(_Body):
    """首次安装：三员账号名."""

    token: SecretStr = Field(description="首次启动时显示的一次性安装令牌")
    system_admin: Name = Field(description="系统管理员账号名", examples=["sys.admin"])
    security_admin: Name = Field(description="安全管理员账号名", examples=["sec.admin"])
    audit_admin: Name = Field(description="审计管理员账号名", examples=["aud.admin"])


class Invitations(BaseModel):
    """三员的邀请码."""

    invitations: dict[Role, str] = Field(description="角色到邀请码；各自设置口令，只显示这一次")


class Invitation(_Body):
    """用邀请码设置口令."""

    invitation: SecretStr = Field(description="邀请码")
    password: Password


class Named(BaseModel):
    """账号."""

    name: str = Field(description="账号名")


class SignIn(_Body):
    """登录."""

    name: str = Field(
        min_length=1,
        max_length=64,
        pattern=r"^[^\x00]*$",
        description="账号名",
        examples=["sys.admin"],
    )
    password: Password
    code: str | None = Field(
        default=None,
        max_length=16,
        description="动态口令；启用双因素时必填",
        examples=["123456"],
    )


class Session(BaseModel):
    """会话."""

    token: str = Field(description="会话令牌，作为 Bearer 令牌使用；只显示这一次")
    until: datetime = Field(description="最迟失效时间；空闲后提前失效")
    second_factor: bool = Field(description="是否经过双因素")


class PasswordChange(_Body):
    """修改口令."""

    old: Password
    new: Password


class Confirmation(_Body):
    """口令确认."""

    password: Password


class Code(_Body):
    """动态口令."""

    code: str = Field(min_length=1, max_length=16, description="动态口令", examples=["123456"])


class Factor(BaseModel):
    """双因素密钥."""

    secret: str = Field(description="密钥（Base32），只显示这一次")
    uri: str = Field(description="otpauth 地址，可制成二维码")


class Me(BaseModel):
    """当前调用者."""

    id: str = Field(description="标识")
    kind: str = Field(description="user 账号 | key 密钥 | token 令牌")
    name: str = Field(description="名称")
    roles: dict[str, str] = Field(description="角色及中文名")
    permissions: list[str] = Field(description="权限")
    regions: list[str] = Field(description="可见区域前缀；空串为全部")
    departments: list[str] = Field(description="可见部门；空为不限")
    purposes: dict[str, str] = Field(description="可用的使用目的")
    held: str | None = Field(description="角色暂不可用的原因")


@router.post("/setup", summary="首次安装：建立三员账号", status_code=201)
def set_up(service: ServiceDep, request: Request, body: SetUp) -> Invitations:
    """Make the three administrators with the token that the first start shows."""
    check_failures(service, request)
    names = {
        Role.SYSTEM_ADMIN: body.system_admin,
        Role.SECURITY_ADMIN: body.security_admin,
        Role.AUDIT_ADMIN: body.audit_admin,
    }
    found = accounts.set_up(service, body.token.get_secret_value(), names=names)
    if found is None:
        hold_failures(service, request)
        raise Problem(
            403,
            "setup-refused",
            "the setup token is wrong, was used, or is older than a day; while there is no "
            "account, restarting the service shows another",
        )
    return Invitations(invitations=found)


@router.post("/auth/invitations", summary="用邀请码设置口令", status_code=201)
def take_invitation(service: ServiceDep, request: Request, body: Invitation) -> Named:
    """Set the first password of an invited account; sign in with it afterwards."""
    check_failures(service, request)
    found = login.take_invitation(
        service, body.invitation.get_secret_value(), password=body.password.get_secret_value()
    )
    if found is None:
        hold_failures(service, request)
        raise Problem(
            403,
            "invitation-refused",
            "the invitation is wrong, was used or has ended; ask a system administrator for "
            "another",
        )
    return Named(name=found.name)


@router.post("/auth/sessions", summary="登录", status_code=201)
def sign_in(service: ServiceDep, request: Request, body: SignIn) -> Session:
    """Begin a session: name and password, and the code of the second factor where there is one."""
    check_failures(service, request)
    found = login.sign_in(
        service, body.name, password=body.password.get_secret_value(), code=body.code or None
    )
    if found is None:
        hold_failures(service, request)
        raise Problem(
            401,
            "sign-in-refused",
            "name, password or code is wrong, or the account is closed; after "
            f"{login.ATTEMPTS} failures it is locked for {login.LOCKED.seconds // 60} minutes",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return Session(
        token=found.token, until=found.session.until, second_factor=found.session.second_factor
    )


@router.delete("/auth/session", summary="退出登录", status_code=204)
def sign_out(service: ServiceDep, caller: UserDep) -> None:
    """End the session of this request."""
    login.sign_out(service, caller)


@router.get("/auth/me", summary="当前调用者")
async def me(caller: CallerDep) -> Me:
    """Return who calls and what they may do."""
    return _me(caller)


@router.put("/auth/password", summary="修改口令", status_code=204)
def change_password(service: ServiceDep, caller: UserDep, body: PasswordChange) -> None:
    """Change the password; other sessions of the account end."""
    login.change_password(
        service, caller, old=body.old.get_secret_value(), new=body.new.get_secret_value()
    )


@router.post("/auth/totp", summary="建立双因素", status_code=201)
def new_factor(
    service: ServiceDep, caller: UserDep, body: Annotated[Confirmation, Body()]
) -> Factor:
    """Make a second factor, which counts once it was confirmed with a code."""
    seed = login.new_factor(service, caller, password=body.password.get_secret_value())
    return Factor(secret=seed, uri=totp.uri(seed, account=caller.name))


@router.post("/auth/totp/confirm", summary="确认双因素", status_code=204)
def confirm_factor(service: ServiceDep, request: Request, caller: UserDep, body: Code) -> None:
    """Confirm the second factor with a code of it; it counts for this session too."""
    if not login.confirm_factor(service, caller, code=body.code):
        hold_failures(service, request)
        raise Problem(
            422, "code-refused", "the code is not of this time or was used; take the next one"
        )


def _me(caller: Caller) -> Me:
    purposes = {
        purpose.value: title
        for purpose, title in PURPOSE_TITLES.items()
        if not caller.purposes or purpose in caller.purposes
    }
    return Me(
        id=caller.id,
        kind=caller.kind,
        name=caller.name,
        roles={role.value: TITLES[role] for role in sorted(caller.roles)},
        permissions=sorted(permissions(caller.roles)),
        regions=list(caller.regions),
        departments=list(caller.departments),
        purposes=purposes,
        held=caller.held,
    )
