"""Window features against the scan of their columns and against Polars' masked sums, in one run.

Run: python tests/bench/bench_features.py [--rows 2000000 20000000 …] [--repeat 5] [--dates 1 8]
     [--countable] [--dir DIR] [--only scan ours …] [--whole 20000000]

One table for each number of rows. Events lie in Parquet files of about half a million rows, a
bucket each, sorted by subject and day as the lake keeps them: 20 events a subject over 9 years, 5
kinds, 40 matters, an amount, one in twenty voided; with --countable also the columns of records
whose publicity ends. 77 features: over each of 5 windows a count, counts and shares of 5 kinds, sum
and maximum of the amount, two distinct counts; recency; one trend. One subject in twenty has no
events. Buckets are made one by one; as many as there are processors are read, worked and dropped at
once, so that memory does not grow with rows.

Every line of the table is a process of its own, its times medians of --repeat runs after one that
is not counted, its peak that of the process. Compilation and the sort are lines of their own.
A row takes 14 bytes on disk, and about as many again for Polars' copy with numbers for texts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl

from models.features.window import Category, WindowSpec, build_windows, warm
from models.records.countable import countable
from models.records.publicity import Purpose
from models.time import AsOf

BUCKET = 500_000
EVENTS_PER_SUBJECT = 20
KINDS = ("k1", "k2", "k3", "k4", "k5")
MATTERS = 40
FIRST, LAST = date(2017, 1, 1), date(2026, 1, 1)
WINDOWS = (30, 90, 180, 365, 1095)
SPEC = WindowSpec(
    table="event",
    windows=WINDOWS,
    measures=("amount",),
    categories=(Category("kind", KINDS), Category("matter")),
    trends=((90, 365),),
)
ONLINE_CALLS = 2_000
ONLINE_RECORDS = 500
ABSENT = 20
"""Subjects for each one that has no events."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to run."""

    rows: int
    repeat: int
    folder: Path

    @property
    def files(self) -> list[Path]:
        """Return the buckets, in order."""
        return sorted(self.folder.glob("bucket_*.parquet"))


def main() -> None:
    """Print the table, or, with --stage, run one line of it and print its measures as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, nargs="+", default=[2_000_000])
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--dates", type=int, nargs="+", default=[1, 8])
    options.add_argument("--countable", action="store_true")
    options.add_argument("--dir", type=Path, default=None)
    options.add_argument("--only", nargs="+", default=list(STAGES))
    options.add_argument("--whole", type=int, default=20_000_000, help="most rows done at once")
    options.add_argument("--stage", choices=list(STAGES), default=None)
    options.add_argument("--at", type=int, default=1)
    options.add_argument("--folder", type=Path, default=None)
    chosen = options.parse_args()
    if chosen.stage:
        stage = STAGES[chosen.stage]
        print(json.dumps(stage(Options(chosen.rows[0], chosen.repeat, chosen.folder), chosen.at)))
        return
    for number, rows in enumerate(chosen.rows):
        only = [name for name in chosen.only if number == 0 or name not in ONCE]
        if rows > chosen.whole:
            only = [name for name in only if not name.endswith("whole")]
        folder = Path(tempfile.mkdtemp(prefix="bench_features_", dir=chosen.dir))
        try:
            began = time.perf_counter()
            generate(folder, rows, countable=chosen.countable)
            size = sum(file.stat().st_size for file in folder.iterdir()) / 2**20
            made = Options(rows, chosen.repeat, folder)
            print(
                f"{rows:,} events, {len(made.files)} buckets, {size:,.0f} MiB, made in "
                f"{time.perf_counter() - began:.0f} s; {os.cpu_count()} processors, load "
                f"{os.getloadavg()[0]:.1f}"
            )
            table(made, chosen.dates, only)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def table(options: Options, dates: list[int], only: list[str]) -> None:
    """Run each line in its own process; print it with its ratios to the scan and to ours."""
    print(
        f"{'':<22}{'dates':>6}{'seconds':>10}{'x scan':>8}{'x ours':>8}{'CPU s':>9}{'x scan':>8}"
        f"{'x ours':>8}{'rows/s':>13}{'peak MiB':>10}"
    )
    known: dict[tuple[str, int], dict[str, float]] = {}
    for name in (name for name in STAGES if name in only):
        for at in dates if name in DATED else [1]:
            found = measured(options, name, at)
            known[name, at] = found
            if "seconds" not in found:
                print(f"{name:<22}" + "  ".join(f"{k} {v:,.6g}" for k, v in found.items()))
                continue
            line = f"{name:<22}{at if name in DATED else '':>6}"
            for key in ("seconds", "cpu"):
                line += f"{found[key]:>{10 if key == 'seconds' else 9}.3f}"
                for other in (known.get(("scan", 1)), known.get(("ours", at))):
                    line += f"{found[key] / other[key]:>8.2f}" if other else f"{'':>8}"
            rate = options.rows / found["seconds"]
            print(f"{line}{rate:>13,.0f}{found['peak']:>10,.0f}", flush=True)


def measured(options: Options, name: str, at: int) -> dict[str, float]:
    """Run a line of the table in a process of its own."""
    command = [sys.executable, __file__, "--stage", name, "--at", str(at)]
    command += ["--rows", str(options.rows), "--repeat", str(options.repeat)]
    command += ["--folder", str(options.folder)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    return cast("dict[str, float]", json.loads(ran.stdout.splitlines()[-1]))


def scan(options: Options, at: int) -> dict[str, float]:
    """Read the needed columns of every bucket and drop them: the floor."""
    del at
    return timed(options, lambda: buckets(options, lambda _, frame: frame.height))


def scan_whole(options: Options, at: int) -> dict[str, float]:
    """Read the needed columns of all buckets at once."""
    del at
    columns = needed(options)
    return timed(options, lambda: pl.read_parquet(options.files, columns=columns).height)


def ours(options: Options, at: int) -> dict[str, float]:
    """Build the features of every bucket."""
    warm()
    return timed(options, lambda: buckets(options, lambda file, frame: features(file, frame, at)))


def ours_sorting(options: Options, at: int) -> dict[str, float]:
    """Build them from rows that must be sorted first."""
    warm()

    def unsorted(file: Path, frame: pl.DataFrame) -> int:
        return features(file, frame.reverse(), at)

    return timed(options, lambda: buckets(options, unsorted))


def sort(options: Options, at: int) -> dict[str, float]:
    """Sort the rows of every bucket by subject and day, as a lake has done when it was written."""
    del at

    def order(_: Path, frame: pl.DataFrame) -> int:
        return frame.reverse().sort("subject_id", "happened_on").height

    return timed(options, lambda: buckets(options, order))


def masked(options: Options, at: int) -> dict[str, float]:
    """Do the same with Polars' masked expressions, subjects and values as integers, by bucket."""
    prepared = integers(options)
    return timed(options, lambda: sum(grouped(pl.scan_parquet(f), at) for f in prepared))


def masked_whole(options: Options, at: int) -> dict[str, float]:
    """Do so over all buckets at once."""
    prepared = integers(options)
    return timed(options, lambda: grouped(pl.scan_parquet(prepared), at))


def same(options: Options, at: int) -> dict[str, float]:
    """Compare the answers: the greatest relative difference between Polars' and ours."""
    worst = 0.0
    for file, prepared in list(zip(options.files, integers(options), strict=True))[:2]:
        frame = pl.read_parquet(file, columns=needed(options))
        theirs = expressions(pl.scan_parquet(prepared), days(at)[0]).collect().sort("subject")
        mine = build_windows(frame, SPEC, subjects=cohort(file), dates=days(at)[:1])
        mine = mine.head(theirs.height)  # those without events come last
        for name in theirs.columns[1:]:
            a, b = mine[name].fill_null(-1).to_numpy(), theirs[name].fill_null(-1).to_numpy()
            worst = max(worst, float(np.max(np.abs(a - b) / np.maximum(np.abs(a), 1))))
    return {"greatest relative difference": worst}


def compile_apart(options: Options, at: int) -> dict[str, float]:
    """Time the compilation with an empty cache, and the load from a full one."""
    del at
    cache = options.folder / "numba"
    code = "import time; b = time.perf_counter(); import polars, numba; "
    code += "from models.features.window import warm; m = time.perf_counter(); warm(); "
    code += "print(m - b, time.perf_counter() - m)"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    times: list[list[float]] = []
    for _ in range(1 + options.repeat):
        ran = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        times.append([float(x) for x in ran.stdout.split()])
    shutil.rmtree(cache, ignore_errors=True)
    return {
        "compile s": times[0][1],
        "load from cache s": statistics.median(t[1] for t in times[1:]),
        "import s": statistics.median(t[0] for t in times[1:]),
    }


def online(options: Options, at: int) -> dict[str, float]:
    """Time one subject: from records in memory to its row of features."""
    del at
    warm()
    frame = pl.read_parquet(options.files[0], n_rows=ONLINE_RECORDS)
    frame = frame.with_columns(subject_id=pl.lit("912100000000000000")).sort("happened_on")
    subject, dates = pl.Series(["912100000000000000"]), [LAST]

    def calls(frames: list[pl.DataFrame]) -> list[float]:
        micros: list[float] = []
        for _ in range(ONLINE_CALLS):
            began = time.perf_counter()
            for one in frames:
                build_windows(one, SPEC, subjects=subject, dates=dates)
            micros.append((time.perf_counter() - began) * 1e6)
        return micros[100:]

    whole = np.quantile(calls([frame]), [0.5, 0.99])
    parts = [part.sort("happened_on") for part in frame.iter_slices(ONLINE_RECORDS // 5)]
    split = np.quantile(calls(parts), [0.5, 0.99])
    return {
        "500 records of one table, us p50": float(whole[0]),
        "p99": float(whole[1]),
        "of five tables, us p50": float(split[0]),
        "p99 ": float(split[1]),
    }


STAGES: dict[str, Callable[[Options, int], dict[str, float]]] = {
    "scan": scan,
    "scan whole": scan_whole,
    "ours": ours,
    "sort": sort,
    "ours, sorting first": ours_sorting,
    "masked": masked,
    "masked whole": masked_whole,
    "same": same,
    "compile": compile_apart,
    "online": online,
}
DATED = {"ours", "masked", "masked whole"}
ONCE = {"same", "compile", "online"}
"""What does not depend on the number of rows."""


def features(file: Path, frame: pl.DataFrame, at: int) -> int:
    """Build the features of one bucket's subjects, and drop them."""
    return build_windows(frame, SPEC, subjects=cohort(file), dates=days(at)).height


def cohort(file: Path) -> pl.Series:
    """Read the bucket's subjects, which a scenario would name."""
    return pl.read_parquet(file.with_name(file.name.replace("bucket", "cohort")))["subject_id"]


def days(count: int) -> list[date]:
    """Return as-of dates, a month between them."""
    return [LAST - timedelta(days=30 * n) for n in range(count)]


def needed(options: Options) -> list[str]:
    """Return the columns to read."""
    return SPEC.reads(pl.read_parquet_schema(options.files[0]).keys())


def buckets(options: Options, work: Callable[[Path, pl.DataFrame], int]) -> int:
    """Read and work the buckets, as many at once as there are processors."""
    columns = needed(options)

    def one(file: Path) -> int:
        return work(file, pl.read_parquet(file, columns=columns))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return sum(pool.map(one, options.files))


def integers(options: Options) -> list[Path]:
    """Write the buckets once more with whole numbers for subjects, kinds and matters."""
    folder = options.folder / "integers"
    paths = [folder / file.name for file in options.files]
    if folder.exists():
        return paths
    folder.mkdir()
    for file, path in zip(options.files, paths, strict=True):
        pl.read_parquet(file).with_columns(
            subject=pl.col("subject_id").str.slice(5).cast(pl.Int64),
            kind=pl.col("kind").cast(pl.Enum(KINDS)).to_physical(),
            matter=pl.col("matter").cast(pl.Int64).cast(pl.UInt8),
        ).drop("subject_id").write_parquet(path)
    return paths


def grouped(frame: pl.LazyFrame, at: int) -> int:
    """Make the features by masked expressions, date by date, and drop them."""
    return sum(expressions(frame, on).collect().height for on in days(at))


def expressions(frame: pl.LazyFrame, on: date) -> pl.LazyFrame:
    """Return the features of one date as masked expressions in one grouping by integers."""
    rule = countable(
        AsOf(on), purpose=Purpose.RISK_CLASS, columns=frame.collect_schema().names()
    ) & (pl.col("happened_on") < on)
    parts: list[pl.Expr] = [
        (pl.lit(on) - pl.col("happened_on").max()).dt.total_days().alias("event_recency")
    ]
    for width in WINDOWS:
        inside = pl.col("happened_on") >= on - timedelta(days=width)
        amount, kind = pl.col("amount").filter(inside), pl.col("kind")
        parts += [
            inside.sum().alias(f"event_count_{width}d"),
            amount.sum().alias(f"event_amount_sum_{width}d"),
            amount.max().alias(f"event_amount_max_{width}d"),
            *(
                (inside & (kind == code)).sum().alias(f"event_kind_{name}_count_{width}d")
                for code, name in enumerate(KINDS)
            ),
            kind.filter(inside).n_unique().alias(f"event_kind_distinct_{width}d"),
            pl.col("matter").filter(inside).n_unique().alias(f"event_matter_distinct_{width}d"),
        ]
    counted = frame.with_columns(counts=rule)
    return counted.filter("counts").group_by("subject").agg(parts)


def generate(folder: Path, rows: int, *, countable: bool) -> None:
    """Write the buckets."""
    for number, start in enumerate(range(0, rows, BUCKET)):
        frame = events(number, min(BUCKET, rows - start), countable=countable)
        frame.write_parquet(folder / f"bucket_{number:04d}.parquet")
        subjects = frame.select(pl.col("subject_id").unique(maintain_order=True))
        absent = pl.Series("n", range(subjects.height // ABSENT)) + number * BUCKET
        none = pl.DataFrame(absent).select(subject_id=pl.format("91299{}", identifier()))
        pl.concat([subjects, none]).write_parquet(folder / f"cohort_{number:04d}.parquet")


def events(number: int, count: int, *, countable: bool) -> pl.DataFrame:
    """Make the events of one bucket, sorted by subject and day."""
    rng = np.random.default_rng([11, number])
    subjects = max(count // EVENTS_PER_SUBJECT, 1)
    subject = rng.integers(0, subjects, count) + number * (BUCKET // EVENTS_PER_SUBJECT)
    first, last = (pl.Series([d]).to_physical()[0] for d in (FIRST, LAST))
    happened = rng.integers(first, last + 30, count)
    order = np.lexsort((happened, subject))
    subject, happened = subject[order], happened[order]
    known = (happened * 86_400 + rng.integers(0, 20 * 86_400, count)) * 1_000_000
    void = np.where(rng.random(count) < 0.05, happened + rng.integers(90, 900, count), -1)
    frame = pl.DataFrame({"n": subject, "happened": happened, "known": known, "void": void})
    frame = frame.select(
        subject_id=pl.format("91210{}", identifier()),
        happened_on=pl.col("happened").cast(pl.Int32).cast(pl.Date),
        known_at=pl.col("known").cast(pl.Datetime("us", "UTC")),
        void_from=pl.when(pl.col("void") > 0).then(pl.col("void")).cast(pl.Int32).cast(pl.Date),
        void_reason=pl.when(pl.col("void") > 0).then(pl.lit("repaired")),
        kind=pl.Series(np.array(KINDS)[rng.integers(0, 5, count)]),
        matter=pl.Series(rng.integers(0, MATTERS, count)).cast(pl.String),
        amount=pl.Series(np.round(rng.gamma(2, 5_000, count), 2)),
    )
    if not countable:
        return frame
    severity = np.array(["minor", "general", "serious"])[rng.integers(0, 3, count)]
    return frame.with_columns(
        severity=pl.Series(severity),
        published=pl.lit(value=True),
        max_months=pl.lit(None, pl.Int32),
        restrict_until=pl.lit(None, pl.Date),
        corrected=pl.lit(None, pl.Boolean),
    )


def identifier() -> pl.Expr:
    """Return the column ``n`` as the last thirteen characters of an id."""
    return pl.col("n").cast(pl.String).str.zfill(13)


def timed(options: Options, work: Callable[[], object]) -> dict[str, float]:
    """Return the medians of ``work``'s seconds, after one run unmeasured, and the peak memory.

    CPU seconds, of all threads, are what a machine busy with other work disturbs least.
    """
    seconds: list[float] = []
    cpu: list[float] = []
    for _ in range(options.repeat + 1):
        began, busy = time.perf_counter(), time.process_time()
        work()
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - busy)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    medians = (statistics.median(times[1:] or times) for times in (seconds, cpu))
    return dict(zip(("seconds", "cpu", "peak"), (*medians, peak), strict=True))


if __name__ == "__main__":
    main()
