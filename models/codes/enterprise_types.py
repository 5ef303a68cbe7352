"""企业类型: register codes, GB/T 12402 codes and words, mapped to one kind of ownership.

The stated owner wins over the legal form: 有限责任公司(国有控股) is 国有, plain 有限责任公司 is
有限责任.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from functools import cache

import polars as pl

from models.codes.columns import Column, by_distinct
from models.codes.tables import Table, read_table


class Ownership(StrEnum):
    """Who owns a subject where its type says so, else its legal form."""

    STATE = "国有"
    COLLECTIVE = "集体"
    LIMITED = "有限责任"
    JOINT_STOCK = "股份有限"
    PRIVATE = "私营/自然人"
    PARTNERSHIP = "合伙"
    SOLE_PROPRIETOR = "个人独资"
    FOREIGN = "外资"
    HONGKONG_MACAO_TAIWAN = "港澳台"
    BRANCH = "分支机构"
    INDIVIDUAL_BUSINESS = "个体"
    COOPERATIVE = "合作社"


class _Type(Table):
    name: str
    ownership: Ownership | None


class _Pattern(Table):
    find: str
    ownership: Ownership


class _Layout(Table):
    types: dict[str, _Type]
    patterns: tuple[_Pattern, ...]


@cache
def _layout() -> _Layout:
    return read_table("enterprise_types.yaml", _Layout)


def _clean(text: str) -> str:
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text))


def _listed(code: str | None) -> _Type | None:
    """Return the entry of a code, or of the nearest shorter one (1159 → 1150 → 1100 → 1000)."""
    digits = _clean(code or "")
    if not re.fullmatch("[0-9]{3,4}", digits):
        return None
    steps = (digits[:keep].ljust(len(digits), "0") for keep in range(len(digits), 0, -1))
    return next((_layout().types[step] for step in steps if step in _layout().types), None)


def is_known(code: str | None) -> bool | None:
    """Return whether ``code`` itself is listed, among register or GB/T 12402 codes."""
    return None if code is None else _clean(code) in _layout().types


def name(code: str | None) -> str | None:
    """Return what ``code``, or the nearest shorter listed code, stands for; null if unknown."""
    entry = _listed(code)
    return None if entry is None else entry.name


def ownership(code_or_words: str | None) -> Ownership | None:
    """Return the ownership that a type's code or words tell; null if they tell none."""
    if code_or_words is None:
        return None
    entry = _listed(code_or_words)
    if entry is not None:
        return entry.ownership
    words = _clean(code_or_words)
    found = (rule.ownership for rule in _layout().patterns if re.search(rule.find, words))
    return next(found, None)


def is_known_expr(column: Column) -> pl.Expr:
    """Return whether each code itself is listed."""
    return by_distinct(column, is_known, pl.Boolean())


def name_expr(column: Column) -> pl.Expr:
    """Return what each code, or the nearest shorter listed code, stands for."""
    return by_distinct(column, name, pl.String())


def ownership_expr(column: Column) -> pl.Expr:
    """Return the label of :class:`Ownership` that each code or wording tells."""
    return by_distinct(column, ownership, pl.String())
