from __future__ import annotations

from datetime import date

import pytest

from models.codes import masking

TODAY = date(2026, 1, 1)
ID = "11010519491231002X"


@pytest.mark.parametrize(
    "text",
    [
        ID,
        f"身份证号{ID}，住址不明",
        f"号码:{ID.lower()}。",
        f"甲{ID}乙",
        f"({ID})({ID})",
        f"{ID},{ID}",
        f"{ID}\n{ID}",
    ],
)
def test_ids_in_running_text_are_found_and_starred(text: str) -> None:
    count = text.upper().count(ID)
    assert masking.find_citizen_ids(text, today=TODAY) == [ID] * count
    assert masking.has_citizen_id(text, today=TODAY) is True
    shown = masking.mask_text(text) or ""
    assert shown.count("110***********002") == count
    assert "19491231" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "统一社会信用代码91210100YY000001XP",
        "91350100M000100Y43",
        "1" + ID,
        ID + "9",
        f"{ID[:-1]}1",
        "11010519490230002X",
        "注册号210100000000019",
        "沈市监处罚〔2025〕12号",
    ],
)
def test_other_numbers_are_no_ids(text: str) -> None:
    assert masking.find_citizen_ids(text, today=TODAY) == []
    assert masking.has_citizen_id(text, today=TODAY) is False


def test_masking_also_stars_an_id_with_a_wrong_check_symbol() -> None:
    assert masking.mask_text("号110105194912310021。") == "号110***********0021。"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("电话13812345678。", "电话138****5678。"),
        ("联系024-23456789转", "联系024-****6789转"),
        ("0411-8345678", "0411-****5678"),
        ("罚款12345678901元", "罚款12345678901元"),
        ("编号113812345678", "编号113812345678"),
        ("91210100YY000001XP", "91210100YY000001XP"),
        (None, None),
    ],
)
def test_phones_are_starred_and_nothing_else(text: str | None, shown: str | None) -> None:
    assert masking.mask_text(text) == shown
