"""Rules as an office has them: what is in force, what is proposed, and a second person's word."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, status
from pydantic import BaseModel, ConfigDict, Field

from models.errors import TransitionError
from models.supervision.rulefiles import TITLES, RuleKind, read, refuse_gap
from serving.api.asked import LAST
from serving.api.audited import audited
from serving.api.lookup import TEXT
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.handling import rulebook
from serving.handling.rulebook import Edition
from serving.ledger import rules
from serving.ledger.engine import Connection
from serving.ledger.rules import Proposal
from serving.problems import Problem, ProblemDetails
from serving.service import Service

router = APIRouter(prefix="/v1/rules", tags=["rules"])

_FAR: Final = date(2100, 1, 1)
_MOST: Final = 200_000
KindPath = Annotated[RuleKind, Path(description="规则", examples=["warnings"])]
Number = Annotated[int, Path(ge=1, le=LAST, description="修订建议编号")]
Reader = Annotated[Caller, Depends(allow(Permission.WARNINGS_READ))]
Proposer = Annotated[Caller, Depends(allow(Permission.RULES_WRITE))]
Approver = Annotated[Caller, Depends(allow(Permission.RULES_APPROVE))]


class RuleShown(BaseModel):
    """一类规则的现行版本."""

    kind: RuleKind = Field(description="规则", examples=["warnings"])
    title: str = Field(description="名称", examples=["预警规则"])
    number: int | None = Field(description="本单位修订建议编号；软件自带的为空")
    digest: str = Field(description="内容的 SHA-256")
    yaml: str = Field(description="内容")
    to_come: list[int] = Field(description="已批准、尚未生效的修订，按生效日")


class ProposalAsked(BaseModel):
    """规则的修订建议."""

    model_config = ConfigDict(extra="forbid")

    yaml: str = Field(description="整份规则，YAML", min_length=1, max_length=_MOST)
    effective_from: date = Field(description="自哪日起适用，不得早于今日", examples=["2027-01-01"])
    basis: str = Field(description="依据与理由", pattern=TEXT, min_length=2, max_length=2000)


class RulingAsked(BaseModel):
    """对修订建议的决定."""

    model_config = ConfigDict(extra="forbid")

    approved: bool = Field(description="是否批准")
    note: str | None = Field(default=None, description="说明", pattern=TEXT, max_length=2000)


class ProposalShown(BaseModel):
    """一份修订建议."""

    id: int = Field(description="编号")
    kind: RuleKind = Field(description="规则")
    yaml: str = Field(description="内容")
    digest: str = Field(description="内容的 SHA-256")
    effective_from: date = Field(description="自哪日起适用")
    basis: str = Field(description="依据与理由")
    replaces: int | None = Field(description="在哪一次批准之后提出；此前没有的为空")
    by: str = Field(description="提出人")
    at: datetime = Field(description="提出时间")
    approved: bool | None = Field(description="是否批准；未决定的为空")
    note: str | None = Field(description="决定的说明")
    ruled_by: str | None = Field(description="决定人")
    ruled_at: datetime | None = Field(description="决定时间")
    difference: list[str] = Field(description="与现行版本的差异（统一差异格式）")


@router.get("", summary="现行规则")
def every(
    service: ServiceDep,
    caller: Reader,
    on: Annotated[date | None, Query(description="哪一日现行；默认今日")] = None,
) -> list[RuleShown]:
    """Show the rules of every kind that are in force on a day, past or to come."""
    del caller
    day = on or service.today()
    with service.ledger.begin() as connection:
        return [_shown(connection, rulebook.edition(connection, one, day), day) for one in RuleKind]


@router.get("/{kind}/proposals", summary="规则的修订建议")
def proposals(
    kind: KindPath,
    service: ServiceDep,
    caller: Reader,
    *,
    waiting: Annotated[bool, Query(description="只看未决定的")] = False,
    limit: Annotated[int, Query(ge=1, le=100, description="最多条数")] = 20,
) -> list[ProposalShown]:
    """List the proposals of a kind, the newest first, each with what it changes."""
    del caller
    with service.ledger.begin() as connection:
        now = rulebook.edition(connection, kind, service.today())
        found = rules.listing(connection, kind, waiting=waiting, limit=limit)
    return [_proposal(one, now) for one in found]


@router.post(
    "/{kind}/proposals",
    summary="提出规则修订建议",
    status_code=status.HTTP_201_CREATED,
    responses={
        403: {"model": ProblemDetails, "description": "规则管辖全部地区，须由不限地区的人员提出"},
        422: {"model": ProblemDetails, "description": "规则有误（文件:行），或适用日期已过"},
    },
)
def propose(
    kind: KindPath, body: ProposalAsked, service: ServiceDep, caller: Proposer
) -> ProposalShown:
    """Propose a whole file of rules, checked as the package's own is; nothing is in force yet."""
    _refuse_scoped(caller)
    content = body.yaml.replace("\r\n", "\n")
    made = read(kind, content, contracts=service.runtime.contracts)
    _check_day(body.effective_from, service.today())
    refuse_gap(made, body.effective_from)
    with service.ledger.begin() as connection:
        now = rulebook.edition(connection, kind, service.today())
        digest = rulebook.digest_of(content)
        if digest == now.digest:
            raise Problem(
                422, "no-change", f"this is what the rules of {kind} say already; change something"
            )
        number = rules.propose(
            connection,
            {
                "kind": kind.value,
                "content": content,
                "digest": digest,
                "effective_from": body.effective_from,
                "basis": body.basis,
                "replaces": rules.latest(connection, kind),
                "by": caller.id,
                "at": service.clock(),
            },
        )
        answer = _proposal(_found(connection, kind, number), now)
        _audited(connection, service, caller, "rules.propose", answer)
    return answer


@router.get("/{kind}/proposals/{number}", summary="一份修订建议及其差异")
def one(kind: KindPath, number: Number, service: ServiceDep, caller: Reader) -> ProposalShown:
    """Show a proposal, what it changes of what is in force, and what was said of it."""
    del caller
    with service.ledger.begin() as connection:
        found = _found(connection, kind, number)
        return _proposal(found, rulebook.edition(connection, kind, service.today()))


@router.post(
    "/{kind}/proposals/{number}/ruling",
    summary="批准或者不批准修订建议",
    responses={
        403: {"model": ProblemDetails, "description": "提出人不得自行批准"},
        409: {"model": ProblemDetails, "description": "已决定，或提出后已有别的修订获批"},
        422: {"model": ProblemDetails, "description": "适用日期已过"},
    },
)
def rule(
    kind: KindPath, number: Number, body: RulingAsked, service: ServiceDep, caller: Approver
) -> ProposalShown:
    """Approve or reject a proposal, once, by somebody else than who made it.

    An approved one is used by every process from its day on; a mistake is mended by another
    proposal, as nothing that was in force is ever removed.
    """
    _refuse_scoped(caller)
    with service.ledger.begin() as connection:
        rules.hold(connection, kind)
        found = _found(connection, kind, number)
        _refuse_ruled(found)
        if found.by == caller.id:
            raise Problem(
                403,
                "second-person",
                f"proposal {number} is this caller's own; somebody else has to rule on it",
            )
        if body.approved:
            _check_approval(connection, service, found)
        rules.rule(
            connection,
            number,
            approved=body.approved,
            note=body.note,
            by=caller.id,
            at=service.clock(),
        )
        now = rulebook.edition(connection, kind, service.today())
        answer = _proposal(_found(connection, kind, number), now)
        verb = "approve" if body.approved else "reject"
        _audited(connection, service, caller, f"rules.{verb}", answer)
    return answer


def _check_approval(connection: Connection, service: Service, found: Proposal) -> None:
    """Refuse what was proposed before another was approved, or whose day has passed."""
    latest = rules.latest(connection, found.kind)
    if latest != found.replaces:
        raise Problem(
            409,
            "changed-meanwhile",
            f"proposal {latest} was approved after {found.id} was made: what it changes is other "
            "than what was read; reject it and propose anew",
            more={"latest": latest, "allowed": ["reject"]},
        )
    _check_day(found.effective_from, service.today())
    kind = RuleKind(found.kind)
    # Tables of the installation's own may have gone since.
    read(kind, found.content, contracts=service.runtime.contracts)


def _refuse_ruled(found: Proposal) -> None:
    if found.approved is not None:
        state = "approved" if found.approved else "rejected"
        raise TransitionError(
            f"规则修订：第 {found.id} 号建议已{'批准' if found.approved else '不予批准'}，"
            "无可执行的操作",
            state=state,
            allowed=(),
        )


def _check_day(effective_from: date, today: date) -> None:
    if not today <= effective_from < _FAR:
        raise Problem(
            422,
            "effective-from",
            f"effective_from {effective_from} is not within {today} and {_FAR}: rules do not "
            "change what was done before; name a day from today on",
        )


def _refuse_scoped(caller: Caller) -> None:
    if not caller.everywhere:
        raise Problem(
            403,
            "outside-scope",
            "rules hold in every region, and this caller acts in some alone; somebody of the "
            "whole office proposes and approves them",
        )


def _found(connection: Connection, kind: RuleKind, number: int) -> Proposal:
    found = rules.get(connection, number)
    if found is None or found.kind != kind:
        raise Problem(404, "not-found", f"there is no proposal {number} of the rules of {kind}")
    return found


def _shown(connection: Connection, found: Edition, on: date) -> RuleShown:
    return RuleShown(
        kind=found.kind,
        title=TITLES[found.kind],
        number=found.number,
        digest=found.digest,
        yaml=found.content,
        to_come=[one.id for one in rules.to_come(connection, found.kind, on)],
    )


def _proposal(found: Proposal, now: Edition) -> ProposalShown:
    told = {name: getattr(found, name) for name in Proposal.__slots__ if name != "content"}
    changed = rulebook.difference(now, found.content)
    return ProposalShown.model_validate({**told, "yaml": found.content, "difference": changed})


def _audited(
    connection: Connection, service: Service, caller: Caller, action: str, told: ProposalShown
) -> None:
    details = {"digest": told.digest, "effective_from": told.effective_from.isoformat()}
    audited(connection, service, caller, action, f"rules:{told.kind}/{told.id}", details=details)
