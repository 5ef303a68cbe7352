from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.codes import organisation, uscc
from models.codes.subjects import PartyCategory, SubjectType
from models.errors import CodeError

STANDARD_EXAMPLE = "91350100M000100Y43"
SYNTHETIC = {
    "91210100YY000001XP": SubjectType.ENTERPRISE,
    "91210200YY0000028W": SubjectType.ENTERPRISE,
    "92210300YY0000036R": SubjectType.INDIVIDUAL_BUSINESS,
    "93210100YY00000447": SubjectType.COOPERATIVE,
    "11210100YY0000052G": SubjectType.STATE_ORGAN,
    "51210100YY00000607": SubjectType.SOCIAL_ORGANISATION,
}
SYMBOL = st.sampled_from(uscc.ALPHABET)
PREFIXES = st.sampled_from(["91", "92", "93", "11", "12", "51", "A1", "N2", "Y1"])
REGIONS = st.text("0123456789", min_size=6, max_size=6)
BODIES = st.text(uscc.ALPHABET, min_size=8, max_size=8).filter(lambda body: body != "0" * 8)
CODES = st.builds(uscc.make_uscc, PREFIXES, REGIONS, body=BODIES)


def test_alphabet_has_31_symbols_and_no_lookalikes() -> None:
    assert len(set(uscc.ALPHABET)) == 31
    assert not set("IOSVZ") & set(uscc.ALPHABET)


def test_weights_are_those_of_the_standard() -> None:
    assert uscc.WEIGHTS == (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


def test_standard_example() -> None:
    assert uscc.check_symbol("91350100M000100Y4") == "3"
    assert uscc.is_valid(STANDARD_EXAMPLE) is True


@pytest.mark.parametrize("code", SYNTHETIC)
def test_synthetic_codes_are_valid_and_typed(code: str) -> None:
    assert uscc.is_valid(code) is True
    assert uscc.subject_type(code) is SYNTHETIC[code]
    assert uscc.registering_region(code) == code[2:8]
    assert organisation.is_valid(uscc.organisation_code(code)) is True


@given(code=CODES)
def test_made_codes_are_valid_with_a_valid_organisation_code(code: str) -> None:
    assert uscc.is_valid(code) is True
    assert organisation.is_valid(uscc.organisation_code(code)) is True


@given(code=CODES, place=st.integers(0, 17), symbol=SYMBOL)
def test_any_single_change_is_found(code: str, place: int, symbol: str) -> None:
    changed = code[:place] + symbol + code[place + 1 :]
    assert uscc.is_valid(changed) is (changed == code)


@given(code=CODES, place=st.integers(0, 17), symbol=st.sampled_from("IOSVZabcxyz-*中"))
def test_foreign_symbols_are_never_valid(code: str, place: int, symbol: str) -> None:
    assert uscc.is_valid(code[:place] + symbol + code[place + 1 :]) is False


def test_letters_are_valued_by_the_table_not_by_their_ordinal() -> None:
    # ord(c) - 55 gives J 19 instead of 18, and every letter after it a wrong value.
    body = "91210100J0000000J"
    by_ordinal = sum(
        (int(c) if c.isdigit() else ord(c) - 55) * w
        for c, w in zip(body, uscc.WEIGHTS, strict=True)
    )
    assert uscc.check_symbol(body) != uscc.ALPHABET[-by_ordinal % 31]


@pytest.mark.parametrize("code", ["0" * 17 + "X", "0" * 18, "", "无", "不祥", "/", " — ", "null"])
def test_placeholders_are_missing(code: str) -> None:
    assert uscc.normalise(code) is None
    assert uscc.is_placeholder(code) is True
    assert uscc.is_valid(code) is False


def test_normalise_undoes_copying() -> None:
    wild = "\ufeff ９1350100Ｍ000100y43\u200b\n"
    assert uscc.normalise(wild) == STANDARD_EXAMPLE
    assert uscc.is_placeholder(wild) is False


# Removing white space can let a letter and a combining mark meet; no code has such letters.
@given(text=st.text("09AIXaiz０９ＡＸａ-/　 \t\u200b\ufeff中😀", max_size=30))
def test_normalise_is_idempotent(text: str) -> None:
    once = uscc.normalise(text)
    assert uscc.normalise(once) == once


def test_nothing_in_nothing_out() -> None:
    assert uscc.is_valid(None) is None
    assert uscc.normalise(None) is None
    assert uscc.subject_type(None) is None
    assert uscc.is_placeholder(None) is None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (STANDARD_EXAMPLE, "市场监管·企业"),
        ("52210100YY0000070P", "民政·民办非企业单位"),
        ("31210100YY000008X0", "司法行政·律师执业机构"),
        ("94210100YY000008X0", None),
        ("nonsense", None),
    ],
)
def test_kind_name(code: str, words: str | None) -> None:
    assert uscc.kind_name(code) == words


@pytest.mark.parametrize(
    ("first_two", "kind"),
    [
        ("52", SubjectType.SOCIAL_ORGANISATION),
        ("53", SubjectType.SOCIAL_ORGANISATION),
        ("12", SubjectType.PUBLIC_INSTITUTION),
        ("31", SubjectType.OTHER),
        ("N2", SubjectType.OTHER),
    ],
)
def test_subject_type_follows_the_prefix(first_two: str, kind: SubjectType) -> None:
    assert uscc.subject_type(uscc.make_uscc(first_two, "210100", body="YY000009")) is kind


@pytest.mark.parametrize(
    ("label", "category"),
    [
        ("法人及非法人组织", PartyCategory.ORGANISATION),
        ("法人", PartyCategory.ORGANISATION),
        (" 非法人组织 ", PartyCategory.ORGANISATION),
        ("个体工商户", PartyCategory.INDIVIDUAL_BUSINESS),
        ("自然人", PartyCategory.NATURAL_PERSON),
        ("其他", None),
        ("", None),
        (None, None),
    ],
)
def test_party_category(label: str | None, category: PartyCategory | None) -> None:
    assert uscc.party_category(label) is category


AGREEMENT = [
    ("个体工商户", "92210300YY0000036R", True),
    ("法人及非法人组织", "92210300YY0000036R", False),
    ("法人及非法人组织", "91210100YY000001XP", True),
    ("法人", "11210100YY0000052G", True),
    ("个体工商户", "91210100YY000001XP", False),
    ("自然人", None, True),
    ("自然人", "91210100YY000001XP", False),
    ("法人及非法人组织", None, None),
    ("法人及非法人组织", "broken", None),
    ("外星人", "91210100YY000001XP", None),
    (None, None, None),
]


@pytest.mark.parametrize(("category", "code", "agrees"), AGREEMENT)
def test_category_agrees(category: str | None, code: str | None, agrees: bool | None) -> None:
    assert uscc.category_agrees(category, code) is agrees


def test_category_agrees_on_columns() -> None:
    frame = pl.DataFrame(AGREEMENT, schema=["category", "code", "agrees"], orient="row")
    result = frame.select(uscc.category_agrees_expr("category", "code")).to_series()
    assert result.to_list() == frame["agrees"].to_list()


@pytest.mark.parametrize(
    "parts",
    [
        ("9", "1210100", "YY000001"),
        ("91", "21010", "YY000001"),
        ("91", "210100", "YY00001"),
        ("91", "21010A", "YY000001"),
        ("91", "210100", "IO000001"),
        ("01", "210100", "YY000001"),
        ("911", "21010", "YY000001"),
    ],
)
def test_wrong_parts_make_no_code(parts: tuple[str, str, str]) -> None:
    first_two, region, body = parts
    with pytest.raises(CodeError, match="no 统一社会信用代码 can be made"):
        uscc.make_uscc(first_two, region, body=body)
    frame = pl.DataFrame([parts], schema=["kind", "region", "body"], orient="row")
    made = frame.select(uscc.make_uscc_expr("kind", "region", body="body"))
    assert made.to_series().to_list() == [None]


@given(parts=st.lists(st.tuples(PREFIXES, REGIONS, BODIES), max_size=20))
@settings(max_examples=40)
def test_making_codes_by_column_is_making_them_one_by_one(
    parts: list[tuple[str, str, str]],
) -> None:
    schema = dict.fromkeys(["kind", "region", "body"], pl.String)
    frame = pl.DataFrame(parts, schema=schema, orient="row")
    made = frame.select(uscc.make_uscc_expr("kind", "region", body="body")).to_series().to_list()
    assert made == [uscc.make_uscc(kind, region, body=body) for kind, region, body in parts]
