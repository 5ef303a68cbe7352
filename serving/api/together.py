"""Visits with all that is done at once, of whatever plan and department (进一次门查多项事)."""

from __future__ import annotations

from datetime import date

import polars as pl
from fastapi import APIRouter
from pydantic import BaseModel, Field

from models.errors import LedgerError
from serving.api import acts
from serving.api.acts import PeriodName, PlanId
from serving.api.plans import Reader
from serving.deps import ServiceDep
from serving.inspecting.carried import carried
from serving.inspecting.joint import members_of
from serving.inspecting.lists import own
from serving.ledger import joint, plans, visits
from serving.ledger.engine import Connection

router = APIRouter(prefix="/v1/plans", tags=["visits"])


class PartShown(BaseModel):
    """一次上门中的一项任务，各计划结果分开."""

    plan: str = Field(description="计划")
    period: str = Field(description="期次")
    task_id: str = Field(description="任务编号")
    matters: list[str] = Field(description="事项")
    departments: list[str] = Field(description="实施部门")


class VisitShown(BaseModel):
    """一次上门：进一次门查多项事."""

    visit_id: str = Field(description="编号：首项任务的计划、期次与任务编号")
    subject_id: str = Field(description="主体")
    starts: date = Field(description="最早日期")
    ends: date = Field(description="最迟日期")
    team: list[str] = Field(description="全体检查人员编号")
    ground: str | None = Field(description="不计入年度上限的理由；计入的为空")
    tasks: list[PartShown] = Field(description="各项任务")


@router.get("/{plan_id}/visits", summary="上门：合并的任务")
def visits_(
    plan_id: PlanId, service: ServiceDep, caller: Reader, period: PeriodName = None
) -> list[VisitShown]:
    """Show the visits of a period, with the tasks of other plans that are part of them."""
    with service.ledger.begin() as connection:
        found = acts.at(connection, acts.visible(connection, plan_id, caller), period)
        made = carried(connection, found.key, found.progress)
        mine = joint.of_period(connection, found.key).join(
            own(made.assigned.tasks, caller), on="task_id", how="semi"
        )
        every = joint.together(connection, mine["visit_id"].unique().sort().to_list())
        return _visits(connection, every)


def _visits(connection: Connection, every: pl.DataFrame) -> list[VisitShown]:
    matters: dict[tuple[str, str, str], list[str]] = {}
    departments: dict[tuple[str, str], str] = {}
    for part in every.partition_by("plan_id", "period"):
        plan_id, period = part["plan_id"][0], part["period"][0]
        there, declared = visits.assignment(connection, plan_id, period), None
        declared = plans.find(connection, plan_id)
        if there is None or declared is None:
            raise LedgerError(f"the teams of plan {plan_id} are lost; restore a backup")
        departments |= {(plan_id, one.id): one.department for one in declared.plan.matters}
        for task, told in there.tasks.select("task_id", "matters").iter_rows():
            matters[plan_id, period, task] = told
    members = members_of(connection, every)
    teams = dict(
        members.group_by("visit_id").agg(pl.col("inspector_id").unique().sort()).iter_rows()
    )
    shown: list[VisitShown] = []
    for part in every.partition_by("visit_id", maintain_order=True):
        first = part.row(0, named=True)
        keys = part.select("plan_id", "period", "task_id").rows()
        shown.append(
            VisitShown(
                visit_id=first["visit_id"],
                subject_id=first["subject_id"],
                starts=part["starts"].max(),  # pyright: ignore[reportArgumentType]
                ends=part["ends"].min(),  # pyright: ignore[reportArgumentType]
                team=teams.get(first["visit_id"], []),
                ground=None if part["ground"].null_count() else first["ground"],
                tasks=[
                    PartShown(
                        plan=key[0],
                        period=key[1],
                        task_id=key[2],
                        matters=matters[key],
                        departments=sorted({departments[key[0], one] for one in matters[key]}),
                    )
                    for key in keys
                ],
            )
        )
    return shown
