"""处罚类别: the kinds of administrative penalty (行政处罚法 Art. 9) behind many wordings."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final, Literal

import polars as pl

from models.codes.columns import Column, by_distinct
from models.codes.tables import Table, read_table
from models.errors import CodeError

OTHER: Final = "99"

# A comma before three digits groups thousands of an amount; every other one parts two kinds.
_SEPARATOR = r"[;；、，|/+\n]|,(?![0-9]{3})"


class PenaltyKind(Table):
    """One kind: label, item of Art. 9, weight class, and the pattern of its wordings."""

    label: str
    item: str
    weight: Literal["L", "M", "H", "amount", "note"]
    find: str


class _Layout(Table):
    kinds: dict[str, PenaltyKind]
    not_a_penalty: str
    legacy: dict[str, dict[str, tuple[str, ...]]]


@cache
def _layout() -> _Layout:
    return read_table("penalty_kinds.yaml", _Layout)


def kinds() -> dict[str, PenaltyKind]:
    """Return every kind by its two-digit id."""
    return dict(_layout().kinds)


def label(kind: str) -> str | None:
    """Return the Chinese label of a kind's id; null if there is no such kind."""
    found = _layout().kinds.get(kind)
    return None if found is None else found.label


def split(text: str | None, *, legacy: str | None = None) -> list[str] | None:
    """Return the ids of the penalty kinds that ``text`` names, in order and once each.

    Kinds may be joined by ``; , 、 | /`` or stand in one phrase (警告并处罚款). What is not
    understood is ``99``; 责令改正 is no penalty and gives nothing, so that a list can be empty.
    Null for a text that is missing or blank. ``legacy`` names an older system's numeric ids.

    Raises:
        CodeError: there is no such ``legacy`` scheme.
    """
    older = _legacy(legacy)
    pieces = [] if text is None else _pieces(text)
    if not pieces:
        return None
    found = [kind for piece in pieces for kind in older.get(piece) or _kinds_in(piece)]
    return list(dict.fromkeys(found))


def split_expr(column: Column, *, legacy: str | None = None) -> pl.Expr:
    """Return the list of ids of the penalty kinds that each text names; see :func:`split`.

    Raises:
        CodeError: there is no such ``legacy`` scheme.
    """
    _legacy(legacy)
    return by_distinct(column, lambda text: split(text, legacy=legacy), pl.List(pl.String))


def _legacy(scheme: str | None) -> dict[str, tuple[str, ...]]:
    if scheme is None:
        return {}
    schemes = _layout().legacy
    if scheme not in schemes:
        raise CodeError(
            f"no penalty ids are known by the name {scheme!r}: use one of {', '.join(schemes)}, or "
            "leave it out for wordings and two-digit ids"
        )
    return schemes[scheme]


def _pieces(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text)
    parts = (re.sub(r"[\s\-—:]", "", part) for part in re.split(_SEPARATOR, plain))
    return [part for part in parts if part not in {"", "无"}]


def _kinds_in(piece: str) -> tuple[str, ...]:
    table = _layout()
    if piece in table.kinds:
        return (piece,)
    if re.search(table.not_a_penalty, piece):
        return ()
    if re.search(table.kinds[OTHER].find, piece):
        return (OTHER,)
    named = tuple(kind for kind, entry in table.kinds.items() if re.search(entry.find, piece))
    return named or (OTHER,)
