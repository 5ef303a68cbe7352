"""Amounts are read as decisions write them."""

from __future__ import annotations

from time import perf_counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.records.amounts import LONGEST, fine_agrees, fines_in, parse_amount

DIGITS = "零壹贰叁肆伍陆柒捌玖"


def in_words(amount: int) -> str:
    """Write a whole amount below 10^8 in formal Chinese numerals."""

    def below_wan(part: int, *, inner: bool) -> str:
        out, gap = "", False
        for scale, unit in ((1000, "仟"), (100, "佰"), (10, "拾"), (1, "")):
            digit = part // scale % 10
            if digit:
                out += ("零" if gap and (out or inner) else "") + DIGITS[digit] + unit
                gap = False
            else:
                gap = True
        return out

    high, low = divmod(amount, 10_000)
    if high and low:
        lead = "零" if low < 1000 else ""
        return below_wan(high, inner=False) + "万" + lead + below_wan(low, inner=False)
    return below_wan(high, inner=False) + "万" if high else below_wan(low, inner=False)


@given(st.integers(1, 99_999_999))
def test_every_amount_in_words_reads_back(amount: int) -> None:
    assert parse_amount(in_words(amount) + "元整") == float(amount)


@given(st.integers(0, 10**12), st.integers(0, 99))
def test_every_amount_in_figures_reads_back(yuan: int, fen: int) -> None:
    assert parse_amount(f"{yuan:,}.{fen:02d}元") == pytest.approx(yuan + fen / 100)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("伍万陆仟伍佰肆拾伍元", 56_545.0),
        ("贰万元", 20_000.0),
        ("1.5万元", 15_000.0),
        ("十五元", 15.0),
        ("三百零五", 305.0),
        ("两千元", 2_000.0),
        ("1亿元", 1e8),
        ("壹亿贰仟万元", 1.2e8),
        ("人民币 1，200 元", 1_200.0),
        ("万元", None),
        ("", None),
        ("若干元", None),
        ("1.2.3", None),
    ],
)
def test_an_amount_or_nothing(text: str, amount: float | None) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize(
    ("text", "fines"),
    [
        ("1.警告；2.罚款人民币500元。", (500.0,)),
        ("责令十日内改正，处五千元罚款。", (5_000.0,)),
        ("处以贰万元罚款", (20_000.0,)),
        ("对某公司处1万元罚款", (10_000.0,)),
        ("1.没收违法所得人民币2281.74元；2.罚款人民币7000元", (7_000.0,)),
        ("罚款人民币伍佰元；罚款1000元", (500.0, 1_000.0)),
        ("罚款人民币壹仟元整", (1_000.0,)),
        ("警告", ()),
        ("没收违法所得100元", ()),
    ],
)
def test_fines_are_found_in_a_decision(text: str, fines: tuple[float, ...]) -> None:
    assert fines_in(text) == fines


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    fines_in(text)
    parse_amount(text)


def test_agreement_of_amount_and_text() -> None:
    frame = pl.DataFrame(
        {
            "amount": [500.0, 0.05, 1_500.0, 500.0, None, 500.0, 5_000_000.0],
            "text": [
                *("罚款500元", "罚款500元", "罚款500元；罚款1000元"),
                *("警告", "罚款500元", None, "罚款500元"),
            ],
        }
    )
    verdict = frame.select(fine_agrees("amount", "text")).to_series()
    assert verdict.to_list() == [True, False, True, None, None, None, False]


def test_a_fine_is_found_among_blanks_and_not_beyond_the_length_looked_at() -> None:
    assert fines_in("罚款" + " " * 50_000 + "2000 元") == (2_000.0,)
    assert fines_in("长" * (LONGEST - 10) + "罚款1元") == (1.0,)
    assert fines_in("长" * LONGEST + "罚款1元") == ()


@pytest.mark.parametrize("part", ["罚款1", "罚款一", "处1", "罚款1,", "处一万", "罚款："])
@pytest.mark.parametrize("fill", [" ", "\u3000", "1", "万", ",", "：", ""])
def test_no_text_takes_time_out_of_all_proportion(part: str, fill: str) -> None:
    """Four times the text may take four times as long, not sixteen times and more."""

    def seconds(length: int) -> float:
        text = part + fill * length if fill else part * (length // len(part))
        begin = perf_counter()
        fines_in(text + "x")
        return perf_counter() - begin

    assert min(seconds(16_001 + n) for n in range(3)) < 40 * seconds(4_000) + 0.02
