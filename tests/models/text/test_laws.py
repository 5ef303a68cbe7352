from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from models.text.laws import Laws, has_part, index_beside

DATA = Path(__file__).parents[4] / "shared/data/laws/laws_articles.parquet"
with_data = pytest.mark.skipif(not DATA.is_file(), reason="the laws are not on this machine")

FOOD = "中华人民共和国食品安全法"
TODAY = date(2026, 1, 1)
ROWS = [
    (FOOD, date(2009, 2, 28), "第三十四条", "禁止采购不合格的食品原料"),
    (FOOD, date(2021, 4, 29), "第三十四条", "禁止经营超过保质期的食品"),
    (FOOD, date(2021, 4, 29), "第一百二十四条", "经营超过保质期的食品的，处五万元罚款"),
    (FOOD, date(2021, 4, 29), "第一百二十四条之一", "附带的规定"),
    ("上海市食品安全条例", None, "第九条", "本市禁止经营超过保质期的食品"),
    ("沈阳市食品管理办法", None, "第三条", "本市食品不得超过保质期"),
    ("青岛市食品管理办法", None, "第三条", "本市食品不得超过保质期"),
    ("甲办法", date(2020, 1, 1), "第一条", "超标排放废气污染环境"),
    ("乙办法", date(2020, 1, 1), "第一条", "超标排放废气处以罚款"),
    ("丙法", date(2020, 4, 29), "第一条", "甲款。\n乙款：\n（一）甲项；\n（二）乙项。\n丙款。"),
    ("丙法", date(2020, 4, 29), "第九十条", "本法自2020年9月1日起施行。"),
    ("丙法", date(2016, 11, 7), "第一条", "旧的规定。"),
    ("丙法", date(2016, 11, 7), "第九十条", "本法自1996年4月1日起施行。"),
    ("最高人民法院关于食品的解释", date(2020, 1, 1), "第一条", "超过保质期的食品保质期"),
]
FRAME = pl.DataFrame(ROWS, schema=["law", "date", "article", "text"], orient="row")


@pytest.fixture(scope="module")
def laws() -> Laws:
    return Laws.of(FRAME)


def test_an_article_is_the_one_in_force_on_a_day(laws: Laws) -> None:
    old = laws.article(FOOD, "第三十四条", on=date(2015, 1, 1))
    new = laws.article(FOOD, "34", on=date(2021, 4, 29))
    assert old is not None
    assert new is not None
    assert (old.date, new.date) == (date(2009, 2, 28), date(2021, 4, 29))


def test_before_the_first_version_the_first_is_given(laws: Laws) -> None:
    found = laws.article(FOOD, "第三十四条", on=date(1999, 1, 1))
    assert found is not None
    assert found.date == date(2009, 2, 28)


@pytest.mark.parametrize("law", [FOOD, "没有的法"])
def test_no_such_article_is_none(laws: Laws, law: str) -> None:
    assert laws.article(law, "第九百条", on=TODAY) is None


def test_citations_are_linked(laws: Laws) -> None:
    text = (
        "《食品安全法》第一百二十四条第一款、第一百二十四条之一，食品安全法第九百条，"
        "《食品安全法》，《没有的条例》第三条"
    )
    assert [
        (one.status, one.article and one.article.article) for one in laws.link(text, on=TODAY)
    ] == [
        ("linked", "第一百二十四条"),
        ("linked", "第一百二十四条之一"),
        ("no_such_article", None),
        ("law_only", None),
        ("unknown_law", None),
    ]


def test_a_version_younger_than_the_day_is_marked(laws: Laws) -> None:
    (early,) = laws.link("《食品安全法》第一百二十四条", on=date(2010, 1, 1))
    (undated,) = laws.link("《沈阳市食品管理办法》第三条", on=date(2010, 1, 1))
    assert early.status == "later_version"
    assert early.article is not None
    assert undated.status == "linked"


@pytest.mark.parametrize(
    ("on", "text"),
    [
        (date(2020, 8, 31), "旧的规定。"),
        (date(2020, 9, 1), "甲款。"),
        (date(2016, 11, 7), "旧的规定。"),
    ],
)
def test_a_version_counts_from_the_day_that_it_names(laws: Laws, on: date, text: str) -> None:
    found = laws.article("丙法", "第一条", on=on)
    assert found is not None
    assert found.text.startswith(text)


@pytest.mark.parametrize(
    ("part", "status"),
    [
        ("", "linked"),
        ("第三款", "linked"),
        ("第四款", "no_such_part"),
        ("第二款第（二）项", "linked"),
        ("第二款第（三）项", "no_such_part"),
    ],
)
def test_an_article_without_the_cited_part_is_another(laws: Laws, part: str, status: str) -> None:
    (found,) = laws.link(f"《丙法》第一条{part}", on=TODAY)
    assert found.status == status
    assert found.article is not None


@given(st.integers(1, 12), st.integers(1, 12))
def test_a_part_is_there_up_to_the_last(there: int, asked: int) -> None:
    lines = "\n".join(f"第{number}款的话。" for number in range(there))
    assert has_part(lines, paragraph=asked, item=None) == (asked <= there)


@pytest.mark.parametrize("text", [None, "", "超标排放", "x" * 100_000])
def test_a_text_without_citation_links_to_nothing(laws: Laws, text: str | None) -> None:
    assert laws.link(text, on=TODAY) == ()


def _proposed(laws: Laws, text: str, *, region: str | None = None) -> list[tuple[str, str]]:
    found = laws.propose(text, top=9, region=region)
    return [(one.article.law, one.article.article) for one in found]


def test_the_nearest_articles_of_the_latest_version_are_proposed(laws: Laws) -> None:
    found = laws.propose("销售超过保质期的食品", top=2)
    assert all(one.article.date != date(2009, 2, 28) for one in found)
    assert found[0].score >= found[1].score > 0
    assert all("保质期" in one.article.text for one in found)


def test_the_laws_of_other_places_are_left_out(laws: Laws) -> None:
    text = "食品超过保质期"
    local = {law for law, _ in _proposed(laws, text) if "市" in law}
    assert local == {"上海市食品安全条例", "沈阳市食品管理办法", "青岛市食品管理办法"}
    assert {law for law, _ in _proposed(laws, text, region="310104") if "市" in law} == {
        "上海市食品安全条例"
    }
    assert {law for law, _ in _proposed(laws, text, region="210102") if "市" in law} == {
        "沈阳市食品管理办法"
    }
    assert all("市" not in law for law, _ in _proposed(laws, text, region="210200"))


def test_what_courts_go_by_is_not_proposed(laws: Laws) -> None:
    assert all("法院" not in law for law, _ in _proposed(laws, "超过保质期的食品"))


def test_of_two_as_near_the_article_on_liability_comes_first(laws: Laws) -> None:
    assert _proposed(laws, "超标排放废气")[:2] == [("乙办法", "第一条"), ("甲办法", "第一条")]


def test_a_given_region_goes_before_the_title() -> None:
    there = FRAME.with_columns(region=pl.lit("370000"))
    laws = Laws.of(there.filter(pl.col("law").str.starts_with("青岛")))
    assert len(_proposed(laws, "食品超过保质期", region="370202")) == 1
    assert _proposed(laws, "食品超过保质期", region="110105") == []


def test_proposals_can_be_narrowed(laws: Laws) -> None:
    found = laws.propose("超过保质期的食品", among=["甲办法"])
    assert found == ()


@pytest.mark.parametrize("text", ["", "🙂", "ignore previous", "<html>"])
def test_nothing_in_common_proposes_nothing(laws: Laws, text: str) -> None:
    assert laws.propose(text) == ()


def test_kept_and_read_they_are_the_same(laws: Laws, tmp_path: Path) -> None:
    path = tmp_path / "text/laws.parquet"
    laws.save(path)
    again = Laws.read(path)
    assert again.articles.equals(laws.articles)
    assert again.propose("超过保质期的食品") == laws.propose("超过保质期的食品")
    index_beside(path).unlink()
    assert Laws.read(path).propose("食品") == laws.propose("食品")


def test_an_index_of_other_laws_is_refused(laws: Laws, tmp_path: Path) -> None:
    path = tmp_path / "laws.parquet"
    laws.save(path)
    FRAME.head(2).write_parquet(path)
    with pytest.raises(ConfigError, match="other texts"):
        Laws.read(path)


def test_bad_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lacks article"):
        Laws.of(FRAME.drop("article"))
    with pytest.raises(ConfigError, match="another kind"):
        Laws.of(FRAME.with_columns(date=pl.lit("2020年")))
    with pytest.raises(ConfigError, match="xinjian text laws"):
        Laws.read(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="cannot be read"):
        Laws.read(tmp_path / "bad.parquet")


def test_dates_may_be_text_and_missing() -> None:
    laws = Laws.of(FRAME.with_columns(date=pl.lit("")).head(3))
    assert laws.articles["date"].null_count() == 2  # one article in two versions is one now


@pytest.mark.slow
@with_data
def test_the_real_laws_answer() -> None:
    laws = Laws.read(DATA)
    (link,) = laws.link("《税收征管法》第六十四条第一款", on=date(2021, 9, 9))
    assert link.status == "linked"
    assert link.article is not None
    assert "虚假计税依据" in link.article.text
    found = laws.propose("未取得排污许可证排放污染物", region="110105", top=3)
    assert ("排污许可管理条例", "第三十三条") in {
        (one.article.law, one.article.article) for one in found
    }
