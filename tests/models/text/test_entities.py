from __future__ import annotations

import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.entities import find_entities, fine_in

CAPITALS = "零壹贰叁肆伍陆柒捌玖"


def _capitals(yuan: int) -> str:
    """Write 1–99,999,999 as on a cheque: 伍万陆仟伍佰肆拾伍."""

    def below_wan(value: int) -> str:
        out, gap = "", False
        for unit, word in ((1000, "仟"), (100, "佰"), (10, "拾"), (1, "")):
            digit = value // unit % 10
            if digit:
                out += ("零" if gap and out else "") + CAPITALS[digit] + word
            gap = not digit
        return out

    head, tail = divmod(yuan, 10_000)
    out = f"{below_wan(head)}万" if head else ""
    return out + ("零" if head and 0 < tail < 1000 else "") + below_wan(tail)


@pytest.mark.parametrize(
    ("text", "yuan"),
    [
        ("罚款人民币伍万陆仟伍佰肆拾伍元", 56_545),
        ("处以贰万元罚款", 20_000),
        ("罚款2000元", 2_000),
        ("罚款15800", 15_800),
        ("罰款人民幣伍萬圓整", 50_000),
        ("处以罚款人民币100整", 100),
        ("处十万罚款，没收违法所得五千元", 100_000),
        ("处以3.5万的罚款", 35_000),
        ("处一万至十万罚款", None),
        ("并处每平方米200元的罚款。合计人民币：78000元（大写：柒万捌仟元整）。", 78_000),
        ("合计人民币：78000元。", None),
        ("罚款额为187.42元。", 187.42),
        ("罚款人民币1,234.50元整", 1_234.5),
        ("罚款1.5万元", 15_000),
        ("罚款3万5千元", 35_000),
        ("罚款人民币玖万捌仟壹佰贰拾壹元肆角", 98_121.4),
        ("罚款人民币贰佰捌拾柒元伍分", 287.05),
        ("罚款人民币伍万（50000）元整", 50_000),
        ("人民币20000（贰万）元整", 20_000),
        ("壹仟贰佰元", 1_200),
        ("做出行政处罚贰佰元整的处罚决定", 200),
        ("处合同价款（124620346.96元）0.625%（778877.17元）罚款", 778_877.17),
        ("没收违法所得人民币伍元;罚款人民币壹仟元", 1_000),
        ("每人罚款500元，使用2人，共罚款人民币1000.00元", 1_000),
        ("罚款500元；另罚款300元", 800),
        ("罚款500元，即人民币伍佰元罚款", 500),
        ("每使用一人500元的标准处以罚款，罚款总额不超过3万元", None),
        ("并处500元以上3000元以下罚款；情节严重的，处3000元以上3万元以下罚款。", None),
        ("可以处一万元以下的罚款", None),
        ("没收违法所得100元", None),
        ("货款5000元未付，且有其他情形", None),
        ("超期", None),
        ("", None),
        (None, None),
    ],
)
def test_the_fine_of_a_decision(text: str | None, yuan: float | None) -> None:
    assert fine_in(text) == yuan


@given(st.integers(1, 99_999_999))
def test_any_amount_in_capitals_is_read(yuan: int) -> None:
    assert fine_in(f"决定对你单位处以罚款人民币{_capitals(yuan)}元整。") == yuan


@given(st.integers(1, 10**9), st.integers(0, 99))
def test_any_amount_in_digits_is_read(yuan: int, cents: int) -> None:
    text = f"处罚款{yuan:,}.{cents:02}元"
    assert fine_in(text) == pytest.approx(yuan + cents / 100, abs=0.001)


def test_amounts_know_their_role_and_place() -> None:
    text = "没收违法所得100元，并处罚款200元；逾期每日加处3元。"
    found = find_entities(text).amounts
    assert [(text[one.start : one.end], one.role) for one in found] == [
        ("100元", "confiscated"),
        ("200元", "fine"),
        ("3元", "rate"),
    ]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("1.没收违法所得人民币伍元;2.罚款人民币壹仟元。", ["04", "03"]),
        ("警告并罚款贰仟贰佰元", ["01", "03"]),
        ("责令停产停业，吊销许可证", ["10", "08"]),
        ("没收非法财物(书3册)", ["05"]),
        ("责令改正", []),
        ("未设置安全警示标志", []),
        ("未悬挂警告标志", []),
        ("情节严重的，吊销许可证", []),
        ("可以处一万元以下罚款", []),
        ("不予罚款", []),
    ],
)
def test_kinds_of_penalty_imposed(text: str, kinds: list[str]) -> None:
    found = find_entities(text).penalties
    assert list(dict.fromkeys(one.kind for one in found)) == kinds
    assert all(text[one.start : one.end] for one in found)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2024年3月5日", [date(2024, 3, 5)]),
        ("2024-03-05至2024/3/6", [date(2024, 3, 5), date(2024, 3, 6)]),
        ("2024.3.5", [date(2024, 3, 5)]),
        ("二〇二四年十二月三十一日", [date(2024, 12, 31)]),
        ("2024年02月30日", []),
        ("2024年3月", []),
        ("12345", []),
    ],
)
def test_dates(text: str, days: list[date]) -> None:
    found = find_entities(text).dates
    assert [one.on for one in found] == days


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("京海税罚〔2021〕234 号", "京海税罚〔2021〕234号"),
        ("根据（京兴）应急罚[2020] 124号", "（京兴）应急罚〔2020〕124号"),
        ("作出京建法罚（怀建）字【2020】第700033号决定", "京建法罚（怀建）字〔2020〕700033号"),
        ("送达了沈市监处罚（2024）12-3号", "沈市监处罚〔2024〕12-3号"),
    ],
)
def test_document_numbers(text: str, number: str) -> None:
    (found,) = find_entities(text).documents
    assert found.number == number
    assert text[found.start : found.end].endswith("号")
    assert text[found.start : found.end][0] == number[0]


@given(st.text(alphabet="罚款处没收警告元万0123456789年月日〔〕号京的，。 壹", max_size=50))
def test_offsets_lie_in_the_text_and_in_order(text: str) -> None:
    found = find_entities(text)
    for some in (found.penalties, found.amounts, found.dates, found.documents):
        assert all(0 <= one.start < one.end <= len(text) for one in some)
        assert [one.end for one in found.dates] == sorted(one.end for one in found.dates)


@pytest.mark.parametrize(
    "unit", ["1", "一", " ", "罚款", "每", "（", "没收", "处人民币", "1,", "😀"]
)
def test_long_texts_take_no_time(unit: str) -> None:
    begun = time.process_time()
    find_entities(unit * 100_000)
    assert time.process_time() - begun < 5


def test_nothing_gives_nothing() -> None:
    found = find_entities(None)
    assert found == find_entities("<br/> hello 你好")
    assert found.amounts == ()
