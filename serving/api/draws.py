"""Draws: pools frozen, seeds made of public values, subjects drawn; each once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Final, Literal, TypeVar

import polars as pl
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import LedgerError
from models.inspection.draw import draw
from models.inspection.dry_run import allocation
from models.inspection.pool import Pool
from models.inspection.progress import State, pool_trouble
from models.inspection.record import DrawRecord, told
from models.inspection.seed import Commitment, Entropy, Seed, freeze, make_seed, seed_text
from serving.api import acts
from serving.api.acts import PERIOD, At, PeriodName, PlanId
from serving.api.plans import Writer
from serving.api.who import Who
from serving.api.who import told as told_by
from serving.deps import ServiceDep
from serving.inspecting.caps import refuse_two_pools
from serving.inspecting.population import ratios_of
from serving.inspecting.rounds import draw_id
from serving.inspecting.strata import labelled
from serving.ledger import draws, plans
from serving.ledger.engine import Connection
from serving.problems import Problem

router = APIRouter(prefix="/v1/plans", tags=["draws"])

_PERIOD: Final = Field(default=None, pattern=PERIOD, description="期次；计划只有一期时可省")
Source = Annotated[
    str,
    Field(
        min_length=1,
        max_length=400,
        pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$",
    ),
]
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
    made_with: dict[str, object] = Field(description="所据的清单版本、判定日、等级之由来与计划摘要")


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
        shown, strata = labelled(service.settings, found.key, pi)
        pool = Pool.of(shown.select("subject_id", "stratum", "pi"))
        commitment = freeze(pool, draw_id(*found.key), at=service.clock(), sources=[*body.sources])
        made_with = {**who.made_with, "plan_digest": found.declared.digest, "mode": body.mode}
        draws.keep_pool(
            connection,
            *found.key,
            pool=pool,
            population=who.frame.join(pi.select("subject_id"), on="subject_id", how="semi"),
            commitment=commitment,
            made_with=json.dumps(made_with, ensure_ascii=False),
            strata=strata,
        )
        made = acts.step(connection, service, caller, found, State.FROZEN, evidence=pool.commitment)
    return FrozenShown(state=made.state, commitment=commitment, made_with=made_with)


@router.post("/{plan_id}/seed", summary="确定种子")
def seed(plan_id: PlanId, body: SeedBody, service: ServiceDep, caller: Writer) -> SeedShown:
    """Make the seed of a frozen pool from values that nobody knew when it was frozen."""
    values = values_of(body.entropy)
    with service.ledger.begin() as connection:
        found = acts.held(connection, plan_id, caller, body.period, to=State.SEEDED)
        frozen = frozen_of(connection, found)
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
        public = _seed(connection, found)
        made = draw(pool, public.seed)
        record = DrawRecord.of(pool, public, made=made)
        text = record.text()
        draws.keep_draw(connection, *found.key, record=text, lines=_lines(pool, made))
        digest = sha256(text.encode()).hexdigest()
        after = acts.step(connection, service, caller, found, State.DRAWN, evidence=digest)
    return DrawnShown(
        state=after.state,
        drawn=len(record.drawn),
        result=record.result,
        record_digest=digest,
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
        raise not_drawn(found)
    return Response(content, media_type="text/plain; charset=utf-8")


def values_of(given: Sequence[Value]) -> list[Entropy]:
    """Return public values as a seed takes them; a problem 422 where one cannot be read."""
    try:
        return [Entropy.model_validate(one.model_dump()) for one in given]
    except ValidationError as error:
        raise Problem(422, "invalid", f"the public value's {told(error)}") from error


def frozen_of(connection: Connection, found: At) -> draws.Frozen:
    """Return what was published of a frozen pool."""
    return there(draws.frozen(connection, *found.key), found)


def _seed(connection: Connection, found: At) -> Seed:
    """Return the seed; a problem 409 where it is not what the published values make."""
    kept, step = there(draws.seed(connection, *found.key), found), found.progress.step(State.SEEDED)
    frozen = frozen_of(connection, found).commitment
    made = sha256(seed_text(frozen, kept.entropy).encode()).hexdigest()
    if step is None or not kept.seed == made == step.evidence or kept.commitment != frozen:
        raise Problem(
            409,
            "seed-changed",
            f"the seed of plan {found.declared.plan.id} or its values were changed after it was "
            "made; nothing is drawn by it: restore a backup, or make a new plan",
            more={"state": found.progress.state, "allowed": []},
        )
    return kept


def _unchanged(connection: Connection, found: At) -> Pool:
    """Return the frozen pool; a problem 409 where it is not the one that was published."""
    kept = there(draws.pool_file(connection, *found.key), found)
    check = pool_check(found, kept)
    if not check.holds:
        raise Problem(
            409,
            "pool-changed",
            f"{check.trouble}; nothing is drawn from it: restore a backup, or make a new plan",
            more={"state": found.progress.state, "allowed": []},
        )
    return Pool.read(kept)


def pool_check(found: At, kept: bytes) -> CheckShown:
    """Return whether the pool file is the one whose digest the freeze published."""
    trouble = pool_trouble(found.progress, sha256(kept).hexdigest())
    title = "对象库与冻结时公布的承诺一致"
    return CheckShown(name="frozen", title=title, holds=trouble is None, trouble=trouble or "")


def there(kept: _Kept | None, found: At) -> _Kept:
    """Return what the ledger must have; :class:`LedgerError` where it has not."""
    if kept is None:
        raise LedgerError(
            f"plan {found.declared.plan.id} is {found.progress.state} and the ledger has not what "
            "belongs to that; restore a backup"
        )
    return kept


def _lines(pool: Pool, made: pl.DataFrame) -> pl.DataFrame:
    """Return everybody's line of a draw."""
    rank = pl.col("key").rank("ordinal").over("stratum").cast(pl.Int64)
    return made.with_columns(rank.alias("rank")).join(
        pool.strata.select("stratum", "n"), on="stratum", maintain_order="left"
    )


def not_drawn(found: At) -> Problem:
    """Return the problem of what there is only after a later step."""
    return Problem(
        409,
        "not-in-this-state",
        f"period {found.period.id} of plan {found.declared.plan.id} is {found.progress.state}; "
        "there is nothing of the kind yet",
        more={"state": found.progress.state, "allowed": []},
    )
