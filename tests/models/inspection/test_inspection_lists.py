from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError, InspectionError
from models.inspection.list_fields import (
    ListMapping,
    ListName,
    load_list_mapping,
    spec_of,
    titles,
)
from models.inspection.lists import Read, checked, difference, read
from models.names import fold
from tests.models.inspection import listed
from tests.models.inspection.listed import FIRM, ON, PERSON, SHOP

FRAMES = {
    ListName.MATTERS: listed.matters_frame(),
    ListName.TARGETS: listed.targets_frame(),
    ListName.INSPECTORS: listed.inspectors_frame(),
    ListName.RESULTS: listed.results_frame(),
}


def broken(found: Read) -> list[tuple[int, str, str | None]]:
    return found.faults.select("row", "field", "value").rows()


def replaced(name: ListName, **columns: object) -> Read:
    frame = FRAMES[name].with_columns(
        pl.Series(heading, [value, *FRAMES[name][heading].to_list()[1:]])
        for heading, value in columns.items()
    )
    return read(frame, name, on=ON)


@pytest.mark.parametrize("name", ListName)
def test_departments_headings_are_understood(name: ListName) -> None:
    found = read(FRAMES[name], name, on=ON)
    assert found.faults.is_empty()
    assert found.unread == ()
    assert found.kept.frame.columns == list(spec_of(name).fields)
    assert found.kept.frame.height == found.rows == FRAMES[name].height


@pytest.mark.parametrize("name", ListName)
def test_no_heading_means_two_fields(name: ListName) -> None:
    spec = spec_of(name)
    said = [fold(s) for f in spec.fields.values() for s in {*map(fold, (*f.spellings, f.zh))}]
    assert len(said) == len(set(said))
    assert set(titles(spec)) == set(spec.fields)
    named = {*spec.key, *spec.past, *spec.lasting, *sum(spec.unique, ()), *sum(spec.ascending, ())}
    assert named <= set(spec.fields)


def test_values_have_their_types() -> None:
    matter = listed.matters().frame.row(0, named=True)
    assert matter["legal_basis"] == ["食品安全法 第一百一十条", "实施条例 第五十九条"]
    assert (matter["method"], matter["kind"]) == ("on_site", "key")
    assert matter["published"] == date(2021, 6, 1)
    target = listed.targets().frame.row(by_predicate=pl.col("subject_id") == FIRM, named=True)
    assert target["status"] == "ACTIVE"
    assert target["last_inspected"] == date(2025, 9, 1)
    assert (target["cap"], target["cap_used"]) == (2, 1)


@pytest.mark.parametrize(
    ("name", "heading", "value", "field"),
    [
        (ListName.MATTERS, "检查方式", "看情况", "method"),
        (ListName.MATTERS, "检查依据", None, "legal_basis"),
        (ListName.MATTERS, "公布日期", "2021-02-30", "published"),
        (ListName.MATTERS, "最近实施日期", "2026-11-21", "last_executed"),
        (ListName.MATTERS, "事项编号", "M,01", "matter_id"),
        (ListName.TARGETS, "社会信用代码", "91210100YY000001XQ", "subject_id"),
        (ListName.TARGETS, "经营状态", "很好", "status"),
        (ListName.TARGETS, "行政区划", "990102", "region"),
        (ListName.TARGETS, "已检查次数", -1, "cap_used"),
        (ListName.INSPECTORS, "执法证编号", None, "certificate"),
        (ListName.INSPECTORS, "有效期至", "2026-11-19", "valid_until"),
        (ListName.INSPECTORS, "有效期至", "长期", "valid_until"),
        (ListName.INSPECTORS, "请假日期", "2026-03-10至2026-03-09", "leave"),
        (ListName.RESULTS, "检查结果", "IR99", "result_code"),
    ],
)
def test_a_bad_row_is_returned_with_its_place(
    name: ListName, heading: str, value: object, field: str
) -> None:
    found = replaced(name, **{heading: value})
    assert broken(found) == [(2, field, None if value is None else str(value))]
    assert found.kept.frame.height == found.rows - 1
    (fault,) = found.faults.rows(named=True)
    assert fault["rule"]
    assert fault["remedy"]


def test_a_certificate_ends_with_its_last_day() -> None:
    assert replaced(ListName.INSPECTORS, 有效期至=str(ON)).faults.is_empty()


def test_helpers_are_not_inspectors() -> None:
    frame = listed.inspectors_frame().with_columns(
        pl.Series("人员类别", ["执法人员", "网格员", "协管员", None])
    )
    found = read(frame, ListName.INSPECTORS, on=ON)
    assert broken(found) == [(3, "role", "网格员"), (4, "role", "协管员")]


def test_one_certificate_is_one_inspector_s() -> None:
    found = replaced(ListName.INSPECTORS, 执法证编号="辽002")
    assert [(row, field) for row, field, _ in broken(found)] == [
        (2, "certificate"),
        (3, "certificate"),
    ]


def test_who_has_no_number_is_known_by_the_certificate() -> None:
    found = read(listed.inspectors_frame().drop("人员编号"), ListName.INSPECTORS, on=ON)
    assert found.kept.frame["inspector_id"].to_list() == ["辽001", "辽002", "辽003", "辽004"]


def test_every_fault_of_a_row_is_told() -> None:
    frame = listed.targets_frame().with_columns(
        pl.lit("??").alias("经营状态"), pl.lit("x").alias("行政区划")
    )
    found = read(frame, ListName.TARGETS, on=ON)
    assert found.faults.height == 6
    assert found.refused == 3
    assert found.kept.frame.is_empty()


def test_of_copies_the_first_is_kept_and_of_contradictions_none() -> None:
    frame = listed.targets_frame()
    shop = frame.slice(1, 1)
    other = shop.with_columns(pl.lit("D").alias("信用风险等级"))
    copies = read(pl.concat([frame, shop]), ListName.TARGETS, on=ON)
    assert broken(copies) == [(5, "subject_id", SHOP)]
    assert copies.faults["rule"].to_list() == ["repeats line 3"]
    assert copies.kept.version == listed.targets().version
    found = read(pl.concat([frame, other]), ListName.TARGETS, on=ON)
    assert broken(found) == [(3, "subject_id", SHOP), (5, "subject_id", SHOP)]
    assert SHOP not in found.kept.frame["subject_id"]


def test_rows_are_counted_as_the_sheet_counts_them() -> None:
    bad = listed.matters_frame().with_columns(pl.lit("?").alias("检查方式"))
    found = read(bad, ListName.MATTERS, on=ON, first_row=6)
    assert found.faults["row"].to_list() == [6, 7]


def test_empty_lines_of_a_sheet_are_counted_and_no_faults() -> None:
    frame = listed.matters_frame().drop("实施部门")
    blank = frame.clear(3).with_columns(pl.lit(" ").alias("检查方式"))
    mapping = ListMapping(constants={"department": "城管局"})
    found = read(pl.concat([blank, frame]), ListName.MATTERS, on=ON, mapping=mapping, first_row=1)
    assert found.blank == 3
    assert found.faults.is_empty()
    assert found.kept.frame.height == 2


def test_a_mapping_names_what_the_glossary_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(
        "columns:\n  matter_id: 编\n  method: {from: [方式, 另一方式], map: {上门: on_site}}\n"
        "constants: {department: 城管局}\nignore: [序]\n",
        encoding="utf-8",
    )
    frame = (
        listed.matters_frame()
        .rename({"事项编号": "编", "检查方式": "方式"})
        .with_columns(
            pl.Series("方式", ["上门", "/"]),
            pl.Series("另一方式", ["书面", "书面检查"]),
            pl.lit(1).alias("序"),
            pl.lit("x").alias("多余"),
        )
    )
    found = read(frame, ListName.MATTERS, on=ON, mapping=load_list_mapping(path))
    assert found.kept.frame["method"].to_list() == ["on_site", "documents"]
    assert found.kept.frame["department"].unique().to_list() == ["城管局"]
    assert found.unread == ("实施部门", "多余")


@pytest.mark.parametrize(
    ("mapping", "kind", "words"),
    [
        ({"columns": {"methd": "检查方式"}}, ConfigError, "did you mean 'method'"),
        (
            {"columns": {"method": "检查方式"}, "constants": {"method": "on_site"}},
            ConfigError,
            "keep one",
        ),
        ({"columns": {"method": "没有"}}, InspectionError, "no column '没有'"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(
    mapping: dict[str, object], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        read(
            listed.matters_frame(),
            ListName.MATTERS,
            on=ON,
            mapping=ListMapping.model_validate(mapping),
        )


def test_a_sheet_without_a_required_heading_is_refused() -> None:
    with pytest.raises(InspectionError, match="no column for method; head it 检查方式"):
        read(listed.matters_frame().drop("检查方式"), ListName.MATTERS, on=ON)


def test_two_headings_of_one_field_are_refused() -> None:
    frame = listed.matters_frame().with_columns(pl.lit("书面").alias("抽查方式"))
    with pytest.raises(InspectionError, match="both mean method"):
        read(frame, ListName.MATTERS, on=ON)


@pytest.mark.parametrize("name", ListName)
def test_a_list_reads_back_as_itself(name: ListName) -> None:
    kept = read(FRAMES[name], name, on=ON).kept
    assert checked(kept.frame, name, on=ON).version == kept.version


@given(order=st.permutations(range(3)), columns=st.permutations(listed.targets_frame().columns))
def test_the_version_is_of_the_content_alone(order: list[int], columns: list[str]) -> None:
    frame = listed.targets_frame()[order].select(columns)
    assert read(frame, ListName.TARGETS, on=ON).kept.version == listed.targets().version


def test_the_version_changes_with_any_value() -> None:
    before = listed.targets()
    for name, value in (("grade", "A"), ("cap", 3), ("matters", ["M02"]), ("address", None)):
        dtype = before.frame.schema[name]
        edited = before.frame.with_columns(
            pl.when(pl.col("subject_id") == FIRM)
            .then(pl.lit(value, dtype))
            .otherwise(name)
            .alias(name)
        )
        assert checked(edited, ListName.TARGETS, on=ON).version != before.version
    empty = checked(before.frame.clear(), ListName.TARGETS, on=ON)
    assert empty.version != checked(listed.matters().frame.clear(), ListName.MATTERS, on=ON).version


def test_an_edit_with_a_fault_is_refused() -> None:
    frame = listed.targets().frame
    with pytest.raises(InspectionError, match=r"row 1, cap_used '-2': cannot be read"):
        checked(frame.with_columns(cap_used=pl.lit(-2)), ListName.TARGETS, on=ON)
    with pytest.raises(InspectionError, match=r"no field \['x'\]"):
        checked(frame.with_columns(x=pl.lit(-2)), ListName.TARGETS, on=ON)


def test_the_difference_of_two_versions_names_each_change() -> None:
    old = listed.targets()
    frame = listed.targets_frame().filter(pl.col("社会信用代码") != PERSON)
    frame = frame.with_columns(
        pl.Series("适用事项", ["M02", "M01"]), pl.Series("信用风险等级", ["C", None])
    )
    new_firm = frame.slice(0, 1).with_columns(pl.lit("91210200YY0000028W").alias("社会信用代码"))
    new = listed.listing(ListName.TARGETS, pl.concat([frame, new_firm]))
    assert difference(old, new).rows() == [
        (FIRM, "changed", "matters", "M01；M02", "M02"),
        ("91210200YY0000028W", "added", None, None, None),
        (SHOP, "changed", "grade", "B", None),
        (PERSON, "removed", None, None, None),
    ]
    assert difference(old, old).is_empty()
    with pytest.raises(InspectionError, match="different lists"):
        difference(old, listed.matters())


ROWS = st.lists(
    st.tuples(
        st.sampled_from([FIRM, SHOP, PERSON, "x", None]),
        st.sampled_from(["存续", "注销", "?", None]),
        st.sampled_from(["210102", "21", None]),
    ),
    max_size=8,
)


@given(rows=ROWS)
def test_no_row_is_lost(rows: list[tuple[str | None, str | None, str | None]]) -> None:
    heads = ("社会信用代码", "登记状态", "行政区划")
    frame = pl.DataFrame(rows, [(head, pl.String) for head in heads], orient="row")
    found = read(frame, ListName.TARGETS, on=ON)
    assert found.kept.frame.height + found.refused + found.blank == found.rows == len(rows)
    assert found.blank == rows.count((None, None, None))
    assert found.faults["row"].is_between(2, len(rows) + 1).all()
