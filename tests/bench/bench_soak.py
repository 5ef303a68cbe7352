"""The service for ten minutes at 70 % of its peak, with posts, decisions and a change of model.

Run: python tests/bench/bench_soak.py [--minutes 10] [--share 0.7] [--posts 5] [--workers 2]

API and worker are processes of their own over a small made-up lake. First the peak: subjects
decided as fast as 16 connections can, beside the posts. Then the soak at a share of it; halfway the
champion is replaced by another model. What must hold: no answer but 200, every posted record's
subject decided anew, both models seen and never another, memory flat.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import numpy as np
import psutil
from sqlalchemy import text

from serving.ledger import embedded
from serving.ledger.engine import Ledger
from serving.ledger.migrate import migrate
from tests.bench.bench_live import PORT, database_of, key_of, running, wait_ready
from tests.serving import village
from tests.serving.posts import penalty

CONNECTIONS = 16
AS_OF = "2025-01-01"
_LOCAL = threading.local()


@dataclass
class Seen:
    """What came back."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    status: Counter[str] = field(default_factory=Counter[str])
    bundles: Counter[str] = field(default_factory=Counter[str])
    took: dict[str, list[tuple[float, float]]] = field(
        default_factory=dict[str, list[tuple[float, float]]]
    )

    def note(self, what: str, status: str, seconds: float) -> None:
        with self.lock:
            self.status[f"{what} {status}"] += 1
            self.took.setdefault(what, []).append((time.perf_counter(), seconds))


def main() -> None:
    """Print what was seen, minute by minute."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--share", type=float, default=0.7)
    options.add_argument("--posts", type=float, default=5)
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="xj-soak-") as folder:
        server = embedded.start(Path(folder) / "pg")
        try:
            soak(Path(folder) / "home", database_of(server), chosen)
        finally:
            server.cleanup()


def soak(home: Path, address: str, chosen: argparse.Namespace) -> None:
    """Find the peak, then hold a share of it."""
    village.furnish(home)
    ledger = Ledger.at(address)
    migrate(ledger)
    headers = {"X-API-Key": key_of(ledger)}
    environment = {**os.environ, "XINJIAN_HOME": str(home), "XINJIAN_DATABASE_URL": address}
    environment |= {"PYTHONPATH": str(Path.cwd()), "XINJIAN_RATE_LIMIT": "0"}
    environment |= {"XINJIAN_MODEL_POLL": "5", "XINJIAN_LOG_LEVEL": "warning"}
    api = ("api", "--port", str(PORT), "--workers", str(chosen.workers))
    with running(environment, *api), running(environment, "worker"):
        wait_ready()
        load(headers, Seen(), seconds=10, rate=None, posts=chosen.posts, name="warm")
        found = Seen()
        load(headers, found, seconds=20, rate=None, posts=chosen.posts, name="peak")
        peak = len(found.took["score"]) / 20
        rate = chosen.share * peak
        print(f"peak {peak:.0f} decisions/s beside {chosen.posts:g} posts/s; soak at {rate:.0f}/s")
        seconds = 60 * chosen.minutes
        seen, memory = Seen(), [memory_now()]
        swap = threading.Timer(seconds / 2, village.place, (village.other_bundle(), home))
        stop = threading.Event()
        watch = threading.Thread(target=_watch, args=(memory, stop))
        swap.start()
        watch.start()
        began = time.perf_counter()
        load(headers, seen, seconds=seconds, rate=rate, posts=chosen.posts, name="soak")
        stop.set()
        watch.join()
        _settle(ledger)
        _print(seen, began, memory, ledger)
    ledger.close()


def load(
    headers: dict[str, str],
    seen: Seen,
    *,
    seconds: float,
    rate: float | None,
    posts: float,
    name: str,
) -> None:
    """Decide subjects at a rate, or as fast as can be, and post records beside."""
    end = time.perf_counter() + seconds
    with ThreadPoolExecutor(CONNECTIONS + 4) as pool:
        tickets = _tickets(rate, end)
        lock = threading.Lock()
        for _ in range(CONNECTIONS):
            pool.submit(_score, headers, seen, tickets, lock)
        times = _tickets(posts, end)
        for _ in range(4):
            pool.submit(_post, headers, seen, times, lock, name)


def _tickets(rate: float | None, end: float) -> Iterator[tuple[int, float]]:
    """Give numbers and the instants at which they are due."""
    began, number = time.perf_counter(), 0
    while True:
        due = began if rate is None else began + number / rate
        if max(due, time.perf_counter()) >= end:
            return
        yield number, due
        number += 1


def _score(
    headers: dict[str, str],
    seen: Seen,
    tickets: Iterator[tuple[int, float]],
    lock: threading.Lock,
) -> None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{PORT}", headers=headers, timeout=60) as client:
        while (ticket := _next(tickets, lock)) is not None:
            subject = village.KNOWN[ticket % len(village.KNOWN)]
            began = time.perf_counter()
            answer = client.post(
                f"/v1/scenarios/{village.SCENARIO}/score",
                json={"subjects": [subject], "as_of": AS_OF, "explain": True},
            )
            seen.note("score", str(answer.status_code), time.perf_counter() - began)
            if answer.status_code == 200:
                with seen.lock:
                    seen.bundles[answer.json()["decisions"][0]["bundle_digest"][:12]] += 1


def _post(
    headers: dict[str, str],
    seen: Seen,
    times: Iterator[tuple[int, float]],
    lock: threading.Lock,
    name: str,
) -> None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{PORT}", headers=headers, timeout=60) as client:
        while (place := _next(times, lock)) is not None:
            row = penalty(place, subject_id=village.KNOWN[place % 100], source_id=f"{name}{place}")
            began = time.perf_counter()
            answer = client.post(
                "/v1/records",
                json={"table": "penalty", "source": "soak", "rows": [row]},
                headers={"Idempotency-Key": f"{name}-{place}"},
            )
            seen.note("post", str(answer.status_code), time.perf_counter() - began)


def _next(tickets: Iterator[tuple[int, float]], lock: threading.Lock) -> int | None:
    """Take the next number and wait until it is due; null at the end."""
    with lock:
        ticket = next(tickets, None)
    if ticket is None:
        return None
    number, due = ticket
    threading.Event().wait(max(0.0, due - time.perf_counter()))
    return number


def memory_now() -> dict[str, float]:
    """Return MiB of resident memory of the API's processes and of the worker's."""
    found: dict[str, float] = {}
    for process in psutil.process_iter(["cmdline", "memory_info", "ppid"]):
        words = " ".join(process.info["cmdline"] or [])
        for name in ("serve api", "serve worker"):
            if f"xinjian {name}" in words:
                own = [process, *process.children(recursive=True)]
                found[name] = sum(one.memory_info().rss for one in own) / 2**20
    return found


def _watch(memory: list[dict[str, float]], stop: threading.Event) -> None:
    while not stop.wait(15):
        memory.append(memory_now())


def _settle(ledger: Ledger) -> None:
    """Wait until every job has ended."""
    asked = text("select count(*) from job where status in ('queued', 'running')")
    for _ in range(600):
        with ledger.begin() as connection:
            if connection.execute(asked).scalar() == 0:
                return
        threading.Event().wait(0.2)
    raise SystemExit("jobs are still waiting after two minutes")


def _print(seen: Seen, began: float, memory: list[dict[str, float]], ledger: Ledger) -> None:
    print("answers:", dict(seen.status))
    print("models:", dict(seen.bundles))
    for what, took in sorted(seen.took.items()):
        for minute in range(int((max(at for at, _ in took) - began) // 60) + 1):
            own = [1e3 * s for at, s in took if minute <= (at - began) / 60 < minute + 1]
            if len(own) > 10:
                p50, p99 = np.quantile(own, [0.5, 0.99])
                print(f"{what} minute {minute + 1}: {len(own)}  p50 {p50:.1f}  p99 {p99:.1f} ms")
    for name in memory[0]:
        values = [one[name] for one in memory if name in one]
        shown = " ".join(f"{value:.0f}" for value in values[:: max(1, len(values) // 12)])
        print(f"{name} MiB: {shown}")
    with ledger.begin() as connection:
        jobs = connection.execute(
            text("select kind, status, count(*) from job group by 1, 2")
        ).all()
    print("jobs:", [tuple(one) for one in jobs])


if __name__ == "__main__":
    main()
