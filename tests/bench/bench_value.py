"""What a year of inspections is worth under four policies, against a synthetic province's truth.

    python tests/bench/bench_value.py [--subjects 20000] [--seed 7] [--visits 400] [--repeats 4]
           [--home FOLDER --province FOLDER] [--precision 0.003] [--window 12]

Twelve monthly rounds. In each, a small LightGBM is fitted on what the policy itself saw in the
months before (--window of them; at first a year of uniform draws, the same for all), foretells
everybody, and the policy decides whom to visit; what a visit would find is in the province's truth.

    uniform       everybody alike
    greedy        the riskiest by the model, nobody else; learns from its visits as they are
    by grade      ratios by grade of the model (A 1 %, B 3 %, C 15 %, D 50 %), scaled to fit
    risk          risk-weighted with a random share of 10 or 5 per cent: what Xinjian draws

Features are the register's and counts of records of the twelve and thirty-six months before, with
the policy's own visits and findings. Whoever draws with known chances calibrates the trees with the
weights 1/π and estimates the rate by the difference estimator; greedy has the plain share of its
visits. ``days earlier``: a problem is open from the first month of the year in which a visit would
have found one at a subject to the month in which one did, or the year's end; the mean over subjects
under the uniform draw, less that under the policy. ``model − truth`` and ``ECE`` are over everybody
in the last six months. Annual caps are left out: a subject may be visited every month. Means over
--repeats with draws and warm-up of their own, ± twice their standard error.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

os.environ.setdefault("OMP_NUM_THREADS", "1")

import lightgbm
import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.inspection.allocate import affordable, by_grade, by_risk
from models.inspection.combine import Drawn, combine
from models.inspection.draw import draw
from models.inspection.estimate import rates
from models.inspection.pool import Pool
from models.records.lake import Lake
from training.sources.mapping import load_mapping
from training.sources.run import import_mapping
from training.synth import make_province, truth

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

ROUNDS: Final = 12
TABLES: Final = ("penalty", "complaint", "listing", "tax_event", "judgment", "sampling")
BOUNDS: Final = (0.06, 0.12, 0.25)
RATIOS: Final = {"A": 0.01, "B": 0.03, "C": 0.15, "D": 0.5}
SHARES: Final = {"risk, 10 %": 0.10, "risk, 5 %": 0.05}
"""Random shares of the risk-weighted policies."""
POLICIES: Final = ("uniform", "greedy", "by grade", *SHARES)
PARAMS: Final = {
    "objective": "binary",
    "num_leaves": 8,
    "learning_rate": 0.08,
    "min_data_in_leaf": 40,
    "lambda_l2": 5.0,
    "num_threads": 1,
    "verbosity": -1,
    "deterministic": True,
}
TREES: Final = 60
FOLDS: Final = 4


@dataclass(frozen=True)
class World:
    """Subject × month: who is there, what a visit finds and how probably, and counts so far."""

    ids: list[str]
    there: Flags
    chance: Floats
    fails: Flags
    fixed: Floats
    counts: tuple[Ints, ...]
    months: int


@dataclass
class Seen:
    """What a policy saw in a month: features, results and weights."""

    rows: list[Floats] = field(default_factory=list[Floats])
    found: list[Flags] = field(default_factory=list[Flags])
    weight: list[Floats] = field(default_factory=list[Floats])


@dataclass
class Year:
    """What a policy came to in a year."""

    findings: int = 0
    days: Floats = field(default_factory=lambda: np.empty(0))
    estimates: list[float] = field(default_factory=list[float])
    covered: list[bool] = field(default_factory=list[bool])
    truths: list[float] = field(default_factory=list[float])
    means: list[float] = field(default_factory=list[float])
    gaps: list[float] = field(default_factory=list[float])
    yearly: tuple[float, float, float] = (0.0, 0.0, 0.0)
    draws: list[Drawn] = field(default_factory=list[Drawn])


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path)
    parser.add_argument("--province", type=Path)
    parser.add_argument("--subjects", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--visits", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--precision", type=float, default=0.003)
    parser.add_argument("--window", type=int, default=12)
    given = parser.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bench_value_") as folder:
        home, province = given.home, given.province
        if not (home and province):
            home, province = made(Path(folder), given.subjects, given.seed)
        world = load(home, province)
    print(
        f"{int(world.there[:, -1].sum()):,} subjects, {given.visits} visits a month, true rate "
        f"{world.chance[:, -ROUNDS:][world.there[:, -ROUNDS:]].mean():.4f}, {given.repeats} repeats"
    )
    years: dict[str, list[Year]] = {name: [] for name in POLICIES}
    for repeat in range(given.repeats):
        for name in POLICIES:
            rng = np.random.default_rng([given.seed, repeat])
            years[name].append(live(world, name, rng, given))
    show(years)
    print(f"{time.perf_counter() - begun:.0f} s")


def made(work: Path, subjects: int, seed: int) -> tuple[Path, Path]:
    """Make a province and import it; return its home and its folder."""
    province = work / "province"
    mapping = make_province(province, subjects=subjects, seed=seed).mapping
    import_mapping(load_mapping(mapping), Lake.open(work / "lake"))
    return work, province


def load(home: Path, province: Path) -> World:
    """Return the province as arrays."""
    lake = Lake.open(home / "lake")
    outcomes = truth.read(province, "outcomes").collect()
    ids = outcomes["subject_id"].unique().sort()
    first = outcomes["month"].min()
    number = (pl.col("month").dt.year() * 12 + pl.col("month").dt.month()).cast(pl.Int64)
    start = int(pl.select(pl.lit(first).alias("month")).select(number).item())
    place = pl.DataFrame({"subject_id": ids, "at": np.arange(ids.len())})
    rows = outcomes.join(place, on="subject_id").with_columns((number - start).alias("m"))
    months = int(rows["m"].to_numpy().max()) + 1
    at, m = rows["at"].to_numpy(), rows["m"].to_numpy()
    there, chance = np.zeros((ids.len(), months), bool), np.zeros((ids.len(), months))
    fails = np.zeros_like(there)
    there[at, m], chance[at, m] = True, rows["probability"].to_numpy()
    fails[at, m] = rows["fails"].to_numpy()

    def counted(table: str) -> Ints:
        events = (
            lake.scan(table)
            .select("subject_id", pl.col("happened_on").alias("month"))
            .select("subject_id", (number - start).alias("m"))
            .filter(pl.col("m").is_between(0, months - 1))
            .collect()
            .join(place, on="subject_id")
        )
        made = np.zeros((ids.len(), months + 1), np.int64)
        np.add.at(made, (events["at"].to_numpy(), events["m"].to_numpy() + 1), 1)
        return made.cumsum(axis=1)

    return World(
        ids=ids.to_list(),
        there=there,
        chance=chance,
        fails=fails,
        fixed=_register(lake, place),
        counts=tuple(counted(table) for table in TABLES),
        months=months,
    )


def _register(lake: Lake, place: pl.DataFrame) -> Floats:
    """Return what the register says of each subject, as numbers."""
    code = [
        pl.col(name).cast(pl.String).rank("dense").cast(pl.Float64).alias(name)
        for name in ("subject_type", "ownership", "zone")
    ]
    frame = (
        lake.scan("subject")
        .collect()
        .unique("subject_id", keep="last", maintain_order=True)
        .select(
            "subject_id",
            *code,
            pl.col("industry").str.slice(0, 1).rank("dense").cast(pl.Float64).alias("section"),
            pl.col("industry").str.slice(0, 3).rank("dense").cast(pl.Float64).alias("division"),
            pl.col("region").str.slice(0, 6).rank("dense").cast(pl.Float64).alias("county"),
            pl.col("registered_capital").cast(pl.Float64),
            pl.col("employees").cast(pl.Float64),
            pl.col("happened_on").dt.epoch("d").cast(pl.Float64).alias("born"),
        )
    )
    joined = place.join(frame, on="subject_id", how="left", maintain_order="left")
    return joined.drop("subject_id", "at").fill_null(np.nan).to_numpy()


def live(world: World, policy: str, rng: np.random.Generator, given: argparse.Namespace) -> Year:
    """Return what a policy comes to in the last twelve months of the world."""
    size = len(world.ids)
    visits, finds = np.zeros((size, world.months)), np.zeros((size, world.months))
    seen, year = Seen(), Year()
    for month in range(world.months - 2 * ROUNDS, world.months):
        there = np.flatnonzero(world.there[:, month])
        rows = features(world, visits, finds, month)[there]
        warm = month < world.months - ROUNDS
        p = np.full(there.size, 0.08) if warm else fitted(seen, given.window).predict(rows)
        pool = population(world, there, p)
        taken, pi, log = decide("uniform" if warm else policy, pool, given, rng)
        who = there[taken]
        visits[who, month] = 1
        finds[who, month] = world.fails[who, month]
        seen.rows.append(rows[taken])
        seen.found.append(world.fails[who, month])
        seen.weight.append(1 / pi)
        if warm:
            continue
        year.findings += int(world.fails[who, month].sum())
        record(year, world, month, there=there, p=p, log=log)
        if log is None:
            year.estimates.append(float(world.fails[who, month].mean()))
    year.days = open_days(world, finds)
    if year.draws:
        last = combine(year.draws, collapse=True).row(-1, named=True)
        year.yearly = (last["rate"], last["low"], last["high"])
    else:
        year.yearly = (float(np.mean(year.estimates)), np.nan, np.nan)
    return year


def features(world: World, visits: Floats, finds: Floats, month: int) -> Floats:
    """Return the features of everybody as of a month's begin."""
    made = [world.fixed]
    for counts in world.counts:
        made += [(counts[:, month] - counts[:, max(month - w, 0)])[:, None] for w in (12, 36)]
    for own in (visits, finds):
        made.append(own[:, max(month - 24, 0) : month].sum(axis=1)[:, None])
    return np.hstack(made).astype(np.float64)


@dataclass(frozen=True)
class Model:
    """A booster, and the line on its log-odds that makes them right for the whole population."""

    booster: lightgbm.Booster
    slope: float
    shift: float

    def predict(self, rows: Floats) -> Floats:
        """Return the probabilities of rows."""
        raw = np.asarray(self.booster.predict(rows, raw_score=True), np.float64)
        return 1 / (1 + np.exp(-(self.shift + self.slope * raw)))


def fitted(seen: Seen, window: int) -> Model:
    """Return a model of the last rounds.

    Trees are fitted on the rows as they are, as π depends on nothing but the features; the line is
    fitted with the weights 1/π on log-odds of trees that did not see the row.
    """
    rows, found = np.vstack(seen.rows[-window:]), np.concatenate(seen.found[-window:])
    weight = np.concatenate(seen.weight[-window:])
    target = found.astype(np.float64)
    fold = np.arange(target.size) % FOLDS
    raw = np.empty(target.size)
    for one in range(FOLDS):
        booster = trees(rows[fold != one], target[fold != one])
        raw[fold == one] = np.asarray(booster.predict(rows[fold == one], raw_score=True))
    shift, slope = line(raw, target, weight / weight.mean())
    return Model(trees(rows, target), slope, shift)


def trees(rows: Floats, target: Floats) -> lightgbm.Booster:
    """Return boosted trees."""
    data = lightgbm.Dataset(rows, target)
    return lightgbm.train(PARAMS, data, num_boost_round=TREES)  # pyright: ignore[reportUnknownMemberType]


def line(raw: Floats, target: Floats, weight: Floats) -> tuple[float, float]:
    """Return intercept and slope of a weighted logistic regression, by Newton's steps."""
    x = np.column_stack([np.ones(raw.size), raw])
    # A prior at the line as it is, worth a few rows, keeps few positives from turning it.
    at, prior, worth = np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.diag([0.1, 5.0])
    for _ in range(25):
        p = 1 / (1 + np.exp(-np.clip(x @ at, -30, 30)))
        slope = x.T @ (weight * (target - p)) - worth @ (at - prior)
        at = at + np.linalg.solve((x.T * (weight * p * (1 - p))) @ x + worth, slope)
    return float(at[0]), float(at[1])


def population(world: World, there: Ints, p: Floats) -> pl.DataFrame:
    """Return those who are there, with probability and grade."""
    return pl.DataFrame(
        {
            "subject_id": pl.Series([world.ids[int(at)] for at in there], dtype=pl.String),
            "probability": p,
            "grade": np.array(list("ABCD"))[np.digitize(p, BOUNDS)],
        }
    )


def decide(
    policy: str, pool: pl.DataFrame, given: argparse.Namespace, rng: np.random.Generator
) -> tuple[Ints, Floats, pl.DataFrame | None]:
    """Return who is visited, with what chance, and the whole draw; null where there is none."""
    if policy == "greedy":
        p = pool["probability"].to_numpy()
        taken = np.sort(np.argsort(-p + rng.random(p.size) * 1e-9)[: given.visits])
        return taken, np.ones(taken.size), None
    ways: dict[str, Callable[[], pl.DataFrame]] = {
        "uniform": lambda: by_risk(pool, given.visits, random_share=1.0, strata=("grade",)),
        "by grade": lambda: by_grade(pool, affordable(pool, RATIOS, given.visits)),
    }
    for name, share in SHARES.items():
        ways[name] = partial(
            by_risk, pool, given.visits, random_share=share, precision=given.precision
        )
    drawn = draw(Pool.of(ways[policy]()), rng.bytes(32).hex())
    log = pool.join(drawn, on="subject_id", how="left", maintain_order="left")
    taken = np.flatnonzero(log["drawn"].to_numpy())
    return taken, log["inclusion_probability"].to_numpy()[taken], log


def record(
    year: Year,
    world: World,
    month: int,
    *,
    there: Ints,
    p: Floats,
    log: pl.DataFrame | None,
) -> None:
    """Note what a month says about the rate and the model."""
    fails, chance = world.fails[there, month], world.chance[there, month]
    year.truths.append(float(fails.mean()))
    year.means.append(float(p.mean() - chance.mean()))
    bins = np.digitize(p, np.quantile(p, np.arange(1, 10) / 10))
    gaps = np.bincount(bins, p - chance, minlength=10)
    year.gaps.append(float(np.abs(gaps).sum() / p.size))
    if log is None:
        return
    sample = log.with_columns(pl.Series("positive", fails)).filter("drawn")
    frame = log.select("subject_id", "stratum", "inclusion_probability", "probability")
    said = rates(sample, frame, method="difference", collapse=True).row(0, named=True)
    year.estimates.append(float(said["rate"]))
    year.covered.append(bool(said["low"] <= year.truths[-1] <= said["high"]))
    period = f"{month:03d}"
    year.draws.append(Drawn(period, frame, sample.select("subject_id", "positive")))


def open_days(world: World, finds: Floats) -> Floats:
    """Return the days that the first problem of each subject's year stayed open."""
    fails = (world.fails & world.there)[:, -ROUNDS:]
    found = finds[:, -ROUNDS:] > 0
    any_ = fails.any(axis=1)
    first = fails.argmax(axis=1)
    when = np.where(found.any(axis=1), found.argmax(axis=1), ROUNDS)
    return np.where(any_, (when - first) * 365.25 / 12, np.nan)


def show(years: dict[str, list[Year]]) -> None:
    """Print the tables."""
    greedy = np.array([year.findings for year in years["greedy"]], np.float64)
    usual = np.array([np.nanmean(year.days) for year in years["uniform"]])
    heads = ("findings", "of greedy", "days earlier", "rate bias %", "rate rmse %", "covered")
    print(f"\n{'':<10}" + "".join(f"{head:>18}" for head in heads))
    for name, runs in years.items():
        findings = np.array([run.findings for run in runs], np.float64)
        days = usual - np.array([np.nanmean(run.days) for run in runs])
        errors = [(np.array(run.estimates) / np.array(run.truths) - 1) * 100 for run in runs]
        bias = np.array([error.mean() for error in errors])
        rmse = np.array([np.sqrt(np.square(error).mean()) for error in errors])
        covered = [one for run in runs for one in run.covered]
        cells = (spread(findings, 0), spread(findings / greedy * 100, 1), spread(days, 1))
        cells = (*cells, spread(bias, 1), spread(rmse, 1))
        held = f"{np.mean(covered):.1%}" if covered else "none"
        print(f"{name:<10}" + "".join(f"{cell:>18}" for cell in cells) + f"{held:>18}")
    heads = ("year's rate, bias %", "rmse %", "covered", "model − truth", "ECE, ten bins")
    print(f"\n{'':<10}" + "".join(f"{head:>22}" for head in heads))
    for name, runs in years.items():
        true = np.array([np.mean(run.truths) for run in runs])
        found, low, high = np.array([run.yearly for run in runs]).T
        error = (found / true - 1) * 100
        held = "none" if np.isnan(low).all() else f"{np.mean((low <= true) & (true <= high)):.0%}"
        late, gaps = (
            np.array([run.means[-6:] for run in runs], np.float64).mean(axis=1),
            np.array([run.gaps[-6:] for run in runs], np.float64).mean(axis=1),
        )
        cells = (spread(error, 1), f"{np.sqrt(np.square(error).mean()):.1f}", held)
        cells = (*cells, spread(late, 4), spread(gaps, 4))
        print(f"{name:<10}" + "".join(f"{cell:>22}" for cell in cells))


def spread(values: Floats, digits: int) -> str:
    """Return the mean ± twice its standard error."""
    wide = 2 * values.std(ddof=1) / np.sqrt(values.size) if values.size > 1 else np.nan
    return f"{values.mean():.{digits}f} ± {wide:.{digits}f}"


if __name__ == "__main__":
    main()
