"""Make provinces of growing size: time, memory, files; then what the gate finds of known dirt.

    python tests/bench/bench_synth.py [SUBJECTS ...]

Each size runs in a process of its own, so that its peak memory is its own. The second table imports
the smallest province again, with ten times the usual dirt, and sets what the gate noted against
the rows that were made dirty: recall and precision by rule.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import polars as pl

from models.records.bookkeeping import IMPORT_RUN, QUARANTINE
from models.records.lake import Lake
from training.sources.mapping import load_mapping
from training.sources.run import import_mapping
from training.synth import truth
from training.synth.province import make
from training.synth.spec import DIRT, Rates, Spec

SEED = 7
SIZES = (5_000, 20_000, 60_000)
DIRT_RATE = 0.01


def measure(subjects: int) -> tuple[float, int, float, float]:
    """Return seconds, rows, MiB of files and MiB of peak memory of one province."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        summary = make(Spec(subjects=subjects, seed=SEED), Path(folder) / "out")
        seconds = time.perf_counter() - begun
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return seconds, sum(summary.rows.values()), size / 2**20, peak


def growth(sizes: Sequence[int]) -> None:
    """Print one line a size."""
    head = ("subjects", "seconds", "rows", "rows/s", "ms/1000", "files MiB", "peak MiB")
    print(" ".join(f"{name:>11}" for name in head))
    for subjects in sizes:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn) as alone:
            seconds, rows, size, peak = alone.submit(measure, subjects).result()
        per_thousand = 1e6 * seconds / subjects
        print(
            f"{subjects:>11,} {seconds:>11.2f} {rows:>11,} {rows / seconds:>11,.0f} "
            f"{per_thousand:>11.1f} {size:>11.1f} {peak:>11.0f}"
        )


def noted(lake: Lake) -> pl.DataFrame:
    """Return file, line and rule of every note: refusals, and findings on accepted rows."""
    refused = lake.scan(QUARANTINE).select("table", "file", "line", "rule").collect()
    parts = [refused]
    place = pl.col("source_ref").str.split_exact("#", 1)
    for table in set(lake.tables()) - {QUARANTINE, IMPORT_RUN}:
        found = lake.scan(table).select("source_ref", "findings").explode("findings")
        parts.append(
            found.filter(pl.col("findings").is_not_null())
            .select(
                table=pl.lit(table),
                file=place.struct.field("field_0"),
                line=place.struct.field("field_1").cast(pl.Int64),
                rule="findings",
            )
            .collect()
        )
    return pl.concat(parts).unique()


def gate(subjects: int) -> None:
    """Print recall and precision of every rule with dirt."""
    rates = Rates(dirt=dict.fromkeys(DIRT, DIRT_RATE))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        summary = make(Spec(subjects=subjects, seed=SEED, rates=rates), out)
        lake = Lake.open(str(Path(folder) / "lake"), buckets=8)
        import_mapping(load_mapping(summary.mapping), lake)
        found = noted(lake)
        made = truth.read(out, "dirt").collect()
    right = found.join(made, on=["file", "line", "rule"], how="semi")
    print(f"\n{'rule':>5} {'dirty':>7} {'noted':>7} {'recall':>7} {'precision':>9}")
    for rule in DIRT:
        dirty, notes, hits = (frame.filter(rule=rule).height for frame in (made, found, right))
        recall, precision = hits / max(dirty, 1), hits / max(notes, 1)
        print(f"{rule:>5} {dirty:>7,} {notes:>7,} {recall:>7.3f} {precision:>9.3f}")


if __name__ == "__main__":
    chosen = tuple(int(size) for size in sys.argv[1:]) or SIZES
    growth(chosen)
    gate(min(chosen))
