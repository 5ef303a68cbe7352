"""What the service's own jobs do in the process that was started for one."""

from __future__ import annotations

from models.errors import ConfigError
from serving.jobs import kinds
from serving.jobs.compact import compact
from serving.ledger import jobs
from serving.ledger.jobs import Job
from serving.service import Service
from serving.supervision import escalate_overdue


def do(service: Service, number: int, *, worker: str) -> str:
    """Do a job that a worker holds and say what was done.

    Raises:
        ConfigError: There is no such job of the worker's, or it is no job of the service's own.
    """
    with service.ledger.begin() as connection:
        job = jobs.get(connection, number)
    if job is None or job.worker != worker or job.status is not jobs.Status.RUNNING:
        raise ConfigError(f"worker {worker!r} holds no job {number}; see GET /v1/jobs/{number}")
    work = kinds.read(job.kind, job.payload)
    match work:
        case kinds.Compact():
            return _compact(service)
        case kinds.Escalate():
            return f"{escalate_overdue(service)} escalations"
        case kinds.ScoreAll():
            return _score_all(service, job, work, worker)
        case _:
            raise ConfigError(f"job {number} is of kind {job.kind!r}, which another command does")


def _compact(service: Service) -> str:
    done = compact(service)
    if done is None:
        return "another process is bringing the inbox into the lake"
    return f"{done.rows} records, {done.refused} refused ones"


def _score_all(service: Service, job: Job, work: kinds.ScoreAll, worker: str) -> str:
    from serving.runtime.batch import StoppedError, score_all

    service.runtime.restore()  # what was live last decides where the registry is down
    service.runtime.refresh()
    going = True

    def advance(done: int, total: int) -> None:
        nonlocal going
        with service.ledger.begin() as connection:
            note = f"{done} of {total}"
            going = jobs.beat(connection, job.id, worker=worker, progress=done / total, note=note)

    try:
        run = score_all(service, work.scenario, work.as_of, advance=advance, stop=lambda: not going)
    except StoppedError:
        return "stopped; the same job goes on from there"
    return f"run {run.id}: {run.decided} decisions, {run.warned} warnings"
