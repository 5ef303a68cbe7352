from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BundleError
from models.monitor.psi import CATEGORIES, Histogram, chance, psi

numbers = st.lists(
    st.one_of(st.none(), st.integers(-5, 5).map(float), st.floats(allow_nan=True)), min_size=1
)
names = st.lists(st.one_of(st.none(), st.sampled_from("甲乙丙丁戊")), min_size=1)
series = st.one_of(
    numbers.map(lambda v: pl.Series("x", v, dtype=pl.Float64)),
    names.map(lambda v: pl.Series("x", v, dtype=pl.String)),
)


@given(series)
def test_shares_of_all_rows_sum_to_one_and_a_histogram_agrees_with_itself(
    values: pl.Series,
) -> None:
    histogram = Histogram.of(values)
    assert sum(histogram.shares) + histogram.null_share == pytest.approx(1)
    assert psi(histogram, histogram.again(values)) == 0
    assert list(histogram.edges) == sorted(set(histogram.edges))


@given(series)
def test_json_keeps_a_histogram_to_the_bit(values: pl.Series) -> None:
    histogram = Histogram.of(values)
    text = json.dumps(histogram.to_json(), allow_nan=False)
    assert Histogram.from_json(json.loads(text)) == histogram


@given(names, names)
def test_the_index_is_symmetric_and_never_negative(
    one: list[str | None], other: list[str | None]
) -> None:
    reference = Histogram.of(pl.Series("x", one, dtype=pl.String))
    current = reference.again(pl.Series("x", other, dtype=pl.String))
    assert psi(reference, current) >= 0
    assert psi(reference, current) == pytest.approx(psi(current, reference))


def test_the_index_of_two_known_histograms() -> None:
    one = Histogram((0.0,), (0.5, 0.5), 0.0, 1e9)
    other = Histogram((0.0,), (0.8, 0.2), 0.0, 1e9)
    expected = (0.8 - 0.5) * np.log(0.8 / 0.5) + (0.2 - 0.5) * np.log(0.2 / 0.5)
    assert psi(one, other) == pytest.approx(expected, rel=1e-6)


def test_quantile_bins_of_a_continuous_sample_hold_a_tenth_each() -> None:
    histogram = Histogram.of(pl.Series(np.random.default_rng(1).normal(size=10_000)))
    assert histogram.shares == pytest.approx([0.1] * 10)


def test_a_bin_holds_its_upper_edge() -> None:
    histogram = Histogram((1.0, 2.0), (0.0, 0.0, 0.0), 0.0, 0.0)
    counted = histogram.again(pl.Series([1.0, 1.5, 2.0, 2.1, float("inf"), float("-inf")]))
    assert counted.shares == pytest.approx([2 / 6, 2 / 6, 2 / 6])


@pytest.mark.parametrize("moved", [0.0, 2.0])
def test_a_constant_that_moves_to_either_side_shows(moved: float) -> None:
    reference = Histogram.of(pl.Series([1.0] * 500))
    assert psi(reference, reference.again(pl.Series([moved] * 500))) > 0.25


def test_a_value_that_nearly_all_have_is_a_bin_whether_it_is_lowest_or_highest() -> None:
    for rare in (-1.0, 1.0):
        values = pl.Series([0.0] * 990 + [rare] * 10)
        assert sorted(Histogram.of(values).shares) == pytest.approx([0.01, 0.99])


def test_more_nulls_are_a_move_and_nan_is_null() -> None:
    reference = Histogram.of(pl.Series([1.0, 2.0, 3.0, 4.0] * 100))
    half = pl.Series([1.0, 2.0, 3.0, 4.0, None, float("nan"), None, None] * 100)
    assert reference.again(half).null_share == 0.5
    assert psi(reference, reference.again(half)) > 0.25


def test_a_column_that_was_always_null_and_is_filled_now_shows() -> None:
    reference = Histogram.of(pl.Series([None] * 100, dtype=pl.Float64))
    assert reference.null_share == 1
    assert psi(reference, reference.again(pl.Series([1.0] * 100))) > 0.25


def test_the_commonest_categories_have_bins_and_new_ones_share_the_last() -> None:
    many = [f"行业{place:02d}" for place in range(CATEGORIES + 5) for _ in range(place + 1)]
    histogram = Histogram.of(pl.Series(many))
    assert histogram.categories is not None
    assert len(histogram.categories) == CATEGORIES
    assert "行业00" not in histogram.categories
    assert histogram.again(pl.Series(["从未见过"])).shares[-1] == 1


def test_weights_count_as_repeated_rows_but_for_the_effective_number() -> None:
    values = pl.Series([1.0, 2.0, 3.0, 4.0])
    weight = pl.Series([1, 2, 3, 4])
    repeated = pl.Series([v for v, w in zip(values, weight, strict=True) for _ in range(w)])
    weighted, plain = Histogram.of(values, weight=weight), Histogram.of(repeated)
    assert weighted.edges == plain.edges
    assert weighted.shares == pytest.approx(plain.shares)
    assert weighted.rows == pytest.approx(100 / 30)


def test_what_chance_alone_does_is_exceeded_as_often_as_said() -> None:
    generator = np.random.default_rng(3)
    above = 0
    for _ in range(300):
        reference = Histogram.of(pl.Series(generator.normal(size=400)))
        current = reference.again(pl.Series(generator.normal(size=300)))
        above += psi(reference, current) > chance(reference, current, confidence=0.9)
    assert 0.06 < above / 300 < 0.15


def test_no_rows_give_no_index() -> None:
    reference = Histogram.of(pl.Series([1.0, 2.0]))
    assert np.isnan(psi(reference, reference.again(pl.Series([], dtype=pl.Float64))))


def test_other_bins_are_refused() -> None:
    with pytest.raises(BundleError, match=r"different bins.*again"):
        psi(Histogram.of(pl.Series([1.0, 2.0])), Histogram.of(pl.Series([1.0, 3.0])))


@pytest.mark.parametrize(
    "data",
    [
        {"edges": [1.0], "shares": [0.5, 0.5], "null_share": 0.0},
        {"edges": [1.0], "shares": [0.5], "null_share": 0.5, "rows": 4},
        {"edges": [2.0, 1.0], "shares": [0.5, 0.2, 0.3], "null_share": 0.0, "rows": 4},
        {"edges": [1.0], "shares": [0.5, 0.9], "null_share": 0.0, "rows": 4},
        {"edges": 3, "shares": [0.5, 0.9], "null_share": 0.0, "rows": 4},
    ],
)
def test_a_broken_histogram_is_refused_with_a_remedy(data: dict[str, object]) -> None:
    with pytest.raises(BundleError, match=r"drift\.json"):
        Histogram.from_json(data)
