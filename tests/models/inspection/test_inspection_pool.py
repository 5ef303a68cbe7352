from __future__ import annotations

from hashlib import sha256

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.errors import InspectionError
from models.inspection.pool import Pool
from tests.models.inspection.pools import frame, pool

SMALL = pl.DataFrame(
    {
        "subject_id": ["A", "B", "A!", "沈阳", "C"],
        "stratum": ["甲", "甲", "甲", "甲", "乙"],
        "pi": [0.5, 0.25, 0.75, 0.5, 1.0],
    }
)
LINES = (
    "A!,甲,0.750000000000\nA,甲,0.500000000000\nB,甲,0.250000000000\n"
    "C,乙,1.000000000000\n沈阳,甲,0.500000000000\n"
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1).filter(
    lambda text: (
        text == text.strip() and not set(text) & set(",\u2028\u2029\ufeff") and text.isprintable()
    )
)


def test_lines_are_canonical() -> None:
    made = Pool.of(SMALL)
    assert made.lines().decode() == LINES
    assert made.commitment == sha256(LINES.encode()).hexdigest()


@given(st.sets(TEXTS, min_size=2, max_size=8), TEXTS)
def test_lines_read_back_and_are_sorted_by_byte(ids: set[str], stratum: str) -> None:
    equal = pl.DataFrame({"subject_id": sorted(ids)}).with_columns(
        pl.lit(stratum).alias("stratum"), pl.lit(1 / len(ids)).alias("pi")
    )
    made = Pool.of(equal)
    lines = made.lines().removesuffix(b"\n").split(b"\n")
    assert lines == sorted(lines)
    assert_frame_equal(Pool.read(made.lines()).frame, made.frame)


def test_the_order_of_the_rows_changes_nothing() -> None:
    rows = frame()
    assert Pool.of(rows.sample(fraction=1, shuffle=True)).lines() == Pool.of(rows).lines()


def test_pi_is_the_written_number_to_the_bit() -> None:
    made = pool()
    written = [float(line.rpartition(",")[2]) for line in made.lines().decode().splitlines()]
    assert made.frame["pi"].to_list() == written


def test_reading_a_file_gives_the_same_numbers() -> None:
    made = pool()
    assert Pool.read(made.lines()).frame.equals(made.frame)


def test_strata_say_how_each_is_drawn() -> None:
    assert pool().strata.rows() == [
        ("丙", 2, 2, 0, "census"),
        ("乙", 60, 0, 15, "pareto"),
        ("甲", 60, 0, 6, "equal"),
    ]


def test_mandatory_subjects_count_for_no_number() -> None:
    made = Pool.of(SMALL.with_columns(stratum=pl.lit("甲")))
    assert made.strata.rows() == [("甲", 5, 1, 2, "pareto")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.lit(0.0).alias("pi"), r"5 subjects have pi outside \(0, 1\]"),
        (pl.lit(1.5).alias("pi"), r"outside \(0, 1\].*1\.5"),
        (pl.lit(float("nan")).alias("pi"), "with nan"),
        (pl.lit(None, dtype=pl.Float64).alias("pi"), r"nulls \(\{'pi': 5\}\)"),
        (pl.lit(1e-14).alias("pi"), "below 1e-12"),
        (pl.lit("x").alias("pi"), "is of type String"),
        ((pl.col("pi") * 0.9).alias("pi"), r"sum to (0\.9|1\.8).*allocate"),
        (pl.lit("A").alias("subject_id"), r"1 subjects stand in the pool more than once \('A'"),
        (pl.lit(7).alias("subject_id"), "write them as text"),
        ((pl.col("subject_id") + ",").alias("subject_id"), "comma"),
        ((pl.col("subject_id") + "\n").alias("subject_id"), "line break"),
        ((pl.lit(" ") + pl.col("stratum")).alias("stratum"), "blank"),
        (pl.lit("").alias("stratum"), "must not be empty"),
        (pl.lit("a\x07b").alias("stratum"), "control character"),
        (pl.lit("a\ufeffb").alias("stratum"), "control character"),
    ],
)
def test_a_bad_pool_is_refused(change: pl.Expr, message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        Pool.of(SMALL.with_columns(change))


def test_a_subject_in_two_strata_is_refused() -> None:
    twice = pl.concat([SMALL, SMALL.with_columns(stratum=pl.lit("丁"))])
    with pytest.raises(InspectionError, match=r"'A' in \['丁', '甲'\]"):
        Pool.of(twice)


def test_an_empty_pool_and_missing_columns_are_refused() -> None:
    with pytest.raises(InspectionError, match="empty"):
        Pool.of(SMALL.head(0))
    with pytest.raises(InspectionError, match=r"missing: \['pi'\]"):
        Pool.of(SMALL.drop("pi"))


def test_a_stratum_that_is_drawn_whole_must_be_mandatory() -> None:
    nearly = pl.DataFrame({"subject_id": ["A", "B"], "stratum": "甲", "pi": 1 - 1e-12})
    with pytest.raises(InspectionError, match="write pi 1 for those who are drawn for certain"):
        Pool.of(nearly)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("B,甲,0.250000000000\n", "B,甲,0.25\n", "line 3"),
        ("B,甲", "B甲", "line 3"),
        ("A,甲,0.500000000000\nB,甲,0.250000000000", "B,甲,0.250000000000\nA,甲,0.500000000000",
         "canonical"),
        ("\n", "\r\n", "LF"),
        ("沈阳,甲,0.500000000000\n", "沈阳,甲,0.500000000000", "LF"),
        ("C,乙,1.000000000000\n", "C,乙,1.000000000000\n\n", "line 5"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_canonical_is_refused(before: str, after: str, message: str) -> None:
    changed = LINES.replace(before, after)
    assert changed != LINES
    with pytest.raises(InspectionError, match=message):
        Pool.read(changed.encode())


def test_a_file_in_another_encoding_is_refused() -> None:
    with pytest.raises(InspectionError, match="not UTF-8 at byte"):
        Pool.read(LINES.encode("gbk"))


@given(st.integers(0, len(LINES.encode()) - 1), st.integers(1, 255))
def test_no_byte_of_a_frozen_pool_can_change_unseen(place: int, by: int) -> None:
    content = bytearray(LINES.encode())
    content[place] = (content[place] + by) % 256
    try:
        changed = Pool.read(bytes(content)).commitment
    except InspectionError:
        return
    assert changed != Pool.of(SMALL).commitment


def test_a_long_pool_is_written_in_parts() -> None:
    many = pl.DataFrame({"subject_id": pl.int_range(200_000, eager=True).cast(pl.String)})
    made = Pool.of(many.with_columns(stratum=pl.lit("甲"), pi=pl.lit(0.01)))
    assert len(list(made.chunks())) > 1
    assert sha256(made.lines()).hexdigest() == made.commitment
    assert made.strata["n"].to_list() == [2000]
