"""Who was looked at and who was not: what weights do, against a synthetic province's truth.

    python tests/bench/bench_selection.py [--subjects 20000] [--seed 7] [--resamples 200] [--fits 3]
           [--home FOLDER --province FOLDER] [--work FOLDER] [SCENARIO ...]

``home/lake`` holds the imported tables of ``province``; without both a province is made and
imported into a temporary folder. The same trees are fitted on the same slices twice: every observed
row alike (``naive``), and by one over its chance to have been observed (``ipw``). First, what the
weights do to the truth itself: ``gap left`` is what remains of the difference between those who
were observed and everybody.

The truth of a row is what one visit on a random day of its horizon would find. ``outcomes`` gives
the chance that an inspection finds a problem in each month that a subject is there; the chance of
the row is their mean, each month by its days in the horizon. What a scenario also observes by
product samplings counts as in the province: a sampling finds a problem 0.6 times as often, and the
truth is of a visit that is one as often as among the observing rows of those dates. Labels of
``visits: any`` are above that truth, as several visits find more than one: ``observed`` shows by
how much. The Brier score is of an outcome drawn from the truth, which nobody can foretell better
than ``best``; the distance is what is above it. Ranking is against latent risk at the quarter's end
nearest to the date.

Figures are means over --fits that differ in their seed alone. Intervals: 95 %, subjects of the test
resampled, differences paired; ``each fit`` shows how far seeds alone move a difference.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Final, Literal, TypeAlias

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import polars as pl

from models.features.spec import AS_OF, KEYS, SUBJECT
from models.records.lake import Lake
from models.risk.encode import FloatArray
from models.scenarios import scenario_named
from models.scenarios.scenario import Scenario
from training.risk.fit import Params, area, fit
from training.risk.folds import Fold, Span, final
from training.risk.matrix import Matrix, build_matrix
from training.risk.sample import batches, read_sample
from training.risk.weights import weigh
from training.sources.mapping import load_mapping
from training.sources.run import import_mapping
from training.synth import make_province, truth

Figures: TypeAlias = dict[str, float]
IntArray: TypeAlias = npt.NDArray[np.int64]

WAYS: Final[dict[str, Literal["none", "ipw"]]] = {"naive": "none", "ipw": "ipw"}
SCENARIOS: Final = ("random_inspection_priority", "food_safety")
SAMPLING: Final = 0.6
"""How often a sampling finds a problem where an inspection would; see training/synth."""
BINS: Final = 10


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--province", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--subjects", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--fits", type=int, default=3)
    parser.add_argument("scenario", nargs="*", default=list(SCENARIOS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench_selection_") as folder:
        work = given.work or Path(folder)
        home, province = given.home, given.province
        if not (home and province):
            home, province = made(work, given.subjects, given.seed)
        for name in given.scenario:
            bench(home, province, work / name, scenario_named(name), given.resamples, given.fits)


def made(work: Path, subjects: int, seed: int) -> tuple[Path, Path]:
    """Make a province and import it; return its home and its folder."""
    province = work / "province"
    mapping = make_province(province, subjects=subjects, seed=seed).mapping
    import_mapping(load_mapping(mapping), Lake.open(work / "lake"))
    return work, province


def bench(
    home: Path, province: Path, work: Path, scenario: Scenario, resamples: int, fits: int
) -> None:
    """Print the tables of a scenario."""
    begun = time.perf_counter()
    matrix = build_matrix(Lake.open(home / "lake"), scenario, work)
    rows, weighing = weigh(matrix)
    fold = final(rows)
    print(f"\n{scenario.id}: {rows.height:,} rows, {int(rows['observed'].sum()):,} observed")
    for name, span in fold.spans().items():
        part = rows.filter("observed", span.rows)
        print(f"  {name:<10}{span.first} – {span.last}{part.height:>8,}{part['positive'].sum():>6}")
    share = sampled_share(home, scenario, fold)
    known = with_truth(rows, province, scenario, 1 - (1 - SAMPLING) * share)
    print(f"  weights: {weighing.recorded:,} recorded, {weighing.fitted:,} fitted", end="")
    print(
        f", {weighing.clipped:.1%} clipped, worth {weighing.effective:,.0f}; samplings {share:.1%}"
    )
    balance(known, fold)
    tested = known.filter(fold.test.rows)
    for way, seed in product(WAYS, range(fits)):
        tested = tested.join(foretell(matrix, fold, way, seed), on=KEYS)
    figures(tested, resamples, fits)
    print(f"{time.perf_counter() - begun:.0f} s")


def sampled_share(home: Path, scenario: Scenario, fold: Fold) -> float:
    """Return the share of samplings among the rows that observe since the learning began."""
    counted = {"inspection": 0, "sampling": 0}
    lake = Lake.open(home / "lake")
    for one in scenario.label.observers:
        rows = lake.scan(one.table).filter(pl.col("happened_on") > fold.learn.first)
        if one.condition is not None:
            rows = one.condition.keep(rows, as_of=fold.learn.first, due=fold.test.last)
        counted[one.table] += int(rows.select(pl.len()).collect().item())
    return counted["sampling"] / sum(counted.values())


def with_truth(
    rows: pl.DataFrame, province: Path, scenario: Scenario, factor: float
) -> pl.DataFrame:
    """Return the rows that the truth knows, with ``chance`` and ``risk``."""
    dates: list[date] = rows[AS_OF].unique().sort().to_list()
    days = pl.concat(_months(on, scenario.label.ends(on)) for on in dates).lazy()
    chance = (
        truth.read(province, "outcomes")
        .join(days, on="month")
        .group_by(SUBJECT, AS_OF)
        .agg((pl.col("probability") * pl.col("days")).sum() / pl.col("days").sum() * factor)
        .rename({"probability": "chance"})
    )
    risk = truth.read(province, "latent_risk").select(SUBJECT, "on", "risk").collect()
    return (
        rows.lazy()
        .join(chance, on=[SUBJECT, AS_OF])
        .collect()
        .sort(AS_OF)
        .join_asof(
            risk.sort("on"),
            left_on=AS_OF,
            right_on="on",
            by=SUBJECT,
            strategy="nearest",
            tolerance=timedelta(days=46),
            check_sortedness=False,
        )
        .drop_nulls("risk")
    )


def _months(on: date, due: date) -> pl.DataFrame:
    every = pl.date_range(on + timedelta(days=1), due, eager=True)
    return (
        pl.DataFrame({"month": every.dt.month_start()})
        .group_by("month")
        .agg(pl.len().alias("days"))
        .with_columns(pl.lit(on).alias(AS_OF))
    )


def balance(known: pl.DataFrame, fold: Fold) -> None:
    """Print what share of the true chance's gap between observed and cohort weights take away."""
    print(f"\n{'mean of the true chance':<26}{'cohort':>9}{'observed':>10}{'ipw':>9}", end="")
    print(f"{'gap left':>10}{'label':>9}{'ipw':>9}")
    both = Span(fold.train.first, fold.test.last)
    for name, span in {"learn": fold.learn, "test": fold.test, "all": both}.items():
        part = known.filter(span.rows)
        seen = part.filter("observed")
        own, weight = seen["chance"].to_numpy(), seen["weight"].to_numpy()
        label = seen["positive"].to_numpy().astype(np.float64)
        cohort, plain = float(part["chance"].to_numpy().mean()), float(own.mean())
        weighed = float(np.average(own, weights=weight))
        left = (weighed - cohort) / (plain - cohort)
        print(f"{name:<26}{cohort:>9.4f}{plain:>10.4f}{weighed:>9.4f}{left:>10.0%}", end="")
        print(f"{label.mean():>9.4f}{np.average(label, weights=weight):>9.4f}")


def foretell(matrix: Matrix, fold: Fold, way: str, seed: int) -> pl.DataFrame:
    """Fit with the weights of a way; return keys and probability of everybody in the test."""
    label = matrix.scenario.label.model_copy(update={"weight": WAYS[way]})
    own = replace(matrix, scenario=matrix.scenario.model_copy(update={"label": label}))
    rows, _ = weigh(own)
    fitted = fit(
        own.features,
        own.scenario,
        replace(Params.of(own.scenario), seed=seed),
        train=read_sample(own, rows, fold.train),
        stop=read_sample(own, rows, fold.stop),
        calibration=read_sample(own, rows, fold.calibrate),
        learn=read_sample(own, rows, fold.learn),
    )
    name = f"{way}_{seed}"
    made = [
        one.select(*KEYS, "observed", "positive", pl.Series(name, fitted.probability(one)))
        for one in batches(own, fold.test)
    ]
    seen = pl.concat(made).filter("observed")
    p, positive = (seen[name].to_numpy() for name in (name, "positive"))
    auc = area(p, positive.astype(np.bool_), np.ones(seen.height))
    print(f"  {name}: {fitted.rounds} trees; AUC of the labels of the observed {auc:.3f}")
    return pl.concat(made).select(*KEYS, name)


def figures(tested: pl.DataFrame, resamples: int, fits: int) -> None:
    """Print ranking and calibration, with intervals over subjects."""
    parts = {"everybody": tested, "nobody looked": tested.filter(~pl.col("observed"))}
    for name, part in parts.items():
        subject = part["group"].rank("dense").to_numpy().astype(np.int64) - 1
        naive, ipw = (
            resampled([measure(part, f"{way}_{seed}") for seed in range(fits)], subject, resamples)
            for way in WAYS
        )
        print(f"\n{name}: {part.height:,} rows, {int(subject.max()) + 1:,} subjects")
        print(f"{'':<25}{'naive':>26}{'ipw':>26}{'ipw − naive':>27}{'each fit':>19}{'ratio':>7}")
        for figure, one in naive.items():
            other = ipw[figure]
            each = (other - one)[0]
            cells = f"{shown(one):>26}{shown(other):>26}{shown(other - one):>27}"
            between = f"{each.min():.4f} … {each.max():.4f}"
            print(f"{figure:<25}{cells}{between:>19}{other[0].mean() / one[0].mean():>7.2f}")


def resampled(
    measured: Sequence[Callable[[FloatArray], Figures]], subject: IntArray, resamples: int
) -> dict[str, FloatArray]:
    """Return each figure by resample, after the sample itself, and by fit."""
    rng, many = np.random.default_rng(0), int(subject.max()) + 1
    drawn = (np.bincount(rng.integers(0, many, many), minlength=many) for _ in range(resamples))
    weights = [np.ones(many), *(counts.astype(np.float64) for counts in drawn)]
    found = [[one(weight[subject]) for one in measured] for weight in weights]
    return {n: np.array([[one[n] for one in fits] for fits in found]) for n in found[0][0]}


def shown(figure: FloatArray) -> str:
    """Return the mean over fits with the middle 95 % of its resamples."""
    mean = figure.mean(axis=1)
    low, high = np.quantile(mean[1:], [0.025, 0.975])
    return f"{mean[0]:.4f} [{low:.4f}, {high:.4f}]"


def measure(part: pl.DataFrame, name: str) -> Callable[[FloatArray], Figures]:
    """Return what gives the figures of a way for the weights of a resample."""
    p, chance, risk = (
        part[name].to_numpy().astype(np.float64) for name in (name, "chance", "risk")
    )
    places = [np.unique(values, return_inverse=True)[1] for values in (p, risk)]
    edges = np.quantile(p, np.arange(1, BINS) / BINS)
    bins = np.searchsorted(edges, p, side="right")

    def weighed(weight: FloatArray) -> Figures:
        total = float(weight.sum())
        gaps = np.bincount(bins, weight * (p - chance), minlength=BINS)
        apart = float((weight * np.square(p - chance)).sum() / total)
        best = (weight * chance * (1 - chance)).sum() / total
        return {
            "Spearman with risk": spearman(places[0], places[1], weight),
            "mean foretold": float((weight * p).sum() / total),
            "true rate": float((weight * chance).sum() / total),
            "foretold − true": float((weight * (p - chance)).sum() / total),
            "ECE, ten bins": float(np.abs(gaps).sum() / total),
            "Brier": apart + float(best),
            "Brier above best, × 1000": apart * 1000,
        }

    return weighed


def spearman(one: IntArray, other: IntArray, weight: FloatArray) -> float:
    """Return the weighted correlation of mid-ranks."""

    def centred(place: IntArray) -> FloatArray:
        mass = np.bincount(place, weight)
        ranks = (np.cumsum(mass) - mass / 2)[place]
        return ranks - np.average(ranks, weights=weight)

    a, b = centred(one), centred(other)
    both = np.sqrt((weight * a * a).sum() * (weight * b * b).sum())
    return float((weight * a * b).sum() / both)


if __name__ == "__main__":
    main()
