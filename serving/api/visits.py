"""Who goes where: teams by the seed of the draw, recusals, and the sheets that teams take along."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Literal

import polars as pl
from fastapi import APIRouter, Query, Response, status
from pydantic import BaseModel, ConfigDict, Field

from models.errors import InspectionError, LedgerError
from models.inspection.assign import Recusal, recuse
from models.inspection.eligibility import inspectors_of
from models.inspection.list_fields import ListName
from models.inspection.lists import Listing
from models.inspection.progress import State
from models.inspection.tasks import Tasks
from serving.api import acts
from serving.api.acts import PERIOD, At, PeriodName, PlanId
from serving.api.plans import Reader, Writer
from serving.api.who import Exempt
from serving.deps import ServiceDep
from serving.inspecting.caps import Days, elsewhere, refuse_past
from serving.inspecting.carried import carried
from serving.inspecting.joint import Wanted, open_visits, send, with_grounds
from serving.inspecting.lists import own
from serving.inspecting.rounds import (
    acts_of,
    assignment_of,
    days_within,
    matters_of,
    targets_of,
)
from serving.ledger import draws, joint, lists, plans, visits
from serving.ledger.engine import Connection
from serving.ledger.visits import Assigned
from serving.problems import Problem
from serving.reports import checklist, sheets
from serving.reports.qr import page_of

router = APIRouter(prefix="/v1/plans", tags=["visits"])

Plain = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class Teams(BaseModel):
    """派员."""

    model_config = ConfigDict(extra="forbid")

    period: str | None = Field(default=None, pattern=PERIOD, description="期次")
    authority: Plain = Field(description="检查机关", examples=["沈阳市市场监督管理局"])
    starts: date | None = Field(default=None, description="最早检查日期；默认期首")
    ends: date | None = Field(default=None, description="最迟检查日期；默认期末")
    exempt: list[Exempt] = Field(
        default=[], max_length=50_000, description="可超过年度上限的对象及其理由"
    )


class RecusalBody(BaseModel):
    """一次回避."""

    model_config = ConfigDict(extra="forbid")

    period: str | None = Field(default=None, pattern=PERIOD, description="期次")
    task_id: Plain = Field(description="任务编号")
    inspector_id: Plain = Field(description="人员编号")
    reason: Plain = Field(description="回避事由：亲属、前雇主、利害关系或当事人申请")
    after: int | None = Field(default=None, ge=1, description="所见派员的序号；已变的则为 409")


class TaskShown(BaseModel):
    """一项任务."""

    task_id: str = Field(description="任务编号")
    visit_id: str | None = Field(description="所属的一次上门；几项任务可同属一次")
    subject_id: str = Field(description="主体")
    matters: list[str] = Field(description="事项")
    region: str | None = Field(description="行政区划代码")
    starts: date = Field(description="最早检查日期")
    ends: date = Field(description="最迟检查日期")
    team: list[str] = Field(description="检查人员编号")


class TasksShown(BaseModel):
    """一期的任务与派员."""

    period: str = Field(description="期次")
    number: int = Field(description="派员的序号；每次回避加一")
    authority: str = Field(description="检查机关")
    inspectors: str = Field(description="人员库的版本")
    by: str = Field(description="操作者")
    at: datetime = Field(description="时间")
    tasks: list[TaskShown] = Field(description="任务")
    recusals: list[dict[str, str]] = Field(description="历次回避及事由")
    changes: list[dict[str, str]] = Field(description="因回避而变的人员")


@router.post("/{plan_id}/tasks", summary="派员", status_code=status.HTTP_201_CREATED)
def assign_(plan_id: PlanId, body: Teams, service: ServiceDep, caller: Writer) -> TasksShown:
    """Make tasks of everybody drawn, and draw a team for each by the same seed, once.

    Matters of one target become one visit, with those of other plans on the same days; nobody is
    visited past the annual cap without a ground.
    """
    with service.ledger.begin() as connection:
        found = acts.held(connection, plan_id, caller, body.period, within=(State.DRAWN,))
        if visits.assignment(connection, *found.key) is not None:
            raise Problem(
                409,
                "teams-drawn",
                f"the teams of period {found.period.id} were drawn already and are not drawn "
                "again; take somebody off a task by a recusal",
                more={"state": found.progress.state, "allowed": ["recusals"]},
            )
        plan = found.declared.plan
        plans.hold_year(connection, plan.year)
        people, version = _inspectors(connection, found)
        others = elsewhere(connection, plan, _days(found, body), found.key)
        wanted = _wanted(connection, found, body, others)
        size = plan.capacity.inspectors_per_target
        made = send(wanted, inspectors_of(people), seed=_seed(found), size=size)
        grounds = {one.subject_id: one.ground for one in body.exempt}
        planned = with_grounds(made.visits, wanted.population, grounds)
        refuse_past(planned, others, wanted.population)
        assigned = Assigned(
            number=1,
            tasks=made.tasks.frame,
            teams=made.assignment.teams,
            acts=acts_of(made.assignment),
            authority=body.authority,
            inspectors=version,
            size=size,
            by=caller.id,
            at=service.clock(),
        )
        visits.keep_assignment(connection, *found.key, assigned)
        joint.keep(connection, found.key, planned, by=caller.id, at=assigned.at)
        told = {
            "tasks": made.tasks.frame.height,
            "visits": planned["visit_id"].n_unique(),
            "exempt": planned["ground"].count(),
            "inspectors": version,
        }
        acts.tell(connection, service, caller, "plan.assign", found.key, told)
        return _shown(connection, found, assigned)


@router.get("/{plan_id}/tasks", summary="任务与派员")
def tasks_(
    plan_id: PlanId, service: ServiceDep, caller: Reader, period: PeriodName = None
) -> TasksShown:
    """Show who goes where, and every recusal, within the caller's regions."""
    with service.ledger.begin() as connection:
        found = acts.at(connection, acts.visible(connection, plan_id, caller), period)
        made = carried(connection, found.key, found.progress)
        tasks = own(made.assigned.tasks, caller)
        return _shown(connection, found, replace(made.assigned, tasks=tasks))


@router.post("/{plan_id}/recusals", summary="回避", status_code=status.HTTP_201_CREATED)
def recuse_(plan_id: PlanId, body: RecusalBody, service: ServiceDep, caller: Writer) -> TasksShown:
    """Take an inspector off a visit for good, and draw who takes the place; the rest stays.

    The person leaves all tasks of the visit that this plan has; tasks of other plans are theirs.
    """
    with service.ledger.begin() as connection:
        states = (State.DRAWN, State.PUBLISHED)
        found = acts.held(connection, plan_id, caller, body.period, within=states)
        before = carried(connection, found.key, found.progress).assigned
        if body.after is not None and body.after != before.number:
            raise Problem(
                409,
                "teams-changed",
                f"the teams are at number {before.number} by now; look at them again",
                more={"number": before.number},
            )
        people = lists.content(connection, before.inspectors)
        if people is None:
            raise LedgerError("the list of inspectors of the teams is lost; restore a backup")
        one = Recusal(body.task_id, body.inspector_id, body.reason)
        made = recuse(
            assignment_of(before, _seed(found)),
            inspectors_of(people),
            Tasks.of(before.tasks),
            recusals=[one, *_of_the_visit(connection, found, before, one)],
        )
        after = replace(
            before,
            number=before.number + 1,
            teams=made.teams,
            acts=acts_of(made),
            by=caller.id,
            at=service.clock(),
        )
        visits.keep_assignment(connection, *found.key, after)
        told = {"task_id": one.task_id, "inspector_id": one.inspector_id, "number": after.number}
        acts.tell(connection, service, caller, "plan.recuse", found.key, told)
        return _shown(connection, found, after)


@router.get(
    "/{plan_id}/sheets",
    summary="任务单",
    response_class=Response,
    responses={200: {"content": {"application/json": {}, _XLSX: {}, "application/pdf": {}}}},
)
def sheets_(
    plan_id: PlanId,
    service: ServiceDep,
    caller: Writer,
    *,
    period: PeriodName = None,
    format: Annotated[Literal["json", "xlsx", "pdf"], Query(description="格式")] = "json",  # noqa: A002
    team: Annotated[int, Query(ge=1, le=100_000, description="第几组；PDF 每组一份")] = 1,
) -> Response:
    """Give the sheets of all teams as JSON or Excel, or the check-list of one team as PDF."""
    with service.ledger.begin() as connection:
        found = acts.at(connection, acts.visible(connection, plan_id, caller, write=True), period)
        made = carried(connection, found.key, found.progress)
        people = lists.content(connection, made.assigned.inspectors)
        who = draws.population(connection, *found.key)
    if people is None or who is None:
        raise LedgerError("the lists of the teams are lost; restore a backup")
    every = sheets.team_sheets(
        made.round,
        matters=matters_of(found.declared.plan),
        targets=targets_of(who),
        inspectors=people,
    )
    if format == "json":
        told = json.dumps([sheets.as_json(one) for one in every], ensure_ascii=False)
        return Response(told, media_type="application/json")
    if format == "xlsx":
        book = sheets.workbook(every, issued_at=service.clock())
        return Response(book, media_type=_XLSX)
    if team > len(every):
        raise Problem(404, "no-such-team", f"there are {len(every)} teams, and no team {team}")
    page = checklist.pdf(
        every[team - 1],
        issued_at=service.clock(),
        verify_at=page_of(
            service.settings, "v1", "plans", plan_id, "verify", period=found.period.id
        ),
    )
    return Response(page, media_type="application/pdf")


def _seed(found: At) -> str:
    step = found.progress.step(State.SEEDED)
    if step is None or step.evidence is None:
        raise LedgerError("a drawn plan has no seed in the ledger; restore a backup")
    return step.evidence


def _inspectors(connection: Connection, found: At) -> tuple[Listing, str]:
    region = found.declared.region
    edition = lists.in_force(connection, ListName.INSPECTORS, region)
    people = None if edition is None else lists.content(connection, edition.version)
    if edition is None or people is None:
        raise InspectionError(
            f"there is no list of inspectors for region '{region}'; import one at "
            "/v1/pools/inspectors"
        )
    return people, edition.version


def _days(found: At, body: Teams) -> Days:
    return days_within(found.declared.plan, found.period.id, body.starts, body.ends)


def _wanted(connection: Connection, found: At, body: Teams, others: pl.DataFrame) -> Wanted:
    who = draws.population(connection, *found.key)
    if who is None:
        raise LedgerError("a drawn plan has no pool in the ledger; restore a backup")
    return Wanted(
        plan=found.declared.plan,
        key=found.key,
        days=_days(found, body),
        chosen=draws.chosen(connection, *found.key),
        population=who,
        last_teams=_last_teams(connection, found),
        open=open_visits(connection, others),
    )


def _of_the_visit(
    connection: Connection, found: At, before: Assigned, one: Recusal
) -> list[Recusal]:
    """Return the recusals of the same person from the visit's other tasks of this plan."""
    known = joint.of_period(connection, found.key)
    visit = known.filter(task_id=one.task_id)["visit_id"]
    rest = known.filter(pl.col("visit_id").is_in(visit.to_list()), pl.col("task_id") != one.task_id)
    there = before.teams.filter(inspector_id=one.inspector_id).join(rest, on="task_id", how="semi")
    return [replace(one, task_id=task) for task in there["task_id"].sort()]


def _last_teams(connection: Connection, found: At) -> pl.DataFrame:
    """Return who was at each subject in the latest of the plan's earlier periods."""
    schema = {"subject_id": pl.String, "last_team": pl.List(pl.String)}
    made = [pl.DataFrame(schema=schema)]
    for period in found.declared.plan.periods:
        if period.last >= found.period.first:
            break
        before = visits.assignment(connection, found.declared.plan.id, period.id)
        if before is not None:
            teams = before.teams.join(before.tasks.select("task_id", "subject_id"), on="task_id")
            made.append(
                teams.group_by("subject_id").agg(
                    pl.col("inspector_id").unique().sort().alias("last_team")
                )
            )
    return pl.concat(made).unique("subject_id", keep="last", maintain_order=True)


def _shown(connection: Connection, found: At, assigned: Assigned) -> TasksShown:
    known = joint.of_period(connection, found.key)
    teams = assigned.teams.group_by("task_id").agg(pl.col("inspector_id").sort().alias("team"))
    rows: Sequence[Mapping[str, object]] = (
        assigned.tasks.join(teams, on="task_id", how="left", maintain_order="left")
        .join(known, on="task_id", how="left", maintain_order="left")
        .select(*TaskShown.model_fields)
        .to_dicts()
    )
    shown = set(assigned.tasks["task_id"].to_list())
    return TasksShown(
        period=found.period.id,
        number=assigned.number,
        authority=assigned.authority,
        inspectors=assigned.inspectors,
        by=assigned.by,
        at=assigned.at,
        tasks=[TaskShown.model_validate(row) for row in rows],
        recusals=[dict(one) for one in assigned.acts["recusals"] if one["task_id"] in shown],
        changes=[dict(one) for one in assigned.acts["changes"] if one["task_id"] in shown],
    )
