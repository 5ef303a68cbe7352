"""Credit reports: issued under a code by which anyone can check a copy."""

from __future__ import annotations

import secrets
from datetime import date, datetime, time
from functools import lru_cache
from typing import Annotated, Final, Literal

import polars as pl
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from models.records.lake import Lake
from models.records.reading import MemoryRecords
from models.scenarios.cohort import REGISTER
from models.supervision.report import Kind, Limits, Report, outlines, report
from models.time import SHANGHAI
from serving import fates
from serving.api.audited import audited
from serving.api.lookup import PLAIN, day_of_view
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow, check_failures, hold_failures
from serving.ledger import repairs, reports
from serving.ledger.reports import Issued
from serving.problems import Problem
from serving.reports.qr import page_of
from serving.runtime.gather import regions_of
from serving.service import Service

router = APIRouter(tags=["reports"])

_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Without what reads like another: 0 and O, 1 and I and L."""
_GROUPS: Final = 4
_PDF: Final = "application/pdf"
Issuer = Annotated[Caller, Depends(allow(Permission.REPORTS_ISSUE))]


class ReportAsked(BaseModel):
    """要出具的报告."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind = Field(
        default="public", description="public 公共信用信息报告、special 专项信用报告"
    )
    domain: str | None = Field(
        default=None,
        description="专项报告的领域；不分领域的不填",
        pattern=PLAIN,
        max_length=40,
        examples=["food"],
    )
    as_of: date | None = Field(default=None, description="查询日；默认当日")
    since: date | None = Field(default=None, alias="from", description="查询期间起")
    until: date | None = Field(default=None, alias="to", description="查询期间止；默认查询日")
    format: Literal["json", "pdf"] = Field(default="json", description="格式")


class SectionShown(BaseModel):
    """报告的一节."""

    table: str = Field(description="记录表")
    title: str = Field(description="名称")
    columns: list[str] = Field(description="列名")
    rows: list[list[str]] = Field(description="各行；无记录的为空")
    disputed: list[int] = Field(description="异议处理中的行（自 0 起）")


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
    domain: str | None = Field(description="专项报告的领域；全部领域的为空", examples=["food"])
    authorities: list[str] | None = Field(
        description="只列示这些机关的记录；不限的为空：此时报告才代表全部机关"
    )
    data_from: date | None = Field(description="所据数据最早的日期；期间更早的部分无从说明")
    records: int = Field(description="列示的记录条数")
    digest: str = Field(description="内容摘要（SHA-256）")
    issued_at: datetime = Field(description="出具时间")


class ReportShown(ReportChecked):
    """一份信用报告."""

    sections: list[SectionShown] = Field(description="各节")
    unsorted: int | None = Field(
        description="专项报告中领域无从判断、因而未列示的记录条数；不分领域的为空"
    )


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
    asked: Annotated[ReportAsked, Query()],
) -> Response:
    """Issue a report of what still counts, under a verification code of its own.

    Whoever asks again on the same day, and gets the same content, gets it under the same code: the
    second time nothing is written but the audit's line. A caller who is bound to authorities gets
    their records alone, and the report says so.
    """
    on = day_of_view(service, asked.as_of)
    made = _made(service, caller, subject, on, asked)
    with service.ledger.begin() as connection:
        reports.hold(connection, subject)
        midnight = datetime.combine(service.today(), time(), SHANGHAI)
        issued = reports.same(connection, subject, made.digest, by=caller.id, since=midnight)
        again = issued is not None
        if issued is None:
            issued = _issued(service, caller, made)
            reports.issue(connection, issued)
        act = "report.read" if again else "report.issue"
        audited(connection, service, caller, act, f"report:{issued.code}")
    if asked.format == "pdf":
        return Response(_document(service, made, issued), media_type=_PDF)
    return Response(_json(made, issued), media_type="application/json")


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
    return ReportChecked.model_validate(
        {**_fields(found), "title": title_of(found.kind, found.domain)}
    )


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


def _made(service: Service, caller: Caller, subject: str, on: date, asked: ReportAsked) -> Report:
    contracts = service.runtime.contracts
    if asked.domain is not None:
        outlines().domain(asked.domain)
    tables = [one for one in outlines().reports[asked.kind].tables if one in contracts]
    with service.ledger.begin() as connection:
        frames = fates.of_subject(service, connection, subject, sorted({*tables, REGISTER}))
        marked = repairs.disputed(connection, subject)
    known = MemoryRecords({name: frame for name, frame in frames.items() if frame.width})
    regions = regions_of(known)
    if subject not in regions or not caller.sees_region(regions[subject]):
        raise Problem(404, "not-found", f"nothing is known of subject '{subject}'")
    return report(
        known,
        subject,
        on,
        kind=asked.kind,
        within=Limits(
            domain=asked.domain,
            since=asked.since,
            until=asked.until,
            authorities=caller.departments,
            data_from=_begun(service, tables, asked.until or on),
            disputed=frozenset(marked),
        ),
        contracts=contracts,
    )


def _begun(service: Service, tables: list[str], until: date) -> date | None:
    """Return the day of the oldest fact known; null in an empty lake.

    A period that ends before it is refused: an empty page would be taken for a clean one.
    """
    lake = service.runtime.lake
    there = [table for table in tables if table != REGISTER and table in lake.tables()]
    firsts = [_first_day(lake, table, lake.version(table)) for table in there]
    known = [one for one in firsts if one is not None]
    first = min(known, default=None)
    if first is not None and until < first:
        raise Problem(
            422,
            "before-the-data",
            f"the period ends on {until}, before the data begin ({first}); nothing can be said of "
            f"it: ask for one that ends on {first} or later",
            more={"data_from": first.isoformat()},
        )
    return first


@lru_cache(maxsize=256)
def _first_day(lake: Lake, table: str, version: int) -> date | None:
    """Return the day of a table's oldest fact; read once for each version of the table."""
    days = lake.scan(table, version=version, columns=["happened_on"])
    found = days.select(pl.col("happened_on").min()).collect().item()
    return found if isinstance(found, date) else None


def _issued(service: Service, caller: Caller, made: Report) -> Issued:
    return Issued(
        code=new_code(),
        kind=made.kind,
        subject_id=made.subject_id,
        name=made.name,
        as_of=made.as_of,
        since=made.since,
        until=made.until,
        records=made.records,
        digest=made.digest,
        issued_at=service.clock(),
        issued_by=caller.id,
        domain=made.domain,
        authorities=list(made.authorities) or None,
        data_from=made.data_from,
    )


def _fields(issued: Issued) -> dict[str, object]:
    return {name: getattr(issued, name) for name in ReportChecked.model_fields if name != "title"}


def title_of(kind: str, domain: str | None) -> str:
    """Return a report's name; of a domain that there is no more, the domain's own."""
    told = outlines()
    title = next(one.title for name, one in told.reports.items() if name == kind)
    if domain is None:
        return title
    known = told.domains.get(domain)
    return f"{title}（{domain if known is None else known.title}）"


def _json(made: Report, issued: Issued) -> bytes:
    sections = [
        SectionShown.model_validate(one, from_attributes=True).model_dump() for one in made.sections
    ]
    shown = {
        **_fields(issued),
        "title": made.title,
        "sections": sections,
        "unsorted": made.unsorted,
    }
    return ReportShown.model_validate(shown).model_dump_json().encode()


def _document(service: Service, made: Report, issued: Issued) -> bytes:
    from serving.reports.credit import pdf

    return pdf(
        made,
        code=issued.code,
        issued_at=issued.issued_at,
        verify_at=page_of(service.settings, "v1", "reports", issued.code),
    )
