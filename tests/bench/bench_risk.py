"""One row and many through a booster: ours against LightGBM's own C interface, in one run.

Run: python tests/bench/bench_risk.py [--trees 500] [--leaves 8 15 31 63] [--features 120]
     [--rows 100000] [--repeat 7] [--only one many]

Made-up features with gaps, one thread. The floor of a single row is a C program, compiled where a
compiler is found, that calls ``LGBM_BoosterPredictForMatSingleRowFast`` in a loop over the same
rows; ``ctypes`` is that call from Python with everything prepared, which is the floor where there
is no compiler. Times are the processor's, so that other work on the machine counts less; every
figure is the best of --repeat, taken in turns so that all see the same load.
Ratios of one row are times, smaller is better; of many rows they are speeds, greater is better.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import process_time
from typing import cast

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["POLARS_MAX_THREADS"] = "1"

import lightgbm
import numpy as np
import polars as pl

from models.decide import decide
from models.features.spec import FeatureSpec
from models.risk.booster import Booster
from models.risk.bundle import Bundle
from models.risk.calibrate import Calibrator
from models.risk.encode import Encoder, FloatArray
from models.risk.fast import Output
from models.risk.manifest import BundleManifest
from models.scenarios.catalogue import scenario_named

ONE_ROWS = 500
FIT_ROWS = 20_000
SOURCE = r"""
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
typedef int (*load_t)(const char*, int*, void**);
typedef int (*init_t)(void*, int, int, int, int, int32_t, const char*, void**);
typedef int (*call_t)(void*, const void*, int64_t*, double*);
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}
int main(int argc, char** argv) {  /* library model rows n features kind repeat */
  void* lib = dlopen(argv[1], RTLD_NOW);
  int n = atoi(argv[4]), width = atoi(argv[5]), kind = atoi(argv[6]), repeat = atoi(argv[7]);
  int iterations;
  void *booster, *fast;
  load_t load = (load_t)dlsym(lib, "LGBM_BoosterCreateFromModelfile");
  init_t init = (init_t)dlsym(lib, "LGBM_BoosterPredictForMatSingleRowFastInit");
  call_t call = (call_t)dlsym(lib, "LGBM_BoosterPredictForMatSingleRowFast");
  if (load(argv[2], &iterations, &booster)) return 1;
  if (init(booster, kind, 0, -1, 1, width, "num_threads=1", &fast)) return 2;
  double* rows = malloc(sizeof(double) * n * width);
  double* out = malloc(sizeof(double) * (width + 1));
  FILE* file = fopen(argv[3], "rb");
  if (fread(rows, sizeof(double), (size_t)n * width, file) != (size_t)n * width) return 3;
  double best = 1e300;
  int64_t length;
  for (int r = 0; r < repeat; r++) {
    double begin = now();
    for (int i = 0; i < n; i++) call(fast, rows + (size_t)i * width, &length, out);
    double each = (now() - begin) / n;
    if (each < best) best = each;
  }
  printf("%.3f\n", best);
  return 0;
}
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What to run."""

    trees: int
    features: int
    rows: int
    repeat: int

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the features."""
        return tuple(f"f{i}" for i in range(self.features))


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trees", type=int, default=500)
    options.add_argument("--leaves", type=int, nargs="+", default=[8, 15, 31, 63])
    options.add_argument("--features", type=int, default=120)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--repeat", type=int, default=7)
    options.add_argument("--only", nargs="+", choices=["one", "many"], default=["one", "many"])
    chosen = options.parse_args()
    made = Options(chosen.trees, chosen.features, chosen.rows, chosen.repeat)
    print(
        f"{made.trees} trees, {made.features} features, LightGBM {lightgbm.__version__}, "
        f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    )
    bundles = {leaves: fitted(made, leaves) for leaves in chosen.leaves}
    with tempfile.TemporaryDirectory(prefix="bench_risk_") as folder:
        program = harness(Path(folder))
        print(f"floor of one row: {'C program' if program else 'ctypes, no compiler found'}")
        for output in ("raw", "contributions") if "one" in chosen.only else ():
            one_row(made, bundles, output, program)
    if "one" in chosen.only:
        one_decision(made, bundles)
    if "many" in chosen.only:
        many_rows(made, bundles)


def sample(options: Options, rows: int, seed: int) -> FloatArray:
    """Return features of which one in ten is missing."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(rows, options.features))
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    return matrix


def fitted(options: Options, leaves: int) -> Bundle:
    """Fit a booster and wrap it into a bundle; print how long it takes to load."""
    matrix = sample(options, FIT_ROWS, 1)
    odds = np.nan_to_num(matrix[:, :20]).sum(axis=1) * 0.4 - 1.5
    happened = np.random.default_rng(2).random(FIT_ROWS) < 1 / (1 + np.exp(-odds))
    settings = {"objective": "binary", "num_leaves": leaves, "verbose": -1, "num_threads": 1}
    train = cast("Callable[..., lightgbm.Booster]", vars(lightgbm)["train"])
    data = lightgbm.Dataset(matrix, happened, feature_name=list(options.names))
    text = train(settings, data, options.trees).model_to_string()
    began = process_time()
    booster = Booster.from_text(text, features=options.names)
    print(
        f"{leaves:>3} leaves: {len(text) / 2**20:.1f} MiB, loaded in {process_time() - began:.2f} s"
    )
    specs = (
        FeatureSpec(n, n, None, "window", "number", None, "{value}", None, None)
        for n in options.names
    )
    return Bundle(
        scenario=scenario_named("food_safety"),
        features=tuple(specs),
        encoder=Encoder(options.names),
        booster=booster,
        calibrator=Calibrator("isotonic", knots=(-3.0, -1.0, 2.0), levels=(0.01, 0.2, 0.9)),
        manifest=BundleManifest(
            data_versions={},
            trained_from=date(2025, 1, 1),
            trained_to=date(2025, 1, 1),
            rows=FIT_ROWS,
            positives=int(happened.sum()),
            base_rate=float(happened.mean()),
        ),
    )


def table(options: Options, matrix: FloatArray) -> pl.DataFrame:
    """Return the matrix as a feature frame with nulls."""
    keys = pl.DataFrame({"subject_id": [f"s{i}" for i in range(len(matrix))]})
    frame = pl.DataFrame(matrix, list(options.names)).with_columns(pl.all().fill_nan(None))
    return pl.concat(
        [keys.with_columns(as_of=pl.lit(date(2026, 1, 1))), frame], how="horizontal"
    ).rechunk()


def harness(folder: Path) -> Path | None:
    """Compile the C program; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    source, program = folder / "floor.c", folder / "floor"
    source.write_text(SOURCE, encoding="utf-8")
    subprocess.run([compiler, "-O2", "-o", program, source, "-ldl"], check=True)
    return program


def one_row(
    options: Options, bundles: dict[int, Bundle], output: Output, program: Path | None
) -> None:
    """Print what one row takes, in microseconds."""
    print(
        f"\n{output + ', µs a row':<26}"
        f"{'C':>10}{'ctypes':>10}{'ours':>10}{'numpy':>10}{'ours/floor':>12}"
    )
    rows = sample(options, ONE_ROWS if output == "raw" else ONE_ROWS // 5, 3)
    for leaves, bundle in bundles.items():
        found = one_row_times(options, bundle.booster, rows, output, program)
        floor = found.get("C", found["ctypes"])
        cells = "".join(
            f"{found.get(name, float('nan')):>10.1f}" for name in ("C", "ctypes", "ours", "numpy")
        )
        print(f"{leaves:>3} leaves{'':>16}{cells}{found['ours'] / floor:>12.2f}")


def one_row_times(
    options: Options, booster: Booster, rows: FloatArray, output: Output, program: Path | None
) -> dict[str, float]:
    """Return the best time of each way, in microseconds a row."""
    single = booster._single(output)
    call, arguments, buffer = single._call, single._arguments, single._row
    plain = booster._booster
    singles = [row[None, :] for row in rows]

    def by_ctypes() -> None:
        for row in rows:
            buffer[:] = row
            call(*arguments)

    def by_ours() -> None:
        if output == "raw":
            for row in rows:
                booster.raw_one(row)
        else:
            for row in singles:
                booster.contributions(row)

    def by_numpy() -> None:
        for row in singles:
            plain.predict(
                row, raw_score=output == "raw", pred_contrib=output != "raw", num_threads=1
            )

    ways: dict[str, Callable[[], float]] = {
        name: (lambda way=way: timed(way) / len(rows) * 1e6)
        for name, way in (("ctypes", by_ctypes), ("ours", by_ours), ("numpy", by_numpy))
    }
    with tempfile.TemporaryDirectory(prefix="bench_risk_") as folder:
        if program is not None:
            ways["C"] = c_floor(Path(folder), program, booster, rows, output)
        return best(ways, options.repeat)


def c_floor(
    folder: Path, program: Path, booster: Booster, rows: FloatArray, output: Output
) -> Callable[[], float]:
    """Return what runs the C program once and gives its microseconds a row."""
    spec = importlib.util.find_spec("lightgbm")
    library = Path((spec and spec.origin) or "").parent / "lib" / "lib_lightgbm.so"
    model, data = folder / "model.txt", folder / "rows.bin"
    model.write_text(booster.text, encoding="utf-8")
    data.write_bytes(rows.tobytes())
    kind = {"raw": "1", "contributions": "3"}[output]
    sizes = [str(len(rows)), str(rows.shape[1]), kind, "3"]

    def run() -> float:
        command = [str(program), str(library), str(model), str(data), *sizes]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    return run


def one_decision(options: Options, bundles: dict[int, Bundle]) -> None:
    """Print what a decision about one row takes, from a Polars frame, in microseconds."""
    print(
        f"\n{'one decision, µs':<26}"
        f"{'matrix':>10}{'probability':>13}{'decide':>10}{'+ contributions':>17}"
    )
    rows = list(table(options, sample(options, 100, 4)).iter_slices(1))
    for leaves, bundle in bundles.items():
        scenario, booster = bundle.scenario, bundle.booster

        def reasons(row: pl.DataFrame, bundle: Bundle = bundle, booster: Booster = booster) -> None:
            decide(row, bundle.scenario, bundle)
            booster.contributions(bundle.encoder.matrix(row))

        ways: dict[str, Callable[[pl.DataFrame], object]] = {
            "matrix": bundle.encoder.matrix,
            "probability": bundle.probability,
            "decide": lambda row, bundle=bundle, scenario=scenario: decide(row, scenario, bundle),
            "reasons": reasons,
        }
        found = best({n: _each(way, rows) for n, way in ways.items()}, options.repeat)
        print(
            f"{leaves:>3} leaves{'':>16}{found['matrix']:>10.1f}{found['probability']:>13.1f}"
            f"{found['decide']:>10.1f}{found['reasons']:>17.1f}"
        )


def many_rows(options: Options, bundles: dict[int, Bundle]) -> None:
    """Print rows a second of many rows, one thread."""
    matrix = sample(options, options.rows, 5)
    frame = table(options, matrix)
    print(
        f"\n{f'{options.rows:,} rows, rows/s':<26}"
        f"{'numpy':>10}{'Polars':>10}{'ratio':>8}{'decide':>10}{'ratio':>8}"
    )
    for leaves, bundle in bundles.items():
        plain = bundle.booster._booster
        ways: dict[str, Callable[[], float]] = {
            "numpy": lambda plain=plain: timed(
                lambda: plain.predict(matrix, raw_score=True, num_threads=1)
            ),
            "Polars": lambda bundle=bundle: timed(lambda: bundle.probability(frame)),
            "decide": lambda bundle=bundle: timed(lambda: decide(frame, bundle.scenario, bundle)),
        }
        found = best(ways, options.repeat)
        speeds = {name: options.rows / seconds for name, seconds in found.items()}
        print(
            f"{leaves:>3} leaves{'':>16}{speeds['numpy']:>10,.0f}{speeds['Polars']:>10,.0f}"
            f"{speeds['Polars'] / speeds['numpy']:>8.2f}{speeds['decide']:>10,.0f}"
            f"{speeds['decide'] / speeds['numpy']:>8.2f}"
        )


def best(ways: dict[str, Callable[[], float]], repeat: int) -> dict[str, float]:
    """Return the best figure of each way, the ways taking turns."""
    found = dict.fromkeys(ways, float("inf"))
    for _ in range(repeat):
        for name, way in ways.items():
            found[name] = min(found[name], way())
    return found


def timed(way: Callable[[], object]) -> float:
    """Return the seconds that ``way`` takes."""
    began = process_time()
    way()
    return process_time() - began


def _each(way: Callable[[pl.DataFrame], object], rows: list[pl.DataFrame]) -> Callable[[], float]:
    def run() -> float:
        began = process_time()
        for row in rows:
            way(row)
        return (process_time() - began) / len(rows) * 1e6

    return run


if __name__ == "__main__":
    main()
