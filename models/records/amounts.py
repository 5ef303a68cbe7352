"""Amounts of money as they are written in decisions: 罚款2000元, 1.5万元, 伍万陆仟伍佰肆拾伍元."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import polars as pl

WAN: Final = 10_000.0
LONGEST: Final = 20_000
"""Characters of a text that are searched for fines."""

_CACHED: Final = 500
"""Characters of the longest text whose fines are remembered."""

_DIGITS: Final = {
    **dict(zip("零一二三四五六七八九", range(10), strict=True)),
    **dict(zip("〇壹贰叁肆伍陆柒捌玖", range(10), strict=True)),
    "两": 2,
    "貳": 2,
    "參": 3,
    "陸": 6,
}
_UNITS: Final = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_CHINESE: Final = "".join(_DIGITS) + "".join(_UNITS) + "万萬亿億"
_NUMBER: Final = rf"(?:\d[\d,，]*(?:\.\d+)?|[{_CHINESE}]+)"
FINE_PATTERN: Final = (
    rf"(?:罚款|处罚金|罚金)(?:金额)?(?:人民币|合计|共计|为|[:：（(¥￥\s])*({_NUMBER}\s*(?:万|亿)?)\s*(?:余)?(?:元|圆)"
    rf"|处(?:以|罚)?(?:人民币)?({_NUMBER}\s*(?:万|亿)?)\s*(?:元|圆)(?:整|人民币)*的?(?:行政)?罚款"
)
"""A fine inside a text; exactly one of the two groups holds the amount."""


def _below_wan(text: str) -> float | None:
    """Read a Chinese numeral below 万, such as 陆仟伍佰肆拾伍 or 十五."""
    total, digit = 0, 0
    for char in text:
        if char in _DIGITS:
            digit = _DIGITS[char]
        elif char in _UNITS:
            total += (digit or 1) * _UNITS[char]
            digit = 0
        else:
            return None
    return float(total + digit)


def _chinese(text: str) -> float | None:
    total = 0.0
    rest = text.replace("萬", "万").replace("億", "亿")
    for mark, value in (("亿", 1e8), ("万", WAN)):
        if mark in rest:
            head, _, rest = rest.partition(mark)
            part = _below_wan(head)
            if not head or part is None:
                return None
            total += part * value
    tail = _below_wan(rest) if rest else 0.0
    return None if tail is None else total + tail


@lru_cache(maxsize=65_536)
def parse_amount(text: str) -> float | None:
    """Return the yuan that ``text`` (a bare amount, with or without 元) stands for, else ``None``.

    >>> parse_amount("伍万陆仟伍佰肆拾伍元")
    56545.0
    >>> parse_amount("1.5万元")
    15000.0
    """
    bare = re.sub(r"[\s,，¥￥]|人民币|[元圆整]", "", text)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(万|亿)?", bare)
    if match:
        scale = {None: 1.0, "万": WAN, "亿": 1e8}[match[2]]
        return round(float(match[1]) * scale, 2)
    return _chinese(bare) if bare and set(bare) <= set(_CHINESE) else None


def fines_in(text: str) -> tuple[float, ...]:
    """Return every fine named in ``text``, in yuan, in order of appearance.

    Only the first 20,000 characters are looked at, a run of blanks counting as one.
    """
    # Blanks in plenty would take the pattern quadratic time.
    packed = re.sub(r"\s+", " ", text)[:LONGEST]
    return _short_fines(packed) if len(packed) <= _CACHED else _fines(packed)


def _fines(text: str) -> tuple[float, ...]:
    found = (parse_amount(a or b) for a, b in re.findall(FINE_PATTERN, text))
    return tuple(amount for amount in found if amount is not None)


_short_fines = lru_cache(maxsize=65_536)(_fines)


def _agrees(amount: float, named: tuple[float, ...]) -> bool:
    """Hold when ``amount`` is one of the fines named, or their sum."""
    return any(abs(amount - fine) <= max(0.01, 0.001 * fine) for fine in (*named, sum(named)))


def fine_agrees(amount: str, text: str) -> pl.Expr:
    """Hold when the fine in ``amount`` (yuan) is one that ``text`` names, or the sum of all.

    Null where either is missing, or the text names no fine. A ratio of 10,000 is 万元/元 confusion.
    """

    def judge(columns: pl.Series) -> pl.Series:
        rows = columns.struct.unnest()
        verdicts = [
            _agrees(value, named) if value and content and (named := fines_in(content)) else None
            for value, content in rows.iter_rows()
        ]
        return pl.Series(verdicts, dtype=pl.Boolean)

    return pl.struct(amount, text).map_batches(judge, return_dtype=pl.Boolean, is_elementwise=True)
