"""工商注册号, the 15 digits of a registration before the unified code (2015).

Six digits of region, eight of sequence, one check digit after ISO 7064 MOD 11,10.
"""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from models.codes.columns import Column, Sums, as_text, by_batch, fixed_width, flags


def check_digit(body: str | None) -> str | None:
    """Return the check digit of the first 14 digits of ``body``; null if they are not digits."""
    if body is None or not re.fullmatch("[0-9]{14}", body[:14]):
        return None
    product = 10
    for digit in body[:14]:
        product = ((product + int(digit)) % 10 or 10) * 2 % 11
    return str((11 - product) % 10)


def is_valid(number: str | None) -> bool | None:
    """Return whether ``number`` is 15 digits with the right check digit."""
    if number is None:
        return None
    return len(number) == 15 and check_digit(number) == number[14]


def is_valid_expr(column: Column) -> pl.Expr:
    """Return whether each value is 15 digits with the right check digit."""

    def check(series: pl.Series) -> pl.Series:
        fits, matrix = fixed_width(series, 15)
        digits = matrix.astype(np.int32) - ord("0")
        lawful = ((digits >= 0) & (digits <= 9)).all(axis=1)
        return flags(series, fits, lawful & (_check_digits(digits) == digits[:, 14]))

    return by_batch(as_text(column), check, pl.Boolean())


def _check_digits(digits: Sums) -> Sums:
    product = np.full(len(digits), 10, np.int32)
    for place in range(14):
        total = (product + digits[:, place]) % 10
        product = np.where(total == 0, 10, total) * 2 % 11
    return (11 - product) % 10
