"""Dirty rows: a known share of rows made to break one rule of the gate each, and a note of which.

A row breaks one rule and only that, as far as one value can. ``V02``-``V14`` and ``V01`` change the
frame before it is written out, ``F01`` and ``F02`` what is written.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import polars as pl

from models.codes import citizen
from models.codes.uscc import ALPHABET
from training.synth.arrays import Ints, Random, texts

Spoiler = Callable[[pl.DataFrame, Random], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Spoil:
    """How a rule is broken: where ``fits`` holds, on the frame or on what is ``written``."""

    apply: Spoiler
    fits: pl.Expr | None = None
    written: bool = False


def _pick(rng: Random, values: tuple[str, ...], rows: int) -> pl.Series:
    return texts(list(values), rng.integers(len(values), size=rows))


def _set(column: str, *values: str) -> Spoiler:
    return lambda frame, rng: frame.with_columns(_pick(rng, values, frame.height).alias(column))


def _blank(*columns: str) -> Spoiler:
    """Empty one of the columns."""

    def spoil(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
        which = pl.Series(rng.integers(len(columns), size=frame.height))
        return frame.with_columns(
            pl.when(which != place).then(pl.col(column)).alias(column)
            for place, column in enumerate(columns)
        )

    return spoil


def _next_check(column: str) -> pl.Expr:
    """Return a code with the symbol after the right one as its check."""
    following = dict(zip(ALPHABET, ALPHABET[1:] + ALPHABET[0], strict=True))
    last = pl.col(column).str.slice(17, 1)
    return pl.col(column).str.head(17) + last.replace_strict(following, return_dtype=pl.String)


def _wrong_check(column: str) -> Spoiler:
    """Change the check symbol, or one digit of the region, or lose the last symbol."""

    def spoil(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
        code = pl.col(column)
        way = pl.Series(rng.integers(3, size=frame.height))
        digit = code.str.slice(7, 1).replace_strict(
            dict(zip("0123456789", "1234567890", strict=True)), default="0", return_dtype=pl.String
        )
        return frame.with_columns(
            pl.when(way == 0)
            .then(_next_check(column))
            .when(way == 1)
            .then(code.str.head(7) + digit + code.str.slice(8))
            .otherwise(code.str.head(17))
            .alias(column)
        )

    return spoil


def _other_category(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
    del rng
    sole = pl.col("subject_category") == "个体工商户"
    other = pl.when(sole).then(pl.lit("法人及非法人组织")).otherwise(pl.lit("个体工商户"))
    return frame.with_columns(other.alias("subject_category"))


def _other_name(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
    """Give the name of a subject that does not exist: another cycle of syllables in front."""
    front = _pick(rng, ("天元", "地合", "人和", "光华", "长宁"), frame.height)
    return frame.with_columns((front + pl.col("subject_name").str.slice(4)).alias("subject_name"))


def _odd_day(*, ancient: bool) -> Spoiler:
    """Move the day after the report, or (``ancient``) for half of the rows to before 1949."""

    def spoil(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
        reported = pl.col("known_at").dt.convert_time_zone("Asia/Shanghai").dt.date()
        ahead = pl.Series(rng.integers(10, 61, size=frame.height))
        old = pl.Series(rng.random(frame.height) < (0.5 if ancient else 0.0))
        later = reported.cast(pl.Int32) + ahead
        return frame.with_columns(
            pl.when(old)
            .then(pl.lit(-25_567))
            .otherwise(later)
            .cast(pl.Int32)
            .cast(pl.Date)
            .alias("happened_on")
        )

    return spoil


def _before(column: str, other: str) -> Spoiler:
    """Put a term's end before its beginning."""

    def spoil(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
        back = pl.Series(rng.integers(1, 400, size=frame.height))
        return frame.with_columns(
            (pl.col(other).cast(pl.Int32) - back).cast(pl.Int32).cast(pl.Date).alias(column)
        )

    return spoil


def _fine_disagrees(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
    """Lose the fine of a fine, or give one where there is none."""
    amount = pl.Series(rng.integers(5, 200, size=frame.height) * 100.0)
    fine = pl.col("fine_amount")
    return frame.with_columns(pl.when(fine.is_null()).then(amount).alias("fine_amount"))


def _wrong_unit(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
    """Put yuan where 万元 belong."""
    del rng
    return frame.with_columns(pl.col("fine_amount") * 10_000.0)


def _citizen_numbers(rng: Random, rows: int) -> pl.Series:
    """Return numbers with a right check symbol that nobody has.

    Their area, 219999, does not exist, and their bearers would be born before 1910.
    """
    birth = pl.Series(rng.integers(-25_567, -21_916, size=rows)).cast(pl.Int32).cast(pl.Date)
    order = pl.Series(rng.integers(100, 1_000, size=rows)).cast(pl.String)
    body = "219999" + birth.dt.strftime("%Y%m%d") + order
    weighted = [sum(map(operator.mul, map(int, one), citizen.WEIGHTS)) for one in body]
    return body + texts(list(citizen.CHECK_SYMBOLS), np.array(weighted, np.int64) % 11)


def _citizen_number(*columns: str) -> Spoiler:
    """Put a citizen's number into one of the texts."""

    def spoil(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
        number = pl.lit("经办人身份证号" + _citizen_numbers(rng, frame.height) + "。")
        which = pl.Series(rng.integers(len(columns), size=frame.height))
        return frame.with_columns(
            pl.when(which == place)
            .then(pl.col(column).fill_null("") + number)
            .otherwise(pl.col(column))
            .alias(column)
            for place, column in enumerate(columns)
        )

    return spoil


def _again(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
    """Report a second time, some days later."""
    later = pl.duration(days=pl.lit(pl.Series(rng.integers(1, 9, size=frame.height))))
    return frame.with_columns(pl.col("known_at") + later)


def _simple_procedure(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
    marked = pl.Series(rng.random(frame.height) < 0.5)
    remark = _pick(rng, ("简易程序", "适用简易程序，当场处罚", "当场作出处罚决定"), frame.height)
    number = pl.col("document_number")
    return frame.with_columns(
        pl.when(marked).then(number.str.replace("罚决", "罚简", literal=True)).otherwise(number),
        pl.when(~marked).then(remark).otherwise(pl.col("remark")).alias("remark"),
    )


def _noise(column: str) -> Spoiler:
    """Put HTML, a control character, a zero-width mark or full-width digits into a text."""
    marks = ("<br/>", "&nbsp;", "<p>", "\u0007", "\u200b", "１２３")

    def spoil(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
        text, mark = pl.col(column), _pick(rng, marks, frame.height)
        return frame.with_columns((text.str.head(6) + mark + text.str.slice(6)).alias(column))

    return spoil


def _no_organ(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
    """Give the subject's own code, or a broken one, as the authority's."""
    broken = pl.Series(rng.random(frame.height) < 0.5)
    code = pl.when(broken).then(_next_check("authority_code")).otherwise(pl.col("uscc"))
    return frame.with_columns(code.alias("authority_code"))


_DATES: Final = (
    "2023/13/40",
    "2024/02/30",
    "20240/1/5",
    "二〇二三年某月",
    "2022/00/17",
    "2021/6/31",
    "近日",
)
_NUMBERS: Final = ("待定", "1.2.3", "见决定书", "3至5", "0..5", "约数")
_CODED: Final = pl.col("uscc").is_not_null()
_FINED: Final = pl.col("fine_amount").is_not_null()
# A decision moved past its report must still come before its publication ends.
_LONG_PUBLIC: Final = pl.col("publish_until") > pl.col("known_at").dt.date() + pl.duration(days=70)


def _dates(*columns: str) -> Spoil:
    def spoil(frame: pl.DataFrame, rng: Random) -> pl.DataFrame:
        which = pl.Series(rng.integers(len(columns), size=frame.height))
        wrong = _pick(rng, _DATES, frame.height)
        return frame.with_columns(
            pl.when(which == place).then(wrong).otherwise(pl.col(column)).alias(column)
            for place, column in enumerate(columns)
        )

    return Spoil(spoil, written=True)


SPOILS: Final[Mapping[str, Mapping[str, Spoil]]] = MappingProxyType(
    {
        "licence": {
            "V01": Spoil(
                _blank("document_name", "kind", "content", "valid_to", "source_authority")
            ),
            "V02": Spoil(_wrong_check("uscc")),
            "V03": Spoil(_other_category),
            "V04": Spoil(_other_name),
            "V05": Spoil(_odd_day(ancient=False)),
            "V06": Spoil(_before("valid_to", "valid_from")),
            "V09": Spoil(_citizen_number("content", "remark")),
            "V10": Spoil(_again),
            "V13": Spoil(_noise("content")),
            "V14": Spoil(_no_organ),
            "F01": _dates("happened_on", "valid_to"),
            "F03": Spoil(_set("kind", "未分类", "特批", "其它类型")),
        },
        "penalty": {
            "V01": Spoil(
                _blank("violation_fact", "legal_basis", "penalty_content", "source_authority")
            ),
            "V02": Spoil(_wrong_check("uscc")),
            "V03": Spoil(_other_category),
            "V04": Spoil(_other_name),
            "V05": Spoil(_odd_day(ancient=True), fits=_LONG_PUBLIC),
            "V06": Spoil(_before("publish_until", "happened_on")),
            "V07": Spoil(_fine_disagrees),
            "V08": Spoil(_wrong_unit, fits=_FINED),
            "V09": Spoil(_citizen_number("violation_fact", "remark")),
            "V10": Spoil(_again),
            "V11": Spoil(_set("legal_basis", "有关法律法规", "按照相关规定", "上级文件要求")),
            "V12": Spoil(_simple_procedure),
            "V13": Spoil(_noise("violation_fact")),
            "V14": Spoil(_no_organ),
            "F01": _dates("happened_on", "publish_until"),
            "F02": Spoil(_set("fine_amount", *_NUMBERS), fits=_FINED, written=True),
            "F03": Spoil(_set("severity", "特重", "四级", "待定")),
        },
        "inspection": {
            "V02": Spoil(_wrong_check("uscc")),
            "V05": Spoil(_odd_day(ancient=True)),
            "F03": Spoil(_set("result", "unknown", "待定")),
        },
        "complaint": {
            "V02": Spoil(_wrong_check("uscc")),
            "V05": Spoil(_odd_day(ancient=True), fits=pl.col("closed_on").is_null()),
            "V06": Spoil(
                _before("closed_on", "happened_on"), fits=pl.col("closed_on").is_not_null()
            ),
            "V13": Spoil(_noise("content")),
            "F03": Spoil(_set("kind", "advice", "其他诉求")),
        },
        "sampling": {"V02": Spoil(_wrong_check("uscc")), "F03": Spoil(_set("result", "unknown"))},
        "listing": {
            "V02": Spoil(_wrong_check("uscc"), fits=_CODED),
            "V06": Spoil(
                _before("removed_on", "happened_on"), fits=pl.col("removed_on").is_not_null()
            ),
            "F01": _dates("happened_on"),
            "F03": Spoil(_set("kind", "未知名单", "内部名单")),
        },
        "judgment": {
            "V02": Spoil(_wrong_check("uscc")),
            "F01": _dates("happened_on"),
            "F02": Spoil(_set("amount", *_NUMBERS), written=True),
            "F03": Spoil(_set("kind", "仲裁", "公证")),
        },
        "annual_report": {"V02": Spoil(_wrong_check("uscc"))},
        "tax_event": {"V02": Spoil(_wrong_check("uscc")), "F03": Spoil(_set("kind", "unknown"))},
        "repair": {
            "V06": Spoil(_before("happened_on", "applied_on")),
            "F01": _dates("happened_on"),
            "F03": Spoil(_set("decision", "待核", "转办")),
        },
        "pledge": {"F01": _dates("happened_on"), "F03": Spoil(_set("fulfilment", "unknown"))},
        "equipment": {"F01": _dates("happened_on"), "F03": Spoil(_set("kind", "年检", "复检"))},
        "env_monitor": {"V02": Spoil(_wrong_check("uscc"))},
        "transport_event": {"V02": Spoil(_wrong_check("uscc"))},
        "wage_event": {
            "F02": Spoil(
                _set("amount", *_NUMBERS), fits=pl.col("amount").is_not_null(), written=True
            ),
        },
        "bid": {"F03": Spoil(_set("result", "流标", "待定"))},
        "finance_event": {"F03": Spoil(_set("kind", "其他线索"))},
        "ad_monitor": {"F03": Spoil(_set("medium", "传单", "其他媒介"))},
        "public_contract": {"F01": _dates("happened_on")},
    }
)
"""Table → rule → how its rows are made dirty."""


def assign(
    rng: Random, table: str, frame: pl.DataFrame, rates: Mapping[str, float]
) -> dict[str, Ints]:
    """Return rule → the rows that shall break it; no row breaks two."""
    drawn = rng.random(frame.height)
    edge, chosen = 0.0, dict[str, Ints]()
    for rule, spoil in SPOILS.get(table, {}).items():
        rate = rates.get(rule, 0.0)
        hit = (drawn >= edge) & (drawn < edge + rate)
        edge += rate
        if spoil.fits is not None:
            hit &= frame.select(spoil.fits).to_series().to_numpy()
        rows = np.flatnonzero(hit)
        if rows.size:
            chosen[rule] = rows
    return chosen


def spoil(
    rng: Random, table: str, frame: pl.DataFrame, chosen: Mapping[str, Ints], *, written: bool
) -> pl.DataFrame:
    """Break the ``chosen`` rows; those of V10 are left as they are and come again at the end."""
    out, again = frame, list[pl.DataFrame]()
    for rule, rows in chosen.items():
        how = SPOILS[table][rule]
        if how.written != written:
            continue
        dirty = how.apply(frame[rows], rng).select(frame.columns).cast(frame.schema)
        if rule == "V10":
            again.append(dirty)
        else:
            out = _replaced(out, rows, dirty)
    return pl.concat([out, *again])


def _replaced(frame: pl.DataFrame, rows: Ints, dirty: pl.DataFrame) -> pl.DataFrame:
    source = np.arange(frame.height)
    source[rows] = frame.height + np.arange(len(rows))
    return pl.concat([frame, dirty])[source]


def noted(chosen: Mapping[str, Ints], height: int) -> pl.DataFrame:
    """Return row (0-based, of the spoilt frame) and rule; V10 is noted on the second report."""
    parts: list[pl.DataFrame] = []
    extra = height
    for rule, rows in chosen.items():
        if rule == "V10":
            rows = np.arange(extra, extra + len(rows))  # noqa: PLW2901
            extra += len(rows)
        parts.append(pl.DataFrame({"row": rows, "rule": [rule] * len(rows)}))
    empty = pl.DataFrame(schema={"row": pl.Int64, "rule": pl.String})
    return pl.concat([empty, *parts]).sort("row")
