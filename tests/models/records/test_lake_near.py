"""Small files that are kept in memory say what the lake says, at every version."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.records.lake import Lake
from models.records.lake.near import Near


def rows(numbers: range, **more: object) -> pl.DataFrame:
    made = pl.DataFrame({"n": list(numbers)}).select(
        record_id=pl.format("{}", "n").str.zfill(32),
        subject_id=pl.format("91{}", pl.col("n") % 7),
        happened_on=pl.lit(dt.date(2024, 1, 1)).dt.offset_by(
            pl.format("{}d", pl.col("n") * 13 % 99)
        ),
        known_at=pl.lit(dt.datetime(2024, 3, 1, tzinfo=dt.UTC)),
    )
    return made.with_columns(**{name: pl.lit(value) for name, value in more.items()})


def told(lake: Lake, subject: str, version: int | None = None) -> pl.DataFrame:
    whole = lake.scan("penalty", version=version).filter(pl.col("subject_id") == subject)
    return whole.sort("subject_id", "happened_on", "record_id").collect()


def test_a_subject_is_the_same_by_memory_and_by_scan_at_every_version(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", buckets=2)
    lake.merge("penalty", rows(range(40)))
    lake.merge("penalty", rows(range(30, 60), amount=3.5))
    lake.compact("penalty")
    for _ in range(2):
        for version in (None, 0, 1):
            for subject in ("910", "913", "916", "91x"):
                found = lake.subject("penalty", subject, version=version)
                assert_frame_equal(found, told(lake, subject, version))
    columns = ["record_id", "happened_on"]
    some = lake.subject("penalty", "913", columns=columns)
    assert_frame_equal(some, told(lake, "913").select(columns))
    with pytest.raises(Exception, match="no column"):
        lake.subject("penalty", "913", columns=["nothing"])


@pytest.mark.parametrize(("small", "kept"), [(0, False), (2**20, True)])
def test_only_small_files_are_kept(tmp_path: Path, small: int, *, kept: bool) -> None:
    lake = Lake.open(tmp_path / "lake", buckets=1)
    lake.merge("penalty", rows(range(40)))
    snapshot = lake._shelf.snapshot("penalty", None)  # pyright: ignore[reportPrivateUsage]
    (file,) = snapshot.all_files
    found = Near(small=small).rows(snapshot, file, "913")
    assert (found is not None) == kept


def test_what_is_kept_has_its_bounds(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", buckets=4)
    lake.merge("penalty", rows(range(40)))
    snapshot = lake._shelf.snapshot("penalty", None)  # pyright: ignore[reportPrivateUsage]
    near = Near(room=1)
    for _ in range(2):
        for file in snapshot.all_files:
            subject = str(file.low)
            found = near.rows(snapshot, file, subject)
            assert found is not None
            assert_frame_equal(found, told(lake, subject))
    assert near.taken == 0
