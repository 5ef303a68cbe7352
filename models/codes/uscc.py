"""统一社会信用代码 (GB 32100-2015): the 18 symbols that name a legal person or organisation.

Positions: 1 registering department, 2 kind, 3-8 region of the *registering* organ (never the
address), 9-17 organisation code (GB 11714), 18 check symbol.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

import polars as pl

from models.codes import organisation
from models.codes.columns import (
    FORBIDDEN,
    Column,
    as_text,
    by_batch,
    by_distinct,
    fixed_width,
    flags,
    half_width_expr,
    positions,
    symbols,
    weighted_sum,
)
from models.codes.subjects import PartyCategory, SubjectType
from models.codes.tables import Table, read_table
from models.errors import CodeError

ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""The 31 symbols; a symbol's value is its index. I, O, S, V and Z do not exist."""

WEIGHTS: Final = tuple(pow(3, place, 31) for place in range(17))

_SYMBOL = "[0-9A-HJ-NPQRTUWXY]"
# No department is numbered 0, so that a code of zeros never passes.
_BODY = rf"[1-9A-HJ-NPQRTUWXY]{_SYMBOL}[0-9]{{6}}{_SYMBOL}{{9}}"
PATTERN: Final = rf"^{_BODY}{_SYMBOL}$"
"""What a code looks like before its check symbol is computed."""

_VALUE = {symbol: value for value, symbol in enumerate(ALPHABET)}
_DIGIT = {symbol: value for value, symbol in enumerate("0123456789")}
_DEPARTMENT = {symbol: value for symbol, value in _VALUE.items() if symbol != "0"}
_ALPHABETS = (_DEPARTMENT, _VALUE, *[_DIGIT] * 6, *[_VALUE] * 9)
_BODY_TABLE = positions(_ALPHABETS, WEIGHTS)
# The check symbol makes the weighted sum of all 18 a multiple of 31, so its own weight is 1.
_CODE_TABLE = positions((*_ALPHABETS, _VALUE), (*WEIGHTS, 1))

# White space, zero-width and direction marks, soft hyphen: they come with copied cells.
_INVISIBLE = "[\\s\u001c-\u001f\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
# Sent where there is no code; 17 zeros and X is the reporting systems' own convention.
_PLACEHOLDER = (
    r"^(?:|0+X?|1{9,}|9{9,}|X+|[-/\\._*—]+"
    r"|无|暂无|没有|空|不详|不祥|未知|NULL|NONE|NAN|N/A|NA)$"
)


class _Layout(Table):
    departments: dict[str, dict[str, str]]
    subject_types: dict[str, SubjectType]
    party_labels: dict[PartyCategory, tuple[str, ...]]


@cache
def _table() -> _Layout:
    return read_table("uscc.yaml", _Layout)


@cache
def _party_spellings() -> dict[str, PartyCategory]:
    labels = _table().party_labels
    wild = {spelling: category for category, spellings in labels.items() for spelling in spellings}
    return wild | {category.value: category for category in labels}


def normalise(code: str | None) -> str | None:
    """Return ``code`` half-width, upper-case and without white space; null if it stands for none.

    Placeholders (17 zeros and ``X``, dashes, 无, …) mean that there is no code.
    """
    if code is None:
        return None
    text = re.sub(_INVISIBLE, "", unicodedata.normalize("NFKC", code)).upper()
    return None if re.fullmatch(_PLACEHOLDER, text) else text


def normalise_expr(column: Column) -> pl.Expr:
    """Return the column half-width, upper-case, without white space, placeholders as null."""
    text = half_width_expr(column).str.replace_all(_INVISIBLE, "").str.to_uppercase()
    return pl.when(~text.str.contains(_PLACEHOLDER)).then(text)


def is_placeholder(code: str | None) -> bool | None:
    """Return whether ``code`` is there but stands for no code at all."""
    return None if code is None else normalise(code) is None


def is_placeholder_expr(column: Column) -> pl.Expr:
    """Return whether each value is there but stands for no code at all."""
    text = as_text(column)
    return pl.when(text.is_not_null()).then(normalise_expr(text).is_null())


def check_symbol(body: str | None) -> str | None:
    """Return the 18th symbol that belongs to the first 17 of ``body``; null if they cannot be.

    ``C18 = 31 - (Σ Ci·Wi mod 31)``, 31 counting as 0, with ``Wi = 3^(i-1) mod 31``.
    """
    if body is None or not re.fullmatch(_BODY, body[:17]):
        return None
    total = sum(_VALUE[symbol] * weight for symbol, weight in zip(body, WEIGHTS, strict=False))
    return ALPHABET[-total % 31]


def check_symbol_expr(column: Column) -> pl.Expr:
    """Return the 18th symbol that belongs to the first 17 of each value, else null."""

    def check(series: pl.Series) -> pl.Series:
        fits, matrix = fixed_width(series, 17)
        total = weighted_sum(matrix, _BODY_TABLE)
        places = -total % 31
        places[total >= FORBIDDEN] = -1
        return symbols(series, fits, places, ALPHABET)

    return by_batch(as_text(column).str.head(17), check, pl.String())


def is_valid(code: str | None) -> bool | None:
    """Return whether a normalised ``code`` has 18 lawful symbols and the right check symbol."""
    if code is None:
        return None
    return len(code) == 18 and check_symbol(code) == code[17]


def is_valid_expr(column: Column) -> pl.Expr:
    """Return whether each normalised value is a code with the right check symbol."""

    def check(series: pl.Series) -> pl.Series:
        fits, matrix = fixed_width(series, 18)
        total = weighted_sum(matrix, _CODE_TABLE)
        return flags(series, fits, (total < FORBIDDEN) & (total % 31 == 0))

    return by_batch(as_text(column), check, pl.Boolean())


def _looks_right(code: str | None) -> bool:
    return code is not None and re.fullmatch(PATTERN, code) is not None


def _part_expr(column: Column, start: int, length: int) -> pl.Expr:
    text = as_text(column)
    return pl.when(text.str.contains(PATTERN)).then(text.str.slice(start, length))


def prefix(code: str | None) -> str | None:
    """Return positions 1-2, department and kind; null unless ``code`` looks like a code."""
    return code[:2] if code is not None and _looks_right(code) else None


def prefix_expr(column: Column) -> pl.Expr:
    """Return positions 1-2, department and kind; null unless the value looks like a code."""
    return _part_expr(column, 0, 2)


def registering_region(code: str | None) -> str | None:
    """Return positions 3-8, the region of the registering organ (it never moves with the firm)."""
    return code[2:8] if code is not None and _looks_right(code) else None


def registering_region_expr(column: Column) -> pl.Expr:
    """Return positions 3-8, the region of the registering organ."""
    return _part_expr(column, 2, 6)


def organisation_code(code: str | None) -> str | None:
    """Return positions 9-17, the organisation code of GB 11714 without its dash."""
    return code[8:17] if code is not None and _looks_right(code) else None


def organisation_code_expr(column: Column) -> pl.Expr:
    """Return positions 9-17, the organisation code of GB 11714 without its dash."""
    return _part_expr(column, 8, 9)


def kind_name(code: str | None) -> str | None:
    """Return the department and kind in words, such as ``市场监管·企业``; null if unknown."""
    first_two = prefix(code)
    department = _table().departments.get(first_two[0], {}) if first_two else {}
    kind = department.get(first_two[1]) if first_two else None
    return f"{department['']}·{kind}" if kind else None


def subject_type(code: str | None) -> SubjectType | None:
    """Return what positions 1-2 make of the subject; null unless ``code`` looks like a code."""
    first_two = prefix(code)
    return None if first_two is None else _table().subject_types.get(first_two, SubjectType.OTHER)


def subject_type_expr(column: Column) -> pl.Expr:
    """Return the label of :class:`SubjectType` that positions 1-2 give."""
    known = {first_two: kind.value for first_two, kind in _table().subject_types.items()}
    first_two = prefix_expr(column)
    named = first_two.replace_strict(known, default=SubjectType.OTHER.value, return_dtype=pl.String)
    return pl.when(first_two.is_not_null()).then(named)


def party_category(label: str | None) -> PartyCategory | None:
    """Return the 行政相对人类别 that ``label`` spells; null if it spells none of the three."""
    return None if label is None else _party_spellings().get(normalise(label) or "")


def party_category_expr(column: Column) -> pl.Expr:
    """Return the standard spelling of each 行政相对人类别, null if it is none of the three."""
    return by_distinct(column, party_category, pl.String())


def category_agrees(category: str | None, code: str | None) -> bool | None:
    """Return whether a 行政相对人类别 and a normalised code can belong together (rule V03).

    A natural person has no code; 92 is 个体工商户; every other code is 法人及非法人组织. Null where
    the category is not one of the three, or an organisation's code is missing or malformed: other
    rules speak about those.
    """
    party = party_category(category)
    if party is None:
        return None
    if party is PartyCategory.NATURAL_PERSON:
        return code is None
    first_two = prefix(code)
    if first_two is None:
        return None
    return (first_two == "92") == (party is PartyCategory.INDIVIDUAL_BUSINESS)


def category_agrees_expr(category: Column, code: Column) -> pl.Expr:
    """Return whether each 行政相对人类别 and normalised code can belong together (rule V03)."""
    party, first_two = party_category_expr(category), prefix_expr(code)
    individual = party == PartyCategory.INDIVIDUAL_BUSINESS.value
    person = party == PartyCategory.NATURAL_PERSON.value
    agrees = (first_two == "92") == individual
    return pl.when(person).then(as_text(code).is_null()).otherwise(agrees)


def make_uscc(department_and_kind: str, region: str, *, body: str) -> str:
    """Return the full code: two symbols, six digits of region, eight of an organisation.

    Raises:
        CodeError: a part has the wrong length or a symbol outside the alphabet.
    """
    first = f"{department_and_kind}{region}{body}{organisation.check_symbol(body) or ''}"
    last = check_symbol(first)
    if last is None or (len(department_and_kind), len(region), len(first)) != (2, 6, 17):
        raise CodeError(
            f"no 统一社会信用代码 can be made of {department_and_kind!r}, {region!r}, {body!r}: "
            f"it takes 2 symbols, 6 digits and 8 symbols out of {ALPHABET} (GB 32100-2015), "
            "the first not 0"
        )
    return first + last


def make_uscc_expr(department_and_kind: Column, region: Column, *, body: Column) -> pl.Expr:
    """Return full codes from columns of parts; null where the parts cannot make one."""
    parts = [as_text(department_and_kind), as_text(region), as_text(body)]
    first = pl.concat_str([*parts, organisation.check_symbol_expr(parts[2])])
    widths = [part.str.len_bytes() for part in parts]
    whole = (widths[0] == 2) & (widths[1] == 6) & (widths[2] == 8)
    return pl.when(whole).then(pl.concat_str([first, check_symbol_expr(first)]))
