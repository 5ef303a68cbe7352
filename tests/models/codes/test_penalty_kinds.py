from __future__ import annotations

import polars as pl
import pytest

from models.codes import penalty_kinds
from models.errors import CodeError


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("罚款", ["03"]),
        ("警告;罚款", ["01", "03"]),
        ("警告,罚款", ["01", "03"]),
        ("警告；罚款", ["01", "03"]),
        ("警告、罚款", ["01", "03"]),
        ("警告并处罚款", ["01", "03"]),
        ("罚款;没收违法所得、没收非法财物", ["03", "04", "05"]),
        ("没收违法所得和非法财物", ["04", "05"]),
        ("罚款;吊销许可;没收违法所得、没收非法财物", ["03", "08", "04", "05"]),
        ("吊销营业执照", ["08"]),
        ("暂扣或者吊销许可证、暂扣或者吊销执照", ["06"]),
        ("暂扣许可证件", ["06"]),
        ("责令停产停业", ["10"]),
        ("停业整顿", ["10"]),
        ("责令关闭", ["11"]),
        ("限制从业", ["12"]),
        ("行业禁入", ["12"]),
        ("行政拘留", ["13"]),
        ("降低资质等级", ["07"]),
        ("限制开展生产经营活动", ["09"]),
        ("通报批评", ["02"]),
        ("罚款2,000元", ["03"]),
        ("罚款2000元,警告", ["03", "01"]),
        ("其他-没收保证金", ["99"]),
        ("其他", ["99"]),
        ("一般程序处罚", ["99"]),
        ("责令改正", []),
        ("责令限期改正;罚款", ["03"]),
        ("责令当事人立即改正", []),
        ("其他-责令改正", []),
        ("罚款;罚款", ["03"]),
        ("01;03", ["01", "03"]),
        ("０３", ["03"]),
        ("", None),
        (" / ", None),
        (None, None),
    ],
)
def test_wordings(text: str | None, kinds: list[str] | None) -> None:
    assert penalty_kinds.split(text) == kinds


@pytest.mark.parametrize("kind", penalty_kinds.kinds())
def test_every_label_and_id_names_its_kind(kind: str) -> None:
    assert penalty_kinds.split(penalty_kinds.label(kind)) == [kind]
    assert penalty_kinds.split(kind) == [kind]


def test_ids_are_those_of_the_law_in_order() -> None:
    assert list(penalty_kinds.kinds()) == [f"{number:02}" for number in range(1, 14)] + ["99"]
    assert penalty_kinds.label("98") is None


def test_older_ids_count_only_where_they_are_named() -> None:
    assert penalty_kinds.split("1;3", legacy="zhejiang") == ["01", "04", "05"]
    assert penalty_kinds.split("1;3") == ["99"]
    frame = pl.DataFrame({"kinds": ["2", None, "警告"]})
    result = frame.select(penalty_kinds.split_expr("kinds", legacy="zhejiang")).to_series()
    assert result.to_list() == [["03"], None, ["01"]]


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(CodeError, match=r"'zhejian'.*zhejiang"):
        penalty_kinds.split_expr("kinds", legacy="zhejian")
