"""A lake, a bucket of it and frames in memory read alike."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import LakeMissingError
from models.records.lake import Lake, bucket_of
from models.records.reading import LakeRecords, MemoryRecords, Records


def complaints(count: int, *, start: int = 0) -> pl.DataFrame:
    numbers = range(start, start + count)
    return pl.DataFrame(
        {
            "record_id": [f"{n:032x}" for n in numbers],
            "subject_id": [f"S{n % 7}" for n in numbers],
            "happened_on": [date(2025, 1, 1 + n % 28) for n in numbers],
            "known_at": [datetime(2025, 3, 1, tzinfo=UTC) for _ in numbers],
            "kind": ["report" if n % 2 else "complaint" for n in numbers],
        },
        schema_overrides={"known_at": pl.Datetime("us", "UTC")},
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.open(tmp_path / "lake", buckets=4)
    lake.merge("complaint", complaints(40))
    return lake


def both(lake: Lake) -> list[Records]:
    return [LakeRecords(lake), MemoryRecords({"complaint": complaints(40)})]


def test_a_lake_and_its_frames_are_the_same_records(lake: Lake) -> None:
    stored, held = both(lake)
    assert set(stored.tables()) == set(held.tables()) == {"complaint"}
    assert stored.columns("complaint") == held.columns("complaint")
    assert_frame_equal(
        stored.frame("complaint", ["kind", "record_id"]).collect(),
        held.frame("complaint", ["kind", "record_id"]).collect(),
        check_row_order=False,
    )
    assert_frame_equal(
        stored.frame("complaint").collect(),
        held.frame("complaint").collect(),
        check_row_order=False,
    )


def test_a_bucket_holds_its_subjects_alone(lake: Lake) -> None:
    parts = [LakeRecords(lake, bucket=b).frame("complaint").collect() for b in range(4)]
    for bucket, part in enumerate(parts):
        assert {bucket_of(s, 4) for s in part["subject_id"].unique()} <= {bucket}
    assert_frame_equal(pl.concat(parts), complaints(40), check_row_order=False)
    pair = LakeRecords(lake, bucket=[0, 3]).frame("complaint").collect()
    assert_frame_equal(pair, pl.concat([parts[0], parts[3]]), check_row_order=False)


def test_what_is_written_later_is_not_read(lake: Lake) -> None:
    records = LakeRecords(lake)
    lake.merge("complaint", complaints(10, start=40))
    lake.merge("sampling", complaints(5))
    assert records.frame("complaint").collect().height == 40
    assert set(records.tables()) == {"complaint"}
    with pytest.raises(LakeMissingError, match="no table 'sampling'"):
        records.frame("sampling")
    assert LakeRecords(lake).frame("complaint").collect().height == 50


def test_the_versions_of_an_earlier_run_are_read_again(lake: Lake) -> None:
    pinned = lake.versions()
    lake.merge("complaint", complaints(10, start=40))
    assert LakeRecords(lake, versions=pinned).frame("complaint").collect().height == 40


def test_what_is_not_there_is_named_with_what_is_near(lake: Lake) -> None:
    for records in both(lake):
        with pytest.raises(LakeMissingError, match="did you mean 'complaint'"):
            records.frame("complaints")
        with pytest.raises(LakeMissingError, match="did you mean 'complaint'"):
            records.columns("complaints")
        with pytest.raises(LakeMissingError, match=r"'knd'.*did you mean 'kind'"):
            records.frame("complaint", ["knd"])


def test_an_empty_lake_has_no_tables(tmp_path: Path) -> None:
    records = LakeRecords(Lake.open(tmp_path / "lake"))
    assert set(records.tables()) == set()
    with pytest.raises(LakeMissingError, match="no table 'complaint'"):
        records.frame("complaint")
