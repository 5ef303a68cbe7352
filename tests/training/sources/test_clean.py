"""Cleaning never guesses and never fails: what cannot be read is null."""

from __future__ import annotations

import datetime as dt
import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.sources import clean

DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2199, 12, 31))
TEXTS = st.one_of(
    st.text(max_size=30),
    st.text(
        st.sampled_from("0123456789-/.年月日 时分秒:TZ+万亿元,，%¥<>&;a０９Ａ無无"), max_size=20
    ),
)
SPELLINGS = (
    "{0:%Y-%m-%d}",
    "{0:%Y/%m/%d}",
    "{0:%Y.%m.%d}",
    "{0:%Y%m%d}",
    "{0:%Y年%m月%d日}",
    "{0.year}年{0.month}月{0.day}日",
    "{0.year}-{0.month}-{0.day}",
    "{0.year}/{0.month}/{0.day}",
    "{0:%Y} 年 {0:%m} 月 {0:%d} 日",
    "{0:%Y-%m-%d} 00:00:00",
    "{0:%Y/%m/%d} 8:05",
    "{0:%Y-%m-%d}T12:30:45.123",
    "{0:%Y年%m月%d日} 10时05分",
    "{0:%Y年%m月%d日}10时05分30秒",
    "{0:%Y%m%d}093005",
    "{0:%Y-%m-%d} 23:59:59.0",
    "{0:%Y-%m-%d}T00:00:00+08:00",
    " {0:%Y-%m-%d} ",
)


def column(*values: str | None) -> pl.Series:
    return pl.Series("v", values, pl.String)


def text(value: str | None) -> str | None:
    return clean.clean_text(column(value))[0][0]


@given(day=DAYS, spelling=st.sampled_from(SPELLINGS))
def test_a_real_date_reads_back_in_any_usual_spelling(day: dt.date, spelling: str) -> None:
    assert clean.to_date(column(spelling.format(day), None)).to_list() == [day, None]


@given(days=st.lists(st.tuples(DAYS, st.sampled_from(SPELLINGS)), min_size=1))
def test_spellings_may_be_mixed_in_one_column(days: list[tuple[dt.date, str]]) -> None:
    read = clean.to_date(column(*(spelling.format(day) for day, spelling in days)))
    assert read.to_list() == [day for day, _ in days]


@pytest.mark.parametrize(
    "value",
    [
        *("2023/13/40", "2023-02-29", "2023-00-10", "2023-04-31", "20230230", "2023-1-0", "0"),
        *("24-01-05", "01/05/2024", "2024", "2024-01", "2024年", "昨天", "2024-01-01至2024-12-31"),
        *("20240105-20240106", "2024-01-05abc", "-2024-01-05", "45296", "120240105"),
    ],
)
def test_what_is_no_day_is_null(value: str) -> None:
    assert clean.to_date(column(value)).to_list() == [None]
    assert clean.to_time(column(value)).to_list() == [None]
    assert clean.to_date(column("2024-01-05", value)).to_list() == [dt.date(2024, 1, 5), None]


def test_times_are_those_of_shanghai() -> None:
    values = ["2024-01-05", "2024-01-05 08:30", "2024/1/5 8:30:15", "2024年1月5日 8时30分15秒"]
    utc = [
        dt.datetime(2024, 1, 4, 16, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 5, 0, 30, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 5, 0, 30, 15, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 5, 0, 30, 15, tzinfo=dt.UTC),
    ]
    assert clean.to_time(column(*values)).to_list() == utc
    assert [clean.to_time(column(value))[0] for value in values] == utc


@pytest.mark.parametrize(
    "value",
    [
        *("2024-01-05T00:30:00Z", "2024-01-05T08:30:00+08:00", "2024-01-05 08:30:00+0800"),
        *("2024-01-04T19:30:00.000-05:00", "2024-01-05T00:30:00.000Z"),
    ],
)
def test_a_stated_zone_is_obeyed(value: str) -> None:
    instant = dt.datetime(2024, 1, 5, 0, 30, tzinfo=dt.UTC)
    assert clean.to_time(column(value, "2024-01-05")).to_list() == [
        instant,
        dt.datetime(2024, 1, 4, 16, tzinfo=dt.UTC),
    ]
    assert clean.to_date(column(value))[0] == dt.date(2024, 1, 5)


def test_a_zone_decides_the_day_in_shanghai() -> None:
    assert clean.to_date(column("2024-01-31T23:30:00Z"))[0] == dt.date(2024, 2, 1)


@pytest.mark.parametrize("clock", ["25:61", "24:00:00", "8:60", "12:30:61"])
def test_an_impossible_clock_is_no_midnight(clock: str) -> None:
    assert clean.to_time(column(f"2024-01-05 {clock}"))[0] is None


def test_formats_replace_the_usual_spellings() -> None:
    assert clean.to_date(column("05/01/2024", "2024-01-05"), ("%d/%m/%Y",)).to_list() == [
        dt.date(2024, 1, 5),
        None,
    ]
    several = clean.to_date(column("05/01/2024", "45296", "2024 05"), ("%d/%m/%Y", "excel", "%Y%m"))
    assert several.to_list() == [dt.date(2024, 1, 5), dt.date(2024, 1, 5), dt.date(2024, 5, 1)]
    read = clean.to_time(column("05/01/2024 09:00"), ("%d/%m/%Y %H:%M",))
    assert read[0] == dt.datetime(2024, 1, 5, 1, tzinfo=dt.UTC)


@given(day=st.dates(dt.date(1955, 1, 1), dt.date(2118, 1, 1)))
def test_excel_day_numbers(day: dt.date) -> None:
    number = (day - dt.date(1899, 12, 30)).days
    read = clean.to_date(column(str(number), f"{number}.5"), ("excel",))
    assert read.to_list() == [day, day]


MONEY = st.decimals(0, 10**9, places=2).map(float)


@given(amount=MONEY, unit=st.sampled_from([None, "元", "万元", "亿元"]))
def test_numbers_read_back_in_yuan(amount: float, unit: str | None) -> None:
    scale = {None: 1.0, "元": 1.0, "万元": 1e4, "亿元": 1e8}[unit]
    read = clean.to_number(column(repr(amount), f"{amount:,.2f}", None), unit)
    assert read[2] is None
    assert all(math.isclose(value, amount * scale, abs_tol=0.01) for value in read[:2])


@pytest.mark.parametrize(
    ("value", "yuan"),
    [
        ("2000元", 2000),
        ("２０００元", 2000),
        ("1.5万元", 15000),
        ("1.5万", 15000),
        ("0.3亿元", 3e7),
        ("¥20,000.00", 20000),
        ("人民币 5,000 元整", 5000),
        ("￥1，234，567", 1234567),
        ("1,0000", 10000),
        ("-3", -3),
        ("2e3", 2000),
        (" 7 ", 7),
    ],
)
def test_amounts_as_people_write_them(value: str, yuan: float) -> None:
    cleaned, _ = clean.clean_text(column(value))
    assert clean.to_number(cleaned)[0] == yuan


def test_a_written_unit_goes_before_the_columns() -> None:
    assert clean.to_number(column("0.2", "2000元", "3万元"), "万元").to_list() == [
        2000,
        2000,
        30000,
    ]


@pytest.mark.parametrize(
    "value", ["2,5", "1,2,3", "约2000", "2000-3000", "五千", "inf", "1e999", "0x10", "元", "万"]
)
def test_what_is_no_number_is_null(value: str) -> None:
    assert clean.to_number(column(value))[0] is None


@pytest.mark.parametrize(("value", "number"), [("3", 3), ("3.0", 3), ("3.5", None), ("1e30", None)])
def test_whole_numbers(value: str, number: int | None) -> None:
    assert clean.to_integer(column(value))[0] == number


def test_whole_numbers_keep_every_digit() -> None:
    values = ["9007199254740993", "9,007,199,254,740,993", "-9007199254740993", "1.5万", "x", None]
    exact = 9_007_199_254_740_993
    assert clean.to_integer(column(*values)).to_list() == [exact, exact, -exact, 15_000, None, None]
    assert clean.to_integer(column("9007199254740993.0"))[0] is None  # which one it is, none knows


def test_numbers_stored_as_such_are_scaled() -> None:
    stored = pl.Series([0.2, None, math.nan])
    assert clean.rescale(stored, "万元").to_list() == [2000, None, None]
    assert clean.rescale(stored).to_list() == [0.2, None, None]


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        *(("是", True), ("1", True), ("有效", True), ("YES", True), ("否", False), ("0", False)),
        *(("2", False), ("无效", False), ("也许", None), (None, None)),
    ],
)
def test_flags(value: str | None, flag: bool | None) -> None:
    assert clean.to_flag(column(value))[0] is flag


@pytest.mark.parametrize("word", clean.NULL_WORDS)
def test_words_for_nothing_are_null(word: str) -> None:
    assert text(f" {word}　") is None


def test_a_word_for_nothing_may_be_kept() -> None:
    assert clean.clean_text(column("无", "/"), keep=("无",))[0].to_list() == ["无", None]


@pytest.mark.parametrize(
    ("dirty", "tidy"),
    [
        ("<p>罚款</p>", "罚款"),
        ("罚款&nbsp;2000", "罚款 2000"),
        ("甲&amp;乙", "甲&乙"),
        ("面积&lt;5", "面积<5"),
        ("沈阳\u200b市\ufeff", "沈阳市"),
        ("Ａ公司１２３", "A公司123"),
        ("a\x07b\0", "ab"),
    ],
)
def test_noise_is_taken_out_and_marked(dirty: str, tidy: str) -> None:
    cleaned, mask = clean.clean_text(column(dirty, "干净"))
    assert cleaned.to_list() == [tidy, "干净"]
    assert mask is not None
    assert mask.to_list() == [True, False]


def test_clean_text_stays_as_it_is() -> None:
    values = ["《公司法》第二百条，（一）3<5、5>3", "a & b", "第1行\n第2行", None]
    cleaned, mask = clean.clean_text(column(*values))
    assert cleaned.to_list() == values
    assert mask is None


def test_any_stored_type_becomes_text() -> None:
    instant = dt.datetime(2024, 1, 31, 17, tzinfo=dt.UTC)
    frame = pl.DataFrame(
        {
            "int": [210102000012345678],
            "float": [2000.0],
            "date": [dt.date(2024, 1, 31)],
            "instant": [instant],
            "list": [["03", "08"]],
            "record": [{"a": 1}],
            "records": [[{"a": 1}]],
            "flag": [True],
            "category": pl.Series(["甲"]).cast(pl.Categorical),
            "nothing": [None],
        }
    )
    texts = {name: clean.as_text(frame[name])[0] for name in frame.columns}
    assert texts == {
        "int": "210102000012345678",
        "float": "2000",
        "date": "2024-01-31",
        "instant": "2024-02-01 01:00:00.000000",
        "list": "03;08",
        "record": '{"a":1}',
        "records": '[{"a":1}]',
        "flag": "true",
        "category": "甲",
        "nothing": None,
    }
    assert clean.to_time(column(texts["instant"]))[0] == instant


@given(values=st.lists(st.one_of(st.none(), TEXTS), max_size=8))
def test_nothing_ever_fails(values: list[str | None]) -> None:
    cleaned, mask = clean.clean_text(column(*values))
    assert mask is None or len(mask) == len(values)
    for read in (clean.to_date, clean.to_time, clean.to_number, clean.to_integer, clean.to_flag):
        assert len(read(cleaned)) == len(values)
    again, marked = clean.clean_text(cleaned)
    assert marked is None or "&" in "".join(filter(None, values))
    assert again.null_count() >= cleaned.null_count()


@given(values=st.lists(TEXTS, min_size=1, max_size=4))
def test_a_value_reads_alike_in_any_company(values: list[str]) -> None:
    """The fast way for a tidy column and the thorough one for a mixed column must agree."""
    mixed = column(*values, "2024年1月5日", "3万元")
    for read in (clean.to_date, clean.to_time, clean.to_number):
        together = read(mixed).to_list()[: len(values)]
        assert together == [read(column(value))[0] for value in values]


@pytest.mark.parametrize(
    ("text", "yuan"), [("伍仟元", 5000.0), ("贰万元整", 20_000.0), ("人民币伍佰元", 500.0)]
)
def test_amounts_in_words_carry_their_own_unit(text: str, yuan: float) -> None:
    for unit in (None, "元", "万元"):
        assert clean.to_number(pl.Series([text, "1"]), unit)[0] == yuan
