"""A trial: the model's list against usual practice, by offices and periods that chance assigns.

    units(offices, periods) → assign(units, seed) → the work is done → compare(results)

Chance comes from keys as in a draw, so that anyone can check the assignment; half of each block
(the units of a period, unless said otherwise) works with the model's list. Figures are ratios of
sums over units, with the variance of ratios between units of one arm, stratified by block, since
visits of one office resemble each other.

Sources: Imbens and Rubin 2015, ch. 9, for stratified experiments; Donner and Klar 2000 for the size
of trials by cluster; Cochran 1977, ch. 6, for ratios.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from statistics import NormalDist
from typing import Final

import numpy as np
import polars as pl

from models.errors import InspectionError
from models.inspection.estimate import Floats, Ints
from models.inspection.intervals import check_level, quantile

MODEL: Final = "model"
USUAL: Final = "usual"

METRICS: Final[dict[str, tuple[str, str]]] = {
    "hit_rate": ("findings", "inspections"),
    "days_earlier": ("days_earlier", "findings"),
    "found_later": ("found_later", "inspections"),
    "cost": ("cost", "findings"),
}
"""What is compared: a sum of the results over another. ``days_earlier`` of findings, compared with
when usual supervision would have come; ``found_later``: problems that came to light within the
horizon at subjects which were not visited; ``cost``: hours or yuan for a finding."""

COMPARISON: Final[dict[str, pl.DataType]] = {
    "metric": pl.String(),
    MODEL: pl.Float64(),
    USUAL: pl.Float64(),
    "difference": pl.Float64(),
    "standard_error": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "p_value": pl.Float64(),
}
"""The columns of a comparison; ``difference`` is model less usual."""


def units(offices: Sequence[str], periods: Sequence[str]) -> pl.DataFrame:
    """Return what is assigned: ``unit_id``, ``office``, ``period``, and ``block``, the period."""
    frame = pl.DataFrame({"office": offices}).join(pl.DataFrame({"period": periods}), how="cross")
    return frame.select(
        pl.concat_str("office", "period", separator="@").alias("unit_id"),
        "office",
        "period",
        pl.col("period").alias("block"),
    )


def assign(units: pl.DataFrame, seed: str) -> pl.DataFrame:
    """Return ``units`` with ``key`` and ``arm``.

    ``units``: ``unit_id`` and ``block``. The key is the SHA-256 of seed, a line feed and the unit,
    in hex; in each block the half with the smallest keys gets the model's list, and of an odd
    number the block's own key says which arm gets one more.

    Raises:
        InspectionError: A unit stands twice, the seed is empty, or a block has a single unit.
    """
    if not seed:
        raise InspectionError("the seed is empty; give one that did not exist before the plan")
    for name in ("unit_id", "block"):
        if name not in units.columns or units[name].null_count():
            raise InspectionError(f"every unit needs '{name}'; see units()")
    if units["unit_id"].is_duplicated().any():
        one = units["unit_id"].filter(units["unit_id"].is_duplicated())[0]
        raise InspectionError(f"unit {one} stands twice; give each once")
    alone = units.group_by("block").len().filter(pl.col("len") < 2)["block"].sort()
    if alone.len():
        raise InspectionError(
            f"block {alone[0]} has a single unit, so that nothing is compared in it; put it "
            "together with another block"
        )
    blocks = units["block"].unique().to_list()
    odd = {block: int(_key(seed, f"block {block}")[-1], 16) % 2 for block in blocks}
    place = pl.struct("key", "unit_id").rank("ordinal").over("block")
    half = (pl.len().over("block") + pl.col("block").replace_strict(odd)) // 2
    keys = [_key(seed, unit) for unit in units["unit_id"].to_list()]
    arm = pl.when(place <= half).then(pl.lit(MODEL)).otherwise(pl.lit(USUAL))
    return units.with_columns(pl.Series("key", keys, dtype=pl.String)).with_columns(
        arm.alias("arm")
    )


def compare(results: pl.DataFrame, *, level: float = 0.95) -> pl.DataFrame:
    """Return the arms side by side; see :data:`METRICS` and :data:`COMPARISON`.

    ``results``: a row for each unit as it was assigned, whatever was done (intention to treat):
    ``arm``, ``block``, ``inspections`` and ``findings``, and where they are to be compared
    ``days_earlier``, ``found_later`` and ``cost``, sums over the unit.

    Raises:
        InspectionError: A value is missing or no number, an arm is unknown or has fewer than two
            units, more was found than inspected, or a sum that is divided by is 0.
    """
    check_level(level)
    sums = {name for pair in METRICS.values() for name in pair} & set(results.columns)
    for name in ("arm", "block", "inspections", "findings", *sorted(sums)):
        if name not in results.columns or results[name].null_count():
            raise InspectionError(f"every unit's result needs '{name}'; enter it, 0 where none")
    for name in sorted(sums):
        odd = results.filter(~pl.col(name).cast(pl.Float64).is_finite())
        if odd.height:
            raise InspectionError(f"'{name}' of a unit is {odd[name][0]}; enter a number")
    wrong = results.filter(
        (pl.col("inspections") < 0) | ~pl.col("findings").is_between(0, pl.col("inspections"))
    )
    if wrong.height:
        raise InspectionError(
            f"a unit has {wrong['findings'][0]} findings of {wrong['inspections'][0]} inspections; "
            "findings are inspections with a problem, from 0 to all of them"
        )
    others = sorted(set(results["arm"].unique()) - {MODEL, USUAL})
    if others:
        raise InspectionError(f"there is no arm '{others[0]}'; the arms are {MODEL} and {USUAL}")
    counts = [results.filter(arm=arm).height for arm in (MODEL, USUAL)]
    if min(counts) < 2:
        raise InspectionError(
            f"the arms have {counts[0]} (model) and {counts[1]} (usual) units; from fewer than "
            "two no variance follows"
        )
    rows = [
        _difference(results, metric, above, below, level)
        for metric, (above, below) in METRICS.items()
        if above in results.columns
    ]
    return pl.DataFrame(rows, schema=COMPARISON, orient="row")


@dataclass(frozen=True, slots=True)
class Size:
    """How large a trial must be: units and inspections in each arm."""

    units_per_arm: int
    inspections_per_arm: int
    design_effect: float


def needed(
    usual: float,
    model: float,
    *,
    per_unit: int,
    alike: float,
    level: float = 0.95,
    power: float = 0.8,
) -> Size:
    """Return the size of a trial that would show a hit rate of ``model`` beside ``usual``.

    Args:
        usual: Hit rate of usual practice.
        model: The one to be told from it.
        per_unit: Inspections of a unit.
        alike: Correlation of two inspections' outcomes within a unit (0.01 to 0.05 is common).
        level: Of the interval that shall leave out 0.
        power: The chance that it does.

    Raises:
        InspectionError: A rate is not between 0 and 1, or the two are alike.
    """
    _check_design(usual, model, per_unit, alike, level=level, power=power)
    reach = _reach(level, power)
    effect = 1 + (per_unit - 1) * alike
    spread = usual * (1 - usual) + model * (1 - model)
    inspections = reach**2 * spread * effect / (model - usual) ** 2
    # One unit more for the variance that is estimated between units (Snedecor and Cochran).
    many = max(math.ceil(inspections / per_unit) + 1, 2)
    return Size(units_per_arm=many, inspections_per_arm=many * per_unit, design_effect=effect)


def detectable(
    usual: float,
    *,
    units_per_arm: int,
    per_unit: int,
    alike: float,
    level: float = 0.95,
    power: float = 0.8,
) -> float:
    """Return the least hit rate above ``usual`` that a trial of this size would show; 1 if none."""
    low, high = usual, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        size = needed(usual, middle, per_unit=per_unit, alike=alike, level=level, power=power)
        low, high = (low, middle) if size.units_per_arm <= units_per_arm else (middle, high)
    return high


def _key(seed: str, unit: str) -> str:
    return sha256(f"{seed}\n{unit}".encode()).hexdigest()


def _difference(
    results: pl.DataFrame, metric: str, above: str, below: str, level: float
) -> dict[str, object]:
    arms = [_ratio(results.filter(arm=arm), above, below, arm) for arm in (MODEL, USUAL)]
    (model, one, free), (usual, other, more) = arms
    error = math.sqrt(one + other)
    # Welch's degrees of freedom, from those of the arms.
    freedom = (one + other) ** 2 / max(one**2 / free + other**2 / more, 1e-300)
    reach = quantile(level, max(freedom, 1.0)) * error
    return {
        "metric": metric,
        MODEL: model,
        USUAL: usual,
        "difference": model - usual,
        "standard_error": error,
        "low": model - usual - reach,
        "high": model - usual + reach,
        "p_value": _p_value(model - usual, error, max(freedom, 1.0)),
    }


def _ratio(part: pl.DataFrame, above: str, below: str, arm: str) -> tuple[float, float, float]:
    """Return a ratio of sums, its variance between units, and the degrees of freedom of that."""
    y, x = (part[name].cast(pl.Float64).to_numpy() for name in (above, below))
    total = float(x.sum())
    if total == 0:
        raise InspectionError(f"arm '{arm}' has no {below} at all; {above} over {below} is nothing")
    ratio = float(y.sum()) / total
    block = (part["block"].rank("dense").cast(pl.Int64) - 1).to_numpy()
    size, centred, freedom = _centred(y - ratio * x, block)
    return ratio, float((size * np.square(centred)).sum()) / total**2, freedom


def _centred(residual: Floats, block: Ints) -> tuple[Floats, Floats, float]:
    """Return n/(n − 1) of each unit's block, residuals about its mean, and degrees of freedom.

    Blocks of which an arm has a single unit are put together.
    """
    count = np.bincount(block)
    merged = np.where(count[block] > 1, block, block.max() + 1)
    if (count == 1).sum() == 1:
        merged = np.zeros_like(block)
    many = np.bincount(merged)
    mean = np.bincount(merged, residual) / np.maximum(many, 1)
    factor = many[merged] / np.maximum(many[merged] - 1, 1)
    return factor, residual - mean[merged], float(block.size - np.unique(merged).size)


def _p_value(difference: float, error: float, freedom: float) -> float:
    """Return the two-sided p value, by bisection over the level of the interval."""
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    wanted = abs(difference) / error
    low, high = 0.0, 1.0 - 1e-12
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if quantile(middle, freedom) > wanted else (middle, high)
    return 1 - high


def _reach(level: float, power: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)


def _check_design(
    usual: float, model: float, per_unit: int, alike: float, *, level: float, power: float
) -> None:
    for name, value in (
        ("hit rate", usual),
        ("hit rate", model),
        ("level", level),
        ("power", power),
    ):
        if not 0 < value < 1:
            raise InspectionError(f"the {name} {value:g} is not between 0 and 1")
    if usual == model:
        raise InspectionError(
            f"both hit rates are {usual:g}; say which difference the trial shall show"
        )
    if per_unit < 1 or not 0 <= alike < 1:
        raise InspectionError(
            f"{per_unit} inspections of a unit with correlation {alike:g} make no trial; give one "
            "inspection or more, and a correlation from 0 to below 1"
        )
