from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.records.lake import Lake
from serving.jobs.compact import merge
from serving.ledger.overlay import fold, overlay

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = {
    "record_id": pl.String(),
    "subject_id": pl.String(),
    "happened_on": pl.Date(),
    "known_at": pl.Datetime("us", "UTC"),
    "known_assumed": pl.Boolean(),
    "void_from": pl.Date(),
    "amount": pl.Float64(),
    "kinds": pl.List(pl.String()),
    "source_ref": pl.String(),
}


def row(number: int, day: int, **stated: object) -> dict[str, Any]:
    return {
        "record_id": f"{number:032x}",
        "subject_id": "s",
        "happened_on": date(2025, 1, 1),
        "known_at": T0 + timedelta(days=day),
        "known_assumed": False,
        "source_ref": f"r{day}",
        **stated,
    }


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def one(found: pl.DataFrame) -> dict[str, Any]:
    (told,) = found.to_dicts()
    return told


def test_a_null_says_nothing() -> None:
    stored = frame(row(1, 0, amount=5.0, kinds=["03"]))
    told = one(overlay(stored, frame(row(1, 1, kinds=["04"]))))
    assert (told["amount"], told["kinds"]) == (5.0, ["04"])


def test_what_was_corrected_is_known_since_then() -> None:
    told = one(overlay(frame(row(1, 0, amount=5.0)), frame(row(1, 9, amount=6.0))))
    assert (told["known_at"], told["source_ref"]) == (T0 + timedelta(days=9), "r9")


def test_what_only_met_its_fate_is_known_since_its_first_day() -> None:
    fresh = frame(row(1, 9, amount=5.0, void_from=date(2026, 1, 5)))
    told = one(overlay(frame(row(1, 0, amount=5.0)), fresh))
    assert (told["known_at"], told["void_from"]) == (T0, date(2026, 1, 5))


def test_the_same_again_changes_nothing() -> None:
    stored = frame(row(1, 0, amount=5.0))
    assert_frame_equal(overlay(stored, frame(row(1, 9, amount=5.0))), stored)


def test_of_several_rows_of_a_record_the_last_counts() -> None:
    folded = fold(
        frame(
            row(1, 1, amount=1.0),
            row(2, 1, amount=7.0),
            row(1, 2, kinds=["a"]),
            row(1, 3, amount=3.0),
        )
    )
    assert folded.height == 2
    told = one(folded.filter(pl.col("amount") == 3.0))
    assert (told["kinds"], told["known_at"]) == (["a"], T0 + timedelta(days=3))


def test_columns_of_one_side_alone_are_kept() -> None:
    stored = frame(row(1, 0)).drop("amount").with_columns(extra=pl.lit("kept"))
    told = one(overlay(stored, frame(row(1, 1, amount=2.0))))
    assert (told["extra"], told["amount"]) == ("kept", 2.0)


@st.composite
def many(draw: st.DrawFn) -> list[dict[str, Any]]:
    stated: dict[str, st.SearchStrategy[object]] = {
        "amount": st.sampled_from([1.0, 2.0]),
        "void_from": st.sampled_from([date(2026, 3, 1), date(2026, 3, 2)]),
        "kinds": st.just(["a"]),
    }
    told = st.fixed_dictionaries({}, optional=stated)
    rows = st.tuples(st.integers(1, 12), st.integers(0, 9), told)
    return [row(number, day, **more) for number, day, more in draw(st.lists(rows, max_size=40))]


@settings(max_examples=4, phases=[Phase.generate])
@given(before=many(), after=many())
def test_a_record_reads_the_same_before_and_after_it_is_in_the_lake(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    with TemporaryDirectory() as folder:
        lake = Lake.open(Path(folder), buckets=1)
        stored = fold(frame(*before))
        if before:
            merge(lake, "penalty", stored)
        fresh = fold(frame(*after))
        said = overlay(stored, fresh)
        if after:
            merge(lake, "penalty", fresh)
        if not (before or after):
            return
        found = lake.scan("penalty").collect()
        assert_frame_equal(said.select(*SCHEMA), found.select(*SCHEMA), check_row_order=False)
