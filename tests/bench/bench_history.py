"""One subject's decision by what the ledger holds of it: decisions, and live records.

Run: python tests/bench/bench_history.py [--rounds 60] [--decisions 10000] [--rows 10000]

Subjects of a small made-up lake are decided in turn, so that what else the machine does falls upon
all alike; one has 10 decisions and no live record. Besides what is there from before, the first of
them has the same records as ever: what the ledger keeps of the past should cost nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
from sqlalchemy import text

from serving.ledger import embedded
from serving.ledger.engine import Ledger
from serving.ledger.migrate import migrate
from serving.runtime.live import Live
from serving.runtime.scoring import score
from serving.service import Service
from tests.bench.bench_live import database_of
from tests.serving import village
from tests.serving.filled import decisions_of, merged_rows_of

AS_OF = village.NOON.date()
FEW = 10
WAITING = (1, 15, 100)


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=60)
    options.add_argument("--decisions", type=int, default=10_000)
    options.add_argument("--rows", type=int, default=10_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="xj-hist-") as folder:
        server = embedded.start(Path(folder) / "pg")
        home = Path(folder) / "home"
        village.furnish(home)
        service = Service.open(village.settings(home, database_of(server)), clock=village.Clock())
        try:
            migrate(service.ledger)
            service.runtime.refresh()
            histories = filled(service, chosen.decisions, chosen.rows)
            for explain in (False, True):
                print(measured(service, histories, chosen.rounds, explain=explain))
        finally:
            service.close()
            server.cleanup()


def filled(service: Service, decisions: int, rows: int) -> dict[str, str]:
    """Give subjects their histories; return them by what they have."""
    plain, decided, merged, *others = village.KNOWN[: 3 + len(WAITING)]
    live = _live(service)
    for subject in village.KNOWN:
        score(service, live, [subject], AS_OF)
    decisions_of(service.ledger, plain, FEW)
    decisions_of(service.ledger, decided, decisions)
    decisions_of(service.ledger, merged, FEW)
    merged_rows_of(service.ledger, merged, rows)
    for subject, count in zip(others, WAITING, strict=True):
        decisions_of(service.ledger, subject, FEW)
        sent = [
            {"subject_id": subject, "happened_on": AS_OF - timedelta(days=2 + n)}
            for n in range(count)
        ]
        village.post(service, "penalty", *sent)
    _analyze(service.ledger)
    return {
        f"{FEW} decisions": plain,
        f"{decisions:,} decisions": decided,
        f"{rows:,} live records that the lake has": merged,
        **{f"{n} that it has not": one for n, one in zip(WAITING, others, strict=True)},
    }


def measured(
    service: Service, histories: Mapping[str, str], rounds: int, *, explain: bool
) -> pl.DataFrame:
    """Return how long each takes, and by the first."""
    live, took = _live(service), {name: list[float]() for name in histories}
    for _ in range(rounds):
        for name, subject in histories.items():
            began = time.perf_counter()
            score(service, live, [subject], AS_OF, explain=explain)
            took[name].append(1e3 * (time.perf_counter() - began))
    first = float(np.median(next(iter(took.values()))))
    return pl.DataFrame(
        {
            "history": name,
            "reasons": explain,
            "p50 ms": float(np.median(each)),
            "p90 ms": float(np.quantile(each, 0.9)),
            "of the first": float(np.median(each)) / first,
        }
        for name, each in took.items()
    )


def _live(service: Service) -> Live:
    live = service.runtime.champion(village.SCENARIO)
    if live is None:
        raise SystemExit("the model does not live")
    return live


def _analyze(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        connection.execute(text("analyze"))


if __name__ == "__main__":
    main()
