"""What a condition's expression is made of: operations that Polars would let pass and are no good.

Polars compares a day with an instant or a number by their stored integers, divides by nought, and
counts characters in integers that wrap below nought. The expression's own tree (its JSON) shows
where a condition does so.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias, cast

import polars as pl
from polars.exceptions import PolarsError

from models.errors import ConfigError

Node: TypeAlias = dict[str, object]

_COMPARES: Final = frozenset({"Eq", "NotEq", "Lt", "LtEq", "Gt", "GtEq"})
_DIVIDES: Final = frozenset({"Div", "IntDiv", "Rem"})
_SMALL: Final = ({"StringExpr": "LenChars"}, {"TemporalExpr": "Month"}, {"TemporalExpr": "Year"})
"""Functions whose small or unsigned integers would wrap in arithmetic."""
_TEMPORAL: Final = (pl.Date, pl.Datetime, pl.Duration)


def widened(expr: pl.Expr) -> pl.Expr:
    """Return ``expr`` with lengths, places and parts of dates as Int64; places look for plain text.

    Raises :class:`ConfigError` where it is nested too deeply to be read.
    """
    tree = _tree(expr)
    changed = False
    for node in list(_nodes(tree)):
        changed |= _widen(node)
    return _expression(tree) if changed else expr


def misfits(expr: pl.Expr, schema: Mapping[str, pl.DataType]) -> list[str]:
    """Return what the expression does on columns of ``schema`` that means nothing."""
    frame = pl.LazyFrame(schema=dict(schema))
    return [text for node in _nodes(_tree(expr)) for text in _misfits(node, frame)]


def _misfits(node: Node, frame: pl.LazyFrame) -> Iterator[str]:
    operation = _part(node, "BinaryExpr")
    if operation.get("op") in _COMPARES:
        yield from _unlike(operation, frame)
    function = _part(node, "Function")
    does, inputs = function.get("function"), cast("list[Node]", function.get("input", []))
    if _named(does, "Sql", "Binary") in _DIVIDES and _is_nought(inputs[1]):
        yield "it divides by nought"
    if _named(does, "StringExpr", "Contains") is not None and _reads_columns(inputs[1]):
        yield "its pattern comes from a column; write the pattern as a text"


def _unlike(operation: Node, frame: pl.LazyFrame) -> Iterator[str]:
    sides = [_dtype(cast("Node", operation[side]), frame) for side in ("left", "right")]
    left, right = sides
    if left is None or right is None or pl.Null in sides:
        return
    if left.base_type() != right.base_type() and any(
        d.base_type() in _TEMPORAL for d in sides if d
    ):
        yield f"it compares {_kind(left)} with {_kind(right)}{_remedy(left, right)}"


def _kind(dtype: pl.DataType) -> str:
    words: dict[type[pl.DataType], str] = {
        pl.Date: "a date",
        pl.Datetime: "an instant",
        pl.Duration: "a length of time",
        pl.String: "a text",
    }
    return words.get(dtype.base_type(), "a number")


def _remedy(left: pl.DataType, right: pl.DataType) -> str:
    both = {left.base_type(), right.base_type()}
    if pl.Duration in both:
        return "; write lengths as interval '90 days'"
    if both == {pl.Date, pl.Datetime}:
        return "; ask a date column such as happened_on"
    return "; write dates as date '2025-01-31'"


def _widen(node: Node) -> bool:
    """Change a node in place; tell whether it was one to change."""
    function = _part(node, "Function")
    does = function.get("function")
    finds = _named(does, "StringExpr", "Find")
    if finds is not None:
        cast("Node", finds)["literal"] = True
    if finds is None and does not in _SMALL:
        return False
    inner = dict(node)
    node.clear()
    node["Cast"] = {"expr": inner, "dtype": {"Literal": "Int64"}, "options": "Strict"}
    return True


def _tree(expr: pl.Expr) -> Node:
    try:
        return cast("Node", json.loads(expr.meta.serialize(format="json")))
    except (RecursionError, PolarsError):
        raise _too_deep() from None


def _expression(node: Node) -> pl.Expr:
    try:
        return pl.Expr.deserialize(io.StringIO(json.dumps(node)), format="json")
    except (RecursionError, PolarsError):
        raise _too_deep() from None


def _too_deep() -> ConfigError:
    return ConfigError("the condition is nested too deeply; write: column in ('a', 'b', …)")


def _nodes(tree: object) -> Iterator[Node]:
    """Yield the nodes of a tree, those of literals left out."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            node = cast("Node", one)
            yield node
            waiting += [value for key, value in node.items() if key != "Literal"]
        elif isinstance(one, list):
            waiting += cast("list[object]", one)


def _part(node: Node, name: str) -> Node:
    found = node.get(name)
    return cast("Node", found) if isinstance(found, dict) else {}


def _named(value: object, *names: str) -> object:
    """Return what lies under the names one inside another; None where it is not there."""
    for name in names:
        if not isinstance(value, dict):
            return None
        value = cast("Node", value).get(name)
    return value


def _reads_columns(node: Node) -> bool:
    return any("Column" in one for one in _nodes(node))


def _is_nought(node: Node) -> bool:
    if _reads_columns(node):
        return False
    try:
        return pl.select(_expression(node)).item() == 0
    except PolarsError:
        return False


def _dtype(node: Node, frame: pl.LazyFrame) -> pl.DataType | None:
    """Return a node's type on the columns; None where it has none, which the trial run tells."""
    try:
        return frame.select(_expression(node)).collect_schema().dtypes()[0]
    except (PolarsError, ConfigError):
        return None
