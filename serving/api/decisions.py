"""Decisions that were made: the one in force, and each as it was stored."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from serving.api.asked import PageQuery, SubjectPath
from serving.api.lookup import PLAIN, day_of_view, live_model
from serving.api.shown import DecisionShown, shown
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.ledger import decisions, explanations, reviews
from serving.ledger.decisions import Decision
from serving.ledger.engine import Connection
from serving.ledger.reviews import Conclusion
from serving.problems import Problem, ProblemDetails
from serving.reach import evidence_within
from serving.runtime.replay import NotReplayableError, explain_stored
from serving.runtime.replay import replay as replayed
from serving.runtime.scoring import Content
from serving.service import Service

router = APIRouter(tags=["decisions"])

_MEDIA: Final = "application/json"
_encoder: Final = msgspec.json.Encoder()
_LOST: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": ProblemDetails, "description": "没有这样的判定"}
}

ScenarioQuery = Annotated[
    str, Query(pattern=PLAIN, max_length=64, description="场景", examples=["food_safety"])
]
CallerDep = Annotated[Caller, Depends(allow(Permission.DECISIONS_READ))]


class Difference(BaseModel):
    """一个不一致的字段."""

    stored: object = Field(description="存档的值")
    recomputed: object = Field(description="重算的值")


class ReplayShown(BaseModel):
    """重算的结论."""

    identical: bool = Field(description="重算与存档是否逐位一致")
    differs: dict[str, Difference] = Field(description="不一致的字段")


class DecisionRead(DecisionShown):
    """存档的判定；replay=true 时附重算结论."""

    replay: ReplayShown | None = Field(default=None, description="重算的结论")


class DecisionList(BaseModel):
    """一个主体的判定，现行的在前."""

    decisions: list[DecisionShown] = Field(description="判定")


@router.get(
    "/v1/subjects/{subject}/decision",
    summary="主体的现行判定",
    response_model=DecisionShown,
    responses=_LOST,
)
def current(
    subject: SubjectPath,
    service: ServiceDep,
    caller: CallerDep,
    scenario: ScenarioQuery,
    as_of: Annotated[date | None, Query(description="在该日现行的判定；默认当日")] = None,
) -> Response:
    """Return the decision of a subject that stands, with its stored reasons."""
    on = day_of_view(service, as_of)
    with service.ledger.begin() as connection:
        found = decisions.current(connection, scenario, subject, on=on)
        told = explanations.find(connection, [found.id]) if found else {}
        reviewed = _reviewed(connection, found)
    if found is None or not caller.sees_region(found.region):
        live_model(service, scenario)  # a scenario that there is not is told as such
        raise _none(f"subject '{subject[:80]}' has no decision in scenario '{scenario}' up to {on}")
    if reviewed is not None and reviewed.outcome == "annulled":
        raise Problem(
            404,
            "annulled",
            f"decision {found.id} of '{subject[:80]}' was annulled by review {reviewed.review}; "
            "none stands until another is made",
            more={"decision": str(found.id), "review": reviewed.review},
        )
    made = shown(found, evidence_within(service, caller, told.get(found.id)))
    return _answer(made | _said(reviewed))


@router.get(
    "/v1/subjects/{subject}/decisions",
    summary="主体的历次判定",
    response_model=DecisionList,
    responses=_LOST,
)
def history(
    subject: SubjectPath,
    service: ServiceDep,
    caller: CallerDep,
    scenario: ScenarioQuery,
    limit: PageQuery = 100,
) -> Response:
    """Return a subject's decisions, the standing one first, without their reasons.

    What a person reviewed says so; one that was annulled stands no more, first though it may be.
    """
    with service.ledger.begin() as connection:
        found = decisions.history(connection, scenario, subject, limit=limit)
        said = reviews.concluded(connection, [one.id for one in found])
    seen = [
        shown(one, None) | _said(said.get(one.id))
        for one in found
        if caller.sees_region(one.region)
    ]
    if not seen:
        live_model(service, scenario)
        raise _none(f"subject '{subject[:80]}' has no decision in scenario '{scenario}'")
    return _answer({"decisions": seen})


@router.get(
    "/v1/decisions/{decision}",
    summary="存档的判定及其原因与证据",
    response_model=DecisionRead,
    responses={
        **_LOST,
        409: {"model": ProblemDetails, "description": "判定所依据的模型、参照或数据版本已不在"},
    },
)
def read(
    decision: UUID,
    service: ServiceDep,
    caller: CallerDep,
    *,
    explain: Annotated[bool, Query(description="尚无原因的，计算一次并存档")] = False,
    replay: Annotated[bool, Query(description="按当时的数据版本重算，并与存档比较")] = False,
) -> Response:
    """Return a decision as it was stored; its reasons are never made anew once they are stored."""
    found, role = _found(service, decision)
    if found is None or not caller.sees_region(found.region):
        raise _none(f"there is no decision {decision}")
    try:
        told = evidence_within(service, caller, _told(service, found, explain=explain))
        made = shown(found, told, role=role)
        with service.ledger.begin() as connection:
            made |= _said(_reviewed(connection, found))
        if replay:
            made["replay"] = _replayed(service, found)
    except NotReplayableError as error:
        raise Problem(409, "not-replayable", str(error)) from None
    return _answer(made)


def _found(service: Service, decision: UUID) -> tuple[Decision | None, str]:
    """Return a decision and the role of the model that made it; a shadow's can be read too."""
    with service.ledger.begin() as connection:
        found = decisions.find(connection, decision)
        if found is not None:
            return found, "champion"
        return decisions.find(connection, decision, role="challenger"), "challenger"


def _reviewed(connection: Connection, found: Decision | None) -> Conclusion | None:
    """Return what reviews of a decision ended with; null where none did."""
    return None if found is None else reviews.concluded(connection, [found.id]).get(found.id)


def _said(reviewed: Conclusion | None) -> dict[str, object]:
    return {} if reviewed is None else {"reviewed": asdict(reviewed)}


def _told(service: Service, found: Decision, *, explain: bool) -> Content | None:
    if explain:
        return explain_stored(service, found)
    with service.ledger.begin() as connection:
        return explanations.find(connection, [found.id]).get(found.id)


def _replayed(service: Service, found: Decision) -> dict[str, object]:
    again = replayed(service, found)
    differs = {
        name: {"stored": one.stored, "recomputed": one.recomputed}
        for name, one in again.differs.items()
    }
    return {"identical": again.identical, "differs": differs}


def _none(detail: str) -> Problem:
    return Problem(404, "not-found", detail)


def _answer(content: dict[str, object]) -> Response:
    return Response(_encoder.encode(content), media_type=_MEDIA)
