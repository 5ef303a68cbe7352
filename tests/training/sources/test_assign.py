"""Which column feeds which field: what the mapping says, then how columns are called."""

from __future__ import annotations

from typing import Any

import pytest

from models.errors import SourceError
from models.records.contracts import contract_named
from training.sources.assign import assign
from training.sources.mapping import ColumnMap, Plan, Source


def plan(target: str = "penalty", **fields: object) -> Plan:
    base = {"id": "s", "target": target, "files": ["x"], "known_at": {"on": "2024-01-01"}}
    return Plan(Source.model_validate(base | fields), contract_named(target))


def test_spellings_find_their_fields() -> None:
    headings = ["CF_XDR_SHXYM", "行政处罚决定书文号", " 处罚类别* ", "ｃｆ_jdrq", "处罚\u200b内容"]
    found = assign(plan(), headings)
    assert {field: column.source for field, column in found.fields.items()} == {
        "uscc": ("CF_XDR_SHXYM",),
        "document_number": ("行政处罚决定书文号",),
        "penalty_kinds": (" 处罚类别* ",),
        "happened_on": ("ｃｆ_jdrq",),
        "penalty_content": ("处罚\u200b内容",),
    }
    assert found.unused == ()


@pytest.mark.parametrize(
    ("heading", "unit"),
    [
        ("罚款金额（万元）", "万元"),
        ("罚款金额(万元)", "万元"),
        ("CF_NR_FK", "万元"),
        ("罚款金额", None),
        ("fine_amount", None),
    ],
)
def test_the_heading_tells_the_unit(heading: str, unit: str | None) -> None:
    found = assign(plan(), [heading])
    assert found.fields["fine_amount"] == ColumnMap.model_validate({"from": heading, "unit": unit})


def test_columns_in_other_units_do_not_mix() -> None:
    found = assign(plan(), ["罚款金额", "CF_NR_FK"])
    assert found.fields["fine_amount"].source == ("罚款金额",)
    assert found.fields["fine_amount"].unit is None
    assert found.unused == ("CF_NR_FK",)


def test_several_columns_of_one_field_are_tried_in_turn() -> None:
    found = assign(plan(), ["行政相对人名称", "单位名称"])
    assert found.fields["subject_name"].source == ("行政相对人名称", "单位名称")


@pytest.mark.parametrize("table", ["subject", "penalty", "annual_report"])
def test_every_table_knows_the_heading_of_the_region(table: str) -> None:
    assert assign(plan(table), ["行政区划代码"]).fields["region"].source == ("行政区划代码",)


def test_the_mapping_goes_before_spellings() -> None:
    found = assign(plan(columns={"remark": "备注2"}), ["备注", "备注2"])
    assert found.fields["remark"].source == ("备注2",)
    assert found.unused == ("备注",)


def test_a_column_feeds_one_field() -> None:
    found = assign(plan(columns={"remark": "处罚内容"}), ["处罚内容"])
    assert set(found.fields) == {"remark"}


def test_a_constant_goes_before_spellings() -> None:
    found = assign(plan(constants={"authority": "沈阳市"}), ["处罚机关"])
    assert found.fields == {}
    assert found.unused == ("处罚机关",)


def test_ignored_columns_are_neither_used_nor_reported() -> None:
    found = assign(plan(ignore=["备注"]), ["备注", "奇怪的列"])
    assert found.fields == {}
    assert found.unused == ("奇怪的列",)


def test_the_time_of_report_is_used() -> None:
    found = assign(plan(known_at={"from": "报送时间"}), ["报送时间", "备注"])
    assert found.unused == ()


@pytest.mark.parametrize(
    "fields", [{"columns": {"remark": "处罚备柱"}}, {"known_at": {"from": "处罚备柱"}}]
)
def test_a_column_the_file_lacks_is_named_with_file_and_nearest(fields: dict[str, Any]) -> None:
    message = "source 's': no column '处罚备柱' .* in 处罚.csv; did you mean '处罚备注'"
    with pytest.raises(SourceError, match=message):
        assign(plan(**fields), ["处罚备注", "金额"], file="处罚.csv")


def test_one_of_several_named_columns_is_enough() -> None:
    found = assign(plan(columns={"remark": ["BZ", "备注"]}), ["备注"])
    assert found.fields["remark"].source == ("BZ", "备注")
