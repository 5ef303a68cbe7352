"""Records of made-up firms, and scenarios about them, for tests of features."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

import polars as pl

from models.codes.uscc import make_uscc
from models.records.contracts import CONTRACTS
from models.records.reading import MemoryRecords
from models.scenarios import Scenario, parse_scenario

Row = Mapping[str, object]

FIRMS: Final = [make_uscc("91", "210100", body=f"YY{n:06d}") for n in range(120)]
AS_OF: Final = date(2025, 1, 1)

_TEXT: Final = """\
id: trial
title: 试验
legal_basis: [试验]
subject: enterprise
cohort: {cohort}
label: {{table: penalty, horizon: 90d}}
snapshots: {{every: 30d}}
features: {features}
model: {model}
grades: {{A: {{below: 0.1, draw: 0.1}}, B: {{draw: 0.5}}}}
"""


def scenario(
    features: str = "{tables: [penalty], windows: [365d]}", *, cohort: str = "{}", model: str = "{}"
) -> Scenario:
    """Return a scenario with these features about the firms."""
    return parse_scenario(_TEXT.format(features=features, cohort=cohort, model=model), "s.yaml")


def identity(*parts: object) -> str:
    """Return a record id that follows from the parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def frame(table: str, rows: Sequence[Row]) -> pl.DataFrame:
    """Return rows of a contract, known the day after they happened unless they say otherwise."""
    full: list[Row] = []
    for number, row in enumerate(rows):
        happened = row.get("happened_on", date(2020, 1, 1))
        assert isinstance(happened, date | None)
        known = (happened or date(2020, 1, 1)) + timedelta(days=1)
        base: Row = {
            "record_id": identity(table, number, *row.values()),
            "subject_id": FIRMS[0],
            "happened_on": happened,
            "known_at": datetime(known.year, known.month, known.day, tzinfo=UTC),
            "known_assumed": False,
            "source_ref": f"{table}.csv#{number + 2}",
            "findings": [],
        }
        full.append({**base, **row})
    extra = {n: pl.String() for row in rows for n in row if n not in CONTRACTS[table].dtypes}
    return pl.DataFrame(full, schema={**CONTRACTS[table].dtypes, **extra}, orient="row")


def records(**tables: Sequence[Row]) -> MemoryRecords:
    """Return every table there is, empty where no rows are given."""
    return MemoryRecords({name: frame(name, tables.get(name, ())) for name in CONTRACTS})


def firm(number: int = 0, /, **columns: object) -> Row:
    """Return a firm of the register."""
    return {"subject_id": FIRMS[number], "name": "甲", "happened_on": date(2020, 1, 1), **columns}


def role(number: int, person: str, /, **columns: object) -> Row:
    """Return the role of a person in a firm."""
    return {"subject_id": FIRMS[number], "person_id": person, "role": "executive", **columns}


def tie(number: int, other: int, kind: str, /, **columns: object) -> Row:
    """Return a relation of two firms."""
    return {"subject_id": FIRMS[number], "other_id": FIRMS[other], "kind": kind, **columns}


def penalty(number: int = 0, on: date = date(2024, 6, 1), /, **columns: object) -> Row:
    """Return a penalty that counts for years."""
    return {
        "subject_id": FIRMS[number],
        "happened_on": on,
        "document_number": f"罚{number}{on}",
        "severity": "serious",
        **columns,
    }
