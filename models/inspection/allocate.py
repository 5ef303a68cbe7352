"""Target inclusion probabilities: from grades and probabilities of a pool to π of each subject.

    by_grade    published ratios by grade (分级抽查比例), equal within a stratum
    by_risk     most findings for the precision that is wanted, nobody below the random share

Either way the π of a stratum sum to a whole number, which is how many are drawn from it, those for
certain included, and nobody has π = 0 (不免抽).

Source of the risk-weighted π: the largest Σ π p − w Σ p (1 − p)/π, findings less what the rate
estimate loses (the anticipated variance of the difference estimator, Isaki and Fuller 1982), under
Σ π = n, which is π = √(w p (1 − p) / (ν − p)) between the floor and 1 with ν settled by the sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import numpy as np
import polars as pl

from models.errors import InspectionError
from models.inspection.estimate import Floats, Ints

FEWEST: Final = 2
"""How many are drawn from a stratum at least, where it has them: from one no variance follows."""

COLUMNS: Final[dict[str, pl.DataType]] = {
    "subject_id": pl.String(),
    "stratum": pl.String(),
    "pi": pl.Float64(),
    "mandatory": pl.String(),
}
"""The columns of allocations, in order; ``mandatory`` is null for those drawn by chance."""

_STEPS: Final = 200
_SLACK: Final = 1e-9


class Mandatory(StrEnum):
    """Why a subject is inspected whatever the draw (DOMAIN: 月查+飞行检查 and lists)."""

    FOOD_DISHONEST = "food_dishonest"
    MEDICAL_DISHONEST = "medical_dishonest"
    SERIOUS_DISHONEST = "serious_dishonest"
    VETO = "veto"

    @property
    def label(self) -> str:
        """Return its Chinese title."""
        return _TITLES[self]

    @property
    def monthly(self) -> bool:
        """Return whether it means a visit each month and unannounced ones (月查＋飞行检查)."""
        return self in {Mandatory.FOOD_DISHONEST, Mandatory.MEDICAL_DISHONEST}


_TITLES: Final = {
    Mandatory.FOOD_DISHONEST: "食品领域失信主体（月查＋飞行检查）",
    Mandatory.MEDICAL_DISHONEST: "医疗领域失信主体（月查＋飞行检查）",
    Mandatory.SERIOUS_DISHONEST: "严重违法失信主体",
    Mandatory.VETO: "一票否决",
}


def by_grade(
    population: pl.DataFrame,
    ratios: Mapping[str, float],
    *,
    capacity: int | None = None,
    strata: Sequence[str] = ("grade",),
) -> pl.DataFrame:
    """Return π by the ratio of each grade, in the order of ``population``; see :data:`COLUMNS`.

    A stratum is drawn as often as its ratio says, rounded, but not less than :data:`FEWEST` times.

    Args:
        population: ``subject_id``, ``grade``, the columns of ``strata`` and, if anybody is,
            ``mandatory`` with a :class:`Mandatory`, who come on top.
        ratios: The share to be drawn of each grade, above 0.
        capacity: How many can be inspected in the period, null for any number.
        strata: Columns whose combinations are drawn from separately; grade is one of them.

    Raises:
        InspectionError: Somebody has no grade or no ratio, a ratio is not in (0, 1], or it all
            comes to more than the capacity.
    """
    if "grade" not in strata:
        raise InspectionError("ratios differ by grade; name 'grade' among the strata")
    rows = _population(population, strata, needs="grade")
    _check_ratios(ratios, rows["grade"])
    share = pl.col("grade").replace_strict(dict(ratios), return_dtype=pl.Float64)
    rows = rows.with_columns(share.alias("pi"))
    sizes = (
        rows.filter(pl.col("mandatory").is_null())
        .group_by("stratum")
        .agg(pl.col("pi").sum().alias("wanted"), pl.len().alias("there"))
        .with_columns(
            pl.min_horizontal(
                pl.max_horizontal(pl.col("wanted").round(), pl.lit(float(FEWEST))), "there"
            ).alias("size")
        )
    )
    made = rows.join(sizes, on="stratum", how="left", maintain_order="left").with_columns(
        pl.when(pl.col("mandatory").is_null())
        .then(pl.col("size") / pl.col("there"))
        .otherwise(1.0)
        .alias("pi")
    )
    _check_capacity(made, capacity)
    return made.select(*COLUMNS)


def affordable(
    population: pl.DataFrame, ratios: Mapping[str, float], capacity: int
) -> dict[str, float]:
    """Return the ratios lowered by one factor, so that the whole pool fits the capacity.

    Mandatory subjects are served first. Raises :class:`InspectionError` where they alone are more.
    """
    rows = _population(population, ("grade",), needs="grade")
    _check_ratios(ratios, rows["grade"])
    certain = rows["mandatory"].count()
    counts = rows.filter(pl.col("mandatory").is_null())["grade"].value_counts().iter_rows()
    wanted = sum(ratios[grade] * many for grade, many in counts)
    if certain >= capacity:
        raise InspectionError(_too_many(certain, certain, capacity))
    factor = min(1.0, (capacity - certain) / wanted) if wanted else 1.0
    return {grade: ratio * factor for grade, ratio in ratios.items()}


def by_risk(
    population: pl.DataFrame,
    size: int,
    *,
    random_share: float,
    precision: float = 0.0,
    strata: Sequence[str] = ("grade",),
) -> pl.DataFrame:
    """Return π that rise with the probability, in the order of ``population``; see :data:`COLUMNS`.

    Args:
        population: ``subject_id``, ``probability`` in [0, 1], the columns of ``strata`` and, if
            anybody is, ``mandatory``.
        size: How many are inspected in all, those on mandatory lists included.
        random_share: The share of the draw that is spread evenly: nobody's π is below that share
            of the mean π (but for the rounding of strata to whole numbers).
        precision: What the precision of the rate estimate is worth beside findings: 0 takes the
            riskiest for certain but for the random share; the larger, the nearer to what estimates
            the rate best. See :mod:`.frontier` for the choice.
        strata: Columns whose combinations are drawn from separately.

    Raises:
        InspectionError: Somebody has no probability, or the size does not fit the pool or is too
            small for its strata.
    """
    if not 0 < random_share <= 1:
        raise InspectionError(
            f"the random share {random_share:g} is not in (0, 1]; without one, somebody would be "
            "exempt and no rate could be estimated"
        )
    rows = _population(population, strata, needs="probability")
    chance = rows["mandatory"].is_null().to_numpy()
    left = size - int((~chance).sum())
    many = int(chance.sum())
    if left > many or left < min(many, 1):
        raise InspectionError(
            f"{size} are to be drawn of {rows.height}, of whom {rows.height - many} for certain; "
            "give a size above those and not above all (不免抽)"
        )
    pi = np.ones(rows.height)
    probability = rows["probability"].to_numpy()[chance]
    if many:
        wanted = weigh(probability, left, floor=random_share * left / many, precision=precision)
        places = (rows["stratum"].rank("dense").cast(pl.Int64) - 1).to_numpy()[chance]
        pi[chance] = whole(wanted, np.unique(places, return_inverse=True)[1])
        drawn = round(float(pi.sum()))
        if drawn > size:
            raise InspectionError(
                f"{size} are to be drawn, and {FEWEST} of each of the {np.unique(places).size} "
                f"strata come to {drawn} with those for certain; draw more or name fewer strata"
            )
    return rows.with_columns(pl.Series("pi", pi)).select(*COLUMNS)


def weigh(probability: Floats, size: int, *, floor: float, precision: float) -> Floats:
    """Return the π of the module's formula, which sum to ``size``.

    ``floor`` is what nobody lies below and ``precision`` the weight w, in units of the mean π
    squared, so that it means the same for draws of every size.
    """
    if not 0 <= precision < np.inf:
        raise InspectionError(
            f"the weight of precision {precision:g} is negative or without end; give 0 or more"
        )
    if not probability.size:
        return probability
    if floor * probability.size >= size:
        return np.full(probability.size, size / probability.size)
    if precision == 0:
        return _riskiest(probability, size, floor)
    weight = precision * (size / probability.size) ** 2
    # Calibrated probabilities take few values, however many subjects there are.
    levels, counts = np.unique(probability, return_counts=True)

    def at(bound: float, p: Floats) -> Floats:
        above = np.maximum(bound - p, 1e-300)
        return np.clip(np.where(p < bound, np.sqrt(weight * p * (1 - p) / above), 1.0), floor, 1.0)

    def too_many(bound: float) -> bool:
        return float((counts * at(bound, levels)).sum()) > size

    low, high = 0.0, 1.0
    while high < 1e300 and too_many(high):  # the floors alone may pass the size by a rounding
        high *= 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        low, high = (middle, high) if too_many(middle) else (low, middle)
    return _summing(at(high, probability), float(size))


def whole(pi: Floats, stratum: Ints) -> Floats:
    """Return π scaled within each stratum so that its sum is whole and their total is kept.

    Sums are rounded by largest remainders, to :data:`FEWEST` at least where there are so many;
    where some π reach 1, the others take what these cannot.
    """
    many = int(stratum.max(initial=-1)) + 1
    there = np.bincount(stratum, minlength=many)
    sums: Floats = np.bincount(stratum, pi, minlength=many).astype(np.float64)
    sizes = _rounded(sums, np.minimum(there, FEWEST), there, total=round(float(sums.sum())))
    made = pi.copy()
    for place in range(many):
        rows = np.flatnonzero(stratum == place)
        made[rows] = _summing(pi[rows], float(sizes[place]))
    return made


def _population(population: pl.DataFrame, strata: Sequence[str], *, needs: str) -> pl.DataFrame:
    """Return the checked population with ``stratum`` and ``mandatory``."""
    if not population.height:
        raise InspectionError("the pool is empty; check the matters, regions and states it asks")
    for name in ("subject_id", needs, *strata):
        if name not in population.columns:
            raise InspectionError(f"the pool has no column '{name}'; it has {population.columns}")
        if population[name].null_count():
            one = population.filter(pl.col(name).is_null())["subject_id"][0]
            raise InspectionError(
                f"{population[name].null_count()} of the pool have no {name}, {one} first; "
                "decide on them before, or leave them out"
            )
    twice = population["subject_id"].is_duplicated()
    if twice.any():
        raise InspectionError(
            f"subject {population['subject_id'].filter(twice)[0]} stands twice in the pool; "
            "give each once"
        )
    if needs == "probability" and not population["probability"].is_between(0, 1).all():
        raise InspectionError("a probability is not between 0 and 1; give those of the decisions")
    listed = (
        pl.col("mandatory").cast(pl.String)
        if "mandatory" in population.columns
        else pl.lit(None, pl.String())
    )
    named = population.with_columns(
        pl.concat_str(*map(_name, strata), separator="/").alias("stratum"),
        listed.alias("mandatory"),
    )
    refuse_lists(named["mandatory"])
    return named


def _name(column: str) -> pl.Expr:
    """Return a part of a stratum's name, in which no stroke is one that joins two parts."""
    text = pl.col(column).cast(pl.String)
    return text.str.replace_all("%", "%25", literal=True).str.replace_all("/", "%2F", literal=True)


def refuse_lists(names: pl.Series) -> None:
    """Raise :class:`InspectionError` for a name that is no :class:`Mandatory` list; null passes."""
    odd = set(names.drop_nulls().unique()) - set(Mandatory)
    if odd:
        raise InspectionError(
            f"'{min(odd)}' is no mandatory list; there are {', '.join(Mandatory)}"
        )


def _check_ratios(ratios: Mapping[str, float], grades: pl.Series) -> None:
    without = sorted(set(grades.unique()) - set(ratios))
    if without:
        raise InspectionError(f"grade {without[0]} has no ratio; give one above 0 (不免抽)")
    for grade, ratio in ratios.items():
        if not 0 < ratio <= 1:
            raise InspectionError(f"the ratio {ratio:g} of grade {grade} is not in (0, 1]")


def _check_capacity(made: pl.DataFrame, capacity: int | None) -> None:
    wanted = round(float(made["pi"].sum()))
    if capacity is not None and wanted > capacity:
        raise InspectionError(_too_many(wanted, made["mandatory"].count(), capacity))


def _too_many(wanted: int, certain: int, capacity: int) -> str:
    return (
        f"the ratios come to {wanted} inspections, {certain} of them mandatory, and the capacity "
        f"is {capacity}; lower the ratios (see affordable) or raise the capacity"
    )


def _riskiest(probability: Floats, size: int, floor: float) -> Floats:
    """Return 1 for the riskiest and the floor for the others; who ties at the edge shares."""
    many = probability.size
    free = (size - floor * many) / (1 - floor)
    levels, place, counts = np.unique(-probability, return_inverse=True, return_counts=True)
    before = np.cumsum(counts) - counts
    share = np.clip((free - before) / counts, 0.0, 1.0)
    return floor + (1 - floor) * share[place] if levels.size else probability


def _summing(pi: Floats, size: float) -> Floats:
    """Return π in proportion, none above 1, that sum to ``size``; those at 1 stay there."""
    if size >= pi.size:
        return np.ones(pi.size)
    made = pi.copy()
    for _ in range(pi.size):
        free = made < 1
        left = size - float(pi.size - free.sum())
        if left <= 0:
            # Rounding down below those for certain: nobody is certain then.
            return np.clip(pi * (size / float(pi.sum())), 0.0, 1.0)
        made[free] *= left / float(made[free].sum())
        full = free & (made > 1 - _SLACK)
        if not full.any():
            break
        made[full] = 1.0
    return made


def _rounded(sums: Floats, least: Ints, most: Ints, *, total: int) -> Ints:
    """Return whole numbers near ``sums`` within bounds; their total is kept where bounds allow."""
    base = np.clip(np.floor(sums + _SLACK).astype(np.int64), least, most)
    remainder = sums - base
    while base.sum() < total and (base < most).any():
        base[np.argmax(np.where(base < most, remainder, -np.inf))] += 1
        remainder = sums - base
    while base.sum() > total and (base > least).any():
        base[np.argmin(np.where(base > least, remainder, np.inf))] -= 1
        remainder = sums - base
    return base
