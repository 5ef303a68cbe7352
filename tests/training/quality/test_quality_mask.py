from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codes import citizen
from training.quality import Quality, measure
from training.quality.mask import HIDDEN, LONGEST, SEARCHED, mask_name, mask_personal, mask_value

Make = Callable[..., pl.LazyFrame]

ID_NUMBER = "110101190001010009"  # of nobody: made for this test
PERSON = "某某某"
NUMBER = rf"{citizen.PROVINCES}[0-9]{{4}}(19|20)[0-9]{{9}}[0-9X]"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("91210100MA0P4XJ25H", "91210100MA0P4XJ25H"),
        (ID_NUMBER, "110***********0009"),
        ("210102199013401234", "210***********1234"),  # no real date, but of the same form
        ("11010119000101000", "110**********1000"),  # a digit too short
        ("110101900101001", "110********1001"),  # the old form of 15
        ("电话13812345678。", "电话138****5678。"),
        ("电话１３８１２３４５６７８。", "电话138****5678。"),
        ("１１０１０１１９０００１０１０００９", "110***********0009"),
        ("110101 19000101 0009", "110*************0009"),
        ("８６号，全角不含个人信息", "８６号，全角不含个人信息"),
        ("电话138-1234-5678。", "电话138******5678。"),
        ("写信到 someone@example.org", "写信到 ＊＊＊@＊＊＊"),
        ("负责人：张某某在场", "负责人：张＊＊场"),
        ("罚款2000元", "罚款2000元"),
        ("139.1234.5678", "139******5678"),
        ("139—1234—5678", "139******5678"),
        ("02423456789", "024****6789"),
        ("（024）23456789", "（024*****6789"),
        ("6222-0200-1234-5678-901", "622****************-901"),
        ("110105-19491231-002X", "110*************002X"),
        ("车牌辽A12345", "车牌辽A＊＊＊＊＊"),
        ("辽Ａ·Ｄ１２３４５", "辽A＊＊＊＊＊"),
        ("川C2024001号", "川C2024001号"),
        ("2024-01-05-2026-01-04", "2024-01-05-2026-01-04"),
        ("店主王某某", "店主王＊＊"),
        ("公民王某某", "公民王＊＊"),
        ("被处罚人：王某某", "被处罚人：王＊＊"),
        ("驾驶员王某某", "驾驶员王＊＊"),
        ("法定代表人（王某某）", "法定代表人（王＊＊）"),
        ("当事人某某·某某某于", "当事人某＊＊"),
        ("王某某，男，汉族", "王＊＊，男，汉族"),
        ("王某某（女）", "王＊＊（女）"),
        ("2023/13/40", "2023/13/40"),
        ("", ""),
    ],
)
def test_a_shown_value_has_no_personal_number(value: str, shown: str) -> None:
    assert mask_value(value) == shown


def test_names_of_the_row_are_hidden_wherever_they_stand() -> None:
    assert mask_value("经查，某某某无证经营", persons={PERSON}) == "经查，某＊＊无证经营"


def test_long_text_is_cut_and_counted() -> None:
    shown = mask_value("文" * 100)
    assert shown.startswith("文" * LONGEST)
    assert shown.endswith("（共 100 字）")


@pytest.mark.parametrize(
    "piece", ["a", "1.", "1 ", "a@a.", "负责人 ", "负责人", "京A", "某", "某·", "0"]
)
def test_a_long_value_is_masked_in_no_time(piece: str) -> None:
    begun = time.perf_counter()
    mask_value(piece * 500_000)
    assert time.perf_counter() - begun < 5  # minutes, were the whole of it searched


@given(st.integers(SEARCHED - 80, SEARCHED + 10))
def test_a_number_on_the_edge_of_what_is_searched_is_not_shown(before: int) -> None:
    # the address is masked to a few symbols, so that what follows it is within those shown
    text = f"{'a' * (before - 12)}@example.org {ID_NUMBER}{'文' * 80}"
    assert ID_NUMBER[6:10] not in mask_value(text)


def test_a_file_keeps_its_name_but_for_numbers(sampled: Callable[..., Quality]) -> None:
    folder = "沈阳市市场监督管理局/2024年/行政处罚/报送/第一批/第二次"
    file = f"{folder}/{PERSON}_13812345678_{ID_NUMBER}.csv"
    shown = sampled({"法定代表人": PERSON}, file=file).samples[0].file
    assert shown == f"{folder}/某＊＊_138****5678_110***********0009.csv"


def test_the_first_row_of_a_file_without_headings_is_masked(
    sampled: Callable[..., Quality],
) -> None:
    text = sampled({ID_NUMBER: "甲", "13812345678": "乙", "备注": "丙"}).to_json()
    assert ID_NUMBER not in text
    assert "13812345678" not in text
    assert "备注" in text


def test_a_personal_value_shows_its_shape_only() -> None:
    assert mask_personal(PERSON) == "某＊＊"
    assert mask_name("某") == HIDDEN
    assert "138" not in mask_personal("13812345678")
    assert "沈阳" not in mask_personal("沈阳市和平区某某街道某某路某号某单元")


@given(
    st.text(alphabet="一二三，：（）ab "),
    st.from_regex(NUMBER, fullmatch=True, alphabet="0123456789X"),
    st.text(alphabet="一二三，：（） "),
)
def test_no_text_around_an_id_number_saves_it(before: str, number: str, after: str) -> None:
    text = f"{before} {number} {after}"
    shown = mask_value(text)
    assert number not in shown
    assert number[6:14] not in shown or len(text) > LONGEST
    assert (citizen.mask(number) or "") in shown or len(text) > LONGEST


@pytest.fixture
def sampled(records: Make, quarantine: Make, runs: Make) -> Callable[..., Quality]:
    def run(raw: dict[str, Any] | str, **row: object) -> Quality:
        text = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False)
        return measure(
            {"penalty": records("penalty", [])}, quarantine([{"raw": text, **row}]), runs([])
        )

    return run


def test_samples_mask_every_kind_of_personal_column(sampled: Callable[..., Quality]) -> None:
    secret = "不应出现的内容"
    quality = sampled(
        {
            "处罚决定书文号": "沈罚〔2024〕1号",
            "法定代表人": PERSON,
            "CF_FRDB": PERSON,
            "CF_XDR_ZJHM": ID_NUMBER,
            "违法事实": f"{PERSON}{secret}" * 5,
            "没有人知道的列": secret,
            "备注": f"由{PERSON}签收，电话13812345678",
            "罚款金额（万元）": 0.2,
            "空列": None,
        }
    )
    text = quality.to_json()
    assert "沈罚〔2024〕1号" in text
    assert "0.2" in text
    for hidden in (PERSON, ID_NUMBER, secret, "13812345678"):
        assert hidden not in text
    headings = [heading for heading, _ in quality.samples[0].fields]
    assert headings[:2] == ["处罚决定书文号", "法定代表人"]
    assert "空列" not in headings


def test_a_natural_persons_name_is_masked(sampled: Callable[..., Quality]) -> None:
    named = {"行政相对人名称": "某某某某某", "行政相对人类别": "自然人"}
    assert "某某某某某" not in sampled(named).to_json()
    firm = {"行政相对人名称": "沈阳某某商贸有限公司", "行政相对人类别": "法人及非法人组织"}
    assert "沈阳某某商贸有限公司" in sampled(firm).to_json()


def test_the_broken_value_is_masked_by_its_column(sampled: Callable[..., Quality]) -> None:
    personal = sampled({}, rule="F04", column="legal_representative", value=PERSON)
    assert personal.samples[0].value == "某＊＊"
    number = sampled({}, rule="V02", column="uscc", value=ID_NUMBER)
    assert number.samples[0].value == "110***********0009"
    fact = sampled({}, rule="V09", column="violation_fact", value=f"身份证{ID_NUMBER}的{PERSON}")
    assert fact.samples[0].value == "＊＊＊（25 字，已脱敏）"


@pytest.mark.parametrize("raw", ["not json at all", "[1, 2]", '"x"', ""])
def test_a_source_row_that_is_no_object_shows_nothing(
    raw: str, sampled: Callable[..., Quality]
) -> None:
    assert sampled(raw).samples[0].fields == ()


def test_rows_of_an_unknown_table_show_no_value(sampled: Callable[..., Quality]) -> None:
    text = sampled({"名称": "某某"}, table="own", column="name", value="某某").to_json()
    assert "某某" not in text


def test_at_most_five_samples_a_rule_and_always_the_same(
    records: Make, quarantine: Make, runs: Make
) -> None:
    rows = [{"line": line, "rule": rule} for line in range(2, 40) for rule in ("V01", "V02")]
    frames = {"penalty": records("penalty", [{"findings": ["V08"]}] * 9)}
    first = measure(frames, quarantine(rows), runs([]))
    again = measure(frames, quarantine(rows[::-1]).sort("record_id"), runs([]))
    assert [s.rule for s in first.samples] == ["V01"] * 5 + ["V02"] * 5 + ["V08"] * 5
    assert len(again.samples) == len(first.samples)


def test_samples_of_a_warning_come_from_every_table(
    records: Make, quarantine: Make, runs: Make
) -> None:
    tripped = [{"findings": ["V13"]}] * 9
    frames = {table: records(table, tripped) for table in ("licence", "penalty", "sampling")}
    samples = measure(frames, quarantine([]), runs([])).samples
    assert {s.table for s in samples} == set(frames)
    assert len(samples) == 5


def test_a_tripped_record_shows_the_column_its_warning_is_about(
    records: Make, quarantine: Make, runs: Make
) -> None:
    row = {
        "findings": ["V11"],
        "legal_basis": "有关规定",
        "legal_representative": PERSON,
        "violation_fact": "某事实",
        "source_ref": "a#b.csv#12",
    }
    quality = measure({"penalty": records("penalty", [row])}, quarantine([]), runs([]))
    sample = quality.samples[0]
    assert (sample.file, sample.line) == ("a#b.csv", 12)
    assert (sample.column, sample.value) == ("legal_basis", "有关规定")
    shown = dict(sample.fields)
    assert shown["法定代表人"] == "某＊＊"
    assert "记录编号" not in shown
