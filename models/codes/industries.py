"""国民经济行业分类 (GB/T 4754-2017): sections and divisions.

A code is a letter, or two to four digits, or both: ``C``, ``14``, ``C14``, ``1495`` and ``C1495``.
Digits alone name the section, so a letter that does not agree with them makes the code unknown.
"""

from __future__ import annotations

import re
from functools import cache

import polars as pl

from models.codes.columns import Column, by_distinct
from models.codes.tables import Table, read_table


class _Section(Table):
    name: str
    divisions: dict[str, str]


class _Layout(Table):
    sections: dict[str, _Section]


@cache
def _sections() -> dict[str, _Section]:
    return read_table("industries.yaml", _Layout).sections


@cache
def _section_of_division() -> dict[str, str]:
    return {code: letter for letter, section in _sections().items() for code in section.divisions}


def sections() -> dict[str, str]:
    """Return the 20 sections: letter → name."""
    return {letter: section.name for letter, section in _sections().items()}


def divisions() -> dict[str, str]:
    """Return the 97 divisions: two digits → name."""
    return {code: title for part in _sections().values() for code, title in part.divisions.items()}


def _split(code: str | None) -> tuple[str, str | None] | None:
    """Return section and division of a known code; the division is null for a bare letter."""
    found = re.fullmatch("([A-Z]?)([0-9]{2,4})?", (code or "").strip().upper())
    if found is None:
        return None
    letter, digits = found[1], found[2]
    if digits is None:
        return (letter, None) if letter in _sections() else None
    section = _section_of_division().get(digits[:2])
    return None if section is None or letter not in {"", section} else (section, digits[:2])


def is_known(code: str | None) -> bool | None:
    """Return whether the code's section and division exist and agree."""
    return None if code is None else _split(code) is not None


def section_of(code: str | None) -> str | None:
    """Return the section's letter; null if the code is unknown."""
    parts = _split(code)
    return None if parts is None else parts[0]


def division_of(code: str | None) -> str | None:
    """Return the division's two digits; null for a bare section or an unknown code."""
    parts = _split(code)
    return None if parts is None else parts[1]


def name(code: str | None) -> str | None:
    """Return the division's name, or the section's for a bare letter; null if unknown."""
    parts = _split(code)
    if parts is None:
        return None
    section = _sections()[parts[0]]
    return section.name if parts[1] is None else section.divisions[parts[1]]


def is_known_expr(column: Column) -> pl.Expr:
    """Return whether each code's section and division exist and agree."""
    return by_distinct(column, is_known, pl.Boolean())


def section_of_expr(column: Column) -> pl.Expr:
    """Return each code's section letter, null if unknown."""
    return by_distinct(column, section_of, pl.String())


def division_of_expr(column: Column) -> pl.Expr:
    """Return each code's two-digit division, null for a bare section or an unknown code."""
    return by_distinct(column, division_of, pl.String())


def name_expr(column: Column) -> pl.Expr:
    """Return each division's name, or the section's for a bare letter."""
    return by_distinct(column, name, pl.String())
