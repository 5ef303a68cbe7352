"""A trial of the model's list against usual practice: declared, assigned by chance, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.canonical import canonical_json, digest_of
from models.inspection import trial
from models.inspection.trial import Size
from serving.inspecting.population import PLAIN
from serving.ledger.trials import Kept
from serving.problems import FieldProblem, Problem

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=PLAIN)]
Rate = Annotated[float, Field(gt=0, lt=1)]
SUMS: Final = ("inspections", "findings", "days_earlier", "found_later", "cost")
"""What is entered of a unit; the last three only where they are to be compared."""
_OPTIONAL: Final = SUMS[2:]
_NAMED: Final = 20
_MOST_UNITS: Final = 20_000


class Design(BaseModel):
    """要多大的试验才能看出差别."""

    model_config = ConfigDict(extra="forbid")

    usual: Rate = Field(description="照常工作的问题发现率", examples=[0.08])
    model: Rate = Field(description="要能看出的、按模型名单的问题发现率", examples=[0.12])
    per_unit: int = Field(ge=1, le=100_000, description="每单元的检查数", examples=[60])
    alike: float = Field(
        default=0.02, ge=0, lt=1, description="同一单元内两次检查结果的相关，常见 0.01 至 0.05"
    )
    level: Rate = Field(default=0.95, description="置信水平")
    power: Rate = Field(default=0.8, description="看出差别的把握")

    def needed(self) -> Size:
        """Return how many units each arm needs."""
        return trial.needed(
            self.usual,
            self.model,
            per_unit=self.per_unit,
            alike=self.alike,
            level=self.level,
            power=self.power,
        )

    def detectable(self, units_per_arm: int) -> float:
        """Return the least hit rate above the usual one that so many units would show."""
        return trial.detectable(
            self.usual,
            units_per_arm=units_per_arm,
            per_unit=self.per_unit,
            alike=self.alike,
            level=self.level,
            power=self.power,
        )


class Declaration(BaseModel):
    """一项对照试验：哪些机构、哪些时段，按模型名单还是照常工作由公开随机数决定."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="编号", examples=["trial_2027"])
    title: str = Field(min_length=1, max_length=200, pattern=PLAIN, description="名称")
    offices: list[Name] = Field(min_length=1, max_length=2000, description="机构")
    periods: list[Name] = Field(min_length=1, max_length=60, description="时段")
    design: Design = Field(description="样本量所据的设定")

    @field_validator("offices", "periods")
    @classmethod
    def _once_each(cls, names: list[str]) -> list[str]:
        if len(set(names)) < len(names):
            raise ValueError("one name stands twice; name each once")
        return names

    @model_validator(mode="after")
    def _units_told_apart(self) -> Self:
        if len(self.offices) * len(self.periods) > _MOST_UNITS:
            raise ValueError(f"offices times periods is above {_MOST_UNITS} units; take fewer")
        if any("@" in name for name in (*self.offices, *self.periods)):
            raise ValueError("a name has an '@', which parts the office from the period; leave it")
        return self

    @property
    def canonical(self) -> str:
        """Return the declaration as canonical JSON, keys sorted."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON: what the seed is committed to."""
        return digest_of(self.model_dump(mode="json"))

    def units(self) -> pl.DataFrame:
        """Return what is assigned; see :func:`models.inspection.trial.units`.

        Each period is a block of its own; with a single office, the periods are one block.
        """
        made = trial.units(self.offices, self.periods)
        if len(self.offices) == 1:
            return made.with_columns(pl.lit(self.offices[0]).alias("block"))
        return made


class Outcome(BaseModel):
    """一个单元的合计；未按分组执行的也照分组填（意向性分析）."""

    model_config = ConfigDict(extra="forbid")

    unit_id: str = Field(min_length=1, max_length=130, description="单元")
    inspections: int = Field(ge=0, le=10**9, description="检查数")
    findings: int = Field(ge=0, le=10**9, description="发现问题的检查数")
    days_earlier: float | None = Field(
        default=None, ge=-1e9, le=1e9, description="所发现问题比照常早发现的天数之和"
    )
    found_later: int | None = Field(
        default=None, ge=0, le=10**9, description="未查而后来暴露问题的对象数"
    )
    cost: float | None = Field(default=None, ge=0, le=1e12, description="费用或工时")


def assigned(kept: Kept) -> pl.DataFrame:
    """Return the units of a trial with ``key`` and ``arm``, null where there is no seed yet."""
    units = Declaration.model_validate_json(kept.declaration).units()
    if kept.seed is None:
        none = pl.lit(None, pl.String)
        return units.with_columns(none.alias("key"), none.alias("arm"))
    return trial.assign(units, kept.seed.seed)


def refuse_outcomes(rows: Sequence[Outcome], units: pl.DataFrame) -> None:
    """Raise a problem 422 for rows of no unit, of one unit twice, or with more found than seen."""
    known, seen = set(units["unit_id"].to_list()), set[str]()
    errors: list[FieldProblem] = []
    for place, row in enumerate(rows):
        wrong = None
        if row.unit_id not in known:
            wrong = ("unit_id", f"'{row.unit_id}' is no unit of this trial")
        elif row.unit_id in seen:
            wrong = ("unit_id", f"'{row.unit_id}' stands twice; give its sums once")
        elif row.findings > row.inspections:
            wrong = ("findings", "is above the inspections; count inspections with a problem")
        seen.add(row.unit_id)
        if wrong:
            errors.append(FieldProblem(field=f"body.rows.{place}.{wrong[0]}", message=wrong[1]))
    if errors:
        raise Problem(
            422,
            "faulty-rows",
            f"{len(errors)} of {len(rows)} rows have faults, and nothing was kept; correct them",
            errors=errors[:_NAMED],
        )


def table(units: pl.DataFrame, results: Mapping[str, Mapping[str, object]]) -> pl.DataFrame:
    """Return units with their sums; a sum that nobody entered is no column.

    Raises a problem 409 where a unit has no result, or a sum is there for some units only.
    """
    missing = [one for one in units["unit_id"].to_list() if one not in results]
    if missing:
        raise Problem(
            409,
            "results-missing",
            f"{len(missing)} of {units.height} units have no result yet, the first {missing[0]}; "
            "enter them all, as they were assigned: leaving units out would bias the comparison",
            more={"missing": missing[:_NAMED]},
        )
    schema = {"unit_id": pl.String, **dict.fromkeys(SUMS, pl.Float64)}
    rows = [{"unit_id": unit, **row} for unit, row in results.items()]
    told = pl.DataFrame(rows, schema=schema, orient="row")
    frame = units.join(told, on="unit_id", how="left", maintain_order="left")
    for name in _OPTIONAL:
        nulls = frame[name].null_count()
        if 0 < nulls < frame.height:
            raise Problem(
                409,
                "results-missing",
                f"'{name}' is there for {frame.height - nulls} of {frame.height} units; enter it "
                "for all of them, 0 where there was none, or for none",
                more={"missing": frame.filter(pl.col(name).is_null())["unit_id"].to_list()[:20]},
            )
    return frame.drop(name for name in _OPTIONAL if frame[name].null_count())
