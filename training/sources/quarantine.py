"""Rows that were refused: why, where they stand, and what became of them since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from models.codes import masking
from models.records.bookkeeping import QUARANTINE, Quarantine
from models.records.identity import stable_id
from models.records.lake import Lake
from training.sources.mapping import Plan
from training.sources.prepare import Prepared
from training.sources.read import LINE, BrokenRow

SCHEMA: Final = pl.Schema({n: c.dtype for n, c in Quarantine.columns().items()})

UNMASKED: Final = "S03"
"""The rule of natural persons' rows: their numbers are starred before anything is kept."""

_OPEN: Final = ("record_id", "file", "line", "rule", "column")


@dataclass(frozen=True, slots=True)
class Origin:
    """The run and the source that entries come from."""

    plan: Plan
    run_id: str
    started_at: datetime


def entry_id(
    digest: str, source: str, line: int, rule: str, column: str | None, *, raw: str
) -> str:
    """Return the id of one broken rule: the file's content, the line and row, rule and column.

    A database has no content to tell its states apart, so the row itself (``raw``) counts too.
    """
    return stable_id(f"{digest}#{source}#{line}#{rule}#{column or ''}#{raw}")


def entries(
    prepared: Prepared, problems: pl.DataFrame, origin: Origin, *, digest: str
) -> pl.DataFrame:
    """Return the quarantine's rows for one batch: ``problems``, and rows that are no rows."""
    broken = [_broken(row, prepared.batch.file, origin, digest) for row in prepared.batch.broken]
    refused = _refused(prepared, problems, origin, digest) if not problems.is_empty() else None
    found = pl.DataFrame(broken, schema=SCHEMA)
    whole = found if refused is None else pl.concat([found, refused])
    return whole.unique("record_id", maintain_order=True)


def _refused(
    prepared: Prepared, problems: pl.DataFrame, origin: Origin, digest: str
) -> pl.DataFrame:
    plan = origin.plan
    bad = prepared.records.join(problems, on="source_ref", how="semi")
    raw = _raw(prepared, bad[LINE])
    rows = bad.select(
        *("source_ref", LINE, "authority", "region", "happened_on", "known_at"),
        target_record_id=pl.when(_formed(plan)).then("record_id"),
    ).join(raw, on=LINE)
    joined = problems.join(rows, on="source_ref", maintain_order="left").with_columns(
        pl.col("known_at").fill_null(origin.started_at),
        file=pl.lit(prepared.batch.file),
        line=pl.col(LINE),
        run_id=pl.lit(origin.run_id),
        source=pl.lit(plan.source.id),
        table=pl.lit(plan.contract.name),
        strict=pl.lit(plan.source.strict),
    )
    ids = [
        entry_id(digest, plan.source.id, line, rule, column, raw=row)
        for line, rule, column, row in joined.select("line", "rule", "column", "raw").iter_rows()
    ]
    with_ids = joined.with_columns(record_id=pl.Series(ids, dtype=pl.String))
    return _starred(with_ids).select(SCHEMA.names())


def _raw(prepared: Prepared, lines: pl.Series) -> pl.DataFrame:
    """Return source rows, by line, as JSON."""
    rows = prepared.rows.filter(pl.col(LINE).is_in(lines.implode()))
    return rows.select(LINE, raw=pl.struct(pl.exclude(LINE)).struct.json_encode())


def _starred(entries: pl.DataFrame) -> pl.DataFrame:
    """Star out the numbers of natural persons whom nothing lets us store."""
    persons = entries.filter(pl.col("rule") == UNMASKED)["source_ref"]
    if persons.is_empty():
        return entries
    masked = pl.when(pl.col("source_ref").is_in(persons.implode()))
    return entries.with_columns(
        masked.then(masking.mask_text_expr(c)).otherwise(c).alias(c) for c in ("raw", "value")
    )


def _formed(plan: Plan) -> pl.Expr:
    """Hold where everything is there that makes the record's id what it will stay."""
    needed = [part for part in plan.contract.key if part in plan.contract.required]
    own_id = pl.col("source_id").is_not_null()
    return pl.col("subject_id").is_not_null() & (
        own_id | pl.all_horizontal(pl.col(part).is_not_null() for part in needed)
    )


def _broken(row: BrokenRow, file: str, origin: Origin, digest: str) -> dict[str, object]:
    source = origin.plan.source
    return {
        "record_id": entry_id(digest, source.id, row.line, row.rule, row.column, raw=row.raw),
        "run_id": origin.run_id,
        "source": source.id,
        "table": origin.plan.contract.name,
        "strict": source.strict,
        "rule": row.rule,
        "column": row.column,
        "value": row.value,
        "file": file,
        "line": row.line,
        "authority": source.constants.get("authority"),
        "region": source.constants.get("region"),
        "known_at": origin.started_at,
        "raw": row.raw,
    }


def open_entries(lake: Lake, plan: Plan) -> pl.DataFrame:
    """Return a source's entries that name no record: their row had no subject or number yet."""
    if QUARANTINE not in lake.tables():
        return pl.DataFrame(schema={name: SCHEMA[name] for name in _OPEN})
    own = (pl.col("source") == plan.source.id) & (pl.col("table") == plan.contract.name)
    nameless = own & pl.col("target_record_id").is_null()
    return lake.scan(QUARANTINE).filter(nameless).select(_OPEN).collect()


def answered(
    entries: pl.DataFrame, prepared: Prepared, good: pl.DataFrame, plan: Plan, *, digest: str
) -> pl.DataFrame:
    """Return ``record_id`` and ``target_record_id`` of open entries whose very row is now good.

    So a row whose subject was registered later, and which was imported again, counts as corrected.
    """
    place = pl.concat_str("file", pl.col("line").cast(pl.String), separator="#")
    pairs = entries.with_columns(source_ref=place).join(
        good.select("source_ref", target_record_id="record_id"), on="source_ref"
    )
    pairs = pairs.join(_raw(prepared, pairs["line"]), left_on="line", right_on=LINE)
    rows = pairs.select("line", "rule", "column", "raw").iter_rows()
    ids = [
        entry_id(digest, plan.source.id, line, rule, column, raw=raw)
        for line, rule, column, raw in rows
    ]
    same = pairs["record_id"] == pl.Series(ids, dtype=pl.String)
    return pairs.filter(same).select("record_id", "target_record_id")
