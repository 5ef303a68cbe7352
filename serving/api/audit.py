"""The audit, for audit administrators: who did what, when, what for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.ledger import audit
from serving.ledger.audit import Entry

router = APIRouter(prefix="/v1/audit", tags=["audit"])

AuditAdmin = Annotated[Caller, Depends(allow(Permission.AUDIT_READ))]
Word = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


class AuditEntry(BaseModel):
    """审计记录."""

    seq: int = Field(description="序号，连续无缺")
    at: datetime = Field(description="时间")
    actor: str = Field(description="调用者标识；system 为系统自身或本机操作")
    action: str = Field(description="动作", examples=["user.grant"])
    target: str | None = Field(description="对象")
    outcome: str = Field(description="done 完成 | denied 拒绝 | failed 失败")
    purpose: str | None = Field(description="使用目的")
    request_id: str = Field(description="请求编号，与日志一致")
    details: str = Field(description="细节（JSON 文本，哈希即按此计算）")
    previous: str = Field(description="上一条的哈希")
    hash: str = Field(description="本条的哈希")


@router.get("", summary="审计记录")
def page(
    service: ServiceDep,
    caller: AuditAdmin,
    *,
    after: Annotated[int, Query(ge=0, le=2**62, description="从此序号之后")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="条数")] = 100,
    actor: Word = None,
    target: Word = None,
) -> list[AuditEntry]:
    """Return rows behind ``after``, oldest first; reading them is audited, too."""
    looked = {"after": after, "limit": limit, "actor": actor, "target": target}
    entry = Entry(service.clock(), caller.id, "audit.read", purpose=caller.purpose, details=looked)
    service.audit.record(entry)
    with service.ledger.begin() as connection:
        rows = audit.page(connection, after=after, limit=limit, actor=actor, target=target)
    return [AuditEntry.model_validate(row) for row in rows]
