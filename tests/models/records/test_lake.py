"""What the lake promises a reader and a writer of one process."""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
import zlib
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import LakeError, LakeMissingError, RecordError
from models.records.lake import Lake, Merged, bucket_of, bucket_values
from models.records.lake.place import MIN_GROUP
from models.records.lake.write import MAX_FILES

EARLY = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
LATE = dt.datetime(2025, 3, 1, tzinfo=dt.UTC)


def penalties(
    count: int, *, start: int = 0, subjects: int = 50, known: dt.datetime = EARLY
) -> pl.DataFrame:
    """Make penalty-like rows ``start`` to ``start + count``, in no useful order."""
    number = pl.int_range(start, start + count, eager=True).alias("n").reverse()
    return number.to_frame().select(
        record_id=pl.format("{}", "n").str.zfill(32),
        subject_id=pl.format(
            "91210{}", (pl.col("n") * 7_919 % subjects).cast(pl.String).str.zfill(13)
        ),
        happened_on=pl.lit(dt.date(2024, 1, 1)).dt.offset_by(pl.format("{}d", pl.col("n") % 300)),
        known_at=pl.lit(known),
        known_assumed=pl.lit(value=False),
        authority=pl.lit("某市市场监督管理局"),
        source_ref=pl.format("penalty.csv#{}", "n"),
        findings=pl.when(pl.col("n") % 3 == 0).then(["V12"]).otherwise([]),
        amount=pl.col("n").cast(pl.Float64),
    )


def everything(lake: Lake, table: str = "penalty", version: int | None = None) -> pl.DataFrame:
    return lake.scan(table, version=version).collect().sort("record_id")


def files_of(lake: Lake, table: str = "penalty") -> list[Path]:
    return sorted(Path(lake.url, table).glob("bucket=*/*.parquet"))


def test_opening_creates_nothing(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    assert lake.tables() == []
    assert lake.versions() == {}
    assert not (tmp_path / "lake").exists()


def test_what_is_merged_is_read_back(tmp_path: Path) -> None:
    rows = penalties(500)
    lake = Lake.open(tmp_path / "湖 1", buckets=8)
    assert lake.merge("penalty", rows) == Merged(500, 0, 0, 0)
    assert_frame_equal(everything(lake), rows.sort("record_id"))
    assert lake.schema("penalty") == rows.schema
    assert lake.rows("penalty") == lake.verify("penalty") == 500
    assert lake.tables() == Lake.open(tmp_path / "湖 1").tables() == ["penalty"]
    assert lake.size("penalty") == sum(file.stat().st_size for file in files_of(lake))


def test_merging_twice_writes_nothing(tmp_path: Path) -> None:
    rows = penalties(300)
    lake = Lake.open(tmp_path, buckets=4)
    lake.merge("penalty", rows)
    before = files_of(lake)
    again = rows.sample(fraction=1.0, shuffle=True, seed=1).with_columns(
        known_at=pl.lit(LATE), known_assumed=pl.lit(value=True), source_ref=pl.lit("later.csv#1")
    )
    assert lake.merge("penalty", again) == Merged(0, 0, 300, 0)
    assert files_of(lake) == before
    assert lake.version("penalty") == 0


def test_a_corrected_record_is_known_since_its_correction(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    lake.merge("penalty", penalties(10))
    changed = penalties(3, known=LATE).with_columns(
        amount=pl.lit(9.5), known_assumed=pl.lit(value=True), source_ref=pl.lit("new.csv#7")
    )
    assert lake.merge("penalty", changed) == Merged(0, 3, 0, 1)
    now = everything(lake).head(3)
    assert now["amount"].to_list() == [9.5] * 3
    assert now["source_ref"].to_list() == ["new.csv#7"] * 3
    assert now["known_at"].to_list() == [LATE] * 3
    assert now["known_assumed"].to_list() == [True] * 3
    assert everything(lake).height == 10


def test_an_earlier_correction_does_not_move_the_record_back(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    lake.merge("penalty", penalties(3, known=LATE))
    lake.merge("penalty", penalties(3).with_columns(amount=pl.lit(9.5)))
    assert everything(lake)["known_at"].to_list() == [LATE] * 3


@pytest.mark.parametrize("fill", [False, True])
def test_what_becomes_of_a_record_leaves_it_known_since_its_first_day(
    tmp_path: Path, *, fill: bool
) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    lake.merge("penalty", penalties(3).with_columns(void_reason=pl.lit(None, pl.String)))
    voided = penalties(3, known=LATE).with_columns(void_reason=pl.lit("repaired"))
    assert lake.merge("penalty", voided, fill=fill).updated == 3
    assert everything(lake)["void_reason"].to_list() == ["repaired"] * 3
    assert everything(lake)["known_at"].to_list() == [EARLY] * 3


def test_a_null_that_replaces_a_value_is_an_update(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    lake.merge("penalty", penalties(4))
    nulled = penalties(4).with_columns(authority=pl.lit(None, pl.String))
    assert lake.merge("penalty", nulled).updated == 4
    assert everything(lake)["authority"].null_count() == 4
    assert lake.merge("penalty", nulled).unchanged == 4


def test_changed_list_items_are_an_update(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    lake.merge("penalty", penalties(3))
    found = penalties(3).with_columns(findings=pl.lit(["V12"], pl.List(pl.String)))
    assert lake.merge("penalty", found) == Merged(0, 2, 1, 1)


def test_fill_takes_only_what_was_null(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    poor = pl.DataFrame(
        {
            "record_id": ["a", "b"],
            "subject_id": ["a", "b"],
            "name": ["甲", None],
            "city": [None, "沈阳"],
        }
    )
    lake.merge("subject", poor)
    other = pl.DataFrame(
        {
            "record_id": ["a", "b"],
            "subject_id": ["a", "b"],
            "name": ["乙", "丙"],
            "city": [None, "大连"],
        },
        schema_overrides={"city": pl.String},
    )
    assert lake.merge("subject", other, fill=True) == Merged(0, 1, 1, 1)
    assert everything(lake, "subject")["name"].to_list() == ["甲", "丙"]
    assert everything(lake, "subject")["city"].to_list() == [None, "沈阳"]
    assert lake.merge("subject", other, fill=True).unchanged == 2


def test_a_corrected_subject_moves_the_record(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=16)
    lake.merge("penalty", penalties(40))
    moved = penalties(1).with_columns(subject_id=pl.lit("912100000000009999"))
    assert lake.merge("penalty", moved).updated == 1
    assert lake.rows("penalty") == 40
    assert lake.subject("penalty", "912100000000009999").height == 1
    assert everything(lake)["record_id"].n_unique() == 40


def test_columns_grow_and_old_rows_read_null(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    lake.merge("penalty", penalties(20))
    wide = penalties(20, start=10).with_columns(law=pl.lit("食品安全法"))
    assert lake.merge("penalty", wide) == Merged(10, 10, 0, 1)
    now = everything(lake)
    assert now.columns == [*penalties(1).columns, "law"]
    assert now["law"].to_list() == [None] * 10 + ["食品安全法"] * 20
    assert "law" not in everything(lake, version=0).columns
    assert lake.subject("penalty", now["subject_id"][0]).schema == now.schema


def test_a_column_that_is_not_stated_is_left_alone(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    lake.merge("penalty", penalties(5).with_columns(law=pl.lit("食品安全法")))
    assert lake.merge("penalty", penalties(5)) == Merged(0, 0, 5, 0)
    changed = penalties(5).with_columns(amount=pl.lit(1.5))
    assert lake.merge("penalty", changed).updated == 5
    assert everything(lake)["law"].to_list() == ["食品安全法"] * 5
    assert lake.merge("penalty", penalties(1, start=9)).inserted == 1
    assert everything(lake)["law"].to_list() == ["食品安全法"] * 5 + [None]


def test_a_new_column_of_nulls_only_changes_nothing(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    lake.merge("penalty", penalties(5))
    empty = penalties(5).with_columns(law=pl.lit(None, pl.String))
    assert lake.merge("penalty", empty) == Merged(0, 0, 5, 0)


def test_a_changed_type_is_an_error_that_names_both(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    lake.merge("penalty", penalties(5))
    with pytest.raises(LakeError, match=r"'amount'.*Float64.*String.*cast it to Float64"):
        lake.merge("penalty", penalties(5).with_columns(pl.col("amount").cast(pl.String)))
    assert lake.version("penalty") == 0


def test_an_untyped_null_column_takes_the_type_of_the_table(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    lake.merge("penalty", penalties(5))
    assert lake.merge("penalty", penalties(5).with_columns(amount=None)).updated == 5
    with pytest.raises(RecordError, match="'law' has no type"):
        lake.merge("penalty", penalties(5).with_columns(law=None))


def test_types_are_kept_or_brought_to_what_delta_knows(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    rows = penalties(2).with_columns(
        grade=pl.lit("A").cast(pl.Enum(["A", "B"])),
        word=pl.lit("甲").cast(pl.Categorical),
        small=pl.lit(3, pl.UInt8),
        share=pl.lit("1.25").str.to_decimal(scale=2),
        local=pl.lit(EARLY).dt.convert_time_zone("Asia/Shanghai").dt.cast_time_unit("ms"),
        sums=pl.lit([1, 2], pl.List(pl.Int64)),
    )
    lake.merge("penalty", rows)
    kept = everything(lake)
    assert kept["grade"].to_list() == ["A", "A"]
    assert kept["word"].to_list() == ["甲", "甲"]
    assert kept.schema["small"] == pl.Int16()
    assert kept.schema["local"] == pl.Datetime("us", "UTC")
    assert kept["local"].to_list() == [EARLY, EARLY]
    assert [str(value) for value in kept["share"]] == ["1.25", "1.25"]
    assert lake.merge("penalty", rows).unchanged == 2


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pl.lit(dt.datetime(2024, 1, 1)).alias("seen"), "'seen' has type Datetime.*UTC"),  # noqa: DTZ001
        (pl.struct(a=1).alias("nested"), "'nested' has type Struct"),
        (pl.lit(1, pl.UInt64).alias("big"), "'big' has type UInt64"),
        (pl.lit(1).alias("bucket"), "'bucket' is reserved"),
        (pl.lit(1).alias("record_id"), "'record_id' has type Int32; it must be text"),
        (pl.lit(None, pl.String).alias("record_id"), "3 of 3 records have no record_id"),
    ],
)
def test_rows_the_lake_cannot_keep(tmp_path: Path, column: pl.Expr, message: str) -> None:
    lake = Lake.open(tmp_path)
    with pytest.raises(RecordError, match=message):
        lake.merge("penalty", penalties(3).with_columns(column))
    assert lake.tables() == []


def test_a_repeated_key_is_named(tmp_path: Path) -> None:
    rows = pl.concat([penalties(5), penalties(1, start=3)])
    with pytest.raises(RecordError, match=f"record_id {'3'.zfill(32)} occurs more than once"):
        Lake.open(tmp_path).merge("penalty", rows)


def test_keys_are_required(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    with pytest.raises(RecordError, match="no column 'record_id'"):
        lake.merge("penalty", penalties(3).drop("record_id"))
    lake.merge("penalty", penalties(3))
    with pytest.raises(RecordError, match="no column 'subject_id'"):
        lake.merge("penalty", penalties(3).drop("subject_id"))


def test_a_table_without_subjects_is_kept_by_record(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    runs = pl.DataFrame({"record_id": ["r1", "r2"], "rows": [3, 4]})
    lake.merge("import_run", runs)
    assert_frame_equal(everything(lake, "import_run"), runs)
    with pytest.raises(LakeError, match="no subjects"):
        lake.subject("import_run", "r1")


def test_an_empty_frame_makes_an_empty_table(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    assert lake.merge("penalty", penalties(0)) == Merged(0, 0, 0, 0)
    assert lake.scan("penalty").collect().schema == penalties(0).schema
    assert lake.subject("penalty", "nobody").is_empty()
    assert lake.merge("penalty", penalties(0)).version == 0
    assert lake.merge("penalty", penalties(2)) == Merged(2, 0, 0, 1)


def test_a_subject_read_equals_the_filter_of_all(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    for start in range(0, 900, 300):
        lake.merge("penalty", penalties(300, start=start, subjects=23))
    whole = lake.scan("penalty").collect()
    for subject in [*whole["subject_id"].unique(), "nobody"]:
        expected = whole.filter(pl.col("subject_id") == subject).sort("happened_on", "record_id")
        assert_frame_equal(lake.subject("penalty", subject), expected)
    some = lake.subject("penalty", whole["subject_id"][0], columns=["amount", "record_id"])
    assert some.columns == ["amount", "record_id"]
    assert lake.subject("penalty", whole["subject_id"][0], columns=["amount"]).height == some.height


def test_a_stale_handle_sees_new_rows_unless_told_not_to_look(tmp_path: Path) -> None:
    reader, writer = Lake.open(tmp_path, buckets=4), Lake.open(tmp_path)
    writer.merge("penalty", penalties(1))
    subject = penalties(1)["subject_id"][0]
    assert reader.subject("penalty", subject).height == 1
    writer.merge("penalty", penalties(50, start=50, subjects=1))
    assert reader.subject("penalty", subject, fresh=False).height == 1
    assert reader.subject("penalty", subject).height == 51


def test_buckets_divide_the_table(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=5)
    lake.merge("penalty", penalties(400))
    parts = [lake.scan("penalty", bucket=number).collect() for number in range(5)]
    for number, part in enumerate(parts):
        assert {bucket_of(s, 5) for s in part["subject_id"].unique()} <= {number}
        assert "bucket" not in part.columns
    assert_frame_equal(pl.concat(parts).sort("record_id"), everything(lake))
    two = lake.scan("penalty", bucket=[1, 3], columns=["record_id"]).collect()
    assert two.height == parts[1].height + parts[3].height
    assert two.columns == ["record_id"]
    with pytest.raises(LakeMissingError, match="no bucket 5; the lake has 0 to 4"):
        lake.scan("penalty", bucket=5)


def test_the_bucket_is_a_published_checksum() -> None:
    # The check value of CRC-32/ISO-HDLC, so that anyone can recompute a bucket.
    assert bucket_of("123456789", 2**32) == 0xCBF43926
    texts = pl.Series("s", ["91210000MA0QCXYZ1X", "沈阳", "", None, "沈阳"])
    expected = [zlib.crc32((text or "").encode()) % 64 for text in texts]
    assert bucket_values(texts, 64).to_list() == expected
    assert bucket_values(texts, 64).dtype == pl.Int32()
    assert bucket_values(texts.clear(), 64).to_list() == []


def test_versions_can_be_read_again(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    states: list[pl.DataFrame] = []
    for step in range(4):
        rows = penalties(30, start=step * 20).with_columns(amount=pl.lit(float(step)))
        assert lake.merge("penalty", rows).version == step
        states.append(everything(lake))
    pinned = lake.versions()
    assert pinned == {"penalty": 3}
    lake.compact("penalty")
    for version, state in enumerate(states):
        assert_frame_equal(everything(Lake.open(tmp_path), version=version), state)
        subject = state["subject_id"][0]
        assert_frame_equal(
            lake.subject("penalty", subject, version=version).sort("record_id"),
            state.filter(pl.col("subject_id") == subject),
        )
    assert lake.rows("penalty", version=0) == 30


def test_the_history_says_what_happened(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=2)
    lake.merge("penalty", penalties(30))
    lake.merge("penalty", penalties(30, start=20).with_columns(amount=pl.lit(0.5)))
    lake.merge("penalty", penalties(30, start=50))
    lake.compact("penalty")
    history = lake.history("penalty")
    assert history["version"].to_list() == [3, 2, 1, 0]
    assert history["operation"].to_list() == ["compact", "merge", "merge", "merge"]
    assert history["inserted"].to_list() == [None, 30, 20, 30]
    assert history["updated"].to_list() == [None, 0, 10, 0]
    assert history.schema["at"].is_temporal()


def test_compaction_leaves_one_sorted_file_per_bucket(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=3)
    for start in range(0, 500, 100):
        lake.merge("penalty", penalties(100, start=start))
    before = everything(lake)
    done = lake.compact("penalty")
    assert (done.before, done.after, done.version) == (15, 3, 5)
    assert_frame_equal(everything(lake), before)
    for bucket in range(3):
        rows = lake.scan("penalty", bucket=bucket).collect()
        assert_frame_equal(rows, rows.sort("subject_id", "happened_on", "record_id"))
    assert lake.compact("penalty").version == 5


def test_vacuum_deletes_only_what_nothing_needs(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=2)
    for step in range(3):
        lake.merge("penalty", penalties(50).with_columns(amount=pl.lit(float(step))))
    orphan = files_of(lake)[0].with_name("part-0.parquet")
    orphan.write_bytes(b"of a killed import")
    aged = dt.datetime(2020, 1, 1, tzinfo=dt.UTC).timestamp()
    os.utime(orphan, (aged, aged))
    with pytest.raises(LakeError, match="at least 1:00:00"):
        lake.compact("penalty", keep=timedelta(minutes=5))
    assert lake.compact("penalty", keep=timedelta(hours=1)).vacuumed == 1
    assert not orphan.exists()
    assert everything(lake, version=0)["amount"].unique().to_list() == [0.0]


def test_a_bucket_keeps_few_files(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=1)
    for start in range(60):
        lake.merge("penalty", penalties(10, start=start * 10))
        assert len(lake._shelf.snapshot("penalty", None).all_files) <= MAX_FILES
    assert lake.rows("penalty") == everything(lake)["record_id"].n_unique() == 600


def test_small_merges_leave_large_files_alone(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=1)
    large: set[str] = set()
    for start in range(MAX_FILES // 2):
        lake.merge("penalty", penalties(2_000, start=start * 2_000))
        large |= {file.name for file in files_of(lake)}
    for start in range(40):
        lake.merge("penalty", penalties(1, start=100_000 + start))
        assert large <= {file.name for file in lake._shelf.snapshot("penalty", None).all_files}


@pytest.mark.parametrize("rows", [60_000, pytest.param(2_000_000, marks=pytest.mark.slow)])
def test_files_are_sorted_and_their_groups_small(tmp_path: Path, rows: int) -> None:
    lake = Lake.open(tmp_path, buckets=2)
    lake.merge("penalty", penalties(rows, subjects=rows // 20))
    for file in files_of(lake):
        stored = pl.read_parquet(file)
        assert "bucket" not in stored.columns
        assert_frame_equal(stored, stored.sort("subject_id", "happened_on", "record_id"))


def test_row_groups_are_small_and_compressed(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    lake = Lake.open(tmp_path, buckets=1)
    lake.merge("penalty", penalties(30_000))
    footer = parquet.ParquetFile(files_of(lake)[0]).metadata
    assert max(footer.row_group(n).num_rows for n in range(footer.num_row_groups)) <= MIN_GROUP
    assert footer.num_row_groups >= 3
    column = footer.row_group(0).column(1)
    assert column.compression == "ZSTD"
    assert column.statistics.has_min_max


def test_the_log_is_readable_by_any_delta_reader(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    rows = penalties(100)
    lake.merge("penalty", rows)
    lake.merge("penalty", rows.with_columns(amount=pl.lit(1.0)))
    foreign = pl.scan_delta(tmp_path / "penalty").collect()
    expected = everything(lake).with_columns(bucket_values(everything(lake)["subject_id"], 4))
    assert_frame_equal(foreign.sort("record_id"), expected, check_column_order=False)
    entry = (tmp_path / "penalty" / "_delta_log" / f"{0:020}.json").read_text("utf-8")
    note = json.loads(json.loads(entry.splitlines()[2])["metaData"]["description"])
    assert note == {"xinjian": {"format": 1, "buckets": 4, "kind": "penalty", "by": "subject_id"}}


def test_threads_share_a_handle(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=4)
    lake.merge("penalty", penalties(100))
    subjects = penalties(100)["subject_id"].unique().to_list()
    wrong: list[str] = []

    def read() -> None:
        for subject in subjects:
            rows = lake.subject("penalty", subject)
            if rows.is_empty() or rows["subject_id"].unique().to_list() != [subject]:
                wrong.append(subject)

    def write() -> None:
        for start in range(100, 300, 50):
            lake.merge("penalty", penalties(50, start=start))

    threads = [threading.Thread(target=work) for work in (read, write, read, write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert lake.rows("penalty") == 300
    assert lake.history("penalty")["inserted"].sum() == 300


def test_an_amendment_states_nothing_but_its_own_columns(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", buckets=4)
    lake.merge("penalty", penalties(20))
    corrected = penalties(20, known=LATE).with_columns(subject_id=pl.lit("91210000000000corr"))
    lake.merge("penalty", corrected)
    before = everything(lake)
    told = before.select("record_id", leaf=pl.format("F{}", pl.col("amount").cast(pl.Int64)))
    done = lake.amend("penalty", told)
    after = everything(lake)
    assert (done.inserted, done.updated, done.unchanged) == (0, 20, 0)
    assert_frame_equal(after.drop("leaf"), before)
    assert after["leaf"].to_list() == told["leaf"].to_list()
    assert lake.subject("penalty", "91210000000000corr").height == 20
    assert lake.amend("penalty", told).version == done.version


def test_an_amendment_passes_over_records_that_are_not_there(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", buckets=4)
    lake.merge("penalty", penalties(5))
    some = penalties(10).select("record_id", leaf=pl.lit("F04"))
    done = lake.amend("penalty", some)
    assert (done.inserted, done.updated) == (0, 5)
    assert everything(lake).height == 5
    strange = penalties(3, start=50).select("record_id", other=pl.lit("F04"))
    assert lake.amend("penalty", strange) == Merged(0, 0, 0, done.version)
    assert "other" not in everything(lake).columns


def test_there_must_be_a_table_to_amend(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    with pytest.raises(LakeMissingError, match="penalty"):
        lake.amend("penalty", penalties(1).select("record_id", leaf=pl.lit("F04")))
    assert lake.tables() == []
