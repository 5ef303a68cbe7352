"""The past-rate rule: who was found before is found again, and of the unknown, whose region is."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from models.risk.calibrate import logit
from models.risk.encode import FloatArray
from training.risk.baseline.scorer import Scorer
from training.risk.past import FOUND, SEEN
from training.risk.sample import Sample

PRIOR: Final = 3.0
"""Observations that the region's rate counts for beside the subject's own."""
_REGION_PRIOR: Final = 50.0
_REGIONS: Final = ("audit_region", "audit_city")


def fit_past_rate(train: Sample) -> Scorer:
    """Return the rule: a subject's smoothed share of findings, drawn towards its region's rate.

    Regions are those of the audit, where the scenario audits by region or city, else there is one.
    """
    region = next((name for name in _REGIONS if name in train.frame.columns), None)
    base = train.rate
    rates: dict[str, float] = {}
    if region is not None:
        seen = pl.DataFrame(
            [
                train.frame[region].alias("region"),
                pl.Series("weight", train.weight),
                pl.Series("found", train.weight * train.positive),
            ]
        )
        share = (pl.col("found") + base * _REGION_PRIOR) / (pl.col("weight") + _REGION_PRIOR)
        told = seen.group_by("region").sum().select("region", share.alias("rate"))
        rates = dict(told.iter_rows())

    def score(frame: pl.DataFrame) -> FloatArray:
        prior = (
            pl.lit(base)
            if region is None
            else pl.col(region).replace_strict(rates, default=base, return_dtype=pl.Float64)
        )
        rate = (pl.col(FOUND) + PRIOR * prior) / (pl.col(SEEN) + PRIOR)
        # more is found than was seen where events fall into one horizon: a rate stays below 1
        told = frame.select(rate.clip(1e-6, 1 - 1e-6).alias("rate"))["rate"].to_numpy()
        return logit(np.asarray(told, np.float64))

    return score
