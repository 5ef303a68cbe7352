"""Portraits (信用画像): what is known of a subject as of a day, section by section."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from models.errors import ConfigError
from models.scenarios.cohort import REGISTER
from models.supervision.portrait import Place
from models.yaml import nearest
from serving.api.asked import ScenarioFilter, SubjectPath
from serving.api.lookup import day_of_view, live_model
from serving.api.portrayed import PortraitShown
from serving.auth.caller import Caller
from serving.auth.opening import opened
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.portrait.advice import guidance
from serving.portrait.timeline import NOT_EVENTS, Wanted
from serving.portrait.view import View
from serving.portrait.whole import OF_PERSONS, OF_RECORDS, Section, portrait
from serving.problems import Problem, ProblemDetails
from serving.service import Service

router = APIRouter(tags=["portraits"])

MOST: Final = 200
"""Records of one page."""
_MEDIA: Final = "application/json"
_encoder: Final = msgspec.json.Encoder()
Reader = Annotated[Caller, Depends(allow(Permission.DECISIONS_READ))]


@router.get(
    "/v1/subjects/{subject}/portrait",
    summary="信用画像",
    response_model=PortraitShown,
    responses={
        403: {"model": ProblemDetails, "description": "所选的节含记录，本角色无权查看"},
        404: {"model": ProblemDetails, "description": "没有该主体，或不在本人范围内"},
    },
)
def read(  # noqa: PLR0913 - each is a parameter of the request
    subject: SubjectPath,
    service: ServiceDep,
    caller: Reader,
    *,
    as_of: Annotated[date | None, Query(description="查询日，默认当日；按当时所知")] = None,
    sections: Annotated[
        str | None,
        Query(
            max_length=200,
            description="所选各节，逗号分隔；默认本角色可看的各节：" + "、".join(Section),
            examples=["identity,grades,timeline"],
        ),
    ] = None,
    scenario: ScenarioFilter = None,
    table: Annotated[
        list[str] | None, Query(max_length=40, description="时间轴只含这些表", examples=["penalty"])
    ] = None,
    since: Annotated[date | None, Query(description="时间轴起")] = None,
    until: Annotated[date | None, Query(description="时间轴止")] = None,
    cursor: Annotated[str | None, Query(max_length=400, description="上一页的 next")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST, description="时间轴一页的条数")] = 50,
) -> Response:
    """Return a subject's portrait as it could have been drawn on the day, and nothing of later.

    Grades and reasons are those that were stored, never recomputed. What was repaired, has expired
    or was annulled is in no section; what is disputed is marked and does not count. Fields of
    persons are starred unless the role shows them for the purpose, which is audited.
    """
    on = day_of_view(service, as_of)
    chosen = _sections(caller, sections)
    wanted = Wanted(limit, _place(cursor), _tables(service, table), since, until)
    if scenario is not None and service.runtime.champion(scenario) is None:
        live_model(service, scenario)
    with service.ledger.begin() as connection:
        view = View.of(service, connection, caller, subject=subject, on=on)
    if view is None:
        raise Problem(404, "not-found", f"nothing is known of subject '{subject}'")
    shown = bool(OF_PERSONS & chosen) and opened(service, caller, f"subject:{subject}")
    view = replace(view, open=shown, scenario=scenario)
    with service.ledger.begin() as connection:
        made = portrait(view, connection, chosen, wanted)
    told: dict[str, object] = {"subject_id": subject, "as_of": on, **made.sections}
    if Section.GUIDANCE in chosen:
        told["guidance"] = guidance(view, ending=made.ending)
    return Response(_encoder.encode(told), media_type=_MEDIA)


def _sections(caller: Caller, asked: str | None) -> frozenset[Section]:
    """Return the sections asked for; by default those that the caller may see."""
    records = caller.may(Permission.RECORDS_READ)
    if asked is None:
        return frozenset(one for one in Section if records or one not in OF_RECORDS)
    names = [name.strip() for name in asked.split(",") if name.strip()]
    for name in names:
        if name not in set(Section):
            raise Problem(
                422,
                "unknown-section",
                f"there is no section '{name[:40]}'{nearest(name[:40], list(Section))}",
                more={"sections": list(Section)},
            )
    chosen = frozenset(map(Section, names))
    if not chosen:
        raise Problem(422, "no-section", "sections names none; leave it out for all of them")
    if not records and (closed := chosen & OF_RECORDS):
        raise Problem(
            403,
            "not-permitted",
            f"{', '.join(sorted(closed))}: these sections show records, which needs the permission "
            f"{Permission.RECORDS_READ}; leave them out, or ask the security administrator",
            more={"permission": Permission.RECORDS_READ.value},
        )
    return chosen


def _place(cursor: str | None) -> Place | None:
    try:
        return Place.of(cursor) if cursor else None
    except ConfigError as error:
        raise Problem(422, "cursor", str(error)) from None


def _tables(service: Service, asked: list[str] | None) -> tuple[str, ...]:
    there = [name for name in service.runtime.contracts if name not in NOT_EVENTS]
    for name in asked or ():
        if name not in there:
            where = "; the register is the section identity" if name == REGISTER else ""
            raise Problem(
                422,
                "unknown-table",
                f"no table '{name[:63]}' is in a time line{nearest(name[:63], there)}{where}",
                more={"tables": sorted(there)},
            )
    return tuple(asked or ())
