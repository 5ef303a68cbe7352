"""Personal numbers inside running text: find them, and star them out.

Text is taken as half-width (rule V13 normalises before V09 looks). Finding is strict, because a hit
rejects a record: only numbers with a real date and the right check symbol count. Masking is
generous, because a miss shows a person's data: anything of that form is starred.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

import polars as pl

from models.codes import citizen
from models.codes.columns import Column, as_text

# (?-u:\b) and re.ASCII: a Chinese character beside a number is no part of it.
_CITIZEN: Final = rf"({citizen.PROVINCES}[0-9])([0-9]{{3}}(?:19|20)[0-9]{{6}})([0-9]{{3}}[0-9Xx])"
_MOBILE: Final = r"(1[3-9][0-9])([0-9]{4})([0-9]{4})"
_LANDLINE: Final = r"(0[1-9][0-9]{1,2}-)([0-9]{3,4})([0-9]{4})"
_STARS: Final = ((_CITIZEN, "*" * 11), (_MOBILE, "****"), (_LANDLINE, "****"))


def find_citizen_ids(text: str | None, *, today: date) -> list[str] | None:
    """Return the valid citizen ids inside ``text``, upper-case, in order."""
    if text is None:
        return None
    found = re.finditer(rf"\b{_CITIZEN}\b", text, re.ASCII)
    numbers = [match[0].upper() for match in found]
    return [number for number in numbers if citizen.is_valid(number, today=today)]


def find_citizen_ids_expr(column: Column, *, today: date) -> pl.Expr:
    """Return the list of valid citizen ids inside each text, upper-case, in order."""
    found = as_text(column).str.extract_all(_bounded(_CITIZEN))
    number = pl.element().str.to_uppercase()
    return found.list.eval(number.filter(citizen.is_valid_expr(number, today=today)))


def has_citizen_id(text: str | None, *, today: date) -> bool | None:
    """Return whether a valid citizen id stands inside ``text`` (rule V09)."""
    found = find_citizen_ids(text, today=today)
    return None if found is None else bool(found)


def has_citizen_id_expr(column: Column, *, today: date) -> pl.Expr:
    """Return whether a valid citizen id stands inside each text (rule V09)."""
    return find_citizen_ids_expr(column, today=today).list.len() > 0


def mask_text(text: str | None) -> str | None:
    """Return ``text`` with citizen ids, mobile and landline numbers starred in their middle."""
    if text is None:
        return None
    for pattern, stars in _STARS:
        text = re.sub(rf"\b{pattern}\b", rf"\g<1>{stars}\g<3>", text, flags=re.ASCII)
    return text


def mask_text_expr(column: Column) -> pl.Expr:
    """Return each text with citizen ids, mobile and landline numbers starred in their middle."""
    text = as_text(column)
    for pattern, stars in _STARS:
        text = text.str.replace_all(_bounded(pattern), f"${{1}}{stars}${{3}}")
    return text


def _bounded(pattern: str) -> str:
    return rf"(?-u:\b){pattern}(?-u:\b)"
