"""Scoring: decisions of subjects by id, of records that come along, of features that come along."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from functools import lru_cache, partial
from typing import Annotated, Final

import msgspec
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field

from models.features.reference import Reference
from models.features.spec import SUBJECT
from models.records.reading import MemoryRecords
from models.scenarios.cohort import REGISTER
from serving import metrics
from serving.api.lookup import PLAIN, day_of_view, live_model
from serving.api.shown import DecisionShown, explanation_shown, shown
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.problems import FieldProblem, Problem, ProblemDetails
from serving.reach import evidence_within
from serving.runtime.gather import eligible, regions_of, stored
from serving.runtime.inline import Brought, InlineError, brought, decide_brought, untied
from serving.runtime.live import Live
from serving.runtime.runtime import Runtime
from serving.runtime.scoring import Asked as Wanted
from serving.runtime.scoring import as_content, reasons, score_together
from serving.service import Service

router = APIRouter(tags=["scoring"])

MOST: Final = 1000
"""Subjects or rows of one request."""
_MEDIA: Final = "application/json"
FEW: Final = 64
"""Rows of features that are decided without leaving the event loop."""

_at_work: Final = CapacityLimiter(64)
"""Requests that wait for a decision at once: their own threads, so that no other route waits."""

_BROUGHT: Final = (
    *(SUBJECT, "probability", "risk_score", "grade", "warn", "draw", "action", "vetoes"),
    "valid_until",
)
_INDEX: Final = re.compile(r"\[(\.\.\.|\d+)\]")
_Subject = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]


class Asked(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body as it is read; :class:`ScoreRequest` tells of it."""

    subjects: Annotated[list[_Subject], msgspec.Meta(min_length=1, max_length=MOST)] | None = None
    records: dict[str, list[dict[str, object]]] | None = None
    features: (
        Annotated[list[dict[str, float | str | None]], msgspec.Meta(min_length=1, max_length=MOST)]
        | None
    ) = None
    as_of: date | None = None
    explain: bool = False


_decoder: Final = msgspec.json.Decoder(Asked)
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
    if asked.features is not None and len(asked.features) <= FEW and not asked.explain:
        return Response(answer_features(service, live, asked), media_type=_MEDIA)
    on = day_of_view(service, asked.as_of)
    if asked.features is not None:
        make = partial(_features, live, asked, on)
    elif asked.records is not None:
        make = partial(_records, service, live, asked, on, caller)
    else:
        make = partial(_subjects, service, live, asked, on, caller)
    answer = await run_sync(make, limiter=_at_work)
    return Response(_told(live, on, answer, stored=asked.subjects is not None), media_type=_MEDIA)


ROUTE: Final = router.routes[-1]
"""The route that scores, as what is answered beside it counts as well."""


def answer_features(service: Service, live: Live, asked: Asked) -> bytes:
    """Return the answer to a few rows of features.

    Raises:
        Problem: A row is not as the model reads it, or the day is none of view.
    """
    on = day_of_view(service, asked.as_of)
    return _told(live, on, _features(live, asked, on), stored=False)


def wanted(body: bytes) -> Asked | None:
    """Return what a body asks for; null where it is not in order."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        asked = _decoder.decode(body)
        return asked if len(_given(asked)) == 1 else None
    return None


def _told(live: Live, on: date, answer: dict[str, object], *, stored: bool) -> bytes:
    return _encoder.encode({"scenario": live.scenario.id, "as_of": on, "stored": stored} | answer)


@lru_cache(maxsize=256)
def _unstored(scenario: str) -> Counter:
    """Return the count of decisions that were not stored, kept: finding it takes long."""
    return metrics.DECISIONS.labels(scenario, "champion", "no")


def _given(asked: Asked) -> list[str]:
    return [n for n in ("subjects", "records", "features") if getattr(asked, n) is not None]


def _read(body: bytes) -> Asked:
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
    given = _given(asked)
    if len(given) != 1:
        raise Problem(
            422,
            "invalid",
            "name one of subjects, records, features; the body has "
            f"{' and '.join(given) or 'none'}",
        )
    return asked


def _features(live: Live, asked: Asked, on: date) -> dict[str, object]:
    rows = asked.features or []
    try:
        made = live.inline.decide(rows, on)
        if asked.explain:
            frame = live.inline.frame(rows, on)
            for answer, why in zip(made, live.explainer.explain(frame), strict=True):
                answer["explanation"] = explanation_shown(as_content(why))
    except InlineError as error:
        raise _wrong(error) from None
    _unstored(live.scenario.id).inc(len(rows))
    return {"decisions": made}


def _records(
    service: Service, live: Live, asked: Asked, on: date, caller: Caller
) -> dict[str, object]:
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
    reference = runtime.reference(live, on).reference
    seen = set(inside) if caller.everywhere else _seen(runtime, inside, caller)
    made: list[dict[str, object]] = []
    with runtime.many:
        for some, told_by in (
            ([one for one in inside if one in seen], reference),
            ([one for one in inside if one not in seen], untied(reference)),
        ):
            if some:
                made += _brought(live, found, some, told_by, on, explain=asked.explain)
    made.sort(key=lambda one: str(one[SUBJECT]))
    _unstored(live.scenario.id).inc(len(made))
    return {"decisions": made, "refused": refused}


def _seen(runtime: Runtime, subjects: Sequence[str], caller: Caller) -> set[str]:
    """Return those of whom the register has a region that the caller sees."""
    there = REGISTER in runtime.lake.tables()
    versions = {REGISTER: runtime.lake.version(REGISTER)} if there else {}
    regions = regions_of(MemoryRecords(stored(runtime.lake, subjects, versions)))
    return {one for one, region in regions.items() if caller.sees_region(region)}


def _brought(
    live: Live,
    found: Brought,
    subjects: Sequence[str],
    reference: Reference,
    on: date,
    *,
    explain: bool,
) -> list[dict[str, object]]:
    """Return the decisions of some subjects that records were brought of."""
    features, decided = decide_brought(
        live.bundle, live.pipeline, found, reference, on=on, subjects=subjects
    )
    made: list[dict[str, object]] = [
        {name: row[name] for name in _BROUGHT} for row in decided.iter_rows(named=True)
    ]
    if explain:
        for answer, why in zip(
            made, reasons(live, features, found.records, reference), strict=True
        ):
            answer["explanation"] = explanation_shown(why)
    return made


def _subjects(
    service: Service, live: Live, asked: Asked, on: date, caller: Caller
) -> dict[str, object]:
    one = Wanted(asked.subjects or [], caller.sees_region, asked.explain)
    scored = score_together(service, live, one, on)
    refused = [_refused(one.subject_id, one.kind, one.detail) for one in scored.refused]
    if not scored.decisions:
        raise _nobody(refused)
    told = {one: evidence_within(service, caller, why) for one, why in scored.explained.items()}
    made = [shown(one, told.get(one.id)) for one in scored.decisions]
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
