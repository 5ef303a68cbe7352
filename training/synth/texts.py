"""Texts of decisions, complaints and inspection notes, put together from the grammar."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Final

import numpy as np
import polars as pl

from training.synth.arrays import Flags, Floats, Ints, Random, Texts, as_texts, between, days
from training.synth.grammar import Leaf, Words, grammar
from training.synth.mix import Mix

_SLOT: Final = re.compile(r"\{(\w+)(?::(\d+)-(\d+))?\}")
_CAPITALS: Final = "零壹贰叁肆伍陆柒捌玖"
_STEPS: Final = ((1000, "仟"), (100, "佰"), (10, "拾"), (1, ""))

Slot = tuple[str, float, float]
"""A slot's name and, for numbers, its range."""


@cache
def _parts(pattern: str) -> tuple[str | Slot, ...]:
    """Split a pattern into literals and slots."""
    parts: list[str | Slot] = []
    place = 0
    for match in _SLOT.finditer(pattern):
        parts.append(pattern[place : match.start()])
        parts.append((match[1], float(match[2] or 0), float(match[3] or 0)))
        place = match.end()
    parts.append(pattern[place:])
    return tuple(part for part in parts if part)


def compose(
    rng: Random,
    patterns: Sequence[str],
    size: int,
    *,
    words: Words,
    given: Mapping[str, Texts] | None = None,
) -> Texts:
    """Return ``size`` texts, each from one of ``patterns`` with its slots filled.

    A slot takes the row's own value from ``given``, else a number in its range, else one of its
    ``words``, which may be patterns themselves.
    """
    if not any("{" in pattern for pattern in patterns):
        return np.array(patterns, dtype=object)[rng.integers(len(patterns), size=size)]
    out = np.full(size, "", dtype=object)
    chosen = rng.integers(len(patterns), size=size)
    for number, pattern in enumerate(patterns):
        rows = np.flatnonzero(chosen == number)
        if not rows.size:
            continue
        text = np.full(rows.size, "", dtype=object)
        for part in _parts(pattern):
            piece = part if isinstance(part, str) else _fill(rng, part, rows, words, given or {})
            text = text + piece
        out[rows] = text
    return out


def _fill(rng: Random, slot: Slot, rows: Ints, words: Words, given: Mapping[str, Texts]) -> Texts:
    name, low, high = slot
    if name in given:
        return given[name][rows]
    if name == "n":
        return _written(rng.integers(int(low), int(high) + 1, size=rows.size))
    if name == "yuan":
        return _written(np.round(between(rng, low, high, rows.size)).astype(np.int64))
    return compose(rng, words[name], rows.size, words=words, given=None)


def _written(numbers: Ints) -> Texts:
    return as_texts(pl.Series(numbers).cast(pl.String))


def by_leaf(leaf: Ints, write: Callable[[Leaf, Ints], Texts]) -> Texts:
    """Return the texts that ``write`` makes for the rows of each leaf."""
    out = np.full(len(leaf), "", dtype=object)
    for number, one in enumerate(grammar().leaves.values()):
        rows = np.flatnonzero(leaf == number)
        if rows.size:
            out[rows] = write(one, rows)
    return out


def _own(leaf: Leaf) -> Words:
    return {**grammar().words, **leaf.words}


def _at(given: Mapping[str, Texts], rows: Ints) -> dict[str, Texts]:
    return {name: values[rows] for name, values in given.items()}


def facts(rng: Random, leaf: Ints, given: Mapping[str, Texts]) -> Texts:
    """Return 违法事实; ``given`` has date and place of each row."""
    told = grammar()
    opening = compose(rng, told.openings, len(leaf), words=told.words, given=given)
    act = by_leaf(
        leaf,
        lambda one, rows: compose(
            rng, one.acts, rows.size, words=_own(one), given=_at(given, rows)
        ),
    )
    detail = by_leaf(
        leaf,
        lambda one, rows: compose(
            rng, told.details[one.detail], rows.size, words=told.words, given=_at(given, rows)
        ),
    )
    detail[rng.random(len(leaf)) < 0.15] = ""
    return opening + act + detail + compose(rng, told.proofs, len(leaf), words=told.words)


def problems(rng: Random, leaf: Ints, given: Mapping[str, Texts]) -> Texts:
    """Return what an inspector notes: the act and what was done about it."""
    told = grammar()
    act = by_leaf(
        leaf,
        lambda one, rows: compose(
            rng, one.acts, rows.size, words=_own(one), given=_at(given, rows)
        ),
    )
    return act + compose(rng, told.problems, len(leaf), words=told.words)


def complaints(rng: Random, leaf: Ints, given: Mapping[str, Texts]) -> Texts:
    """Return what a complainant says."""
    told = grammar()
    opening = compose(rng, told.complaint_openings, len(leaf), words=told.words, given=given)
    body = by_leaf(
        leaf,
        lambda one, rows: compose(
            rng, one.complaints, rows.size, words=_own(one), given=_at(given, rows)
        ),
    )
    return opening + body + compose(rng, told.complaint_demands, len(leaf), words=told.words)


def types(rng: Random, leaf: Ints) -> Texts:
    """Return 违法行为类型."""
    return by_leaf(leaf, lambda one, rows: compose(rng, one.types, rows.size, words={}))


def bases(rng: Random, leaf: Ints) -> Texts:
    """Return 处罚依据: a law and its article."""
    told = grammar()

    def write(one: Leaf, rows: Ints) -> Texts:
        words: Words = {"law": (one.law,), "article": one.articles, "general": told.generals}
        return compose(rng, told.bases, rows.size, words=words)

    return by_leaf(leaf, write)


def sanctions(rng: Random, kinds: Texts, *, fine: Texts, gain: Texts, permit: Texts) -> Texts:
    """Return 处罚内容 for rows of joined kinds such as ``05;03``; amounts as they are written."""
    told = grammar()
    out = np.full(len(kinds), "", dtype=object)
    for joined in sorted(set(kinds.tolist())):
        rows = np.flatnonzero(kinds == joined)
        given = {"fine": fine[rows], "gain": gain[rows], "permit": permit[rows]}
        joint = compose(rng, told.joints, rows.size, words={})
        body = np.full(rows.size, "", dtype=object)
        for place, kind in enumerate(joined.split(";")):
            piece = compose(rng, told.sanctions[kind], rows.size, words=told.words, given=given)
            body = body + (joint if place else "") + piece
        out[rows] = compose(rng, told.frames, rows.size, words={}, given={"body": body})
    return out


def amounts(rng: Random, yuan: Ints) -> Texts:
    """Return amounts as decisions write them: 2000元, 2,000元, 2000.00元, 0.2万元, 贰仟元整."""
    form = rng.choice(5, size=len(yuan), p=[0.52, 0.10, 0.10, 0.13, 0.15])
    return np.array(
        [_amount(y, f) for y, f in zip(yuan.tolist(), form.tolist(), strict=True)], object
    )


@lru_cache(maxsize=65_536)
def _amount(yuan: int, form: int) -> str:
    match form:
        case 1:
            return f"{yuan:,}元"
        case 2:
            return f"{yuan}.00元"
        case 3:
            return f"{yuan / 10_000:.4f}".rstrip("0").rstrip(".") + "万元"
        case 4:
            return f"{capital_numeral(yuan)}元整"
        case _:
            return f"{yuan}元"


def capital_numeral(number: int) -> str:
    """Return a whole number below 10^8 in capital numerals.

    >>> capital_numeral(56_045)
    '伍万陆仟零肆拾伍'
    """
    wan, rest = divmod(number, 10_000)
    if not wan:
        return _below_wan(rest) or "零"
    gap = "零" if 0 < rest < 1000 else ""
    return f"{_below_wan(wan)}万{gap}{_below_wan(rest)}"


def _below_wan(number: int) -> str:
    written, gap = "", False
    for step, unit in _STEPS:
        digit = number // step % 10
        if digit:
            written += ("零" if gap and written else "") + _CAPITALS[digit] + unit
        gap = not digit
    return written


def dates(day: Ints) -> Texts:
    """Return days as 2024年3月5日."""
    return as_texts(days(day).dt.strftime("%Y年%-m月%-d日"))


def places(rng: Random, county: Ints, mix: Mix) -> Texts:
    """Return places such as 沈阳市和平区甲子路12号."""
    names = np.array([name.removeprefix("辽宁省") for name in mix.full_names], dtype=object)
    return compose(
        rng,
        (
            "{county}{road}路{n:1-399}号",
            "{county}{road}街{n:1-260}号{n:1-30}门",
            "{county}{road}市场{n:1-90}号",
        ),
        len(county),
        words={
            "road": (
                "建设",
                "解放",
                "人民",
                "青年",
                "和平",
                "工业",
                "文化",
                "滨河",
                "站前",
                "新华",
                "东风",
            )
        },
        given={"county": names[county]},
    )


def leaf_weights(mix: Mix, *, complained: bool) -> Floats:
    """Return group × leaf: how often a leaf is met in a group of industries."""
    leaves = grammar().leaves.values()
    weights = [
        [leaf.groups.get(group, leaf.groups.get("any", 0.0)) for leaf in leaves]
        for group in mix.group_names
    ]
    heard: Flags = np.array([not complained or bool(leaf.complaints) for leaf in leaves])
    return np.array(weights) * heard
