"""The matrix is the frame: NaN for null, a place for a category, and nothing by accident."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BundleError
from models.risk.encode import Encoder
from tests.models.risk.small import AS_OF, NAMES, NUMBERS, TRADE, TRADES, frame, specs

ENCODER = Encoder(("n", "c"), {"c": ("甲", "乙")})


def test_missing_is_nan_and_a_category_its_place_in_the_list() -> None:
    rows = pl.DataFrame({"c": ["乙", None, "甲"], "n": [1.5, None, -0.0], "other": [1, 2, 3]})
    matrix = ENCODER.matrix(rows)
    assert np.array_equal(
        matrix, np.array([[1.5, 1], [math.nan, math.nan], [0, 0]]), equal_nan=True
    )
    assert matrix.flags.c_contiguous
    assert matrix.dtype == np.float64


def test_an_unknown_category_is_missing() -> None:
    assert math.isnan(ENCODER.matrix(pl.DataFrame({"n": [1.0], "c": ["丙"]}))[0, 1])
    assert np.isnan(ENCODER.matrix(pl.DataFrame({"n": [1.0] * 2, "c": ["丙"] * 2}))[:, 1]).all()


def test_nan_stays_missing_and_truth_is_a_number() -> None:
    encoder = Encoder(("a", "b", "none"))
    rows = pl.DataFrame({"a": [math.nan, 1.0], "b": [True, False], "none": [None, None]})
    for some in (rows, rows[:1]):
        matrix = encoder.matrix(some)
        assert math.isnan(matrix[0, 0])
        assert matrix[0, 1] == 1.0
        assert math.isnan(matrix[0, 2])


def test_columns_may_lie_one_after_the_other() -> None:
    rows = frame(50)
    encoder = Encoder.of(rows, specs())
    by_column = encoder.matrix(rows, order="fortran")
    assert by_column.flags.f_contiguous
    assert np.array_equal(by_column, encoder.matrix(rows), equal_nan=True)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("bad", [math.inf, -math.inf])
def test_infinity_is_refused_by_name(rows: int, bad: float) -> None:
    some = pl.DataFrame({"n": [0.0] * (rows - 1) + [bad], "c": ["甲"] * rows})
    with pytest.raises(BundleError, match=r"infinite values in n; .* null where"):
        ENCODER.matrix(some)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_missing_columns_are_named(rows: int) -> None:
    encoder = Encoder(tuple("abcdefgh"))
    with pytest.raises(BundleError, match=r"lack 7 .*b, c, d, e, f and 2 more"):
        encoder.matrix(pl.DataFrame({"a": [1.0] * rows}))


@pytest.mark.parametrize("rows", [1, 3])
def test_a_wrong_type_is_named(rows: int) -> None:
    with pytest.raises(BundleError, match=r"'n' holds String, but the model reads numbers"):
        ENCODER.matrix(pl.DataFrame({"n": ["1"] * rows, "c": ["甲"] * rows}))
    with pytest.raises(BundleError, match=r"'c' holds Int64, but the model reads texts"):
        ENCODER.matrix(pl.DataFrame({"n": [1] * rows, "c": [1] * rows}))
    with pytest.raises(BundleError, match=r"'n' holds Date"):
        ENCODER.matrix(pl.DataFrame({"n": [AS_OF] * rows, "c": ["甲"] * rows}))


def test_no_rows_are_no_rows() -> None:
    rows = frame(0)
    assert Encoder(NUMBERS).matrix(rows).shape == (0, len(NUMBERS))


def test_it_learns_the_categories_sorted() -> None:
    encoder = Encoder.of(frame(300), specs())
    assert encoder.features == NAMES
    assert encoder.categories == {TRADE: tuple(sorted(TRADES))}
    assert encoder.categorical == (len(NUMBERS),)
    assert Encoder.of(frame(0), specs()).categories == {TRADE: ()}
    with pytest.raises(BundleError, match=f"lack 1 .*{TRADE}"):
        Encoder.of(frame(5).drop(TRADE), specs())


def test_categories_of_an_enumeration_are_texts() -> None:
    rows = pl.DataFrame({"n": [1.0, 2.0], "c": ["甲", "乙"]})
    kind = pl.Enum(["乙", "丙", "甲"])
    assert np.array_equal(
        ENCODER.matrix(rows.with_columns(pl.col("c").cast(kind))), ENCODER.matrix(rows)
    )


def test_what_contradicts_itself_is_no_encoder() -> None:
    with pytest.raises(BundleError, match="named once; twice: a"):
        Encoder(("a", "a"))
    with pytest.raises(BundleError, match="needs features"):
        Encoder(())
    with pytest.raises(BundleError, match="features that there are not: b"):
        Encoder(("a",), {"b": ()})
    with pytest.raises(BundleError, match="'a' lists a category twice"):
        Encoder(("a",), {"a": ("x", "x")})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"features": 1, "categories": {}}', "null"])
def test_other_text_is_no_encoder(text: str) -> None:
    with pytest.raises(BundleError, match="no encoder"):
        Encoder.from_json(text)


names = st.text(min_size=1, max_size=8)


@given(st.dictionaries(names, st.none() | st.lists(st.text(max_size=5), unique=True), min_size=1))
def test_it_comes_back_from_json(features: dict[str, list[str] | None]) -> None:
    categories = {name: tuple(v) for name, v in features.items() if v is not None}
    encoder = Encoder(tuple(features), categories)
    assert Encoder.from_json(encoder.to_json()) == encoder


cells = st.none() | st.floats(allow_infinity=False, width=64)
rows_of = st.lists(
    st.tuples(
        cells, st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.booleans(), names
    ),
    min_size=1,
    max_size=6,
)


@given(rows_of)
def test_one_row_is_read_as_among_many(rows: list[tuple[object, ...]]) -> None:
    schema = {"f": pl.Float64, "i": pl.Int64, "b": pl.Boolean, "c": pl.String}
    table = pl.DataFrame(rows, schema, orient="row")
    encoder = Encoder(("b", "f", "c", "i"), {"c": tuple(table["c"].unique().sort()[:2])})
    many = encoder.matrix(pl.concat([table, table]))
    one = np.concatenate([encoder.matrix(table[i : i + 1]) for i in range(len(table))])
    assert many[: len(table)].tobytes() == one.tobytes()
