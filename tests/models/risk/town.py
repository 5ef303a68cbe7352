"""A town of made-up firms with records of every kind, and a model fitted on it, for tests."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final, cast

import lightgbm
import numpy as np
import polars as pl

from models.features.pipeline import Pipeline
from models.features.spec import FeatureSpec
from models.records.reading import MemoryRecords
from models.risk.booster import Booster
from models.risk.bundle import Bundle
from models.risk.calibrate import Calibrator
from models.risk.encode import Encoder, FloatArray
from models.risk.manifest import BundleManifest
from models.scenarios import Scenario, parse_scenario
from tests.models.features.firms import AS_OF, FIRMS, Row, firm, penalty, records, role, tie

TEXT: Final = """\
id: town
title: 试验
legal_basis: [试验]
subject: enterprise
cohort: {}
label: {table: penalty, horizon: 90d}
snapshots: {every: 30d}
features:
  tables: [penalty, inspection, listing, complaint, annual_report, licence]
  windows: [90d, 365d, 1095d]
  exclude: [inspector_id]
  levels: {penalty: {severity: [general, serious]}, inspection: {result: [pass, fail]},
           listing: {kind: [abnormal, serious]}}
model: {}
grades: {A: {below: 0.2, draw: 0.01}, B: {below: 0.5, draw: 0.05}, C: {below: 0.8, draw: 0.2},
         D: {draw: 0.5, warn: true}}
veto: [{when: "listing_kind_serious_count_1095d > 0", grade: D, reason: 在严重失信名单}]
audit: {by: [region, ownership]}
"""
OWNERS: Final = ("国有", "私营/自然人")


@cache
def declared() -> Scenario:
    """Return the scenario."""
    return parse_scenario(TEXT, "town.yaml")


@cache
def pipeline() -> Pipeline:
    """Return the scenario made ready."""
    return Pipeline.of(declared())


@cache
def everyone() -> MemoryRecords:
    """Return the records of all firms."""
    rng = random.Random(5)

    def day() -> date:
        return AS_OF - timedelta(days=rng.randrange(1, 1400))

    tables: dict[str, list[Row]] = {
        "subject": [_firm(n, rng) for n in range(len(FIRMS))],
        "person_role": [role(n, f"P{n // 3}") for n in range(len(FIRMS))],
        "relation": [tie(n, (n + 7) % len(FIRMS), "supply") for n in range(0, len(FIRMS), 2)],
    }
    for n in range(len(FIRMS)):
        worse = n % 4 == 0
        tables.setdefault("penalty", []).extend(
            penalty(
                n,
                day(),
                document_number=f"罚{n}-{i}",
                severity=rng.choice(["general", "serious"]),
                fine_amount=float(rng.choice([500, 20_000, 350_000])),
            )
            for i in range(rng.randrange(5) if worse else rng.randrange(2))
        )
        tables.setdefault("inspection", []).extend(
            {
                "subject_id": FIRMS[n],
                "happened_on": day(),
                "result": rng.choice(["pass", "fail"]) if worse else "pass",
                "matter": f"事项{i}",
            }
            for i in range(rng.randrange(4))
        )
        tables.setdefault("complaint", []).extend(
            {"subject_id": FIRMS[n], "happened_on": day()} for _ in range(rng.randrange(3))
        )
        tables.setdefault("annual_report", []).extend(
            {"subject_id": FIRMS[n], "happened_on": date(y + 1, 5, 1), "year": y}
            for y in (2021, 2022, 2023)
        )
    tables["listing"] = [
        {"subject_id": FIRMS[n], "happened_on": day(), "kind": "abnormal", "reason_code": "2"}
        for n in range(0, len(FIRMS), 6)
    ]
    return records(**tables)


def _firm(n: int, rng: random.Random) -> Row:
    return firm(
        n,
        happened_on=date(2015, 1, 1) + timedelta(days=rng.randrange(2000)),
        known_at=datetime(2015, 1, 2, tzinfo=UTC) + timedelta(days=2100),
        registered_capital=float(rng.choice([30_000, 1_000_000, 250_000_000])),
        industry=rng.choice(["C1495", "H6210"]),
        region=rng.choice(["210102", "210202"]),
        ownership=rng.choice(OWNERS),
        enterprise_type=rng.choice(["1130", "1110"]),
    )


@cache
def features() -> pl.DataFrame:
    """Return the features of all firms as of one date."""
    return pipeline().build(everyone(), [AS_OF])


def fitted(
    frame: pl.DataFrame,
    risk: FloatArray,
    *,
    specs: Sequence[FeatureSpec] | None = None,
    scenario: Scenario | None = None,
) -> Bundle:
    """Return a bundle of a small booster that has learnt ``risk`` (0 or 1) from ``frame``."""
    every = pipeline().features
    encoder = Encoder.of(frame, every if specs is None else specs)
    data = lightgbm.Dataset(
        encoder.matrix(frame), label=risk, categorical_feature=list(encoder.categorical)
    )
    params = {
        "objective": "binary",
        "num_leaves": 8,
        "min_data_in_leaf": 3,
        "learning_rate": 0.2,
        "verbose": -1,
        "num_threads": 1,
        "seed": 1,
        "min_data_in_bin": 1,
        "cat_smooth": 1,
        "min_data_per_group": 1,
    }
    train = cast("Callable[..., lightgbm.Booster]", lightgbm.train)  # pyright: ignore[reportUnknownMemberType]
    text = train(params, data, num_boost_round=40).model_to_string()
    manifest = BundleManifest(
        data_versions={},
        trained_from=AS_OF,
        trained_to=AS_OF,
        rows=frame.height,
        positives=int(risk.sum()),
        base_rate=float(risk.mean()),
    )
    booster = Booster.from_text(text, features=encoder.features)
    return Bundle(scenario or declared(), every, encoder, booster, Calibrator(), manifest)


@cache
def risk() -> FloatArray:
    """Return who is risky: those with penalties, listings, failed inspections, bad neighbours.

    Owner and place add to it, which a model learns and nobody may put into words.
    """
    frame = features()
    noise = np.random.default_rng(3).normal(size=frame.height)
    told = frame.select(
        pl.col("penalty_count_365d") + pl.col("listing_count_1095d") * 2
        + pl.col("penalty_count_1095d") * 0.7 + pl.col("inspection_result_fail_count_365d")
        + pl.col("relation_penalty_count") * 0.3
        + (pl.col("subject_ownership") == OWNERS[0]).cast(pl.Float64)
        + (pl.col("subject_city") == "210100").cast(pl.Float64)
    ).to_series().to_numpy() + 0.3 * noise  # fmt: skip
    return (told > np.median(told)).astype(np.float64)


@cache
def bundle() -> Bundle:
    """Return a bundle that has learnt the town's risk."""
    return fitted(features(), risk())
