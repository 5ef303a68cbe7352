"""Live records: posted by other systems, durable before they are answered, decided upon at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from models.records.contract import Contract
from models.records.rules import rules
from models.yaml import nearest
from serving.api.audited import audited
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.jobs import intake
from serving.jobs.intake import Sent, Taken
from serving.jobs.kinds import REDECIDE
from serving.ledger import changes, inbox, jobs
from serving.ledger.changes import ChangeKind, NewChange
from serving.ledger.engine import Connection
from serving.ledger.inbox import Posted
from serving.problems import FieldProblem, Problem
from serving.reach import beyond, regions_now
from serving.service import Service
from serving.ties import neighbours

router = APIRouter(prefix="/v1/records", tags=["records"])

MOST_ROWS: Final = 1000
_AROUND: Final = 50
_URGENT: Final = 10
"""Priority of what somebody waits for; see :func:`serving.ledger.jobs.enqueue`."""


class Post(BaseModel):
    """一批信用记录."""

    model_config = ConfigDict(extra="forbid")

    table: str = Field(description="记录表", max_length=63, examples=["penalty"])
    source: str = Field(
        default="",
        description="来源系统；行内用 source_id 时必填，与导入映射中的来源一致",
        max_length=63,
        pattern=r"^[\w.-]*$",
    )
    strict: bool = Field(default=False, description="按双公示标准检查")
    rows: list[dict[str, JsonValue]] = Field(
        description="记录，每行一条；列名见 xinjian data contracts",
        min_length=1,
        max_length=MOST_ROWS,
        examples=[
            [
                {
                    "subject_id": "91210102123456788E",
                    "document_number": "沈市监罚〔2026〕1号",
                    "authority": "沈阳市市场监督管理局",
                    "happened_on": "2026-11-20",
                    "region": "210102",
                    "fine_amount": 5000,
                }
            ]
        ],
    )


class BrokenRule(BaseModel):
    """一条未通过的规则."""

    rule: str = Field(description="规则编号", examples=["V02"])
    title: str = Field(description="规则名称")
    column: str | None = Field(description="字段")
    value: str | None = Field(description="值，个人信息不显示")
    remedy: str = Field(description="如何更正")


class RowAnswer(BaseModel):
    """一行的结果."""

    row: int = Field(description="行号，从 0 起")
    status: Literal["accepted", "quarantined"] = Field(description="已接收，或已隔离")
    record_id: str | None = Field(default=None, description="记录编号；同一记录再次报送编号不变")
    findings: list[str] = Field(default_factory=list[str], description="提示性规则编号")
    problems: list[BrokenRule] = Field(default_factory=list[BrokenRule], description="未通过的规则")


class Answer(BaseModel):
    """一批记录的结果；已接收的行在应答前已持久保存."""

    accepted: int = Field(description="已接收行数")
    quarantined: int = Field(description="已隔离行数")
    job: int | None = Field(description="重新判定任务编号")
    rows: list[RowAnswer] = Field(description="逐行结果")


@router.post(
    "",
    summary="报送信用记录",
    responses={409: {"description": "同一幂等键曾用于另一批记录"}},
)
def post(
    body: Post,
    response: Response,
    service: ServiceDep,
    caller: Annotated[Caller, Depends(allow(Permission.RECORDS_WRITE))],
    key: Annotated[
        str,
        Header(
            alias="Idempotency-Key",
            description="幂等键：同键同内容得同一应答，同键不同内容为 409",
            min_length=1,
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
        ),
    ],
) -> Answer:
    """Keep a batch of records, and let their subjects be decided upon anew.

    A row that breaks a rule is answered with the rule and goes to the quarantine; the others are
    kept. A record that is known already is corrected by the columns that the row states.
    """
    digest = _digest(body)
    with service.ledger.begin() as connection:
        if (known := inbox.answered(connection, caller.id, key)) is not None:
            return _again(known, digest, key, response)
    sent = _sent(body, service, caller, digest)
    _check_columns(body, sent.contract)
    taken = intake.take(body.rows, sent)
    _check_scope(service, body.table, taken, caller)
    told = _repairs(service, taken, sent)
    try:
        with service.ledger.begin() as connection:
            return _kept(connection, service, body, caller, (key, digest), sent, taken, told)
    except _KeyTakenError:  # by a request that came at the same time
        with service.ledger.begin() as connection:
            known = inbox.answered(connection, caller.id, key)
        if known is None:
            raise
        return _again(known, digest, key, response)


class _KeyTakenError(Exception):
    """The key was used while the batch was being checked; nothing of this one was kept."""


def _digest(body: Post) -> str:
    canonical = json.dumps(body.model_dump(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _again(
    known: tuple[str, Mapping[str, object]], digest: str, key: str, response: Response
) -> Answer:
    found, answer = known
    if found != digest:
        raise Problem(
            409,
            "idempotency-key-reused",
            f"the key {key!r} came with other records before; use a new key for new records",
        )
    response.headers["Idempotency-Replayed"] = "true"
    return Answer.model_validate(answer)


def _sent(body: Post, service: Service, caller: Caller, digest: str) -> Sent:
    contracts = service.runtime.contracts
    if body.table not in contracts:
        raise Problem(
            404,
            "no-such-table",
            f"there is no table {body.table!r}{nearest(body.table, contracts)}; xinjian data "
            "contracts lists them",
            more={"tables": sorted(contracts)},
        )
    if not body.source and any(row.get(intake.OWN_ID) is not None for row in body.rows):
        raise Problem(
            422,
            "source-missing",
            "rows carry source_id, a number of their own system; say which in source",
        )
    return Sent(
        contract=contracts[body.table],
        source=body.source,
        caller=caller.id,
        ref=f"api:{caller.id}:{digest[:16]}",
        at=service.clock(),
        strict=body.strict,
    )


def _check_columns(body: Post, contract: Contract) -> None:
    unknown = intake.unknown_columns(body.rows, contract)
    if not unknown:
        return
    errors = [
        FieldProblem(field=f"body.rows.{row}.{_plain(name)}", message=_no_column(name, contract))
        for name, row in list(unknown.items())[:20]
    ]
    raise Problem(
        422,
        "unknown-columns",
        f"table {contract.name!r} takes no column {_plain(next(iter(unknown)))!r}; nothing of the "
        "batch was kept",
        errors=errors,
    )


def _no_column(name: str, contract: Contract) -> str:
    if name in intake.MADE:
        return "the service makes this column; leave it out"
    return f"no such column{nearest(_plain(name), contract.columns)}"


def _plain(name: str) -> str:
    """Return a key of the caller's as an answer can hold it."""
    return name[:63].encode("utf-8", "replace").decode()


def _check_scope(service: Service, table: str, taken: Taken, caller: Caller) -> None:
    """Refuse the batch where a row is of a scope, or reaches into one, that is not the caller's."""
    if (caller.everywhere and not caller.departments) or taken.good.is_empty():
        return
    outside = [
        FieldProblem(
            field=f"body.rows.{row}", message="its region or authority is not the caller's"
        )
        for row, region, authority in taken.good.select(
            intake.ROW, "region", "authority"
        ).iter_rows()
        if not (caller.sees_region(region) and caller.sees_department(authority))
    ] or [
        FieldProblem(
            field=f"body.rows.{row}", message="its record or subject is not the caller's to change"
        )
        for row in beyond(service, caller, table, taken.good)
    ]
    if outside:
        raise Problem(
            403,
            "outside-scope",
            f"{len(outside)} rows are of regions or authorities that this caller does not write "
            "for; nothing of the batch was kept",
            errors=outside[:20],
        )


def _kept(
    connection: Connection,
    service: Service,
    body: Post,
    caller: Caller,
    asked: tuple[str, str],
    sent: Sent,
    taken: Taken,
    told: Sequence[NewChange],
) -> Answer:
    """Write everything of a batch in one transaction; ``asked`` are its key and its digest.

    The inbox's lock comes last but for the audit's, and is held no longer than the commit takes.
    """
    job = _redecide(connection, taken, caller)
    _redecide_around(service, connection, taken, caller)
    answer = _answer(taken, len(body.rows), job)
    key, digest = asked
    kept = inbox.answer(
        connection, caller.id, key, digest=digest, answer=answer.model_dump(), at=sent.at
    )
    if not kept:
        raise _KeyTakenError
    inbox.refuse(connection, intake.quarantined(taken.troubles, body.rows, sent), at=sent.at)
    changes.append_all(connection, told)
    if taken.good.height:
        inbox.write(connection, _posted(taken, sent), caller=caller.id, at=sent.at)
    details = {"accepted": answer.accepted, "quarantined": answer.quarantined}
    audited(connection, service, caller, "records.post", sent.contract.name, details=details)
    return answer


def _redecide(connection: Connection, taken: Taken, caller: Caller) -> int | None:
    subjects = taken.good["subject_id"].unique(maintain_order=True).to_list()
    if not subjects:
        return None
    payload = {"subjects": subjects}
    return jobs.enqueue(
        connection, REDECIDE, payload=payload, created_by=caller.id, priority=_URGENT
    )


def _redecide_around(
    service: Service, connection: Connection, taken: Taken, caller: Caller
) -> None:
    """Let those be decided anew, too, who count subjects of whom a record counts no more."""
    voided = taken.good.filter(taken.good["void_from"].is_not_null())["subject_id"].unique()
    if voided.is_empty():
        return
    around = neighbours(service, connection, *voided.sort())
    for start in range(0, len(around), MOST_ROWS):
        payload = {"subjects": around[start : start + MOST_ROWS]}
        jobs.enqueue(connection, REDECIDE, payload=payload, created_by=caller.id, priority=_AROUND)


def _answer(taken: Taken, count: int, job: int | None) -> Answer:
    known = rules()
    problems: dict[int, list[BrokenRule]] = {}
    for one in taken.troubles:
        rule = known[one.rule]
        told = BrokenRule(
            rule=one.rule, title=rule.title, column=one.column, value=one.value, remedy=rule.remedy
        )
        problems.setdefault(one.row, []).append(told)
    accepted: dict[int, tuple[str, list[str]]] = {
        row: (number, findings)
        for row, number, findings in taken.good.select(
            intake.ROW, "record_id", "findings"
        ).iter_rows()
    }
    rows = [
        RowAnswer(row=i, status="accepted", record_id=accepted[i][0], findings=accepted[i][1])
        if i in accepted
        else RowAnswer(row=i, status="quarantined", problems=problems[i])
        for i in range(count)
    ]
    return Answer(accepted=len(accepted), quarantined=count - len(accepted), job=job, rows=rows)


def _posted(taken: Taken, sent: Sent) -> Sequence[Posted]:
    record = taken.good.select(
        "record_id",
        "subject_id",
        "region",
        record=_as_json(sent.contract),
    )
    return [Posted(sent.contract.name, *row) for row in record.iter_rows()]


def _as_json(contract: Contract) -> Any:  # noqa: ANN401
    import polars as pl

    return pl.struct(contract.columns).struct.json_encode()


def _repairs(service: Service, taken: Taken, sent: Sent) -> list[NewChange]:
    """Return what partners are to be told of records that stop counting.

    A change is of its subject's region, wherever the record was made; of a subject that nobody
    knows yet, of its record's.
    """
    void = taken.good.filter(taken.good["void_from"].is_not_null())
    if void.is_empty():
        return []
    known = regions_now(service, void["subject_id"].to_list())
    return [
        NewChange(
            ChangeKind.REPAIR,
            subject,
            known.get(subject, region),
            {
                "table": sent.contract.name,
                "record_id": number,
                "void_from": void_from.isoformat(),
                "void_reason": reason,
            },
            sent.at,
        )
        for subject, region, number, void_from, reason in void.select(
            "subject_id", "region", "record_id", "void_from", "void_reason"
        ).iter_rows()
    ]
