"""Clean and convert single columns: text, dates, times, numbers, flags."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

NULL_WORDS: Final = (
    *("", "/", "\\", "-", "--", "—", "——", "无", "暂无", "空", "不详", "不祥", "未知", "未填写"),
    *("null", "NULL", "Null", "None", "none", "nan", "NaN", "N/A", "n/a", "#N/A", "无。"),
)
"""What sources write where they mean nothing."""

_MARKUP: Final = r"</?[A-Za-z][^<>]{0,200}>|&(?:nbsp|lt|gt|amp|quot|#\d{1,6});"
_INVISIBLE: Final = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u2060\ufeff]"
_WIDE: Final = [
    chr(c) for first, last in ("０９", "ＡＺ", "ａｚ") for c in range(ord(first), ord(last) + 1)
]
_DIRTY: Final = f"{_MARKUP}|{_INVISIBLE}|[０-９Ａ-Ｚａ-ｚ]"
_DATE: Final = (
    r"^(\d{4}-\d{1,2}-\d{1,2})-?"
    r"(?:[ T]*\d{1,2}[:时]\d{1,2}(?:[:分]\d{1,2}(?:\.\d+)?)?[秒分]?)?$"
)
_CLOCK: Final = r"[ T]*(\d{1,2}[:时]\d{1,2}(?:[:分]\d{1,2})?)(?:\.\d+)?[秒分]?$"
_TRUE: Final = ("是", "1", "true", "t", "y", "yes", "有效", "有", "已")
_FALSE: Final = ("否", "0", "2", "false", "f", "n", "no", "无效", "未")
_EXCEL_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - a local calendar day
_SCALES: Final = {"元": 1.0, "万元": 1e4, "亿元": 1e8}
_WRITTEN: Final = _SCALES | {"万": 1e4, "亿": 1e8}


def clean_text(column: pl.Series) -> tuple[pl.Series, pl.Series | None]:
    """Return (cleaned text, mask of rows that held markup, invisible or full-width characters).

    The mask is ``None`` where no row did, which is the usual and the fast case.
    """
    text = column if column.dtype == pl.String else as_text(column)
    dirty = text.str.contains(_DIRTY)
    mask = dirty.fill_null(value=False) if dirty.any() else None
    if mask is not None:
        text = (
            text.str.replace_all(_MARKUP, " ")
            .str.replace_all(_INVISIBLE, "")
            .str.replace_many(_WIDE, [chr(ord(c) - 0xFEE0) for c in _WIDE])
        )
    text = text.str.strip_chars()
    return text.set(text.is_in(NULL_WORDS), None), mask


def as_text(column: pl.Series) -> pl.Series:
    """Return any column as text: ISO dates, whole floats without a tail, lists joined by ``;``."""
    if isinstance(column.dtype, pl.List):
        return column.cast(pl.List(pl.String)).list.join(";")
    if column.dtype.is_float():
        return column.cast(pl.String).str.strip_suffix(".0")
    return column.cast(pl.String)


def to_date(text: pl.Series, formats: tuple[str, ...] = ()) -> pl.Series:
    """Read dates; ``formats`` replace the usual year-month-day spellings. Unreadable is null.

    A format without a day means the first of the month; ``excel`` reads day numbers.
    """
    if formats:
        return _by_formats(text, formats).dt.date().rename(text.name)
    tidy = _tidy(text)
    return tidy.str.extract(_DATE).str.to_date("%Y-%m-%d", strict=False)


def to_time(text: pl.Series, formats: tuple[str, ...] = ()) -> pl.Series:
    """Read instants written in Shanghai time as UTC; a bare date is its first moment."""
    if formats:
        local = _by_formats(text, formats)
    else:
        tidy = _tidy(text)
        day = tidy.str.extract(_DATE).str.to_datetime("%Y-%m-%d", strict=False, time_unit="us")
        clock = tidy.str.extract(_CLOCK).str.replace_all("[时分]", ":")
        full = (
            (clock + ":00")
            .str.extract(r"^(\d{1,2}:\d{1,2}:\d{1,2})")
            .str.to_time("%H:%M:%S", strict=False)
        )
        since = full.cast(pl.Duration("us")).fill_null(pl.lit(0).cast(pl.Duration("us")))
        local = day + since
    return local.dt.replace_time_zone(
        "Asia/Shanghai", ambiguous="earliest", non_existent="null"
    ).dt.convert_time_zone("UTC")


def _tidy(text: pl.Series) -> pl.Series:
    return (
        text.str.replace_all(r"\s*[年月/.．／]\s*", "-")
        .str.replace("日", " ", literal=True)
        .str.replace(r"^(\d{4})(\d{2})(\d{2})$", "${1}-${2}-${3}")
        .str.strip_chars()
    )


def _by_formats(text: pl.Series, formats: tuple[str, ...]) -> pl.Series:
    packed = text.str.replace_all(r"\s+", " ")
    found: pl.Series | None = None
    for form in formats:
        if form == "excel":
            read = _from_excel(packed)
            found = read if found is None else found.zip_with(found.is_not_null(), read)
            continue
        value, pattern = packed, form
        if "%d" not in form and "%j" not in form:
            value, pattern = packed.str.replace_all(" ", "") + " 01", form.replace(" ", "") + " %d"
        read = (
            value.str.to_datetime(pattern, strict=False, time_unit="us")
            if "%H" in form
            else value.str.to_date(pattern, strict=False).cast(pl.Datetime("us"))
        )
        found = read if found is None else found.zip_with(found.is_not_null(), read)
    return (
        found if found is not None else pl.Series(text.name, [None] * len(text), pl.Datetime("us"))
    )


def _from_excel(text: pl.Series) -> pl.Series:
    """Read day numbers of the 1900 date system, from 1954 to 2119 (20000 to 80000)."""
    days = text.str.extract(r"^([2-7]\d{4})(?:\.\d+)?$").cast(pl.Int64).cast(pl.Duration("ms"))
    since = days * (24 * 60 * 60 * 1000)
    return (
        pl.Series([_EXCEL_EPOCH], dtype=pl.Datetime("us")) + since.cast(pl.Duration("us"))
    ).rename(text.name)


def to_number(text: pl.Series, unit: str | None = None) -> pl.Series:
    """Read numbers; money comes out in yuan.

    ``unit`` is the source's (元, 万元, 亿元); a unit written behind a value goes before it.
    """
    scale = _SCALES[unit] if unit else 1.0
    bare = text.str.replace_all(r"[,，\s¥￥]|人民币", "")
    number = bare.str.strip_suffix("元").str.replace(r"[万亿]$", "").cast(pl.Float64, strict=False)
    number = number.set(number.is_infinite() | number.is_nan(), None)
    written = bare.str.extract(r"(元|[万亿]元?)$")
    if scale == 1.0 and written.null_count() == len(written):
        return number
    own = written.replace_strict(_WRITTEN, default=scale, return_dtype=pl.Float64)
    return (number * own).round(2)


def to_integer(text: pl.Series) -> pl.Series:
    """Read whole numbers; 3.5 is unreadable."""
    number = to_number(text)
    whole = number.set(number != number.round(0), None)
    return whole.cast(pl.Int64, strict=False)


def to_flag(text: pl.Series) -> pl.Series:
    """Read yes and no in the usual spellings."""
    folded = text.str.to_lowercase()
    words = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False)
    return folded.replace_strict(words, default=None, return_dtype=pl.Boolean)
