"""A made-up town whose firms are inspected, and matrices made of nothing but numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from models.codes.uscc import make_uscc
from models.features.spec import FeatureSpec
from models.records.contracts import CONTRACTS
from models.scenarios import Scenario, parse_scenario
from models.scenarios.scenario import Direction
from tests.models.features.firms import identity
from training.risk.matrix import Matrix
from training.snapshots import Period

FIRMS: Final = [make_uscc("91", "210100", body=f"YY{n:06d}") for n in range(400)]
START: Final = date(2019, 1, 1)
DAYS: Final = 365 * 6

TEXT: Final = """\
id: {id}
title: 试验
legal_basis: [试验]
subject: enterprise
cohort: {{status: active}}
label: {label}
snapshots: {snapshots}
features: {features}
model: {{leaves: 4, calibrate: {calibrate}}}
grades: {{A: {{below: 0.1, draw: 0.1}}, B: {{draw: 0.5, warn: true}}}}
veto: {veto}
capacity: {{per_month: 10}}
audit: {{by: [region, age_band]}}
"""
LABEL: Final = (
    "{table: inspection, where: \"result == 'fail'\", horizon: 60d, "
    "observed_by: inspection, weight: ipw}"
)
FEATURES: Final = (
    "{tables: [inspection, penalty], windows: [180d, 1095d], families: [window, subject, peers], "
    "columns: {inspection: [result], penalty: []}, levels: {inspection: {result: [fail]}}}"
)


def scenario(
    *,
    label: str = LABEL,
    snapshots: str = "{every: 60d, embargo: 5d}",
    features: str = FEATURES,
    calibrate: str = "isotonic",
    veto: str = "[]",
    id: str = "town",  # noqa: A002
) -> Scenario:
    """Return a scenario about the town."""
    return parse_scenario(
        TEXT.format(
            id=id, label=label, snapshots=snapshots, features=features, calibrate=calibrate,
            veto=veto,
        ),
        "s.yaml",
    )  # fmt: skip


def town(firms: int = 300, seed: int = 3) -> dict[str, pl.DataFrame]:
    """Return the records of firms of which every third fails often, and is visited more often.

    About half of the visits are drawn at random, with the recorded probability .02 or .03 a month.
    """
    random = np.random.default_rng(seed)
    bad = np.arange(firms) % 3 == 0
    chance = np.where(np.arange(firms) % 2 == 0, 0.02, 0.03)
    visits: list[Mapping[str, object]] = []
    penalties: list[Mapping[str, object]] = []
    for month in range(DAYS // 30):
        drawn = random.random(firms) < chance
        aimed = random.random(firms) < np.where(bad, 0.04, 0.01)
        for n in np.flatnonzero(drawn | aimed).tolist():
            on = START + timedelta(days=30 * month + int(random.integers(30)))
            failed = bool(random.random() < (0.45 if bad[n] else 0.06))
            visits.append(
                {
                    "subject_id": FIRMS[n],
                    "happened_on": on,
                    "result": "fail" if failed else "pass",
                    "inclusion_probability": float(chance[n]) if drawn[n] else None,
                }
            )
            if failed and random.random() < 0.5:
                later = on + timedelta(days=10)
                penalties.append(
                    {"subject_id": FIRMS[n], "happened_on": later, "document_number": f"罚{n}{on}"}
                )
    register = [
        {
            "subject_id": FIRMS[n],
            "name": "甲",
            "happened_on": START - timedelta(days=30 + 9 * n),
            "region": f"2101{n % 4 + 2:02d}",
        }
        for n in range(firms)
    ]
    return {
        "subject": frame("subject", register),
        "inspection": frame("inspection", visits),
        "penalty": frame("penalty", penalties),
    }


def frame(table: str, rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Return rows of a contract, known the day after they happened."""
    full: list[Mapping[str, object]] = []
    for number, row in enumerate(rows):
        happened = row["happened_on"]
        assert isinstance(happened, date)
        known = happened + timedelta(days=1)
        base: Mapping[str, object] = {
            "record_id": identity(table, number, *row.values()),
            "known_at": datetime(known.year, known.month, known.day, tzinfo=UTC),
            "known_assumed": False,
            "source_ref": f"{table}.csv#{number + 2}",
            "findings": [],
        }
        full.append({**base, **row})
    return pl.DataFrame(full, schema=CONTRACTS[table].dtypes, orient="row")


def number(name: str, monotone: Direction | None = None) -> FeatureSpec:
    """Return a feature that is a number."""
    return FeatureSpec(name, name, None, "window", "number", monotone, "", None, None)


def category(name: str) -> FeatureSpec:
    """Return a feature that is a category."""
    return FeatureSpec(name, name, None, "subject", "category", None, "", None, None)


@dataclass(frozen=True)
class Numbers:
    """A matrix of numbers: ``signal`` raises the risk, ``noise`` does not, and so on."""

    rows: int = 4000
    dates: int = 40
    seed: int = 1
    strength: float = 1.5
    base: float = -2.0
    every: int = 30
    delay: int = 40
    observed: float = 1.0
    more: Mapping[str, pl.Series] = field(default_factory=dict[str, pl.Series])

    def frame(self) -> pl.DataFrame:
        """Return the matrix with everything that a matrix has."""
        random = np.random.default_rng(self.seed)
        signal, noise = random.normal(size=(2, self.rows))
        place = random.integers(0, 3, self.rows)
        odds = self.base + self.strength * signal + (place == 0)
        positive = random.random(self.rows) < 1 / (1 + np.exp(-odds))
        observed = random.random(self.rows) < self.observed
        step = np.arange(self.rows) * self.dates // self.rows
        on = [START + timedelta(days=self.every * int(n)) for n in step]
        as_of = pl.Series("as_of", on)
        group = pl.Series("group", [f"s{n % (self.rows // 8)}" for n in range(self.rows)])
        seen = pl.Series(observed)
        made = pl.DataFrame(
            {
                "subject_id": group,
                "as_of": as_of,
                "observed": seen,
                "positive": pl.Series(positive),
                "inclusion_probability": pl.Series([None] * self.rows, dtype=pl.Float64),
                "observed_on": as_of + timedelta(days=10),
                "event_on": as_of + timedelta(days=10),
                "group": group,
                "complete_on": as_of + timedelta(days=self.delay),
                "weight": pl.Series([1.0] * self.rows),
                "past_seen": pl.Series(random.integers(0, 4, self.rows), dtype=pl.Float64),
                "past_found": pl.Series([0.0] * self.rows),
                "audit_region": pl.Series([f"r{n}" for n in place]),
                "audit_age_band": pl.Series(["5y+"] * self.rows),
                "signal": pl.Series(signal),
                "noise": pl.Series(noise),
                "place": pl.Series([f"p{n}" for n in place]),
                "constant": pl.Series([1.0] * self.rows),
                **self.more,
            }
        )
        unseen = ["positive", "observed_on", "event_on"]
        return made.with_columns(pl.when("observed").then(name).alias(name) for name in unseen)

    def matrix(self, folder: Path, declared: Scenario | None = None) -> Matrix:
        """Write the matrix to ``folder``."""
        made = self.frame()
        path = folder / "matrix.parquet"
        made.write_parquet(path)
        known = {"signal": number("signal", "up"), "place": category("place")}
        features = [known.get(n, number(n)) for n in made.columns[made.columns.index("signal") :]]
        last = made["as_of"].to_list()[-1] + timedelta(days=self.delay)
        return Matrix(
            declared or scenario(calibrate="platt"), tuple(features), path, {"inspection": 0},
            Period(START, last),
        )  # fmt: skip
