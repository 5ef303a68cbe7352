"""Portraits of a subject with few and with many records: by section, whole, and deep down.

Run: python tests/bench/bench_portrait.py [--records 500,50000] [--times 100]

The service runs in this process, so that what is measured is its work and not the network's. The
lake is a small made-up one in which one subject has all those records; `by hand` reads and counts
the subject's whole rows of one table, as a portrait would that does not page.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import polars as pl
from fastapi.testclient import TestClient

from models.records.lake import Lake
from models.scenarios.known import counting
from models.time import AsOf
from serving.app import create_app
from serving.auth import tokens
from serving.auth.roles import Role
from serving.ledger import embedded, keys
from serving.ledger.engine import Ledger
from serving.ledger.keys import KeyRow
from serving.ledger.migrate import migrate
from serving.portrait.whole import Section
from serving.service import Service
from tests.bench.bench_live import database_of
from tests.models.features.firms import AS_OF, Row, frame
from tests.serving import village

SHARES = {"penalty": 0.3, "inspection": 0.4, "complaint": 0.3}
BASE: dict[str, Row] = {
    "penalty": {
        "severity": "serious",
        "fine_amount": 500.0,
        "violation_fact": "经查，该单位未按规定建立进货查验记录制度。" * 8,
        "penalty_content": "责令改正，处以罚款。" * 8,
    },
    "inspection": {"result": "pass"},
    "complaint": {"content": "消费者反映商品质量问题，要求退货退款。" * 8},
}


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", default="500,50000")
    options.add_argument("--times", type=int, default=100)
    chosen = options.parse_args()
    sizes = [int(one) for one in chosen.records.split(",")]
    with tempfile.TemporaryDirectory(prefix="xj-portrait-") as folder:
        server = embedded.start(Path(folder) / "pg")
        try:
            made = bench(Path(folder) / "home", database_of(server), sizes, chosen.times)
        finally:
            server.cleanup()
    with pl.Config(tbl_rows=-1, tbl_cols=-1, float_precision=1, tbl_formatting="MARKDOWN"):
        print(made)


def bench(home: Path, address: str, sizes: Sequence[int], times: int) -> pl.DataFrame:
    """Return a row for each size and section."""
    village.furnish(home)
    lake = Lake.open(home / "lake")
    subjects = village.KNOWN[-len(sizes) :]
    for subject, size in zip(subjects, sizes, strict=True):
        fill(lake, subject, size)
    ledger = Ledger.at(address)
    migrate(ledger)
    service = Service.open(village.settings(home, address, rate_limit=0), clock=village.Clock())
    service.runtime.refresh()
    headers = {"X-API-Key": key_of(ledger)}
    rows: list[dict[str, object]] = []
    with TestClient(create_app(service=service)) as client:
        body = {"subjects": village.KNOWN, "explain": True}
        client.post("/v1/scenarios/town/score", json=body, headers=headers).raise_for_status()
        for subject, size in zip(subjects, sizes, strict=True):
            rows += _of(client, headers, subject, size, times)
            rows.append(_row(size, "by hand: one table", *_timed(by_hand(lake, subject), times)))
    service.close()
    ledger.close()
    return pl.DataFrame(rows)


def fill(lake: Lake, subject: str, size: int) -> None:
    """Give a subject so many records, spread over a thousand days."""
    for table, share in SHARES.items():
        rows: list[Row] = [
            {
                "subject_id": subject,
                "happened_on": AS_OF - timedelta(days=2 + n % 1000),
                "document_number": f"{table}-{n}",
                **BASE[table],
            }
            for n in range(int(size * share))
        ]
        lake.merge(table, frame(table, rows))


def by_hand(lake: Lake, subject: str) -> Callable[[], int]:
    """Return what reads a subject's whole rows of a table, and sorts those that count."""

    def read() -> int:
        rows = lake.subject("penalty", subject)
        counts = rows.filter(counting(AsOf(date(2025, 1, 1)), rows.columns))
        return len(counts.sort("happened_on", descending=True).to_dicts())

    return read


def _of(
    client: TestClient, headers: dict[str, str], subject: str, size: int, times: int
) -> list[dict[str, object]]:
    path = f"/v1/subjects/{subject}/portrait"

    def ask(**query: str) -> int:
        answer = client.get(path, params={"limit": "50", **query}, headers=headers)
        return len(answer.raise_for_status().content)

    rows = [
        _row(size, section.value, *_timed(partial(ask, sections=section.value), times))
        for section in Section
    ]
    deep = _deep(client, path, headers)
    rows.append(
        _row(size, "timeline, deep", *_timed(lambda: ask(sections="timeline", **deep), times))
    )
    rows.append(_row(size, "all sections", *_timed(ask, max(10, times // 4))))
    record = client.get(path, params={"sections": "timeline", "limit": 1}, headers=headers)
    void = [record.json()["timeline"]["records"][0]["record_id"]]

    def suppose() -> int:
        answer = client.post(
            f"/v1/subjects/{subject}/what-if", json={"void": void}, headers=headers
        )
        return len(answer.raise_for_status().content)

    rows.append(_row(size, "what-if: void one", *_timed(suppose, max(10, times // 4))))
    return rows


def _deep(client: TestClient, path: str, headers: dict[str, str]) -> dict[str, str]:
    """Return a cursor some pages down."""
    more: dict[str, str] = {}
    for _ in range(4):
        query = {"sections": "timeline", "limit": "100", **more}
        told = client.get(path, params=query, headers=headers).json()["timeline"]["next"]
        if told is None:
            break
        more = {"cursor": told}
    return more


def _timed(work: Callable[[], int], times: int) -> tuple[list[float], int]:
    size, took = work(), list[float]()
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(1e3 * (time.perf_counter() - began))
    return took, size


def _row(records: int, what: str, took: list[float], size: int) -> dict[str, object]:
    series = pl.Series(took)
    return {
        "records": records,
        "what": what,
        "p50 ms": float(series.quantile(0.5, "higher") or 0),
        "p99 ms": float(series.quantile(0.99, "higher") or 0),
        "answer KiB or rows": size / 1024 if "hand" not in what else float(size),
    }


def key_of(ledger: Ledger) -> str:
    """Return a key of an inspector, good for a day of the village's clock."""
    token = tokens.make(tokens.Kind.KEY)
    row = KeyRow(
        id=token.id,
        name="bench",
        digest=token.digest,
        roles=(Role.INSPECTOR,),
        regions=("",),
        departments=(),
        purposes=(),
        created_at=village.NOON,
        created_by="bench",
        expires_at=village.NOON + timedelta(days=1),
    )
    with ledger.begin() as connection:
        keys.add(connection, row)
    return token.text


if __name__ == "__main__":
    main()
