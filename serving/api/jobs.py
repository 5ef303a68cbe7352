"""Work that is done behind the answers: asked for, looked at, cancelled, tried again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, status
from pydantic import BaseModel, Field

from serving.api.asked import LAST, LimitQuery
from serving.api.audited import audited
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.jobs import kinds
from serving.ledger import jobs
from serving.ledger.engine import Connection
from serving.ledger.jobs import Job, Status
from serving.problems import Problem
from serving.reach import unseen
from serving.service import Service

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Reader = Annotated[Caller, Depends(allow(Permission.JOBS_READ))]
Runner = Annotated[Caller, Depends(allow(Permission.JOBS_RUN))]
_HIDDEN: Final = frozenset({"worker"})
Number = Annotated[int, Path(ge=1, le=LAST, description="任务编号", examples=[17])]


class JobAnswer(BaseModel):
    """任务."""

    id: int = Field(description="任务编号", examples=[17])
    kind: str = Field(description="任务种类", examples=["score_all"])
    payload: dict[str, Any] = Field(description="参数；主体仅提交者与可见全域者可见")
    status: Status = Field(
        description="queued 待处理，running 处理中，done 完成，dead 已放弃，cancelled 已取消"
    )
    attempts: int = Field(description="已尝试次数")
    max_attempts: int = Field(description="最多尝试次数")
    created_by: str = Field(description="提交者")
    created_at: datetime = Field(description="提交时间")
    ready_at: datetime = Field(description="可开始时间")
    started_at: datetime | None = Field(description="最近一次开始时间")
    finished_at: datetime | None = Field(description="结束时间")
    cancel: bool = Field(description="已要求取消")
    progress: float | None = Field(description="进度，0 至 1")
    note: str | None = Field(description="进展说明")
    error: str | None = Field(description="最近一次错误")
    result: dict[str, Any] | None = Field(description="结果")


class Jobs(BaseModel):
    """任务列表，新的在前."""

    jobs: list[JobAnswer] = Field(description="任务")
    before: int | None = Field(description="下一页的 before；没有更多时为空")


@router.post(
    "",
    summary="提交任务",
    status_code=status.HTTP_202_ACCEPTED,
    responses={
        403: {"description": "涉及全域的任务，须由可见全域者提交"},
        404: {"description": "没有这样的主体"},
    },
)
def submit(work: kinds.Work, service: ServiceDep, caller: Runner) -> JobAnswer:
    """Queue a job; where the same one waits already, that one is answered.

    Who sees some regions only has subjects of these decided anew; what concerns everybody is for
    who sees everybody.
    """
    _check_scope(service, work, caller)
    payload = kinds.payload(work)
    told = [f"{name}={value}" for name, value in sorted(payload.items())]
    with service.ledger.begin() as connection:
        number = jobs.enqueue(
            connection,
            work.kind,
            payload=payload,
            created_by=caller.id,
            dedupe=" ".join([work.kind, *told]) if work.kind in kinds.ONCE else None,
        )
        answer = _found(connection, number, caller)
        audited(connection, service, caller, "job.submit", str(number))
    return answer


@router.get("", summary="任务列表")
def every(
    service: ServiceDep,
    caller: Reader,
    status: Annotated[Status | None, Query(description="只看此状态")] = None,
    kind: Annotated[str | None, Query(description="只看此种类", max_length=63)] = None,
    before: Annotated[int | None, Query(ge=1, le=LAST, description="只看更早的")] = None,
    limit: LimitQuery = 50,
) -> Jobs:
    """List jobs, the newest first."""
    with service.ledger.begin() as connection:
        found = jobs.listing(
            connection, status=status, kind=_plain(kind), before=before, limit=limit
        )
    more = found[-1].id if len(found) == limit else None
    return Jobs(jobs=[_answer(job, caller) for job in found], before=more)


@router.get("/{number}", summary="任务")
def one(number: Number, service: ServiceDep, caller: Reader) -> JobAnswer:
    """Show a job."""
    with service.ledger.begin() as connection:
        return _found(connection, number, caller)


@router.post("/{number}/cancel", summary="取消任务")
def cancel(number: Number, service: ServiceDep, caller: Runner) -> JobAnswer:
    """Cancel a job: at once while it waits, within seconds while it runs."""
    with service.ledger.begin() as connection:
        _check_own(connection, number, caller)
        became = jobs.cancel(connection, number)
        if became in {Status.DONE, Status.DEAD}:
            raise Problem(409, "job-ended", f"job {number} is {became}; nothing is left to cancel")
        answer = _found(connection, number, caller)
        audited(connection, service, caller, "job.cancel", str(number))
    return answer


@router.post("/{number}/retry", summary="重试任务")
def retry(number: Number, service: ServiceDep, caller: Runner) -> JobAnswer:
    """Queue a job again that was given up or cancelled."""
    with service.ledger.begin() as connection:
        _check_own(connection, number, caller)
        revived = jobs.revive(connection, number)
        answer = _found(connection, number, caller)
        if not revived:
            raise Problem(
                409,
                "job-not-ended",
                f"job {number} is {answer.status}; only one that is dead or cancelled is retried",
                more={"allowed": [Status.DEAD, Status.CANCELLED]},
            )
        audited(connection, service, caller, "job.retry", str(number))
    return answer


def _check_scope(service: Service, work: kinds.Work, caller: Caller) -> None:
    """Refuse work for whoever, or for somebody, that the caller does not see."""
    if caller.everywhere:
        return
    if not isinstance(work, kinds.Redecide):
        raise Problem(
            403,
            "outside-scope",
            f"a job {work.kind} concerns every region; it is for who sees all of them",
        )
    if strange := unseen(service, caller, work.subjects):
        raise Problem(404, "not-found", f"nothing is known of subject '{strange[0]}'")


def _check_own(connection: Connection, number: int, caller: Caller) -> None:
    """Refuse to stop or repeat what somebody else asked for, but to who sees every region."""
    job = jobs.get(connection, number)
    if job is not None and not caller.everywhere and job.created_by != caller.id:
        raise Problem(
            403,
            "not-yours",
            f"job {number} was asked for by somebody else; ask them, or who sees every region",
        )


def _found(connection: Connection, number: int, caller: Caller) -> JobAnswer:
    job = jobs.get(connection, number)
    if job is None:
        raise Problem(404, "no-such-job", f"there is no job {number}; GET /v1/jobs lists them")
    return _answer(job, caller)


def _answer(job: Job, caller: Caller) -> JobAnswer:
    told = {name: getattr(job, name) for name in Job.__slots__ if name not in _HIDDEN}
    return JobAnswer.model_validate({**told, "payload": _payload(job, caller)})


def _payload(job: Job, caller: Caller) -> Mapping[str, object]:
    """Return what a job is to do; whose it is, only to who asked for it or may see everybody."""
    everybody = caller.everywhere and caller.may(Permission.DECISIONS_READ)
    if "subjects" not in job.payload or everybody or job.created_by == caller.id:
        return job.payload
    return {name: value for name, value in job.payload.items() if name != "subjects"}


def _plain(text: str | None) -> str | None:
    """Return text as PostgreSQL can compare it: no name has a NUL."""
    return None if text is None else text.replace("\x00", "�")
