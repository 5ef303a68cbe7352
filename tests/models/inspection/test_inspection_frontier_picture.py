from __future__ import annotations

from xml.etree import ElementTree as ET

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InspectionError
from models.inspection.frontier import POINTS, choose, frontier
from models.inspection.frontier_picture import TITLES, frontier_svg
from tests.models.inspection.catering import RATIOS, people

LINE = frontier(
    people(600), 60, random_share=0.1, ratios=RATIOS, precisions=(0.0, 0.01, 0.1, 1.0, 10.0)
)
SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(picture).iter(f"{SVG}text")]  # noqa: S314 - ours


def test_it_is_well_formed_and_says_what_the_axes_are() -> None:
    words = texts(frontier_svg(LINE))
    assert "预期发现数与违法率估计精度" in words
    assert "预期发现问题数（个）" in words
    assert any("半宽" in one for one in words)
    assert {TITLES["risk"], TITLES["grade"], TITLES["uniform"]} <= set(words)
    assert any(one.startswith(TITLES["greedy"]) for one in words)


def test_the_chosen_point_is_marked_with_its_figures() -> None:
    weight = choose(LINE, share=0.7)
    picture = frontier_svg(LINE, weight)
    row = LINE.row(by_predicate=pl.col("precision") == weight, named=True)
    told = next(one for one in texts(picture) if one.startswith("选定"))
    assert f"{row['findings']:.1f}" in told
    assert f"±{row['half_width'] * 100:.2f}" in told
    assert "选定" not in "".join(texts(frontier_svg(LINE)))
    assert "选定" in "".join(texts(frontier_svg(LINE, "grade")))


def test_more_findings_stand_higher_and_less_precision_to_the_right() -> None:
    drawn = ET.fromstring(frontier_svg(LINE)).find(f"{SVG}polyline")  # noqa: S314 - ours
    assert drawn is not None
    places = [tuple(map(float, one.split(","))) for one in drawn.attrib["points"].split()]
    assert len(places) == LINE.filter(mix="risk").height
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)


def test_the_same_points_give_the_same_picture() -> None:
    assert frontier_svg(LINE, 0.1) == frontier_svg(LINE.reverse(), 0.1)


def test_what_is_no_point_is_refused() -> None:
    with pytest.raises(InspectionError, match=r"the chosen point 0\.5 is none"):
        frontier_svg(LINE, 0.5)
    with pytest.raises(InspectionError, match="the chosen point 'greedy' is none"):
        frontier_svg(LINE, "greedy")
    with pytest.raises(InspectionError, match="no point of the mix 'risk'"):
        frontier_svg(LINE.filter(mix="uniform"))
    with pytest.raises(InspectionError, match="lack the columns"):
        frontier_svg(LINE.drop("high"))


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.floats(0, 1e7), st.floats(1e-9, 1), st.floats(0, 100)), min_size=1, max_size=5
    )
)
def test_every_point_lies_within_the_picture(rows: list[tuple[float, float, float]]) -> None:
    points = pl.DataFrame(
        [
            ("risk", weight, found, found * 0.5, found * 1.5, wide, 2.0)
            for found, wide, weight in rows
        ],
        schema=POINTS,
        orient="row",
    )
    page = ET.fromstring(frontier_svg(points))  # noqa: S314 - ours
    for one in page.iter(f"{SVG}circle"):
        assert 0 <= float(one.attrib["cx"]) <= 760
        assert 0 <= float(one.attrib["cy"]) <= 460
