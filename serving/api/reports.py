"""Credit reports: issued under a code by which anyone can check a copy."""

from __future__ import annotations

import secrets
from datetime import date, datetime
from typing import Annotated, Final, Literal

import polars as pl
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from models.errors import LakeMissingError
from models.records.reading import MemoryRecords
from models.scenarios.cohort import REGISTER
from models.supervision.report import Kind, Report, outlines, report
from serving import fates
from serving.api.lookup import PLAIN, day_of_view
from serving.api.repairs import audited
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow, check_failures, hold_failures
from serving.ledger import repairs, reports
from serving.ledger.reports import Issued
from serving.problems import Problem
from serving.runtime.gather import regions_of
from serving.service import Service

router = APIRouter(tags=["reports"])

_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Without what reads like another: 0 and O, 1 and I and L."""
_GROUPS: Final = 4
_PDF: Final = "application/pdf"
Issuer = Annotated[Caller, Depends(allow(Permission.REPORTS_ISSUE))]


class SectionShown(BaseModel):
    """报告的一节."""

    table: str = Field(description="记录表")
    title: str = Field(description="名称")
    columns: list[str] = Field(description="列名")
    rows: list[list[str]] = Field(description="各行；无记录的为空")


class ReportChecked(BaseModel):
    """已出具报告的核验信息."""

    code: str = Field(description="验证码", examples=["7KQM-2XW9-HB4T-PZ6D"])
    kind: Kind = Field(description="public 公共信用信息报告；special 专项信用报告")
    title: str = Field(description="报告名称")
    subject_id: str = Field(description="主体")
    name: str | None = Field(description="主体名称")
    as_of: date = Field(description="查询日")
    since: date | None = Field(description="查询期间起；不限的为空")
    until: date = Field(description="查询期间止")
    records: int = Field(description="列示的记录条数")
    digest: str = Field(description="内容摘要（SHA-256）")
    issued_at: datetime = Field(description="出具时间")


class ReportShown(ReportChecked):
    """一份信用报告."""

    sections: list[SectionShown] = Field(description="各节")
    disputed: list[str] = Field(description="异议处理中的记录编号（表:编号）")


@router.get(
    "/v1/subjects/{subject}/report",
    summary="出具信用报告",
    response_model=ReportShown,
    responses={200: {"content": {_PDF: {}}, "description": "报告"}},
)
def make(
    subject: Annotated[str, Path(pattern=PLAIN, max_length=64, description="主体")],
    service: ServiceDep,
    caller: Issuer,
    *,
    kind: Annotated[Kind, Query(description="报告种类")] = "public",
    as_of: Annotated[date | None, Query(description="查询日；默认当日")] = None,
    since: Annotated[date | None, Query(description="查询期间起")] = None,
    until: Annotated[date | None, Query(description="查询期间止；默认查询日")] = None,
    format: Annotated[Literal["json", "pdf"], Query(description="格式")] = "json",  # noqa: A002
) -> Response:
    """Issue a report of what still counts, under a verification code of its own."""
    on = day_of_view(service, as_of)
    made, disputed = _made(service, caller, subject, on, kind, since, until)
    issued = Issued(
        code=new_code(),
        kind=made.kind,
        subject_id=subject,
        name=made.name,
        as_of=made.as_of,
        since=made.since,
        until=made.until,
        records=made.records,
        digest=made.digest,
        issued_at=service.clock(),
        issued_by=caller.id,
    )
    content = _document(made, issued) if format == "pdf" else _json(made, issued, disputed)
    with service.ledger.begin() as connection:
        reports.issue(connection, issued)
        audited(connection, service, caller, "report.issue", f"report:{issued.code}")
    return Response(content, media_type=_PDF if format == "pdf" else "application/json")


@router.get(
    "/v1/reports/{code}",
    summary="核验信用报告",
    responses={404: {"description": "从未出具过"}},
)
def check(
    code: Annotated[str, Path(max_length=64, description="验证码，不分大小写，连字符可省略")],
    service: ServiceDep,
    request: Request,
) -> ReportChecked:
    """Tell anyone what was issued under a code; whoever tries many that are none must wait."""
    check_failures(service, request)
    plain = plain_code(code)
    with service.ledger.begin() as connection:
        found = None if plain is None else reports.find(connection, plain)
    if found is None:
        hold_failures(service, request)
        raise Problem(404, "never-issued", "no report was ever issued under this code")
    return ReportChecked.model_validate({**_fields(found), "title": _title(found.kind)})


def new_code() -> str:
    """Return a code that nobody can guess: sixteen of 31 characters, some 79 bits."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(_GROUPS))
    return "-".join(groups)


def plain_code(text: str) -> str | None:
    """Return a code as it was issued, however it was typed; ``None`` where it can be none."""
    kept = [one for one in text.upper() if one not in "- "]
    if len(kept) != 4 * _GROUPS or not set(kept) <= set(_ALPHABET):
        return None
    return "-".join("".join(kept[at : at + 4]) for at in range(0, len(kept), 4))


def _made(
    service: Service,
    caller: Caller,
    subject: str,
    on: date,
    kind: Kind,
    since: date | None,
    until: date | None,
) -> tuple[Report, list[str]]:
    contracts = service.runtime.contracts
    tables = [one for one in outlines().reports[kind].tables if one in contracts]
    _check_begun(service, tables, until)
    with service.ledger.begin() as connection:
        frames = fates.of_subject(service, connection, subject, sorted({*tables, REGISTER}))
        marked = repairs.disputed(connection, subject)
    known = MemoryRecords({name: frame for name, frame in frames.items() if frame.width})
    regions = regions_of(known)
    if subject not in regions or not caller.sees_region(regions[subject]):
        raise Problem(404, "not-found", f"nothing is known of subject '{subject}'")
    made = report(known, subject, on, kind=kind, since=since, until=until, contracts=contracts)
    disputed = sorted(f"{table}:{record}" for table, record in marked if table in tables)
    return made, disputed


def _check_begun(service: Service, tables: list[str], until: date | None) -> None:
    """Refuse a period before the data begin: an empty page would be taken for a clean one."""
    if until is None:
        return
    lake = service.runtime.lake
    firsts: list[date] = []
    for table in tables:
        if table == REGISTER:
            continue
        try:
            first = lake.scan(table, columns=["happened_on"]).select(pl.col("happened_on").min())
        except LakeMissingError:
            continue
        found = first.collect().item()
        if isinstance(found, date):
            firsts.append(found)
    if firsts and until < min(firsts):
        raise Problem(
            422,
            "before-the-data",
            f"the period ends on {until}, before the data begin ({min(firsts)}); nothing can be "
            "said of it",
            more={"data_from": min(firsts).isoformat()},
        )


def _fields(issued: Issued) -> dict[str, object]:
    return {name: getattr(issued, name) for name in ReportChecked.model_fields if name != "title"}


def _title(kind: str) -> str:
    return next(one.title for name, one in outlines().reports.items() if name == kind)


def _json(made: Report, issued: Issued, disputed: list[str]) -> bytes:
    sections = [
        SectionShown.model_validate(one, from_attributes=True).model_dump() for one in made.sections
    ]
    shown = {**_fields(issued), "title": made.title, "sections": sections, "disputed": disputed}
    return ReportShown.model_validate(shown).model_dump_json().encode()


def _document(made: Report, issued: Issued) -> bytes:
    from serving.reports.credit import pdf

    return pdf(made, code=issued.code, issued_at=issued.issued_at)
