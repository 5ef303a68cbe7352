"""两库: who may be inspected (对象库), who may inspect (人员库), and what is left of caps."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import polars as pl
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from models.inspection.caps import Caps, room
from models.inspection.list_fields import ListName
from models.inspection.plan import Plan
from serving.api.listing import Reader, Region, content_of, edition_of, routes
from serving.deps import ServiceDep
from serving.inspecting.caps import of_subject
from serving.inspecting.lists import own
from serving.inspecting.population import PLAIN
from serving.ledger import plans
from serving.problems import Problem

router = APIRouter()
router.include_router(routes(ListName.TARGETS, "/v1/pools/targets"))
router.include_router(routes(ListName.INSPECTORS, "/v1/pools/inspectors"))

_MOST = 366


class CapVisit(BaseModel):
    """一次上门中的一项任务；已抽中未派员的没有任务编号."""

    visit_id: str = Field(description="上门；编号相同的是同一次")
    plan: str = Field(description="计划")
    period: str = Field(description="期次")
    task_id: str | None = Field(description="任务编号")
    starts: date = Field(description="最早日期")
    ends: date = Field(description="最迟日期")
    ground: str | None = Field(description="不计入上限的理由；计入的为空")
    done: bool = Field(description="是否已有结果")


class CapShown(BaseModel):
    """一个检查对象的年度检查上限及其使用."""

    subject_id: str = Field(description="主体")
    year: int = Field(description="年度")
    cap: int | None = Field(description="上限；对象库与各计划都未定的为空")
    used: int = Field(description="已用：对象库所记与各计划上门次数，取大者")
    exempt: int = Field(description="不计入的次数")
    remaining: int | None = Field(description="剩余")
    next_merge: date | None = Field(description="最近一次可并入其他事项的上门；没有的为空")
    visits: list[CapVisit] = Field(description="本年各次上门")


@router.get("/v1/pools/targets/{subject}/cap", summary="检查对象的年度上限", tags=["lists"])
def cap(
    subject: Annotated[str, Path(min_length=1, max_length=64, pattern=PLAIN)],
    service: ServiceDep,
    caller: Reader,
    *,
    region: Region = "",
    year: Annotated[int | None, Query(ge=2000, le=2100, description="年度；默认今年")] = None,
) -> CapShown:
    """Show the cap of a target, what all plans of the year use of it, and what can be joined."""
    today = service.today()
    wanted = year or today.year
    with service.ledger.begin() as connection:
        edition = edition_of(connection, ListName.TARGETS, region, None, caller)
        rows = own(content_of(connection, edition.version).frame, caller)
        found = rows.filter(subject_id=subject)
        if found.is_empty():
            raise Problem(404, "not-in-pool", f"subject '{subject}' is not on the list of targets")
        known = [one.plan for one in plans.of_year(connection, wanted)]
        visits = of_subject(connection, known, subject)
    row = found.row(0, named=True)
    most = row["cap"] if row["cap"] is not None else _of_plans(known, row["grade"])
    open_ = ~pl.col("done") & (pl.col("ends") >= today)
    on = pl.when(open_).then(pl.max_horizontal("starts", pl.lit(today))).otherwise("starts")
    told = room(
        found.select("subject_id"),
        visits.with_columns(on.alias("on")),
        Caps(per_year=max(most or _MOST, 1)),
        year=wanted,
        today=today,
    ).row(0, named=True)
    used = max(told["used"], (row["cap_used"] or 0) if wanted == today.year else 0)
    return CapShown(
        subject_id=subject,
        year=wanted,
        cap=most,
        used=used,
        exempt=told["exempt"],
        remaining=None if most is None else max(most - used, 0),
        next_merge=told["next_merge"],
        visits=[
            CapVisit.model_validate({**one, "plan": one["plan_id"]}) for one in visits.to_dicts()
        ],
    )


def _of_plans(known: list[Plan], grade: str | None) -> int | None:
    """Return the least cap that plans of the year set for a grade; null where there is no plan."""
    caps = [one.caps.by_grade.get(grade or "", one.caps.per_year) for one in known]
    return min(caps, default=None)
