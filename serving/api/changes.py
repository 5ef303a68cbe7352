"""The feed of changes: what partner systems read, page by page, from where they left off."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from serving.api.asked import LAST, PageQuery
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.ledger import changes
from serving.ledger.changes import ChangeKind

router = APIRouter(prefix="/v1/changes", tags=["changes"])


class ChangeAnswer(BaseModel):
    """一项变动."""

    position: int = Field(description="位置，只增不减", examples=[1042])
    kind: ChangeKind = Field(description="decision 判定，warning 预警，repair 修复")
    subject_id: str = Field(description="主体", examples=["91210102123456788E"])
    region: str | None = Field(description="行政区划代码", examples=["210102"])
    at: datetime = Field(description="时间")
    payload: dict[str, Any] = Field(description="内容")


class Changes(BaseModel):
    """变动."""

    changes: list[ChangeAnswer] = Field(description="变动，旧的在前")
    cursor: int = Field(description="下次的 after", examples=[1042])
    more: bool = Field(description="此刻是否还有更多")


@router.get("", summary="变动")
def read(
    service: ServiceDep,
    caller: Annotated[Caller, Depends(allow(Permission.CHANGES_READ))],
    after: Annotated[int, Query(ge=0, le=LAST, description="上次的 cursor；从头为 0")] = 0,
    kind: Annotated[list[ChangeKind] | None, Query(description="只看这些种类")] = None,
    limit: PageQuery = 100,
) -> Changes:
    """Read the changes behind a cursor, of the caller's regions; each is told once and in order.

    A change never appears behind a cursor that has passed its place.
    """
    with service.ledger.begin() as connection:
        # Taken first: what comes in while reading is behind it.
        newest = changes.latest(connection)
        found = changes.read(
            connection,
            after,
            limit=limit + 1,
            regions=caller.regions,
            kinds=kind or (),
            upto=newest,
        )
    more = len(found) > limit
    told = [ChangeAnswer.model_validate(one, from_attributes=True) for one in found[:limit]]
    # What is not the caller's to see is passed too, so that the next page does not go over it.
    cursor = told[-1].position if more else max(after, newest)
    return Changes(changes=told, cursor=cursor, more=more)
