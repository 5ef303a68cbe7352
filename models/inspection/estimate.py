"""Rates of problems found: from a drawn sample to the whole pool, with design-based intervals.

    Horvitz–Thompson   Σ y/π / N                       unbiased; N from the pool
    Hájek              Σ y/π / Σ 1/π                   steadier where π differs within strata
    difference         mean of p over the pool + Σ (y − p)/π / N
                                                       unbiased whatever the model; narrower the
                                                       better the model

Sources: Horvitz and Thompson 1952; Hájek 1964 for the variance of fixed-size designs of high
entropy, which Rosén 1997 proves for Pareto sampling and which is exact for equal probabilities in
strata; Särndal, Swensson and Wretman 1992, ch. 5 to 7, for ratios, groups and the difference
estimator; Korn and Graubard 1998 for intervals of proportions from an effective sample size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import InspectionError
from models.inspection.intervals import check_level, effective_size, interval, quantile

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Method: TypeAlias = Literal["ht", "hajek", "difference"]
Missing: TypeAlias = Literal["refuse", "reweight"]

FIGURES: Final[dict[str, pl.DataType]] = {
    "population": pl.Int64(),
    "drawn": pl.Int64(),
    "observed": pl.Int64(),
    "rate": pl.Float64(),
    "standard_error": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
}
"""The columns of estimates after those of the groups, in order."""


def rates(
    sample: pl.DataFrame,
    pool: pl.DataFrame,
    *,
    method: Method = "hajek",
    by: Sequence[str] = (),
    level: float = 0.95,
    missing: Missing = "refuse",
    collapse: bool = False,
) -> pl.DataFrame:
    """Return the rate of positives in the pool, or in each group ``by`` it; see :data:`FIGURES`.

    ``rate`` and its interval are null where nobody of a group was observed, ``standard_error`` is 0
    where everybody was. Intervals are Wilson's with the effective sample size, so that they stay in
    [0, 1] and say something where no problem was found.

    Args:
        sample: Everybody drawn: ``subject_id``, ``inclusion_probability`` (the true one), and
            ``positive`` (Boolean, or a number in [0, 1]; null: no result). With a column
            ``in_scope``, those for whom it is false did not carry on the activity and the rate is
            one of those who do; their ``positive`` may be null. Only ``hajek`` allows that, as
            nobody knows how many of the pool are in scope.
        pool: Everybody who could be drawn: ``subject_id``, ``stratum``, the columns ``by``, and
            ``probability``, the model's, for ``difference``.
        method: See the module.
        by: Columns of ``pool``; there is a row for each combination, sorted.
        level: Of the intervals.
        missing: What null results mean: ``refuse``, or ``reweight``, which lets those with a
            result stand for those without in the same stratum.
        collapse: Put strata of which a single result came together, to have a variance at all; it
            is then too large rather than too small.

    Raises:
        InspectionError: The frames do not fit together, a result is missing, a stratum of the pool
            has nobody observed, or one result alone and ``collapse`` is false.
    """
    check_level(level)
    drawn = joined(sample, pool, columns=[*by, *_needed(method)])
    seen = Observed.of(drawn, missing=missing, collapse=collapse)
    if method != "hajek" and not seen.scope.all():
        raise InspectionError(
            f"{int((~seen.scope).sum())} of the drawn are out of scope, and how many of the pool "
            f"are is unknown, which '{method}' needs; use 'hajek'"
        )
    rows = [
        {**key, **_figures(seen, members, whole, method, level)}
        for key, members, whole in _groups(seen.frame, pool, by)
    ]
    schema = {**{name: pool.schema[name] for name in by}, **FIGURES}
    return pl.DataFrame(rows, schema=schema, orient="row")


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """Those of whom there is a result: their rows, outcome, π (adjusted), stratum and scope.

    ``everybody`` are the rows of all who were drawn.
    """

    frame: pl.DataFrame
    outcome: Floats
    pi: Floats
    stratum: Ints
    scope: NDArray[np.bool_]
    everybody: pl.DataFrame

    @classmethod
    def of(cls, drawn: pl.DataFrame, *, missing: Missing, collapse: bool) -> Observed:
        """Return the observed among ``drawn``, whose columns are those of a sample and strata."""
        scope = pl.col("in_scope") if "in_scope" in drawn.columns else pl.lit(value=True)
        rows = drawn.with_columns(
            pl.col("positive").cast(pl.Float64), scope.fill_null(value=True).alias("in_scope")
        ).with_columns(pl.when("in_scope").then("positive").otherwise(0.0).alias("positive"))
        _check_outcomes(rows, missing)
        known = pl.col("positive").is_not_null()
        weight = 1 / pl.col("inclusion_probability")
        share = (weight * known).sum().over("stratum") / weight.sum().over("stratum")
        answered = pl.when(known.all().over("stratum")).then(1.0).otherwise(share)
        seen = rows.with_columns((pl.col("inclusion_probability") * answered).alias("_pi")).filter(
            known
        )
        pi = seen["_pi"].to_numpy()
        return cls(
            frame=seen,
            outcome=seen["positive"].to_numpy(),
            pi=pi,
            stratum=_strata(seen["stratum"], pi, collapse=collapse),
            scope=seen["in_scope"].to_numpy(),
            everybody=rows,
        )


def joined(sample: pl.DataFrame, pool: pl.DataFrame, *, columns: Sequence[str]) -> pl.DataFrame:
    """Return the sample with ``stratum`` and ``columns`` of the pool.

    Raises :class:`InspectionError` for what is missing, null, twice there or not in the pool.
    """
    _check_columns(sample, ("subject_id", "inclusion_probability", "positive"), "the sample")
    _check_columns(pool, ("subject_id", "stratum", *columns), "the pool")
    for frame, what in ((sample, "sample"), (pool, "pool")):
        twice = frame["subject_id"].is_duplicated()
        if twice.any():
            one = frame["subject_id"].filter(twice)[0]
            raise InspectionError(f"subject {one} stands twice in the {what}; give each once")
    keep = [c for c in ("in_scope",) if c in sample.columns]
    rows = sample.select("subject_id", "inclusion_probability", "positive", *keep)
    strangers = rows.join(pool, on="subject_id", how="anti")
    if strangers.height:
        raise InspectionError(
            f"subject {strangers['subject_id'][0]} and {strangers.height - 1} more were drawn but "
            "are not in the pool; give the pool that was frozen for this draw"
        )
    odd = rows.filter(~pl.col("inclusion_probability").is_between(0, 1, closed="right"))
    if odd.height:
        raise InspectionError(
            f"subject {odd['subject_id'][0]} has the inclusion probability "
            f"{odd['inclusion_probability'][0]}, which is not in (0, 1]"
        )
    unseen = pool.join(rows.join(pool, on="subject_id").select("stratum"), on="stratum", how="anti")
    if unseen.height:
        raise InspectionError(
            f"nobody of stratum {unseen['stratum'].sort()[0]} is in the sample, though somebody of "
            "every stratum is drawn; give all who were drawn, with null where there is no result"
        )
    own = dict.fromkeys(("subject_id", "stratum", *columns))
    return rows.join(pool.select(*own), on="subject_id", how="left", maintain_order="left")


def refuse_chances(pool: pl.DataFrame) -> None:
    """Raise :class:`InspectionError` where a pool's inclusion probability is not in (0, 1]."""
    _check_columns(pool, ("subject_id", "inclusion_probability"), "the pool")
    odd = pool.filter(~pl.col("inclusion_probability").is_between(0, 1, closed="right"))
    if odd.height:
        raise InspectionError(
            f"subject {odd['subject_id'][0]} of the pool has the inclusion probability "
            f"{odd['inclusion_probability'][0]}, which is not in (0, 1]"
        )


def variance(scaled: Floats, pi: Floats, stratum: Ints) -> float:
    """Return the variance of the sum of ``scaled``, which are y/π of a fixed-size draw in strata.

    ``pi``: inclusion probabilities; those drawn for certain add nothing. ``stratum``: places from
    0. Hájek's: Σ c (y/π − A)² with c = (1 − π) n/(n − 1) and A the mean of y/π weighted by c.
    """
    return float(_shares(scaled, pi, stratum).sum())


def degrees(scaled: Floats, pi: Floats, stratum: Ints) -> float:
    """Return the degrees of freedom of :func:`variance`, 1 at least.

    Satterthwaite's, 2 V² / var V, with the variance of V as it is seen between its terms: where it
    rests on a few problems among the seldom drawn, it is as uncertain as they are few.
    """
    chance = pi < 1
    share, place = _shares(scaled, pi, stratum)[chance], stratum[chance]
    if not share.size or not share.any():
        return max(float(share.size - np.unique(place).size), 1.0)
    size = np.bincount(place)
    mean = np.bincount(place, share) / np.maximum(size, 1)
    factor = (size / np.maximum(size - 1, 1))[place]
    spread = float((factor * (1 - pi[chance]) * np.square(share - mean[place])).sum())
    most = float(share.size - np.unique(place).size)
    return max(min(2 * float(share.sum()) ** 2 / max(spread, 1e-300), most), 1.0)


def _shares(scaled: Floats, pi: Floats, stratum: Ints) -> Floats:
    """Return what each of the drawn adds to the variance."""
    many = int(stratum.max(initial=0)) + 1
    size = np.bincount(stratum, pi < 1, minlength=many)
    c = (1 - pi) * (size / np.maximum(size - 1, 1))[stratum]
    mass = np.bincount(stratum, c, minlength=many)
    centre = np.bincount(stratum, c * scaled, minlength=many) / np.where(mass > 0, mass, 1)
    return c * np.square(scaled - centre[stratum])


def _needed(method: Method) -> tuple[str, ...]:
    return ("probability",) if method == "difference" else ()


def _check_columns(frame: pl.DataFrame, names: Sequence[str], what: str) -> None:
    for name in names:
        if name not in frame.columns:
            raise InspectionError(f"{what} has no column '{name}'; it has {frame.columns}")
        if name != "positive" and frame[name].null_count():
            raise InspectionError(
                f"'{name}' is null in {frame[name].null_count()} rows of {what}; fill it in"
            )
    if not frame.height:
        raise InspectionError(f"{what} is empty; there is nothing to estimate from")
    if "positive" in names and frame["positive"].dtype == pl.String:
        raise InspectionError(f"'positive' of {what} is text; give true, false or a share")
    if "probability" in names and not frame["probability"].is_between(0, 1).all():
        raise InspectionError(f"a probability of {what} is not between 0 and 1; give the model's")


def _check_outcomes(rows: pl.DataFrame, missing: Missing) -> None:
    odd = rows.filter(~pl.col("positive").is_between(0, 1))
    if odd.height:
        raise InspectionError(
            f"subject {odd['subject_id'][0]} has the result {odd['positive'][0]}, which is not "
            "between 0 and 1; positive is true, false or a share"
        )
    without = rows["positive"].null_count()
    if without and missing == "refuse":
        raise InspectionError(
            f"{without} of {rows.height} drawn have no result; wait for them, or let the others "
            "of their stratum stand for them with missing='reweight'"
        )
    empty = rows.group_by("stratum").agg(pl.col("positive").count()).filter(positive=0)
    if empty.height:
        raise InspectionError(
            f"nobody of stratum {empty['stratum'].sort()[0]} has a result, so that nobody can "
            "stand for it; inspect some of it, or leave it out of the pool"
        )


def _strata(names: pl.Series, pi: Floats, *, collapse: bool) -> Ints:
    """Return places of strata of which each has two results drawn by chance, or none."""
    places = (names.rank("dense").cast(pl.Int64) - 1).to_numpy().copy()
    chance = np.bincount(places, pi < 1)
    lonely = np.flatnonzero(chance == 1)
    if not lonely.size:
        return places
    if not collapse:
        one = names.to_list()[int(np.flatnonzero(places == lonely[0])[0])]
        raise InspectionError(
            f"stratum {one} and {lonely.size - 1} more have a single result drawn by chance, from "
            "which no variance follows; draw two of each, or put them together with collapse=True"
        )
    others = np.flatnonzero(chance > 1)
    if lonely.size == 1 and others.size:
        partner = others[np.argmin(chance[others])]
        places[places == partner] = lonely[0]
    places[np.isin(places, lonely)] = lonely[0]
    return places


def _groups(
    seen: pl.DataFrame, pool: pl.DataFrame, by: Sequence[str]
) -> Iterator[tuple[dict[str, object], NDArray[np.bool_], pl.DataFrame]]:
    """Yield each group's key, who of the observed is in it, and its part of the pool."""
    if not by:
        yield {}, np.ones(seen.height, dtype=np.bool_), pool
        return
    parts = pool.partition_by(*by, as_dict=True, maintain_order=True)
    places = seen.with_row_index("_at").partition_by(*by, as_dict=True)
    for key in sorted(parts, key=str):
        members = np.zeros(seen.height, dtype=np.bool_)
        if key in places:
            members[places[key]["_at"].to_numpy()] = True
        yield dict(zip(by, key, strict=True)), members, parts[key]


def _figures(
    seen: Observed, members: NDArray[np.bool_], whole: pl.DataFrame, method: Method, level: float
) -> dict[str, object]:
    inside = members & seen.scope
    counted: dict[str, object] = {
        "population": whole.height,
        "drawn": seen.everybody.join(whole, on="subject_id", how="semi").height,
        "observed": int(inside.sum()),
    }
    if not inside.any():
        return counted
    rate, residual, mass = _linear(seen, inside, whole, method)
    scaled = np.where(inside, residual, 0.0) / seen.pi / mass
    error = float(np.sqrt(variance(scaled, seen.pi, seen.stratum)))
    reach = quantile(level, degrees(scaled, seen.pi, seen.stratum))
    size = effective_size(seen.pi[inside], whole=int(members.sum()) == whole.height)
    low, high = interval(rate, error, reach=reach, fallback=size)
    return {**counted, "rate": rate, "standard_error": error, "low": low, "high": high}


def _linear(
    seen: Observed, inside: NDArray[np.bool_], whole: pl.DataFrame, method: Method
) -> tuple[float, Floats, float]:
    """Return the rate, the residuals whose variance is its, and what their sum is divided by."""
    weight = inside / seen.pi
    match method:
        case "ht":
            return (
                float((weight * seen.outcome).sum() / whole.height),
                seen.outcome,
                float(whole.height),
            )
        case "hajek":
            size = float(weight.sum())
            rate = float((weight * seen.outcome).sum() / size)
            return rate, seen.outcome - rate, size
        case "difference":
            residual = seen.outcome - seen.frame["probability"].to_numpy()
            total = float(whole["probability"].sum()) + float((weight * residual).sum())
            return total / whole.height, residual, float(whole.height)
