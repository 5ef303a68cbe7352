"""Human review of decisions: asked for, given to somebody who has not handled them, concluded."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, status
from pydantic import BaseModel, ConfigDict, Field

from models.errors import CodeError
from models.scenarios import Scenario
from models.supervision.review import MACHINE
from serving.api.asked import LAST, BeforeQuery, LimitQuery
from serving.api.audited import audited
from serving.api.lookup import PLAIN, TEXT
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.handling import rulebook
from serving.jobs.kinds import REDECIDE
from serving.ledger import changes, decisions, jobs, keys, reviews, users
from serving.ledger.changes import ChangeKind
from serving.ledger.engine import Connection
from serving.ledger.reviews import OPEN, Act, Asked, Review
from serving.ledger.rows import values_of
from serving.problems import Problem, ProblemDetails
from serving.service import Service
from serving.supervision import withdraw

router = APIRouter(tags=["reviews"])

_URGENT: Final = 10
_GRADE: Final = r"^[^\x00-\x1f\x7f]{1,20}$"
Number = Annotated[int, Path(ge=1, le=LAST, description="复核编号")]
Reader = Annotated[Caller, Depends(allow(Permission.WARNINGS_READ))]
Writer = Annotated[Caller, Depends(allow(Permission.WARNINGS_HANDLE, Permission.REPAIRS_WRITE))]
_CONFLICT: Final[dict[int | str, dict[str, Any]]] = {
    403: {
        "model": ProblemDetails,
        "description": "复核人不得是经办人、登记人",
    },
    409: {"model": ProblemDetails, "description": "此状态不允许该操作，或他人已先操作"},
}


class ReviewAsked(BaseModel):
    """人工复核申请."""

    model_config = ConfigDict(extra="forbid")

    asker: Literal["subject", "office"] = Field(
        description="谁提出：subject 当事人（由工作人员登记），office 本机关"
    )
    ground: str = Field(description="理由", pattern=TEXT, min_length=2, max_length=4000)


class StepAsked(BaseModel):
    """复核的一步."""

    model_config = ConfigDict(extra="forbid")

    step: Literal["assign", "decide", "withdraw"] = Field(
        description="assign 指派复核人、decide 作出结论、withdraw 撤回"
    )
    to: str | None = Field(
        default=None,
        description="复核人，如 user:编号",
        pattern=PLAIN,
        max_length=100,
    )
    outcome: Literal["upheld", "changed", "annulled"] | None = Field(
        default=None, description="结论：upheld 维持、changed 变更、annulled 撤销"
    )
    grade: str | None = Field(
        default=None, description="变更后的等级；结论为变更时必填", pattern=_GRADE
    )
    reason: str | None = Field(
        default=None, description="理由；作出结论、撤回时必填", pattern=TEXT, max_length=4000
    )
    version: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="所见的步数；他人已先操作的为 409"
    )


class ActShown(BaseModel):
    """复核的一步."""

    version: int = Field(description="第几步")
    step: str = Field(description="操作")
    state: str = Field(description="之后的状态")
    by: str = Field(description="操作人")
    at: datetime = Field(description="时间")
    assignee: str | None = Field(description="复核人")
    outcome: str | None = Field(description="结论")
    grade: str | None = Field(description="变更后的等级")
    reason: str | None = Field(description="理由")


class ReviewShown(BaseModel):
    """一项人工复核."""

    id: int = Field(description="编号", examples=[1])
    decision: UUID = Field(description="被复核的判定")
    scenario: str = Field(description="场景")
    subject_id: str = Field(description="主体")
    asker: str = Field(description="谁提出：subject 当事人，office 本机关")
    ground: str = Field(description="理由")
    by: str = Field(description="登记人")
    at: datetime = Field(description="登记时间")
    due_on: date | None = Field(description="期限；尚无该年度工作日历的为空")
    overdue: bool = Field(description="是否超期")
    state: str = Field(description="状态", examples=["asked"])
    title: str = Field(description="状态名称", examples=["已受理"])
    allowed: list[str] = Field(description="此状态允许的操作")
    version: int = Field(description="已有步数")
    assignee: str | None = Field(description="复核人")
    outcome: str | None = Field(description="结论")
    grade: str | None = Field(description="变更后的等级")
    acts: list[ActShown] = Field(description="过程，旧的在前")


@router.post(
    "/v1/decisions/{decision}/reviews",
    summary="申请人工复核",
    status_code=status.HTTP_201_CREATED,
    responses={409: {"model": ProblemDetails, "description": "已有未结的复核，或判定已撤销"}},
)
def ask(decision: UUID, body: ReviewAsked, service: ServiceDep, caller: Writer) -> ReviewShown:
    """Register that a person is to look at a decision, at the subject's wish or the office's."""
    with service.ledger.begin() as connection:
        reviews.hold(connection, decision)
        found = decisions.find(connection, decision)
        if found is None or not caller.sees_region(found.region):
            raise Problem(404, "not-found", f"there is no decision {decision}")
        _refuse_second(connection, decision)
        asked = Asked(
            decision,
            found.scenario,
            found.subject_id,
            found.region,
            body.asker,
            body.ground,
            caller.id,
            service.clock(),
            _due(service, connection),
        )
        number = reviews.ask(connection, asked)
        answer = _shown(service, _visible(connection, number, caller))
        _audited(connection, service, caller, "review.ask", answer)
    return answer


@router.get("/v1/reviews", summary="人工复核列表")
def every(
    service: ServiceDep,
    caller: Reader,
    *,
    decision: Annotated[UUID | None, Query(description="判定")] = None,
    waiting: Annotated[bool, Query(description="只看未结的")] = False,
    before: BeforeQuery = None,
    limit: LimitQuery = 50,
) -> list[ReviewShown]:
    """List the reviews of the caller's regions, the newest first."""
    with service.ledger.begin() as connection:
        found = reviews.listing(
            connection,
            regions=caller.regions,
            decision=decision,
            waiting=waiting,
            before=before,
            limit=limit,
        )
        return [_shown(service, one) for one in found]


@router.get("/v1/reviews/{number}", summary="人工复核及其过程")
def one(number: Number, service: ServiceDep, caller: Reader) -> ReviewShown:
    """Show a review with every act."""
    with service.ledger.begin() as connection:
        return _shown(service, _visible(connection, number, caller))


@router.post("/v1/reviews/{number}/steps", summary="办理人工复核", responses=_CONFLICT)
def step(number: Number, body: StepAsked, service: ServiceDep, caller: Writer) -> ReviewShown:
    """Give a review to somebody, conclude it, or withdraw it; of two at once one is first.

    Who handled the decision or registered the request does not review it (个人信息保护法 24). An
    annulled decision is current no more, and the warning that it raised is withdrawn; its rows and
    theirs stay. After an annulment or a change the subject is decided anew, and partners are told.
    """
    with service.ledger.begin() as connection:
        held = _visible(connection, number, caller, lock=True)
        _check_version(held, body)
        state = MACHINE.after(held.last.state, body.step)
        _check_body(body)
        _check_grade(connection, held, body.grade)
        if body.step == "assign":
            _check_reviewer(connection, held, str(body.to))
        if body.step == "decide":
            _check_decides(connection, held, caller)
        taken = Act(
            held.last.version + 1,
            body.step,
            state,
            caller.id,
            service.clock(),
            assignee=body.to,
            outcome=body.outcome,
            grade=body.grade,
            reason=body.reason,
        )
        reviews.act(connection, number, taken)
        if body.outcome in {"changed", "annulled"}:
            _follow(service, connection, held, taken)
        answer = _shown(service, _visible(connection, number, caller))
        _audited(connection, service, caller, f"review.{body.step}", answer)
    return answer


def _refuse_second(connection: Connection, decision: UUID) -> None:
    """Refuse a review beside one that is open, or of what was annulled."""
    for one in reviews.of_decision(connection, decision):
        if one.last.state in OPEN or one.last.outcome == "annulled":
            raise Problem(
                409,
                "not-in-this-state",
                f"decision {decision} has review {one.id} ({one.last.state}) already",
                more={
                    "review": one.id,
                    "state": one.last.state,
                    "allowed": MACHINE.allowed(one.last.state),
                },
            )


def _check_version(held: Review, body: StepAsked) -> None:
    if body.version is None or body.version == held.last.version:
        return
    raise Problem(
        409,
        "changed-meanwhile",
        f"review {held.id} was at step {body.version} when it was read and is at "
        f"{held.last.version} ({held.last.state}) now; read it again",
        more={
            "state": held.last.state,
            "version": held.last.version,
            "allowed": MACHINE.allowed(held.last.state),
        },
    )


def _check_body(body: StepAsked) -> None:
    needs = {"assign": ("to",), "decide": ("outcome", "reason"), "withdraw": ("reason",)}[body.step]
    lacking = [name for name in needs if getattr(body, name) is None]
    if lacking:
        raise Problem(422, "incomplete", f"{body.step} needs '{lacking[0]}'; say it")
    takes = {*needs, "grade"} if body.outcome == "changed" else set(needs)
    takes |= {"reason"}
    for name in ("to", "outcome", "grade"):
        if getattr(body, name) is not None and name not in takes:
            raise Problem(422, "incomplete", f"'{name}' does not go with this; leave it out")
    if body.outcome == "changed" and body.grade is None:
        raise Problem(422, "incomplete", "a changed decision needs its 'grade'; say it")


def _check_grade(connection: Connection, held: Review, grade: str | None) -> None:
    """Refuse a grade that the decision's own scenario does not have, or that it has already."""
    if grade is None:
        return
    found = decisions.find(connection, held.asked.decision)
    content = found and decisions.declaration(connection, found.scenario_digest)
    if found is None or content is None:
        raise Problem(409, "not-declared", "the decision's scenario is not in the ledger any more")
    grades = list(Scenario.model_validate_json(content).grades)
    if grade not in grades:
        raise Problem(
            422,
            "no-such-grade",
            f"scenario {found.scenario} has no grade '{grade}'; it has {', '.join(grades)}",
        )
    if grade == found.grade:
        raise Problem(422, "no-change", f"the decision has grade {grade} already; uphold it")


def _follow(service: Service, connection: Connection, held: Review, taken: Act) -> None:
    """Let follow what must: the warning withdrawn, partners told, the subject decided anew."""
    asked = held.asked
    payload = {
        "scenario": asked.scenario,
        "decision": str(asked.decision),
        "review": held.id,
        "outcome": taken.outcome,
        "grade": taken.grade,
    }
    changes.append(
        connection,
        ChangeKind.DECISION,
        subject_id=asked.subject_id,
        region=asked.region,
        payload=payload,
        at=taken.at,
    )
    if taken.outcome == "annulled":
        withdraw(service, connection, asked.decision, f"第 {held.id} 号人工复核撤销了所依据的判定")
    jobs.enqueue(
        connection,
        REDECIDE,
        payload={"subjects": [asked.subject_id]},
        created_by=taken.by,
        priority=_URGENT,
    )


def _check_reviewer(connection: Connection, held: Review, who: str) -> None:
    """Refuse a reviewer that nobody is, or who is not a second person."""
    kind, _, number = who.partition(":")
    there = {
        "user": lambda: users.find(connection, number) is not None,
        "key": lambda: keys.find(connection, number) is not None,
        "token": lambda: bool(number),  # accounts of the issuer are not known here
    }
    if kind not in there or not there[kind]():
        raise Problem(
            422,
            "no-such-person",
            f"there is no {who!r}; name somebody as the steps do: user:ID, key:ID or token:SUB",
        )
    _refuse_first(connection, held, who)


def _check_decides(connection: Connection, held: Review, caller: Caller) -> None:
    if caller.id != held.assignee:
        raise Problem(
            403,
            "second-person",
            f"review {held.id} is {held.assignee}'s to conclude; have it assigned anew",
        )
    _refuse_first(connection, held, caller.id)  # they may have acted on the warning since


def _refuse_first(connection: Connection, held: Review, who: str) -> None:
    if who == held.asked.by or who in reviews.handlers(connection, held.asked.decision):
        raise Problem(
            403,
            "second-person",
            f"{who} registered this review or handled what the decision raised; somebody else has "
            "to review it (个人信息保护法 第二十四条)",
        )


def _due(service: Service, connection: Connection) -> date | None:
    try:
        return rulebook.terms(connection, service.today()).due(service.today())
    except CodeError:  # no notice of that year's working days yet
        return None


def _visible(connection: Connection, number: int, caller: Caller, *, lock: bool = False) -> Review:
    found = reviews.get(connection, number, lock=lock)
    if found is None or not caller.sees_region(found.asked.region):
        raise Problem(404, "not-found", f"there is no review {number}")
    return found


def _shown(service: Service, found: Review) -> ReviewShown:
    last, due = found.last, found.asked.due_on
    told = values_of(found.asked)
    return ReviewShown.model_validate(
        {
            **told,
            "id": found.id,
            "overdue": last.state in OPEN and due is not None and due < service.today(),
            "state": last.state,
            "title": MACHINE.states[last.state],
            "allowed": MACHINE.allowed(last.state),
            "version": last.version,
            "assignee": found.assignee,
            "outcome": last.outcome,
            "grade": last.grade,
            "acts": [ActShown.model_validate(one, from_attributes=True) for one in found.acts],
        }
    )


def _audited(
    connection: Connection, service: Service, caller: Caller, action: str, told: ReviewShown
) -> None:
    details = {"decision": str(told.decision), "outcome": told.outcome}
    audited(connection, service, caller, action, f"review:{told.id}", details=details)
