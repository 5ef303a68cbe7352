"""From source cells to typed columns: nothing is guessed, every lost cell is named."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl
import pytest

from models.errors import ConfigError, SourceError
from models.records.contracts import contract_named
from training.sources import clean
from training.sources.assign import assign
from training.sources.convert import Converted, convert, select_rows
from training.sources.mapping import Plan, Source
from training.sources.read import LINE, numbered

STARTED = dt.datetime(2026, 6, 1, 8, tzinfo=dt.UTC)

Cells = list[object]
Columns = Mapping[str, Sequence[object] | pl.Series]


def plan(target: str = "penalty", **fields: object) -> Plan:
    base = {"id": "s", "target": target, "files": ["x"], "known_at": {"on": "2024-01-01"}}
    return Plan(Source.model_validate(base | fields), contract_named(target))


def converted(columns: Columns, /, **fields: object) -> Converted:
    frame = numbered(pl.DataFrame(columns), 2)
    given = plan(**fields)  # type: ignore[arg-type]
    return convert(frame, given, assign(given, frame.columns), started=STARTED)


def cells(column: str, columns: Columns, /, **fields: object) -> Cells:
    return converted(columns, **fields).frame[column].to_list()


@pytest.mark.parametrize("heading", ["罚款金额（万元）", "CF_NR_FK"])
@pytest.mark.parametrize("stored", [["0.2", "1", None], [0.2, 1.0, None]])
def test_money_in_wan_comes_out_in_yuan(heading: str, stored: Cells) -> None:
    assert cells("fine_amount", {heading: stored}) == [2000, 10000, None]


def test_money_in_yuan_stays() -> None:
    assert cells("fine_amount", {"罚款金额": ["2000", "1,500.50元", "1万元"]}) == [
        2000,
        1500.5,
        1e4,
    ]


def test_a_declared_unit_goes_before_the_heading() -> None:
    columns = {"fine_amount": {"from": "罚款金额", "unit": "万元"}}
    assert cells("fine_amount", {"罚款金额": [0.2]}, columns=columns) == [2000]
    assert cells("fine_amount", {"罚款金额": [1]}, columns=columns) == [10000]


def test_numbers_that_are_none_are_no_numbers() -> None:
    assert cells("fine_amount", {"罚款金额": [float("nan"), 1.0]}) == [None, 1]
    found = converted({"罚款金额": [float("inf"), 1.0]})
    assert found.frame["fine_amount"].to_list() == [None, 1]
    assert found.problems["rule"].to_list() == ["F02"]


def test_a_broken_cell_is_named_with_line_rule_column_and_value() -> None:
    found = converted({"CF_JDRQ": ["2024-01-05", "2023/13/40", None], "罚款金额": ["1", "x", "y"]})
    assert set(found.problems.select(LINE, "rule", "column", "value").rows()) == {
        (3, "F01", "happened_on", "2023/13/40"),
        (3, "F02", "fine_amount", "x"),
        (4, "F02", "fine_amount", "y"),
    }


def test_dates_of_every_stored_type() -> None:
    day = dt.date(2024, 1, 5)
    evening = dt.datetime(2024, 1, 4, 16, 30, tzinfo=dt.UTC)  # the 5th in Shanghai
    for stored in (
        [day],
        [dt.datetime(2024, 1, 5, 10)],  # noqa: DTZ001 - stored without a zone
        [evening],
        pl.Series([evening]).dt.convert_time_zone("America/New_York"),
        pl.Series([evening]).dt.cast_time_unit("ms"),
        ["2024年1月5日"],
        [20240105],
    ):
        assert cells("happened_on", {"CF_JDRQ": stored}) == [day]


def test_known_at_from_stored_instants_and_from_text() -> None:
    instant = dt.datetime(2024, 1, 5, 1, tzinfo=dt.UTC)
    for stored in ([instant], pl.Series([instant]).dt.cast_time_unit("ms"), ["2024-01-05 09:00"]):
        found = converted({"报送": stored, "CF_JDRQ": ["2024-01-01"]}, known_at={"from": "报送"})
        assert found.frame["known_at"].to_list() == [instant]
        assert found.frame["known_assumed"].to_list() == [False]


def test_known_at_assumed_from_the_day_it_happened() -> None:
    found = converted(
        {"CF_JDRQ": ["2024-01-01", None]}, known_at={"after": "happened_on", "days": 9}
    )
    shanghai = dt.datetime(2024, 1, 9, 16, tzinfo=dt.UTC)
    assert found.frame["known_at"].to_list() == [shanghai, None]
    assert found.frame["known_assumed"].to_list() == [True, True]


def test_a_time_of_report_that_cannot_be_read_is_named() -> None:
    found = converted({"报送": ["昨天"], "CF_JDRQ": ["2024-01-01"]}, known_at={"from": "报送"})
    assert found.problems.select("rule", "column", "value").rows() == [("F01", "known_at", "昨天")]


# map, otherwise, extract, formats


def test_a_map_translates_and_leaves_the_rest() -> None:
    columns = {"procedure": {"from": "程序", "map": {"简易": "simple", "一般": "ordinary"}}}
    found = cells("procedure", {"程序": ["简易", "一般", "听证", None]}, columns=columns)
    assert found == ["simple", "ordinary", "听证", None]


def test_otherwise_is_for_unknown_values_and_never_for_missing_ones() -> None:
    columns = {"procedure": {"from": "程序", "map": {"简易": "simple"}, "otherwise": "ordinary"}}
    found = cells("procedure", {"程序": ["简易", "听证", None, "/"]}, columns=columns)
    assert found == ["simple", "ordinary", None, None]


def test_a_map_may_name_words_for_nothing_and_wide_characters() -> None:
    columns = {"procedure": {"from": "程序", "map": {"无": "ordinary", "Ａ类": "simple"}}}
    found = cells("procedure", {"程序": ["无", "Ａ类", "A类", "/"]}, columns=columns)
    assert found == ["ordinary", "simple", "simple", None]


def test_a_map_feeds_flags() -> None:
    columns = {"published": {"from": "公示", "map": {"已公示": "是", "不予公示": "否"}}}
    assert cells("published", {"公示": ["已公示", "不予公示", "否"]}, columns=columns) == [
        True,
        False,
        False,
    ]


def test_an_extract_takes_the_first_group() -> None:
    columns = {"document_number": {"from": "说明", "extract": r"文号[:：](\S+)"}}
    assert cells("document_number", {"说明": ["文号：沈罚1号 备", "没有"]}, columns=columns) == [
        "沈罚1号",
        None,
    ]


def test_an_extract_works_on_columns_stored_as_numbers() -> None:
    columns = {"fine_amount": {"from": "a", "extract": r"^(\d)"}}
    assert cells("fine_amount", {"a": [29.5, 31.5]}, columns=columns) == [2, 3]


def test_formats_of_a_column() -> None:
    columns = {"happened_on": {"from": "日", "formats": ["%d/%m/%Y"]}}
    found = converted({"日": ["05/01/2024", "2024-01-05"]}, columns=columns)
    assert found.frame["happened_on"].to_list() == [dt.date(2024, 1, 5), None]
    assert found.problems["rule"].to_list() == ["F01"]


def test_the_first_heading_with_a_value_wins() -> None:
    columns = {"remark": ["甲", "乙"]}
    assert cells("remark", {"甲": ["1", "无"], "乙": ["2", "3"]}, columns=columns) == ["1", "3"]


def test_lists_are_split_at_any_separator() -> None:
    columns = {"罚": ["罚款;没收违法所得", "03；08", None]}
    found = converted(columns, columns={"penalty_kinds": "罚"})
    kinds = found.frame["penalty_kinds"].to_list()
    assert kinds == [["03", "04"], ["03", "08"], None] or kinds[0] == ["03", "04"]


def test_stored_lists_arrive() -> None:
    assert cells("penalty_kinds", {"a": [["03", "08"]]}, columns={"penalty_kinds": "a"}) == [
        ["03", "08"]
    ]


def test_placeholder_codes_are_no_codes() -> None:
    found = converted({"CF_XDR_SHXYM": ["00000000000000000X", "９１２１０１０２ma0000018t", "无"]})
    assert found.frame["uscc"].to_list() == [None, "91210102MA0000018T", None]
    assert found.problems.is_empty()


# Constants


@pytest.mark.parametrize(
    ("target", "field", "value", "typed"),
    [
        ("penalty", "region", "210100", "210100"),
        ("penalty", "valid_to", "2099/12/31", dt.date(2099, 12, 31)),
        ("penalty", "published", "是", True),
        ("penalty", "max_months", "36", 36),
        ("penalty", "fine_amount", "1.5万元", 15000),
        ("penalty", "penalty_kinds", "03;08", ["03", "08"]),
        ("penalty", "source_id", "007", "007"),
    ],
)
def test_constants_of_every_type(target: str, field: str, value: str, typed: object) -> None:
    found = cells(field, {"a": ["x", "y"]}, target=target, constants={field: value})
    assert found == [typed, typed]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("valid_to", "2023-02-29"),
        ("published", "也许"),
        ("max_months", "3.5"),
        ("fine_amount", "x"),
    ],
)
def test_a_constant_of_another_type_is_an_error(field: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"the constant {field}: '{value}' is no .*correct it"):
        converted({"a": ["x"]}, constants={field: value})


def test_no_rows_convert_to_no_rows() -> None:
    found = converted(
        {"CF_JDRQ": pl.Series([], dtype=pl.String), "罚款金额": pl.Series([], dtype=pl.Float64)}
    )
    assert found.frame.is_empty()
    assert found.problems.is_empty()
    assert set(plan().contract.columns) - set(found.frame.columns) == {
        *("record_id", "subject_id", "source_ref", "findings"),
    }


# where


def selected(where: str) -> list[int]:
    frame = numbered(pl.DataFrame({"状态": ["有效", "撤销", None], "a b": [1, 2, 3]}), 2)
    return select_rows(frame, plan(where=where))[LINE].to_list()


@pytest.mark.parametrize(
    ("where", "lines"),
    [
        ("状态 <> '撤销'", [2]),
        ("状态 IS NULL OR 状态 = '有效'", [2, 4]),
        ('"a b" BETWEEN 2 AND 3', [3, 4]),
        ("状态 LIKE '%效'", [2]),
        ("状态 IN ('撤销')", [3]),
        ("1 = 1", [2, 3, 4]),
    ],
)
def test_where_takes_rows(where: str, lines: list[int]) -> None:
    assert selected(where) == lines


@pytest.mark.parametrize(
    "where",
    [
        *("状态", "状态 = ", "没有的列 = 1", "1", "SELECT 1", "状态 = '有效'; DROP TABLE x", ""),
        *("状态 IN (SELECT 状态 FROM read_csv('/etc/passwd'))", "read_csv('/etc/passwd') = 1"),
        *("EXISTS (SELECT * FROM read_parquet('x'))", "foo(状态)", 'SUM("a b")'),
        *("EXISTS (FROM read_csv('/etc/passwd'))", "状态 IN (FROM read_csv('/etc/passwd'))"),
    ],
)
def test_a_condition_that_is_none_is_a_clear_error(where: str) -> None:
    with pytest.raises(ConfigError, match=r"source 's': 'where' cannot be applied.* 状态, a b"):
        selected(where)


def test_a_null_otherwise_drops_what_the_map_does_not_name() -> None:
    columns = {"procedure": {"from": "程序", "map": {"简易": "simple"}, "otherwise": None}}
    assert cells("procedure", {"程序": ["简易", "别的", None]}, columns=columns) == [
        "simple",
        None,
        None,
    ]


def test_days_after_a_column_are_an_assumption() -> None:
    known = {"from": "立案日期", "days": 30}
    frame = converted({"立案日期": ["2024-01-01", "2024/2/1"]}, known_at=known).frame
    assert frame["known_assumed"].to_list() == [True, True]
    days = frame["known_at"].dt.convert_time_zone("Asia/Shanghai").dt.date().to_list()
    assert days == [dt.date(2024, 1, 31), dt.date(2024, 3, 2)]


def test_ownership_is_read_from_its_words() -> None:
    owned = cells(
        "ownership", {"所有制": ["国有企业"]}, target="subject", columns={"ownership": "所有制"}
    )
    assert owned == ["国有"]


# When it was known

ASSUMED: dict[str, object] = {"after": "happened_on", "days": 9}


def known(days: Cells, known_at: Mapping[str, object]) -> Cells:
    columns = {"CF_JDRQ": ["2024-01-01"] * len(days), "报送": days}
    if known_at == ASSUMED:
        columns = {"CF_JDRQ": days}
    return converted(columns, known_at=known_at).frame["known_at"].to_list()


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("1986-05-04 02:30", dt.datetime(1986, 5, 3, 18, tzinfo=dt.UTC)),
        ("1949-10-01", dt.datetime(1949, 9, 30, 16, tzinfo=dt.UTC)),
        ("1986-09-14 00:30", dt.datetime(1986, 9, 13, 15, 30, tzinfo=dt.UTC)),
    ],
)
def test_a_time_that_summer_time_left_out_is_the_end_of_the_gap(
    written: str, instant: dt.datetime
) -> None:
    assert known([written], {"from": "报送"}) == [instant]


def test_every_midnight_can_be_assumed() -> None:
    """On 1947-04-15 and 1949-05-01 the clocks of Shanghai had none."""
    days = [dt.date(1940, 1, 1) + dt.timedelta(n) for n in range(20_000)]
    local = pl.Series(days).cast(pl.Datetime("us"))
    instants = clean.from_shanghai(local)
    assert instants.null_count() == 0
    back = instants.dt.convert_time_zone("Asia/Shanghai")
    assert back.dt.date().to_list() == days
    assert set(back.dt.hour()) == {0, 1}
    assert known([dt.date(1947, 4, 6), dt.date(1949, 4, 22)], ASSUMED) == [None, None]


@pytest.mark.parametrize(
    "sentinel", ["0001-01-01", "1900-01-01", "1949-09-30", "2026-06-03", "9999-12-31 23:59:59"]
)
def test_a_time_of_report_outside_all_records_is_named(sentinel: str) -> None:
    columns = {"报送": ["2024-01-02", sentinel], "CF_JDRQ": ["2024-01-01"] * 2}
    for how in ({"from": "报送"}, {"from": "报送", "days": 3}):
        found = converted(columns, known_at=how)
        assert found.frame["known_at"][1] is None
        assert found.problems.select(LINE, "rule", "column", "value").rows() == [
            (3, "F01", "known_at", sentinel)
        ]


def test_nothing_is_known_later_than_the_run_began() -> None:
    """Clocks may differ by a day; an assumption may reach into the future."""
    assert known(["2026-06-02 07:00"], {"from": "报送"}) == [STARTED]
    assert known(["2026-05-30", "2026-06-01", "2099-01-01", "9999-12-31"], ASSUMED) == [STARTED] * 4
    assert known(["2026-05-01"], {"on": "2027-01-01"}) == [STARTED]
    assert known([dt.date(1, 1, 1), dt.date(9999, 12, 31)], ASSUMED) == [None, STARTED]


def test_durations_become_text() -> None:
    assert cells("remark", {"备注": [dt.timedelta(days=1), None]}) == ["P1D", None]


def test_messages_show_few_headings_and_no_personal_ones() -> None:
    number, mobile = "11010519491231002X", "13912345678"
    columns = {number: [1], mobile: [1], "长" * 99: [1]} | {f"列{n}": [1] for n in range(40)}
    frame = numbered(pl.DataFrame(columns), 2)
    with pytest.raises(ConfigError) as caught:
        select_rows(frame, plan(where="不是条件"))
    with pytest.raises(SourceError) as absent:
        assign(plan(columns={"remark": "没有"}), frame.columns)
    for said in (str(caught.value), str(absent.value)):
        assert number not in said
        assert mobile not in said
        assert "长" * 41 not in said
        assert "and 23 more" in said


def test_an_error_quotes_no_value_of_a_cell() -> None:
    frame = numbered(pl.DataFrame({"a": ["某某的住址"]}), 2)
    with pytest.raises(ConfigError, match="cannot be applied: conversion") as caught:
        select_rows(frame, plan(where="CAST(a AS INT) > 1"))
    assert "某某" not in str(caught.value)
