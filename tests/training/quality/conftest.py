"""Small lakes made by hand, and a larger made-up one for the page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from models.records.bookkeeping import IMPORT_RUN, QUARANTINE, ImportRun, Quarantine
from models.records.contracts import CONTRACTS
from models.time import SHANGHAI

Row = Mapping[str, object]
MakeRecords = Callable[[str, Sequence[Row]], pl.LazyFrame]
MakeRows = Callable[[Sequence[Row]], pl.LazyFrame]


def identity(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def shanghai(year: int, month: int, day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=SHANGHAI).astimezone(UTC)


def make_records(table: str, rows: Sequence[Row]) -> pl.LazyFrame:
    """Rows of a contract; columns that are not given are null, base columns have plain values."""
    base: Row = {
        "subject_id": "91210100MA0P4XJ25H",
        "happened_on": date(2024, 3, 1),
        "known_at": shanghai(2024, 3, 5),
        "known_assumed": False,
        "authority": "甲局",
        "region": "210100",
        "findings": [],
    }
    full = [
        {
            "record_id": identity(table, number),
            "source_ref": f"{table}.csv#{number + 2}",
            **base,
            **row,
        }
        for number, row in enumerate(rows)
    ]
    return pl.DataFrame(full, schema=CONTRACTS[table].dtypes, orient="row").lazy()


def make_quarantine(rows: Sequence[Row]) -> pl.LazyFrame:
    """Broken rules of source rows; ``line`` tells rows apart."""
    base: Row = {
        "run_id": "1",
        "source": "penalty",
        "table": "penalty",
        "strict": True,
        "rule": "V02",
        "column": "uscc",
        "value": "无",
        "file": "penalty.csv",
        "line": 2,
        "authority": "甲局",
        "region": "210100",
        "known_at": shanghai(2024, 3, 5),
        "raw": "{}",
    }
    full: list[Row] = []
    for number, row in enumerate(rows):
        made = {**base, **row}
        place = [made[c] for c in ("source", "file", "line", "rule", "column")]
        full.append({"record_id": identity(place, number), **made})
    schema = {name: column.dtype for name, column in Quarantine.columns().items()}
    return pl.DataFrame(full, schema=schema, orient="row").lazy()


def make_runs(rows: Sequence[Row]) -> pl.LazyFrame:
    """Import runs; counts that are not given are 0."""
    dtypes = {name: column.dtype for name, column in ImportRun.columns().items()}
    zeros = {name: 0 for name, dtype in dtypes.items() if dtype == pl.Int64()}
    base: Row = {
        **zeros,
        "source": "penalty",
        "table": "penalty",
        "strict": True,
        "mapping_digest": "0" * 16,
        "started_at": shanghai(2024, 3, 5),
        "finished_at": shanghai(2024, 3, 5, 13),
    }
    full = [
        {"record_id": identity("run", n), "run_id": str(n), **base, **row}
        for n, row in enumerate(rows)
    ]
    return pl.DataFrame(full, schema=dtypes, orient="row").lazy()


@dataclass
class MemoryLake:
    """A lake that lives in memory: tables by name."""

    frames: dict[str, pl.LazyFrame] = field(default_factory=dict[str, pl.LazyFrame])

    def tables(self) -> list[str]:
        return list(self.frames)

    def scan(self, table: str) -> pl.LazyFrame:
        return self.frames[table]


@pytest.fixture(scope="session")
def records() -> MakeRecords:
    return make_records


@pytest.fixture(scope="session")
def quarantine() -> MakeRows:
    return make_quarantine


@pytest.fixture(scope="session")
def runs() -> MakeRows:
    return make_runs


@pytest.fixture(scope="session")
def at() -> Callable[..., datetime]:
    return shanghai


@pytest.fixture(scope="session")
def lake_of() -> Callable[[Mapping[str, pl.LazyFrame]], MemoryLake]:
    return lambda frames: MemoryLake(dict(frames))


@pytest.fixture(scope="session")
def province() -> MemoryLake:
    """A year of 24 authorities with good and bad months, late reports and every kind of dirt."""
    penalties: list[Row] = []
    licences: list[Row] = []
    refused: list[Row] = []
    offices = ("市场监督管理局", "文化旅游和广播电视局", "生态环境局", "应急管理局")
    cities = {
        "210100": "沈阳市",
        "210200": "大连市",
        "210300": "鞍山市",
        "210400": "抚顺市",
        "210500": "本溪市",
        "210600": "丹东市",
    }
    rules = ("V01", "V02", "V03", "V07", "V10", "V14", "F01", "S01")
    columns = ("legal_basis", "uscc", "subject_category", "fine_amount", None)
    line = 1
    for place, (region, city) in enumerate(cities.items()):
        for rank, office in enumerate(offices):
            for month in range(1, 13):
                worse = 3 if (place, rank) in {(1, 2), (4, 0)} else 0
                worse += 2 if month in {5, 6} and rank == 1 else 0
                for number in range(14 + 5 * rank):
                    line += 1
                    seed = (line * 7919 + place * 31 + month) % 97
                    day = date(2025, month, 1 + (seed % 27))
                    delay = 1 + seed % 9 + (12 if seed > 90 - 2 * worse else 0)
                    row: Row = {
                        "record_id": identity("penalty", line),
                        "happened_on": day,
                        "known_at": shanghai(day.year, day.month, day.day) + timedelta(days=delay),
                        "known_assumed": seed == 50,
                        "authority": f"{city}{office}",
                        "region": region,
                        "document_number": f"{city[:1]}罚决字〔2025〕{line:05d}号",
                        "subject_name": f"{city}第{line}商贸有限公司",
                        "legal_basis": "《中华人民共和国行政处罚法》第九条" if seed % 4 else None,
                        "fine_amount": 2000.0 if seed % 3 else None,
                        "findings": ["V08"]
                        if seed % 31 == 0
                        else ["V11"]
                        if seed % 43 == 0
                        else [],
                    }
                    (licences if number % 3 == 0 else penalties).append(row)
                    if seed < 1 + worse:
                        broken: Row = {
                            "line": line,
                            "rule": rules[line % len(rules)],
                            "column": columns[line % len(columns)],
                            "value": "" if line % 3 else "2023/13/40",
                            "authority": row["authority"],
                            "region": region,
                            "known_at": row["known_at"],
                            "target_record_id": row["record_id"] if line % 4 == 0 else None,
                            "raw": json.dumps(
                                {
                                    "处罚决定书文号": row["document_number"],
                                    "行政相对人名称": "某某"
                                    if line % 5 == 0
                                    else row["subject_name"],
                                    "法定代表人": "某某某",
                                    "CF_NR_FK": "0.2",
                                    "经办电话": "13800000000",
                                },
                                ensure_ascii=False,
                            ),
                        }
                        refused.append(broken)
    subjects: list[Row] = [
        {"subject_id": identity("s", n), "name": f"第{n}商贸有限公司", "known_assumed": True}
        for n in range(400)
    ]
    imported: list[Row] = [
        {
            "source": table,
            "table": table,
            "files": 12,
            "rows_in": 4000,
            "accepted": 3900,
            "inserted": 3000,
            "unchanged": 900,
            "quarantined": 100,
            "by_code": 3600,
            "by_organisation": 60,
            "by_name": 240,
            "unmatched": 40,
            "started_at": shanghai(2026, 1, 5, 9, minute),
        }
        for minute, table in enumerate(("subject", "licence", "penalty"))
    ]
    return MemoryLake(
        {
            "subject": make_records("subject", subjects),
            "licence": make_records("licence", licences),
            "penalty": make_records("penalty", penalties),
            QUARANTINE: make_quarantine(refused),
            IMPORT_RUN: make_runs(imported),
        }
    )
