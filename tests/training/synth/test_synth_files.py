from __future__ import annotations

import json

import polars as pl
import pytest

from models.records.contracts import CONTRACTS
from training.sources.assign import assign
from training.sources.mapping import Plan, load_mapping
from training.synth.layouts import LAYOUTS, Layout
from training.synth.province import Summary


@pytest.fixture(scope="module")
def plans(province: Summary) -> dict[str, Plan]:
    return {plan.source.id: plan for plan in load_mapping(province.mapping).plans}


def test_the_mapping_is_one_the_importer_accepts(plans: dict[str, Plan]) -> None:
    assert set(plans) == {layout.id for layout in LAYOUTS}
    assert {plan.contract.name for plan in plans.values()} == set(CONTRACTS)
    strict = {name for name, plan in plans.items() if plan.source.strict}
    assert strict == {"licence", "penalty", "case_penalty"}
    assumed = {name for name, plan in plans.items() if plan.source.known_at.after}
    assert assumed == {"judgment"}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.id)
def test_every_heading_finds_its_field(layout: Layout, plans: dict[str, Plan]) -> None:
    plan = plans[layout.id]
    sent = list(layout.headings.values())
    assignment = assign(plan, sent)
    assert assignment.unused == ()
    wanted = set(layout.headings) - {"known_at"}
    assert {n for n, c in assignment.fields.items() if set(c.source) & set(sent)} >= wanted
    for name in layout.wan:
        assert assignment.fields[name].unit == "万元"


def test_all_kinds_of_file_are_there(province: Summary) -> None:
    kinds = {layout.kind for layout in LAYOUTS}
    assert kinds == {"csv", "gb18030", "parquet", "jsonl"}
    text = (province.out / "listing.csv").read_bytes()
    assert text.decode("gb18030").startswith("企业名称,")
    with pytest.raises(UnicodeDecodeError):
        text.decode("utf-8")
    first = (province.out / "pledge.jsonl").read_text(encoding="utf-8").splitlines()[0]
    assert set(json.loads(first)) >= {"uscc", "kind", "happened_on"}


def test_text_files_are_written_as_departments_write(province: Summary) -> None:
    penalty = pl.read_csv(province.out / "penalty.csv", infer_schema=False)
    assert penalty["CF_JDRQ"].str.contains(r"^\d{4}/\d{2}/\d{2}$").mean() > 0.99  # type: ignore[operator]
    assert "2099/12/31" in penalty["CF_YXQ"].to_list()
    fines = penalty["CF_NR_FK"].cast(pl.Float64, strict=False).drop_nulls()
    assert 0.0 < fines.median() < 10.0  # type: ignore[operator]
    assert set(penalty["是否公示"].unique()) == {"是", "否"}


def test_some_lists_are_sent_by_name_alone(province: Summary) -> None:
    listing = (province.out / "listing.csv").read_bytes().decode("gb18030")
    frame = pl.read_csv(listing.encode(), infer_schema=False)
    share = frame["统一社会信用代码"].null_count() / frame.height
    assert 0.005 < share < 0.05
    assert frame["企业名称"].null_count() == 0
