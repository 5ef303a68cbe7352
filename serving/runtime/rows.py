"""From features and decisions to the rows that the ledger keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import numpy as np
import polars as pl

from models.decide import decide
from models.features.spec import AS_OF, SUBJECT
from models.risk.encode import FloatArray
from serving.ledger.changes import ChangeKind, NewChange
from serving.ledger.decisions import Basis, identified
from serving.runtime.live import Live

_KEPT = (
    *("probability", "risk_score", "grade", "previous_grade", "vetoes", "valid_until", "warn"),
    *("draw", "action"),
)
_FEW = 64
_SEPARATOR = "\x1f"
_NULL = "\x00"


def made(
    features: pl.DataFrame,
    live: Live,
    basis: Basis,
    *,
    earlier: pl.DataFrame,
    regions: Mapping[str, str | None],
    mark: int,
    at: datetime,
    threads: int = 1,
) -> pl.DataFrame:
    """Decide rows of features, and return them as the ledger keeps them, in their order.

    Besides the ledger's columns there is ``stands``: the decision of the day is this one already,
    whose ``id`` it has. ``before`` is the grade that stood until now, null for none; ``anew`` tells
    that it replaces what a review annulled.
    """
    previous = earlier.filter(~pl.col("today"))
    decided = decide(
        features,
        live.scenario,
        live.bundle,
        previous=None if previous.is_empty() else previous,
        threads=threads,
    )
    rows = decided.select(SUBJECT, AS_OF, *_KEPT).with_columns(
        digests(features, live).alias("inputs_digest"),
        pl.Series("region", [regions.get(one) for one in decided[SUBJECT]], dtype=pl.String),
    )
    joined = _beside(rows, earlier)
    same = (
        (pl.col("inputs_digest") == pl.col("_inputs"))
        & (pl.col("_scenario") == basis.scenario_digest)
        & (pl.col("_bundle") == basis.bundle_digest)
        & pl.col("_previous").eq_missing(pl.col("previous"))
    )
    marked = joined.with_columns(same.fill_null(value=False).alias("stands"))
    ids = identified(marked, scenario=live.scenario.id, basis=basis)
    return marked.with_columns(
        pl.when("stands").then("replaces").otherwise(ids).alias("id"),
        pl.when("stands").then(None).otherwise("replaces").alias("replaces"),
        pl.coalesce("_grade", "_grade_before").alias("before"),
        (pl.col("replaces").is_not_null() & pl.col("_inputs").is_null()).alias("anew"),
        pl.lit(live.scenario.id).alias("scenario"),
        pl.lit(str(basis.id)).alias("basis"),
        pl.lit(mark, pl.Int64).alias("inbox_mark"),
        pl.lit(at).alias("made_at"),
    ).drop("_inputs", "_scenario", "_bundle", "_previous", "_grade", "_grade_before")


def to_store(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of :func:`made` that do not stand already, with the ledger's columns."""
    return rows.filter(~pl.col("stands")).drop("stands", "before", "anew")


def changed(rows: pl.DataFrame, new: set[UUID] | None, *, at: datetime) -> list[NewChange]:
    """Return what partners are to be told: another grade than before, or a first one that warns.

    What replaces an annulled decision they are told of in any case.

    ``new`` are the decisions that were not there yet; null takes all that do not stand already.
    """
    differs = pl.col("before").is_not_null() & (pl.col("grade") != pl.col("before"))
    first = pl.col("before").is_null() & pl.col("warn")
    told = differs | first | pl.col("anew")
    return [
        NewChange(
            kind=ChangeKind.DECISION,
            subject_id=row["subject_id"],
            region=row["region"],
            payload={
                "scenario": row["scenario"],
                "decision": row["id"],
                "as_of": str(row["as_of"]),
                "grade": row["grade"],
                "grade_before": row["before"],
                "warn": row["warn"],
                "valid_until": str(row["valid_until"]),
            },
            at=at,
        )
        for row in rows.filter(~pl.col("stands") & told).iter_rows(named=True)
        if new is None or UUID(row["id"]) in new
    ]


def digests(features: pl.DataFrame, live: Live) -> pl.Series:
    """Return the SHA-256 of each row of features, whatever the order of the frame's columns.

    Numbers go in as IEEE 754 with one zero and one NaN, which stands for null too.
    """
    specs = live.pipeline.features
    texts = [spec.name for spec in specs if spec.dtype == "category"]
    numbers = [spec.name for spec in specs if spec.dtype != "category"]
    few = features.height <= _FEW
    matrix, told = (_few if few else _many)(features, numbers, texts)
    matrix = np.where(np.isnan(matrix), np.nan, matrix) + 0.0
    begun = hashlib.sha256(live.pipeline.digest.encode())
    found: list[bytes] = []
    for row, text in zip(matrix, told, strict=True):
        one = begun.copy()
        one.update(row.tobytes())
        one.update(text.encode())
        found.append(one.digest())
    return pl.Series("inputs_digest", found, dtype=pl.Binary)


def _many(
    features: pl.DataFrame, numbers: Sequence[str], texts: Sequence[str]
) -> tuple[FloatArray, list[str]]:
    """Return the numbers of each row as a matrix, and its texts as one."""
    matrix = features.select(pl.col(name).cast(pl.Float64) for name in numbers).to_numpy()
    told = features.select(
        pl.concat_str(
            [pl.lit(""), *(pl.col(name).cast(pl.String).fill_null(_NULL) for name in texts)],
            separator=_SEPARATOR,
        ).alias("told")
    )["told"]
    return np.ascontiguousarray(matrix), told.to_list()


def _few(
    features: pl.DataFrame, numbers: Sequence[str], texts: Sequence[str]
) -> tuple[FloatArray, list[str]]:
    """Return what :func:`_many` does; hundreds of columns of a few values take Polars longer."""
    place = {name: at for at, name in enumerate(features.columns)}
    rows = features.rows()
    matrix = np.array([[row[place[name]] for name in numbers] for row in rows], np.float64)
    told = [
        _SEPARATOR.join(("", *(_NULL if (t := row[place[n]]) is None else t for n in texts)))
        for row in rows
    ]
    return matrix.reshape(len(rows), len(numbers)), told


def _beside(rows: pl.DataFrame, earlier: pl.DataFrame) -> pl.DataFrame:
    """Add to each row what was decided before: of an earlier day, and of the same."""
    before = earlier.filter(~pl.col("today")).select(
        SUBJECT, pl.col("id").alias("previous"), pl.col("grade").alias("_grade_before")
    )
    today = earlier.filter("today").select(
        SUBJECT,
        pl.col("id").alias("replaces"),
        pl.col("grade").alias("_grade"),
        pl.col("inputs_digest").alias("_inputs"),
        pl.col("scenario_digest").alias("_scenario"),
        pl.col("bundle_digest").alias("_bundle"),
        pl.col("previous").alias("_previous"),
    )
    return rows.join(before, on=SUBJECT, how="left", maintain_order="left").join(
        today, on=SUBJECT, how="left", maintain_order="left"
    )
