"""Clean and convert single columns: text, dates, times, numbers, flags."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from models.records.amounts import parse_amount

NULL_WORDS: Final = (
    *("", "/", "\\", "-", "--", "—", "——", "无", "暂无", "空", "不详", "不祥", "未知", "未填写"),
    *("无信息", "未标注", "未标明", ".无", "没有", "不适用"),
    *("null", "NULL", "Null", "None", "none", "nan", "NaN", "N/A", "n/a", "#N/A", "无。"),
)
"""What sources write where they mean nothing."""

_MARKUP: Final = r"</?[A-Za-z][^<>]{0,200}>|&(?:nbsp|#\d{1,6});"
_ENTITIES: Final = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&amp;": "&"}
_INVISIBLE: Final = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u2060\ufeff]"
_WIDE: Final = [
    chr(c) for first, last in ("０９", "ＡＺ", "ａｚ") for c in range(ord(first), ord(last) + 1)
]
_DIRTY: Final = f"{_MARKUP}|{'|'.join(_ENTITIES)}|{_INVISIBLE}|[０-９Ａ-Ｚａ-ｚ]"
_DATE: Final = (
    r"^(\d{4}-\d{1,2}-\d{1,2})-?"
    r"(?:[ T]*\d{1,2}[:时]\d{1,2}(?:[:分]\d{1,2}(?:\.\d+)?)?[秒分]?)?$"
)
_USUAL: Final = ("%Y-%m-%d", "%Y/%m/%d", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S")
_ZONED: Final = r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d:?\d\d)$"
_CLOCK: Final = r"[ T]*(\d{1,2}[:时]\d{1,2}(?:[:分]\d{1,2})?)(?:\.\d+)?[秒分]?$"
_TRUE: Final = ("是", "1", "true", "t", "y", "yes", "有效", "有", "已")
_FALSE: Final = ("否", "0", "2", "false", "f", "n", "no", "无效", "未")
_EXCEL_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - a local calendar day
_EXACT: Final = 2.0**53
_HOUR: Final = timedelta(hours=1)
_WHOLE: Final = r"^[+-]?\d{1,3}(?:[,，]\d{3})+$|^[+-]?\d+$"
_NOT_THOUSANDS: Final = r"[,，]\d{0,2}(?:\D|$)"
_NUMERAL: Final = (
    r"^[人民币\s零〇一二两三四五六七八九十百千万亿壹贰叁肆伍陆柒捌玖拾佰仟]+[元圆]整?$"
)
_SCALES: Final = {"元": 1.0, "万元": 1e4, "亿元": 1e8}
_WRITTEN: Final = _SCALES | {"万": 1e4, "亿": 1e8}


def clean_text(
    column: pl.Series, *, keep: tuple[str, ...] = ()
) -> tuple[pl.Series, pl.Series | None]:
    """Return (cleaned text, mask of rows that held markup, invisible or full-width characters).

    The mask is ``None`` where no row did, which is the usual and the fast case. ``keep`` names
    words that mean something here although sources write them for nothing.
    """
    text = column if column.dtype == pl.String else as_text(column)
    dirty = text.str.contains(_DIRTY)
    mask = dirty.fill_null(value=False) if dirty.any() else None
    if mask is not None:
        text = (
            text.str.replace_all(_MARKUP, " ")
            .str.replace_all(_INVISIBLE, "")
            .str.replace_many(_ENTITIES)
            .str.replace_many(_WIDE, [chr(ord(c) - 0xFEE0) for c in _WIDE])
        )
    text = text.str.strip_chars()
    nothing = [word for word in NULL_WORDS if word not in keep]
    return text.set(text.is_in(nothing), None), mask


def as_text(column: pl.Series) -> pl.Series:
    """Return any column as text: ISO dates, whole floats without a tail, lists joined by ``;``.

    Instants with a zone become the time of Shanghai; records inside a cell become JSON.
    """
    match column.dtype:
        case pl.List(inner=inner) if not inner.is_nested():
            return column.cast(pl.List(pl.String)).list.join(";")
        case pl.Datetime(time_zone=zone) if zone is not None:
            local = column.dt.convert_time_zone("Asia/Shanghai").dt.replace_time_zone(None)
            return local.cast(pl.String)
        case pl.Duration():
            return column.dt.to_string()
        case dtype if dtype.is_nested():
            whole = column.to_frame("v").select(pl.struct("v").struct.json_encode())["v"]
            texts = whole.str.slice(5).str.strip_suffix("}")
            return texts.set(column.is_null(), None).alias(column.name)
        case dtype if dtype.is_float():
            return column.cast(pl.String).str.strip_suffix(".0")
        case _:
            return column.cast(pl.String)


def to_date(text: pl.Series, formats: tuple[str, ...] = ()) -> pl.Series:
    """Read dates; ``formats`` replace the usual year-month-day spellings. Unreadable is null.

    A format without a day means the first of the month; ``excel`` reads day numbers.
    """
    if formats:
        return _by_formats(text, formats).dt.date().rename(text.name)
    usual = _usual(text)
    if usual is not None:
        return usual.dt.date()
    read = _tidy(text).str.extract(_DATE).str.to_date("%Y-%m-%d", strict=False)
    zoned = _zoned(text)
    if zoned is None:
        return read
    return read.zip_with(zoned.is_null(), zoned.dt.convert_time_zone("Asia/Shanghai").dt.date())


def to_time(text: pl.Series, formats: tuple[str, ...] = ()) -> pl.Series:
    """Read instants written in Shanghai time as UTC; a bare date is its first moment."""
    if formats:
        local = _by_formats(text, formats)
    elif (usual := _usual(text)) is not None:
        local = usual
    else:
        tidy = _tidy(text)
        day = tidy.str.extract(_DATE).str.to_datetime("%Y-%m-%d", strict=False, time_unit="us")
        clock = tidy.str.extract(_CLOCK).str.replace_all("[时分]", ":")
        full = (
            (clock + ":00")
            .str.extract(r"^(\d{1,2}:\d{1,2}:\d{1,2})")
            .str.to_time("%H:%M:%S", strict=False)
        )
        since = full.cast(pl.Duration("us")).set(clock.is_null(), timedelta())
        local = day + since
    instants = from_shanghai(local)
    zoned = None if formats else _zoned(text)
    return instants if zoned is None else instants.zip_with(zoned.is_null(), zoned)


def from_shanghai(local: pl.Series) -> pl.Series:
    """Return local times of Shanghai as UTC.

    A time that summer time left out, such as the midnights of 1947-04-15 and 1949-05-01, is the end
    of that gap; one that came twice is the first. Gaps begin and end on whole hours.
    """

    def zoned(times: pl.Series) -> pl.Series:
        return times.dt.replace_time_zone(
            "Asia/Shanghai", ambiguous="earliest", non_existent="null"
        ).dt.convert_time_zone("UTC")

    instants = zoned(local)
    if instants.null_count() == local.null_count():
        return instants
    return instants.zip_with(instants.is_not_null(), zoned(local.dt.truncate("1h") + _HOUR))


def _usual(text: pl.Series) -> pl.Series | None:
    """Read a column all written in one of the usual ways, which is fast; else ``None``."""
    for form in _USUAL:
        read = text.str.to_datetime(form, strict=False, time_unit="us")
        odd = ~read.dt.year().is_between(1000, 9999)  # 24-01-05 is no day of the year 24
        if read.null_count() == text.null_count() and not odd.any():
            return read
    return None


def _zoned(text: pl.Series) -> pl.Series | None:
    """Read instants that state their zone (ISO 8601) as UTC; ``None`` where no value does."""
    iso = text.str.extract_groups(_ZONED).struct.unnest()
    stamp, zone = iso.to_series(0).str.replace(" ", "T"), iso.to_series(1)
    if stamp.null_count() == len(stamp):
        return None
    offset = zone.str.replace("Z", "+0000", literal=True).str.replace(":", "", literal=True)
    return (stamp + offset).str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.f%z", strict=False, time_unit="us", time_zone="UTC"
    )


def _tidy(text: pl.Series) -> pl.Series:
    return (
        text.str.replace(r"(:\d{1,2})\.\d+$", "$1")  # fractions of a second tell nothing here
        .str.replace_all(r"\s*[年月/.．／]\s*", "-")
        .str.replace("日", " ", literal=True)
        .str.replace(r"^(\d{4})(\d{2})(\d{2})$", "${1}-${2}-${3}")
        .str.replace(r"^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$", "$1-$2-$3 $4:$5:$6")
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
    bare = text.str.replace_all(r"[,，\s¥￥]|人民币", "").str.replace(r"[元圆]整?$", "元")
    number = bare.str.strip_suffix("元").str.replace(r"[万亿]$", "").cast(pl.Float64, strict=False)
    odd = text.str.contains(_NOT_THOUSANDS)  # 2,5 is no 25
    number = number.set(number.is_infinite() | number.is_nan() | odd, None)
    written = bare.str.extract(r"(元|[万亿]元?)$")
    if scale != 1.0 or written.null_count() < len(written):
        own = written.replace_strict(_WRITTEN, default=scale, return_dtype=pl.Float64)
        number = (number * own).round(2)
    return _with_words(number, text)


def _with_words(number: pl.Series, text: pl.Series) -> pl.Series:
    """Fill what is written in Chinese numerals, such as 伍仟元; without 元 it has no unit."""
    unread = text.filter(number.is_null() & text.str.contains(r"[元圆]整?$")).unique()
    if unread.is_empty():
        return number
    spelt = pl.Series([parse_amount(word) for word in unread], dtype=pl.Float64)
    words = text.replace_strict(unread, spelt, default=None, return_dtype=pl.Float64)
    return number.zip_with(number.is_not_null() | ~text.str.contains(_NUMERAL), words)


def rescale(number: pl.Series, unit: str | None = None) -> pl.Series:
    """Return numbers stored as such; money comes out in yuan, what is not a number is null."""
    finite = number.set(number.is_nan(), None)
    return (finite * _SCALES[unit]).round(2) if unit else finite


def to_integer(text: pl.Series) -> pl.Series:
    """Read whole numbers; 3.5 is unreadable."""
    digits = text.set(~text.str.contains(_WHOLE), None).str.replace_all("[,，]", "")
    exact = digits.cast(pl.Int64, strict=False)  # a float holds 15 digits only
    if exact.null_count() == text.null_count():
        return exact
    number = to_number(text)
    whole = number.set((number != number.round(0)) | (number.abs() >= _EXACT), None)
    return exact.zip_with(exact.is_not_null(), whole.cast(pl.Int64, strict=False))


def to_flag(text: pl.Series) -> pl.Series:
    """Read yes and no in the usual spellings."""
    folded = text.str.to_lowercase()
    words = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False)
    return folded.replace_strict(words, default=None, return_dtype=pl.Boolean)
