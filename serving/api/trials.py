"""Trials: the model's list against usual practice, by offices and periods that chance assigns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import polars as pl
from fastapi import APIRouter, Path, Query, status
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import InspectionError
from models.inspection.record import told
from models.inspection.seed import Commitment, Seed, make_seed
from models.inspection.trial import MODEL, USUAL, compare
from serving.api.audited import audited
from serving.api.draws import Source, Value, values_of
from serving.api.listing import REGION
from serving.api.plans import Reader, Writer, rows_of
from serving.api.results import Inspector
from serving.auth.caller import Caller
from serving.deps import ServiceDep
from serving.inspecting.scope import region_of
from serving.inspecting.trials import (
    Declaration,
    Design,
    Outcome,
    assigned,
    refuse_outcomes,
    table,
)
from serving.ledger import trials
from serving.ledger.engine import Connection
from serving.ledger.trials import Kept
from serving.problems import Problem
from serving.service import Service

router = APIRouter(prefix="/v1/trials", tags=["trials"])

TrialId = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="试验编号", examples=["trial_2027"])
]


class NewTrial(BaseModel):
    """拟作的试验."""

    model_config = ConfigDict(extra="forbid")

    region: str = Field(default="", pattern=REGION, description="所属行政区划；空为全部")
    sources: list[Source] = Field(
        min_length=1, max_length=10, description="种子将取自哪些公开随机值，依次"
    )
    trial: Declaration = Field(description="试验")


class TrialSeed(BaseModel):
    """公开随机值，据以分组."""

    model_config = ConfigDict(extra="forbid")

    entropy: list[Value] = Field(min_length=1, max_length=10, description="公开随机值，依公布之序")


class Outcomes(BaseModel):
    """各单元的结果."""

    model_config = ConfigDict(extra="forbid")

    rows: list[Outcome] = Field(
        min_length=1, max_length=20_000, description="各单元的合计；再填即更正"
    )


class SizeShown(BaseModel):
    """样本量."""

    units_per_arm: int = Field(description="每组所需单元数")
    inspections_per_arm: int = Field(description="每组所需检查数")
    design_effect: float = Field(description="设计效应：因单元内相似而需多查的倍数")


class SizeOf(SizeShown):
    """一项试验的样本量是否足够."""

    units: int = Field(description="单元数，两组合计")
    enough: bool = Field(description="是否足够")
    detectable: float = Field(description="现有单元能看出的最低发现率")


class UnitShown(BaseModel):
    """一个单元；键为 SHA-256（种子、换行、单元编号），任何人可自行验算."""

    unit_id: str = Field(description="单元：机构@时段")
    office: str = Field(description="机构")
    period: str = Field(description="时段")
    block: str = Field(description="区组，组内一半按模型名单")
    key: str | None = Field(description="键；未分组的为空")
    arm: str | None = Field(description="model 按模型名单，usual 照常；未分组的为空")
    result: dict[str, object] | None = Field(description="结果；未填的为空")


class TrialBrief(BaseModel):
    """试验的摘要."""

    id: str = Field(description="编号")
    title: str = Field(description="名称")
    region: str = Field(description="行政区划前缀；空为全部")
    by: str = Field(description="登记者")
    at: datetime = Field(description="登记时间")
    assigned: bool = Field(description="是否已分组")


class TrialOf(TrialBrief):
    """一项试验."""

    design: Design = Field(description="样本量所据的设定")
    size: SizeOf = Field(description="样本量")
    commitment: Commitment = Field(description="承诺：试验的 SHA-256，分组前公布")
    seed: Seed | None = Field(description="种子；未分组的为空")
    units: list[UnitShown] = Field(description="各单元")


class ComparisonShown(BaseModel):
    """两组的比较."""

    level: float = Field(description="置信水平")
    units: dict[str, int] = Field(description="各组单元数")
    rows: list[dict[str, object]] = Field(
        description="各指标：两组之值、差（模型减照常）、标准误、区间与 p 值"
    )


@router.post("/size", summary="样本量计算")
def size(body: Design, caller: Reader) -> SizeShown:
    """Say how many units each arm needs to show a difference; nothing is kept."""
    del caller
    return SizeShown.model_validate(body.needed(), from_attributes=True)


@router.post("", summary="登记试验", status_code=status.HTTP_201_CREATED)
def create(body: NewTrial, service: ServiceDep, caller: Writer) -> TrialOf:
    """Declare a trial, and publish the commitment to it before any seed exists."""
    region = region_of(caller, body.region)
    units = body.trial.units()
    if units.height < 2 * 2:
        raise InspectionError(
            f"the trial has {units.height} units; two of each arm are the least that a comparison "
            "can be made of: add offices or periods"
        )
    body.trial.design.needed()  # refuses a design that makes no trial
    commitment = _commitment(body, units.height, service.clock())
    with service.ledger.begin() as connection:
        if not trials.declare(
            connection,
            region=region,
            declaration=body.trial.canonical,
            commitment=commitment,
            by=caller.id,
        ):
            raise Problem(
                409, "trial-exists", f"there is a trial {body.trial.id} already; choose another id"
            )
        kept = _visible(connection, body.trial.id, caller)
        _tell(connection, service, caller, "trial.declare", kept, {"digest": body.trial.digest})
        return _shown(connection, kept)


@router.get("", summary="试验列表")
def every(
    service: ServiceDep,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=500, description="最多项数")] = 100,
) -> list[TrialBrief]:
    """List the trials of the caller's regions, the newest first."""
    with service.ledger.begin() as connection:
        found = trials.listing(connection, regions=caller.regions, limit=limit)
    return [_brief(one) for one in found]


@router.get("/{trial_id}", summary="试验")
def one(trial_id: TrialId, service: ServiceDep, caller: Reader) -> TrialOf:
    """Show a trial: its size, what chance assigned, and what came of it."""
    with service.ledger.begin() as connection:
        return _shown(connection, _visible(connection, trial_id, caller))


@router.post("/{trial_id}/seed", summary="分组")
def seed(trial_id: TrialId, body: TrialSeed, service: ServiceDep, caller: Writer) -> TrialOf:
    """Assign the units by values that nobody knew when the trial was declared, once."""
    values = values_of(body.entropy)
    with service.ledger.begin() as connection:
        kept = _visible(connection, trial_id, caller, lock=True)
        if kept.seed is not None:
            raise Problem(
                409, "assigned", f"the units of trial {trial_id} are assigned and stay as they are"
            )
        made = make_seed(kept.commitment, values, now=service.clock())
        trials.keep_seed(connection, trial_id, made, by=caller.id, at=service.clock())
        _tell(connection, service, caller, "trial.assign", kept, {"seed": made.seed})
        return _shown(connection, _visible(connection, trial_id, caller))


@router.post("/{trial_id}/results", summary="填报结果", status_code=status.HTTP_201_CREATED)
def take(trial_id: TrialId, body: Outcomes, service: ServiceDep, caller: Inspector) -> TrialOf:
    """Keep the sums of units; those of a unit that has some already correct them."""
    with service.ledger.begin() as connection:
        kept = _visible(connection, trial_id, caller, lock=True)
        _refuse_unassigned(kept)
        refuse_outcomes(body.rows, assigned(kept))
        rows = {one.unit_id: one.model_dump(exclude={"unit_id"}) for one in body.rows}
        trials.keep_results(connection, trial_id, rows, by=caller.id, at=service.clock())
        _tell(connection, service, caller, "trial.results", kept, {"units": len(rows)})
        return _shown(connection, kept)


@router.get("/{trial_id}/comparison", summary="比较两组")
def comparison(
    trial_id: TrialId,
    service: ServiceDep,
    caller: Reader,
    level: Annotated[float, Query(gt=0, lt=1, description="置信水平")] = 0.95,
) -> ComparisonShown:
    """Compare the arms once every unit has its result: hit rate, days earlier, found later, cost.

    Units count for the arm that chance gave them, whatever was done in them.
    """
    with service.ledger.begin() as connection:
        kept = _visible(connection, trial_id, caller)
        _refuse_unassigned(kept)
        results = trials.results(connection, trial_id)
    frame = table(assigned(kept), results)
    return ComparisonShown(
        level=level,
        units={arm: frame.filter(arm=arm).height for arm in (MODEL, USUAL)},
        rows=rows_of(compare(frame, level=level)),
    )


def _commitment(body: NewTrial, units: int, at: datetime) -> Commitment:
    """Return what is published of a trial; a problem 422 for sources that no seed can name."""
    if len({" ".join(one.casefold().split()) for one in body.sources}) < len(body.sources):
        raise Problem(422, "invalid", "a source stands twice; name each once")
    try:
        return Commitment(
            plan=body.trial.id,
            commitment=body.trial.digest,
            subjects=units,
            frozen_at=at,
            sources=tuple(body.sources),
        )
    except ValidationError as error:
        raise Problem(422, "invalid", f"the trial's {told(error)}") from error


def _visible(connection: Connection, trial_id: str, caller: Caller, *, lock: bool = False) -> Kept:
    """Return a trial of the caller's regions; a problem 404 as if there were none otherwise."""
    found = trials.find(connection, trial_id, lock=lock)
    if found is None or not caller.sees_region(found.region):
        raise Problem(
            404, "no-such-trial", f"there is no trial {trial_id}; GET /v1/trials lists them"
        )
    return found


def _refuse_unassigned(kept: Kept) -> None:
    if kept.seed is None:
        raise Problem(
            409,
            "not-assigned",
            f"the units of trial {kept.trial_id} are not assigned yet; give the public values "
            "first (POST /v1/trials/{trial_id}/seed)",
        )


def _tell(
    connection: Connection,
    service: Service,
    caller: Caller,
    action: str,
    kept: Kept,
    details: Mapping[str, object],
) -> None:
    """Audit an act on a trial; the last thing of a transaction but for reading."""
    audited(connection, service, caller, action, f"trial:{kept.trial_id}", details=details)


def _brief(kept: Kept) -> TrialBrief:
    declared = Declaration.model_validate_json(kept.declaration)
    return TrialBrief(
        id=kept.trial_id,
        title=declared.title,
        region=kept.region,
        by=kept.by,
        at=kept.at,
        assigned=kept.seed is not None,
    )


def _shown(connection: Connection, kept: Kept) -> TrialOf:
    declared = Declaration.model_validate_json(kept.declaration)
    results = trials.results(connection, kept.trial_id)
    units = assigned(kept)
    return TrialOf(
        **_brief(kept).model_dump(),
        design=declared.design,
        size=_size(declared.design, units),
        commitment=kept.commitment,
        seed=kept.seed,
        units=[
            UnitShown.model_validate({**row, "result": results.get(row["unit_id"])})
            for row in units.to_dicts()
        ],
    )


def _size(design: Design, units: pl.DataFrame) -> SizeOf:
    needed, each = design.needed(), units.height // 2
    return SizeOf(
        units_per_arm=needed.units_per_arm,
        inspections_per_arm=needed.inspections_per_arm,
        design_effect=needed.design_effect,
        units=units.height,
        enough=each >= needed.units_per_arm,
        detectable=design.detectable(each),
    )
