"""A small bundle over made-up features: numbers, a category, gaps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import cache
from typing import Final, cast

import lightgbm
import numpy as np
import polars as pl

from models.features.spec import FeatureSpec
from models.monitor.psi import Histogram
from models.risk.booster import Booster
from models.risk.bundle import Bundle
from models.risk.calibrate import Calibrator
from models.risk.encode import Encoder
from models.risk.manifest import BundleManifest
from models.scenarios.load import parse_scenario
from models.scenarios.scenario import Scenario

AS_OF: Final = date(2026, 3, 1)
NUMBERS: Final = tuple(f"inspection_count_{days}d" for days in (30, 90, 180, 365, 1095))
TRADE: Final = "subject_trade"
TRADES: Final = ("零售", "网吧", "餐饮")
NAMES: Final = (*NUMBERS, TRADE)
TEXT: Final = """\
id: small
title: 试验
legal_basis: [试验]
subject: enterprise
label: {table: penalty, horizon: 90d}
snapshots: {every: 30d}
features: {tables: [inspection], windows: [30d, 90d, 180d, 365d, 1095d]}
grades: {A: {below: 0.2, draw: 0.01}, B: {below: 0.4, draw: 0.05}, C: {below: 0.6, draw: 0.2},
         D: {draw: 0.5, warn: true}}
veto:
  - {when: inspection_count_30d > 2, grade: D, reason: 三十日内多次检查}
  - {when: inspection_count_365d > 1.5 and inspection_count_30d is not null, grade: C}
validity: {days: 30, hysteresis: 0.05}
actions: {A: 甲, B: 乙, C: 丙, D: 丁}
"""


@cache
def scenario() -> Scenario:
    """Return the scenario of the bundle."""
    return parse_scenario(TEXT, "small.yaml")


def frame(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """Return made-up features with gaps, one row a subject."""
    random = np.random.default_rng(seed)
    data: dict[str, pl.Series] = {
        "subject_id": pl.Series([f"s{i:05}" for i in range(rows)], dtype=pl.String),
        "as_of": pl.Series([AS_OF] * rows, dtype=pl.Date),
    }
    for name in NUMBERS:
        gaps = pl.Series(random.random(rows) < 0.1)
        data[name] = pl.Series(random.normal(size=rows)).set(gaps, None)
    places = random.integers(0, len(TRADES), rows)
    data[TRADE] = pl.Series([TRADES[i] for i in places], dtype=pl.String)
    return pl.DataFrame(data)


def specs() -> tuple[FeatureSpec, ...]:
    """Return the catalogue of the frame."""
    numbers = (
        FeatureSpec(n, n, "次", "window", "number", None, "{value}", "inspection", int(n[17:-1]))
        for n in NUMBERS
    )
    trade = FeatureSpec(TRADE, "行业", None, "subject", "category", None, "{value}", None, None)
    return (*numbers, trade)


@cache
def text() -> str:
    """Return the text of a booster fitted on 2,000 rows."""
    rows = frame(2_000, seed=1)
    matrix = Encoder.of(rows, specs()).matrix(rows)
    random = np.random.default_rng(2)
    known = np.nan_to_num(matrix)
    odds = known[:, 0] - known[:, 1] + (known[:, 5] == 1) * 1.5 - 0.5
    happened = random.random(len(rows)) < 1 / (1 + np.exp(-odds))
    data = lightgbm.Dataset(
        matrix, happened, feature_name=list(NAMES), categorical_feature=[len(NUMBERS)]
    )
    settings = {
        "objective": "binary",
        "num_leaves": 8,
        "verbose": -1,
        "num_threads": 1,
        "seed": 3,
        "cat_smooth": 1,
        "min_data_per_group": 10,
    }
    train = cast("Callable[..., lightgbm.Booster]", vars(lightgbm)["train"])
    return train(settings, data, 30).model_to_string()


@cache
def booster() -> Booster:
    """Return the booster, loaded from its text."""
    return Booster.from_text(text(), features=NAMES)


def manifest() -> BundleManifest:
    """Return a manifest that the bundle completes."""
    return BundleManifest(
        data_versions={"inspection": 3},
        trained_from=date(2024, 1, 1),
        trained_to=date(2025, 1, 1),
        rows=2_000,
        positives=700,
        base_rate=0.35,
        params={
            "num_leaves": 8,
            "learning_rate": 0.1,
            "seed": 3,
            "gpu": False,
            "objective": "binary",
        },
        metrics={"auc": 0.1 + 0.2},
    )


def bundle(calibrator: Calibrator | None = None) -> Bundle:
    """Return a bundle of the booster."""
    rows = frame(2_000, seed=1)
    isotonic = Calibrator("isotonic", knots=(-3.0, -1.0, 0.1, 2.5), levels=(0.01, 0.2, 0.5, 0.95))
    return Bundle(
        scenario=scenario(),
        features=specs(),
        encoder=Encoder.of(rows, specs()),
        booster=booster(),
        calibrator=calibrator or isotonic,
        manifest=manifest(),
        drift={NUMBERS[0]: Histogram.of(rows[NUMBERS[0]]), TRADE: Histogram.of(rows[TRADE])},
    )
