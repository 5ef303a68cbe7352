"""The frontier of a plan: what a draw would find against how well it tells the rate, to choose."""

from __future__ import annotations

from typing import Annotated, Literal

import polars as pl
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from models.errors import InspectionError
from models.inspection.dry_run import allocation, eligible
from models.inspection.frontier import choose, frontier
from models.inspection.frontier_picture import frontier_svg
from models.inspection.plan import Period, Plan
from models.inspection.progress import State, edit
from serving.api import acts
from serving.api.acts import PERIOD, PeriodName, PlanId, tell
from serving.api.plans import PlanShown, Writer, not_a_draft, refuse_other, rows_of, shown
from serving.api.who import Who
from serving.api.who import told as told_by
from serving.auth.caller import Caller
from serving.deps import ServiceDep
from serving.inspecting.population import ratios_of
from serving.ledger import plans
from serving.ledger.plans import WHOLE
from serving.problems import Problem
from serving.service import Service

router = APIRouter(prefix="/v1/plans", tags=["plans"])

Format = Annotated[Literal["json", "svg"], Query(description="格式：数据或图")]
_SVG = "image/svg+xml"
_PICTURE: dict[int | str, dict[str, object]] = {200: {"content": {_SVG: {}}}}


class Asked(Who):
    """为哪一期、哪些对象."""

    period: str | None = Field(default=None, pattern=PERIOD, description="期次")


class Choice(Asked):
    """在前沿上取一点；三者取一."""

    base: str = Field(pattern=r"^[0-9a-f]{64}$", description="所据计划的摘要；已有修改的则为 409")
    precision: float | None = Field(
        default=None, ge=0, le=1e6, description="精度的权重，如前沿所列；0 为只求多发现"
    )
    half_width: float | None = Field(
        default=None, gt=0, lt=1, description="问题率区间半宽不超过此数，其中取发现最多的"
    )
    share: float | None = Field(
        default=None, gt=0, le=1, description="发现数不少于只查风险最高者的此成数，其中取最准的"
    )


class FrontierShown(BaseModel):
    """发现数与精度的前沿."""

    model_config = ConfigDict(extra="forbid")

    period: str = Field(description="期次")
    inspections: int = Field(description="检查数")
    chosen: float | str = Field(description="计划现取的一点：精度的权重，或 grade 按等级")
    points: list[dict[str, object]] = Field(
        description="各点：发现数及区间、问题率区间的半宽、最大权数；risk 为前沿，其余供比较"
    )


@router.get(
    "/{plan_id}/frontier",
    summary="前沿：发现数与精度",
    response_model=FrontierShown,
    responses=_PICTURE,
)
def of_lists(
    plan_id: PlanId,
    service: ServiceDep,
    caller: Writer,
    *,
    period: PeriodName = None,
    format: Format = "json",  # noqa: A002
) -> FrontierShown | Response:
    """Compute the frontier over the list of targets, as data or as a picture."""
    return _answer(service, caller, plan_id, Asked(period=period), format)


@router.post(
    "/{plan_id}/frontier",
    summary="前沿：直接给出对象",
    response_model=FrontierShown,
    responses=_PICTURE,
)
def of_members(
    plan_id: PlanId,
    body: Asked,
    service: ServiceDep,
    caller: Writer,
    format: Format = "json",  # noqa: A002
) -> FrontierShown | Response:
    """Compute the frontier over a population that is told inline; nothing is kept."""
    return _answer(service, caller, plan_id, body, format)


@router.post("/{plan_id}/frontier/choice", summary="在前沿上取一点")
def pick(plan_id: PlanId, body: Choice, service: ServiceDep, caller: Writer) -> PlanShown:
    """Put the chosen point into the plan while it is a draft: its next edition draws by risk."""
    asked = [one for one in (body.precision, body.half_width, body.share) if one is not None]
    if len(asked) != 1:
        raise InspectionError("choose by exactly one of precision, half_width and share")
    precision = body.precision
    if precision is None:
        _, _, points = _computed(service, caller, plan_id, body)
        precision = choose(points, half_width=body.half_width, share=body.share)
    with service.ledger.begin() as connection:
        found = acts.visible(connection, plan_id, caller, lock=True, write=True)
        so_far = plans.progress(connection, found)
        if so_far.state is not State.DRAFT:
            raise not_a_draft(so_far)
        refuse_other(found, body.base)
        told = found.plan.model_dump(mode="json")
        plan = Plan.model_validate(
            {**told, "allocation": {"by": "risk", "precision": precision}}, strict=False
        )
        edit(so_far, plan.digest, by=caller.id)
        if not plans.declare(
            connection,
            plan,
            region=found.region,
            edition=found.edition + 1,
            by=caller.id,
            at=service.clock(),
        ):
            raise Problem(409, "plan-changed", "the plan was edited meanwhile; read it again")
        answer = shown(connection, acts.visible(connection, plan_id, caller))
        details = {"digest": plan.digest, "precision": precision}
        tell(connection, service, caller, "plan.edit", (plan_id, WHOLE), details)
    return answer


def _answer(
    service: Service,
    caller: Caller,
    plan_id: str,
    asked: Asked,
    format: Literal["json", "svg"],  # noqa: A002
) -> FrontierShown | Response:
    plan, period, points = _computed(service, caller, plan_id, asked)
    chosen = plan.allocation.precision if plan.allocation.by == "risk" else "grade"
    if format == "svg":
        return Response(frontier_svg(points, chosen), media_type=_SVG)
    return FrontierShown(
        period=period.id,
        inspections=round(points["inspections"][0]),
        chosen=chosen,
        points=rows_of(points.drop("inspections")),
    )


def _computed(
    service: Service, caller: Caller, plan_id: str, asked: Asked
) -> tuple[Plan, Period, pl.DataFrame]:
    """Return a plan, the period asked and its frontier, with the size of the draw on each row."""
    with service.ledger.begin() as connection:
        declared = acts.visible(connection, plan_id, caller, write=True)
        found = acts.at(connection, declared, asked.period)
        who = told_by(connection, service, declared, asked, found.period)
    plan, period = declared.plan, found.period
    ratios = ratios_of(service, plan)
    size = round(float(allocation(plan, period, who.frame, ratios)["pi"].sum()))
    part = period.days / sum(one.days for one in plan.periods)
    points = frontier(
        eligible(plan, who.frame),
        size,
        random_share=plan.random_share,
        strata=plan.strata,
        ratios={grade: ratio * part for grade, ratio in ratios.items()},
    )
    return plan, period, points.with_columns(pl.lit(size).alias("inspections"))
