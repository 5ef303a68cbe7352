"""Plans of inspections: drafted, tried out, and approved by another person."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Annotated

import polars as pl
from fastapi import APIRouter, Depends, Query, status
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from models.errors import ConfigError
from models.inspection.dry_run import DryRun, dry_run, eligible
from models.inspection.frontier import frontier
from models.inspection.plan import Plan, parse_plan
from models.inspection.progress import Progress, State, edit
from serving.api.acts import PlanId, tell, visible
from serving.api.listing import REGION
from serving.api.who import Who, told
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.inspecting.population import ratios_of, scenario_of
from serving.inspecting.rounds import draw_id
from serving.inspecting.scope import refuse_apart, region_of, takes_part
from serving.ledger import plans
from serving.ledger.engine import Connection
from serving.ledger.plans import WHOLE, Declared
from serving.problems import Problem

router = APIRouter(prefix="/v1/plans", tags=["plans"])

Reader = Annotated[Caller, Depends(allow(Permission.PLANS_READ))]
Writer = Annotated[Caller, Depends(allow(Permission.PLANS_WRITE))]
Approver = Annotated[Caller, Depends(allow(Permission.PLANS_APPROVE))]
_LONGEST = 64
"""Characters of the id of a draw, which inspection records name."""
_ALL = 100_000
"""Plans that are looked through for those of a caller's departments."""


class PlanText(BaseModel):
    """一份计划."""

    model_config = ConfigDict(extra="forbid")

    plan: str | dict[str, JsonValue] = Field(description="计划：YAML 文本，或 JSON 对象")


class NewPlan(PlanText):
    """新的计划."""

    region: str = Field(
        default="", pattern=REGION, description="计划所属行政区划代码或其前缀；空为全部"
    )


class Edit(PlanText):
    """修改拟订中的计划."""

    base: str = Field(pattern=r"^[0-9a-f]{64}$", description="所据计划的摘要；已有修改的则为 409")


class Approval(BaseModel):
    """批准."""

    model_config = ConfigDict(extra="forbid")

    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="所批准计划的摘要")


class Trial(Who):
    """试算."""

    frontier: bool = Field(default=False, description="同时给出发现数与精度的前沿")


class StepShown(BaseModel):
    """一个步骤."""

    state: State = Field(description="状态")
    title: str = Field(description="名称")
    by: str = Field(description="操作者")
    at: datetime = Field(description="时间")
    evidence: str | None = Field(description="所凭的摘要：承诺值、种子或抽取记录")


class PeriodShown(BaseModel):
    """一期."""

    id: str = Field(description="期次")
    first: date = Field(description="首日")
    last: date = Field(description="末日")
    state: State = Field(description="状态")
    steps: list[StepShown] = Field(description="已走的步骤")


class PlanBrief(BaseModel):
    """计划的摘要."""

    id: str = Field(description="编号")
    title: str = Field(description="名称")
    year: int = Field(description="年度")
    region: str = Field(description="行政区划前缀；空为全部")
    scenario: str = Field(description="场景")
    edition: int = Field(description="第几稿")
    digest: str = Field(description="内容的 SHA-256")
    by: str = Field(description="本稿的作者")
    at: datetime = Field(description="本稿的时间")
    periods: list[PeriodShown] = Field(description="各期")


class PlanShown(PlanBrief):
    """一份计划."""

    plan: dict[str, object] = Field(description="计划的全部内容")


class ExpectedShown(BaseModel):
    """一期的预期."""

    inspections: float = Field(description="检查数")
    findings: float = Field(description="预期发现问题数")
    low: float = Field(description="下限")
    high: float = Field(description="上限")
    rate: float = Field(description="预期问题率")
    half_width: float = Field(description="问题率区间的半宽")


class TrialShown(BaseModel):
    """试算的结果."""

    workload: list[dict[str, object]] = Field(description="各机构各月的检查数；over 为超出能力")
    coverage: list[dict[str, object]] = Field(description="各等级的覆盖")
    expected: dict[str, ExpectedShown] = Field(description="各期的预期")
    capped: int = Field(description="因年度上限已满而不抽的对象数")
    visits_saved: float = Field(description="合并事项省去的上门次数")
    frontier: list[dict[str, object]] | None = Field(description="发现数与精度的前沿")
    made_with: dict[str, object] = Field(description="所据的清单版本与判定日")


@router.post("", summary="拟订计划", status_code=status.HTTP_201_CREATED)
def create(body: NewPlan, service: ServiceDep, caller: Writer) -> PlanShown:
    """Draft a plan."""
    plan = _plan(body.plan)
    refuse_apart(caller, plan)
    scenario_of(service, plan.scenario)
    region = region_of(caller, body.region)
    with service.ledger.begin() as connection:
        made = plans.declare(
            connection, plan, region=region, edition=1, by=caller.id, at=service.clock()
        )
        if not made:
            raise Problem(
                409, "plan-exists", f"there is a plan {plan.id} already; choose another id"
            )
        answer = shown(connection, visible(connection, plan.id, caller))
        tell(connection, service, caller, "plan.draft", (plan.id, WHOLE), {"digest": plan.digest})
    return answer


@router.put("/{plan_id}", summary="修改拟订中的计划")
def change(plan_id: PlanId, body: Edit, service: ServiceDep, caller: Writer) -> PlanShown:
    """Put another text in the place of a draft; what was approved is not edited any more."""
    plan = _plan(body.plan)
    if plan.id != plan_id:
        raise Problem(422, "another-plan", f"the text is of plan {plan.id}, not of {plan_id}")
    refuse_apart(caller, plan)
    scenario_of(service, plan.scenario)
    with service.ledger.begin() as connection:
        found = visible(connection, plan_id, caller, lock=True, write=True)
        so_far = plans.progress(connection, found)
        if so_far.state is State.DRAFT:
            refuse_other(found, body.base)
            edit(so_far, plan.digest, by=caller.id)
            edition = found.edition + 1
            plans.declare(
                connection,
                plan,
                region=found.region,
                edition=edition,
                by=caller.id,
                at=service.clock(),
            )
        else:
            raise not_a_draft(so_far)
        answer = shown(connection, visible(connection, plan_id, caller))
        tell(connection, service, caller, "plan.edit", (plan_id, WHOLE), {"digest": plan.digest})
    return answer


@router.get("", summary="计划列表")
def every(
    service: ServiceDep,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=500, description="最多份数")] = 100,
) -> list[PlanBrief]:
    """List the plans of the caller's regions and departments, the newest first."""
    with service.ledger.begin() as connection:
        most = _ALL if caller.departments else limit
        found = plans.listing(connection, regions=caller.regions, limit=most)
        seen = [one for one in found if takes_part(caller, one.plan)]
        return [_brief(connection, one) for one in seen[:limit]]


@router.get("/{plan_id}", summary="计划")
def one(plan_id: PlanId, service: ServiceDep, caller: Reader) -> PlanShown:
    """Show a plan and how far each of its periods has come."""
    with service.ledger.begin() as connection:
        return shown(connection, visible(connection, plan_id, caller))


@router.post("/{plan_id}/dry-run", summary="试算")
def trial(plan_id: PlanId, body: Trial, service: ServiceDep, caller: Writer) -> TrialShown:
    """Say what a plan would mean: work, coverage, findings and precision; nothing is kept."""
    with service.ledger.begin() as connection:
        declared = visible(connection, plan_id, caller, write=True)
        who = told(connection, service, declared, body)
    scenario = scenario_of(service, declared.plan.scenario)
    made = dry_run(declared.plan, who.frame, scenario)
    points = None
    if body.frontier:
        points = frontier(
            eligible(declared.plan, who.frame),
            round(next(iter(made.expected.values())).inspections),
            random_share=declared.plan.random_share,
            strata=declared.plan.strata,
            ratios=ratios_of(service, declared.plan),
        )
    return _trial(made, points, dict(who.made_with))


@router.post("/{plan_id}/approve", summary="批准计划")
def approve(plan_id: PlanId, body: Approval, service: ServiceDep, caller: Approver) -> PlanShown:
    """Approve a draft that somebody else wrote, exactly as it was read."""
    with service.ledger.begin() as connection:
        found = visible(connection, plan_id, caller, lock=True, write=True)
        so_far = plans.progress(connection, found)
        plans.refuse_early(so_far, State.APPROVED)
        refuse_other(found, body.digest)
        if caller.id in {so_far.steps[0].by, *so_far.editors}:
            raise Problem(
                403,
                "own-plan",
                f"{caller.id} wrote plan {plan_id}; another person must approve it",
            )
        plans.step(
            connection,
            so_far,
            State.APPROVED,
            period=WHOLE,
            by=caller.id,
            at=service.clock(),
        )
        answer = shown(connection, visible(connection, plan_id, caller))
        tell(
            connection, service, caller, "plan.approved", (plan_id, WHOLE), {"digest": found.digest}
        )
    return answer


def _plan(given: str | dict[str, JsonValue]) -> Plan:
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Problem(422, "invalid", "the plan holds half a character; mend its text") from error
    plan = parse_plan(text, "plan")
    for period in plan.periods:
        if len(draw_id(plan.id, period.id)) > _LONGEST or not period.id.isprintable():
            raise ConfigError(
                f"the id of plan {plan.id} and of its period {period.id[:80]!r} have more than "
                f"{_LONGEST - 1} characters together, or one that cannot be printed; shorten them"
            )
    return plan


def refuse_other(found: Declared, digest: str) -> None:
    """Raise a problem 409 where a plan is not the one that was read."""
    if found.digest != digest:
        raise Problem(
            409,
            "plan-changed",
            f"plan {found.plan.id} was edited by {found.by}; its digest is {found.digest} by now: "
            "read it again",
            more={"digest": found.digest, "edition": found.edition},
        )


def not_a_draft(so_far: Progress) -> Problem:
    """Return the problem of a plan that is not edited any more."""
    return Problem(
        409,
        "not-in-this-state",
        f"plan {so_far.plan_id} is {so_far.state} and cannot be edited; make a new plan",
        more={"state": so_far.state, "allowed": [State.DRAFT]},
    )


def _brief(connection: Connection, declared: Declared) -> PlanBrief:
    plan = declared.plan
    return PlanBrief(
        id=plan.id,
        title=plan.title,
        year=plan.year,
        region=declared.region,
        scenario=plan.scenario,
        edition=declared.edition,
        digest=declared.digest,
        by=declared.by,
        at=declared.at,
        periods=[
            _period(period.id, period.first, period.last, connection, declared)
            for period in plan.periods
        ],
    )


def _period(
    name: str, first: date, last: date, connection: Connection, declared: Declared
) -> PeriodShown:
    so_far = plans.progress(connection, declared, name)
    steps = [
        StepShown(
            state=one.state, title=one.state.label, by=one.by, at=one.at, evidence=one.evidence
        )
        for one in so_far.steps
    ]
    return PeriodShown(id=name, first=first, last=last, state=so_far.state, steps=steps)


def shown(connection: Connection, declared: Declared) -> PlanShown:
    """Return a plan and how far each of its periods has come."""
    brief = _brief(connection, declared)
    return PlanShown(**brief.model_dump(), plan=declared.plan.model_dump(mode="json"))


def _trial(made: DryRun, points: pl.DataFrame | None, made_with: dict[str, object]) -> TrialShown:
    return TrialShown(
        workload=rows_of(made.workload),
        coverage=rows_of(made.coverage),
        expected={
            name: ExpectedShown.model_validate(one, from_attributes=True)
            for name, one in made.expected.items()
        },
        capped=made.capped,
        visits_saved=made.visits_saved,
        frontier=None if points is None else rows_of(points),
        made_with=made_with,
    )


def rows_of(frame: pl.DataFrame) -> list[dict[str, object]]:
    """Return rows as JSON can hold them."""
    return frame.fill_nan(None).to_dicts()
