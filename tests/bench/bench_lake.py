"""The lake against bare Polars on the same rows: write, size, one subject, a merge, in one run.

Run: python tests/bench/bench_lake.py [--rows 20000000] [--batch 2000000] [--dir DIR]
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from models.records.lake import Lake

EVENTS_PER_SUBJECT = 20
SAMPLED = 200_000
LOOKUPS = 1_000
MERGED = 100_000


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=20_000_000)
    options.add_argument("--batch", type=int, default=2_000_000)
    options.add_argument("--dir", type=Path, default=None)
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench_lake_", dir=chosen.dir))
    try:
        bench(folder, chosen.rows, min(chosen.batch, chosen.rows))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def bench(folder: Path, rows: int, batch: int) -> None:
    """Write ``rows`` events in batches to a lake and to plain Parquet files, and read both."""
    lake = Lake.open(folder / "lake")
    plain = folder / "plain"
    plain.mkdir()
    subjects = max(rows // EVENTS_PER_SUBJECT, 1)
    lake_seconds, plain_seconds = 0.0, 0.0
    for start in range(0, rows, batch):
        frame = events(start, min(batch, rows - start), subjects)
        plain_seconds += timed(lambda f=frame, s=start: f.write_parquet(plain / f"{s}.parquet"))
        lake_seconds += timed(lambda f=frame: lake.merge("event", f))
        show("peak MiB so far", f"{peak():,.0f}")
    sample = events(0, min(SAMPLED, rows), subjects)
    csv = sample.with_columns(pl.col("findings").list.join(";")).write_csv()
    csv_bytes = len(csv.encode()) / sample.height
    plain_bytes = sum(f.stat().st_size for f in plain.iterdir()) / rows
    show("rows", f"{rows:,}")
    show("write: plain Parquet, rows/s", f"{rows / plain_seconds:,.0f}")
    show("write: lake, rows/s", f"{rows / lake_seconds:,.0f}")
    show("write: lake / plain, times", f"{lake_seconds / plain_seconds:.1f}")
    show("bytes/row: CSV", f"{csv_bytes:.1f}")
    show("bytes/row: plain Parquet", f"{plain_bytes:.1f}")
    show("bytes/row: lake", f"{lake.size('event') / rows:.1f}")
    scans(lake, plain)
    lookups(lake, plain, subjects, "before compaction")
    merges(lake, subjects, rows, batch)
    again = events(rows - batch, batch, subjects)
    show(
        "merge: the last batch again, s",
        f"{timed(lambda: lake.merge('event', again)):.2f}",
    )
    show("compact, s", f"{timed(lambda: lake.compact('event', keep=timedelta(hours=1))):.1f}")
    show("bytes/row: lake compacted", f"{lake.size('event') / lake.rows('event'):.1f}")
    scans(lake, plain)
    lookups(lake, plain, subjects, "after compaction")
    show("peak MiB", f"{peak():,.0f}")


def merges(lake: Lake, subjects: int, rows: int, batch: int) -> None:
    """Time a merge of rows of which half are new and half changed."""
    half = MERGED // 2
    old = events(0, batch, subjects).head(half).with_columns(pl.col("amount") + 1)
    new = events(rows, half, subjects)
    frame = pl.concat([old, new])
    show(
        f"merge: {frame.height:,} rows, half new, s",
        f"{timed(lambda: lake.merge('event', frame)):.2f}",
    )
    few = events(rows + half, 1_000, subjects)
    show("merge: 1,000 new rows, s", f"{timed(lambda: lake.merge('event', few)):.2f}")
    show("merge: same 1,000 rows again, s", f"{timed(lambda: lake.merge('event', few)):.2f}")


def scans(lake: Lake, plain: Path) -> None:
    """Time one aggregate over everything."""

    def total(frame: pl.LazyFrame) -> None:
        frame.select(pl.col("amount").sum(), pl.col("subject_id").n_unique()).collect()

    bare = timed(lambda: total(pl.scan_parquet(plain / "*.parquet")))
    show("scan of two columns: plain, s", f"{bare:.2f}")
    show("scan of two columns: lake, s", f"{timed(lambda: total(lake.scan('event'))):.2f}")


def lookups(lake: Lake, plain: Path, subjects: int, when: str) -> None:
    """Time the reads of single subjects."""
    chosen = np.random.default_rng(1).integers(0, subjects, LOOKUPS)
    names = [subject(int(i)) for i in chosen]
    for fresh in (True, False):
        read = partial(lake.subject, "event", fresh=fresh)
        micros = [timed(lambda n=n, read=read: read(n)) * 1e6 for n in names]
        p50, p99 = np.quantile(micros, [0.5, 0.99])
        show(f"one subject {when}, fresh={fresh}, us p50 / p99", f"{p50:,.0f} / {p99:,.0f}")
    scan = pl.scan_parquet(plain / "*.parquet")
    bare = [timed(lambda n=n: scan.filter(pl.col("subject_id") == n).collect()) for n in names[:5]]
    show("one subject, plain Parquet, us p50", f"{np.median(bare) * 1e6:,.0f}")


def subject(number: int) -> str:
    """Give the id of a subject."""
    return f"91210{number:013d}"


def events(start: int, count: int, subjects: int) -> pl.DataFrame:
    """Make events ``start`` to ``start + count`` with the base columns and three of their own."""
    rng = np.random.default_rng([7, start])
    row = pl.int_range(start, start + count, eager=True).alias("row")
    day = 86_400_000_000
    happened = pl.Series(rng.integers(17_000, 20_000, count))
    known = happened * day + pl.Series(rng.integers(0, 20 * day, count))
    return pl.DataFrame({"row": row, "happened_on": happened, "known_at": known}).select(
        (
            pl.format("{}", "row").hash(1).cast(pl.String).str.zfill(20)
            + pl.format("{}", "row").str.zfill(12)
        ).alias("record_id"),
        pl.format(
            "91210{}", pl.Series(rng.integers(0, subjects, count)).cast(pl.String).str.zfill(13)
        ).alias("subject_id"),
        pl.col("happened_on").cast(pl.Int32).cast(pl.Date),
        pl.col("known_at").cast(pl.Datetime("us", "UTC")),
        known_assumed=pl.lit(value=False),
        void_from=pl.lit(None, pl.Date),
        void_reason=pl.lit(None, pl.String),
        authority=pl.format("某市市场监督管理局第{}分局", pl.Series(rng.integers(0, 100, count))),
        region=pl.format("2101{}", pl.Series(rng.integers(10, 30, count))),
        source_ref=pl.format("events.csv#{}", "row"),
        findings=pl.lit([], pl.List(pl.String)),
        document_number=pl.format("市监罚〔2024〕{}号", "row"),
        kind=pl.format("{}", pl.Series(rng.integers(1, 9, count))),
        amount=pl.Series(np.round(rng.gamma(2, 5_000, count), 2)),
    )


def timed(work: Callable[[], object]) -> float:
    """Give the seconds ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak() -> float:
    """Give the largest resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(name: str, value: str) -> None:
    """Print one line of the table."""
    print(f"{name:<52} {value:>20}", flush=True)


if __name__ == "__main__":
    main()
