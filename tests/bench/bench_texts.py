"""Texts and reports as a caller gets them: classify texts/s, dispatches/s, seconds for a PDF.

Run: python tests/bench/bench_texts.py --bundle FOLDER --texts FILE.parquet [--column text]

``FOLDER`` is a text bundle whose head may be of anything: its labels are taken for leaves, since
what is measured is the reading. Without it the model is the one-word model of the tests. The
service answers in this process, over a PostgreSQL of its own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import polars as pl
from fastapi.testclient import TestClient

from models.supervision.report import Report, Section
from models.text.bundle import TextBundle
from models.text.taxonomy import taxonomy
from serving.api.texts import EXPLAINED
from serving.app import create_app
from serving.ledger import embedded
from serving.ledger.engine import Ledger
from serving.ledger.migrate import migrate
from serving.reports.credit import pdf
from serving.service import Service
from serving.settings import ServeSettings
from tests.bench.bench_live import key_of
from tests.serving import text_reader

ROWS: Final = 40
_REPEATS: Final = 5


def main() -> None:
    """Print one table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bundle", type=Path)
    options.add_argument("--texts", type=Path)
    options.add_argument("--column", default="text")
    options.add_argument("--count", type=int, default=400)
    chosen = options.parse_args()
    texts = _texts(chosen.texts, chosen.column, chosen.count)
    bundle = text_reader.bundle() if chosen.bundle is None else _leaves(chosen.bundle)
    print("| what | texts | seconds | texts/s |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="xj-bench-") as folder:
        _serve(Path(folder), bundle, texts)
    _print_pdf()


def _serve(home: Path, bundle: TextBundle, texts: Sequence[str]) -> None:
    server = embedded.start(home / "pg")
    settings = ServeSettings.model_validate(
        {"home": home, "database_url": server.get_uri(), "rate_limit": 0}
    )
    service = Service.open(settings)
    try:
        migrate(Ledger.at(server.get_uri()))
        text_reader.place(service, bundle)
        live = service.texts.live
        assert live is not None, service.texts.refused
        headers = {"X-API-Key": key_of(service.ledger)}
        with TestClient(create_app(service=service)) as client:
            _classify(client, headers, texts, live.engine, evidence=False)
            _classify(client, headers, texts[: len(texts) // 10], live.engine, evidence=True)
            sent = [
                {"source": "b", "source_id": str(n), "region": "210102", "text": one[:9000]}
                for n, one in enumerate(texts)
            ]
            _line(
                "dispatch, one a request",
                len(sent),
                lambda: [_posted(client, "/v1/dispatches", one, headers) for one in sent],
            )
    finally:
        service.close()
        server.cleanup()


def _classify(
    client: TestClient,
    headers: dict[str, str],
    texts: Sequence[str],
    engine: str,
    *,
    evidence: bool,
) -> None:
    size = EXPLAINED if evidence else 100
    bodies: list[dict[str, object]] = [
        {"texts": texts[at : at + size], "evidence": evidence} for at in range(0, len(texts), size)
    ]
    _posted(client, "/v1/texts/classify", bodies[0], headers)
    _line(
        f"classify{' with evidence' if evidence else ''}, {size} a request ({engine})",
        len(texts),
        lambda: [_posted(client, "/v1/texts/classify", one, headers) for one in bodies],
    )


def _posted(
    client: TestClient, path: str, body: Mapping[str, object], headers: dict[str, str]
) -> None:
    answer = client.post(path, json=body, headers=headers)
    assert answer.status_code in {200, 201}, answer.text


def _line(name: str, count: int, work: Callable[[], object]) -> None:
    begun = time.perf_counter()
    work()
    spent = time.perf_counter() - begun
    print(f"| {name} | {count} | {spent:.2f} | {count / spent:,.0f} |", flush=True)


def _print_pdf() -> None:
    columns = ("处罚决定日期", "处罚机关", "违法行为类型", "处罚依据", "处罚内容", "罚款金额")
    row = ("2026-10-01", "市场监督管理局", "销售超过保质期的食品", "食品安全法", "罚款", "5000")
    section = Section("penalty", "行政处罚", columns, (row,) * ROWS)
    day = date(2026, 11, 20)
    made = Report(
        "public", "公共信用信息报告", "91210100YY000001XP", "某某", day, None, day, (section,)
    )
    print(f"\n| PDF of {ROWS} rows | seconds | KiB |\n|---|---:|---:|")
    for number in range(_REPEATS):
        begun = time.perf_counter()
        content = pdf(
            made,
            code="ABCD-EFGH-JKLM-NPQR",
            issued_at=datetime(2026, 11, 20, tzinfo=UTC),
            verify_at="https://credit.example.cn/v1/reports/ABCD-EFGH-JKLM-NPQR",
        )
        spent = time.perf_counter() - begun
        print(f"| {'first' if not number else 'again'} | {spent:.3f} | {len(content) / 1024:.0f} |")


def _texts(path: Path | None, column: str, count: int) -> list[str]:
    if path is None:
        return [f"在第{n}家超市买到过期牛奶，要求退款" for n in range(count)]
    found = pl.read_parquet(path, columns=[column])[column].drop_nulls().head(count)
    return [str(one) for one in found]


def _leaves(folder: Path) -> TextBundle:
    """Return a bundle whose first head is taken for the leaf, label by label."""
    bundle = TextBundle.load(folder)
    codes = [leaf.code for leaf in taxonomy().leaves]
    first, *rest = bundle.answering
    labels = tuple(codes[: len(first.head.labels)])
    head = first.head.model_copy(update={"name": "leaf", "labels": labels, "parents": ()})
    return replace(bundle, answering=(first.model_copy(update={"head": head}), *rest))


if __name__ == "__main__":
    main()
