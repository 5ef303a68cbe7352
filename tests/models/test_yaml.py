"""A declaration file that is wrong says where, why, and what was probably meant."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from models import yaml as declarations
from models.errors import ConfigError


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Term(Frozen):
    months: int
    happened_on: date | None = None


class Shape(Frozen):
    kind: Literal["circle", "square"] = "circle"
    colour: Colour = Colour.RED
    size: Annotated[float, Field(gt=0)] = 1.0


class Sheet(Frozen):
    title: str
    terms: tuple[Term, ...] = ()
    shapes: dict[str, Shape] = {}
    maybe: Annotated[Term, Field()] | Shape | None = None
    renamed: int = Field(default=1, alias="wild name")
    optional: bool = False

    @model_validator(mode="after")
    def _short(self) -> Sheet:
        if len(self.terms) > 3:
            raise ValueError("at most three terms; remove some")
        return self


class Names(RootModel[list[Term]]):
    pass


def message(text: str, model: type[BaseModel] = Sheet) -> str:
    with pytest.raises(ConfigError) as caught:
        declarations.parse(text, "file.yaml").check(model)
    return str(caught.value)


def test_a_right_file_becomes_its_model(tmp_path: Path) -> None:
    path = tmp_path / "sheet.yaml"
    path.write_text(
        "title: 检查\nterms:\n  - {months: 3, happened_on: 2026-04-01}\nshapes: {a: {size: 1e1}}\n",
        encoding="utf-8",
    )
    assert declarations.load(path, Sheet) == Sheet(
        title="检查",
        terms=(Term(months=3, happened_on=date(2026, 4, 1)),),
        shapes={"a": Shape(size=10.0)},
    )


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "sheet.yaml"
    path.write_bytes(b"\xef\xbb\xbftitle: a\n")
    assert declarations.load(path, Sheet).title == "a"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("on", "on"),
        ("2026-04-01", "2026-04-01"),
        ("010", "010"),
        ("12:30", "12:30"),
        ("0x1F", "0x1F"),
        ("e5", "e5"),
        (".", "."),
        ("1_000", "1_000"),
        ("911100001234567890123", "911100001234567890123"),
        ("'12'", "12"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("-3", -3),
        ("0", 0),
        ("1.50", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("<<", "<<"),
    ],
)
def test_scalars_follow_the_core_schema(written: str, meant: object) -> None:
    data = declarations.parse(f"k: {written}", "f").data
    assert isinstance(data, dict)
    assert data["k"] == meant
    assert type(data["k"]) is type(meant)


def test_an_unknown_key_gets_the_nearest_right_name() -> None:
    text = "title: a\nterms:\n  - months: 1\n  - months: 2\n    hapened_on: 2026-01-01\n"
    assert message(text) == ("file.yaml:5: unknown key 'hapened_on'; did you mean 'happened_on'?")


def test_an_unknown_key_without_a_near_name_lists_the_allowed() -> None:
    assert message("title: a\nshapes:\n  a:\n    zzz: 1\n") == (
        "file.yaml:4: unknown key 'zzz'; allowed: colour, kind, size"
    )


def test_an_alias_is_the_allowed_name() -> None:
    assert message("title: a\nwildname: 2\n").endswith("did you mean 'wild name'?")


def test_an_unknown_key_in_a_union_is_found_under_its_real_path() -> None:
    text = message("title: a\nmaybe:\n  size: 2\n  colr: red\n")
    assert "file.yaml:4: unknown key 'colr'; did you mean 'colour'?" in text


def test_a_root_model_may_be_a_list() -> None:
    assert declarations.parse("- months: 1\n", "f").check(Names).root == [Term(months=1)]
    assert message("- months: 1\n- month: 1\n", Names) == (
        "file.yaml:2: missing key 'months' in '1'\n"
        "file.yaml:2: unknown key 'month'; did you mean 'months'?"
    )


def test_every_problem_is_told_in_order_of_lines() -> None:
    text = "terms:\n- months: [7]\nshapes:\n  a:\n    size: 0\noptional: 7\n"
    assert message(text).splitlines() == [
        "file.yaml:1: missing key 'title'",
        "file.yaml:2: terms.0.months: input should be a valid integer, got [7]",
        "file.yaml:5: shapes.a.size: input should be greater than 0, got 0",
        "file.yaml:6: optional: input should be a valid boolean, unable to interpret input, got 7",
    ]


def test_a_flood_of_problems_is_cut() -> None:
    text = "title: a\n" + "".join(f"k{i}: 1\n" for i in range(50))
    lines = message(text).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "file.yaml: 30 more problems"


def test_a_missing_key_names_its_parent() -> None:
    assert message("title: a\nterms:\n  - happened_on: 2026-01-01\n") == (
        "file.yaml:3: missing key 'months' in 'terms.0'"
    )


def test_a_wrong_choice_gets_the_nearest_right_one() -> None:
    assert message("title: a\nshapes:\n  x: {kind: circel}\n") == (
        "file.yaml:3: shapes.x.kind: 'circel' is not allowed; did you mean 'circle'?"
    )
    assert message("title: a\nshapes:\n  x:\n    colour: blue\n") == (
        "file.yaml:4: shapes.x.colour: 'blue' is not allowed; allowed: green, red"
    )


def test_a_number_for_text_is_told_to_be_quoted() -> None:
    assert message("title: 210100\n") == (
        "file.yaml:1: title: expected text, got 210100; put it in quotes"
    )


def test_an_impossible_date_is_a_clear_error() -> None:
    text = message("title: a\nterms:\n  - months: 1\n    happened_on: 2023-13-40\n")
    assert text.startswith("file.yaml:4: terms.0.happened_on: ")
    assert "'2023-13-40'" in text


def test_a_validator_of_the_model_speaks_for_itself() -> None:
    text = "title: a\nterms: [{months: 1}, {months: 1}, {months: 1}, {months: 1}]\n"
    assert message(text) == "file.yaml:1: at most three terms; remove some"


def test_a_long_value_is_shortened() -> None:
    assert len(message(f"title: a\noptional: {'x' * 5000}\n")) < 250


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title: [a\n", "file.yaml:2: not YAML: "),
        ("title: a\n\tterms: 1\n", "; indent with spaces, not tabs"),
        ("title: a\nterms：1\nx: 2\n", "; write ':' and a space instead of '：'"),
        ("title: 'a\n", "not YAML: "),
        ("a: 1\n---\nb: 2\n", "file.yaml:2: not YAML: "),
        ("a: \x07\n", "file.yaml:1: not YAML: "),
        ("a: *nobody\n", "not YAML: "),
    ],
)
def test_broken_syntax_names_the_line(text: str, expected: str) -> None:
    assert expected in message(text)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a remark\n", "---\n"])
def test_an_empty_file_says_so(text: str) -> None:
    assert message(text) == "file.yaml:1: the file is empty"


def test_a_list_where_keys_belong_names_the_keys() -> None:
    assert message("- a\n- b\n") == (
        "file.yaml:1: expected the keys title, terms, shapes, maybe, wild name, optional; "
        "got a list"
    )


def test_bare_text_is_not_a_declaration() -> None:
    assert message("title：检查\n") == (
        "file.yaml:1: expected keys, got only 'title：检查'; write ':' and a space instead of '：'"
    )


def test_a_repeated_key_is_an_error() -> None:
    assert message("title: a\nshapes:\n  a: {}\n  b: {}\n  a: {}\n") == (
        "file.yaml:5: key 'a' is repeated (first on line 3)"
    )


@pytest.mark.parametrize("key", ["[1, 2]", "true", "~", "1.5"])
def test_a_key_that_is_not_text_is_an_error(key: str) -> None:
    assert message(f"title: a\n{key}: 1\n") == ("file.yaml:2: a key must be text; put it in quotes")


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!include", "!!int"])
def test_tags_are_refused(tag: str) -> None:
    assert "is not allowed; write the plain value" in message(f"title: {tag} '1'\n")


def test_an_alias_repeats_a_value() -> None:
    sheet = declarations.parse(
        "title: a\nshapes:\n  a: &small {size: 0.5}\n  b: *small\n", "f"
    ).check(Sheet)
    assert sheet.shapes["a"] == sheet.shapes["b"] == Shape(size=0.5)


def test_an_alias_that_contains_itself_is_refused() -> None:
    assert message("title: &a [*a]\n") == "file.yaml:1: the alias at 'title.0' contains itself"


def test_aliases_that_multiply_are_refused() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )
    assert "the aliases expand to more than" in message(bomb)


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 5_000])
def test_deep_nesting_is_refused(text: str) -> None:
    assert message("a:\n  " + text).endswith("nested deeper than 60 levels")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file; check the path"):
        declarations.load(tmp_path / "none.yaml", Sheet)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        declarations.load(tmp_path, Sheet)


def test_another_encoding_names_byte_and_line(tmp_path: Path) -> None:
    path = tmp_path / "gbk.yaml"
    path.write_bytes("id: 1\ntitle: 检查\n".encode("gbk"))
    with pytest.raises(ConfigError, match=r"gbk\.yaml:2: byte 0xbc is not UTF-8; save"):
        declarations.load(path, Sheet)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"title: a\n" + b"#" * (1 << 20))
    with pytest.raises(ConfigError, match="larger than 1048576 bytes"):
        declarations.load(path, Sheet)


def test_a_document_gives_lines_for_checks_of_its_own() -> None:
    document = declarations.parse("title: a\nterms:\n  - months: 1\n", "file.yaml")
    assert str(document.error(("terms", 0, "months"), "too few")) == "file.yaml:3: too few"
    assert str(document.error(("terms", 7), "no such")) == "file.yaml:2: no such"


def test_nearest_ignores_case_and_may_have_nothing_to_offer() -> None:
    assert declarations.nearest("TITLE", ["title"]) == "; did you mean 'title'?"
    assert declarations.nearest("x", []) == ""


@given(text=st.text(max_size=60))
def test_any_text_is_data_or_a_config_error_with_its_source(text: str) -> None:
    outcome: declarations.Plain | ConfigError
    try:
        outcome = declarations.parse(text, "file.yaml").data
    except ConfigError as error:
        outcome = error
    told = isinstance(outcome, ConfigError) and str(outcome).startswith("file.yaml:")
    assert told or isinstance(outcome, dict | list)


@given(
    data=st.dictionaries(
        st.text("abc检-: #'\"", min_size=1, max_size=5),
        st.lists(st.text(max_size=8), max_size=3),
        min_size=1,
        max_size=4,
    )
)
def test_quoted_text_is_read_as_it_was_written(data: dict[str, list[str]]) -> None:
    quoted = {quote(k): [quote(v) for v in values] for k, values in data.items()}
    text = "".join(f"? {k}\n: [{', '.join(values)}]\n" for k, values in quoted.items())
    assert declarations.parse(text, "f").data == data


def quote(text: str) -> str:
    return '"' + "".join(f"\\U{ord(c):08x}" for c in text) + '"'
