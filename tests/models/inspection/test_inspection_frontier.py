from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from models.errors import InspectionError
from models.inspection.allocate import by_grade, by_risk
from models.inspection.draw import draw
from models.inspection.estimate import Method, rates
from models.inspection.frontier import POINTS, choose, expected, frontier
from models.inspection.pool import Pool
from tests.models.inspection.catering import RATIOS, people

PEOPLE = people(3000)
LINE = frontier(
    PEOPLE, 150, random_share=0.1, ratios=RATIOS, precisions=(0.0, 0.01, 0.1, 1.0, 10.0)
)


def test_more_findings_cost_precision() -> None:
    line = LINE.filter(mix="risk")
    assert dict(LINE.schema) == POINTS
    assert line["findings"].is_sorted(descending=True)
    assert line["half_width"].is_sorted(descending=True)


def test_the_riskiest_alone_bound_the_findings_and_tell_nothing() -> None:
    greedy = LINE.row(by_predicate=pl.col("mix") == "greedy", named=True)
    assert greedy["findings"] == LINE["findings"].max()
    assert greedy["half_width"] is None
    assert greedy["findings"] == pytest.approx(
        float(np.sort(PEOPLE["probability"].to_numpy())[-150:].sum())
    )


def test_what_everybody_alike_would_find_is_the_mean() -> None:
    uniform = LINE.row(by_predicate=pl.col("mix") == "uniform", named=True)
    mean = float(PEOPLE["probability"].to_numpy().mean())
    assert uniform["findings"] == pytest.approx(150 * mean, rel=0.05)
    assert uniform["largest_weight"] == pytest.approx(20, rel=0.1)
    assert LINE.filter(mix="grade")["findings"][0] > uniform["findings"]


def test_the_office_picks_a_point() -> None:
    line = LINE.filter(mix="risk")
    wide = choose(LINE, half_width=0.06)
    found = line.row(by_predicate=pl.col("precision") == wide, named=True)
    assert found["half_width"] <= 0.06
    better = line.filter(pl.col("findings") > found["findings"])
    assert (better["half_width"] > 0.06).all()
    most = float(LINE.filter(mix="greedy")["findings"][0])
    half = choose(LINE, share=0.3)
    assert line.row(by_predicate=pl.col("precision") == half, named=True)["findings"] >= 0.3 * most
    assert half > wide


def test_what_no_point_gives_is_refused() -> None:
    with pytest.raises(InspectionError, match=r"no draw of this size tells the rate to ±0\.001"):
        choose(LINE, half_width=0.001)
    with pytest.raises(InspectionError, match="finds 100% of what the riskiest alone would"):
        choose(LINE, share=1.0)
    with pytest.raises(InspectionError, match="exactly one of"):
        choose(LINE)
    with pytest.raises(InspectionError, match="exactly one of"):
        choose(LINE, half_width=0.1, share=0.5)


@pytest.mark.parametrize("method", ["ht", "hajek", "difference"])
def test_what_is_expected_is_what_draws_give(method: Method) -> None:
    """The mean of stated variances over outcomes and draws is the anticipated one."""
    rng = np.random.default_rng(5)
    often = {"A": 0.05, "B": 0.08, "C": 0.15, "D": 0.5}
    for pi in (by_grade(PEOPLE, often), by_risk(PEOPLE, 200, random_share=0.4, precision=1.0)):
        foreseen = expected(pi, PEOPLE, method=method)
        pool = Pool.of(pi)
        errors: list[float] = []
        findings: list[float] = []
        for _ in range(25):
            drawn = draw(pool, rng.bytes(32).hex()).join(PEOPLE, on="subject_id")
            fails = rng.random(drawn.height) < drawn["probability"].to_numpy()
            sample = drawn.with_columns(pl.Series("positive", fails)).filter("drawn")
            made = rates(sample, drawn, method=method, collapse=True)
            errors.append(float(made["standard_error"][0]))
            findings.append(float(sample["positive"].sum()))
        said = 1.96 * float(np.sqrt(np.mean(np.square(errors))))
        assert said == pytest.approx(foreseen.half_width, rel=0.15)
        assert np.mean(findings) == pytest.approx(foreseen.findings, rel=0.1)
        assert np.mean([foreseen.low <= f <= foreseen.high for f in findings]) > 0.85


def test_somebody_without_a_probability_is_named() -> None:
    pi = by_grade(PEOPLE, RATIOS)
    with pytest.raises(InspectionError, match="subject S002999 has no probability"):
        expected(pi, PEOPLE.head(2999))


def test_mandatory_subjects_count_with_the_riskiest() -> None:
    listed = PEOPLE.with_columns(
        pl.when(pl.col("probability") == pl.col("probability").min())
        .then(pl.lit("veto"))
        .alias("mandatory")
    )
    line = frontier(listed, 150, random_share=0.1, precisions=(0.0,))
    assert line["findings"][0] < LINE["findings"][0]
