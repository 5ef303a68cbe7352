"""Check what a mapping writes in other notations: date formats, patterns, encodings, queries.

Each check returns the text it was given, or raises ``ValueError`` with the rule and the remedy.
"""

from __future__ import annotations

import codecs
import re
from datetime import date, datetime
from typing import Final

import polars as pl
from polars.exceptions import PolarsError

from training.sources import clean

_SAMPLE: Final = datetime(2001, 2, 3, 4, 5, 6)  # noqa: DTZ001 - only to be written and read back
# Strings first, so that what looks like a comment inside one is none.
_LITERALS: Final = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL
)
_WRITES: Final = re.compile(
    r"\b(?:insert|update|delete|merge|replace\s+into|into|drop|alter|create|truncate|grant|call)\b",
    re.IGNORECASE,
)


def check_format(text: str) -> str:
    """Refuse a format by which no day can be read, such as ``%H`` alone."""
    if text == "excel":
        return text
    read: date | None = None
    try:
        written = pl.Series([_SAMPLE]).dt.to_string(text)
        read = clean.to_date(written, (text,))[0]
    except PolarsError:
        pass
    if read is None or read.year != _SAMPLE.year:
        raise ValueError(
            f"the format {text!r} tells no date; write one such as %Y-%m-%d or %Y年%m月, or 'excel'"
        )
    return text


def check_extract(text: str) -> str:
    """Refuse a pattern that does not compile or has no group to take."""
    try:
        groups = pl.Series([""]).str.extract_groups(text).struct.fields
    except PolarsError as error:
        reason = str(error).strip().splitlines()[-1].removeprefix("error: ")[:160]
        raise ValueError(f"the pattern {text!r} cannot be used: {reason}; correct it") from None
    if not groups:
        raise ValueError(f"the pattern {text!r} has no group; put (…) around what it is to take")
    return text


def check_encoding(text: str) -> str:
    """Refuse what is no character encoding."""
    try:
        "".encode(codecs.lookup(text).name)  # refuses codecs such as base64
    except (LookupError, ValueError):
        raise ValueError(f"unknown encoding {text!r}; use utf-8 or gb18030") from None
    return text


def check_separator(text: str) -> str:
    """Refuse a separator that is not one byte, or that divides lines and quotes itself."""
    if len(text.encode()) != 1 or text in '"\r\n\0':
        raise ValueError(
            f"the separator {text!r} is not one ASCII character; write one such as ',' or '|', "
            "and leave it out where it should be found by itself"
        )
    return text


def check_query(text: str) -> str:
    """Refuse a query that is not one SELECT (or WITH), before any database sees it.

    This guards against mistakes; what an account may do is for the database to say.
    """
    whole = text.strip().removesuffix(";")
    code = _LITERALS.sub(" ", whole).strip()
    if not re.match(r"(?:select|with)\b", code, re.IGNORECASE):
        raise ValueError("the query must begin with SELECT or WITH; import only reads")
    # Not even inside quotes: where those begin and end depends on the database.
    if ";" in whole or "/*!" in whole:
        raise ValueError("the query holds more than one statement; write one SELECT without ';'")
    if found := _WRITES.search(code):
        raise ValueError(
            f"the query would write ({found[0].upper()}); write a single SELECT, "
            "and quote a column of that name"
        )
    return text
