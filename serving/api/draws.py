"""Draws in the open: freeze, seed, draw; and what anybody needs to verify them, with no account."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Final, Literal, TypeVar

import polars as pl
from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import LedgerError
from models.inspection.draw import draw
from models.inspection.dry_run import allocation
from models.inspection.pool import Pool
from models.inspection.progress import State
from models.inspection.record import DrawRecord, told
from models.inspection.seed import Commitment, Entropy, Seed, freeze, make_seed
from models.inspection.verify import verify
from serving.api import acts
from serving.api.acts import PERIOD, At, PeriodName, PlanId
from serving.api.anyone import Anyone
from serving.api.plans import Reader, Writer
from serving.api.who import Who
from serving.api.who import told as told_by
from serving.deps import ServiceDep
from serving.inspecting.caps import refuse_two_pools
from serving.inspecting.population import ratios_of
from serving.inspecting.rounds import draw_id
from serving.ledger import draws, plans
from serving.ledger.engine import Connection
from serving.problems import Problem

router = APIRouter(prefix="/v1/plans", tags=["draws"])

_PERIOD: Final = Field(default=None, pattern=PERIOD, description="期次；计划只有一期时可省")
Source = Annotated[str, Field(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Kept = TypeVar("_Kept")
_SEED_OF: Final = "SHA-256(xinjian-draw-v1 LF plan LF commitment LF {source LF value LF}…)"


class Freeze(Who):
    """冻结对象库."""

    period: str | None = _PERIOD
    sources: list[Source] = Field(
        min_length=1,
        max_length=10,
        description="种子将取自哪些公开随机值，依次；冻结时公布，其后不得另选",
        examples=[["双色球 2027003", "drand 4501234"]],
    )
    mode: Literal["random_targeted", "random_untargeted"] = Field(
        default="random_targeted", description="定向（按类型、等级等抽取）或不定向"
    )


class Value(BaseModel):
    """一个公开随机值."""

    model_config = ConfigDict(extra="forbid")

    source: Source = Field(description="来源，与冻结时公布的一致")
    value: str = Field(
        min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f]+$", description="值"
    )
    published_at: datetime = Field(description="公布时间，须晚于冻结且不在将来")
    digest: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="随机数事先公布的 SHA-256"
    )


class SeedBody(BaseModel):
    """确定种子."""

    model_config = ConfigDict(extra="forbid")

    period: str | None = _PERIOD
    entropy: list[Value] = Field(min_length=1, max_length=10, description="公开随机值，依公布之序")


class PeriodBody(BaseModel):
    """所指的一期."""

    model_config = ConfigDict(extra="forbid")

    period: str | None = _PERIOD


class FrozenShown(BaseModel):
    """已冻结的对象库，冻结后立即公开."""

    state: State = Field(description="状态")
    commitment: Commitment = Field(description="承诺：对象库的 SHA-256、对象数与冻结时间")
    made_with: dict[str, object] = Field(description="所据的清单版本、判定日与计划摘要")


class SeedShown(BaseModel):
    """种子及其由来."""

    state: State = Field(description="状态")
    seed: Seed = Field(description="种子、承诺与公开随机值")


class DrawnShown(BaseModel):
    """抽取的结果."""

    state: State = Field(description="状态")
    drawn: int = Field(description="抽中的对象数")
    result: str = Field(description="抽中名单的 SHA-256")
    record_digest: str = Field(description="抽取记录的 SHA-256")


class Verification(BaseModel):
    """核验一次抽取所需的一切，无需账号."""

    plan: str = Field(description="计划")
    period: str = Field(description="期次")
    state: State = Field(description="状态")
    commitment: Commitment = Field(description="承诺")
    frozen_by: str = Field(description="冻结者")
    made_with: dict[str, object] = Field(description="所据的清单版本、判定日与计划摘要")
    seed: Seed | None = Field(description="种子；未定的为空")
    seed_of: str = Field(description="种子如何由公开值算出")
    record_digest: str | None = Field(description="抽取记录的 SHA-256；未抽取的为空")
    record: str | None = Field(description="抽取记录的地址")
    line: str | None = Field(description="本主体一行的地址")


class LineShown(BaseModel):
    """一个主体在抽取中的一行，可逐位自行验算."""

    subject_id: str = Field(description="主体")
    stratum: str = Field(description="层")
    pi: float = Field(description="目标入样概率")
    hashed: str = Field(description="求 SHA-256 的文本：种子与主体")
    digest: str = Field(description="其 SHA-256；前 53 位除以 2^53 即 u")
    u: float = Field(description="随机数")
    key: float | None = Field(description="排序键；必查对象为空")
    rank: int | None = Field(description="层内排位，从 1 起；必查对象为空")
    n: int = Field(description="该层抽取数（必查之外）")
    drawn: bool = Field(description="是否抽中")
    inclusion_probability: float = Field(description="真实入样概率")


class CheckShown(BaseModel):
    """一项核验."""

    name: str = Field(description="名称")
    title: str = Field(description="核验的内容")
    holds: bool = Field(description="是否成立")
    trouble: str = Field(description="不成立的原因")


@router.post("/{plan_id}/freeze", summary="冻结对象库")
def freeze_(plan_id: PlanId, body: Freeze, service: ServiceDep, caller: Writer) -> FrozenShown:
    """Allocate a period, freeze its pool, and publish the commitment to it."""
    with service.ledger.begin() as connection:
        found = acts.held(connection, plan_id, caller, body.period, to=State.FROZEN)
        plan, period = found.declared.plan, found.period
        plans.hold_year(connection, plan.year)
        who = told_by(connection, service, found.declared, body, period)
        days = (period.first, period.last)
        refuse_two_pools(connection, plan, days, found.key, who.frame)
        pi = allocation(plan, period, who.frame, ratios_of(service, plan))
        pool = Pool.of(pi.select("subject_id", "stratum", "pi"))
        commitment = freeze(pool, draw_id(*found.key), at=service.clock(), sources=[*body.sources])
        made_with = {**who.made_with, "plan_digest": found.declared.digest, "mode": body.mode}
        draws.keep_pool(
            connection,
            *found.key,
            pool=pool,
            population=who.frame.join(pi.select("subject_id"), on="subject_id", how="semi"),
            commitment=commitment,
            made_with=json.dumps(made_with, ensure_ascii=False),
        )
        made = acts.step(connection, service, caller, found, State.FROZEN, evidence=pool.commitment)
    return FrozenShown(state=made.state, commitment=commitment, made_with=made_with)


@router.post("/{plan_id}/seed", summary="确定种子")
def seed(plan_id: PlanId, body: SeedBody, service: ServiceDep, caller: Writer) -> SeedShown:
    """Make the seed of a frozen pool from values that nobody knew when it was frozen."""
    values = values_of(body.entropy)
    with service.ledger.begin() as connection:
        found = acts.held(connection, plan_id, caller, body.period, to=State.SEEDED)
        frozen = _frozen(connection, found)
        made = make_seed(frozen.commitment, values, now=service.clock())
        draws.keep_seed(connection, *found.key, made)
        after = acts.step(connection, service, caller, found, State.SEEDED, evidence=made.seed)
    return SeedShown(state=after.state, seed=made)


@router.post("/{plan_id}/draw", summary="抽取")
def draw_(plan_id: PlanId, body: PeriodBody, service: ServiceDep, caller: Writer) -> DrawnShown:
    """Draw from the frozen pool by its seed, once."""
    with service.ledger.begin() as connection:
        found = acts.held(connection, plan_id, caller, body.period, to=State.DRAWN)
        plans.hold_year(connection, found.declared.plan.year)
        pool = _unchanged(connection, found)
        record = DrawRecord.of(pool, _seed(connection, found))
        draws.keep_draw(connection, *found.key, record=record, lines=_lines(pool, record.seed.seed))
        digest = sha256(record.text().encode()).hexdigest()
        made = acts.step(connection, service, caller, found, State.DRAWN, evidence=digest)
    return DrawnShown(
        state=made.state,
        drawn=len(record.drawn),
        result=record.result,
        record_digest=digest,
    )


@router.get("/{plan_id}/verify", summary="公开核验")
def verification(
    plan_id: PlanId, service: ServiceDep, anyone: Anyone, period: PeriodName = None
) -> Verification:
    """Show everybody the commitment, the seed and where the record is, as far as things are."""
    del anyone
    with service.ledger.begin() as connection:
        found = acts.public(connection, plan_id, period)
        frozen = _frozen(connection, found)
        made = draws.seed(connection, *found.key)
    steps = {one.state: one for one in found.progress.steps}
    drawn = steps.get(State.DRAWN)
    here = f"/v1/plans/{plan_id}"
    return Verification(
        plan=plan_id,
        period=found.period.id,
        state=found.progress.state,
        commitment=frozen.commitment,
        frozen_by=steps[State.FROZEN].by,
        made_with=json.loads(frozen.made_with),
        seed=made,
        seed_of=_SEED_OF,
        record_digest=drawn.evidence if drawn else None,
        record=f"{here}/record?period={found.period.id}" if drawn else None,
        line=f"{here}/lines/{{subject}}?period={found.period.id}" if drawn else None,
    )


@router.get("/{plan_id}/record", summary="抽取记录（公开）", response_class=Response)
def record(
    plan_id: PlanId, service: ServiceDep, anyone: Anyone, period: PeriodName = None
) -> Response:
    """Give everybody the record of a draw, byte for byte as it was made."""
    del anyone
    with service.ledger.begin() as connection:
        found = acts.public(connection, plan_id, period)
        content = draws.record(connection, *found.key)
    if content is None:
        raise _not_drawn(found)
    return Response(content, media_type="application/json")


@router.get("/{plan_id}/lines/{subject}", summary="主体核验自己的一行（公开）")
def line(
    plan_id: PlanId,
    subject: Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")],
    service: ServiceDep,
    anyone: Anyone,
    period: PeriodName = None,
) -> LineShown:
    """Show everybody how the draw came to one subject, to be computed again by hand."""
    del anyone
    with service.ledger.begin() as connection:
        found = acts.public(connection, plan_id, period)
        made = draws.seed(connection, *found.key)
        own = draws.line(connection, *found.key, subject)
    if found.progress.step(State.DRAWN) is None or made is None:
        raise _not_drawn(found)
    if own is None:
        raise Problem(404, "not-in-pool", f"subject '{subject}' is not in this pool")
    hashed = made.seed + subject
    return LineShown.model_validate(
        {
            **{name: getattr(own, name) for name in own.__slots__},
            "hashed": hashed,
            "digest": sha256(hashed.encode()).hexdigest(),
        }
    )


@router.get("/{plan_id}/pool", summary="对象库文件", response_class=Response)
def pool_(
    plan_id: PlanId, service: ServiceDep, caller: Writer, period: PeriodName = None
) -> Response:
    """Give the frozen pool as the canonical file of which the commitment is the SHA-256."""
    with service.ledger.begin() as connection:
        found = acts.at(connection, acts.visible(connection, plan_id, caller, write=True), period)
        content = draws.pool_file(connection, *found.key)
    if content is None:
        raise _not_drawn(found)
    return Response(content, media_type="text/plain; charset=utf-8")


@router.get("/{plan_id}/checks", summary="逐项核验")
def checks(
    plan_id: PlanId, service: ServiceDep, caller: Reader, period: PeriodName = None
) -> list[CheckShown]:
    """Compute a draw again from its frozen pool and compare everything that was published.

    Before the draw, the pool is compared with what was published at the freeze.
    """
    with service.ledger.begin() as connection:
        found = acts.at(connection, acts.visible(connection, plan_id, caller), period)
        if found.progress.step(State.FROZEN) is None:
            raise _not_drawn(found)
        content = draws.record(connection, *found.key)
        kept = _there(draws.pool_file(connection, *found.key), found)
        if content is None:
            return [_pool_check(found, kept)]
        pool = Pool.read(kept)
        published = _frozen(connection, found).commitment
    made = verify(pool, DrawRecord.parse(content, "the ledger"), published=published)
    step = found.progress.step(State.DRAWN)
    same = step is not None and step.evidence == sha256(content.encode()).hexdigest()
    trouble = "" if same else "the record is not the one whose digest was kept at the draw"
    return [
        CheckShown(name="record", title="记录与抽取时的摘要一致", holds=same, trouble=trouble),
        _pool_check(found, kept),
        *(
            CheckShown(name=one.name, title=one.title, holds=not one.trouble, trouble=one.trouble)
            for one in made
        ),
    ]


def values_of(given: Sequence[Value]) -> list[Entropy]:
    """Return public values as a seed takes them; a problem 422 where one cannot be read."""
    try:
        return [Entropy.model_validate(one.model_dump()) for one in given]
    except ValidationError as error:
        raise Problem(422, "invalid", f"the public value's {told(error)}") from error


def _frozen(connection: Connection, found: At) -> draws.Frozen:
    return _there(draws.frozen(connection, *found.key), found)


def _seed(connection: Connection, found: At) -> Seed:
    return _there(draws.seed(connection, *found.key), found)


def _unchanged(connection: Connection, found: At) -> Pool:
    """Return the frozen pool; a problem 409 where it is not the one that was published."""
    kept = _there(draws.pool_file(connection, *found.key), found)
    check = _pool_check(found, kept)
    if not check.holds:
        raise Problem(
            409,
            "pool-changed",
            f"{check.trouble}; nothing is drawn from it: restore a backup, or make a new plan",
            more={"state": found.progress.state, "allowed": []},
        )
    return Pool.read(kept)


def _pool_check(found: At, kept: bytes) -> CheckShown:
    """Return whether the pool file is the one whose digest the freeze published."""
    step, digest = found.progress.step(State.FROZEN), sha256(kept).hexdigest()
    holds = step is not None and step.evidence == digest
    trouble = (
        f"the pool of plan {found.declared.plan.id} was changed after it was frozen: its digest is "
        f"{digest}, the published one {step.evidence if step else None}"
    )
    title = "对象库与冻结时公布的承诺一致"
    return CheckShown(name="frozen", title=title, holds=holds, trouble="" if holds else trouble)


def _there(kept: _Kept | None, found: At) -> _Kept:
    if kept is None:
        raise LedgerError(
            f"plan {found.declared.plan.id} is {found.progress.state} and the ledger has not what "
            "belongs to that; restore a backup"
        )
    return kept


def _lines(pool: Pool, seed: str) -> pl.DataFrame:
    """Return everybody's line."""
    rank = pl.col("key").rank("ordinal").over("stratum").cast(pl.Int64)
    made = draw(pool, seed).with_columns(rank.alias("rank"))
    return made.join(pool.strata.select("stratum", "n"), on="stratum", maintain_order="left")


def _not_drawn(found: At) -> Problem:
    return Problem(
        409,
        "not-in-this-state",
        f"period {found.period.id} of plan {found.declared.plan.id} is {found.progress.state}; "
        "there is nothing of the kind yet",
        more={"state": found.progress.state, "allowed": []},
    )
