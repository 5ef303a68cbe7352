from __future__ import annotations

import re
import time

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.text.mask import find_personal, mask, mask_expr

# Numbers of no person: issued by nobody, or with a check symbol that is wrong.
IDS = ("110101199001011234", "21010219851231002X", "440305200002291111")
PHONES = ("13800001234", "19912345678", "+8615000000000", "138 0000 1234", "139-0000-1234")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("当事人张三于2024年销售", "当事人张*于2024年销售"),
        ("法定代表人：欧阳小明。", "法定代表人：欧***。"),
        ("法定代表人秦真的个人卡", "法定代表人秦*的个人卡"),
        ("执法人员张三、李四和王五到场", "执法人员张*、李*和王*到场"),
        ("當事人張三，電話：13800001234", "當事人張*，電話：13*********"),
        ("后勤李四参加了检查（被冒用人：张三）", "后勤李*参加了检查（被冒用人：张*）"),
        ("段学（执法证号151400046号）到场", "段*（执法证号15*******号）到场"),
        ("从业人员何某无健康证", "从业人员何*无健康证"),
        ("当事人买买提·艾力，", "当事人******，"),
        ("经营者张三。随后张三承认", "经营者张*。随后张*承认"),
        ("张三，男，身份证号110101199001011234", "张*，男，身份证号11****************"),
        ("联系电话：13800001234", "联系电话：13*********"),
        ("拨打0411-12345678", "拨打0411-****5678"),
        ("电话１３８００００１２３４", "电话１３*********"),
        ("卡号6222021234567890123", "卡号622****************"),
        ("车京ABS957号货运车", "车京A*****号货运车"),
        ("邮箱 zhang.san@example.com", "邮箱 z********@example.com"),
        ("家庭住址：北京市朝阳区某路1号", "家庭住址：北京市朝阳区****"),
        ("某西区41号楼1单元302室", "某西区**********室"),
    ],
)
def test_personal_data_is_starred(text: str, shown: str) -> None:
    assert mask(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "统一社会信用代码91110105MA01L7KH8Y",
        "当事人金鑫餐饮店销售超期食品",
        "当事人：王麻子剪刀有限公司",
        "北京市朝阳区市场监督管理局作出决定",
        "负责人在2020年到场",
        "当事人未按规定开具发票",
        "当事人成立于2020年",
        "执法人员石景山区",
        "住所：北京市朝阳区建国路1号",
        "发票代码：011001900104，发票号码：06029916-06030015",
        "京海税罚〔2021〕234号",
        "罚款人民币123456.78元",
        "2024年3月5日12时16分",
        "",
        "😀<br>ignore previous instructions",
    ],
)
def test_what_is_nobodys_stays(text: str) -> None:
    assert mask(text) == text


def test_null_stays_null() -> None:
    assert mask(None) is None
    assert find_personal(None) == ()


around = st.text(alphabet="当事人张三的电话：，。（）于 a\n于身份证号码经营者", max_size=12)


@given(around, st.sampled_from(IDS), around)
def test_no_id_survives(before: str, number: str, after: str) -> None:
    shown = mask(f"{before}{number}{after}")
    assert shown is not None
    assert number[6:14] not in shown


@given(around, st.sampled_from(PHONES), around)
def test_no_telephone_survives(before: str, number: str, after: str) -> None:
    shown = mask(f"{before}{number}{after}")
    assert shown is not None
    assert not re.search(r"1[3-9](?:[ -]?[0-9]){9}", shown)


@given(around, st.integers(10**15, 10**19 - 1), around)
def test_no_bank_card_survives(before: str, number: int, after: str) -> None:
    text = f"{before}卡号{number}{after}"
    assert str(number) not in (mask(text) or "")


@given(
    st.lists(
        st.sampled_from(
            [
                "当事人",
                "张三",
                "李四",
                "、",
                "，",
                "住址：",
                "北京市",
                "朝阳区",
                "路1号",
                "的",
                "*",
                "·",
            ]
        )
        | st.sampled_from(
            ["110101199001011234", "13800001234", "京A12345", "公司", "身份证", "男", " ", "电话"]
        ),
        max_size=14,
    ).map("".join)
)
@example("当事人张三110101199001011234公司")
def test_masking_twice_is_masking_once(text: str) -> None:
    shown = mask(text)
    assert shown is not None
    assert len(shown) == len(text)
    assert mask(shown) == shown


@given(st.text(max_size=40))
def test_only_stars_are_new(text: str) -> None:
    shown = mask(text) or ""
    assert len(shown) == len(text)
    assert all(new in {old, "*"} for old, new in zip(text, shown, strict=True))


def test_spans_say_what_was_found() -> None:
    text = "当事人张三，电话13800001234"
    kinds = {(one.kind, text[one.start : one.end]) for one in find_personal(text)}
    assert ("name", "三") in kinds
    assert {kind for kind, _ in kinds} == {"name", "telephone"}


def test_a_column_is_masked_as_its_texts_are() -> None:
    frame = pl.DataFrame({"text": ["当事人张三", None, "当事人张三"]})
    assert frame.select(mask_expr("text")).to_series().to_list() == ["当事人张*", None, "当事人张*"]


@pytest.mark.parametrize(
    "unit", ["1", "张", "当事人", "住址", " ", "法定代表人张三、", "a@", "1 ", "身份证", "张三，男"]
)
def test_long_texts_take_no_time_and_leave_nothing_out(unit: str) -> None:
    text = (unit * 100_000)[:100_000] + "，身份证号110101199001011234"
    begun = time.process_time()
    shown = mask(text)
    assert time.process_time() - begun < 8
    assert shown is not None
    assert "19900101" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("当事人：<b class='x'>张三丰</b>，到场", "当事人：<b class='x'>张**</b>，到场"),
        ("电话<br/>13800001234", "电话<br/>13*********"),
        ("身份证<i>110101<b>19900307</b>4514</i>", f"身份证<i>11{'*' * 23}</i>"),
    ],
)
def test_markup_hides_nobody(text: str, shown: str) -> None:
    masked = mask(text)
    assert masked == shown
    assert mask(masked) == masked
