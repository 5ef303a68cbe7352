"""The pool of a draw (检查对象名录库): who can be drawn, with what probability, frozen by a digest.

A pool is written in one way only, so that its SHA-256 commits to every subject, stratum and
probability in it. ``SPECIFICATION.md`` beside this module says the same for whoever re-implements
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from models.errors import InspectionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GRID: Final = 10**12
"""Steps in which probabilities are told apart: what 12 decimals can write."""
COLUMNS: Final = {"subject_id": pl.String, "stratum": pl.String, "pi": pl.Float64}

# Controls, the separator, line and paragraph separators, the byte order mark; blanks at an end.
_UNWRITABLE: Final = r"[\x00-\x1f\x7f-\x9f,\u2028\u2029\ufeff]|^\s|\s$"
_BATCH: Final = 1 << 17
_NAMED: Final = 3
_SLACK: Final = 1000
"""Steps that a sum may be off beside one per subject: what floating-point scaling leaves."""


@dataclass(frozen=True, eq=False)
class Pool:
    """A checked pool in canonical order.

    ``frame`` has ``subject_id``, ``stratum`` and ``pi``, the target probability in (0, 1] on a grid
    of 12 decimals; 1 marks mandatory subjects. The ``pi`` below 1 of a stratum sum to a whole
    number, which is how many of them are drawn.
    """

    frame: pl.DataFrame

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Self:
        """Check ``frame``, round ``pi`` to 12 decimals and sort as the canonical lines are sorted.

        Raises :class:`InspectionError` for missing columns, an empty pool, nulls, duplicates, text
        that a line cannot hold, ``pi`` outside (0, 1], and strata whose ``pi`` below 1 do not sum
        to a whole number from 1 to one less than their count.
        """
        kept = _typed(frame)
        refuse_texts(kept, "subject_id", "stratum")
        _refuse_duplicates(kept)
        units = _units(kept)
        _refuse_sums(kept.select("stratum", units))
        return cls(_sorted(kept.with_columns(units)))

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Read canonical lines; :class:`InspectionError` for any byte that is not canonical."""
        pool = cls.of(_parsed(content))
        if pool.commitment != sha256(content).hexdigest():
            raise InspectionError(
                "the pool file is not in canonical form (order, line ends or 12 decimals), so its "
                "digest commits to nothing; freeze the pool again and use the file that it writes"
            )
        return pool

    @cached_property
    def commitment(self) -> str:
        """Return the SHA-256 of the canonical lines in hexadecimal, as ``sha256sum`` shows it."""
        digest = sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    @cached_property
    def strata(self) -> pl.DataFrame:
        """Return ``stratum``, ``size``, ``mandatory``, ``n`` and ``design`` of each stratum.

        ``n`` is how many of the others are drawn; ``design`` is ``census`` where all are mandatory,
        ``equal`` where the others' ``pi`` are equal, else ``pareto``.
        """
        return _strata(self.frame.select("stratum", _units(self.frame))).drop("off")

    def chunks(self) -> Iterator[bytes]:
        """Yield the canonical file in parts: what is hashed and what is published."""
        for part in self.frame.iter_slices(_BATCH):
            lines = part.select(_line(_units(part))).to_series()
            yield f"{lines.str.join(chr(10)).item()}\n".encode()

    def lines(self) -> bytes:
        """Return the whole canonical file: UTF-8, sorted by byte, each line ended by LF."""
        return b"".join(self.chunks())


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    lacking = [name for name in COLUMNS if name not in frame.columns]
    if lacking:
        raise InspectionError(f"a pool needs the columns {', '.join(COLUMNS)}; missing: {lacking}")
    if frame.is_empty():
        raise InspectionError("the pool is empty; a draw needs at least one subject")
    if not frame["pi"].dtype.is_float() and not frame["pi"].dtype.is_integer():
        raise InspectionError(f"pi is of type {frame['pi'].dtype}; write numbers in (0, 1]")
    texts = [frame[name].dtype for name in ("subject_id", "stratum")]
    if any(dtype != pl.String for dtype in texts):
        raise InspectionError(f"subject_id and stratum are of types {texts}; write them as text")
    kept = frame.select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items())
    nulls = {name: n for name, n in kept.null_count().row(0, named=True).items() if n}
    if nulls:
        raise InspectionError(f"the pool has nulls ({nulls}); a line holds all three values")
    return kept


def refuse_texts(frame: pl.DataFrame, *names: str) -> None:
    """Raise :class:`InspectionError` for texts that a published line cannot hold; null passes."""
    for name in names:
        column = pl.col(name)
        wrong = frame.lazy().filter(column.str.contains(_UNWRITABLE) | (column == ""))
        found = wrong.select(column.unique().sort().head(_NAMED)).collect().to_series().to_list()
        if found:
            raise InspectionError(
                f"{name} {_quoted(found)}: must not be empty, begin or end with a blank, or hold a "
                "comma, a line break or a control character; mend it in the source"
            )


def _refuse_duplicates(frame: pl.DataFrame) -> None:
    if frame["subject_id"].n_unique() < frame.height:
        twice = frame.filter(pl.col("subject_id").is_duplicated())
        first = twice.group_by("subject_id").agg(pl.col("stratum").unique().sort())
        some = first.sort("subject_id").head(_NAMED)
        named = "; ".join(f"'{one}' in {strata}" for one, strata in some.iter_rows())
        raise InspectionError(
            f"{first.height} subjects stand in the pool more than once ({named}); a subject is in "
            "one stratum, once: drop the repeated lines"
        )


def _units(frame: pl.DataFrame) -> pl.Series:
    """Return ``pi`` in steps of the grid."""
    pi = frame["pi"]
    wrong = frame.filter(~(pl.col("pi").is_finite() & (pl.col("pi") > 0) & (pl.col("pi") <= 1)))
    if not wrong.is_empty():
        subject, _, value = wrong.row(0)
        raise InspectionError(
            f"{wrong.height} subjects have pi outside (0, 1], the first '{subject}' with {value}; "
            "nobody may be out of reach, and 1 means that a subject is drawn for certain"
        )
    units = (pi * GRID).round().cast(pl.Int64).alias("units")
    if (units == 0).any():
        raise InspectionError("a pi is below 1e-12 and would be written as 0; raise the least pi")
    return units


def _strata(units: pl.DataFrame) -> pl.DataFrame:
    other = pl.col("units") < GRID
    # Sums of halves: more than nine million subjects with pi near 1 would pass 64 bits.
    whole, rest = pl.col("units") // 10**6, pl.col("units") % 10**6
    grouped = units.group_by("stratum").agg(
        pl.len().cast(pl.Int64).alias("size"),
        (~other).sum().cast(pl.Int64).alias("mandatory"),
        whole.filter(other).sum().alias("whole"),
        rest.filter(other).sum().alias("rest"),
        (pl.col("units").filter(other).min() == pl.col("units").filter(other).max()).alias("same"),
    )
    millions = pl.col("whole") + pl.col("rest") // 10**6
    n = (millions + GRID // 10**6 // 2) // (GRID // 10**6)
    design = (
        pl.when(pl.col("mandatory") == pl.col("size"))
        .then(pl.lit("census"))
        .when("same")
        .then(pl.lit("equal"))
        .otherwise(pl.lit("pareto"))
    )
    off = (millions - n * (GRID // 10**6)) * 10**6 + pl.col("rest") % 10**6
    return grouped.select(
        "stratum", "size", "mandatory", n.alias("n"), design.alias("design"), off.alias("off")
    ).sort("stratum")


def _refuse_sums(units: pl.DataFrame) -> None:
    strata = _strata(units).with_columns((pl.col("size") - pl.col("mandatory")).alias("others"))
    drawn = strata.filter(pl.col("others") > 0)
    slack = pl.col("others") + _SLACK
    for stratum, others, n, off in (
        drawn.filter(
            (pl.col("off").abs() > slack) | (pl.col("n") < 1) | (pl.col("n") >= pl.col("others"))
        )
        .select("stratum", "others", "n", "off")
        .head(1)
        .iter_rows()
    ):
        total = n + off / GRID
        raise InspectionError(
            f"stratum '{stratum}': the pi below 1 of {others} subjects sum to {total:.12g}; they "
            f"must sum to a whole number from 1 to {others - 1}, which is how many are drawn: "
            "allocate the draw again, or write pi 1 for those who are drawn for certain"
        )


def _line(units: pl.Series) -> pl.Expr:
    whole = (units // GRID).cast(pl.String)
    rest = (units % GRID).cast(pl.String).str.zfill(12)
    return pl.concat_str("subject_id", "stratum", whole + "." + rest, separator=",").alias("line")


def _sorted(frame: pl.DataFrame) -> pl.DataFrame:
    # Whole lines are compared: an id may hold symbols that sort before the comma.
    lined = frame.with_columns(_line(frame["units"]))
    ordered = lined.sort("line")
    # numpy rounds the quotient once, which gives the double nearest to the written decimals;
    # Polars multiplies by a reciprocal and may miss it by one bit.
    exact = pl.Series("pi", ordered["units"].to_numpy() / GRID)
    return ordered.select("subject_id", "stratum", exact)


def _parsed(content: bytes) -> pl.DataFrame:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InspectionError(f"the pool file is not UTF-8 at byte {error.start}") from None
    if not text.endswith("\n") or "\r" in text:
        raise InspectionError("each line of the pool file must end with LF, and with nothing else")
    lines = pl.Series("line", text.removesuffix("\n").split("\n"))
    parts = lines.str.splitn(",", 3).struct.unnest()
    parts.columns = list(COLUMNS)
    made = parts.with_columns(pl.col("pi").cast(pl.Float64, strict=False).alias("number"))
    wrong = made["number"].is_null() | (made["pi"].str.len_bytes() != len("0.") + 12)
    if wrong.any():
        number = int(wrong.arg_true()[0])
        raise InspectionError(
            f"line {number + 1} of the pool file: {lines[number][:80]!r} is not "
            "'subject_id,stratum,pi' with pi to 12 decimals"
        )
    return made.select("subject_id", "stratum", pl.col("number").alias("pi"))


def _quoted(values: Sequence[str]) -> str:
    return ", ".join(map(repr, values))
