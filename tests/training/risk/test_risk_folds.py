"""Slices of time of which none knows of the next."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import FitError
from tests.training.risk.world import START
from training.risk.folds import POSITIVES, Fold, final, rolling, within


def rows(
    dates: int = 40,
    *,
    each: int = 50,
    positives: int = 10,
    every: int = 30,
    delay: int = 60,
    late: int | None = None,
) -> pl.DataFrame:
    """``each`` rows a date of which ``positives`` are; ``late`` of the last fifth of the dates."""
    days: list[date] = []
    found: list[bool] = []
    for n in range(dates):
        many = positives if late is None or n < dates * 4 // 5 else late
        days += [START + timedelta(days=n * every)] * each
        found += [place < many for place in range(each)]
    as_of = pl.Series("as_of", days)
    return pl.DataFrame(
        {
            "as_of": as_of,
            "complete_on": as_of + timedelta(days=delay),
            "observed": pl.Series([True] * len(days)),
            "positive": found,
        }
    )


def holds(fold: Fold, delay: int) -> None:
    spans = list(fold.spans().values())
    for earlier, later in pairwise(spans):
        assert earlier.first <= earlier.last
        assert earlier.last + timedelta(days=delay) < later.first
    assert fold.learn.first == fold.train.first
    assert fold.learn.last + timedelta(days=delay) < fold.test.first
    assert fold.learn.last >= fold.calibrate.last


@given(
    dates=st.integers(20, 60),
    every=st.integers(7, 60),
    delay=st.integers(0, 200),
    positives=st.integers(1, 49),
)
def test_no_slice_knows_of_the_next(dates: int, every: int, delay: int, positives: int) -> None:
    told = rows(dates, every=every, delay=delay, positives=positives)
    try:
        fold = final(told)
    except FitError:
        return
    holds(fold, delay)
    for name, span in fold.spans().items():
        inside = told.filter(span.rows)
        assert inside["positive"].sum() >= POSITIVES[name]
        assert not inside["positive"].all()


def test_the_test_begins_where_it_is_asked_to() -> None:
    on = START + timedelta(days=30 * 30 - 7)
    fold = final(rows(), test_from=on)
    assert fold.test.first == START + timedelta(days=30 * 30)
    assert fold.test.last == START + timedelta(days=30 * 39)
    assert fold.number == 0
    holds(fold, 60)


def test_the_test_is_the_last_fifth() -> None:
    assert final(rows(50)).test.first == START + timedelta(days=30 * 40)


def test_unseen_rows_do_not_count() -> None:
    seen = rows()
    unseen = seen.with_columns(observed=pl.lit(value=False), positive=pl.lit(None, pl.Boolean))
    assert final(pl.concat([seen, unseen, unseen])) == final(seen)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (rows(late=0), r"the test \(test, .* single class: all 400 observed rows are negative"),
        (rows(late=50), "all 400 observed rows are positive; at least 10 positive"),
        (rows(late=1), r"has 8 positive rows; at least 10 are needed"),
        (rows(positives=0, late=5), r"for learning \(train, .* single class"),
        (rows(4, delay=300), "nothing is left|no outcome was known"),
        (rows(positives=1), r"has \d+ positive rows; at least 40"),
        (rows(delay=800), "nothing is left for"),
        (rows().with_columns(observed=pl.lit(value=False)), "no row is observed"),
    ],
)
def test_what_is_lacking_is_named(made: pl.DataFrame, message: str) -> None:
    with pytest.raises(FitError, match=message):
        final(made)


def test_a_test_after_the_data_is_said() -> None:
    with pytest.raises(FitError, match=r"the test has no observed row on or after 2099-01-01"):
        final(rows(), test_from=date(2099, 1, 1))


def test_rolling_splits_go_back_in_time() -> None:
    told = rows(100)
    kept = final(told)
    found = rolling(told, kept.test.first, count=3, days=180)
    assert [fold.number for fold in found] == [1, 2, 3]
    after = kept.test.first
    for fold in found:
        holds(fold, 60)
        assert fold.test.last < after
        assert (fold.test.last - fold.test.first).days < 180
        after = fold.test.first


def test_rolling_ends_where_the_data_gets_thin() -> None:
    told = rows(40)
    assert len(rolling(told, final(told).test.first, count=50, days=90)) < 12


def test_a_search_knows_neither_calibration_nor_test() -> None:
    told = rows(100)
    kept = final(told)
    for fold in within(told, kept, count=3):
        holds(fold, 60)
        assert fold.test.last <= kept.stop.last < kept.calibrate.first


def test_a_search_on_too_little_is_said() -> None:
    told = rows(24, positives=5, delay=20)
    with pytest.raises(FitError, match="--trials"):
        within(told, final(told), count=3)
