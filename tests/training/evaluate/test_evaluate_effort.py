"""Findings at the same effort: heads of the real order and of a model's, cell by cell."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import FitError
from tests.training.evaluate.foretold import START
from training.evaluate.effort import WINDOW, Effort, at_effort
from training.evaluate.replay import replays


def visited(rows: list[tuple[int, float, bool]], district: str = "x") -> pl.DataFrame:
    """Return visits of (day, score, finding), each of a subject of its own."""
    days = [START + timedelta(days=day) for day, _, _ in rows]
    return pl.DataFrame(
        {
            "fold": pl.Series([0] * len(rows), dtype=pl.Int32),
            "subject_id": [f"{district}{n:03}" for n in range(len(rows))],
            "as_of": days,
            "group": [f"{district}{n:03}" for n in range(len(rows))],
            "observed": [True] * len(rows),
            "positive": [found for _, _, found in rows],
            "observed_on": days,
            "district": [district] * len(rows),
            "p_m": [score for _, score, _ in rows],
        }
    )


def effort(frame: pl.DataFrame, share: float = 0.5, cluster: str = WINDOW) -> Effort:
    return at_effort(frame, "m", window=30, share=share, cluster=cluster, resamples=0)


FOUR = [(0, 0.1, False), (5, 0.2, False), (10, 0.3, False), (15, 0.9, True)]


def test_the_head_of_a_good_order_holds_what_the_real_one_found_last() -> None:
    made = effort(visited(FOUR))
    assert (made.visits, made.findings, made.cells) == (4, 1, 1)
    assert (made.real.value, made.ordered.value) == (0, 1)
    assert (made.earlier.value, made.earlier_days.value, made.gain.value) == (1, 15, 15)
    assert (made.later.value, made.later_days.value) == (0, None)


def test_what_a_bad_order_finds_later_is_told() -> None:
    made = effort(visited([(0, 0.1, True), (4, 0.5, False)]))
    assert (made.real.value, made.ordered.value, made.more.value) == (1, 0, -1)
    assert (made.later.value, made.later_days.value, made.gain.value) == (1, 4, -4)


def test_an_effort_that_ends_among_equals_counts_in_part() -> None:
    made = effort(visited([(0, 0.5, True), (0, 0.5, False), (0, 0.5, False)]), share=0.5)
    assert made.real.value == pytest.approx(0.5)
    assert made.ordered.value == pytest.approx(0.5)


def test_all_visits_find_all() -> None:
    made = effort(visited(FOUR), share=1.0)
    assert (made.real.value, made.ordered.value, made.more.value) == (1, 1, 0)


def test_visits_stay_in_their_district() -> None:
    frame = pl.concat([visited(FOUR), visited([(0, 0.95, False), (3, 0.99, False)], "y")])
    whole = effort(frame, share=1 / 6)
    assert whole.ordered.value == 0
    own = at_effort(frame, "m", window=30, share=0.25, within=["district"], resamples=0)
    assert (own.cells, own.ordered.value) == (2, 1)


def test_clusters_are_resampled_whole() -> None:
    """Two months, of which one has all that the model wins: it is drawn twice, once or never."""
    frame = visited([*FOUR, (40, 0.9, True), (45, 0.1, False)])
    made = at_effort(frame, "m", window=30, share=0.5, resamples=400)
    assert made.clusters == 2
    assert made.real.value == 0.5
    assert (made.real.low, made.real.high) == (0, 1)


def test_what_cannot_be_compared_is_refused() -> None:
    frame = visited(FOUR)
    with pytest.raises(FitError, match="an effort of 0 is not in"):
        effort(frame, share=0)
    with pytest.raises(FitError, match="visits move between values of 'district'"):
        effort(frame, cluster="district")
    with pytest.raises(FitError, match="nothing was found"):
        effort(visited([(0, 0.1, False), (1, 0.2, False)]))


@given(
    st.lists(
        st.tuples(st.integers(0, 70), st.sampled_from([0.1, 0.4, 0.8]), st.booleans()),
        min_size=6,
        max_size=40,
    ).filter(lambda rows: any(found for *_, found in rows))
)
def test_days_are_those_of_the_replay(rows: list[tuple[int, float, bool]]) -> None:
    frame = visited(rows)
    (one,) = replays(frame, ("m",), seed=1, resamples=0, windows=(30,)) or (None,)
    if one is None:
        return
    made = effort(frame)
    assert made.findings == one.findings
    for name in ("gain", "earlier", "earlier_days", "later", "later_days"):
        mine, theirs = getattr(made, name).value, getattr(one, name).value
        assert mine == pytest.approx(theirs), name


def test_a_constant_score_finds_the_share_of_the_effort() -> None:
    rng = np.random.default_rng(3)
    rows = [(int(rng.integers(0, 300)), 0.5, bool(rng.random() < 0.2)) for _ in range(500)]
    made = at_effort(visited(rows), "m", window=30, share=0.25, cluster=WINDOW, resamples=50)
    assert made.ordered.value == pytest.approx(0.25)
    assert made.ordered.low is not None
