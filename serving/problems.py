"""Errors as a caller meets them: ``application/problem+json`` (RFC 9457), always.

Each has ``type`` (a name under ``/problems/``, the same in every release), ``title``, ``status``,
``detail`` (value, rule, remedy), ``instance`` (the request's id) and, where fields are wrong,
``errors`` with their places. What went wrong inside is in the log under the request's id and is
never shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from models.errors import (
    AccessDownError,
    AccessError,
    CodeError,
    ConfigError,
    InspectionError,
    LakeConflictError,
    LakeMissingError,
    LedgerDownError,
    RecordError,
    RegistryError,
    TransitionError,
    XinjianError,
)
from models.logs import logger
from serving.request import request_id

_log = logger(__name__)
MEDIA: Final = "application/problem+json"
RETRY_AFTER: Final = "5"
"""Seconds after which a caller may try again while something is down."""
_SHOWN: Final = 200
"""Most characters of a wrong value that are said back."""


class FieldProblem(BaseModel):
    """One field that is wrong."""

    field: str = Field(description="字段位置", examples=["body.records.0.subject_id"])
    message: str = Field(description="规则与说明")


class ProblemDetails(BaseModel):
    """问题详情 (RFC 9457)."""

    type: str = Field(description="问题类型，各版本不变", examples=["/problems/not-found"])
    title: str = Field(description="问题名称")
    status: int = Field(description="HTTP 状态码", examples=[404])
    detail: str = Field(description="具体的值、规则与解决办法")
    instance: str = Field(description="请求编号，与日志一致")
    errors: list[FieldProblem] | None = Field(default=None, description="有误的字段")


class Problem(Exception):  # noqa: N818 -- the RFC's word
    """What a request cannot have, and why.

    ``more`` are members of its own that a program may read, such as the states that are allowed.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldProblem] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        """Name the HTTP ``status``, the ``kind`` (last part of the type) and the ``detail``."""
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.title = title or HTTPStatus(status).phrase
        self.headers = dict(headers or {})
        self.errors = errors
        self.more = dict(more or {})


class _Plain(JSONResponse):
    """JSON that can say back anything that a caller sent: half a character too, as an escape."""

    def render(self, content: object) -> bytes:
        told = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return told.encode("utf-8", "backslashreplace")


def install(app: FastAPI) -> None:
    """Let every error of the app leave it as a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(XinjianError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(UnicodeEncodeError, _no_text)
    app.add_exception_handler(Exception, _unexpected)


def response(problem: Problem) -> JSONResponse:
    """Return the problem as the answer to the request that is being served."""
    content: dict[str, object] = {
        **problem.more,
        "type": f"/problems/{problem.kind}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request_id(),
    }
    if problem.errors is not None:
        content["errors"] = [one.model_dump() for one in problem.errors]
    return _Plain(content, status_code=problem.status, media_type=MEDIA, headers=problem.headers)


def of_error(error: XinjianError) -> Problem:
    """Return the problem that an error of ours is to a caller."""
    detail = str(error)
    match error:
        case LedgerDownError():
            return _down("ledger-down", "the ledger is not available")
        case RegistryError() | AccessDownError():
            whose = "registry" if isinstance(error, RegistryError) else "identity"
            return _down(f"{whose}-down", detail)
        case LakeConflictError() | TransitionError():
            return _conflict(error)
        case LakeMissingError():
            return Problem(404, "not-found", detail)
        case AccessError() | CodeError() | ConfigError() | InspectionError() | RecordError():
            return Problem(422, "unprocessable", detail)
        case _:
            return _down("unavailable", detail)


def _conflict(error: LakeConflictError | TransitionError) -> Problem:
    if isinstance(error, LakeConflictError):
        return Problem(409, "conflict", str(error))
    more = {"state": error.state, "allowed": error.allowed}
    return Problem(409, "not-in-this-state", str(error), more=more)


def _down(kind: str, detail: str) -> Problem:
    return Problem(
        503, kind, f"{detail}; try again in {RETRY_AFTER} s", headers={"Retry-After": RETRY_AFTER}
    )


async def _problem(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class alone
    return response(error)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, XinjianError)  # noqa: S101 - registered for this class alone
    problem = of_error(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("unavailable", path=request.url.path, error=str(error))
    return response(problem)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    found = [
        FieldProblem(field=".".join(str(part) for part in one["loc"]), message=_told(one))
        for one in error.errors()
    ]
    # JSON that is no JSON is the caller's 400; JSON that breaks a rule is a 422.
    broken = any(one["type"] == "json_invalid" for one in error.errors())
    fields = ", ".join(one.field for one in found[:5]) + (" …" if len(found) > 5 else "")
    return response(
        Problem(400, "malformed", "the body is not JSON; see errors", errors=found)
        if broken
        else Problem(422, "invalid", f"correct {fields}; errors says how", errors=found)
    )


def _told(one: Mapping[str, object]) -> str:
    told = str(one["msg"]).removeprefix("Value error, ")
    value = one.get("input")
    if value is None or isinstance(value, dict | list):
        return told
    shown = repr(value)
    return f"{shown[:_SHOWN]}{'…' if len(shown) > _SHOWN else ''}: {told}"


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    status = HTTPStatus(error.status_code)
    kinds = {404: "no-such-path", 405: "method-not-allowed"}
    detail = {
        404: f"there is no {request.url.path}; see /docs for what there is",
        405: f"{request.method} is not for {request.url.path}; see /docs for what is",
    }.get(error.status_code, str(error.detail))
    kind = kinds.get(error.status_code, status.phrase.lower().replace(" ", "-"))
    return response(
        Problem(error.status_code, kind, detail[: 4 * _SHOWN], headers=error.headers or {})
    )


async def _no_text(request: Request, error: Exception) -> JSONResponse:
    """Tell who sent half a character (a lone surrogate), which JSON can write and no text can hold.

    Nothing here makes one, so it is the caller's, wherever it is met first.
    """
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - registered for this class alone
    if error.reason != "surrogates not allowed":
        return await _unexpected(request, error)
    half = error.object[error.start : error.start + 1]
    return response(
        Problem(
            422,
            "no-text",
            f"the request has {half!r}, half of a character, which is no text; send whole ones",
        )
    )


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _log.error("unexpected", path=request.url.path, exc_info=error)
    return response(
        Problem(
            500,
            "internal",
            f"an error of ours; its details are in the log under {request_id()}, which the "
            "operator can look up",
        )
    )
