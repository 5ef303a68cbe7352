from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.simplified import simplified


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("罰款人民幣伍萬圓", "罚款人民币伍万圆"),
        ("違反食品衛生規定", "违反食品卫生规定"),
        ("營業執照", "营业执照"),
        ("违反规定", "违反规定"),
        ("ABC 123", "ABC 123"),
        ("", ""),
    ],
)
def test_characters_are_made_simple(text: str, told: str) -> None:
    assert simplified(text) == told


@given(st.text(max_size=60))
def test_offsets_stay_and_nothing_changes_twice(text: str) -> None:
    once = simplified(text)
    assert len(once) == len(text)
    assert simplified(once) == once
