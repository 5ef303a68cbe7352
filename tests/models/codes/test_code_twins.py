"""Every scalar function and its Polars expression say the same about any text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.codes import (
    citizen,
    enterprise_types,
    industries,
    masking,
    organisation,
    penalty_kinds,
    regions,
    registration,
    registration_status,
    uscc,
)

TODAY = date(2026, 1, 1)
TWINS: dict[str, tuple[Callable[[str | None], object], Callable[[str], pl.Expr]]] = {
    "uscc.normalise": (uscc.normalise, uscc.normalise_expr),
    "uscc.is_placeholder": (uscc.is_placeholder, uscc.is_placeholder_expr),
    "uscc.check_symbol": (uscc.check_symbol, uscc.check_symbol_expr),
    "uscc.is_valid": (uscc.is_valid, uscc.is_valid_expr),
    "uscc.prefix": (uscc.prefix, uscc.prefix_expr),
    "uscc.registering_region": (uscc.registering_region, uscc.registering_region_expr),
    "uscc.organisation_code": (uscc.organisation_code, uscc.organisation_code_expr),
    "uscc.subject_type": (uscc.subject_type, uscc.subject_type_expr),
    "uscc.party_category": (uscc.party_category, uscc.party_category_expr),
    "organisation.undash": (organisation.undash, organisation.undash_expr),
    "organisation.check_symbol": (organisation.check_symbol, organisation.check_symbol_expr),
    "organisation.is_valid": (organisation.is_valid, organisation.is_valid_expr),
    "registration.is_valid": (registration.is_valid, registration.is_valid_expr),
    "citizen.is_valid": (
        partial(citizen.is_valid, today=TODAY),
        partial(citizen.is_valid_expr, today=TODAY),
    ),
    "citizen.mask": (citizen.mask, citizen.mask_expr),
    "masking.find_citizen_ids": (
        partial(masking.find_citizen_ids, today=TODAY),
        partial(masking.find_citizen_ids_expr, today=TODAY),
    ),
    "masking.has_citizen_id": (
        partial(masking.has_citizen_id, today=TODAY),
        partial(masking.has_citizen_id_expr, today=TODAY),
    ),
    "masking.mask_text": (masking.mask_text, masking.mask_text_expr),
    "regions.resolve": (regions.resolve, regions.resolve_expr),
    "regions.is_known": (regions.is_known, regions.is_known_expr),
    "regions.name": (regions.name, regions.name_expr),
    "regions.full_name": (regions.full_name, regions.full_name_expr),
    "regions.level": (regions.level, regions.level_expr),
    "regions.parent": (regions.parent, regions.parent_expr),
    "regions.current": (regions.current, regions.current_expr),
    "regions.province": (regions.province, regions.province_expr),
    "regions.city": (regions.city, regions.city_expr),
    "industries.is_known": (industries.is_known, industries.is_known_expr),
    "industries.section_of": (industries.section_of, industries.section_of_expr),
    "industries.division_of": (industries.division_of, industries.division_of_expr),
    "industries.name": (industries.name, industries.name_expr),
    "enterprise_types.is_known": (enterprise_types.is_known, enterprise_types.is_known_expr),
    "enterprise_types.name": (enterprise_types.name, enterprise_types.name_expr),
    "enterprise_types.ownership": (enterprise_types.ownership, enterprise_types.ownership_expr),
    "registration_status.parse": (registration_status.parse, registration_status.parse_expr),
    "registration_status.is_scored": (
        registration_status.is_scored,
        registration_status.is_scored_expr,
    ),
    "penalty_kinds.split": (penalty_kinds.split, penalty_kinds.split_expr),
}

USCC = "91350100M000100Y43"
KNOWN = (
    None,
    "",
    " ",
    "\t\n",
    "😀",
    "😀" * 5,
    "中" * 6,
    "中" * 3,
    "x" * 200,
    "0" * 18,
    "0" * 17 + "X",
    "000000000",
    "00000000-0",
    USCC,
    USCC.lower(),
    USCC + "\n",
    f"　{USCC}\u200b",
    "９１３５０１００Ｍ０００１００Ｙ４３",
    "D2143569X",
    "D2143569-X",
    "D2143569-X\n",
    "210100000000019",
    "21010000000001９",
    "11010519491231002X",
    "11010519490230002X",
    "号11010519491231002X，11010519491231002x;13800000000-024-23456789",
    "210102",
    "210199",
    "210122",
    "110105",
    "990000",
    "100000",
    "C1495",
    "A1495",
    "c",
    "1130",
    "1159",
    "170",
    "有限责任公司（港澳台法人独资）",
    "吊销，未注销",
    "在营（开业）企业",
    "警告;罚款",
    "罚款2,000元、责令改正",
    "法人",
    "/",
    "无",
)
SYMBOLS = (
    "0123456789ABCDXYZIOSVxyz-/ \t\n_;,、；，()（）０９ＡＸ\u200b\ufeff\u00ad"
    "号罚款没收注销有限责任ßéµ😀"
)
TEXTS = st.one_of(
    st.sampled_from(KNOWN),
    st.text(SYMBOLS, max_size=40),
    st.text(uscc.ALPHABET, min_size=17, max_size=19),
    st.text("0123456789X", min_size=13, max_size=19),
    st.text("0123456789", min_size=2, max_size=7),
)


@pytest.mark.parametrize("twin", TWINS)
def test_twins_agree_on_known_dirt(twin: str) -> None:
    scalar, expression = TWINS[twin]
    frame = pl.DataFrame({"text": KNOWN}, schema={"text": pl.String})
    assert frame.select(expression("text")).to_series().to_list() == [scalar(v) for v in KNOWN]


@pytest.mark.parametrize("twin", TWINS)
@given(values=st.lists(TEXTS, max_size=30))
@settings(max_examples=25, deadline=None)
def test_twins_agree_on_any_text(twin: str, values: list[str | None]) -> None:
    scalar, expression = TWINS[twin]
    frame = pl.DataFrame({"text": values}, schema={"text": pl.String})
    assert frame.select(expression("text")).to_series().to_list() == [scalar(v) for v in values]


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("values", [[], [None, None]])
def test_expressions_keep_their_type_without_values(twin: str, values: list[None]) -> None:
    _, expression = TWINS[twin]
    full = pl.DataFrame({"text": ["210102"]}).select(out=expression("text")).schema
    empty = pl.DataFrame({"text": values}, schema={"text": pl.String})
    result = empty.select(out=expression("text"))
    assert result.schema == full
    assert result["out"].to_list() == values


@pytest.mark.parametrize("twin", TWINS)
def test_expressions_run_lazily_in_the_streaming_engine(twin: str) -> None:
    _, expression = TWINS[twin]
    frame = pl.DataFrame({"text": KNOWN}, schema={"text": pl.String})
    lazy = frame.lazy().select(out=expression("text"))
    assert lazy.collect_schema() == frame.select(out=expression("text")).schema
    assert lazy.collect(engine="streaming").equals(frame.select(out=expression("text")))


def test_rows_keep_their_place_over_many_batches() -> None:
    rows = 200_000
    frame = pl.DataFrame({"row": pl.int_range(rows, eager=True)}).with_columns(
        code=pl.when(pl.col("row") % 3 == 0)
        .then(pl.lit(USCC))
        .when(pl.col("row") % 3 == 1)
        .then(pl.lit("　９" + USCC[1:]))
    )
    checked = frame.with_columns(
        valid=uscc.is_valid_expr("code"), normal=uscc.normalise_expr("code")
    )
    expected = pl.Series([True, False, None]).gather(frame["row"] % 3)
    assert checked["valid"].equals(expected, check_names=False)
    assert checked["normal"].null_count() == rows // 3
    assert checked["normal"].drop_nulls().unique().to_list() == [USCC]
