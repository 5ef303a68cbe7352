"""Findings against knowledge: what a draw is expected to find, and how well it tells the rate.

Between the riskiest only, which tells nothing about the others, and the draw that tells the rate
best lies a line of draws of which none is better in both. The office picks a point on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal, TypeAlias

import numpy as np
import polars as pl

from models.errors import InspectionError
from models.inspection.allocate import by_grade, by_risk
from models.inspection.estimate import Floats, Method
from models.inspection.intervals import check_level

Mix: TypeAlias = Literal["greedy", "risk", "grade", "uniform"]

PRECISIONS: Final = (0.0, *(float(10**power) for power in np.arange(-3, 2.1, 0.25)))
"""Weights of precision at which the frontier is computed; beyond, nothing changes any more."""

POINTS: Final[dict[str, pl.DataType]] = {
    "mix": pl.String(),
    "precision": pl.Float64(),
    "findings": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "half_width": pl.Float64(),
    "largest_weight": pl.Float64(),
}
"""The columns of a frontier; ``low`` and ``high`` are of the findings, ``half_width`` is of the
interval of the rate, null where the draw allows no estimate; ``largest_weight`` is 1/π at most."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a draw is expected to find, if the probabilities are calibrated.

    ``low`` and ``high`` enclose the findings; ``half_width`` is that of the rate's interval.
    """

    inspections: float
    findings: float
    low: float
    high: float
    rate: float
    half_width: float


def expected(
    allocation: pl.DataFrame,
    population: pl.DataFrame,
    *,
    method: Method = "difference",
    level: float = 0.95,
) -> Expected:
    """Return what the draw of ``allocation`` would find of ``population``.

    ``allocation``: ``subject_id``, ``stratum``, ``pi``; ``population``: ``subject_id`` and
    ``probability``. ``method`` is the estimator that the rate will be estimated with. The variance
    is that of the design, averaged over outcomes that are as probable as the model says.

    Raises:
        InspectionError: Somebody of the allocation has no probability.
    """
    check_level(level)
    rows = allocation.join(
        population.select("subject_id", "probability"),
        on="subject_id",
        how="left",
        maintain_order="left",
    )
    if rows["probability"].null_count():
        one = rows.filter(pl.col("probability").is_null())["subject_id"][0]
        raise InspectionError(f"subject {one} has no probability, so that nothing can be expected")
    p, pi = rows["probability"].to_numpy(), rows["pi"].to_numpy()
    place = (rows["stratum"].rank("dense").cast(pl.Int64) - 1).to_numpy()
    reach = NormalDist().inv_cdf((1 + level) / 2)
    findings = float((pi * p).sum())
    # As if subjects were drawn independently, which is never less than the truth.
    spread = reach * float(np.sqrt((pi * p * (1 - pi * p)).sum()))
    rate = float(p.mean())
    mean: Floats = {"ht": p, "hajek": p - rate, "difference": np.zeros(p.size)}[method]
    across = np.bincount(place, (1 - pi) * mean)
    centre = across / np.maximum(np.bincount(place, pi * (1 - pi)), 1e-300)
    between = pi * (1 - pi) * np.square(mean / pi - centre[place])
    variance = float(((1 / pi - 1) * p * (1 - p) + between).sum())
    return Expected(
        inspections=float(pi.sum()),
        findings=findings,
        low=max(findings - spread, 0.0),
        high=min(findings + spread, float(pi.sum())),
        rate=rate,
        half_width=reach * float(np.sqrt(variance)) / p.size,
    )


def frontier(
    population: pl.DataFrame,
    size: int,
    *,
    random_share: float,
    strata: Sequence[str] = ("grade",),
    ratios: Mapping[str, float] | None = None,
    precisions: Sequence[float] = PRECISIONS,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return the points between findings and precision, and others to compare; :data:`POINTS`.

    Rows of the mix ``risk`` are the frontier, most findings first: see :func:`.allocate.by_risk`.
    ``greedy`` takes the riskiest alone, ``uniform`` everybody alike, and ``grade``, where there are
    ``ratios``, follows the grades.

    Raises:
        InspectionError: As :func:`.allocate.by_risk` and :func:`.allocate.by_grade`.
    """

    def point(mix: Mix, pi: pl.DataFrame, precision: float | None) -> dict[str, object]:
        one = expected(pi, population, level=level)
        return {
            "mix": mix,
            "precision": precision,
            "findings": one.findings,
            "low": one.low,
            "high": one.high,
            "half_width": one.half_width,
            "largest_weight": 1 / float(pi["pi"].to_numpy().min()),
        }

    rows = [_greedy(population, size, level)]
    for precision in precisions:
        pi = by_risk(
            population, size, random_share=random_share, precision=precision, strata=strata
        )
        rows.append(point("risk", pi, precision))
    if ratios is not None:
        rows.append(point("grade", by_grade(population, ratios, strata=strata), None))
    rows.append(point("uniform", by_risk(population, size, random_share=1.0, strata=strata), None))
    return pl.DataFrame(rows, schema=POINTS, orient="row")


def choose(
    points: pl.DataFrame, *, half_width: float | None = None, share: float | None = None
) -> float:
    """Return the weight of precision of the point that is asked, for :func:`.allocate.by_risk`.

    Exactly one of: ``half_width``, the widest interval of the rate that is wanted, for the point
    with most findings; ``share``, the least part of what the riskiest alone would bring, for the
    point with the narrowest interval.

    Raises:
        InspectionError: Both or neither are given, or no point does.
    """
    if (half_width is None) == (share is None):
        raise InspectionError("choose by exactly one of half_width and share")
    line = points.filter(mix="risk")
    if half_width is not None:
        fit = line.filter(pl.col("half_width") <= half_width).sort("findings", descending=True)
        best = float(line["half_width"].to_numpy().min())
        hint = f"no draw of this size tells the rate to ±{half_width:g}; the best is ±{best:.4f}"
    else:
        most = float(points.filter(mix="greedy")["findings"][0])
        fit = line.filter(pl.col("findings") >= (share or 0) * most).sort("half_width")
        best = float(line["findings"].to_numpy().max()) / most if most else 0.0
        hint = (
            f"no draw with this random share finds {share:.0%} of what the riskiest alone would; "
            f"the best finds {best:.1%}"
        )
    if not fit.height:
        raise InspectionError(f"{hint}; ask less, or draw more")
    return float(fit["precision"][0])


def _greedy(population: pl.DataFrame, size: int, level: float) -> dict[str, object]:
    certain = (
        pl.col("mandatory").is_not_null()
        if "mandatory" in population.columns
        else pl.lit(value=False)
    )
    ranked = population.select("probability", certain.alias("certain")).sort(
        "certain", "probability", descending=True
    )
    p = ranked["probability"].head(size).to_numpy()
    reach = NormalDist().inv_cdf((1 + level) / 2)
    spread = reach * float(np.sqrt((p * (1 - p)).sum()))
    findings = float(p.sum())
    return {
        "mix": "greedy",
        "precision": None,
        "findings": findings,
        "low": max(findings - spread, 0.0),
        "high": min(findings + spread, float(size)),
        "half_width": None,
        "largest_weight": None,
    }
