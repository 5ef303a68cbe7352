"""公民身份号码 (GB 11643): validate, and mask for people to read.

The number is personal data. Nothing here keeps or logs one, and messages never contain one.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from models.codes.columns import (
    Bytes,
    Column,
    Flags,
    Sums,
    as_text,
    by_batch,
    fixed_width,
    flags,
    positions,
    weighted_sum,
)

WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK_SYMBOLS: Final = "10X98765432"

KEPT_HEAD: Final = 3
KEPT_TAIL: Final = 4
"""A masked number keeps 3 + 4 symbols: enough for a person to recognise their own and to tell two
rows apart, while place below the province's first digit and the whole birthday stay hidden."""

# GB/T 2260 provinces, and 81-83 for residents from Hong Kong, Macao and Taiwan.
PROVINCES: Final = "(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3])"
_FORM: Final = rf"{PROVINCES}[0-9]{{4}}(?:19|20)[0-9]{{9}}[0-9X]"

_DIGIT = {symbol: value for value, symbol in enumerate("0123456789")}
# With X as 10 at its end, the weighted sum of all 18 leaves 1 modulo 11.
_TABLE = positions([*[_DIGIT] * 17, _DIGIT | {"X": 10}], (*WEIGHTS, 1))
_DAYS = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, *[0] * 88], np.int32)
_PROVINCE = np.array([bool(re.fullmatch(PROVINCES, f"{two:02}")) for two in range(100)])


def is_valid(number: str | None, *, today: date) -> bool | None:
    """Return whether ``number`` has a province, a real date from 1900 to ``today`` and its check.

    A lower-case ``x`` is not valid: normalise first. Old numbers of 15 digits carry no check symbol
    and have not been valid since 2013.
    """
    if number is None:
        return None
    if not re.fullmatch(_FORM, number):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number, WEIGHTS, strict=False))
    return CHECK_SYMBOLS[total % 11] == number[17] and _born_by(number[6:14], today)


def is_valid_expr(column: Column, *, today: date) -> pl.Expr:
    """Return whether each value has a province, a real date up to ``today`` and its check."""

    def check(series: pl.Series) -> pl.Series:
        fits, matrix = fixed_width(series, 18)
        # A forbidden symbol adds 2^20, which no sum of lawful symbols reaches.
        total = weighted_sum(matrix, _TABLE)
        lawful = (total < 1 << 20) & (total % 11 == 1)
        lawful[lawful] = _real_person(matrix[lawful], today)
        return flags(series, fits, lawful)

    return by_batch(as_text(column), check, pl.Boolean())


def mask(number: str | None) -> str | None:
    """Return ``number`` with its middle starred: ``110***********002X``; a short one wholly."""
    if number is None:
        return None
    if len(number) <= KEPT_HEAD + KEPT_TAIL:
        return "*" * len(number)
    hidden = len(number) - KEPT_HEAD - KEPT_TAIL
    return number[:KEPT_HEAD] + "*" * hidden + number[-KEPT_TAIL:]


def mask_expr(column: Column) -> pl.Expr:
    """Return each value with its middle starred; a short one wholly."""
    text = as_text(column)
    hidden = text.str.len_chars().cast(pl.Int64) - KEPT_HEAD - KEPT_TAIL
    middle = text.str.slice(KEPT_HEAD, hidden.clip(0)).str.replace_all("(?s).", "*")
    starred = pl.concat_str([text.str.head(KEPT_HEAD), middle, text.str.tail(KEPT_TAIL)])
    return pl.when(hidden > 0).then(starred).otherwise(text.str.replace_all("(?s).", "*"))


def _born_by(day: str, today: date) -> bool:
    try:
        return date.fromisoformat(f"{day[:4]}-{day[4:6]}-{day[6:]}") <= today
    except ValueError:
        return False


def _real_person(matrix: Bytes, today: date) -> Flags:
    """Return which rows of digits have a known province and a real date from 1900 to ``today``."""
    digits = matrix.astype(np.int32) - ord("0")
    year, month, day = (_number(digits[:, a:b]) for a, b in ((6, 10), (10, 12), (12, 14)))
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    longest = _DAYS[month] - ((month == 2) & ~leap)
    by_today = year * 10_000 + month * 100 + day <= int(f"{today:%Y%m%d}")
    real = (day >= 1) & (day <= longest) & (year >= 1900) & by_today
    return real & _PROVINCE[_number(digits[:, :2])]


def _number(digits: Sums) -> Sums:
    return digits @ (10 ** np.arange(digits.shape[1] - 1, -1, -1, dtype=np.int32))
