"""Expert rules: points by a table that anybody can check, and vetoes; nothing is learnt.

``rules.yaml`` gives each dimension of the official indicator system (企业信用风险分类管理) its
points, and each table of records its dimension. Indicators are the catalogue's counts whose hint is
that more of them is worse. A veto of the scenario is worth all points at once (一票否决).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Final

import polars as pl
import polars.selectors as cs
import yaml
from pydantic import BaseModel, ConfigDict, Field

from models.features.spec import FeatureSpec
from models.risk.encode import FloatArray
from models.scenarios.scenario import Scenario
from models.scenarios.where import parse
from training.risk.baseline.scorer import Scorer

TOTAL: Final = 1000.0
AGE: Final = "subject_age_days"
_DAYS: Final = 365

Share = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dimension(_Frozen):
    """A dimension of the indicator system: its points, and whose records belong to it."""

    id: str
    title: str
    weight: Annotated[float, Field(gt=0)]
    tables: tuple[str, ...]
    families: tuple[str, ...]


class Age(_Frozen):
    """The share of the first dimension's points for subjects younger than ``below`` days."""

    below: int
    share: Share


class Points(_Frozen):
    """The table of points; see ``rules.yaml``."""

    once: Share
    twice: Share
    groups: tuple[Dimension, ...]
    age: tuple[Age, ...]


@dataclass(frozen=True, slots=True)
class Indicator:
    """A feature that earns points in a dimension."""

    dimension: str
    feature: str


@cache
def points() -> Points:
    """Read the table of points."""
    text = files("training.risk.baseline").joinpath("rules.yaml").read_text(encoding="utf-8")
    return Points.model_validate(yaml.safe_load(text))


def indicators(features: tuple[FeatureSpec, ...]) -> tuple[Indicator, ...]:
    """Return the counts that earn points: one window of each, and only where more is worse."""
    by_table = {table: one.id for one in points().groups for table in one.tables}
    by_family = {family: one.id for one in points().groups for family in one.families}
    counts = [
        spec
        for spec in features
        if spec.dtype == "number" and spec.monotone == "up" and _is_count(spec)
    ]
    windows: dict[tuple[str | None, str | None, str | None, str | None], FeatureSpec] = {}
    for spec in counts:
        if spec.family != "window":
            continue
        key = (spec.table, spec.stat, spec.column, spec.level)
        kept = windows.get(key)
        if kept is None or abs((spec.window or 0) - _DAYS) < abs((kept.window or 0) - _DAYS):
            windows[key] = spec
    told = [(by_table.get(spec.table or ""), spec) for spec in windows.values()] + [
        (by_family.get(spec.family), spec) for spec in counts if spec.family != "window"
    ]
    return tuple(Indicator(where, spec.name) for where, spec in told if where is not None)


def rules(scenario: Scenario, features: tuple[FeatureSpec, ...]) -> Scorer:
    """Return the points, 0 to 1000, as thousandths; a veto of the scenario gives all of them.

    An indicator that is not known (null or NaN) earns nothing, and meets no veto.
    """
    expression = _points(features)

    def score(frame: pl.DataFrame) -> FloatArray:
        there = set(frame.columns)
        readable = [veto for veto in scenario.veto if parse(veto.when).names <= there]
        told = expression
        for veto in readable:
            hit = pl.sql_expr(veto.when).fill_null(value=False)
            told = pl.when(hit).then(TOTAL).otherwise(told)
        # Polars takes NaN for more than any number.
        known = frame.with_columns(cs.float().fill_nan(None))
        return known.with_columns((told / TOTAL).alias("_points"))["_points"].to_numpy()

    return score


def _is_count(spec: FeatureSpec) -> bool:
    if spec.family == "window":
        return spec.stat == "count"
    return spec.name.endswith("_count") or "_count_" in spec.name


def _points(features: tuple[FeatureSpec, ...]) -> pl.Expr:
    table = points()
    found = indicators(features)
    parts: list[pl.Expr] = []
    for place, one in enumerate(table.groups):
        mine = [_earned(pl.col(i.feature), table) for i in found if i.dimension == one.id]
        if place == 0 and any(spec.name == AGE for spec in features):
            mine.append(_age(table))
        if mine:
            earned = (pl.max_horizontal(mine) + pl.mean_horizontal(mine)) / 2
            parts.append(earned * one.weight)
    return pl.sum_horizontal(parts) if parts else pl.lit(0.0)


def _earned(count: pl.Expr, table: Points) -> pl.Expr:
    return (
        pl.when(count >= 3)
        .then(1.0)
        .when(count >= 2)
        .then(table.twice)
        .when(count >= 1)
        .then(table.once)
        .otherwise(0.0)
    )


def _age(table: Points) -> pl.Expr:
    earned = pl.lit(0.0)
    for one in reversed(table.age):
        earned = pl.when(pl.col(AGE) < one.below).then(one.share).otherwise(earned)
    return earned
