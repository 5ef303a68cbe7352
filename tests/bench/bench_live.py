"""A posted record until its new decision is committed: the API and a worker as real processes.

Run: python tests/bench/bench_live.py [--posts 400] [--rates 5,20,50]

The lake is a small made-up one, so what is measured is the way and not the size: the answer to the
post, and from its commit to the commit of the decision, by the database's own clock.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import polars as pl
from sqlalchemy import create_engine, text

from serving.auth import tokens
from serving.ledger import embedded, keys
from serving.ledger.engine import Ledger
from serving.ledger.keys import KeyRow
from serving.ledger.migrate import migrate
from tests.serving import village
from tests.serving.posts import penalty

PORT = 18_733


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--posts", type=int, default=400)
    options.add_argument("--rates", default="5,20,50")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="xj-live-") as folder:
        server = embedded.start(Path(folder) / "pg")
        try:
            address = database_of(server)
            rates = [float(one) for one in chosen.rates.split(",")]
            print(bench(Path(folder) / "home", address, chosen.posts, rates))
        finally:
            server.cleanup()


def bench(home: Path, address: str, posts: int, rates: Sequence[float]) -> pl.DataFrame:
    """Return a row for each rate of posts."""
    village.furnish(home)
    ledger = Ledger.at(address)
    migrate(ledger)
    headers = {"X-API-Key": key_of(ledger)}
    environment = {**os.environ, "XINJIAN_HOME": str(home), "XINJIAN_DATABASE_URL": address}
    environment |= {"PYTHONPATH": str(Path.cwd()), "XINJIAN_RATE_LIMIT": "0"}
    with running(environment, "api", "--port", str(PORT)), running(environment, "worker"):
        wait_ready()
        _round(headers, ledger, 20, 20.0, "warm")
        rows = [_round(headers, ledger, posts, rate, f"r{rate:g}") for rate in rates]
    ledger.close()
    with pl.Config(tbl_rows=-1, tbl_cols=-1, float_precision=1):
        return pl.DataFrame(rows)


def _round(
    headers: dict[str, str], ledger: Ledger, posts: int, rate: float, name: str
) -> dict[str, object]:
    took: list[float] = []
    numbers: list[int] = []

    def send(place: int, at: float) -> None:
        threading.Event().wait(max(0.0, at - time.perf_counter()))
        row = penalty(place, subject_id=village.KNOWN[place % 100], source_id=f"{name}{place}")
        began = time.perf_counter()
        answer = httpx2.post(
            f"http://127.0.0.1:{PORT}/v1/records",
            json={"table": "penalty", "source": "bench", "rows": [row]},
            headers={**headers, "Idempotency-Key": f"{name}-{place}"},
            timeout=60,
        )
        took.append(time.perf_counter() - began)
        numbers.append(answer.raise_for_status().json()["job"])

    began = time.perf_counter() + 0.1
    with ThreadPoolExecutor(16) as pool:
        for one in [pool.submit(send, n, began + n / rate) for n in range(posts)]:
            one.result()
    visible = _visible(ledger, numbers)
    return {
        "posts/s": rate,
        "posts": posts,
        **_told("answer ms", [1e3 * one for one in took]),
        **_told("visible ms", visible),
    }


def _visible(ledger: Ledger, numbers: list[int]) -> list[float]:
    """Return the milliseconds from each commit of records to that of their decision."""
    asked = text(
        "select status, extract(epoch from finished_at - created_at) * 1000 from job "
        "where id = any(:numbers)"
    )
    while True:
        with ledger.begin() as connection:
            found = connection.execute(asked, {"numbers": numbers}).all()
        if all(status not in {"queued", "running"} for status, _ in found):
            if any(status != "done" for status, _ in found):
                raise SystemExit(f"jobs ended as {sorted({status for status, _ in found})}")
            return [float(took) for _, took in found]
        threading.Event().wait(0.2)


def _told(name: str, values: list[float]) -> dict[str, float]:
    series = pl.Series(values)
    wanted = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    return {f"{name} {short}": float(series.quantile(q, "higher") or 0) for short, q in wanted}


@contextmanager
def running(environment: dict[str, str], *words: str) -> Generator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "xinjian", "serve", *words],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def wait_ready() -> None:
    for _ in range(600):
        try:
            if httpx2.get(f"http://127.0.0.1:{PORT}/health/ready").status_code == 200:
                return
        except httpx2.HTTPError:
            threading.Event().wait(0.1)
    raise SystemExit("the API did not become ready")


def key_of(ledger: Ledger) -> str:
    now, token = datetime.now(UTC), tokens.make(tokens.Kind.KEY)
    row = KeyRow(
        id=token.id,
        name="bench",
        digest=token.digest,
        roles=("partner",),
        regions=("",),
        departments=(),
        purposes=(),
        created_at=now,
        created_by="bench",
        expires_at=now + timedelta(days=1),
    )
    with ledger.begin() as connection:
        keys.add(connection, row)
    return token.text


def database_of(server: embedded.Server) -> str:
    address = server.get_uri("postgres").partition("://")[2]
    engine = create_engine(f"postgresql+psycopg://{address}", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text('create database "bench"'))
    engine.dispose()
    return server.get_uri("bench")


if __name__ == "__main__":
    main()
