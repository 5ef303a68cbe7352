"""行政区划 (GB/T 2260): provinces, and all of Liaoning down to its county-level units.

A six-digit code of a county that is not listed is accepted at the level of its province, except in
provinces whose table is complete (Liaoning), where it is unknown. Functional zones have no code of
their own; they are a subject's ``zone``, not its region.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import polars as pl

from models.codes.columns import Column, by_distinct
from models.codes.tables import Table, read_table

Level = Literal["country", "province", "city", "county"]

LEVELS: Final[tuple[Level, ...]] = ("country", "province", "city", "county")


@dataclass(frozen=True, slots=True)
class Region:
    """One unit; ``successor`` is set where the unit was abolished."""

    code: str
    name: str
    level: Level
    successor: str | None = None


class _Country(Table):
    code: str
    name: str


class _Retired(Table):
    name: str
    successor: str


class _Layout(Table):
    country: _Country
    provinces: dict[str, str]
    complete: tuple[str, ...]
    cities: dict[str, str]
    counties: dict[str, str]
    retired: dict[str, _Retired]


@cache
def _layout() -> _Layout:
    return read_table("regions.yaml", _Layout)


@cache
def _units() -> dict[str, Region]:
    table = _layout()
    levels: tuple[tuple[Level, dict[str, str]], ...] = (
        ("country", {table.country.code: table.country.name}),
        ("province", table.provinces),
        ("city", table.cities),
        ("county", table.counties),
    )
    units = {
        code: Region(code, title, step) for step, titles in levels for code, title in titles.items()
    }
    retired = {
        code: Region(code, unit.name, "county", unit.successor)
        for code, unit in table.retired.items()
    }
    return units | retired


def resolve(code: str | None) -> str | None:
    """Return the smallest listed unit that contains ``code``: itself, its city, or its province."""
    if code is None or not re.fullmatch("[0-9]{6}", code):
        return None
    steps = (code, f"{code[:4]}00", f"{code[:2]}0000")
    return next((step for step in steps if step in _units()), None)


def is_known(code: str | None) -> bool | None:
    """Return whether ``code`` is listed, or lies in a province whose units are not all listed."""
    if code is None:
        return None
    found = resolve(code)
    return found == code or (found is not None and code[:2] not in _layout().complete)


def _unit(code: str | None) -> Region | None:
    found = resolve(code) if is_known(code) else None
    return None if found is None else _units()[found]


def name(code: str | None) -> str | None:
    """Return the unit's own name (its province's where only that is listed); null if unknown."""
    unit = _unit(code)
    return None if unit is None else unit.name


def full_name(code: str | None) -> str | None:
    """Return the name with the units above it, such as ``辽宁省沈阳市和平区``; null if unknown."""
    unit = _unit(code)
    if unit is None:
        return None
    above = parent(unit.code) if unit.level in {"city", "county"} else None
    return f"{full_name(above) or ''}{unit.name}"


def level(code: str | None) -> Level | None:
    """Return country, province, city or county: the level at which ``code`` is known."""
    unit = _unit(code)
    return None if unit is None else unit.level


def parent(code: str | None) -> str | None:
    """Return the code of the next unit above; a province's is the country's 100000."""
    if code is None or not is_known(code) or code == _layout().country.code:
        return None
    steps = (f"{code[:4]}00", f"{code[:2]}0000", _layout().country.code)
    return next(step for step in steps if step in _units() and step != code)


def current(code: str | None) -> str | None:
    """Return the code in force today: an abolished unit's successor, else ``code`` if known."""
    unit = _unit(code)
    return code if unit is None or unit.successor is None else unit.successor


def province(code: str | None) -> str | None:
    """Return the six-digit code of the province; null if unknown or of no province."""
    known = code is not None and is_known(code) and f"{code[:2]}0000" in _layout().provinces
    return f"{code[:2]}0000" if code is not None and known else None


def city(code: str | None) -> str | None:
    """Return the six-digit code of the listed prefecture city; null outside them."""
    known = code is not None and is_known(code) and f"{code[:4]}00" in _layout().cities
    return f"{code[:4]}00" if code is not None and known else None


def children(code: str) -> tuple[str, ...]:
    """Return the listed units in force directly below ``code``, in order of code."""
    units = _units().values()
    return tuple(unit.code for unit in units if not unit.successor and parent(unit.code) == code)


def units() -> pl.DataFrame:
    """Return every listed unit for joins: code, name, full_name, level, parent, province, city."""
    rows = [
        (unit.code, unit.name, full_name(unit.code), unit.level, parent(unit.code))
        for unit in _units().values()
    ]
    columns = ["code", "name", "full_name", "level", "parent"]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
    return frame.with_columns(province=province_expr("code"), city=city_expr("code"))


def resolve_expr(column: Column) -> pl.Expr:
    """Return the smallest listed unit that contains each code: the key to join :func:`units` on."""
    return by_distinct(column, resolve, pl.String())


def is_known_expr(column: Column) -> pl.Expr:
    """Return whether each code is listed, or lies in a province that is not listed in full."""
    return by_distinct(column, is_known, pl.Boolean())


def name_expr(column: Column) -> pl.Expr:
    """Return each unit's own name, null if unknown."""
    return by_distinct(column, name, pl.String())


def full_name_expr(column: Column) -> pl.Expr:
    """Return each unit's name with the units above it, null if unknown."""
    return by_distinct(column, full_name, pl.String())


def level_expr(column: Column) -> pl.Expr:
    """Return the level at which each code is known."""
    return by_distinct(column, level, pl.String())


def parent_expr(column: Column) -> pl.Expr:
    """Return the code of the unit above each code."""
    return by_distinct(column, parent, pl.String())


def current_expr(column: Column) -> pl.Expr:
    """Return the code in force today for each code."""
    return by_distinct(column, current, pl.String())


def province_expr(column: Column) -> pl.Expr:
    """Return the six-digit code of each code's province."""
    return by_distinct(column, province, pl.String())


def city_expr(column: Column) -> pl.Expr:
    """Return the six-digit code of each code's listed prefecture city."""
    return by_distinct(column, city, pl.String())
