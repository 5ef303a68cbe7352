from __future__ import annotations

import random
from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from models.supervision.portrait import EVENTS, Place, as_known, events, needed, page
from tests.models.features.firms import AS_OF, frame, penalty

DAYS = st.dates(date(2020, 1, 1), date(2020, 1, 6))
ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.uuids(), DAYS), max_size=40)


def made(rows: list[tuple[str, object, date]]) -> pl.DataFrame:
    return pl.DataFrame([(t, str(one), on) for t, one, on in rows], schema=EVENTS, orient="row")


@given(ROWS, st.integers(1, 7))
def test_pages_hold_every_event_once_in_order(
    rows: list[tuple[str, object, date]], limit: int
) -> None:
    whole, found, after = made(rows), list[tuple[str, str, date]](), None
    while True:
        one = page([whole], limit=limit, after=after)
        assert one.events.height <= limit
        found += one.events.rows()
        if one.next is None:
            break
        after = Place.of(one.next.token())
    assert found == sorted(whole.rows(), key=lambda row: (-row[2].toordinal(), row[0], row[1]))


@given(st.text(max_size=60))
def test_what_is_no_cursor_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="cursor"):
        Place.of(text)


def test_a_large_frame_is_cut_before_it_is_sorted_and_ends_the_same() -> None:
    rng = random.Random(1)
    days = [AS_OF - timedelta(days=rng.randrange(50)) for _ in range(3000)]
    whole = made([("a", f"{n:05}", on) for n, on in enumerate(days)])
    expected = whole.sort("happened_on", "record_id", descending=[True, False]).head(7)
    assert page([whole], limit=7).events.equals(expected)


def test_a_table_is_read_no_wider_than_the_rule_needs() -> None:
    columns = frame("penalty", [penalty()]).columns
    wanted = needed(columns)
    assert {"record_id", "happened_on", "known_at", "void_from", "severity"} <= set(wanted)
    assert not {"violation_fact", "penalty_content", "subject_name"} & set(wanted)
    rows = frame("penalty", [penalty(0), penalty(0, AS_OF + timedelta(days=1))]).select(wanted)
    assert events(rows, "penalty", AS_OF).rows() == [("penalty", rows["record_id"][0],
                                                      date(2024, 6, 1))]  # fmt: skip


@pytest.mark.parametrize(("day", "told"), [(1, True), (0, True), (-1, False)])
def test_an_end_and_its_outcome_are_known_from_its_day_on(day: int, told: bool) -> None:
    ended = AS_OF - timedelta(days=day)
    row = {"kind": "debtor", "happened_on": date(2023, 1, 1), "removed_on": ended}
    rows = frame("listing", [{**row, "remove_reason": "履行"}])
    shown = as_known(rows, AS_OF).row(0, named=True)
    assert (shown["removed_on"], shown["remove_reason"]) == (
        (ended, "履行") if told else (None,) * 2
    )
