"""Annotation: what a text model reads out of the lake's penalties and complaints, kept beside them.

Five derived columns are added to each table. They are no part of its contract, so an import never
states them and never takes them back; and they are written alone, by ``record_id``. So ``known_at``
stays as it is, since what a text says was there to be read on the day the text was known, and what
an import corrects while texts are read stays corrected.

    violation_leaf        leaf of the violation taxonomy; null where a person must decide
    violation_severity    minor, general, major, serious; null where not sure
    violation_confidence  calibrated probability that the likeliest leaf is right
    violation_model       digest of the bundle that read the text
    violation_text        digest of the text it read, so that a corrected text is read again

Where the model also answers ``department``, a complaint gets ``suggested_department`` and
``department_confidence``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, cast

import polars as pl

from models.errors import BundleError, LakeMissingError
from models.features.text import LEAF, SEVERITY
from models.records.lake import Lake
from models.text.taxonomy import Taxonomy, taxonomy

CONFIDENCE: Final = "violation_confidence"
MODEL: Final = "violation_model"
TEXT: Final = "violation_text"
DEPARTMENT: Final = "suggested_department"
DEPARTMENT_CONFIDENCE: Final = "department_confidence"
READ: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"penalty": ("violation_type", "violation_fact"), "complaint": ("content",)}
)
"""Which columns of a table are read, as one text."""

_KEY: Final = "record_id"
_KEPT_ROWS: Final = 200_000
"""Rows that are read before they are written, all at once: a run cut short goes on from there."""


class Reader(Protocol):
    """What reads texts: :class:`models.text.classifier.Classifier`."""

    def frame(self, texts: Sequence[str | None], *, top: int = 3) -> pl.DataFrame:
        """Return a row a text: for each head its labels, ``_confidence`` and more."""
        ...


@dataclass(frozen=True, slots=True)
class Annotated:
    """What an annotation did with a table."""

    table: str
    rows: int
    """Rows that have a text."""
    read: int
    """Rows read by this run; the others had been read by this model already."""
    answered: int
    """Of those, rows whose leaf is sure enough to stand."""
    version: int | None
    """The table's version afterwards; null where there is no such table."""


def annotate(
    lake: Lake,
    reader: Reader,
    *,
    model: str,
    tables: Mapping[str, Sequence[str]] = READ,
    known: Taxonomy | None = None,
    again: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[Annotated, ...]:
    """Read the texts that this model has not read yet and write its answers beside them.

    Args:
        lake: Where the records lie.
        reader: What reads.
        model: The bundle's digest.
        tables: Table to the columns that are read as one text; a table the lake lacks is passed.
        known: The taxonomy the leaves belong to; the package's by default.
        again: Also read what this model has read before.
        advance: Told of each bucket that is done.

    Raises:
        BundleError: The model does not answer with leaves at all.
        ConfigError: One of its leaves is unknown to the taxonomy.
        LakeMissingError: A table lacks a column that is to be read.
    """
    there = lake.tables()
    task = _Task(lake, reader, model, taxonomy() if known is None else known, again, advance)
    return tuple(
        task.run(table, columns) if table in there else Annotated(table, 0, 0, 0, None)
        for table, columns in tables.items()
    )


@dataclass(frozen=True, slots=True)
class _Task:
    lake: Lake
    reader: Reader
    model: str
    leaves: Taxonomy
    again: bool
    advance: Callable[[int], None]

    def run(self, table: str, columns: Sequence[str]) -> Annotated:
        """Annotate one table."""
        rows = read = answered = 0
        version = self.lake.version(table)
        for texts, count in self._batches(table, columns):
            rows += count
            if texts.is_empty():
                continue
            told = self._answers(texts, departments=table == "complaint")
            version = self.lake.amend(table, told).version
            read += told.height
            answered += told.height - told[LEAF].null_count()
        return Annotated(table, rows, read, answered, version)

    def _batches(self, table: str, columns: Sequence[str]) -> Iterator[tuple[pl.DataFrame, int]]:
        """Give the rows still to be read, some buckets at a time, and how many have a text.

        Columns: the key, ``text``, and its digest.
        """
        held: list[pl.DataFrame] = []
        count = 0
        version = self.lake.version(table)
        schema = self.lake.schema(table, version=version)
        if missing := [name for name in columns if name not in schema]:
            raise LakeMissingError(
                f"table {table!r} has no column {missing[0]!r} to read; it has {schema.names()}"
            )
        marks = [
            pl.col(one) if one in schema else pl.lit(None, pl.String).alias(one) for one in _MARKS
        ]
        done = (pl.col(MODEL) == self.model) & (pl.col(TEXT) == pl.col("digest"))
        left = pl.lit(value=True) if self.again else ~done.fill_null(value=False)
        for bucket in range(self.lake.buckets):
            query = self.lake.scan(table, version=version, bucket=bucket)
            frame = query.select(_KEY, joined_text(columns), *marks).drop_nulls("text").collect()
            count += frame.height
            held.append(
                frame.with_columns(digest=digests_of(frame["text"])).filter(left).drop(_MARKS)
            )
            self.advance(1)
            if sum(one.height for one in held) >= _KEPT_ROWS:
                yield pl.concat(held), count
                held, count = [], 0
        if held:
            yield pl.concat(held), count

    def _answers(self, rows: pl.DataFrame, *, departments: bool) -> pl.DataFrame:
        """Return the derived columns of rows; a text that repeats is read once."""
        texts = rows["text"].unique(maintain_order=True)
        said = self.reader.frame(cast("list[str]", texts.to_list()))
        if "leaf" not in said.columns:
            raise BundleError(
                "the model does not answer with a leaf of the violation taxonomy; annotate with "
                "one that was fitted on a table with a column 'leaf'"
            )
        leaf = pl.col("leaf").list.first()
        found = said.select(leaf).to_series().drop_nulls().unique().sort()
        self.leaves.check(cast("list[str]", found.to_list()))
        named = {
            LEAF: leaf,
            SEVERITY: _severity(said, leaf, self.leaves),
            CONFIDENCE: pl.col("leaf_confidence"),
            MODEL: pl.lit(self.model),
        }
        if departments and "department" in said.columns:
            named |= {
                DEPARTMENT: pl.col("department").list.first(),
                DEPARTMENT_CONFIDENCE: pl.col("department_confidence"),
            }
        told = said.select(**named).with_columns(text=texts)
        joined = rows.join(told, on="text", how="left", maintain_order="left")
        return joined.select(_KEY, *named, pl.col("digest").alias(TEXT))


_MARKS: Final = (MODEL, TEXT)


def joined_text(columns: Sequence[str]) -> pl.Expr:
    """Return the columns as one text, blank ones left out; null where all are."""
    parts = [
        pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name).str.strip_chars())
        for name in columns
    ]
    whole = pl.concat_str(parts, separator="。", ignore_nulls=True)
    return pl.when(whole != "").then(whole).alias("text")


def digests_of(texts: pl.Series) -> pl.Series:
    """Return the first sixteen hex digits of each text's SHA-256."""
    made = [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16] for text in texts]
    return pl.Series(made, dtype=pl.String)


def _severity(said: pl.DataFrame, leaf: pl.Expr, leaves: Taxonomy) -> pl.Expr:
    """Return the model's severity; where it has no such head, the leaf's, if it is but one."""
    if "severity" in said.columns:
        return pl.col("severity").list.first()
    usual = {one.code: one.severity[0] for one in leaves.leaves if len(one.severity) == 1}
    return leaf.replace_strict(usual, default=None, return_dtype=pl.String)
