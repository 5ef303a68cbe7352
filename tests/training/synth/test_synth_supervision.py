from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from training.synth import truth
from training.synth.chunk import Chunk
from training.synth.province import Summary
from training.synth.supervision import MODES


def test_random_draws_record_the_probability_they_used(chunk: Chunk) -> None:
    events, rates = chunk.watch.inspections, chunk.spec.rates
    untargeted, weighted = events.mode == 0, events.mode == 1
    assert set(events.chance[untargeted]) == {rates.random_untargeted}
    assert set(events.chance[weighted]) <= set(rates.random_targeted)
    assert np.isnan(events.chance[events.mode > 1]).all()


def test_the_share_inspected_at_random_is_the_probability(chunk: Chunk) -> None:
    pool = int(chunk.life.active.sum())
    drawn = int((chunk.watch.inspections.mode == 0).sum())
    expected = pool * chunk.spec.rates.random_untargeted
    assert drawn == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_weighted_draws_estimate_the_true_rate_and_targeted_visits_do_not(chunk: Chunk) -> None:
    events, active = chunk.watch.inspections, chunk.life.active
    bad = chunk.risk.outcome[events.subject, events.month]
    random = events.mode == 0
    true = float(chunk.risk.outcome[active].mean())
    assert float(bad[random].mean()) == pytest.approx(true, abs=0.03)
    assert float(bad[events.mode > 1].mean()) > true + 0.02


def test_inspectors_come_back_where_they_failed_someone(chunk: Chunk) -> None:
    events = chunk.watch.inspections
    bad = chunk.risk.outcome[events.subject, events.month]
    failed = set(zip(events.subject[bad].tolist(), events.month[bad].tolist(), strict=True))
    back = events.mode == MODES.index("revisit")
    came = zip(events.subject[back].tolist(), (events.month[back] - 2).tolist(), strict=True)
    assert all(one in failed for one in came)


def test_an_inspection_found_what_truth_says(province: Summary) -> None:
    seen = pl.read_parquet(province.out / "inspection-*.parquet")
    marked = truth.read(province.out, "dirt").filter(pl.col("table") == "inspection").collect()
    assert marked.height < 0.01 * seen.height + 10
    sent = seen.filter(pl.col("result").is_in(["pass", "fail"])).with_columns(
        month=pl.col("happened_on").dt.truncate("1mo")
    )
    outcomes = truth.read(province.out, "outcomes").collect()
    joined = sent.join(outcomes, left_on=["uscc", "month"], right_on=["subject_id", "month"])
    assert joined.height > 0.99 * sent.height
    agree = (joined["result"] == "fail") == joined["fails"]
    assert agree.mean() > 0.995  # type: ignore[operator]


def test_modes_and_codes_of_inspections(tables: dict[str, pl.DataFrame]) -> None:
    seen = tables["inspection"]
    assert set(seen["draw_mode"].unique()) == set(MODES)
    random = pl.col("draw_mode").str.starts_with("random")
    assert seen.select((random == pl.col("inclusion_probability").is_not_null()).all()).item()
    assert seen.select((random == pl.col("draw_id").is_not_null()).all()).item()
    failed = pl.col("result") == "fail"
    assert seen.select((failed == pl.col("problem").is_not_null()).all()).item()
    assert set(seen.filter(pl.col("result") == "pass")["result_code"]) == {"IR1"}
    assert set(seen.filter(pl.col("result") == "excluded")["result_code"]) == {"IR7", "IRX"}


def test_penalties_and_complaints_follow_risk(chunk: Chunk) -> None:
    latent = chunk.risk.latent
    usual = float(latent[chunk.life.active].mean())
    for events in (chunk.watch.penalties, chunk.watch.complaints):
        assert float(latent[events.subject, events.month].mean()) > usual + 0.2
