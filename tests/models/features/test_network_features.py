"""Spans of days stand for the counting rule: the same flags and ties as asking it at every date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ConfigError
from models.features import network
from models.features.interval import Counting
from models.features.network import FLAG_DAYS, FLAGS, Network, keyed, spread
from models.features.window import WindowSpec, build_windows
from models.records.countable import countable
from models.records.lake import Lake
from models.records.publicity import Purpose
from models.records.reading import LakeRecords, MemoryRecords
from models.time import AsOf
from tests.models.features.firms import FIRMS, Row, firm, frame, records, role

TODAY = date(2025, 3, 1)
days = st.integers(-1200, 60).map(lambda n: TODAY + timedelta(days=n))
views = st.lists(
    st.integers(-400, 400).map(lambda n: TODAY + timedelta(days=n)), min_size=1, max_size=6
)


def keys(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return keyed(pl.Series([FIRMS[n] for n in numbers], dtype=pl.String)).to_numpy()


@st.composite
def times(draw: st.DrawFn) -> dict[str, object]:
    happened = draw(days)
    known = happened + timedelta(days=draw(st.sampled_from([0, 1, 9, 200])))
    reason = draw(st.sampled_from([None, None, None, "repaired", "expired", "annulled"]))
    return {
        "subject_id": FIRMS[draw(st.integers(0, 3))],
        "happened_on": happened,
        "known_at": datetime(known.year, known.month, known.day, 15, tzinfo=UTC)
        + timedelta(minutes=draw(st.sampled_from([0, 59, 60, 61]))),
        "void_reason": reason,
        "void_from": None if reason is None else draw(days),
    }


@st.composite
def penalties(draw: st.DrawFn) -> Row:
    return {
        **draw(times()),
        "document_number": "罚",
        "severity": draw(st.sampled_from([None, "minor", "general", "serious"])),
        "published": draw(st.sampled_from([None, True, False])),
        "max_months": draw(st.sampled_from([None, None, 1, 6])),
        "restrict_until": draw(st.none() | days),
    }


@st.composite
def listings(draw: st.DrawFn) -> Row:
    return {
        **draw(times()),
        "kind": draw(st.sampled_from(["abnormal", "serious", "debtor", "honour", "other"])),
        "removed_on": draw(st.none() | days),
    }


@st.composite
def inspections(draw: st.DrawFn) -> Row:
    return {**draw(times()), "result": draw(st.sampled_from(["pass", "fail", "excluded"]))}


def oracle(table: str, rows: pl.DataFrame, on: date) -> set[str]:
    """Return who is flagged as of a date by the rule itself."""
    bad = {
        "penalty": pl.lit(value=True),
        "listing": pl.col("kind") != "honour",
        "inspection": pl.col("result") == "fail",
    }[table]
    happened = pl.col("happened_on")
    within = happened < on
    if table != "listing":
        within &= happened >= on - timedelta(days=FLAG_DAYS)
    rule = countable(AsOf(on), purpose=Purpose.RISK_CLASS, columns=rows.columns)
    return set(rows.filter(rule, within, bad)["subject_id"].to_list())


@settings(max_examples=60)
@given(
    st.lists(penalties(), max_size=8),
    st.lists(listings(), max_size=8),
    st.lists(inspections(), max_size=8),
    views,
)
def test_flags_are_those_of_the_rule(
    punished: Sequence[Row], listed: Sequence[Row], seen: Sequence[Row], dates: Sequence[date]
) -> None:
    data = records(penalty=punished, listing=listed, inspection=seen)
    known = Network.of([data])
    for on in dates:
        bits = known.flags_of(keys(0, 1, 2, 3), on)
        for place, table in enumerate(FLAGS):
            expected = oracle(table, data.frames[table], on)
            assert {FIRMS[n] for n in range(4) if bits[n] >> place & 1} == expected


@settings(max_examples=60)
@given(st.lists(st.tuples(times(), st.sampled_from("PQ"), st.none() | days), max_size=10), views)
def test_members_are_those_whose_role_is_known_and_held(
    roles: Sequence[tuple[dict[str, object], str, date | None]], dates: Sequence[date]
) -> None:
    rows = [
        {**base, "person_id": person, "role": "executive", "ended_on": end}
        for base, person, end in roles
    ]
    data = records(person_role=rows)
    known = Network.of([data])
    table = data.frames["person_role"]
    for on in dates:
        rule = countable(AsOf(on), purpose=Purpose.RISK_CLASS, columns=table.columns)
        held = ((pl.col("ended_on") > on) | pl.col("ended_on").is_null()) & (
            pl.col("happened_on") < on
        )
        expected = table.filter(rule, held).select("person_id", "subject_id").unique()
        found = known.members_of(known.nodes_of(keys(0, 1, 2, 3)), on)
        assert len(found["node"]) == expected.height
        subjects = keyed(expected["subject_id"]).to_list()
        nodes = keyed(expected["person_id"], "person:").to_list()
        assert set(zip(found["node"].tolist(), found["subject"].tolist(), strict=True)) == set(
            zip(nodes, subjects, strict=True)
        )


def test_flags_of_a_province_are_its_window_counts(province: Lake) -> None:
    everything = LakeRecords(province)
    known = Network.of(LakeRecords(province, bucket=bucket) for bucket in range(province.buckets))
    subjects = everything.frame("subject", ["subject_id"]).collect()["subject_id"].sort()
    dates = [date(2023, 7, 1), date(2025, 1, 1)]
    spec = WindowSpec(table="penalty", windows=(FLAG_DAYS,))
    counted = build_windows(
        everything.frame("penalty").collect(), spec, subjects=subjects, dates=dates
    )
    for on in dates:
        bits = known.flags_of(keyed(subjects).to_numpy(), on)
        expected = counted.filter(as_of=on)["penalty_count_365d"] > 0
        assert (bits & 1 == 1).tolist() == expected.to_list()
        assert expected.any()


def test_a_network_is_bounded_to_what_lies_around() -> None:
    rows = [role(n, f"P{n // 2}") for n in range(100)]
    known = Network.of([records(person_role=rows)])
    assert known.members.height == 100
    found = known.members_of(known.nodes_of(keys(4, 9)), TODAY)
    assert set(found["subject"].tolist()) == set(keys(4, 5, 8, 9).tolist())


def test_nobody_is_around_nobody() -> None:
    known = Network.of([])
    assert known.tables == frozenset()
    assert len(known.nodes_of(keys(1))) == 0
    assert known.flags_of(keys(1, 2), TODAY).tolist() == [0, 0]
    assert known.flags_of(keys(), TODAY).tolist() == []


def test_a_row_of_the_register_without_a_day_holds_since_it_was_known() -> None:
    known_at = datetime(2024, 5, 1, tzinfo=UTC)
    place = "沈阳市和平区南京街1号"
    rows = [firm(0, address=place, happened_on=None, known_at=known_at), firm(1, address=place)]
    found = Network.of([records(subject=rows)])
    sizes = [
        len(found.members_of(found.nodes_of(keys(0)), on)["node"])
        for on in (date(2024, 4, 30), date(2024, 5, 1))
    ]
    assert sizes == [1, 2]


def test_rows_without_times_or_ends_tie_nobody() -> None:
    rows = frame("person_role", [role(0, "P"), role(1, "P"), role(2, "P")])
    broken = rows.with_columns(
        pl.when(pl.col("subject_id") != FIRMS[1]).then("known_at").alias("known_at"),
        pl.when(pl.col("subject_id") != FIRMS[2]).then("happened_on").alias("happened_on"),
    )
    known = Network.of([MemoryRecords({"person_role": broken})])
    assert known.members["subject"].to_list() == keys(0).tolist()


def test_an_identity_of_a_person_and_of_a_place_are_never_one_node() -> None:
    place = "沈阳市和平区南京街1号"
    data = records(subject=[firm(0, address=place)], person_role=[role(1, place)])
    assert Network.of([data]).members["node"].n_unique() == 2


def test_ranges_are_laid_one_after_another() -> None:
    starts, lengths = np.array([5, 0, 9], np.int64), np.array([2, 0, 3], np.int64)
    assert spread(starts, lengths).tolist() == [5, 6, 9, 10, 11]
    assert spread(starts[:0], lengths[:0]).tolist() == []


def test_a_rule_book_that_spans_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Inexact:
        exact = False

    def inexact(*_: object, **__: object) -> Inexact:
        return Inexact()

    monkeypatch.setattr(Counting, "of", inexact)
    assert network.Counting is Counting
    with pytest.raises(ConfigError, match="leave the family 'relation' out"):
        Network.of([records()])
