"""One rate from several draws: of the periods of a plan, or of several plans, without bias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import polars as pl
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from models.errors import LedgerError
from models.inspection.combine import Combination, Drawn, combine
from models.inspection.draw import draw
from models.inspection.estimate import Missing
from models.inspection.pool import Pool
from models.inspection.progress import State
from serving.api import acts
from serving.api.acts import At, PlanId
from serving.api.plans import Reader, rows_of
from serving.auth.caller import Caller
from serving.deps import ServiceDep
from serving.inspecting.carried import carried
from serving.inspecting.rounds import sample
from serving.ledger import draws, visits
from serving.ledger.engine import Connection
from serving.problems import Problem

router = APIRouter(prefix="/v1", tags=["results"])

DRAW = r"^[a-z][a-z0-9_]{0,62}(/[^\x00-\x1f\x7f]{1,60})?$"
_MOST = 40


class How(BaseModel):
    """要怎样的估计."""

    model_config = ConfigDict(extra="forbid")

    method: Combination = Field(default="hajek", description="hajek 或 ht")
    level: float = Field(default=0.95, gt=0, lt=1, description="置信水平")
    missing: Missing = Field(default="refuse", description="缺结果的：refuse 或 reweight")
    collapse: bool = Field(default=False, description="只有一个结果的层并起来")
    as_one: bool = Field(
        default=False, description="各次抽取视为同一期；默认起讫相同的为同一期，各期按对象数加权"
    )


class OfPlan(How):
    """一份计划的哪几期."""

    period: list[Annotated[str, Field(max_length=60)]] = Field(
        default=[], max_length=_MOST, description="期次；默认已抽取的各期"
    )


class OfDraws(How):
    """哪几次抽取."""

    draw: list[Annotated[str, Field(pattern=DRAW, examples=["catering_2027/2027Q1"])]] = Field(
        min_length=1, max_length=_MOST, description="各次抽取：计划，或 计划/期次"
    )


class Combined(BaseModel):
    """几次抽取合并估计的问题率."""

    method: Combination = Field(description="方法")
    level: float = Field(description="置信水平")
    draws: list[str] = Field(description="所合并的各次抽取")
    rates: list[dict[str, object]] = Field(
        description="各期的问题率、标准误与区间；末行 period 为空，为各期合计"
    )


@router.get("/plans/{plan_id}/estimate/combined", summary="各期合并的问题率")
def of_plan(
    plan_id: PlanId, service: ServiceDep, caller: Reader, asked: Annotated[OfPlan, Query()]
) -> Combined:
    """Say what share of the pool has problems, from all draws of a plan together."""
    with service.ledger.begin() as connection:
        declared = acts.visible(connection, plan_id, caller)
        names = asked.period or [one.id for one in declared.plan.periods]
        found = [acts.at(connection, declared, name) for name in dict.fromkeys(names)]
        if not asked.period:
            found = [one for one in found if one.progress.step(State.DRAWN) is not None]
        return _combined(connection, found, asked)


@router.get("/estimates", summary="几份计划合并的问题率")
def of_draws(service: ServiceDep, caller: Reader, asked: Annotated[OfDraws, Query()]) -> Combined:
    """Say what share has problems, from draws of several plans over pools that may overlap.

    A subject of several pools counts once; each of its results with the share that its draw has in
    the chances of the subject to be drawn at all. The plans must inspect the same matters.
    """
    with service.ledger.begin() as connection:
        found = [_named(connection, caller, one) for one in dict.fromkeys(asked.draw)]
        return _combined(connection, found, asked)


def _named(connection: Connection, caller: Caller, told: str) -> At:
    plan_id, _, period = told.partition("/")
    return acts.at(connection, acts.visible(connection, plan_id, caller), period or None)


def _combined(connection: Connection, found: Sequence[At], how: How) -> Combined:
    if not found:
        raise Problem(
            409, "not-in-this-state", "no period of the plan is drawn yet; there is nothing to tell"
        )
    _refuse_unlike(found)
    parts = [_drawn(connection, one, as_one=how.as_one) for one in found]
    rates = combine(
        parts, method=how.method, level=how.level, missing=how.missing, collapse=how.collapse
    )
    return Combined(
        method=how.method,
        level=how.level,
        draws=["/".join(one.key) for one in found],
        rates=rows_of(rates),
    )


def _refuse_unlike(found: Sequence[At]) -> None:
    """Raise a problem 422 where draws look for different things: no rate is of both."""
    first = found[0].declared.plan
    wanted = {one.title for one in first.matters}
    for one in found:
        plan = one.declared.plan
        if {matter.title for matter in plan.matters} != wanted:
            raise Problem(
                422,
                "unlike-plans",
                f"plans {first.id} and {plan.id} inspect different matters, so that one rate would "
                "be of neither; combine draws of the same matters",
            )


def _drawn(connection: Connection, found: At, *, as_one: bool) -> Drawn:
    made = carried(connection, found.key, found.progress)
    kept = visits.results(connection, *found.key)
    content, seed = draws.pool_file(connection, *found.key), draws.seed(connection, *found.key)
    if content is None or seed is None:
        raise LedgerError("a drawn plan has no pool in the ledger; restore a backup")
    pool = draw(Pool.read(content), seed.seed)
    told = sample(made.chosen, made.assigned.tasks, kept)
    period = found.period
    return Drawn(
        period="*" if as_one else f"{period.first}/{period.last}",
        pool=pool.select("subject_id", "stratum", "inclusion_probability"),
        sample=told.with_columns(pl.col("positive").cast(pl.Boolean)),
        draw_id=made.draw_id,
    )
