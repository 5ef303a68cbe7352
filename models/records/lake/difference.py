"""What a batch of records changes in a table: which rows are new, which replace a stored one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from models.records.lake.layout import FATE, KEY, KNOWN, NOT_CONTENT, evolved
from models.records.lake.snapshot import PATH

if TYPE_CHECKING:
    from models.records.lake.snapshot import DataFile, Snapshot

_OLD = "__stored"


@dataclass(frozen=True, slots=True)
class Difference:
    """What one merge writes.

    ``fresh`` holds new and updated rows with all of ``schema``; ``stale`` names, by ``record_id``
    and file, the stored rows that updated ones replace.
    """

    schema: pl.Schema
    fresh: pl.DataFrame
    stale: pl.DataFrame
    inserted: int
    updated: int
    unchanged: int


_NO_STALE = pl.Schema({KEY: pl.String(), PATH: pl.String()})


def first_rows(frame: pl.DataFrame, place: str) -> Difference:
    """Give the difference to a table that does not exist yet: every row is new."""
    schema = evolved(pl.Schema(), frame, place)
    return Difference(schema, frame, pl.DataFrame(schema=_NO_STALE), frame.height, 0, 0)


def difference(
    snapshot: Snapshot, frame: pl.DataFrame, *, fill: bool, grow: bool = True
) -> Difference:
    """Compare ``frame`` with the stored rows of the same ``record_id``, wherever they lie.

    A column that ``frame`` lacks is not stated by it: it is neither compared nor changed. With
    ``fill`` a stored value stays and only its nulls are taken from the new row. Without ``grow``
    rows that the table does not know are passed over.
    """
    schema = evolved(snapshot.schema, frame, snapshot.place.at(snapshot.table))
    rows = frame.select(
        pl.col(name).cast(dtype) for name, dtype in schema.items() if name in frame.columns
    )
    located = _locate(snapshot, rows)
    if not grow:
        rows = rows.join(located, on=KEY, how="semi", maintain_order="left")
    if located.is_empty():
        fresh = complete(rows, schema)
        return Difference(schema, fresh, pl.DataFrame(schema=_NO_STALE), rows.height, 0, 0)
    new = rows.join(located, on=KEY, how="anti", maintain_order="left")
    changed = _changed(rows, _stored(snapshot, located), schema, fill=fill)
    return Difference(
        schema=schema,
        fresh=pl.concat([complete(new, schema), changed]),
        stale=located.join(changed, on=KEY, how="semi"),
        inserted=new.height,
        updated=changed.height,
        unchanged=rows.height - new.height - changed.height,
    )


def complete(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Give ``rows`` with the columns of ``schema``; those they lack are null."""
    return rows.select(
        pl.col(name) if name in rows.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in schema.items()
    )


def _locate(snapshot: Snapshot, rows: pl.DataFrame) -> pl.DataFrame:
    """Find in which file each known ``record_id`` lies.

    Every file is asked, not only those of the rows' buckets: a record whose subject was corrected
    lies in another bucket, and would otherwise be stored twice.
    """
    files = snapshot.all_files
    found = snapshot.scan(files, path_column=PATH).select(KEY, PATH)
    query = found.join(rows.lazy().select(KEY), on=KEY, how="semi")
    return snapshot.collect(query, files)


def _stored(snapshot: Snapshot, located: pl.DataFrame) -> pl.DataFrame:
    files = files_named(snapshot, located)
    query = snapshot.scan(files).join(located.lazy().select(KEY), on=KEY, how="semi")
    return snapshot.collect(query, files)


def files_named(snapshot: Snapshot, located: pl.DataFrame) -> list[DataFile]:
    """Give the files of ``snapshot`` that ``located`` mentions."""
    names = {path.rsplit("/", 1)[-1] for path in located[PATH].unique().to_list()}
    return [file for file in snapshot.all_files if file.name in names]


def _changed(
    rows: pl.DataFrame, stored: pl.DataFrame, schema: pl.Schema, *, fill: bool
) -> pl.DataFrame:
    """Give the rows that differ from the stored ones, as they are to be stored."""
    pairs = stored.select(pl.col(KEY), pl.exclude(KEY).name.suffix(_OLD)).join(
        rows, on=KEY, how="inner"
    )

    def value(name: str, dtype: pl.DataType) -> pl.Expr:
        old = pl.col(name + _OLD) if name in stored.columns else pl.lit(None, dtype)
        if name not in rows.columns:
            return old.alias(name)
        new = pl.col(name)
        return (pl.coalesce(old, new) if fill else new).alias(name)

    def differs(name: str, dtype: pl.DataType) -> pl.Expr:
        after = value(name, dtype)
        if name not in stored.columns:
            return after.is_not_null()
        return after.ne_missing(pl.col(name + _OLD))

    stated = [n for n in schema if n in rows.columns and n != KEY and n not in NOT_CONTENT]
    if not stated:
        return complete(pairs.clear().select(KEY), schema)
    changed = pairs.filter(pl.any_horizontal(differs(n, schema[n]) for n in stated))
    rewritten = [differs(n, schema[n]) for n in stated if n not in FATE]
    timed = KNOWN[0] in rows.columns and KNOWN[0] in stored.columns
    corrected = pl.any_horizontal(rewritten) if timed and rewritten and not fill else None
    known = {
        name: _known(name, corrected)
        for name in KNOWN
        if name in rows.columns and name in stored.columns
    }
    values = [known.get(n, value(n, dtype)) for n, dtype in schema.items() if n != KEY]
    return changed.select(KEY, *values).select(schema.names())


def _known(name: str, corrected: pl.Expr | None) -> pl.Expr:
    """Give when a changed record became known: at first, or when its correction did.

    What was corrected must not be seen at dates before the correction was known; what only became
    of a record later leaves it known since its first day.
    """
    first = pl.coalesce(name + _OLD, name)
    if corrected is None:
        return first.alias(name)
    at = KNOWN[0]
    later = corrected & (pl.col(at) > pl.col(at + _OLD)).fill_null(value=False)
    return pl.when(later).then(pl.col(name)).otherwise(first).alias(name)
