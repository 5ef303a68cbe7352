"""How many leaves a tree should have, and what a fit of many rows takes.

    python tests/bench/bench_fit.py [--home FOLDER --scenario NAME [--at visits]] [--work FOLDER]
           [--leaves 8 15 31 63] [--rows 1000000 --features 150 --rounds 200] [--threads 1]

With ``--home``, whose ``lake`` has the scenario's tables: the project's own fit with so many leaves
on the slices of the final split (``test``) and of the split before it (``earlier``, whose test
ended before that one began), not weighted: AUC with its 95 % interval over subjects, the difference
to the first of ``--leaves`` with the paired one, AP, trees; and by the clock of the processor, one
thread, best of three: microseconds of one row's score and of its contributions.

With ``--rows``: made-up features with gaps in slices of 60, 20 and 20 % for learning, stopping and
calibration, each way in a process of its own, a fixed number of rounds. ``plain`` is
``lightgbm.train`` on the same arrays with the same parameters and LightGBM's own loss, the floor;
``once`` is the project's fit without calibration, which stops and then grows anew; ``whole`` is
what ``xinjian risk fit`` does: it grows on all that is known instead, and four times on three
quarters of its subjects. Processor seconds, seconds, and resident memory: with the data alone, and
at most (Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time
from typing import Final, Literal, TypeAlias, cast, get_args

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np
import polars as pl

from models.features.spec import FeatureSpec
from models.records.lake import Lake
from models.risk.encode import FloatArray
from models.scenarios import scenario_named
from training.risk.fit import Fitted, Params, area, fit
from training.risk.folds import Fold, final, rolling
from training.risk.matrix import At, Matrix, build_matrix
from training.risk.sample import BoolArray, Sample, read_sample
from training.risk.weights import weigh

Way: TypeAlias = Literal["plain", "once", "whole"]

RESAMPLES: Final = 500
TIMED_ROWS: Final = 300
SLICES: Final = (0.6, 0.8)
GAPS: Final = 0.1
TOLD: Final = 20
"""Features that tell something, the first ones."""


def main() -> None:
    """Run the bench, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--scenario", default="culture_market_inspection")
    parser.add_argument("--at", choices=get_args(At), default="snapshots")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--leaves", type=int, nargs="+", default=[8, 15, 31, 63])
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--features", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--way", choices=get_args(Way), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way is not None:
        print(json.dumps(child(given, given.way)))
        return
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    if given.home is not None:
        with tempfile.TemporaryDirectory(prefix="bench_fit_") as folder:
            many_leaves(given, given.home, given.work or Path(folder))
    if given.rows:
        many_rows(given)


def many_leaves(given: argparse.Namespace, home: Path, work: Path) -> None:
    """Print a table for each of the two splits."""
    scenario = scenario_named(given.scenario)
    name = f"{scenario.id}-{given.at}"
    matrix = build_matrix(Lake.open(home / "lake"), scenario, work / name, at=given.at)
    rows, _ = weigh(matrix, threads=given.threads)
    kept = final(rows)
    days = (kept.test.last - kept.test.first).days + 1
    folds = {"earlier": rolling(rows, kept.test.first, count=1, days=days), "test": [kept]}
    print(f"\n{scenario.id} at {given.at}, {len(matrix.names)} features")
    for title, found in folds.items():
        for fold in found:
            one_split(given, matrix, rows, fold, title)


def one_split(
    given: argparse.Namespace, matrix: Matrix, rows: pl.DataFrame, fold: Fold, title: str
) -> None:
    """Print what each number of leaves comes to on one split."""
    train, stop, calibration, learn, test = (
        read_sample(matrix, rows, span)
        for span in (fold.train, fold.stop, fold.calibrate, fold.learn, fold.test)
    )
    positives = f"{int(learn.positive.sum())} of {learn.frame.height:,} rows positive to learn from"
    tested = f"{int(test.positive.sum())} of {test.frame.height:,} to test by"
    print(f"\n{title}, {fold.test.first} – {fold.test.last}: {positives}, {tested}")
    print(f"{'leaves':>6}{'AUC':>24}{'apart':>25}{'AP':>8}{'ratio':>7}{'trees':>7}", end="")
    print(f"{'fit s':>8}{'µs a score':>12}{'ratio':>7}{'µs explained':>14}{'ratio':>7}")
    first: tuple[FloatArray, float, float, float] | None = None
    for leaves in given.leaves:
        params = Params(leaves=leaves, threads=given.threads)
        begun = process_time()
        fitted = fit(
            matrix.features,
            matrix.scenario,
            params,
            train=train,
            stop=stop,
            calibration=calibration,
            learn=learn,
        )
        took = process_time() - begun
        raw = fitted.raw(test.frame)
        areas, precision = resampled(raw, test), average_precision(raw, test.positive)
        score, explained = timed(fitted, test.frame)
        first = first or (areas, precision, score, explained)
        apart = shown(areas - first[0]) if areas is not first[0] else "–"
        print(f"{leaves:>6}{shown(areas):>24}{apart:>25}", end="")
        print(
            f"{precision:>8.3f}{precision / first[1]:>7.2f}{fitted.rounds:>7}{took:>8.1f}", end=""
        )
        print(f"{score:>12.1f}{score / first[2]:>7.2f}", end="")
        print(f"{explained:>14.1f}{explained / first[3]:>7.2f}")


def resampled(raw: FloatArray, test: Sample) -> FloatArray:
    """Return the AUC, followed by those of subjects drawn with replacement."""
    subject = test.group.rank("dense").to_numpy().astype(np.int64) - 1
    many, rng = int(subject.max()) + 1, np.random.default_rng(0)
    found = [area(raw, test.positive, np.ones(len(raw)))]
    for _ in range(RESAMPLES):
        counts = np.bincount(rng.integers(0, many, many), minlength=many)
        found.append(area(raw, test.positive, counts[subject].astype(np.float64)))
    return np.array(found)


def shown(figures: FloatArray) -> str:
    """Return a figure with the middle 95 % of its resamples."""
    low, high = np.quantile(figures[1:], [0.025, 0.975])
    return f"{figures[0]:.3f} [{low:.3f}, {high:.3f}]"


def average_precision(raw: FloatArray, positive: BoolArray) -> float:
    """Return the precision where each positive is found, averaged; rows that tie come together."""
    place = np.unique(-raw, return_inverse=True)[1]
    found = np.bincount(place, positive)
    precision = np.cumsum(found) / np.cumsum(np.bincount(place))
    return float((found * precision).sum() / positive.sum())


def timed(fitted: Fitted, frame: pl.DataFrame) -> tuple[float, float]:
    """Return the microseconds of a row's score and of its contributions."""
    rows = np.ascontiguousarray(fitted.encoder.matrix(frame.head(TIMED_ROWS)))
    singles = [row[None, :] for row in rows]

    def scores() -> None:
        for row in rows:
            fitted.booster.raw_one(row)

    def contributions() -> None:
        for row in singles:
            fitted.booster.contributions(row)

    def best(way: Callable[[], None]) -> float:
        return min(timeit.repeat(way, timer=process_time, number=1, repeat=3)) / len(rows) * 1e6

    return best(scores), best(contributions)


def many_rows(given: argparse.Namespace) -> None:
    """Run each way in a process of its own and print what it took."""
    print(f"\n{given.rows:,} rows × {given.features} features, {given.rounds} rounds of 8 leaves")
    print(f"{'':<8}{'trees':>7}{'CPU s':>9}{'ratio':>7}{'s':>9}{'ratio':>7}", end="")
    print(f"{'data MiB':>10}{'peak MiB':>10}{'ratio':>7}")
    floor: dict[str, float] = {}
    for way in get_args(Way):
        wanted = ("rows", "features", "rounds", "threads")
        options = [f"--{name}={vars(given)[name]}" for name in wanted]
        command = [sys.executable, __file__, "--way", way, *options]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        told = cast("dict[str, float]", json.loads(done.stdout))
        floor = floor or told
        print(f"{way:<8}{told['trees']:>7.0f}", end="")
        for name in ("cpu", "wall"):
            print(f"{told[name]:>9.1f}{told[name] / floor[name]:>7.2f}", end="")
        print(f"{told['data']:>10,.0f}{told['peak']:>10,.0f}{told['peak'] / floor['peak']:>7.2f}")


def child(given: argparse.Namespace, way: Way) -> dict[str, float]:
    """Make the data, fit it one way, and return what it took."""
    import_module("lightgbm")  # whoever needs it first should not pay for it
    params = Params(rounds=given.rounds, patience=given.rounds, threads=given.threads)
    run = (_plain if way == "plain" else _ours)(given, params, way)
    # The peak of making the data is forgotten: from here on it is the fit's.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    data, begun, clock = _resident("VmRSS"), process_time(), perf_counter()
    trees = run()
    took = {"cpu": process_time() - begun, "wall": perf_counter() - clock}
    return {"trees": trees, **took, "data": data, "peak": _resident("VmHWM")}


def made(rows: int, features: int, take: Callable[[int, FloatArray], None]) -> BoolArray:
    """Hand over made-up columns one by one; return the outcome, one row in six."""
    rng = np.random.default_rng(1)
    odds = np.full(rows, -1.9)
    for number in range(features):
        values = rng.normal(size=rows)
        odds += 0.3 * values if number < TOLD else 0.0
        values[rng.random(rows) < GAPS] = np.nan
        take(number, values)
    return rng.random(rows) < 1 / (1 + np.exp(-odds))


def _edges(rows: int) -> list[int]:
    return [0, *(int(rows * share) for share in SLICES), rows]


def _ours(given: argparse.Namespace, params: Params, way: Way) -> Callable[[], int]:
    """Return the project's fit on frames of rows, of which a subject has ten."""
    rows: int = given.rows
    scenario, columns = scenario_named("food_safety"), dict[str, pl.Series]()

    def take(number: int, values: FloatArray) -> None:
        columns[f"f{number}"] = pl.Series(values, nan_to_null=True)

    positive = made(rows, given.features, take)
    subjects = np.random.default_rng(2).integers(0, max(rows // 10, 1), rows)
    group = pl.Series(subjects).cast(pl.String)
    whole = Sample(pl.DataFrame(columns), positive, np.ones(rows), group)
    specs = tuple(
        FeatureSpec(name, name, None, "window", "number", None, "{value}", None, None)
        for name in columns
    )
    columns.clear()
    train, stop, calibration = (
        whole.at(np.arange(begin, end)) for begin, end in pairwise(_edges(rows))
    )
    if way == "once":
        return lambda: fit(specs, scenario, params, train=train, stop=stop).rounds
    own = partial(fit, train=train, stop=stop, calibration=calibration, learn=whole)
    return lambda: own(specs, scenario, params).rounds


def _plain(given: argparse.Namespace, params: Params, _: Way) -> Callable[[], int]:
    """Return LightGBM's own training on arrays."""
    import lightgbm

    begin, end = _edges(given.rows)[1:3]
    arrays = np.empty((begin, given.features)), np.empty((end - begin, given.features))

    def take(number: int, values: FloatArray) -> None:
        arrays[0][:, number], arrays[1][:, number] = values[:begin], values[begin:end]

    target = made(given.rows, given.features, take).astype(np.float64)
    told = params.lightgbm([0] * given.features) | {"metric": "binary_logloss"}
    learn = cast("Callable[..., lightgbm.Booster]", vars(lightgbm)["train"])

    def run() -> int:
        own = lightgbm.Dataset(arrays[0], target[:begin])
        held = lightgbm.Dataset(arrays[1], target[begin:end], reference=own)
        return learn(told, own, params.rounds, valid_sets=[held]).current_iteration()

    return run


def _resident(field: str) -> float:
    """Return the MiB that are resident now, or were at most."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
