"""A small town whose firms fail inspections by a rule that turns around on a day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from models.codes.uscc import make_uscc
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from models.scenarios import Scenario, parse_scenario

FIRMS: Final = 1500
A_MONTH: Final = 90
TURN: Final = date(2022, 1, 1)

SCENARIO: Final = """\
id: town
title: 小镇检查
legal_basis: [试验]
subject: enterprise
label:
  table: inspection
  where: "result == 'fail'"
  horizon: 60d
  observed_by: inspection
snapshots: {every: 60d}
features: {tables: [inspection], windows: [365d], families: [window, subject]}
model: {calibrate: isotonic}
grades: {A: {below: 0.2, draw: 0.1}, B: {below: 0.5, draw: 0.2}, C: {draw: 0.5}}
capacity: {per_month: 25, random_share: 0.1}
audit: {by: [subject_type]}
"""


def scenario() -> Scenario:
    """Return the town's scenario."""
    return parse_scenario(SCENARIO, "town.yaml")


def settle(lake: Lake) -> None:
    """Write the register."""
    generator = np.random.default_rng(1)
    employees, capital = generator.integers(1, 100, FIRMS), generator.integers(1, 100, FIRMS)
    rows = {
        "record_id": [f"{n:032x}" for n in range(FIRMS)],
        "subject_id": _firms(),
        "happened_on": [date(1990 + n % 28, 1, 1) for n in range(FIRMS)],
        "known_at": [datetime(2018, 1, 2, tzinfo=UTC)] * FIRMS,
        "name": [f"商户{n}" for n in range(FIRMS)],
        "subject_type": ["enterprise"] * FIRMS,
        "status": ["active"] * FIRMS,
        "employees": employees,
        "registered_capital": capital.astype(np.float64),
    }
    lake.merge("subject", _frame("subject", rows))


def inspect(lake: Lake, first: date, last: date) -> None:
    """Write the inspections of the months from ``first`` up to ``last``.

    Large firms of little capital and small ones of much fail, until :data:`TURN` makes it the
    others: a rule that no single feature shows.
    """
    towns = lake.scan("subject").select("subject_id", "employees", "registered_capital").collect()
    generator = np.random.default_rng(first.toordinal())
    days = (last - first).days
    visits = days * A_MONTH // 30
    chosen = towns[generator.integers(0, FIRMS, visits).tolist()]
    on = [first + timedelta(days=int(day)) for day in np.sort(generator.integers(0, days, visits))]
    odd = ((chosen["employees"] > 50) != (chosen["registered_capital"] > 50)).to_numpy()
    risky = odd == np.array([day < TURN for day in on])
    failed = generator.random(visits) < np.where(risky, 0.7, 0.05)
    rows = {
        "record_id": [f"{first:%Y%m%d}{n:024x}" for n in range(visits)],
        "subject_id": chosen["subject_id"],
        "happened_on": on,
        "known_at": [datetime(d.year, d.month, d.day, tzinfo=UTC) for d in on],
        "result": np.where(failed, "fail", "pass"),
        "authority": ["市监局"] * visits,
    }
    lake.merge("inspection", _frame("inspection", rows))


def _firms() -> list[str]:
    return [make_uscc("91", "210100", body=f"YY{n:06d}") for n in range(FIRMS)]


def _frame(table: str, rows: Mapping[str, object]) -> pl.DataFrame:
    full = pl.DataFrame(dict(rows)).with_columns(
        pl.lit(value=False).alias("known_assumed"),
        (pl.lit(f"{table}.csv#") + pl.int_range(pl.len()).cast(pl.String)).alias("source_ref"),
        pl.lit([], dtype=pl.List(pl.String)).alias("findings"),
    )
    schema = CONTRACTS[table].dtypes
    lacking = [pl.lit(None).alias(name) for name in schema if name not in full.columns]
    return full.with_columns(lacking).select(list(schema)).cast(pl.Schema(schema))
