"""Predictions of invented subjects whose risk is known, for tests of their judging."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import cast

import numpy as np
import polars as pl

from models.scenarios import Scenario, parse_scenario

TEXT = """\
id: trial
title: 试验风险
legal_basis: [试验条例 第一条]
subject: enterprise
label: {{table: inspection, where: "result == 'fail'", horizon: 180d, observed_by: inspection,
  weight: {weight}}}
snapshots: {{every: 30d}}
features: {{tables: [inspection], windows: [365d]}}
grades: {{A: {{below: 0.1, draw: 0.1}}, B: {{draw: 0.5, warn: true}}}}
actions: {{A: 常规监管, B: 严格监管}}
audit: {{by: [region, size]}}
{capacity}
"""
START = date(2023, 1, 1)


def scenario(
    *, weight: str = "ipw", capacity: str = "capacity: {per_month: 100, random_share: 0.1}"
) -> Scenario:
    return parse_scenario(TEXT.format(weight=weight, capacity=capacity), "trial.yaml")


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def peer(name: str, positive: object, scores: object, weights: object = None) -> float:
    """Return scikit-learn's own figure: ``auc``, ``ap`` or ``brier``."""
    from sklearn import metrics

    functions = {
        "auc": "roc_auc_score",
        "ap": "average_precision_score",
        "brier": "brier_score_loss",
    }
    function = cast("Callable[..., float]", getattr(metrics, functions[name]))
    return float(function(positive, scores, sample_weight=weights))


def predictions(
    subjects: int = 400, *, dates: int = 6, folds: int = 2, visits: bool = False, seed: int = 1
) -> pl.DataFrame:
    """Return dates of view, or visits, of subjects of whom the riskier are looked at more often.

    ``p_lightgbm`` is nearest to the truth; ``p_logistic`` is noisier, ``p_rules`` has two values.
    """
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=subjects)
    sizes = np.array(["micro", "small", "large"])[rng.choice(3, subjects, p=[0.6, 0.38, 0.02])]
    regions = np.array(["210102", "210103"])[rng.integers(0, 2, subjects)]
    chance = logistic(risk - 0.5)
    parts: list[pl.DataFrame] = []
    for place in range(dates):
        on = START + timedelta(days=30 * place)
        noise = rng.normal(size=(3, subjects))
        after = rng.integers(0 if visits else 1, 30 if visits else 180, subjects)
        seen = [on + timedelta(days=int(days)) for days in after]
        parts.append(
            pl.DataFrame(
                {
                    "fold": np.full(subjects, place * folds // dates, np.int32),
                    "subject_id": [f"s{n:05}" for n in range(subjects)],
                    "as_of": seen if visits else [on] * subjects,
                    "group": [f"s{n:05}" for n in range(subjects)],
                    "observed": rng.random(subjects) < chance,
                    "positive": rng.random(subjects) < logistic(risk - 1.5),
                    "weight": 1 / chance,
                    "inclusion_probability": chance,
                    "observed_on": seen,
                    "audit_region": regions,
                    "audit_size": sizes,
                    "p_lightgbm": logistic(risk + 0.3 * noise[0] - 1.5),
                    "p_logistic": logistic(risk + noise[1] - 1.5),
                    "p_rules": np.where(risk + noise[2] > 1, 0.4, 0.15),
                }
            )
        )
    frame = pl.concat(parts)
    hidden = [
        pl.when("observed").then(name).alias(name) for name in ("positive", "observed_on", "weight")
    ]
    event = pl.when("observed", "positive").then("observed_on").alias("event_on")
    frame = frame.with_columns(event).with_columns(hidden)
    return frame.filter("observed") if visits else frame
