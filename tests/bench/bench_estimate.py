"""Whether the intervals of estimates hold: coverage over thousands of draws of one population.

    python tests/bench/bench_estimate.py [--draws 5000] [--subjects 6000] [--seed 7]

The population is skewed as risk is: most have little, few have much, and every outcome is settled
before the first draw, so that chance lies in the draws alone. Each row is an estimator under a
design: its mean error in per cent of the rate, the root mean squared error in per cent, the stated
standard error beside the true one, how often the 95 % interval held the truth, and how often
the truth lay above and below it. The Monte-Carlo bound of a coverage is printed on top.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import TypeAlias

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.inspection import offpolicy, trial
from models.inspection.allocate import by_grade, by_risk
from models.inspection.combine import Drawn, combine
from models.inspection.draw import draw
from models.inspection.estimate import Method, rates
from models.inspection.pool import Pool

Interval: TypeAlias = tuple[float, float, float, float]
"""Estimate, standard error, low, high."""

RATIOS = {"A": 0.02, "B": 0.05, "C": 0.12, "D": 0.4}
SIZE = 0.06
TABLES = ("by grade", "by risk", "two draws together", "another list", "trial")
METHODS: tuple[Method, ...] = ("ht", "hajek", "difference")


@dataclass
class Tally:
    """What an estimator said over the draws, and what is true."""

    truth: float
    said: list[Interval] = field(default_factory=list[Interval])

    def row(self) -> str:
        """Return the figures of one line."""
        said = np.array(self.said, np.float64)
        found, errors, low, high = (said[:, column] for column in range(4))
        scale = 100 / abs(self.truth)
        below, above = np.mean(high < self.truth), np.mean(low > self.truth)
        return (
            f"{self.truth:>9.4f}{(found.mean() - self.truth) * scale:>+9.2f}"
            f"{np.sqrt(np.mean(np.square(found - self.truth))) * scale:>8.1f}"
            f"{np.sqrt(np.mean(np.square(errors))) / found.std():>10.3f}"
            f"{1 - below - above:>10.2%}{below:>8.2%}{above:>8.2%}"
        )


@dataclass(frozen=True)
class Design:
    """A pool with true inclusion probabilities, drawn again and again."""

    frame: pl.DataFrame
    sizes: NDArray[np.int64]
    place: NDArray[np.int64]
    odds: NDArray[np.float64]

    @classmethod
    def of(cls, allocation: pl.DataFrame, population: pl.DataFrame) -> Design:
        """Return the design; probabilities are those that a draw states."""
        pool = Pool.of(allocation)
        frame = draw(pool, "0" * 64).drop("u", "key", "drawn").join(population, on="subject_id")
        pi = frame["pi"].to_numpy()
        place = (frame["stratum"].rank("dense").cast(pl.Int64) - 1).to_numpy()
        sizes = np.round(np.bincount(place, pi)).astype(np.int64)
        return cls(frame, sizes, place, np.where(pi < 1, pi / np.maximum(1 - pi, 1e-15), np.inf))

    def drawn(self, rng: np.random.Generator) -> pl.DataFrame:
        """Return those whom a fresh draw takes."""
        u = rng.random(self.frame.height)
        key = u / (1 - u) / self.odds
        order = np.lexsort((key, self.place))
        starts = np.cumsum(np.bincount(self.place)) - np.bincount(self.place)
        rank = np.empty(order.size, np.int64)
        rank[order] = np.arange(order.size) - starts[self.place[order]]
        return self.frame.filter(pl.Series(rank < self.sizes[self.place]))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--subjects", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    begun = time.perf_counter()
    bound = 1.96 * np.sqrt(0.95 * 0.05 / given.draws)
    print(f"{given.draws:,} draws of {given.subjects:,} subjects; Monte Carlo ±{bound:.2%}")
    print(f"{'':<46}{'truth':>9}{'bias %':>9}{'rmse %':>8}{'said/true':>10}{'covered':>10}", end="")
    print(f"{'above':>8}{'below':>8}")
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as workers:
        made = {
            name: workers.submit(table, name, given.draws, given.subjects, given.seed)
            for name in TABLES
        }
        for name, tallies in made.items():
            print(f"\n{name}")
            for label, tally in tallies.result().items():
                print(f"  {label:<44}{tally.row()}")
    print(f"{time.perf_counter() - begun:.0f} s")


def table(name: str, draws: int, subjects: int, seed: int) -> dict[str, Tally]:
    """Return the tallies of a table."""
    population = people(np.random.default_rng(seed), subjects)
    rng = np.random.default_rng([seed, TABLES.index(name)])
    graded = Design.of(by_grade(population, RATIOS), population)
    size = round(SIZE * subjects)
    risky = Design.of(by_risk(population, size, random_share=0.3, precision=1.0), population)
    match name:
        case "by grade":
            return estimators(graded, rng, draws)
        case "by risk":
            return estimators(risky, rng, draws)
        case "two draws together":
            return together(graded, risky, rng, draws)
        case "another list":
            return another(risky, rng, draws)
        case _:
            return trials(rng, draws)


def people(rng: np.random.Generator, many: int) -> pl.DataFrame:
    """Return a population whose probabilities are skewed and, as models are, a little wrong."""
    truth = rng.beta(0.9, 8, many)
    logit = np.log(truth / (1 - truth)) + rng.normal(0, 0.5, many)
    said = 1 / (1 + np.exp(-logit))
    return pl.DataFrame(
        {
            "subject_id": [f"S{number:07d}" for number in range(many)],
            "grade": np.array(list("ABCD"))[np.digitize(said, [0.06, 0.15, 0.3])],
            "region": np.array(["东", "南", "西"])[rng.integers(3, size=many)],
            "probability": said,
            "positive": rng.random(many) < truth,
        }
    )


def estimators(design: Design, rng: np.random.Generator, draws: int) -> dict[str, Tally]:
    """Return the tallies of rates, in all and by region."""
    region = str(design.frame["region"].unique().sort()[0])
    truth = float(design.frame["positive"].to_numpy().mean())
    own = float(design.frame.filter(region=region)["positive"].to_numpy().mean())
    part, some = "hajek, one region of three", "hajek, a tenth without result"
    tallies = {**{name: Tally(truth) for name in METHODS}, part: Tally(own), some: Tally(truth)}
    pool = design.frame.drop("positive", "inclusion_probability")
    for _ in range(draws):
        sample = design.drawn(rng)
        for method in METHODS:
            tallies[method].said.append(figures(rates(sample, pool, method=method)))
        tallies[part].said.append(figures(rates(sample, pool, by=["region"])))
        there = pl.Series(rng.random(sample.height) >= 0.1)
        lost = sample.with_columns(pl.when(there).then("positive").alias("positive"))
        tallies[some].said.append(figures(rates(lost, pool, missing="reweight")))
    return tallies


def together(one: Design, other: Design, rng: np.random.Generator, draws: int) -> dict[str, Tally]:
    """Return the tally of two independent draws of one pool, put together."""
    truth = float(one.frame["positive"].to_numpy().mean())
    tally = Tally(truth)
    for _ in range(draws):
        both = combine([Drawn("Q1", each.frame, each.drawn(rng)) for each in (one, other)])
        tally.said.append(figures(both.tail(1)))
    return {"by grade + by risk": tally}


def another(design: Design, rng: np.random.Generator, draws: int) -> dict[str, Tally]:
    """Return the tallies of what a list that was not followed would have found."""
    ranked = design.frame.with_columns(
        (pl.col("probability") + pl.Series(rng.normal(0, 0.1, design.frame.height))).alias("score")
    ).sort("score", descending=True)
    target = ranked.head(300)
    own = ranked.sort("probability", descending=True).head(300)
    whole = float(target["positive"].sum())
    ways: tuple[offpolicy.Estimator, ...] = ("ht", "self_normalised")
    tallies = {f"{way}: findings of 300": Tally(whole) for way in ways}
    versus = "self_normalised: against the risky 300"
    tallies[versus] = Tally(whole - float(own["positive"].sum()))
    for _ in range(draws):
        log = offpolicy.Log(design.frame, design.drawn(rng))
        for way in ways:
            said = offpolicy.value(log, target, estimator=way)
            tallies[f"{way}: findings of 300"].said.append(
                (said.findings, said.standard_error, said.low, said.high)
            )
        two = offpolicy.compare(log, target, own)
        tallies[versus].said.append((two.difference, two.standard_error, two.low, two.high))
    return tallies


def trials(rng: np.random.Generator, draws: int) -> dict[str, Tally]:
    """Return the tally of a trial of 8 offices over 6 months, whose units differ by themselves."""
    frame = trial.units(
        [f"O{number}" for number in range(8)], [f"M{number}" for number in range(6)]
    )
    tally = Tally(0.08)
    for at in range(draws):
        units = trial.assign(frame, f"seed {at}")
        base = np.where(units["arm"] == trial.MODEL, 0.20, 0.12)
        visits = rng.integers(15, 36, units.height)
        chance = rng.beta(base * 40, (1 - base) * 40)
        results = units.with_columns(
            pl.Series("inspections", visits), pl.Series("findings", rng.binomial(visits, chance))
        )
        said = trial.compare(results).row(0, named=True)
        tally.said.append((said["difference"], said["standard_error"], said["low"], said["high"]))
    return {"difference of hit rates, 48 units": tally}


def figures(frame: pl.DataFrame) -> Interval:
    """Return the first row's estimate with its error and interval."""
    rate, error, low, high = frame.select("rate", "standard_error", "low", "high").row(0)
    return float(rate), float(error), float(low), float(high)


if __name__ == "__main__":
    main()
