"""What a route asks for by type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from math import ceil
from typing import Annotated, Final, cast

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials
from starlette.concurrency import run_in_threadpool

from serving.auth.caller import Caller, Purpose
from serving.auth.identify import identify
from serving.auth.masks import shows
from serving.auth.roles import Permission
from serving.ledger.audit import Entry
from serving.problems import Problem
from serving.service import Service

_FAILURES: Final = (0.2, 30.0)
"""Failed proofs that one address may try: a second, and at once."""
_TOO_OFTEN: Final = "too many failed proofs of identity from this address"
_GUARDED: Final = frozenset(
    {
        Permission.PERSONAL_READ,
        Permission.USERS_MANAGE,
        Permission.ACCESS_MANAGE,
        Permission.AUDIT_READ,
    }
)
"""Permissions of which a refusal is audited."""
_HELD: Final = {
    "second-factor-missing": "this account works with a second factor only; set one up at "
    "/v1/auth/totp, then sign in again with its code",
    "password-old": "the password is too old; choose another at /v1/auth/password",
}
_key = APIKeyHeader(
    name="X-API-Key", scheme_name="ApiKey", description="系统的接口密钥", auto_error=False
)
_bearer = HTTPBearer(
    scheme_name="Bearer", description="OIDC 访问令牌、登录会话或接口密钥", auto_error=False
)


def service(request: Request) -> Service:
    """Return the running service."""
    return cast("Service", request.app.state.service)


async def _at_once(request: Request) -> Service:
    """Return the running service without going to another thread for it."""
    return service(request)


ServiceDep = Annotated[Service, Depends(_at_once)]


async def caller(
    request: Request,
    key: Annotated[str | None, Security(_key)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    purpose: Annotated[
        Purpose | None, Header(alias="X-Purpose", description="使用目的；查看个人信息时必填")
    ] = None,
) -> Caller:
    """Return who calls, within their rate; a problem 401 where nobody is proven, 429 where fast."""
    found = await _proven(service(request), request, key or (bearer.credentials if bearer else ""))
    _hold_rate(service(request), found)
    if purpose is not None and found.purposes and purpose not in found.purposes:
        raise Problem(
            403,
            "purpose-not-allowed",
            f"{purpose} is none of the purposes of this caller ({', '.join(found.purposes)})",
        )
    return found.for_purpose(purpose)


CallerDep = Annotated[Caller, Depends(caller)]


async def user(found: CallerDep) -> Caller:
    """Return who calls, who must be a person of an account of this service."""
    if found.session is None:
        raise Problem(403, "no-session", "this is for people who signed in; see /v1/auth/sessions")
    return found


UserDep = Annotated[Caller, Depends(user)]


@lru_cache
def allow(permission: Permission, *others: Permission) -> Callable[..., Awaitable[Caller]]:
    """Return a dependency: the caller, if they have the permission, or one of the others.

    ``caller: Annotated[Caller, Depends(allow(Permission.SCORE))]``; nobody is a problem 401,
    somebody without the permission 403, audited where it guards persons' data or access itself.
    :data:`Permission.PERSONAL_READ` also asks for a purpose for which a role shows such data; what
    is shown is audited by :mod:`serving.auth.opening`.
    """
    asked = (permission, *others)

    async def allowed(request: Request, found: CallerDep) -> Caller:
        if found.held is not None:
            raise Problem(403, found.held, _HELD[found.held])
        if not any(found.may(one) for one in asked):
            if not _GUARDED.isdisjoint(asked):
                await run_in_threadpool(_tell_denied, service(request), request, found)
            raise Problem(
                403,
                "not-permitted",
                f"this needs the permission {permission}, which no role of this caller has; ask "
                "the security administrator",
                more={"permission": permission.value},
            )
        if permission is Permission.PERSONAL_READ:
            _check_purpose(found)
        return found

    return allowed


def check_failures(running: Service, request: Request) -> None:
    """Raise a problem 429 where the address of a request has failed to prove itself too often."""
    rate, burst = _FAILURES
    if wait := running.access.failures.wait(_address(request), rate=rate, burst=burst):
        raise _too_fast(_TOO_OFTEN, wait)


def hold_failures(running: Service, request: Request) -> None:
    """Count a failed proof of a request's address; raise a problem 429 where there are many."""
    rate, burst = _FAILURES
    if wait := running.access.failures.take(_address(request), rate=rate, burst=burst):
        raise _too_fast(_TOO_OFTEN, wait)


def _check_purpose(found: Caller) -> None:
    if found.purpose is None:
        raise Problem(
            400,
            "purpose-missing",
            "persons' data is shown for a purpose only; send the header X-Purpose with one of "
            f"{', '.join(Purpose)}",
        )
    if not shows(found):
        raise Problem(
            403,
            "purpose-not-allowed",
            f"no role of this caller shows persons' data for {found.purpose}",
        )


def _tell_denied(running: Service, request: Request, found: Caller) -> None:
    """Audit that a caller asked for what is not theirs; by the route, which names nobody."""
    entry = Entry(
        running.clock(),
        found.id,
        "access.deny",
        getattr(request.scope.get("route"), "path", None),
        outcome="denied",
        purpose=found.purpose,
    )
    running.audit.record(entry)


async def _proven(running: Service, request: Request, text: str) -> Caller:
    if not text:
        raise _nobody("show a key, a session or a token")
    remembered = running.access.memory.get(text, running.clock())
    if remembered is not None:
        return remembered
    found = await run_in_threadpool(identify, running, text)
    if found is None:
        hold_failures(running, request)
        raise _nobody("the key, session or token is not known, has ended or was altered")
    running.access.memory.put(text, found, running.clock())
    return found.caller


def _nobody(detail: str) -> Problem:
    return Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": "Bearer"})


def _hold_rate(running: Service, found: Caller) -> None:
    rate = running.settings.rate_limit
    if rate and (wait := running.access.requests.take(found.id, rate=rate, burst=2 * rate)):
        raise _too_fast(f"more than {rate:g} requests a second", wait)


def _address(request: Request) -> str:
    return request.client.host if request.client else "-"


def _too_fast(detail: str, wait: float) -> Problem:
    seconds = max(1, ceil(wait))
    return Problem(
        429,
        "too-fast",
        f"{detail}; try again in {seconds} s",
        headers={"Retry-After": str(seconds)},
    )
