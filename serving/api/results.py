"""What inspections found: results, clocks, publication, estimates, and the end of a period."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from hashlib import sha256
from typing import Annotated, Literal

import polars as pl
from fastapi import APIRouter, Depends, Query, status
from pydantic import BaseModel, ConfigDict, Field

from models.errors import InspectionError, LedgerError
from models.inspection.estimate import Method, Missing, rates
from models.inspection.list_fields import ListMapping
from models.inspection.pool import Pool
from models.inspection.progress import State
from models.inspection.result_codes import codes
from models.inspection.results import clocks, publication, read_results, records
from models.records.contracts import CONTRACTS
from serving.api import acts
from serving.api.acts import PERIOD, At, PeriodName, PlanId
from serving.api.anyone import Anyone
from serving.api.asked import PageQuery
from serving.api.draws import PeriodBody
from serving.api.listing import Cell, FaultShown
from serving.api.plans import Approver, Reader
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.inspecting.carried import carried
from serving.inspecting.lists import own, written
from serving.inspecting.rounds import Carried, matters_of, sample, targets_of
from serving.inspecting.strata import tell
from serving.jobs.kinds import REDECIDE
from serving.ledger import draws, inbox, jobs, visits
from serving.ledger.engine import Connection
from serving.ledger.inbox import Posted
from serving.ledger.visits import RESULT
from serving.problems import Problem
from serving.service import Service

router = APIRouter(prefix="/v1/plans", tags=["results"])

Inspector = Annotated[Caller, Depends(allow(Permission.RESULTS_WRITE))]
Group = Literal["grade", "region", "industry", "office"]
_OPEN = (State.DRAWN, State.PUBLISHED)
_URGENT = 10
_KEY = ("task_id", "matter_id")
_SHOWN = 200
_SUBJECTS = 1000
"""Subjects of one job that decides them anew."""


class Filled(BaseModel):
    """填好的检查结果."""

    model_config = ConfigDict(extra="forbid")

    period: str | None = Field(default=None, pattern=PERIOD, description="期次")
    rows: list[dict[str, Cell]] = Field(
        min_length=1, max_length=20_000, description="各行：表头与单元格"
    )
    mapping: ListMapping = Field(default=ListMapping(), description="词表不认识的表头如何对应")


class Taken(BaseModel):
    """结果的接收情况."""

    accepted: int = Field(description="已接收行数；应答前已持久保存")
    refused: int = Field(description="有误而未收的行数")
    faults: list[FaultShown] = Field(description="错误，最多 200 处")
    missing: int = Field(description="尚缺结果的事项数")
    unread: list[str] = Field(description="没有对应字段的表头")
    jobs: list[int] = Field(description="重新判定任务编号")


class ResultShown(BaseModel):
    """一项结果及其公示时限."""

    task_id: str = Field(description="任务编号")
    matter_id: str = Field(description="事项编码")
    result_code: str = Field(description="结果代码")
    result: str = Field(description="结果")
    ended_on: date = Field(description="检查结束日期")
    publish_by: date = Field(description="公示截止日：结束之日起 20 个工作日")
    published_on: date | None = Field(description="公示日期")
    working_days_left: int | None = Field(description="剩余工作日；已公示的为空")
    late: bool = Field(description="是否逾期")


class ResultsShown(BaseModel):
    """一期的结果."""

    period: str = Field(description="期次")
    results: list[ResultShown] = Field(description="各项结果")
    missing: list[dict[str, str]] = Field(description="尚缺结果的任务与事项")


class PublishedRow(BaseModel):
    """公示的一项结果；个人信息已去除."""

    number: int = Field(description="序号")
    published_at: datetime = Field(description="公示时间")
    result: dict[str, object] = Field(description="公示内容")


class Published(BaseModel):
    """公示."""

    state: State = Field(description="状态")
    published: int = Field(description="本次公示的结果数")
    missing: int = Field(description="尚缺结果的事项数")


class Asked(BaseModel):
    """要怎样的估计."""

    model_config = ConfigDict(extra="forbid")

    period: str | None = Field(default=None, pattern=PERIOD, description="期次")
    method: Method = Field(default="hajek", description="ht、hajek 或 difference")
    by: list[Group] = Field(default=[], max_length=4, description="按何分组")
    level: float = Field(default=0.95, gt=0, lt=1, description="置信水平")
    missing: Missing = Field(default="refuse", description="缺结果的：refuse 或 reweight")
    collapse: bool = Field(default=False, description="只有一个结果的层并起来")


class Estimated(BaseModel):
    """问题率的估计."""

    period: str = Field(description="期次")
    method: Method = Field(description="方法：ht、hajek 或 difference")
    level: float = Field(description="置信水平")
    rates: list[dict[str, object]] = Field(description="各组的问题率、标准误与区间")


@router.post("/{plan_id}/results", summary="录入检查结果", status_code=status.HTTP_201_CREATED)
def take(plan_id: PlanId, body: Filled, service: ServiceDep, caller: Inspector) -> Taken:
    """Keep what teams found; each becomes an inspection record with the draw's true probability.

    Rows with a fault are answered with it and not kept. A row of a task and matter that has a
    result corrects it; what was published stays until it is published again.
    """
    with service.ledger.begin() as connection:
        found = acts.held(connection, plan_id, caller, body.period, within=_OPEN)
        made = carried(connection, found.key, found.progress)
        got = read_results(
            written(body.rows), made.round, on=service.today(), mapping=body.mapping, first_row=1
        )
        kept = got.frame.select(*RESULT)
        _refuse_apart(found, kept, caller)
        queued: list[int] = []
        if kept.height:
            visits.keep_results(connection, *found.key, rows=kept, by=caller.id, at=service.clock())
            queued = _record(connection, service, caller, found, made, kept)
        missing = _missing(made, visits.results(connection, *found.key))
        told = {"accepted": kept.height, "refused": got.refused}
        acts.tell(connection, service, caller, "plan.results", found.key, told)
    return Taken(
        accepted=kept.height,
        refused=got.refused,
        faults=[FaultShown.model_validate(row) for row in got.faults.head(_SHOWN).to_dicts()],
        missing=missing.height,
        unread=list(got.unread),
        jobs=queued,
    )


@router.get("/{plan_id}/results", summary="检查结果与公示时限")
def results_(
    plan_id: PlanId, service: ServiceDep, caller: Reader, period: PeriodName = None
) -> ResultsShown:
    """Show results of the caller's regions, the clocks of their publication, what is to come."""
    with service.ledger.begin() as connection:
        found = acts.at(connection, acts.visible(connection, plan_id, caller), period)
        made = carried(connection, found.key, found.progress)
        kept = visits.results(connection, *found.key)
    tasks = own(made.assigned.tasks, caller)
    made = replace(made, assigned=replace(made.assigned, tasks=tasks))
    kept = kept.join(tasks, on="task_id", how="semi", maintain_order="left")
    published = kept.select(*_KEY, "published_on").drop_nulls("published_on")
    timed = clocks(kept.drop("published_on"), on=service.today(), published=published).with_columns(
        pl.col("result_code").replace_strict(_labels(), return_dtype=pl.String).alias("result")
    )
    return ResultsShown(
        period=found.period.id,
        results=[
            ResultShown.model_validate(row)
            for row in timed.select(*ResultShown.model_fields).to_dicts()
        ],
        missing=_missing(made, kept).to_dicts(),
    )


@router.get("/{plan_id}/estimate", summary="问题率估计")
def estimate(
    plan_id: PlanId, service: ServiceDep, caller: Reader, asked: Annotated[Asked, Query()]
) -> Estimated:
    """Say what share of the whole pool has problems, from those drawn, with an interval."""
    with service.ledger.begin() as connection:
        found = acts.at(connection, acts.visible(connection, plan_id, caller), asked.period)
        made = carried(connection, found.key, found.progress)
        kept = visits.results(connection, *found.key)
        pool = _pool(connection, found)
    groups = list(dict.fromkeys(asked.by))
    if asked.method == "difference" and pool["probability"].null_count():
        raise InspectionError(
            "somebody of the pool has no probability, which 'difference' needs; use 'hajek'"
        )
    drawn = sample(made.chosen, made.assigned.tasks, kept)
    whole = pool.with_columns(pl.col(name).fill_null("未知") for name in groups)
    shown = rates(
        drawn,
        whole,
        method=asked.method,
        by=groups,
        level=asked.level,
        missing=asked.missing,
        collapse=asked.collapse,
    )
    return Estimated(
        period=found.period.id,
        method=asked.method,
        level=asked.level,
        rates=shown.fill_nan(None).to_dicts(),
    )


@router.post("/{plan_id}/publish", summary="公示结果")
def publish(plan_id: PlanId, body: PeriodBody, service: ServiceDep, caller: Approver) -> Published:
    """Publish the results that are not public yet, without personal data."""
    with service.ledger.begin() as connection:
        found = acts.held(connection, plan_id, caller, body.period, within=_OPEN)
        made = carried(connection, found.key, found.progress)
        kept = visits.results(connection, *found.key)
        fresh = kept.filter(~pl.col("told"))
        if fresh.is_empty():
            raise Problem(
                409,
                "nothing-to-publish",
                "every result that came in is public already, or none has come",
                more={"state": found.progress.state, "allowed": ["results"]},
            )
        rows = _public(connection, found, made, fresh)
        visits.keep_publication(connection, *found.key, rows=rows, by=caller.id, at=service.clock())
        state = found.progress.state
        if state is State.DRAWN:
            state = acts.step(connection, service, caller, found, State.PUBLISHED).state
        else:
            told = {"results": fresh.height}
            acts.tell(connection, service, caller, "plan.publish", found.key, told)
    return Published(state=state, published=fresh.height, missing=_missing(made, kept).height)


@router.get("/{plan_id}/publication", summary="公示（公开）")
def public_(
    plan_id: PlanId,
    service: ServiceDep,
    anyone: Anyone,
    *,
    period: PeriodName = None,
    after: Annotated[int, Query(ge=0, le=2**62, description="从此序号之后")] = 0,
    limit: PageQuery = 100,
) -> list[PublishedRow]:
    """Show everybody what was published; a later row of a matter corrects an earlier one."""
    del anyone
    with service.ledger.begin() as connection:
        found = acts.public(connection, plan_id, period)
        rows = visits.publications(connection, *found.key, after=after, limit=limit)
    return [PublishedRow(number=n, published_at=at, result=row) for n, at, row in rows]


@router.post("/{plan_id}/close", summary="办结")
def close(plan_id: PlanId, body: PeriodBody, service: ServiceDep, caller: Approver) -> Published:
    """Close a period of which every result is in and public; the names of strata are told then."""
    with service.ledger.begin() as connection:
        found = acts.held(connection, plan_id, caller, body.period, to=State.CLOSED)
        made = carried(connection, found.key, found.progress)
        kept = visits.results(connection, *found.key)
        missing, hidden = _missing(made, kept).height, kept.filter(~pl.col("told")).height
        if missing or hidden:
            raise Problem(
                409,
                "not-finished",
                f"{missing} results are missing and {hidden} are not public; enter and publish "
                "them before the period is closed",
                more={"state": found.progress.state, "allowed": ["results", "publish"]},
            )
        names = tell(connection, service.settings, found.key)
        if names is not None:
            told = {"digest": sha256(names.encode()).hexdigest()}
            acts.tell(connection, service, caller, "plan.strata", found.key, told)
        state = acts.step(connection, service, caller, found, State.CLOSED).state
    return Published(state=state, published=0, missing=0)


def _refuse_apart(found: At, kept: pl.DataFrame, caller: Caller) -> None:
    """Raise a problem 403 where results are of matters of other departments than the caller's."""
    of = {one.id: one.department for one in found.declared.plan.matters}
    away = sorted({one for one in kept["matter_id"] if not caller.sees_department(of[one])})
    if away:
        raise Problem(
            403,
            "outside-scope",
            f"results of matter {away[0]} are entered by {of[away[0]]}, which is not among this "
            "caller's departments; nothing was kept: leave these rows to them",
        )


def _record(
    connection: Connection,
    service: Service,
    caller: Caller,
    found: At,
    made: Carried,
    kept: pl.DataFrame,
) -> list[int]:
    """Put results into the inbox as inspection records; queue their subjects' new decisions."""
    at = service.clock()
    matters = matters_of(found.declared.plan)
    frame = records(kept, made.round, reported_at=at, matters=matters)
    subjects = frame["subject_id"].unique(maintain_order=True).to_list()
    queued = [
        jobs.enqueue(
            connection,
            REDECIDE,
            payload={"subjects": subjects[start : start + _SUBJECTS]},
            created_by=caller.id,
            priority=_URGENT,
        )
        for start in range(0, len(subjects), _SUBJECTS)
    ]
    contract = CONTRACTS["inspection"]
    as_json = pl.struct(contract.columns).struct.json_encode()
    rows = frame.select("record_id", "subject_id", "region", record=as_json).iter_rows()
    inbox.write(connection, [Posted(contract.name, *row) for row in rows], caller=caller.id, at=at)
    return queued


def _public(
    connection: Connection, found: At, made: Carried, fresh: pl.DataFrame
) -> dict[int, dict[str, object]]:
    """Return what is published of results, by their id."""
    who = draws.population(connection, *found.key)
    if who is None:
        raise LedgerError("a drawn plan has no pool in the ledger; restore a backup")
    told = publication(
        fresh.select(*RESULT),
        made.round,
        targets=targets_of(who),
        matters=matters_of(found.declared.plan),
    )
    return dict(zip(fresh["result_id"].to_list(), told.to_dicts(), strict=True))


def _pool(connection: Connection, found: At) -> pl.DataFrame:
    content = draws.pool_file(connection, *found.key)
    who = draws.population(connection, *found.key)
    if content is None or who is None:
        raise LedgerError("a drawn plan has no pool in the ledger; restore a backup")
    return Pool.read(content).frame.join(who, on="subject_id", maintain_order="left")


def _missing(made: Carried, kept: pl.DataFrame) -> pl.DataFrame:
    wanted = made.assigned.tasks.select("task_id", matter_id="matters").explode("matter_id")
    return wanted.join(kept, on=list(_KEY), how="anti").sort(_KEY)


def _labels() -> dict[str, str]:
    return {code: entry.label for code, entry in codes().items()}
