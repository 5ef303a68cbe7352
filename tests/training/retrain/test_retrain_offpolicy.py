"""What both lists would have found, told in the verdict from records with known chances."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from models.scenarios import parse_scenario
from tests.training.retrain.world import SCENARIO
from training.evaluate.evaluation import Evaluation
from training.evaluate.judge import evaluate
from training.retrain.offpolicy import NOTHING, OffPolicy, estimated, section

DATES = [date(2024, 1, 1) + timedelta(days=60 * n) for n in range(4)]


def cohort(*, drawn: float = 0.2, seed: int = 1, firms: int = 400) -> pl.DataFrame:
    """Return a cohort at four dates; a fifth of it was drawn, with a chance of 0.2."""
    rng = np.random.default_rng(seed)
    rows = firms * len(DATES)
    risk = np.tile(rng.beta(1, 4, firms), len(DATES))
    seen = rng.random(rows) < drawn
    fails = rng.random(rows) < risk
    as_of = np.repeat(np.array(DATES, "datetime64[D]"), firms)
    on = as_of + rng.integers(1, 50, rows).astype("timedelta64[D]")
    frame = pl.DataFrame(
        {
            "fold": pl.Series(np.zeros(rows, np.int32)),
            "subject_id": [f"F{n % firms:04}" for n in range(rows)],
            "group": [f"F{n % firms:04}" for n in range(rows)],
            "as_of": as_of,
            "observed": seen,
            "positive": pl.Series(fails.tolist()),
            "inclusion_probability": [drawn] * rows,
            "observed_on": on,
            "event_on": on,
            "p_challenger": risk,
            "p_champion": rng.permutation(risk),
        }
    )
    hidden = ("positive", "inclusion_probability", "observed_on", "event_on")
    return frame.with_columns(pl.when("observed").then(pl.col(name)).alias(name) for name in hidden)


def judged(frame: pl.DataFrame, model: str = "challenger") -> Evaluation:
    scenario = parse_scenario(SCENARIO.replace("per_month: 25", "per_month: 22"), "town.yaml")
    return evaluate(frame, scenario, seed=1, resamples=2, model=model)


FRAME = cohort()
JUDGED = judged(FRAME)


def of(frame: pl.DataFrame = FRAME, told: Evaluation = JUDGED) -> OffPolicy:
    found = estimated(frame, told)
    assert found is not None
    return found


def test_the_better_list_is_seen_to_be_better() -> None:
    found = of()
    assert found.challenger is not None
    assert found.champion is not None
    assert found.difference is not None
    assert found.challenger.rate > found.champion.rate
    assert found.difference.low is not None
    assert found.difference.low > 0
    assert found.results == FRAME["observed"].sum()
    assert found.places == pytest.approx(found.share * FRAME.height)
    assert found.challenger.coverage == pytest.approx(1, abs=0.35)
    assert found.challenger.reliable


def test_it_is_what_the_list_would_have_found() -> None:
    """The estimate against the hit rate of the list itself, in a world that was seen whole."""
    whole = cohort(drawn=1.0)
    found = of(whole, judged(whole)).challenger
    assert found is not None
    share = of(whole, judged(whole)).share
    top = whole.filter(
        pl.col("p_challenger").rank("ordinal", descending=True).over("as_of")
        <= round(share * whole.height / len(DATES))
    )
    assert found.rate == pytest.approx(
        float(top["positive"].cast(pl.Float64).to_numpy().mean()), abs=0.01
    )
    assert found.findings.low == pytest.approx(found.findings.value or 0)


def test_a_record_speaks_once_for_the_last_date_before_it() -> None:
    later = FRAME.filter(pl.col("as_of") == DATES[0]).with_columns(
        pl.col("as_of") - pl.duration(days=30)
    )
    assert of(pl.concat([FRAME, later])).results == of().results


def test_a_finding_of_a_later_visit_is_not_that_of_the_drawn_one() -> None:
    late = FRAME.with_columns(pl.col("event_on") + pl.duration(days=3))
    found = of(late).challenger
    assert found is not None
    assert found.rate == 0


def test_rows_that_are_visits_are_a_pool_by_their_weights() -> None:
    visits = FRAME.filter("observed").with_columns(as_of=pl.col("observed_on"))
    told = judged(visits)
    assert told.kind == "visits"
    found = of(visits, told)
    assert found.places == pytest.approx(found.share * visits.height / 0.2)
    assert found.challenger is not None
    assert found.challenger.coverage == pytest.approx(1)


def test_records_without_chances_tell_nothing_and_that_is_said() -> None:
    bare = FRAME.with_columns(inclusion_probability=pl.lit(None, pl.Float64))
    assert estimated(bare, JUDGED) is None
    assert estimated(FRAME.drop("inclusion_probability"), JUDGED) is None
    assert NOTHING in section(None)


def test_a_list_that_no_record_is_on_is_named() -> None:
    best = FRAME.filter("observed").with_columns(p_challenger=pl.lit(0.0), p_champion=pl.lit(0.5))
    others = FRAME.filter(~pl.col("observed"))
    found = of(pl.concat([best, others]))
    assert found.challenger is None
    assert found.champion is not None
    assert found.difference is None
    assert "没有一条记录在模型 challenger 的名单上" in found.to_markdown()


def test_a_first_model_stands_alone() -> None:
    frame = FRAME.rename({"p_challenger": "p_lightgbm", "p_champion": "p_rules"})
    found = of(frame, judged(frame, "lightgbm"))
    assert found.champion is None
    assert found.difference is None
    assert found.challenger is not None


def test_the_page_has_both_lists_with_intervals() -> None:
    page = section(of())
    assert "| 候选模型 |" in page
    assert "| 现用模型 |" in page
    assert "多发现" in page
    assert "95% 区间" in page
    assert OffPolicy.model_validate_json(of().model_dump_json()) == of()
