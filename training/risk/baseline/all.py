"""All baselines, fitted on one sample and calibrated on another, so that their errors compare."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from models.features.spec import FeatureSpec
from models.risk.calibrate import Calibrator, Kind
from models.risk.encode import FloatArray
from models.scenarios.scenario import Scenario
from training.risk.baseline.logistic import fit_logistic
from training.risk.baseline.past_rate import fit_past_rate
from training.risk.baseline.rules import rules
from training.risk.baseline.scorer import Scorer
from training.risk.baseline.woe import fit_woe
from training.risk.calibration import calibrate
from training.risk.sample import Sample


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """A baseline made ready: what orders rows by risk, and what its numbers mean."""

    name: str
    scorer: Scorer
    calibrator: Calibrator

    def probability(self, frame: pl.DataFrame) -> FloatArray:
        """Return the calibrated probability of rows with features, past and groups."""
        return self.calibrator.apply(self.scorer(frame))


def fit_baselines(
    scenario: Scenario,
    features: tuple[FeatureSpec, ...],
    *,
    train: Sample,
    calibration: Sample,
    kind: Kind,
    seed: int,
) -> tuple[Baseline, ...]:
    """Fit every baseline on ``train`` and calibrate it, as models are, on ``calibration``."""
    scorers: dict[str, Scorer] = {
        "past_rate": fit_past_rate(train),
        "rules": rules(scenario, features),
        "woe": fit_woe(train, features, seed=seed),
        "logistic": fit_logistic(train, features, seed=seed),
    }
    return tuple(
        Baseline(
            name,
            scorer,
            calibrate(kind, scorer(calibration.frame), calibration.positive, calibration.weight),
        )
        for name, scorer in scorers.items()
    )
