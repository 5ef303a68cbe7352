"""Texts numbered by their views are the texts themselves, however they lie in memory."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.features import views
from models.features.arrays import roomy
from models.features.views import numbers, runs, view

# short and long ones (a view holds twelve bytes), and such as begin alike
words = st.sampled_from(
    ["", "a", "01", "无证经营", "无证经营食品", "twelve bytes", "thirteen byte", "thirteen bytE"]
) | st.text(max_size=20)
columns = st.lists(st.none() | words, max_size=30)


@st.composite
def series(draw: st.DrawFn) -> pl.Series:
    """Return a column of some chunks, each of which may begin anywhere in its memory."""
    chunks = draw(st.lists(columns, min_size=1, max_size=4))
    parts: list[pl.Series] = []
    for chunk in chunks:
        skipped = draw(st.integers(0, len(chunk)))
        parts.append(pl.Series("text", chunk, pl.String).slice(skipped))
    return pl.concat(parts, rechunk=False)


def numbered(column: pl.Series, known: tuple[str, ...] = ()) -> tuple[list[int], list[str]]:
    into = np.full(column.len(), -7, np.int32)
    texts = numbers(column, into, known=known)
    return into.tolist(), texts


def expected(column: pl.Series, known: tuple[str, ...]) -> tuple[list[int], list[str]]:
    values = [text for text in column.to_list() if text is not None]
    place = {text: n for n, text in enumerate(dict.fromkeys((*known, *values)))}
    return [-1 if text is None else place[text] for text in column.to_list()], list(place)


@given(series(), st.lists(words, max_size=3, unique=True).map(tuple))
def test_every_text_has_the_number_of_its_first_sight(
    column: pl.Series, known: tuple[str, ...]
) -> None:
    assert numbered(column, known) == expected(column, known)


def assert_runs(column: pl.Series) -> None:
    begins, texts = runs(column)
    groups = [(text, len(list(rows))) for text, rows in groupby(column.to_list())]
    assert texts.to_list() == [text for text, _ in groups]
    lengths = np.diff(np.append(begins, column.len()))
    assert lengths.tolist() == [length for _, length in groups]


@given(series())
def test_runs_are_those_of_the_texts(column: pl.Series) -> None:
    assert_runs(column)


def test_runs_that_are_all_short_find_room() -> None:
    assert_runs(pl.Series(["91210200MA0000001X", "91210200MA0000002X", None] * 50))


def test_one_text_at_many_places_is_one_run() -> None:
    whole = pl.concat([pl.Series(["a text too long for a view"] * 3)] * 3, rechunk=False)
    assert whole.n_chunks() == 3
    assert_runs(whole)
    assert numbered(whole) == ([0] * 9, ["a text too long for a view"])


@pytest.mark.parametrize("many", [views.MOST, views.MOST + 1])
def test_more_texts_than_there_is_room_for_get_the_same_numbers(many: int) -> None:
    column = pl.Series([f"text number {n}" for n in range(many)] + [None, "text number 5"])
    assert numbered(column, ("text number 5",)) == expected(column, ("text number 5",))


def test_texts_in_another_layout_are_left_to_polars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "_VIEWS", b"U")
    column = pl.Series(["b", None, "a", "a", "b"])
    with view(column) as found:
        assert found is None
    assert numbered(column, ("c",)) == expected(column, ("c",))
    assert_runs(column)


def test_a_view_tells_nulls_from_empty_texts() -> None:
    column = pl.Series(["", None, "", "x"]).slice(1)
    with view(column) as found:
        assert found is not None
        assert len(found) == 3
    assert numbered(column) == ([-1, 0, 1], ["", "x"])


@pytest.mark.parametrize("shape", [(0, 5), (3, 7), (2, 300_000)])
def test_roomy_arrays_have_their_shape_and_hold_what_is_written(shape: tuple[int, int]) -> None:
    array = roomy(shape, np.float64)
    array[:] = 1.5
    assert array.shape == shape
    assert array.flags.c_contiguous
    assert array.sum() == 1.5 * shape[0] * shape[1]


def test_large_roomy_arrays_begin_at_a_large_page() -> None:
    assert roomy((1 << 20,), np.int32).ctypes.data % (1 << 21) == 0
