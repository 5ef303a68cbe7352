"""组织机构代码 (GB 11714): eight symbols and a check symbol, written with or without a dash."""

from __future__ import annotations

import re
from typing import Final

import polars as pl

from models.codes.columns import (
    FORBIDDEN,
    Column,
    as_text,
    by_batch,
    fixed_width,
    flags,
    positions,
    symbols,
    weighted_sum,
)
from models.errors import CodeError

WEIGHTS: Final = (3, 7, 9, 10, 5, 8, 4, 2)
CHECK_SYMBOLS: Final = "0123456789X"

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUE = {symbol: value for value, symbol in enumerate(_ALPHABET)}
_CHECK = {symbol: value for value, symbol in enumerate(CHECK_SYMBOLS)}
_BODY_TABLE = positions([_VALUE] * 8, WEIGHTS)
# The check symbol makes the weighted sum of all nine a multiple of 11, so its own weight is 1.
_CODE_TABLE = positions([*[_VALUE] * 8, _CHECK], (*WEIGHTS, 1))
_DASHED = r"^([0-9A-Z]{8})-([0-9X])$"


def undash(code: str | None) -> str | None:
    """Return the nine symbols of ``D2143569-X``; anything else is returned as it is."""
    return code[:8] + code[9] if code is not None and re.fullmatch(_DASHED, code) else code


def undash_expr(column: Column) -> pl.Expr:
    """Return the nine symbols of values such as ``D2143569-X``; others stay as they are."""
    return as_text(column).str.replace(_DASHED, "${1}${2}")


def check_symbol(body: str | None) -> str | None:
    """Return the check symbol of the eight symbols ``body``; null if it is not eight of them.

    ``r = 11 - (Σ Ci·Wi mod 11)`` with 10 written ``X`` and 11 written ``0``.
    """
    if body is None or not re.fullmatch("[0-9A-Z]{8}", body):
        return None
    total = sum(_VALUE[symbol] * weight for symbol, weight in zip(body, WEIGHTS, strict=True))
    return CHECK_SYMBOLS[-total % 11]


def check_symbol_expr(column: Column) -> pl.Expr:
    """Return the check symbol of each body of eight symbols, else null."""

    def check(series: pl.Series) -> pl.Series:
        fits, matrix = fixed_width(series, 8)
        total = weighted_sum(matrix, _BODY_TABLE)
        places = -total % 11
        places[total >= FORBIDDEN] = -1
        return symbols(series, fits, places, CHECK_SYMBOLS)

    return by_batch(as_text(column), check, pl.String())


def is_valid(code: str | None) -> bool | None:
    """Return whether ``code``, with or without dash, has the right check symbol; zeros have not."""
    if code is None:
        return None
    plain = undash(code) or ""
    return len(plain) == 9 and plain != "0" * 9 and check_symbol(plain[:8]) == plain[8]


def is_valid_expr(column: Column) -> pl.Expr:
    """Return whether each value, with or without dash, has the right check symbol."""

    def check(series: pl.Series) -> pl.Series:
        fits, matrix = fixed_width(series, 9)
        total = weighted_sum(matrix, _CODE_TABLE)
        return flags(series, fits, (total > 0) & (total < FORBIDDEN) & (total % 11 == 0))

    return by_batch(undash_expr(column), check, pl.Boolean())


def complete_organisation_code(body: str) -> str:
    """Return the nine symbols of an organisation code from its first eight.

    Raises:
        CodeError: ``body`` is not eight digits or capital letters.
    """
    last = check_symbol(body)
    if last is None:
        raise CodeError(f"{body!r} begins no 组织机构代码: it takes 8 of 0-9 and A-Z (GB 11714)")
    return body + last


def complete_organisation_code_expr(column: Column) -> pl.Expr:
    """Return full organisation codes from their first eight symbols, null where they are not."""
    body = as_text(column)
    return pl.concat_str([body, check_symbol_expr(body)])
