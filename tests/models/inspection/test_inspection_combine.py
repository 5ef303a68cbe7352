from __future__ import annotations

from itertools import combinations, product

import numpy as np
import polars as pl
import pytest

from models.errors import InspectionError
from models.inspection.combine import RATES, Combination, Drawn, combine
from models.inspection.estimate import rates


def pool(ids: str, chance: float, stratum: str = "S") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "subject_id": list(ids),
            "stratum": [stratum] * len(ids),
            "inclusion_probability": [chance] * len(ids),
        }
    )


def results(positive: dict[str, bool | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {"subject_id": list(positive), "positive": list(positive.values())},
        schema={"subject_id": pl.String, "positive": pl.Boolean},
    )


FAILS = dict(zip("abcdefgh", [True, False, False, True, False, False, True, False], strict=True))


def test_one_draw_is_what_it_is_alone() -> None:
    whole = pool("abcdefgh", 0.5)
    sample = results({name: FAILS[name] for name in "abcd"})
    made = combine([Drawn("2027Q1", whole, sample)])
    assert dict(made.schema) == RATES
    alone = rates(sample.join(whole, on="subject_id"), whole).row(0, named=True)
    for row in made.iter_rows(named=True):
        for name in ("population", "observed", "rate", "standard_error", "low", "high"):
            assert row[name] == pytest.approx(alone[name]), name
    assert made["period"].to_list() == ["2027Q1", None]


PAIRS = list(product(combinations("abcdef", 3), combinations("abd", 2)))
"""3 of six at random, and 2 of the three that are targeted: every pair of samples."""


def over_all_pairs(method: Combination) -> tuple[list[float], list[float]]:
    whole, targeted = pool("abcdef", 3 / 6), pool("abd", 2 / 3, "T")
    found: list[float] = []
    said: list[float] = []
    for one, two in PAIRS:
        draws = [
            Drawn("Q", whole, results({name: FAILS[name] for name in one})),
            Drawn("Q", targeted, results({name: FAILS[name] for name in two})),
        ]
        row = combine(draws, method=method).row(0, named=True)
        found.append(row["rate"])
        said.append(row["standard_error"] ** 2)
    return found, said


def test_overlapping_draws_are_unbiased_over_all_samples() -> None:
    found, said = over_all_pairs("ht")
    assert np.mean(found) == pytest.approx(2 / 6)
    assert np.mean(said) == pytest.approx(float(np.var(found)))


def test_the_ratio_of_five_results_is_nearly_so_and_their_plain_share_is_not() -> None:
    found, said = over_all_pairs("hajek")
    pooled = [float(np.mean([FAILS[name] for name in (*one, *two)])) for one, two in PAIRS]
    assert abs(float(np.mean(found)) - 2 / 6) < 0.02
    assert float(np.mean(pooled)) - 2 / 6 > 0.02
    assert np.mean(said) == pytest.approx(float(np.var(found)), rel=0.35)


def test_periods_are_weighted_by_their_pools() -> None:
    first = Drawn("Q1", pool("abcdefgh", 0.5), results(dict.fromkeys("abcd", True)))
    second = Drawn("Q2", pool("ab", 1.0), results(dict.fromkeys("ab", False)))
    made = combine([second, first])
    assert made["period"].to_list() == ["Q1", "Q2", None]
    assert made["rate"].to_list() == pytest.approx([1.0, 0.0, 0.8])
    assert made["population"].to_list() == [8, 2, 10]
    assert made["draws"].to_list() == [1, 1, 2]


def test_errors_of_periods_add() -> None:
    sample = results({name: FAILS[name] for name in "abcd"})
    one = Drawn("Q1", pool("abcdefgh", 0.5), sample)
    two = Drawn("Q2", pool("abcdefgh", 0.5), sample, "two")
    made = combine([one, two])["standard_error"].to_list()
    assert made[2] == pytest.approx(made[0] / np.sqrt(2))


def test_those_without_results_are_explicit() -> None:
    draw = Drawn("Q", pool("abcdefgh", 0.5), results({"a": True, "b": False, "c": None, "d": None}))
    with pytest.raises(InspectionError, match="2 of 4 drawn have no result"):
        combine([draw])
    row = combine([draw], missing="reweight").row(0, named=True)
    assert (row["observed"], row["rate"]) == (2, 0.5)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InspectionError, match="no draw to combine"):
        combine([])
    with pytest.raises(InspectionError, match="subject z and 0 more were drawn but are not"):
        combine([Drawn("Q", pool("abcd", 0.5), results({"z": True, "a": True}))])
    with pytest.raises(InspectionError, match="a single result drawn by chance"):
        combine([Drawn("Q", pool("abcd", 0.25), results({"a": True}))])


def test_out_of_scope_needs_the_ratio() -> None:
    sample = results({"a": True, "b": False, "c": None, "d": False}).with_columns(
        in_scope=pl.Series([True, True, False, True])
    )
    draw = Drawn("Q", pool("abcdefgh", 0.5), sample)
    assert combine([draw])["rate"][0] == pytest.approx(1 / 3)
    with pytest.raises(InspectionError, match="out of scope"):
        combine([draw], method="ht")


def test_the_same_draw_twice_is_refused() -> None:
    whole, sample = pool("abcdefgh", 0.5), results({name: FAILS[name] for name in "abcd"})
    one = Drawn("2027Q1", whole, sample)
    with pytest.raises(InspectionError, match="a draw is given twice, for 2027Q1 and 2027Q1"):
        combine([one, Drawn("2027Q1", whole.reverse(), sample.reverse())])
    with pytest.raises(InspectionError, match="for 2027Q1 and 2027Q2"):
        combine([one, Drawn("2027Q2", whole, sample)])
    named = [Drawn("2027Q1", whole, sample, name) for name in ("x/1", "x/2", "x/1")]
    with pytest.raises(InspectionError, match="draw 'x/1' is given twice"):
        combine(named)
    assert combine(named[:2])["draws"].to_list() == [2, 2]
    assert combine([one, Drawn("2027Q1", pool("abcdefgh", 0.4), sample)])["draws"][0] == 2
