from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InspectionError
from models.inspection.draw import draw
from models.inspection.logged import lead, logged
from models.inspection.pool import Pool


def results(
    rows: list[tuple[str, float, bool, float]], stratum: str = "2027Q1", column: str = "mine"
) -> pl.DataFrame:
    """Return records of (subject, chance, found, part of the list)."""
    return pl.DataFrame(
        rows,
        schema={
            "subject_id": pl.String,
            "inclusion_probability": pl.Float64,
            "positive": pl.Boolean,
            column: pl.Float64,
        },
        orient="row",
    ).with_columns(pl.lit(stratum).alias("stratum"))


def test_each_record_stands_for_those_that_were_not_drawn() -> None:
    made = logged(
        results([("a", 0.5, True, 1), ("b", 0.5, False, 1), ("c", 0.1, True, 0)]), "mine", listed=4
    )
    assert (made.results, made.rate, made.findings) == (2, 0.5, 2)
    assert made.coverage == 1
    assert made.heaviest == 2
    assert made.effective == pytest.approx(2)
    assert made.supported
    assert not made.reliable
    assert 0 <= made.low <= made.findings <= made.high <= 4


def test_a_list_without_chances_shows_in_its_coverage() -> None:
    rows = [(f"s{n}", 0.5, n % 3 == 0, 1.0) for n in range(60)]
    whole = logged(results(rows), "mine", listed=120)
    assert whole.coverage == 1
    assert whole.reliable
    half = logged(results(rows), "mine", listed=500)
    assert half.covered < 1
    assert not half.supported
    assert not half.reliable


def test_over_all_samples_the_rate_is_the_lists() -> None:
    """Every sample of 4 of 8, the list of five: the ratio's mean is near, its weights exact."""
    fails = dict(zip("abcdefgh", [True, False, True, True, False, False, True, False], strict=True))
    found = [
        logged(
            results([(one, 0.5, fails[one], float(one in "abcde")) for one in sample]),
            "mine",
            listed=5,
        )
        for sample in combinations("abcdefgh", 4)
    ]
    assert np.mean([one.findings for one in found]) == pytest.approx(3, abs=0.05)
    assert np.mean([one.coverage for one in found]) == pytest.approx(1)


def test_the_interval_holds_what_the_list_would_have_found() -> None:
    """Risk-weighted draws of a pool, list of the riskiest fifth, against the truth."""
    rng = np.random.default_rng(8)
    risk = rng.beta(1, 6, 600)
    pi = np.clip(risk / risk.sum() * 120, 0.05, 0.9)
    pi *= 120 / pi.sum()
    pool = Pool.of(
        pl.DataFrame({"subject_id": [f"S{n:03}" for n in range(600)], "stratum": "x", "pi": pi})
    )
    fails = rng.random(600) < risk
    people = pl.DataFrame(
        {
            "subject_id": [f"S{n:03}" for n in range(600)],
            "positive": fails,
            "mine": (risk >= np.quantile(risk, 0.8)).astype(np.float64),
        }
    )
    true = int((fails & (people["mine"].to_numpy() > 0)).sum())
    held, supported = 0, 0
    for _ in range(60):
        taken = draw(pool, rng.bytes(32).hex()).filter("drawn").join(people, on="subject_id")
        made = logged(taken, "mine", listed=float(people["mine"].sum()))
        held += made.low <= true <= made.high
        supported += made.supported
    assert held >= 52
    assert supported >= 58


def test_what_two_lists_share_cancels() -> None:
    rows = [(f"s{n}", 0.25, n % 4 == 0, 1.0) for n in range(80)]
    both = results(rows).with_columns(
        pl.when(pl.int_range(pl.len()) < 40).then(1.0).otherwise(0.0).alias("theirs")
    )
    same = lead(both, ("mine", "mine"), listed=320)
    assert same.difference == 0
    assert same.low < 0 < same.high
    apart = lead(both, ("mine", "theirs"), listed=320)
    assert apart.low <= apart.difference <= apart.high


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(InspectionError, match="none of the 1 records"):
        logged(results([("a", 0.5, True, 0)]), "mine", listed=1)
    with pytest.raises(InspectionError, match="has the chance 0"):
        logged(results([("a", 0.0, True, 1)]), "mine", listed=1)
    with pytest.raises(InspectionError, match="every record needs 'positive'"):
        logged(
            results([("a", 0.5, True, 1)]).with_columns(positive=pl.lit(None, pl.Boolean)),
            "mine",
            listed=1,
        )


@given(
    st.lists(
        st.tuples(st.floats(0.01, 1), st.booleans(), st.floats(0, 1)), min_size=1, max_size=30
    ).filter(lambda rows: any(part > 0.01 for *_, part in rows))
)
def test_findings_lie_within_the_list(rows: list[tuple[float, bool, float]]) -> None:
    made = logged(
        results([(f"s{n}", pi, found, part) for n, (pi, found, part) in enumerate(rows)]),
        "mine",
        listed=10,
    )
    assert 0 <= made.low <= made.findings + 1e-6
    assert made.findings - 1e-6 <= made.high <= 10 + 1e-6
    assert made.effective <= made.results + 1e-6
