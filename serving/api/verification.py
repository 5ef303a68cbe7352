"""Draws in the open: what anybody needs to verify one, with no account."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Annotated, Final

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from models.inspection.pool import Pool
from models.inspection.progress import State
from models.inspection.record import DrawRecord
from models.inspection.seed import Commitment, Seed
from models.inspection.strata import StrataKey, troubles
from models.inspection.verify import verify
from serving.api import acts
from serving.api.acts import PeriodName, PlanId
from serving.api.anyone import Anyone
from serving.api.draws import CheckShown, frozen_of, not_drawn, pool_check, there
from serving.api.plans import Reader
from serving.deps import ServiceDep
from serving.inspecting.strata import names_of
from serving.ledger import draws
from serving.ledger.rows import values_of
from serving.problems import Problem

router = APIRouter(prefix="/v1/plans", tags=["verification"])

_SEED_OF: Final = "SHA-256(xinjian-draw-v1 LF plan LF commitment LF {source LF value LF}…)"


class Verification(BaseModel):
    """核验一次抽取所需的一切，无需账号."""

    plan: str = Field(description="计划")
    period: str = Field(description="期次")
    state: State = Field(description="状态")
    commitment: Commitment = Field(description="承诺")
    frozen_by: str = Field(description="冻结者")
    made_with: dict[str, object] = Field(description="所据的清单版本、判定日、等级之由来与计划摘要")
    seed: Seed | None = Field(description="种子；未定的为空")
    seed_of: str = Field(description="种子如何由公开值算出")
    record_digest: str | None = Field(description="抽取记录的 SHA-256；未抽取的为空")
    record: str | None = Field(description="抽取记录的地址")
    line: str | None = Field(description="本主体一行的地址")
    strata: str | None = Field(description="各层标签所代表名称的地址；办结后公布，此前为空")


class StratumShown(BaseModel):
    """一层."""

    label: str = Field(description="公开文件中的标签")
    name: str = Field(description="名称")
    size: int = Field(description="对象数")
    mandatory: int = Field(description="其中必查的对象数")
    n: int = Field(description="必查之外的抽取数")
    design: str = Field(description="equal 等概率、pareto 不等概率或 census 全部必查")


class LineShown(BaseModel):
    """一个主体在抽取中的一行，可逐位自行验算."""

    subject_id: str = Field(description="主体")
    stratum: str = Field(description="层的标签；名称在办结后公布")
    pi: float = Field(description="目标入样概率")
    hashed: str = Field(description="求 SHA-256 的文本：种子与主体")
    digest: str = Field(description="其 SHA-256；前 53 位除以 2^53 即 u")
    u: float = Field(description="随机数")
    key: float | None = Field(description="排序键；必查对象为空")
    rank: int | None = Field(description="层内排位，从 1 起；必查对象为空")
    n: int = Field(description="该层抽取数（必查之外）")
    drawn: bool = Field(description="是否抽中")
    inclusion_probability: float = Field(description="真实入样概率")


@router.get("/{plan_id}/verify", summary="公开核验")
def verification(
    plan_id: PlanId, service: ServiceDep, anyone: Anyone, period: PeriodName = None
) -> Verification:
    """Show everybody the commitment, the seed and where the record is, as far as things are."""
    del anyone
    with service.ledger.begin() as connection:
        found = acts.public(connection, plan_id, period)
        frozen = frozen_of(connection, found)
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
        strata=f"{here}/strata/key?period={found.period.id}" if State.CLOSED in steps else None,
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
        raise not_drawn(found)
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
        raise not_drawn(found)
    if own is None:
        raise Problem(404, "not-in-pool", f"subject '{subject}' is not in this pool")
    hashed = made.seed + subject
    return LineShown.model_validate(
        {
            **values_of(own),
            "hashed": hashed,
            "digest": sha256(hashed.encode()).hexdigest(),
        }
    )


@router.get("/{plan_id}/strata", summary="各层的名称与抽取数")
def strata(
    plan_id: PlanId, service: ServiceDep, caller: Reader, period: PeriodName = None
) -> list[StratumShown]:
    """Say what the labels of strata stand for, and how many are drawn of how many in each."""
    with service.ledger.begin() as connection:
        found = acts.at(connection, acts.visible(connection, plan_id, caller), period)
        content = draws.pool_file(connection, *found.key)
        key = names_of(connection, service.settings, found.key)
    if content is None:
        raise not_drawn(found)
    names = {} if key is None else key.names
    return [
        StratumShown.model_validate(
            {**row, "label": row["stratum"], "name": names.get(row["stratum"], row["stratum"])}
        )
        for row in Pool.read(content).strata.to_dicts()
    ]


@router.get("/{plan_id}/strata/key", summary="各层标签的名称（公开）", response_class=Response)
def strata_key(
    plan_id: PlanId, service: ServiceDep, anyone: Anyone, period: PeriodName = None
) -> Response:
    """Give everybody the secret and the names behind the labels, once the period is closed.

    `xinjian draw verify --strata` computes each label again from this file.
    """
    del anyone
    with service.ledger.begin() as connection:
        found = acts.public(connection, plan_id, period)
        content = draws.told_strata(connection, *found.key)
        sealed = draws.sealed_strata(connection, *found.key)
    if sealed is None:
        raise Problem(
            404, "no-labels", f"the pool of {found.period.id} has the names of strata themselves"
        )
    if content is None:
        raise not_drawn(found)
    return Response(content, media_type="application/json")


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
            raise not_drawn(found)
        content = draws.record(connection, *found.key)
        kept = there(draws.pool_file(connection, *found.key), found)
        if content is None:
            return [pool_check(found, kept)]
        pool = Pool.read(kept)
        published = frozen_of(connection, found).commitment
        key = names_of(connection, service.settings, found.key)
    made = verify(pool, DrawRecord.parse(content, "the ledger"), published=published)
    step = found.progress.step(State.DRAWN)
    same = step is not None and step.evidence == sha256(content.encode()).hexdigest()
    trouble = "" if same else "the record is not the one whose digest was kept at the draw"
    return [
        CheckShown(name="record", title="记录与抽取时的摘要一致", holds=same, trouble=trouble),
        pool_check(found, kept),
        *([] if key is None else [_labels_check(key, pool)]),
        *(
            CheckShown(name=one.name, title=one.title, holds=not one.trouble, trouble=one.trouble)
            for one in made
        ),
    ]


def _labels_check(key: StrataKey, pool: Pool) -> CheckShown:
    trouble = "; ".join(troubles(key, pool.strata["stratum"].to_list()))
    title = "层的标签由所存密钥与名称算得"
    return CheckShown(name="labels", title=title, holds=not trouble, trouble=trouble)
