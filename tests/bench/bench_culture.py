"""Culture-market inspections of Beijing: what can be foretold of a visit before it takes place.

    python tests/bench/bench_culture.py [--root FOLDER] [--work FOLDER] [--trials N] [KNOWN ...]

``FOLDER`` holds the tables of the city's open data. Every inspection is a row, the label is 不合格,
the test begins on 2023-10-05; no inspector and nothing written after the visit is read. ``KNOWN``
says what is taken as known before a visit:

* ``imported``: as the example mapping has it: results nine days later, names once a table told;
* ``named``: names and codes of the register from the outset, results nine days later;
* ``before``: and every record from its own day on, which is what the reference was measured with.

The reference: a small LightGBM on history, code and name, measured once outside of this project.
With ``--trials`` the search looks at what lies before the test, as everything else does.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from models.records.lake import Lake
from models.scenarios import scenario_named
from training import sources
from training.evaluate.evaluation import Evaluation, Interval, Metric, Slice
from training.evaluate.judge import evaluate
from training.risk.run import Options, fit_run
from training.sources.mapping import load_mapping
from training.sources.run import import_mapping

SPLIT: Final = date(2023, 10, 5)
LAST_YEAR: Final = date(2025, 10, 5)
DATA: Final = Path(__file__).parents[3] / "shared" / "data" / "beijing"
REFERENCE: Final = {
    "reference": (0.729, 0.188, 0.30, 0.52),
    "reference past rate": (0.690, 0.117, None, None),
}
METRICS: Final[tuple[Metric, ...]] = ("auc", "ap", "recall_10", "recall_25")
KNOWN: Final = ("imported", "named", "before")


def mapping(known: str, folder: Path) -> Path:
    """Write the example mapping with what is taken as known into ``folder``; return its path."""
    shutil.copytree(Path(sources.__path__[0]) / "examples" / "beijing", folder, dirs_exist_ok=True)
    path = folder / "mapping.yaml"
    subjects, mark, cases = path.read_text(encoding="utf-8").partition("  # ---- inspections")
    if known != "imported":
        subjects = re.sub(r"known_at: \{[^}]*\}", "known_at: {on: 2020-12-31}", subjects)
    if known == "before":
        cases = cases.replace("days: 9}", "days: 0}")
    path.write_text(f"{subjects}{mark}{cases}", encoding="utf-8")
    return path


def lake(known: str, root: Path, work: Path) -> Lake:
    """Import the tables, or find them imported."""
    folder = work / f"lake-{known}"
    opened = Lake.open(folder / "lake")
    if not (folder / "done").exists():
        import_mapping(load_mapping(mapping(known, folder / "mapping")), opened, root=root)
        (folder / "done").touch()
    return opened


def judged(opened: Lake, work: Path, options: Options) -> Evaluation:
    """Fit and judge."""
    scenario = scenario_named("culture_market_inspection")
    run = fit_run(opened, scenario, work, options=options)
    return evaluate(pl.read_parquet(run.predictions), scenario, seed=scenario.model.seed)


def shown(interval: Interval) -> str:
    """Return a figure with its interval."""
    if interval.value is None:
        return "–"
    if interval.low is None:
        return f"{interval.value:.3f}"
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def line(name: str, cells: Sequence[str]) -> None:
    """Print a line of the table."""
    print(f"{name:<34}" + "".join(f"{cell:>24}" for cell in cells))


def figures(name: str, part: Slice, models: Sequence[str]) -> None:
    """Print a line for each model of a slice, not weighted: it is the ranking of visits."""
    for model in models:
        metrics = part.of(model, "plain").metrics
        line(f"{name} {model}", [shown(metrics[one]) for one in METRICS])


def bench(known: str, opened: Lake, work: Path, trials: int) -> None:
    """Print the final split and the yearly ones."""
    begun = time.perf_counter()
    final = judged(opened, work, Options(at="visits", test_from=SPLIT, trials=trials))
    part = final.slices[0]
    share = part.base_rate["plain"]
    print(f"\n{known}: {part.rows:,} visits, {part.positives} found; base {share:.3f}")
    line("", METRICS)
    for name, values in REFERENCE.items():
        line(name, ["–" if value is None else f"{value:.3f}" for value in values])
    figures("2023-10-05 on", part, final.models)
    yearly = judged(opened, work, Options(at="visits", test_from=LAST_YEAR, folds=3, trials=trials))
    for one in yearly.slices[:-1]:
        figures(f"{one.first} – {one.last}", one, yearly.models[:2])
    print(f"{time.perf_counter() - begun:.0f} s")


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, default=DATA)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--trials", type=int, default=0)
    parser.add_argument("known", nargs="*", choices=[*KNOWN, []], default=list(KNOWN))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        for known in given.known:
            opened = lake(known, given.root, work)
            bench(known, opened, work / f"runs-{known}", given.trials)


if __name__ == "__main__":
    main()
