"""Culture-market inspections of Beijing, made again: the real order against the model's.

    python tests/bench/bench_replay.py [--root FOLDER | --lake FOLDER] [--work FOLDER]
           [--visits FILE] [--snapshots FILE] [--resamples N]

Predictions are out of time: visits from 2023-10-05 on, each year foretold by a model that is fitted
on what lies before it, results known nine days later, as the example mapping assumes. Nothing is
chosen by what comes out. Three ways, from the loosest to the strictest:

``own day``            every visit foretold as of its own day, so that what became known within the
                       window takes part, which who orders a whole month ahead does not have;
``…, first visits``    the same, of each subject the first visit in a window alone;
``before the window``  subjects foretold at dates of view, as the nightly list is, and their first
                       visit after: known subjects only, and nothing from within the window.

The visits of each month, or quarter, are put in the model's order, over the whole city and within
the district that issued the subject's code (the tables name no other). ``real`` and ``model``: the
part of all findings in the first quarter, or half, of the visits. ``earlier`` and ``later``: the
part of the findings that move by half a day or more when all visits are made in the model's order,
with the mean of their days. Intervals of 95 % resample months and, within districts, districts.
Other subjects than those that were visited are not looked at: nobody knows what would have been
found there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import date
from itertools import product
from pathlib import Path
from typing import Final

import polars as pl

from models.records.lake import Lake
from models.scenarios import scenario_named
from training import sources
from training.evaluate.effort import WINDOW, Effort, at_effort
from training.evaluate.evaluation import Interval
from training.evaluate.predictions import JUDGED, MAIN, PREFIX
from training.evaluate.replay import visits
from training.risk.matrix import At
from training.risk.run import Options, fit_run
from training.sources.mapping import load_mapping
from training.sources.run import import_mapping

TEST_FROM: Final[dict[At, date]] = {"visits": date(2025, 10, 5), "snapshots": date(2024, 10, 5)}
FOLDS: Final = 2
SPLIT: Final = date(2023, 10, 5)
DATA: Final = Path(__file__).parents[3] / "shared" / "data" / "beijing"
SHARES: Final = (0.25, 0.5)
WINDOWS: Final = (30, 90)
DISTRICT: Final = "district"
PLAINEST: Final = "past_rate"


def predicted(at: At, lake: Path | None, root: Path, work: Path) -> pl.DataFrame:
    """Fit by year and return the predictions of the years after."""
    opened = Lake.open(lake or work / "lake")
    if lake is None and "inspection" not in opened.versions():
        mapping = Path(sources.__path__[0]) / "examples" / "beijing" / "mapping.yaml"
        import_mapping(load_mapping(mapping), opened, root=root)
    scenario = scenario_named("culture_market_inspection")
    options = Options(at=at, test_from=TEST_FROM[at], folds=FOLDS)
    return pl.read_parquet(fit_run(opened, scenario, work / "runs", options=options).predictions)


def first_only(frame: pl.DataFrame, window: int) -> pl.DataFrame:
    """Return the predictions of the first visit of each subject in each window alone."""
    seen = visits(frame, window).frame.sort("_day")
    first = seen.unique(["subject_id", "window"], keep="first", maintain_order=True)
    keys = ["fold", "subject_id", "as_of"]
    return frame.join(first.select(keys).unique(), on=keys, how="semi")


def line(name: str, cells: list[str]) -> None:
    """Print a row of the table."""
    print("| " + " | ".join([name, *cells]) + " |")


def part(interval: Interval) -> str:
    """Return a share in per cent with its interval."""
    if interval.value is None:
        return "–"
    between = "" if interval.low is None else f" [{interval.low:+.1%}, {interval.high or 0:+.1%}]"
    return f"{interval.value:+.1%}{between}"


def days(interval: Interval) -> str:
    """Return days with their interval."""
    if interval.value is None:
        return "–"
    between = "" if interval.low is None else f" [{interval.low:.1f}, {interval.high or 0:.1f}]"
    return f"{interval.value:.1f}{between}"


def told(made: Effort) -> list[str]:
    """Return the cells of a comparison."""
    return [
        f"{made.visits:,} / {made.findings}",
        f"{made.cells:,} / {made.clusters}",
        part(made.real).replace("+", ""),
        part(made.ordered).replace("+", ""),
        part(made.more),
        f"{part(made.earlier)}, {days(made.earlier_days)} d".replace("+", ""),
        f"{part(made.later)}, {days(made.later_days)} d".replace("+", ""),
        days(made.gain),
    ]


def alike(frame: pl.DataFrame, every: str) -> float:
    """Return how often a finding outranks a visit without one of the same day, or month."""
    seen = frame.filter(JUDGED).with_columns(pl.col("observed_on").dt.truncate(every).alias("at"))
    place = pl.col(PREFIX + MAIN).rank().over("at")
    rows = (
        seen.with_columns(place.alias("place"))
        .group_by("at")
        .agg(
            pl.col("place").filter("positive").sum().alias("sum"),
            pl.col("positive").sum().cast(pl.Float64).alias("many"),
            pl.len().cast(pl.Float64).alias("all"),
        )
    )
    total, many, size = (rows[name].to_numpy() for name in ("sum", "many", "all"))
    won = float((total - many * (many + 1) / 2).sum())
    return won / float((many * (size - many)).sum())


def table(title: str, frame: pl.DataFrame, resamples: int, *, once: bool = False) -> None:
    """Print the rows of one set of predictions."""
    for model in [MAIN, *(name for name in (PLAINEST,) if PREFIX + name in frame.columns)]:
        for window, share in product(WINDOWS, SHARES[:1] if once else SHARES):
            for where, within, cluster in (
                ("city; month", [], WINDOW),
                ("district; district", [DISTRICT], DISTRICT),
            ):
                made = at_effort(
                    first_only(frame, window) if once else frame,
                    model,
                    window=window,
                    share=share,
                    within=within,
                    cluster=cluster,
                    resamples=resamples,
                )
                line(f"{title}; {model}; {window} d; {share:.0%}; {where}", told(made))


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, default=DATA)
    parser.add_argument("--lake", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--visits", type=Path, help="predictions made before")
    parser.add_argument("--snapshots", type=Path, help="predictions made before")
    parser.add_argument("--resamples", type=int, default=2000)
    given = parser.parse_args()
    begun = time.perf_counter()
    frames: dict[At, pl.DataFrame] = {}
    ready: dict[At, Path | None] = {"visits": given.visits, "snapshots": given.snapshots}
    with tempfile.TemporaryDirectory() as folder:
        for at, path in ready.items():
            work = given.work or Path(folder)
            frame = pl.read_parquet(path) if path else predicted(at, given.lake, given.root, work)
            frames[at] = frame.filter(pl.col("as_of") >= SPLIT).with_columns(
                pl.col("subject_id").str.slice(2, 6).alias(DISTRICT)
            )
            first, last = frames[at]["observed_on"].min(), frames[at]["observed_on"].max()
            print(f"{at}: visits of {first} to {last}, {time.perf_counter() - begun:.0f} s")
    apart = [f"{alike(frames['visits'], every):.3f}" for every in ("1d", "1mo")]
    print(f"AUC of {MAIN} among visits of one day {apart[0]}, of one month {apart[1]}")
    heads = ["visits / findings", "cells / clusters", "real", "model", "more", "earlier", "later"]
    line("rows; order; window; effort; where; resampled", [*heads, "mean gain, days"])
    line("---", ["---"] * 8)
    table("own day", frames["visits"], given.resamples)
    table("own day, first visits", frames["visits"], given.resamples, once=True)
    table("before the window", frames["snapshots"], given.resamples)


if __name__ == "__main__":
    main()
