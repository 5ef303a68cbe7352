"""Conditions judge one row of one table, and say what is wrong when they cannot."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from models.records.contracts import CONTRACTS
from models.scenarios.where import FUNCTIONS, VARIABLES, allowed_values, parse

INSPECTION = CONTRACTS["inspection"]
PENALTY = CONTRACTS["penalty"]
ROWS = pl.DataFrame(
    {
        "a": ["fail", "pass", None, "it's", "文化市场"],
        "n": [1.0, 2.5, None, -3.0, 0.0],
        "on": [date(2024, 1, 1), date(2024, 6, 30), None, date(2025, 12, 31), date(2023, 2, 28)],
        "flag": [True, False, None, True, False],
        "kinds": [["03"], ["03", "08"], None, [], ["99"]],
    }
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a == 'fail'", [0]),
        ("a = 'fail' or a = 'pass'", [0, 1]),
        ("a != 'fail'", [1, 3, 4]),
        ("not a = 'fail'", [1, 3, 4]),
        ("a in ('fail', 'pass')", [0, 1]),
        ("a not in ('fail', 'pass')", [3, 4]),
        ("a is null", [2]),
        ("a = 'it''s'", [3]),
        ("a like '%文化%'", [4]),
        ("n between 0 and 2.5", [0, 1, 4]),
        ("n * 2 - 1 > .5e0", [0, 1]),
        ("abs(n) >= 2.5", [1, 3]),
        ("\"a\" = 'pass'", [1]),
        ("on >= date '2024-01-01'", [0, 1, 3]),
        ("year(on) = 2024 and month(on) <= 6", [0, 1]),
        ("on > as_of", [1, 3]),
        ("on > as_of - interval '90 days'", [0, 1, 3]),
        ("on <= due", [0, 1, 4]),
        ("flag", [0, 3]),
        ("not flag", [1, 4]),
        ("flag is true", [0, 3]),
        ("array_contains(kinds, '03')", [0, 1]),
        ("case when n > 0 then a = 'fail' else flag end", [0, 3]),
        ("coalesce(a, 'x') = 'x'", [2]),
        ("regexp_like(a, '^f')", [0]),
        ("a ~ '^f'", [0]),
        ("left(a, 2) = '文化'", [4]),
    ],
)
def test_rows_that_are_meant(text: str, kept: list[int]) -> None:
    frame = ROWS.with_row_index("row").lazy()
    met = parse(text).keep(frame, as_of=date(2024, 2, 29), due=date(2024, 12, 31)).collect()
    assert met["row"].to_list() == kept
    assert met.columns == ["row", *ROWS.columns]


@pytest.mark.parametrize(
    "text",
    [
        "sum(n) > 1", "count(*) > 1", "max(n) over (partition by a) = n", "first(a) = 'x'",
        "a in (select 1)", "exists (select 1)", "row_number() over (order by n) = 1",
        "read_csv('x')", "unnest(kinds) = '03'", "lag(a) = 'x'", "columns('.*') > 1",
        "n::int > 1", "cast(a as date) > date '2020-01-01'", "now() > on",
        "a = 1; drop table x", "a = 'x' -- and the rest", "t.a = 'x'", "a -> 'x'", "`a` = 'x'",
        "*", "", "  ", "a = 'x' or", "a == = 'x'", "'a' = 'a'", "1 = 1", "true", "(a = 'x'",
        "on > date '2024-13-01'", "a ＝ 'x'", "a = “x”", "x" * 5000,
    ],
)  # fmt: skip
def test_what_is_not_of_the_language_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


def test_a_clock_is_taken_for_a_column_that_no_table_has() -> None:
    assert parse("current_date > happened_on").problems(INSPECTION) == [
        "table 'inspection' has no column 'current_date'; allowed: "
        + ", ".join(sorted(INSPECTION.columns))
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("reslt == 'fail'", ["'reslt'", "did you mean 'result'?"]),
        ("result == 'failed'", ["never holds 'failed'", "did you mean 'fail'?"]),
        ("result not in ('pass', 'fial')", ["never holds 'fial'", "did you mean 'fail'?"]),
        ("happened_on > '2024-01-01'", ["date '2025-01-31'"]),
        ("inclusion_probability = 'high'", ["cannot be judged"]),
        ("result", ["gives String, not true or false"]),
        ("problem ~ '('", ["cannot be judged"]),
        ("due > happened_on", ["no column 'due'"]),
        ("known_at < as_of", ["compares an instant with a date", "such as happened_on"]),
        ("as_of >= known_at", ["compares a date with an instant"]),
        ("happened_on > 20240101", ["compares a date with a number", "date '2025-01-31'"]),
        ("happened_on between 1 and as_of", ["compares a date with a number"]),
        ("as_of - happened_on > 90", ["a length of time with a number", "interval '90 days'"]),
        ("inclusion_probability / 0 > 1", ["divides by nought"]),
        ("inclusion_probability % (1 - 1) = 0", ["divides by nought"]),
        ("not result", ["cannot be judged"]),
        ("regexp_like(result, authority || '(')", ["pattern comes from a column"]),
        ("happened_on > as_of - interval '99999999999 year'", ["cannot be judged"]),
        ("'Fail' = result", ["never holds 'Fail'", "did you mean 'fail'?"]),
        ("matter = 'x' or 'passed' <> result", ["never holds 'passed'"]),
    ],
)
def test_problems_name_the_value_and_what_would_be_right(text: str, words: list[str]) -> None:
    (problem,) = parse(text).problems(INSPECTION, variables=["as_of"])
    assert [word for word in words if word not in problem] == []


@pytest.mark.parametrize(
    "text",
    [
        "as_of - happened_on > interval '90 days'", "happened_on > as_of - interval '365 days'",
        "inclusion_probability / 2 > 0.1", "'x' = matter || 'y'", "'fail' = result",
        "case when happened_on is null then 'a' = matter else matter = 'b' end",
        "regexp_like(matter, '^a' || 'b')", " or ".join(["matter = 'x'"] * 100),
    ],
)  # fmt: skip
def test_what_goes_together_is_let_pass(text: str) -> None:
    assert parse(text).problems(INSPECTION, variables=["as_of"]) == []


def test_a_condition_nested_too_deeply_is_told_to_be_shorter() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse(" or ".join(["length(matter) = 1"] * 150))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("length(a) - 10 > 0", []),
        ("length(a) - 10 < 0", [0, 1, 3, 4]),
        ("strpos(a, 's') - 4 = 0", [3]),
        ("a is not null and strpos(a, 's') - 4 < 0", [0, 1, 4]),
        ("strpos(a, '.') > 0", []),
        ("a is not null and strpos(a, '(') = 0", [0, 1, 3, 4]),
        ("month(on) * 100 > 0", [0, 1, 3, 4]),
        ("date_part('month', on) * 100 = 1200", [3]),
        ("year(on) * 10000000 > 0", [0, 1, 3, 4]),
    ],
)
def test_numbers_do_not_wrap_and_places_are_of_plain_text(text: str, kept: list[int]) -> None:
    assert parse(text).keep(ROWS.with_row_index("row").lazy()).collect()["row"].to_list() == kept


def test_lists_are_asked_for_what_they_contain() -> None:
    assert parse("array_contains(penalty_kinds, '08')").problems(PENALTY) == []
    (problem,) = parse("penalty_kinds = '08'").problems(PENALTY)
    assert "array_contains(penalty_kinds, 'value')" in problem
    (problem,) = parse("array_contains(penalty_kinds, '8')").problems(PENALTY)
    assert "never holds '8'" in problem


def test_the_values_of_an_enumeration_are_known_and_of_free_text_are_not() -> None:
    assert allowed_values(INSPECTION, "result") == ("pass", "fail", "excluded")
    assert allowed_values(PENALTY, "penalty_kinds")
    assert allowed_values(INSPECTION, "problem") is None
    assert allowed_values(INSPECTION, "no_such_column") is None


SAMPLES = {
    "abs": "abs(n) > 1", "array_contains": "array_contains(kinds, '03')", "ceil": "ceil(n) > 1",
    "char_length": "char_length(a) > 1", "coalesce": "coalesce(a, 'x') = 'x'",
    "date_part": "date_part('year', on) = 2024", "ends_with": "ends_with(a, 's')",
    "floor": "floor(n) > 1", "greatest": "greatest(n, 1) > 1", "least": "least(n, 1) > 0",
    "left": "left(a, 1) = 'f'", "length": "length(a) > 4", "lower": "lower(a) = 'fail'",
    "month": "month(on) = 6", "nullif": "nullif(a, 'fail') is null",
    "regexp_like": "regexp_like(a, 'i')", "right": "right(a, 1) = 's'", "round": "round(n) > 1",
    "starts_with": "starts_with(a, 'f')", "strpos": "strpos(a, 's') > 0",
    "substr": "substr(a, 1, 1) = 'f'", "trim": "trim(a) = 'fail'", "upper": "upper(a) = 'FAIL'",
    "year": "year(on) = 2024",
}  # fmt: skip


def test_every_function_has_a_sample() -> None:
    assert SAMPLES.keys() == FUNCTIONS


@given(st.lists(st.integers(0, ROWS.height - 1), max_size=6), st.sampled_from(sorted(SAMPLES)))
def test_a_row_is_judged_by_itself(rows: list[int], function: str) -> None:
    condition = parse(SAMPLES[function])
    alone = [condition.mark(ROWS[row].lazy(), "met").collect()["met"][0] for row in rows]
    together = condition.mark(ROWS[rows].lazy(), "met").collect()["met"].to_list()
    assert together == alone


def test_variables_are_not_columns() -> None:
    condition = parse("happened_on > as_of and happened_on <= due")
    assert condition.columns == {"happened_on"}
    assert condition.names == {"happened_on", *VARIABLES}
