from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.citations import LONGEST, Citation, article_number, find_citations

DIGITS = "零一二三四五六七八九"


def _said(text: str) -> list[tuple[str | None, int | None, int | None, int | None]]:
    return [(one.law, one.article, one.paragraph, one.item) for one in find_citations(text)]


def _chinese(number: int) -> str:
    """Write 1–999 as the laws do: 十五, 一百零三, 一百一十."""
    hundreds, tens, ones = number // 100, number // 10 % 10, number % 10
    out = f"{DIGITS[hundreds]}百" if hundreds else ""
    if tens:
        out += ("" if tens == 1 and not hundreds else DIGITS[tens]) + "十"
    elif hundreds and ones:
        out += "零"
    return out + (DIGITS[ones] if ones else "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("《食品安全法》第一百二十四条第一款第（五）项", [("食品安全法", 124, 1, 5)]),
        ("《旅行社条例》第五十五条第(一)项", [("旅行社条例", 55, None, 1)]),
        ("《出版管理条例》第 65 条", [("出版管理条例", 65, None, None)]),
        ("《出版管理条例》第６５条第２款", [("出版管理条例", 65, 2, None)]),
        ("《北京市节约用水办法》", [("北京市节约用水办法", None, None, None)]),
        ("食品安全法第三十四条", [("食品安全法", 34, None, None)]),
        ("违反了广告法和食品安全法第三十四条", [("食品安全法", 34, None, None)]),
        ("征管法60条", [("征管法", 60, None, None)]),
        ("建设工程施工现场管理办法》第三十六条", [("建设工程施工现场管理办法", 36, None, None)]),
        (
            "《甲法》第三条、第四条",
            [("甲法", 3, None, None), ("甲法", 4, None, None)],
        ),
        ("《甲法》第三、四条", [("甲法", 3, None, None), ("甲法", 4, None, None)]),
        ("《甲法》第45条、46条", [("甲法", 45, None, None), ("甲法", 46, None, None)]),
        ("《甲法》第三条第一、二款", [("甲法", 3, 1, None), ("甲法", 3, 2, None)]),
        (
            "《甲法》第三条第（一）、（三）项",
            [("甲法", 3, None, 1), ("甲法", 3, None, 3)],
        ),
        (
            "《甲法》第二十二条第一款第（三）项、第二十二条第二款",
            [("甲法", 22, 1, 3), ("甲法", 22, 2, None)],
        ),
        (
            "《甲法》第三条，《乙法》第四条",
            [("甲法", 3, None, None), ("乙法", 4, None, None)],
        ),
        (
            "《甲法》、《乙法》第四条",
            [("甲法", None, None, None), ("乙法", 4, None, None)],
        ),
        ("《甲法》第三条；本法第四条", [("甲法", 3, None, None), ("甲法", 4, None, None)]),
        ("《甲条例》（主席令〔2001〕第49号）第六条", [("甲条例", 6, None, None)]),
        ("第三十四条", [(None, 34, None, None)]),
        (
            "《甲法》及其实施细则第四十条",
            [("甲法", None, None, None), ("甲法实施细则", 40, None, None)],
        ),
        ("关于发布《甲规则》的公告（2016年第78号）第十三条", [("甲规则", 13, None, None)]),
        ("《北京市实施《甲法》办法》第三条", [("北京市实施《甲法》办法", 3, None, None)]),
        ("《甲法》（依《关于修改〈甲法〉的决定》修正）第六条", [("甲法", 6, None, None)]),
        ("《关于修改〈甲法〉的决定》（国务院令）第六条", [("甲法", 6, None, None)]),
        ("《食品安全法》第三十四條", [("食品安全法", 34, None, None)]),
        ("違反《稅收徵收管理法》第六十四條", [("税收征收管理法", 64, None, None)]),
        ("《甲管理规定》实施细则第十六条", [("甲管理规定实施细则", 16, None, None)]),
        ("《甲法》第六十条“有下列行为之一的：（二）未按规定”第二项", [("甲法", 60, None, 2)]),
        ("《甲法》第二条“下列凭证”第一款第一项“购销”", [("甲法", 2, 1, 1)]),
        ("《甲法》第六十三条：第一款", [("甲法", 63, 1, None)]),
        ("《甲法》三十一条第二款", [("甲法", 31, 2, None)]),
        ("《甲法》（国务院令第587号）三十七条", [("甲法", 37, None, None)]),
        ("《甲条例》第四十九第一款第五项", [("甲条例", 49, 1, 5)]),
        ("《甲通知》第一条第（一）款", [("甲通知", 1, 1, None)]),
        ("（建筑垃圾管理规定）第十五条", [("建筑垃圾管理规定", 15, None, None)]),
        (
            "甲乙管理条例 违反条款：第二十六条第二款；处罚条款：第六十六条",
            [("甲乙管理条例", 26, 2, None), ("甲乙管理条例", 66, None, None)],
        ),
    ],
)
def test_provisions_are_found(
    text: str, told: list[tuple[str | None, int | None, int | None, int | None]]
) -> None:
    assert _said(text) == told


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "当事人未按规定开具发票。",
        "依照前款规定处罚",
        "见《北京日报》",
        "不符合（DB11/945-2012）第2.10.6条的要求",
        "发现违法行为 处罚如下",
        "共三项，第一款产品",
        "😀 12345 <b>x</b>",
        "ignore all previous instructions",
    ],
)
def test_what_cites_nothing_gives_nothing(text: str | None) -> None:
    assert find_citations(text) == ()


@pytest.mark.parametrize("joint", ["至第", "到第", "-第", "至", "—第"])
def test_a_range_is_written_out(joint: str) -> None:
    found = find_citations(f"《甲法》第六十条{joint}六十三条".replace("条至六", "至六"))
    assert [one.article for one in found] == [60, 61, 62, 63]
    assert {one.law for one in found} == {"甲法"}


def test_a_range_without_end_is_not_written_out() -> None:
    assert len(find_citations("《甲法》第一条至第九百条")) == 2


def test_a_short_name_means_the_law_it_was_given_for() -> None:
    text = "《甲市乙丙条例》（以下简称“《条例》”）第三条。违反《条例》第四条。"
    assert [(one.law, one.article) for one in find_citations(text)] == [
        ("甲市乙丙条例", 3),
        ("甲市乙丙条例", 4),
    ]


def test_a_branch_is_its_own_article() -> None:
    (found,) = find_citations("刑法第一百三十三条之一")
    assert (found.article, found.branch) == (133, 1)


def test_offsets_hold_the_words() -> None:
    text = "经查，你单位违反《甲法》第三条第二款，依据乙丙办法第九条处罚。"
    words = [text[one.start : one.end] for one in find_citations(text)]
    assert words == ["《甲法》第三条第二款", "乙丙办法第九条"]


@given(st.integers(1, 999), st.none() | st.integers(1, 20), st.none() | st.integers(1, 20))
def test_any_number_is_read(article: int, paragraph: int | None, item: int | None) -> None:
    text = f"依据《甲法》第{_chinese(article)}条"
    text += f"第{_chinese(paragraph)}款" if paragraph else ""
    text += f"第（{_chinese(item)}）项" if item else ""
    (found,) = find_citations(f"{text}的规定")
    assert found == Citation("甲法", article, None, paragraph, item, 2, len(text))


@given(st.text(alphabet="《》第一二十条款项法（）、至 本x", max_size=60))
def test_any_text_gives_ordered_offsets_inside_it(text: str) -> None:
    found = find_citations(text)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    ends = [one.end for one in found]
    assert ends == sorted(ends)


@pytest.mark.parametrize(
    "unit",
    [
        "法",
        " ",
        "第一",
        "（一）、",
        "第一、",
        "《",
        "《一》",
        "条、一",
        "第（一",
        "本法（",
        "第一条“",
        "法：",
    ],
)
def test_long_and_odd_texts_take_no_time(unit: str) -> None:
    begun = time.process_time()
    find_citations(unit * 100_000)
    assert time.process_time() - begun < 5


def test_a_text_is_searched_up_to_a_bound() -> None:
    assert find_citations("。" * LONGEST + "《甲法》第三条") == ()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("第八十三条", (83, None)),
        ("第四十二条之一", (42, 1)),
        ("第 5 条", (5, None)),
        ("第一〇八条", (108, None)),
        ("附则", None),
        ("第条", None),
    ],
)
def test_article_numbers(text: str, number: tuple[int, int | None] | None) -> None:
    assert article_number(text) == number
