from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from models.errors import BundleError
from models.monitor.drift import DriftLimits, Fitted, drift, moved, reference

FEATURES = ("age", "penalties", "industry")


def _frame(rows: int, seed: int, *, shift: float = 0.0, factor: float = 1.0) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    p = generator.beta(1, 8, size=rows)
    return pl.DataFrame(
        {
            "subject_id": [f"S{place}" for place in range(rows)],
            "age": generator.normal(10 + shift, 3, size=rows),
            "penalties": generator.poisson(0.3, size=rows).astype(np.float64),
            "industry": generator.choice(["零售", "餐饮", "制造"], size=rows),
            "risk_score": 1000 * p,
            "probability": p,
            "positive": generator.random(rows) < factor * p,
        }
    )


@pytest.fixture(scope="module")
def then() -> pl.DataFrame:
    return _frame(5000, 1)


def test_the_same_population_is_stable(then: pl.DataFrame) -> None:
    kept = reference(then, (*FEATURES, "risk_score"))
    now = _frame(3000, 2)
    found = drift(now, kept, labelled=now, capacity=0.1)
    assert not found.drifted
    assert {one.level for one in found.features} == {"stable"}
    assert found.score is not None
    assert found.score.level == "stable"


def test_a_moved_feature_is_named_first_and_counts_beyond_the_borne_share(
    then: pl.DataFrame,
) -> None:
    kept = reference(then, FEATURES)
    found = drift(_frame(3000, 2, shift=3), kept)
    assert found.features[0].name == "age"
    assert found.features[0].level == "freeze"
    assert found.reasons == (
        f"1/3 个特征 PSI 超过 0.25（容许 5%），如 age {found.features[0].psi:.2f}",
    )
    borne = DriftLimits(features_share=0.5)
    assert not drift(_frame(3000, 2, shift=3), kept, limits=borne).drifted


def test_a_small_month_alarms_nobody(then: pl.DataFrame) -> None:
    found = moved(_frame(12, 4), reference(then, FEATURES))
    assert {one.level for one in found} == {"stable"}
    assert max(one.psi for one in found) > 0.25


def test_a_moved_score_is_a_reason(then: pl.DataFrame) -> None:
    now = _frame(3000, 2).with_columns(pl.col("risk_score") * 2)
    (reason,) = drift(now, reference(then, ("risk_score",))).reasons
    assert reason.startswith("风险分 PSI")


def test_a_rate_that_doubled_is_a_reason_only_once_labels_have_come(then: pl.DataFrame) -> None:
    kept = reference(then, FEATURES)
    now = _frame(3000, 2, factor=2)
    assert not drift(now, kept, capacity=0.1).drifted
    one, other = drift(now, kept, labelled=now).reasons
    assert "实际发生率" in one
    assert "校准误差" in other
    none_yet = now.with_columns(pl.lit(None, dtype=pl.Boolean).alias("positive"))
    found = drift(now, kept, labelled=none_yet, capacity=0.1)
    assert found.calibration is None
    assert found.measured is None
    assert found.expected is not None


def test_probabilities_that_are_right_on_average_alone_are_a_reason(then: pl.DataFrame) -> None:
    now = _frame(3000, 2)
    turned = now.with_columns(pl.col("probability").reverse())
    (reason,) = drift(now, reference(then, FEATURES), labelled=turned).reasons
    assert "校准误差" in reason


def test_ranking_that_fell_below_the_fits_is_a_reason_with_and_without_labels(
    then: pl.DataFrame,
) -> None:
    now = _frame(3000, 2)
    found = drift(
        now, reference(then, FEATURES), labelled=now, capacity=0.1, fitted=Fitted(0.9, 0.9)
    )
    assert [reason.split("：")[0] for reason in found.reasons] == ["无标签估计", "已到标签实测"]


def test_a_missing_column_is_refused(then: pl.DataFrame) -> None:
    with pytest.raises(BundleError, match="lacks industry"):
        moved(then.drop("industry"), reference(then, FEATURES))


def test_json_has_no_nan(then: pl.DataFrame) -> None:
    empty = then.clear()
    found = drift(empty, reference(then, FEATURES), labelled=empty, capacity=0.1)
    assert not found.drifted
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["rows"] == 0
