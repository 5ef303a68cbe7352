"""Cells of a list: how the text that a department wrote becomes a value, or a fault with a remedy.

A cell that cannot be read is null here although its text is not; :mod:`.lists` tells of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import Final, Literal, TypeAlias

import polars as pl

from models.codes import industries, regions, registration_status, uscc
from models.codes.columns import as_text, by_distinct, half_width_expr
from models.inspection import result_codes
from models.names import fold

SeveralKind: TypeAlias = Literal["laws", "codes", "ids", "subjects", "regions", "spans"]
PlainKind: TypeAlias = Literal["text", "id", "code", "subject", "day", "count", "choice"]
TableKind: TypeAlias = Literal["status", "region", "industry", "result"]
CellKind: TypeAlias = PlainKind | TableKind | SeveralKind
"""How a cell is read: plainly, by a table of codes, or as several values."""

SEPARATOR: Final = "；"
"""What several values are joined with in one text."""

EMPTY: Final = ("", "/", "-", "--", "—", "——", "无", "暂无", "空", "NULL", "null", "N/A")
"""What departments write where they mean nothing."""

REMEDIES: Final[Mapping[CellKind, str]] = {
    "text": "write one text of at most 400 characters, without control characters",
    "id": "write 1 to 64 characters without blanks, commas or semicolons",
    "code": "write 1 to 63 letters, digits, - or _",
    "subject": "write the unified social credit code whose check symbol fits, or a person's P_ id",
    "day": "write a day such as 2026-03-01",
    "count": "write a whole number from 0",
    "choice": "write one of the values of this field",
    "status": "write a status that the register knows, such as 存续 or 注销",
    "region": "write a code of GB/T 2260 with six digits",
    "industry": "write a code of GB/T 4754, such as H62",
    "result": "write a code from IR1 to IR10, IRX or IRV, or its label",
    "laws": "write laws and articles, parted by ；, each of at most 400 characters",
    "codes": "write codes of letters, digits, - or _, parted by ；",
    "ids": "write ids without blanks, parted by ；",
    "subjects": "write unified social credit codes, parted by ；",
    "regions": "write codes of GB/T 2260 with six digits, or their beginnings, parted by ；",
    "spans": "write days such as 2026-03-01/2026-03-05, parted by ；, none ending before it begins",
}
"""What to do about a cell of each kind that cannot be read."""

_CONTROLS: Final = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]"
_ID: Final = r"^[^\x00-\x20\x7f-\x9f\s,;，；、\u2028\u2029\ufeff]{1,64}$"
_CODE: Final = r"^[A-Za-z0-9_-]{1,63}$"
_PERSON: Final = r"^P_[0-9a-f]{32}$"
_DAY: Final = r"^(\d{4})(?:[-/.年](\d{1,2})[-/.月](\d{1,2})日?|(\d{2})(\d{2}))"
_CLOCK: Final = r"(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?$"
_PARTS: Final = re.compile(r"[;；,，、|\s]+")
_LAWS: Final = re.compile(r"[;；|\n\r]+")
_SPANS: Final = re.compile(r"[;；,，、|\n\r]+")
_BETWEEN: Final = re.compile(r"\s*(?:/(?=\d{4})|至|到|~|—+)\s*")
_LONGEST: Final = 400


def written(column: pl.Series) -> pl.Series:
    """Return a column of any plain type as text, blanks cut off, null where nothing is meant."""
    return column.to_frame().select(_text(column.name, column.dtype)).to_series()


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    match dtype:
        case pl.List():
            text = column.cast(pl.List(pl.String)).list.join(SEPARATOR)
        case pl.Datetime(time_zone=zone) if zone is not None:
            text = column.dt.convert_time_zone("Asia/Shanghai").dt.date().cast(pl.String)
        case dtype if dtype.is_float():
            text = column.cast(pl.String).str.strip_suffix(".0")
        case _:
            text = column.cast(pl.String)
    text = text.str.strip_chars()
    return pl.when(~text.is_in(list(EMPTY))).then(text).alias(name)


def value(column: str, kind: CellKind, *, choices: Mapping[str, str] | None = None) -> pl.Expr:
    """Return the typed value of a column of text; null where its text cannot be read.

    ``choices``: folded spelling → value, for the kind ``choice``.
    """
    if kind == "choice":
        known = choices or {}
        return by_distinct(column, lambda text: known.get(fold(text)), pl.String())
    return _READERS[kind](column)


def day_of(text: str) -> date | None:
    """Return the day that a text says; null if none."""
    found = re.fullmatch(_DAY + _CLOCK, text.strip(), re.ASCII)
    if found is None:
        return None
    year, month, day = found[1], found[2] or found[4], found[3] or found[5]
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _plain(column: str) -> pl.Expr:
    text = pl.col(column).str.replace_all(r"\s+", " ")
    fits = (text.str.len_chars() <= _LONGEST) & ~text.str.contains(_CONTROLS)
    return pl.when(fits).then(text)


def _id(column: str) -> pl.Expr:
    text = half_width_expr(column)
    return pl.when(text.str.contains(_ID)).then(text)


def _code(column: str) -> pl.Expr:
    text = half_width_expr(column)
    return pl.when(text.str.contains(_CODE)).then(text)


def _subject(column: str) -> pl.Expr:
    code = uscc.normalise_expr(column)
    person = as_text(column).str.contains(_PERSON)
    return pl.when(person).then(pl.col(column)).when(uscc.is_valid_expr(code)).then(code)


def _day(column: str) -> pl.Expr:
    return by_distinct(column, day_of, pl.Date())


def _count(column: str) -> pl.Expr:
    return half_width_expr(column).str.extract(r"^([0-9]{1,9})(?:\.0+)?$").cast(pl.Int64)


def _region(column: str) -> pl.Expr:
    code = half_width_expr(column)
    return pl.when(regions.is_known_expr(code)).then(code)


def _industry(column: str) -> pl.Expr:
    code = half_width_expr(column).str.to_uppercase()
    return pl.when(industries.is_known_expr(code)).then(code)


def _result(column: str) -> pl.Expr:
    return by_distinct(column, result_codes.parse, pl.String())


def _several(
    column: str, *, parts: re.Pattern[str], one: Callable[[str], str | None], ordered: bool = False
) -> pl.Expr:
    """Return a list of what ``one`` makes of each part, a set unless it is ``ordered``."""

    def read(text: str) -> list[str] | None:
        found = [one(part.strip()) for part in parts.split(text) if part.strip()]
        kept = [part for part in found if part is not None]
        if len(kept) < len(found) or not kept:
            return None
        unique = dict.fromkeys(kept)
        return list(unique) if ordered else sorted(unique)

    return by_distinct(column, read, pl.List(pl.String))


def _one_law(text: str) -> str | None:
    fits = len(text) <= _LONGEST and re.search(_CONTROLS, text) is None
    return re.sub(r"\s+", " ", text) if fits else None


def _one_matching(text: str, *, pattern: str) -> str | None:
    return text if re.fullmatch(pattern, text, re.ASCII) else None


def _one_subject(text: str) -> str | None:
    if re.fullmatch(_PERSON, text):
        return text
    code = uscc.normalise(text)
    return code if uscc.is_valid(code) else None


def _one_region(text: str) -> str | None:
    """Return the beginning that all codes of a region share: 210100 is all of 2101."""
    if re.fullmatch(r"[0-9]{2}|[0-9]{4}|[0-9]{6}", text) is None:
        return None
    whole = text.ljust(6, "0")
    if not regions.is_known(whole):
        return None
    return re.sub(r"(?:0000|00)$", "", whole)


def _one_span(text: str) -> str | None:
    """Return a span of days as ``2026-03-01/2026-03-05``; one day is a span of one."""
    ends = _BETWEEN.split(text)
    first, last = day_of(ends[0]), day_of(ends[-1])
    if len(ends) > 2 or first is None or last is None or first > last:
        return None
    return f"{first}/{last}"


_READERS: Final[Mapping[CellKind, Callable[[str], pl.Expr]]] = {
    "text": _plain,
    "id": _id,
    "code": _code,
    "subject": _subject,
    "day": _day,
    "count": _count,
    "status": registration_status.parse_expr,
    "region": _region,
    "industry": _industry,
    "result": _result,
    "laws": partial(_several, parts=_LAWS, one=_one_law, ordered=True),
    "codes": partial(_several, parts=_PARTS, one=partial(_one_matching, pattern=_CODE)),
    "ids": partial(_several, parts=_PARTS, one=partial(_one_matching, pattern=_ID)),
    "subjects": partial(_several, parts=_PARTS, one=_one_subject),
    "regions": partial(_several, parts=_PARTS, one=_one_region),
    "spans": partial(_several, parts=_SPANS, one=_one_span),
}
