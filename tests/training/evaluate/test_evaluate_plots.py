"""Pictures: drawn off screen in the shipped font, the same each time; nothing is left behind."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from models.errors import ModelError
from tests.training.evaluate.foretold import predictions, scenario
from training.evaluate import Evaluation, evaluate
from training.evaluate.canvas import shown
from training.evaluate.contributions import contribution_pictures
from training.evaluate.plots import pictures

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(predictions(), scenario(), seed=7, resamples=20)


def drawn(content: bytes) -> float:
    """Return the part of a picture that is not white."""
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    return float((pixels < 250).mean())


def test_every_picture_is_drawn_and_the_same_again(evaluation: Evaluation) -> None:
    before = dict(mpl.rcParams)
    found = pictures(evaluation)
    assert set(found) == {
        "ranking", "reliability", "capture", "stability", "replay",
        "fairness_region", "fairness_size",
    }  # fmt: skip
    assert all(content.startswith(PNG) for content in found.values())
    assert all(0.01 < drawn(content) < 0.5 for content in found.values())
    assert pictures(Evaluation.from_json(evaluation.to_json())) == found
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_what_there_is_nothing_to_show_of_is_left_out() -> None:
    frame = predictions(60).drop("audit_region", "audit_size", "observed_on")
    found = pictures(evaluate(frame, scenario(), seed=7, resamples=5))
    assert set(found) == {"ranking", "reliability", "capture", "stability"}


def test_foreign_names_are_only_text(evaluation: Evaluation) -> None:
    hostile = predictions(100).rename({"p_rules": "p_$\\frac{$"})
    hostile = hostile.with_columns(audit_region=pl.lit("$x^$ 囍\n\x1b[31m"))
    assert pictures(evaluate(hostile, scenario(), seed=7, resamples=5))["ranking"]
    assert shown("a\n囍$b$") == "a □$b$"
    assert shown("长" * 40, longest=5) == "长长长长…"
    assert evaluation.pooled.rows > 0


def random_state() -> list[int]:
    """Return the state of numpy's global generator, which is not a picture's to move."""
    state = np.random.get_state(legacy=True)  # noqa: NPY002
    assert isinstance(state, tuple)
    return state[1].tolist()


def contributions(rows: int = 60) -> tuple[pl.DataFrame, np.ndarray]:
    rng = np.random.default_rng(3)
    features = pl.DataFrame(
        {
            "penalty_count_365d": rng.poisson(1, rows).astype(float),
            "age": [None if n % 5 == 0 else float(n) for n in range(rows)],
            "industry": rng.choice(["A", "B"], rows),
            "empty": pl.Series([None] * rows, dtype=pl.Float64),
        }
    )
    moved = rng.normal(size=(rows, 5)) * np.array([1.0, 0.3, 0.2, 0.0, 0.0])
    return features, moved


def test_contributions_are_drawn_by_shap_and_the_same_again() -> None:
    features, moved = contributions()
    titles = {"penalty_count_365d": "近 365 天行政处罚次数", "age": "存续年限 $"}
    before, state = dict(mpl.rcParams), random_state()
    found = contribution_pictures(features, moved, titles=titles)
    assert list(found) == ["beeswarm", "dependence"]
    assert all(content.startswith(PNG) and drawn(content) > 0.005 for content in found.values())
    assert contribution_pictures(features, moved[:, :4], titles=titles) == found
    assert {k: v for k, v in mpl.rcParams.items() if k != "backend"} == {
        k: v for k, v in before.items() if k != "backend"
    }
    assert random_state() == state
    assert plt.get_fignums() == []


def test_hidden_features_are_not_drawn() -> None:
    features, moved = contributions()
    only = frozenset(features.columns) - {"penalty_count_365d"}
    one = contribution_pictures(features, moved, titles={}, hidden=only)
    all_ = contribution_pictures(features, moved, titles={})
    assert one["beeswarm"] != all_["beeswarm"]
    assert Image.open(io.BytesIO(one["beeswarm"])).height < 400
    assert (
        contribution_pictures(features, moved, titles={}, hidden=frozenset(features.columns)) == {}
    )


def test_contributions_of_other_rows_are_refused() -> None:
    features, moved = contributions()
    with pytest.raises(ModelError, match="59 × 5"):
        contribution_pictures(features, moved[1:], titles={})
    with pytest.raises(ModelError, match="0 rows"):
        contribution_pictures(features.clear(), moved[:0], titles={})
