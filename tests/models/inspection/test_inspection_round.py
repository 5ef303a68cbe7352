"""From a plan to what its draws say: the parts fit together, and what comes out is true."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest

from models.inspection import offpolicy
from models.inspection.caps import VISITS, Caps, admit, room
from models.inspection.combine import Drawn, combine
from models.inspection.draw import draw
from models.inspection.dry_run import allocation, dry_run
from models.inspection.estimate import Method, rates
from models.inspection.plan import parse_plan
from models.inspection.pool import Pool
from models.inspection.progress import State, advance, begin, pool_trouble
from models.scenarios import scenario_named
from tests.models.inspection.catering import RATIOS, TEXT, people

PLAN = parse_plan(
    TEXT.replace("per_month: 1200", "per_month: 60").replace("precision: 0.1", "precision: 1.0"),
    "plan.yaml",
)
FIRMS = people(3000)
RNG = np.random.default_rng(11)
FAILS = FIRMS.select(
    "subject_id", positive=pl.Series(RNG.random(3000) < FIRMS["probability"].to_numpy())
)
TRUTH = float(FAILS["positive"].to_numpy().mean())
POOLS = {
    period.id: Pool.of(
        allocation(PLAN, period, FIRMS, RATIOS).select("subject_id", "stratum", "pi")
    )
    for period in PLAN.periods
}


@cache
def carried_out(period: str, seed: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the whole draw, and those drawn with what was found."""
    drawn = draw(POOLS[period], seed).join(
        FIRMS.select("subject_id", "probability", "region"), on="subject_id"
    )
    return drawn, drawn.filter("drawn").join(FAILS, on="subject_id")


def seeds(many: int) -> list[str]:
    rng = np.random.default_rng(3)
    return [rng.bytes(32).hex() for _ in range(many)]


def test_a_plan_goes_from_draft_to_drawn() -> None:
    at = datetime(2026, 12, 1, tzinfo=UTC)
    pool = POOLS["2027H1"]
    progress = begin(PLAN.id, PLAN.digest, by="drafter", at=at)
    for to, evidence in (
        (State.APPROVED, None),
        (State.FROZEN, pool.commitment),
        (State.SEEDED, "5e" * 32),
        (State.DRAWN, "d0" * 32),
    ):
        at += timedelta(days=1)
        progress = advance(progress, to, by="chief", at=at, evidence=evidence)
    assert pool_trouble(progress, pool.commitment) is None
    edited = pool.frame.with_columns(
        pl.when(pl.col("subject_id") == "S000001")
        .then(pl.lit("S999999"))
        .otherwise("subject_id")
        .alias("subject_id")
    )
    trouble = pool_trouble(progress, Pool.of(edited).commitment)
    assert trouble is not None
    assert "changed after it was frozen" in trouble


def test_as_many_are_drawn_as_the_dry_run_said() -> None:
    tried = dry_run(PLAN, FIRMS, scenario_named("food_safety"))
    for period in POOLS:
        _, sample = carried_out(period, seeds(1)[0])
        assert sample.height == round(tried.expected[period].inspections)


@pytest.mark.parametrize("method", ["ht", "hajek", "difference"])
def test_rates_are_unbiased_and_their_intervals_hold(method: Method) -> None:
    found: list[float] = []
    held = 0
    shares: list[float] = []
    for seed in seeds(40):
        drawn, sample = carried_out("2027H1", seed)
        row = rates(sample, drawn, method=method).row(0, named=True)
        found.append(row["rate"])
        held += row["low"] <= TRUTH <= row["high"]
        shares.append(float(sample["positive"].to_numpy().mean()))
    error = float(np.std(found)) / np.sqrt(40)
    assert abs(float(np.mean(found)) - TRUTH) < 3.5 * error
    assert held >= 34
    # What was found among the visited says nothing of the kind: the draw looks for trouble.
    assert float(np.mean(shares)) > 1.5 * TRUTH


def test_regions_add_up_to_the_whole() -> None:
    drawn, sample = carried_out("2027H1", seeds(1)[0])
    whole = rates(sample, drawn, method="difference").row(0, named=True)
    parts = rates(sample, drawn, method="difference", by=["region"])
    weighted = np.average(parts["rate"].to_numpy(), weights=parts["population"].to_numpy())
    assert weighted == pytest.approx(whole["rate"])
    assert parts["drawn"].sum() == whole["drawn"]


def test_two_halves_of_a_year_tell_more_than_one() -> None:
    held, errors = 0, [0.0, 0.0]
    for one, two in zip(seeds(40)[:20], seeds(40)[20:], strict=True):
        draws = [
            Drawn(period, *carried_out(period, seed))
            for period, seed in (("2027H1", one), ("2027H2", two))
        ]
        made = combine(draws)
        held += made["low"][-1] <= TRUTH <= made["high"][-1]
        errors[0] += made["standard_error"][0] / 20
        errors[1] += made["standard_error"][-1] / 20
    assert held >= 16
    assert errors[1] == pytest.approx(errors[0] / np.sqrt(2), rel=0.15)


def test_the_log_tells_what_the_riskiest_would_have_brought() -> None:
    drawn, sample = carried_out("2027H1", seeds(1)[0])
    best = FIRMS.sort("probability", descending=True).head(300).select("subject_id")
    worst = FIRMS.sort("probability").head(300).select("subject_id")
    said = offpolicy.compare(offpolicy.Log(drawn, sample), best, worst)
    truth = [
        float(FAILS.join(one, on="subject_id", how="semi")["positive"].sum())
        for one in (best, worst)
    ]
    assert said.low > 0
    assert said.low <= truth[0] - truth[1] <= said.high
    assert said.challenger.listed == said.challenger.supported == 300


def test_drawn_visits_use_up_caps_and_leave_the_next_pool() -> None:
    caps = Caps(per_year=1)
    _, sample = carried_out("2027H1", seeds(1)[0])
    visits = sample.select(
        "subject_id",
        pl.col("subject_id").alias("visit_id"),
        pl.lit(date(2027, 3, 1)).alias("on"),
        pl.lit(None, pl.String).alias("ground"),
    )
    none = pl.DataFrame(schema=VISITS)
    admit(visits, none, FIRMS, caps, year=2027, today=date(2027, 1, 1))
    left = room(FIRMS, visits, caps, year=2027, today=date(2027, 7, 1))
    assert left.filter(remaining=0).height == sample.height
    later = allocation(PLAN, PLAN.period("2027H2"), left, RATIOS)
    assert later.height == 3000 - sample.height
    assert not set(later["subject_id"]) & set(sample["subject_id"])
