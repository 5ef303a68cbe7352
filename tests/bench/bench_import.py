"""Import against a bare Polars read and write of the same files, in one run.

    python tests/bench/bench_import.py [SUBJECTS]

Each line imports one source of a synthetic province into a new lake that knows the subjects: read,
mapped, identified, checked, kept. The floor reads the same files and writes them as Parquet.
Medians of three rounds; the ratio is that of the same round.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from models.records.lake import Lake
from training.sources.mapping import Mapping, load_mapping
from training.sources.run import Tally, import_mapping
from training.synth import make_province

ROUNDS = 3
SOURCES = ("subject", "licence", "penalty", "inspection", "annual_report", "social_insurance")


def only(mapping: Mapping, source: str) -> Mapping:
    """Return the mapping with one source."""
    return replace(mapping, plans=tuple(p for p in mapping.plans if p.source.id == source))


def timed(work: Callable[[], object]) -> float:
    """Return the seconds ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def floor(paths: Sequence[Path], out: Path) -> None:
    """Read the files and write them, nothing else."""
    for number, path in enumerate(paths):
        frame = (
            pl.read_csv(path, infer_schema=False)
            if path.suffix == ".csv"
            else pl.read_parquet(path)
        )
        frame.write_parquet(out / f"floor-{number}.parquet")


def measure(mapping: Mapping, source: str) -> str:
    """Return the line of one source."""
    (plan,) = only(mapping, source).plans
    paths = sorted(mapping.path.parent.glob(plan.source.files[0]))
    rows = 0
    floors: list[float] = []
    imports: list[float] = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            lake = Lake.open(Path(folder) / "lake")
            if source != "subject":
                import_mapping(only(mapping, "subject"), lake)
            floors.append(timed(lambda folder=folder: floor(paths, Path(folder))))
            tallies: list[Tally] = []
            imports.append(
                timed(lambda: tallies.extend(import_mapping(only(mapping, source), lake)))  # noqa: B023
            )
            rows = tallies[0].rows_in
    floor_s, import_s = statistics.median(floors), statistics.median(imports)
    ratio = statistics.median(i / f for i, f in zip(imports, floors, strict=True))
    size = sum(path.stat().st_size for path in paths) / 2**20
    strict = " strict" if plan.source.strict else ""
    return (
        f"| {source} {paths[0].suffix[1:]}{strict} | {rows:,} | {size:,.0f} | "
        f"{floor_s:.2f} | {import_s:.2f} | {rows / import_s:,.0f} | {ratio:.1f} |"
    )


def main() -> None:
    """Print the table."""
    subjects = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print("| source | rows | MiB | floor s | import s | import rows/s | ratio |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        province = make_province(Path(folder) / "province", subjects=subjects, seed=7)
        mapping = load_mapping(province.mapping)
        for source in SOURCES:
            print(measure(mapping, source), flush=True)


if __name__ == "__main__":
    main()
