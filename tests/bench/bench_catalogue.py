"""What each scenario of the catalogue learns from a synthetic province, beside its baselines.

    python tests/bench/bench_catalogue.py [--subjects N] [--seed N] [--work FOLDER] [ID ...]

Every scenario is fitted with what it declares and nothing else, and judged on its own latest rows.
The province says what can be learnt, not what real records would give: causes were planted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import polars as pl

from models.errors import XinjianError
from models.records.lake import Lake
from models.scenarios.catalogue import catalogue, scenario_named
from training.evaluate.evaluation import Evaluation, Interval
from training.evaluate.judge import evaluate
from training.risk.run import Options, fit_run
from training.sources.mapping import load_mapping
from training.sources.run import import_mapping
from training.synth.province import make_province

RESAMPLES = 100
BASELINES = ("logistic", "past_rate")
HEAD = ("scenario", "rows", "positives", "LightGBM", "logistic", "past rate", "s")


def settled(work: Path, *, subjects: int, seed: int) -> Lake:
    """Return the province's lake in ``work``, made where it is not there."""
    lake = Lake.open(work / "lake")
    if not (work / "done").exists():
        made = make_province(work / "province", subjects=subjects, seed=seed)
        import_mapping(load_mapping(made.mapping), lake)
        (work / "done").touch()
    return lake


def judged(lake: Lake, name: str, work: Path) -> Evaluation:
    """Fit a scenario and judge it."""
    scenario = scenario_named(name)
    run = fit_run(lake, scenario, work / "risk" / name, options=Options(threads=2))
    frame = pl.read_parquet(run.predictions)
    return evaluate(frame, scenario, seed=scenario.model.seed, resamples=RESAMPLES)


def shown(interval: Interval) -> str:
    """Return an AUC with its interval."""
    if interval.value is None or interval.low is None:
        return "–"
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def figures(told: Evaluation) -> list[str]:
    """Return test rows, positives and the AUC of three models."""
    part = told.pooled
    aucs = [part.of(one, told.weighting).metrics["auc"] for one in (told.model, *BASELINES)]
    return [f"{part.rows:,}", str(part.positives), *map(shown, aucs)]


def main() -> None:
    """Print a line of Markdown for each scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", default=sorted(catalogue()), metavar="ID")
    parser.add_argument("--subjects", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        work = asked.work or Path(made)
        lake = settled(work, subjects=asked.subjects, seed=asked.seed)
        print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
        for name in asked.scenarios:
            begun = time.perf_counter()
            try:
                cells = figures(judged(lake, name, work))
            except XinjianError as error:
                cells = [str(error)]
            print(
                f"| {name} | {' | '.join(cells)} | {time.perf_counter() - begun:.0f} |", flush=True
            )


if __name__ == "__main__":
    main()
