"""What names tell of a business."""

from __future__ import annotations

import polars as pl
import pytest

from models.features.kinds import OTHER, kind_expr, kind_of, kinds, says_expr

NAMES = {
    "沈阳阳光上网服务有限公司": "网吧",
    "沈阳阳光歌舞厅": "歌厅",
    "沈阳阳光ktv有限公司": "歌厅",
    "沈阳阳光娱乐有限公司": "娱乐",
    "沈阳阳光文化传媒有限公司(阳光图书专营店)": "书店",
    "沈阳阳光文化传媒有限公司": "文化",
    "沈阳阳光文化科技有限公司": "文化",
    "沈阳阳光彩印厂": "印刷",
    "沈阳阳光餐饮管理有限公司": "餐饮",
    "沈阳阳光": OTHER,
    "": OTHER,
}


@pytest.mark.parametrize(("name", "kind"), NAMES.items())
def test_a_name_is_of_the_first_kind_it_has_a_word_of(name: str, kind: str) -> None:
    assert kind_of(name.upper()) == kind


def test_a_column_of_names_is_told_as_each_name() -> None:
    names = pl.DataFrame({"name": [*NAMES, None]})
    assert names.select(kind_expr("name")).to_series().to_list() == [*NAMES.values(), None]


def test_width_and_case_of_letters_do_not_matter() -> None:
    names = pl.DataFrame({"name": ["阳光ＫＴＶ", "阳光ktv", "阳光Ktv"]})
    assert names.select(kind_expr("name")).to_series().unique().to_list() == ["歌厅"]


def test_no_word_is_of_two_kinds_and_none_is_hidden_by_an_earlier_one() -> None:
    earlier: list[str] = []
    for kind, words in kinds().kinds.items():
        for word in words:
            assert kind_of(word) == kind, f"{word} is found as {kind_of(word)}, not {kind}"
        earlier += words
    assert len(earlier) == len(set(earlier))


def test_platforms_and_branches_are_told_by_words() -> None:
    names = pl.DataFrame({"name": ["阳光书店(淘宝)", "阳光公司第一分公司", "阳光", None]})
    told = names.select(
        says_expr("name", kinds().platforms).alias("platform"),
        says_expr("name", kinds().branches).alias("branch"),
    )
    assert told["platform"].to_list() == [1.0, 0.0, 0.0, None]
    assert told["branch"].to_list() == [0.0, 1.0, 0.0, None]
