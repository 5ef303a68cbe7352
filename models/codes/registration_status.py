"""登记状态: what the register says of a subject, and what that means for scoring and drawing."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from functools import cache
from typing import Literal

import polars as pl

from models.codes.columns import Column, by_distinct
from models.codes.tables import Table, read_table


class RegistrationStatus(StrEnum):
    """The eight states that registers' many spellings come down to."""

    ACTIVE = "ACTIVE"
    REVOKED_LICENCE = "REVOKED_LICENCE"
    REVOKED_REG = "REVOKED_REG"
    CANCELLED = "CANCELLED"
    MOVED_OUT = "MOVED_OUT"
    SUSPENDED = "SUSPENDED"
    LIQUIDATION = "LIQUIDATION"
    FORCED = "FORCED"


class StatusRule(Table):
    """What one status means.

    ``best_grade`` bounds the grade from above; ``draw`` says what a random pool may do with the
    subject; ``watch`` asks for attention; ``hand_over`` means another authority is now in charge.
    """

    label: str
    codes: tuple[str, ...] = ()
    scored: bool
    draw: Literal["any", "off_site", "liquidation", "none"]
    best_grade: Literal["A", "B", "C", "D"] | None = None
    watch: bool = False
    hand_over: bool = False


class _Pattern(Table):
    find: str
    status: RegistrationStatus


class _Layout(Table):
    statuses: dict[RegistrationStatus, StatusRule]
    patterns: tuple[_Pattern, ...]


@cache
def _layout() -> _Layout:
    return read_table("registration_status.yaml", _Layout)


@cache
def _exact() -> dict[str, RegistrationStatus]:
    statuses = _layout().statuses.items()
    codes = {code: status for status, entry in statuses for code in entry.codes}
    return codes | {status.value: status for status, _ in statuses}


def meaning(status: RegistrationStatus) -> StatusRule:
    """Return what ``status`` means."""
    return _layout().statuses[status]


def label(status: RegistrationStatus) -> str:
    """Return the Chinese label of ``status``."""
    return meaning(status).label


def parse(text: str | None) -> RegistrationStatus | None:
    """Return the status that a register's code or label means; null if it means none we know."""
    if text is None:
        return None
    plain = re.sub(r"[^\w]", "", unicodedata.normalize("NFKC", text)).upper()
    if plain in _exact():
        return _exact()[plain]
    found = (rule.status for rule in _layout().patterns if re.search(rule.find, plain))
    return next(found, None)


def parse_expr(column: Column) -> pl.Expr:
    """Return the status id that each code or label means, null if unknown."""
    return by_distinct(column, parse, pl.String())


def is_scored(text: str | None) -> bool | None:
    """Return whether a subject of this status (id, code or label) is scored; null if unknown."""
    status = parse(text)
    return None if status is None else meaning(status).scored


def is_scored_expr(column: Column) -> pl.Expr:
    """Return whether subjects of each status are scored; null for an unknown one."""
    return by_distinct(column, is_scored, pl.Boolean())
