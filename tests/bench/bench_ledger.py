"""The ledger: decisions copied into it, acts audited, and how long until the API is ready.

The floor of a copy is the driver's own COPY of ready text into a table without any index, in the
same run on the same server.

Run: python tests/bench/bench_ledger.py [--rows 1000000] [--batch 50000]
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from typing import cast
from uuid import uuid4

import polars as pl
import psycopg
from sqlalchemy import insert

from serving.ledger import audit, embedded
from serving.ledger.audit import Entry, Recorder
from serving.ledger.copying import copy_rows
from serving.ledger.decisions import DecisionRow, ShadowRow
from serving.ledger.engine import Ledger
from serving.ledger.migrate import migrate

AT = datetime(2026, 11, 22, tzinfo=UTC)
ONE_BY_ONE = 20_000
ACTS = 2_000
CALLERS = 16
STARTS = 3
START_LIMIT = 60.0


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--batch", type=int, default=50_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="xj-bl-") as folder:
        server = embedded.start(Path(folder) / "pg")
        try:
            ledger = Ledger.at(server.get_uri("postgres"))
            migrate(ledger)
            copies(ledger, chosen.rows, chosen.batch)
            acts(ledger)
            ledger.close()
        finally:
            server.cleanup()
        starts(Path(folder))


def copies(ledger: Ledger, rows: int, batch: int) -> None:
    """Copy the same decisions in several ways."""
    floor = timed(bare(ledger, frame) for frame in batches(rows, batch))
    plain = timed(copied(ledger, ShadowRow, frame, "fail") for frame in batches(rows, batch))
    kept = list(batches(rows, batch))
    new = timed(copied(ledger, DecisionRow, frame, "ignore") for frame in kept)
    again = timed(copied(ledger, DecisionRow, frame, "ignore") for frame in kept)
    few = next(batches(ONE_BY_ONE, ONE_BY_ONE))
    many = timed([lambda: inserted(ledger, few)]) * rows / ONE_BY_ONE
    print(f"decisions: {rows:,} rows in transactions of {batch:,}; peak {peak():,.0f} MiB\n")
    print("| way | seconds | rows/s | of the floor |\n|---|---|---|---|")
    for name, seconds in (
        ("bare COPY of ready text, no index (floor)", floor),
        ("copy_rows", plain),
        ("copy_rows, rows that are there ignored; all new", new),
        ("the same once more; none new", again),
        (f"INSERT by executemany (from {ONE_BY_ONE:,})", many),
    ):
        print(f"| {name} | {seconds:.2f} | {rows / seconds:,.0f} | {floor / seconds:.2f} |")


def acts(ledger: Ledger) -> None:
    """Audit acts by one caller and by many at once, then verify the chain."""
    recorder = Recorder(ledger)

    def act(number: int) -> float:
        began = time.perf_counter()
        recorder.record(Entry(AT, "user:1", "personal.read", f"subject:{number}", purpose="检查"))
        return time.perf_counter() - began

    print("\n| acts audited | acts/s | p50 ms | p99 ms |\n|---|---|---|---|")
    for callers in (1, CALLERS):
        began = time.perf_counter()
        with ThreadPoolExecutor(callers) as pool:
            taken = sorted(pool.map(act, range(ACTS)))
        rate = ACTS / (time.perf_counter() - began)
        p99 = taken[int(len(taken) * 0.99)]
        print(f"| {callers} at once | {rate:,.0f} | {median(taken) * 1e3:.2f} | {p99 * 1e3:.2f} |")
    with ledger.begin() as connection:
        for _ in range(20):
            audit.append(connection, *(Entry(AT, "user:1", "x", str(n)) for n in range(5_000)))
    began = time.perf_counter()
    with ledger.begin() as connection:
        verdict = audit.verify(connection)
    seconds = time.perf_counter() - began
    print(f"\naudit verify: {verdict.rows:,} rows, {verdict.rows / seconds:,.0f} rows/s")


def starts(folder: Path) -> None:
    """Start the API until it is ready, with a new home and with one that is there."""
    print("\n| start of the API until /health/ready | seconds (median) |\n|---|---|")
    new = median(started(folder / f"new{number}") for number in range(STARTS))
    print(f"| a new installation (initdb, migrations) | {new:.2f} |")
    cold = median(started(folder / "new0") for _ in range(STARTS))
    print(f"| cold: the database is down | {cold:.2f} |")


def started(home: Path) -> float:
    """Return the seconds from the command to the first answer that it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "xinjian", "serve", "api", "--port", str(port)],
        env=os.environ | {"XINJIAN_HOME": str(home), "XINJIAN_LOG_LEVEL": "error"},
        stderr=subprocess.DEVNULL,
    )
    try:
        while not ready(port):
            if time.perf_counter() - began > START_LIMIT or process.poll() is not None:
                message = "the API did not start"
                raise RuntimeError(message)
            time.sleep(0.01)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def ready(port: int) -> bool:
    """Return whether the API says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def batches(rows: int, batch: int) -> Iterator[pl.DataFrame]:
    """Make decisions, in the order of their ids."""
    for start in range(0, rows, batch):
        yield decisions(start, min(batch, rows - start))


def decisions(start: int, rows: int) -> pl.DataFrame:
    """Make decisions of as many subjects."""
    number = pl.int_range(start, start + rows, eager=True)
    unit = (number * 7919 % 1_000_003) / 1_000_003
    basis = str(uuid4())
    return pl.DataFrame({"id": [str(uuid4()) for _ in range(rows)]}).select(
        pl.col("id").sort(),
        scenario=pl.lit("dishonesty_warning"),
        subject_id=pl.format("91210100MA{}X", number.cast(pl.String).str.zfill(7)),
        as_of=pl.lit(date(2026, 11, 22)),
        inbox_mark=pl.lit(0),
        region=pl.lit("210100"),
        probability=unit,
        risk_score=unit * 1000,
        grade=pl.lit("B"),
        previous_grade=pl.lit(None, dtype=pl.String),
        vetoes=pl.lit("[]"),
        valid_until=pl.lit(date(2027, 5, 22)),
        warn=unit > 0.9,
        draw=unit,
        action=pl.lit(None, dtype=pl.String),
        inputs_digest=pl.format("{}", number).str.zfill(32).cast(pl.Binary),
        basis=pl.lit(basis),
        previous=pl.lit(None, dtype=pl.String),
        replaces=pl.lit(None, dtype=pl.String),
        made_at=pl.lit(AT),
    )


def bare(ledger: Ledger, frame: pl.DataFrame) -> Callable[[], None]:
    """Prepare the floor: text that is ready, a table of text without an index."""
    text = frame.with_columns(pl.col(pl.Binary).bin.encode("hex")).write_csv(include_header=False)
    columns = ", ".join(f"{name} text" for name in frame.columns)

    def run() -> None:
        with ledger.begin() as connection:
            connection.exec_driver_sql(f"create table if not exists floor ({columns})")
            raw = cast("psycopg.Connection[object]", connection.connection.driver_connection)
            with raw.cursor().copy("copy floor from stdin with (format csv)") as copying:
                copying.write(text)

    return run


def copied(
    ledger: Ledger, table: type[DecisionRow | ShadowRow], frame: pl.DataFrame, conflict: str
) -> Callable[[], None]:
    """Prepare a copy."""

    def run() -> None:
        with ledger.begin() as connection:
            on_conflict = "ignore" if conflict == "ignore" else "fail"
            copy_rows(connection, table, frame, on_conflict=on_conflict)

    return run


def inserted(ledger: Ledger, frame: pl.DataFrame) -> None:
    """Insert as an ORM's bulk insert would."""
    with ledger.begin() as connection:
        connection.execute(insert(ShadowRow), frame.with_columns(vetoes=pl.lit(None)).to_dicts())


def timed(steps: Iterator[Callable[[], None]] | list[Callable[[], None]]) -> float:
    """Return the seconds of the steps, without those of preparing them."""
    seconds = 0.0
    for step in steps:
        began = time.perf_counter()
        step()
        seconds += time.perf_counter() - began
    return seconds


def peak() -> float:
    """Return the most MiB that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
