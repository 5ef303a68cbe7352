"""Scoring: decisions of subjects by id, of records that come along, of features that come along."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from models.features.spec import SUBJECT
from serving import metrics
from serving.api.lookup import PLAIN, day_of_view, live_model
from serving.api.shown import DecisionShown, explanation_shown, shown
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.problems import FieldProblem, Problem, ProblemDetails
from serving.runtime.gather import eligible
from serving.runtime.inline import InlineError, brought, decide_brought
from serving.runtime.live import Live
from serving.runtime.scoring import as_content, reasons, score
from serving.service import Service

router = APIRouter(tags=["scoring"])

MOST: Final = 1000
"""Subjects or rows of one request."""
_MEDIA: Final = "application/json"
_HERE: Final = 64
"""Rows of features that are decided without leaving the event loop."""

_INDEX: Final = re.compile(r"\[(\.\.\.|\d+)\]")
_Subject = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]


class _Asked(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body as it is read; :class:`ScoreRequest` tells of it."""

    subjects: Annotated[list[_Subject], msgspec.Meta(min_length=1, max_length=MOST)] | None = None
    records: dict[str, list[dict[str, object]]] | None = None
    features: (
        Annotated[list[dict[str, float | str | None]], msgspec.Meta(min_length=1, max_length=MOST)]
        | None
    ) = None
    as_of: date | None = None
    explain: bool = False


_decoder: Final = msgspec.json.Decoder(_Asked)
_encoder: Final = msgspec.json.Encoder()


class ScoreRequest(BaseModel):
    """评分请求：subjects、records、features 三选一."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"subjects": ["91210102MA0000000X"], "explain": True}],
        },
    )

    subjects: list[Annotated[str, Field(min_length=1, max_length=64)]] | None = Field(
        default=None, min_length=1, max_length=MOST, description="主体标识；判定结果存档"
    )
    records: dict[str, list[dict[str, object]]] | None = Field(
        default=None, description="随请求提供的记录，按表；结果不存档"
    )
    features: list[dict[str, float | str | None]] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST,
        description="随请求提供的特征，每行一组；模型所用特征必须齐全，未知填 null；结果不存档",
    )
    as_of: date | None = Field(default=None, description="截面日；默认当日，不得晚于当日")
    explain: bool = Field(default=False, description="为每个判定给出原因；预警的判定总有原因")


class Refused(BaseModel):
    """未判定的主体."""

    subject_id: str = Field(description="主体")
    kind: str = Field(description="not-found：不存在；outside-cohort：不在监管对象范围")
    detail: str = Field(description="原因")


class ScoreAnswer(BaseModel):
    """评分结果."""

    scenario: str = Field(description="场景")
    as_of: date = Field(description="截面日")
    stored: bool = Field(description="是否已存档")
    decisions: list[DecisionShown] = Field(description="判定，按请求的顺序")
    refused: list[Refused] = Field(default_factory=list[Refused], description="未判定的主体")


@router.post(
    "/v1/scenarios/{scenario}/score",
    summary="评分与判定",
    response_model=ScoreAnswer,
    responses={
        404: {"model": ProblemDetails, "description": "没有该场景、模型或主体"},
        422: {"model": ProblemDetails, "description": "主体不在监管对象范围，或请求有误"},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {_MEDIA: {"schema": ScoreRequest.model_json_schema()}},
        }
    },
)
async def score_(
    scenario: str,
    request: Request,
    service: ServiceDep,
    caller: Annotated[Caller, Depends(allow(Permission.SCORE))],
) -> Response:
    """Decide subjects, or rows that the caller brings along.

    Decisions of subjects are stored and idempotent: the same features, declaration and model give
    the same decision of the day. Where nobody that was named can be decided, the problem is that of
    the first; otherwise `refused` tells who was not.
    """
    asked = _read(await request.body())
    live = live_model(service, scenario)
    on = day_of_view(service, asked.as_of)
    if asked.features is not None:
        few = len(asked.features) <= _HERE and not asked.explain
        answer = (
            _features(live, asked, on)
            if few
            else await run_in_threadpool(_features, live, asked, on)
        )
    elif asked.records is not None:
        answer = await run_in_threadpool(_records, service, live, asked, on)
    else:
        answer = await run_in_threadpool(_subjects, service, live, asked, on, caller)
    head = {"scenario": scenario, "as_of": on, "stored": asked.subjects is not None}
    return Response(_encoder.encode(head | answer), media_type=_MEDIA)


def _read(body: bytes) -> _Asked:
    try:
        asked = _decoder.decode(body)
    except msgspec.ValidationError as error:
        rule, _, place = str(error).partition(" - at `$")
        where = "body" + _INDEX.sub(
            lambda found: "." + found[1].replace("...", "*"), place.removesuffix("`")
        )
        raise Problem(
            422,
            "invalid",
            f"correct {where}: {rule}",
            errors=[FieldProblem(field=where, message=rule)],
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "malformed", f"the body is not JSON that can be read: {error}") from None
    given = [n for n in ("subjects", "records", "features") if getattr(asked, n) is not None]
    if len(given) != 1:
        raise Problem(
            422,
            "invalid",
            "name one of subjects, records, features; the body has "
            f"{' and '.join(given) or 'none'}",
        )
    return asked


def _features(live: Live, asked: _Asked, on: date) -> dict[str, object]:
    rows = asked.features or []
    try:
        made = live.inline.decide(rows, on)
        if asked.explain:
            frame = live.inline.frame(rows, on)
            for answer, why in zip(made, live.explainer.explain(frame), strict=True):
                answer["explanation"] = explanation_shown(as_content(why))
    except InlineError as error:
        raise _wrong(error) from None
    metrics.DECISIONS.labels(live.scenario.id, "champion", "no").inc(len(rows))
    return {"decisions": made}


def _records(service: Service, live: Live, asked: _Asked, on: date) -> dict[str, object]:
    tables = asked.records or {}
    total = sum(map(len, tables.values()))
    if not 0 < total <= MOST:
        raise Problem(422, "invalid", f"records has {total} rows; send 1 to {MOST}")
    runtime = service.runtime
    try:
        found = brought(tables, live.scenario, runtime.contracts, on=on, now=service.clock())
    except InlineError as error:
        raise _wrong(error) from None
    inside, outside = eligible(found.records, live.scenario, found.subjects, on)
    refused = [_refused(one, "outside-cohort", why) for one, why in outside.items()]
    if not inside:
        raise _nobody(refused)
    chosen = runtime.reference(live, on)
    features, decided = decide_brought(live.bundle, live.pipeline, found, chosen.reference, on=on)
    told = reasons(live, features, found.records, chosen.reference) if asked.explain else None
    kept = ("probability", "risk_score", "grade", "warn", "draw", "action", "vetoes", "valid_until")
    made: list[Mapping[str, object]] = []
    for place, row in enumerate(decided.iter_rows(named=True)):
        if row[SUBJECT] in outside:
            continue
        answer = {SUBJECT: row[SUBJECT], **{name: row[name] for name in kept}}
        if told is not None:
            answer["explanation"] = explanation_shown(told[place])
        made.append(answer)
    metrics.DECISIONS.labels(live.scenario.id, "champion", "no").inc(len(made))
    return {"decisions": made, "refused": refused}


def _subjects(
    service: Service, live: Live, asked: _Asked, on: date, caller: Caller
) -> dict[str, object]:
    scored = score(
        service, live, asked.subjects or [], on, sees=caller.sees_region, explain=asked.explain
    )
    refused = [_refused(one.subject_id, one.kind, one.detail) for one in scored.refused]
    if not scored.decisions:
        raise _nobody(refused)
    made = [shown(one, scored.explained.get(one.id)) for one in scored.decisions]
    return {"decisions": made, "refused": refused}


def _refused(subject: str, kind: str, detail: str) -> dict[str, str]:
    return {"subject_id": subject, "kind": kind, "detail": detail}


def _nobody(refused: list[dict[str, str]]) -> Problem:
    """Return the problem of the first that was refused; a subject elsewhere is as one unknown."""
    first = refused[0]
    status = 404 if first["kind"] == "not-found" else 422
    return Problem(status, first["kind"], first["detail"], more={"refused": refused})


def _wrong(error: InlineError) -> Problem:
    found = [FieldProblem(field=place, message=rule) for place, rule in error.errors[:MOST]]
    return Problem(422, "invalid", str(error), errors=found)
