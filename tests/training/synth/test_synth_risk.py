from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from training.synth import truth
from training.synth.arrays import sigmoid
from training.synth.chunk import Chunk
from training.synth.province import Summary
from training.synth.risk import REVOKED, SHARES


def test_true_grades_have_the_published_shares(chunk: Chunk) -> None:
    found = np.bincount(chunk.risk.grade[chunk.life.active], minlength=4)
    assert found / found.sum() == pytest.approx(SHARES, abs=0.02)


def test_latent_risk_is_about_standard_and_drifts(chunk: Chunk) -> None:
    latent = chunk.risk.latent
    assert abs(float(latent[chunk.life.active].mean())) < 0.06
    assert float(latent[chunk.life.active].std()) == pytest.approx(1.0, abs=0.05)
    near = float(np.corrcoef(latent[:, 40], latent[:, 41])[0, 1])
    far = float(np.corrcoef(latent[:, 5], latent[:, 85])[0, 1])
    assert near > 0.95
    assert 0.3 < far < 0.75


def test_outcomes_come_true_with_their_probability(chunk: Chunk) -> None:
    risk, (intercept, slope) = chunk.risk, chunk.spec.rates.fail
    assert np.allclose(risk.fail, sigmoid(intercept + slope * risk.latent))
    edges = np.quantile(risk.fail, [0.0, 0.5, 0.9, 0.99, 1.0])
    for low, high in pairwise(edges):
        rows = (risk.fail >= low) & (risk.fail < high)
        expected = float(risk.fail[rows].mean())
        assert float(risk.outcome[rows].mean()) == pytest.approx(expected, abs=0.01)


def test_risk_shortens_life_and_brings_revocation(chunk: Chunk) -> None:
    mean = chunk.risk.latent.mean(axis=1)
    ended = chunk.life.ended <= chunk.clock.end
    assert mean[ended].mean() > mean[~ended].mean()
    assert mean[chunk.life.how == REVOKED].mean() > mean[ended].mean()


def test_the_truth_lies_apart_and_no_mapping_names_it(province: Summary) -> None:
    assert province.truth == province.out / "truth"
    assert "truth" not in province.mapping.read_text(encoding="utf-8")
    assert not list(province.out.glob("*risk*"))
    assert (province.truth / "README.md").read_text(encoding="utf-8").startswith("# 地面真值")


def test_truth_has_every_subject_and_month(province: Summary) -> None:
    outcomes = truth.read(province.out, "outcomes").collect()
    assert outcomes["subject_id"].n_unique() == province.rows["subject"]
    assert outcomes.select(pl.struct("subject_id", "month").is_unique().all()).item()
    assert outcomes["probability"].is_between(0, 1).all()
    risk = truth.read(province.out, "latent_risk").collect()
    assert set(risk["grade"].unique()) == set("ABCD")
    assert risk["on"].dt.month().is_in([3, 6, 9, 12]).all()


def test_reading_no_truth_is_said(tmp_path: object) -> None:
    from pathlib import Path

    from models.errors import ConfigError

    with pytest.raises(ConfigError, match="holds no truth/ folder"):
        truth.read(Path(str(tmp_path)), "dirt")
