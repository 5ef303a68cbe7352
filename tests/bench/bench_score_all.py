"""Deciding everybody, by the number of subjects: decisions a second, and what each more costs.

Run: python tests/bench/bench_score_all.py --lake FOLDER --bundle FOLDER --as-of 2024-06-01
     [--subjects 5000 10000 20000 40000] [--threads 1]

Of each size a lake is made of the subjects of another, which are copied under other ids where they
do not suffice, ties among them included. What is timed is all that `score_all` does: features,
reference, decisions, reasons of those that warn, and the copy into the ledger; once, and once more
on the next day, when the ledger has an earlier decision of everybody.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from models.records.lake import Lake
from models.records.lake.layout import KEY, SUBJECT
from models.risk.bundle import Bundle
from serving.ledger.migrate import migrate
from serving.runtime.batch import score_all
from serving.service import Service
from serving.settings import ServeSettings

SEED = 7
TIES = ("other_id", "counterpart_id", "person_id")


def main() -> None:
    """Print a row for each size, and the slope."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lake", type=Path)
    options.add_argument("--bundle", type=Path)
    options.add_argument("--as-of", type=date.fromisoformat)
    options.add_argument("--subjects", type=int, nargs="+", default=[5_000, 10_000, 20_000])
    options.add_argument("--threads", type=int, default=1)
    chosen = options.parse_args()
    if not (chosen.lake and chosen.bundle and chosen.as_of):
        print("name a lake, a bundle of one of its scenarios and a day")
        return
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    rows: list[dict[str, float]] = []
    for size in chosen.subjects:
        with tempfile.TemporaryDirectory(prefix="xj-all-") as folder:
            rows += measured(Path(folder), size, chosen)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, float_precision=2):
        print(pl.DataFrame(rows))
    for day in ("first", "next"):
        slope(day, [row for row in rows if row["day"] == (day == "next")])


def measured(folder: Path, size: int, chosen: argparse.Namespace) -> list[dict[str, float]]:
    """Return what two days took of a lake of so many subjects."""
    home = folder / "home"
    records = grown(Lake.open(chosen.lake), home / "lake", size)
    scenario = Bundle.load(chosen.bundle).scenario.id
    shutil.copytree(chosen.bundle, home / "serving" / "bundles" / scenario / "champion")
    service = Service.open(ServeSettings.model_validate({"home": home}))
    rows: list[dict[str, float]] = []
    try:
        migrate(service.ledger)
        service.runtime.refresh()
        for day in (0, 1):
            began = time.perf_counter()
            run = score_all(
                service, scenario, chosen.as_of + timedelta(days=day), threads=chosen.threads
            )
            seconds = time.perf_counter() - began
            rows.append(
                {
                    "day": day,
                    "subjects": size,
                    "records": records,
                    "decided": run.decided,
                    "warned": run.warned,
                    "seconds": seconds,
                    "decided/s": run.decided / seconds,
                    "subjects/s": size / seconds,
                    "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                }
            )
    finally:
        service.close()
    return rows


def grown(source: Lake, target: Path, size: int) -> int:
    """Make a lake of so many subjects of another, or copies of them; return its records."""
    ids = source.scan("subject", columns=[SUBJECT]).collect()[SUBJECT].sort()
    everybody = ids.sample(fraction=1.0, shuffle=True, seed=SEED)
    lake, total = Lake.open(target, buckets=source.buckets), 0
    for table in source.tables():
        names = source.schema(table).names()
        if SUBJECT not in names:
            continue
        whole = source.scan(table).collect()
        parts = [
            renamed(whole.filter(pl.col(SUBJECT).is_in(everybody[: size - done].implode())), copy)
            for copy, done in enumerate(range(0, size, len(everybody)))
        ]
        frame = pl.concat(parts)
        if frame.height:
            lake.merge(table, frame)
        total += frame.height
    return total


def renamed(frame: pl.DataFrame, copy: int) -> pl.DataFrame:
    """Return the rows as those of other subjects; the first copy keeps its ids."""
    if copy == 0:
        return frame
    named = [name for name in (SUBJECT, KEY, *TIES) if name in frame.columns]
    return frame.with_columns(pl.col(name) + f"-{copy}" for name in named)


def slope(name: str, rows: Sequence[dict[str, float]]) -> None:
    """Print what 10,000 subjects more cost, by a line through the sizes."""
    if len(rows) < 2:
        return
    sizes, seconds = [row["subjects"] for row in rows], [row["seconds"] for row in rows]
    each, first = np.polyfit(sizes, seconds, 1)
    last = (seconds[-1] - seconds[-2]) / (sizes[-1] - sizes[-2])
    print(
        f"{name} day: {first:.2f} s + {1e4 * each:.2f} s for each 10,000 subjects; between the two "
        f"largest {1e4 * last:.2f} s"
    )


if __name__ == "__main__":
    main()
