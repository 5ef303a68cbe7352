from __future__ import annotations

import pytest

from models.text.titles import ELSEWHERE, around, place_of, plain_title, resolve, shortened

TITLES = frozenset(
    {
        "中华人民共和国税收征收管理法",
        "中华人民共和国食品安全法",
        "中华人民共和国农产品质量安全法",
        "中华人民共和国产品质量法",
        "排污许可管理条例",
        "北京市旅游管理条例",
        "中华人民共和国消费者权益保护法",
    }
)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("中华人民共和国食品安全法", "中华人民共和国食品安全法"),
        ("食品安全法", "中华人民共和国食品安全法"),
        ("中华人民共和国排污许可管理条例", "排污许可管理条例"),
        ("税收征管法", "中华人民共和国税收征收管理法"),
        ("中华人民共和国征收管理法", "中华人民共和国税收征收管理法"),
        ("征管法", "中华人民共和国税收征收管理法"),
        ("消法", "中华人民共和国消费者权益保护法"),
        ("食品 安全法（2021年修正）", "中华人民共和国食品安全法"),
        ("产品质量法", "中华人民共和国产品质量法"),
        ("质量法", None),
        ("北京市旅游条例", None),
        ("法", None),
        ("", None),
    ],
)
def test_a_cited_name_means_one_law_or_none(name: str, title: str | None) -> None:
    assert resolve(name, TITLES) == title


def test_a_name_that_may_mean_two_laws_means_none() -> None:
    both = frozenset({"中华人民共和国水污染防治法", "中华人民共和国水土污染防治法"})
    assert resolve("水防治法", both) is None


def test_shortening_keeps_both_ends_and_the_order() -> None:
    assert shortened("税收征管法", "税收征收管理法")
    assert not shortened("征管法", "税收征收管理法")
    assert not shortened("税管征法", "税收征收管理法")
    assert not shortened("税收征收管理法", "税收征收管理法")


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("《甲 法》", "甲法"),
        ("甲办法(试行)", "甲办法"),
        ("甲办法（2019年版）", "甲办法"),
        ("甲解释(一)", "甲解释（一）"),
    ],
)
def test_titles_are_made_plain(name: str, plain: str) -> None:
    assert plain_title(name) == plain


@pytest.mark.parametrize(
    ("title", "place"),
    [
        ("中华人民共和国食品安全法", None),
        ("排污许可管理条例", None),
        ("城市市容和环境卫生管理条例", None),
        ("人力资源市场暂行条例", None),
        ("城市房地产开发经营管理条例", None),
        ("北京市生活垃圾管理条例", "110000"),
        ("上海口岸服务条例", "310000"),
        ("辽宁省社会信用条例", "210000"),
        ("沈阳市物业管理条例", "210100"),
        ("青岛市养犬管理条例", ELSEWHERE),
        ("延边朝鲜族自治州自治条例", ELSEWHERE),
    ],
)
def test_a_title_tells_whose_law_it_is(title: str, place: str | None) -> None:
    assert place_of(title) == place


def test_a_region_lies_in_its_city_province_and_country() -> None:
    assert around("210102") == ("210102", "210100", "210000", "100000")
    assert around("110105") == ("110000", "100000")
    assert around("999999") == ()
