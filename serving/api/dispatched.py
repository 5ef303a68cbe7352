"""Complaints as a caller sends and sees them, and who sees which."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from models.codes import regions
from models.text.dispatch import MACHINE, Kind
from models.text.taxonomy import taxonomy
from serving.api.lookup import PLAIN
from serving.api.texts import LONGEST
from serving.api.warned import TEXT
from serving.auth.caller import Caller
from serving.auth.secret import unseal
from serving.ledger import dispatches
from serving.ledger.dispatches import Dispatch
from serving.ledger.engine import Connection
from serving.problems import Problem
from serving.service import Service

State: TypeAlias = Literal["dispatched", "desk", "assigned", "accepted", "closed"]
_OWN: Final = tuple(name for name in Dispatch.__slots__ if name != "sealed")


class ComplaintSent(BaseModel):
    """一件诉求：正文加密保存."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(description="来源系统", pattern=PLAIN, max_length=64, examples=["12345"])
    source_id: str = Field(
        description="来源系统的编号；同一编号重送不重复分派",
        pattern=PLAIN,
        max_length=100,
        examples=["20261122-000417"],
    )
    kind: Kind = Field(default="complaint", description="complaint 投诉、report 举报")
    region: str = Field(
        description="事发地行政区划代码（六位）", pattern=r"^[0-9]{6}$", examples=["210102"]
    )
    text: str = Field(
        description=f"诉求正文，不超过 {LONGEST} 字", examples=["在某超市买到超过保质期的牛奶"]
    )
    received_on: date | None = Field(default=None, description="收到日期；默认当日")


class Taken(BaseModel):
    """对诉求的一步操作."""

    model_config = ConfigDict(extra="forbid")

    note: str | None = Field(default=None, description="说明", pattern=TEXT, max_length=2000)
    version: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="所见的步数；他人已先操作的为 409"
    )


class RecallAsked(Taken):
    """撤回一次自动分派."""

    note: str = Field(description="撤回原因", pattern=TEXT, max_length=2000)  # pyright: ignore[reportIncompatibleVariableOverride] -- a note that must be there


class AssignAsked(Taken):
    """人工分派."""

    department: str = Field(description="承办部门", max_length=40, examples=["market"])
    leaf: str | None = Field(
        default=None, description="人认定的违法行为；作为训练标签", max_length=8, examples=["F04"]
    )


class AcceptAsked(Taken):
    """受理."""

    leaf: str | None = Field(
        default=None, description="人认定的违法行为；作为训练标签", max_length=8, examples=["F04"]
    )


class CloseAsked(Taken):
    """结束."""

    outcome: Literal["settled", "not_accepted", "withdrawn"] = Field(
        description="settled 已办结（须已受理）、not_accepted 不予受理（须未受理，说明理由）、"
        "withdrawn 诉求人撤回"
    )


class ReasonShown(BaseModel):
    """须由人分派的一个原因."""

    kind: str = Field(description="种类", examples=["public_safety"])
    text: str = Field(description="原因", examples=["涉及公共安全：中毒"])


class LeafShown(BaseModel):
    """一个可能的违法行为."""

    code: str = Field(description="代码", examples=["F04"])
    title: str = Field(description="名称")
    probability: float = Field(description="概率")


class DispatchShown(BaseModel):
    """一件诉求的分派."""

    id: int = Field(description="编号", examples=[1])
    source: str = Field(description="来源系统")
    source_id: str = Field(description="来源系统的编号")
    kind: str = Field(description="complaint 投诉、report 举报")
    region: str = Field(description="事发地")
    received_on: date = Field(description="收到日期")
    created_at: datetime = Field(description="分派时间")
    leaf: str | None = Field(description="读出的最可能的违法行为")
    probability: float | None = Field(description="其概率")
    top: list[LeafShown] = Field(description="最可能的三个")
    model: str | None = Field(description="模型的摘要；没有模型的为空")
    state: State = Field(description="状态")
    title: str = Field(description="状态名称", examples=["已自动分派"])
    allowed: list[str] = Field(description="此状态允许的操作")
    version: int = Field(description="已有步数")
    reasons: list[ReasonShown] = Field(description="须由人分派的原因；自动分派的没有")
    department: str | None = Field(description="承办部门；待人工分派的为空", examples=["market"])
    department_title: str | None = Field(description="承办部门名称", examples=["市场监督管理"])
    office: str | None = Field(description="承办层级：承办单位所在行政区划", examples=["210102"])
    office_title: str | None = Field(description="其名称", examples=["辽宁省沈阳市和平区"])
    recall_until: date | None = Field(description="自动分派可撤回至（含）")
    accept_due: date | None = Field(description="受理（核查）期限；无规定的为空")
    end_due: date | None = Field(description="办结期限；受理后起算，无规定的为空")
    overdue: bool = Field(description="是否超期")
    closed_on: date | None = Field(description="结束日期")
    outcome: str | None = Field(description="结果")


class ActShown(BaseModel):
    """对诉求的一步操作."""

    version: int = Field(description="第几步")
    step: str = Field(description="操作")
    state_before: str | None = Field(description="之前的状态")
    state: str = Field(description="之后的状态")
    by: str = Field(description="操作人")
    at: datetime = Field(description="时间")
    department: str | None = Field(description="承办部门")
    office: str | None = Field(description="承办层级")
    leaf: str | None = Field(description="违法行为")
    outcome: str | None = Field(description="结果")
    note: str | None = Field(description="说明；个人信息已遮盖")


class DispatchRead(DispatchShown):
    """一件诉求、正文及其经过."""

    text: str = Field(description="正文；无权查看个人信息的已遮盖")
    acts: list[ActShown] = Field(description="经过，旧的在前")


class LabelShown(BaseModel):
    """人对一件诉求的认定：训练用的标签；同一诉求以最新一条为准."""

    id: int = Field(description="编号")
    dispatch_id: int = Field(description="诉求编号")
    text: str = Field(description="正文；个人信息已遮盖")
    leaf: str = Field(description="违法行为")
    department: str | None = Field(description="承办部门")
    region: str = Field(description="事发地")
    by: str = Field(description="认定人")
    at: datetime = Field(description="时间")


def visible(connection: Connection, number: int, caller: Caller, *, lock: bool) -> Dispatch:
    """Return a complaint that the caller may see; a problem 404 as if there were none otherwise."""
    found = dispatches.get(connection, number, lock=lock)
    mine = departments(caller)
    if (
        found is None
        or not caller.sees_region(found.region)
        or (mine is not None and found.department not in mine and found.created_by != caller.id)
    ):
        raise Problem(404, "not-found", f"there is no complaint {number}")
    return found


def check_version(held: Dispatch, seen: int | None) -> None:
    """Raise a problem 409 where somebody acted on a complaint since it was seen."""
    if seen is not None and seen != held.version:
        raise Problem(
            409,
            "changed-meanwhile",
            f"complaint {held.id} was at step {seen} when it was read and is at {held.version} "
            f"({held.state}) now; read it again",
            more={
                "state": held.state,
                "version": held.version,
                "allowed": MACHINE.allowed(held.state),
            },
        )


def departments(caller: Caller) -> list[str] | None:
    """Return the departments whose complaints a caller sees; null for all.

    A caller is bound to authorities by name, and 沈阳市市场监督管理局 is one of 市场监督管理.
    """
    if not caller.departments:
        return None
    known = taxonomy().departments.items()
    return [key for key, title in known if any(title in name for name in caller.departments)]


def context(source: str, source_id: str) -> str:
    """Return in whose context a complaint's text is sealed."""
    return f"dispatch:{source}\n{source_id}"


def text_of(service: Service, source: str, source_id: str, sealed: bytes) -> str:
    """Return a complaint's text in clear."""
    return unseal(service.settings, sealed, context=context(source, source_id)).decode()


def shown(service: Service, found: Dispatch) -> DispatchShown:
    """Return where a complaint stands, without its text."""
    today, known = service.today(), taxonomy()
    due = found.end_due if found.state == "accepted" else found.accept_due
    told: Mapping[str, object] = {
        **{name: getattr(found, name) for name in _OWN},
        "title": MACHINE.states[found.state],
        "allowed": MACHINE.allowed(found.state),
        "top": [{**one, "title": known.leaf(str(one["code"])).title} for one in found.top],
        "department_title": known.departments.get(found.department or ""),
        "office_title": regions.full_name(found.office),
        "overdue": found.state != "closed" and due is not None and due < today,
    }
    return DispatchShown.model_validate(told)
