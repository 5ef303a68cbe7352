"""Inspections made again in the order of a score: the same visits, the same days, another order."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.evaluate.foretold import START, predictions
from training.evaluate.evaluation import Replay
from training.evaluate.replay import _Order, replays, visits


def visited(rows: list[tuple[int, float, bool]]) -> pl.DataFrame:
    """Return visits of (day, score, finding), each of a subject of its own."""
    days = [START + timedelta(days=day) for day, _, _ in rows]
    return pl.DataFrame(
        {
            "fold": pl.Series([0] * len(rows), dtype=pl.Int32),
            "subject_id": [f"s{n:03}" for n in range(len(rows))],
            "as_of": days,
            "group": [f"s{n:03}" for n in range(len(rows))],
            "observed": [True] * len(rows),
            "positive": [found for _, _, found in rows],
            "observed_on": days,
            "p_m": [score for _, score, _ in rows],
        }
    )


def replay(frame: pl.DataFrame, window: int = 30, resamples: int = 0) -> Replay:
    (one,) = replays(frame, ("m",), seed=1, resamples=resamples, windows=(window,))
    return one


def by_hand(rows: list[tuple[int, float, bool]], window: int) -> list[float]:
    """Return the days that each finding gains, the plain way."""
    first = min(day for day, _, _ in rows)
    gains: list[float] = []
    for place in sorted({(day - first) // window for day, _, _ in rows}):
        inside = [row for row in rows if (row[0] - first) // window == place]
        if len(inside) < 2:
            continue
        slots = sorted(day for day, _, _ in inside)
        ranked = sorted(inside, key=lambda row: -row[1])
        for score in sorted({row[1] for row in inside}):
            at = [n for n, row in enumerate(ranked) if row[1] == score]
            mean = np.mean([slots[n] for n in at])
            gains += [ranked[n][0] - float(mean) for n in at if ranked[n][2]]
    return gains


def test_a_finding_moves_to_the_first_day() -> None:
    found = replay(visited([(0, 0.1, False), (10, 0.2, False), (20, 0.9, True)]))
    assert found.gain.value == 20
    assert (found.earlier.value, found.earlier_days.value) == (1, 20)
    assert (found.later.value, found.later_days.value) == (0, None)
    assert (found.windows, found.visits, found.findings) == (1, 3, 1)


def test_what_one_gains_another_may_lose() -> None:
    found = replay(visited([(0, 0.1, True), (10, 0.2, False), (20, 0.9, True)]))
    assert found.gain.value == 0
    assert (found.earlier.value, found.later.value) == (0.5, 0.5)
    assert (found.earlier_days.value, found.later_days.value) == (20, 20)


def test_equal_scores_share_their_days() -> None:
    found = replay(visited([(0, 0.5, False), (10, 0.5, False), (20, 0.5, True)]))
    assert found.gain.value == 10


def test_the_real_order_gains_nothing() -> None:
    found = replay(visited([(day, 1 - day / 100, day % 3 == 0) for day in range(25)]))
    assert (found.gain.value, found.earlier.value, found.later.value) == (0, 0, 0)


def test_windows_keep_to_themselves() -> None:
    rows = [(0, 0.1, False), (29, 0.2, True), (30, 0.9, True), (59, 0.8, False)]
    assert replay(visited(rows), 30).gain.value == pytest.approx((29 + 0) / 2)
    assert replay(visited(rows), 60).gain.value == pytest.approx((-1 + 30) / 2)


ROWS = st.lists(
    st.tuples(
        st.integers(0, 90), st.sampled_from([0.1, 0.2, 0.3]) | st.floats(0, 1), st.booleans()
    ),
    min_size=2,
    max_size=30,
)


@given(ROWS, st.sampled_from([7, 30, 90]))
def test_it_is_what_the_plain_way_gives(rows: list[tuple[int, float, bool]], window: int) -> None:
    gains = by_hand(rows, window)
    found = replays(visited(rows), ("m",), seed=1, resamples=0, windows=(window,))
    if not gains:
        assert found == ()
        return
    assert found[0].gain.value == pytest.approx(np.mean(gains))
    assert found[0].earlier.value == pytest.approx(np.mean([gain >= 0.5 for gain in gains]))
    assert found[0].later.value == pytest.approx(np.mean([gain <= -0.5 for gain in gains]))


@given(ROWS)
def test_no_day_is_won_or_lost_over_all_visits(rows: list[tuple[int, float, bool]]) -> None:
    all_found = replays(
        visited([(day, score, True) for day, score, _ in rows]),
        ("m",), seed=1, resamples=0, windows=(30,),
    )  # fmt: skip
    for one in all_found:
        assert one.gain.value == pytest.approx(0, abs=1e-9)


def test_a_subject_drawn_twice_is_visited_twice() -> None:
    rows = [(0, 0.1, False), (10, 0.9, True), (20, 0.5, True)]
    frame = visited(rows)
    seen = visits(frame, 30)
    twice = _Order.of(seen.frame, "p_m").moved(np.array([[2], [1], [2]], np.uint8))
    expanded = by_hand([rows[0], *rows, rows[2]], 30)
    assert twice[0, 0] == pytest.approx(np.mean(expanded))


def test_knowing_nothing_gains_less_than_knowing() -> None:
    frame = predictions(visits=True)
    found = {
        one.model: one
        for one in replays(frame, ("lightgbm", "rules"), seed=1, resamples=200, windows=(30,))
    }
    best, rules = found["lightgbm"], found["rules"]
    assert best.gain.low is not None
    assert best.gain.low > 0
    assert (best.gain.value or 0) > (rules.gain.value or 0)
    assert best.earlier.low is not None
    assert best.later.high is not None
    assert best.earlier.low > best.later.high


def test_dates_of_view_foretell_only_the_days_after_them() -> None:
    frame = predictions()
    month, quarter = visits(frame, 30), visits(frame, 90)
    for seen, window in ((month, 30), (quarter, 90)):
        after = (seen.frame["observed_on"] - seen.frame["as_of"]).dt.total_days()
        assert after.is_between(1, window).all()
    assert month.windows == 6
    views = quarter.frame["as_of"].unique().sort().to_list()
    assert views == [START, START + timedelta(days=90)]


def test_a_later_finding_is_not_that_of_the_first_visit() -> None:
    frame = visited([(5, 0.2, True), (9, 0.9, True)]).with_columns(
        as_of=pl.lit(START), event_on=pl.Series([date(2023, 3, 1), START + timedelta(days=9)])
    )
    assert visits(frame, 30).frame["positive"].to_list() == [False, True]


def test_without_inspections_nothing_is_replayed() -> None:
    frame = predictions(50)
    bare = frame.with_columns(observed_on=pl.lit(None, pl.Date()))
    assert replays(bare, ("rules",), seed=1, resamples=10) == ()
    assert replays(frame.drop("observed_on"), ("rules",), seed=1, resamples=10) == ()


def test_findings_that_stand_alone_cannot_move() -> None:
    assert replays(visited([(0, 0.1, True), (60, 0.2, True)]), ("m",), seed=1, resamples=5) != ()
    lonely = replays(
        visited([(0, 0.1, True), (60, 0.2, True)]), ("m",), seed=1, resamples=5, windows=(30,)
    )
    assert lonely == ()
