"""How a lake's tables are laid out: the note they carry, their buckets, their column types."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from deltalake import Field, Schema
from deltalake.schema import ArrayType, PrimitiveType

from models.errors import LakeError, LakeFormatError, RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polars._typing import PolarsDataType

FORMAT = 1
"""Version of the layout written here; a reader refuses a higher one."""
DEFAULT_BUCKETS = 64
MAX_BUCKETS = 65_536
BUCKET = "bucket"
KEY = "record_id"
SUBJECT = "subject_id"
KNOWN = ("known_at", "known_assumed")
"""When a fact became known."""
FATE = frozenset(
    {"void_from", "void_reason", "corrected", "findings", "removed_on", "remove_reason"}
    | {"ended_on", "closed_on", "revoked_on", "concluded_on", "settled_on", "fulfilment"}
)
"""Columns that tell what became of a record later: they do not make the record itself newer."""
NOT_CONTENT = (*KNOWN, "source_ref")
"""Columns that alone do not make a record a different one."""

_TABLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Note:
    """What every table of a lake says about itself, kept in the Delta description."""

    kind: str
    buckets: int
    by: str = SUBJECT
    format: int = FORMAT

    def dump(self) -> str:
        """Write the note as the JSON text of a Delta description."""
        body = {
            "format": self.format,
            "buckets": self.buckets,
            "kind": self.kind,
            "by": self.by,
        }
        return json.dumps({"xinjian": body})


def read_note(description: str | None, place: str) -> Note:
    """Read the note of the table at ``place`` from its Delta ``description``.

    Raises LakeFormatError when there is none (not a lake's table) or when a newer release wrote it.
    """
    try:
        body = json.loads(description or "")["xinjian"]
        note = Note(
            kind=str(body["kind"]),
            buckets=int(body["buckets"]),
            by=str(body["by"]),
            format=int(body["format"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        newer = _newer_format(description)
        if newer is not None:
            raise _too_new(place, newer) from error
        raise LakeFormatError(
            f"{place} is a Delta table that Xinjian did not write; name the folder of a lake, or a "
            "new folder, and import the foreign table through a mapping"
        ) from error
    if note.format > FORMAT:
        raise _too_new(place, note.format)
    return note


def _newer_format(description: str | None) -> int | None:
    """Find a format number above ours in a note whose other fields we may not understand."""
    found = re.search(r'"xinjian".*?"format":\s*(\d+)', description or "")
    return int(found[1]) if found and int(found[1]) > FORMAT else None


def _too_new(place: str, found: int) -> LakeFormatError:
    return LakeFormatError(
        f"{place} has lake format {found}, this release reads up to format {FORMAT}; "
        "upgrade xinjian to the release that wrote it"
    )


def check_table_name(table: str) -> None:
    """Refuse a table name that is not a plain lower-case identifier (LakeError)."""
    if not _TABLE_NAME.fullmatch(table):
        raise LakeError(
            f"table name {table!r} is not usable; use lower-case letters, digits and _, "
            "beginning with a letter, at most 63 characters"
        )


def bucket_of(value: str | None, buckets: int) -> int:
    """Give the bucket of one subject: CRC-32 (as zlib) of its UTF-8 text modulo ``buckets``."""
    return zlib.crc32((value or "").encode()) % buckets


def bucket_values(values: pl.Series, buckets: int) -> pl.Series:
    """Give the Int32 bucket of every text in ``values``; each distinct text is hashed once."""
    name = values.name
    distinct = values.unique()
    lookup = pl.DataFrame(
        {
            name: distinct,
            BUCKET: pl.Series([bucket_of(v, buckets) for v in distinct.to_list()], dtype=pl.Int32),
        }
    )
    joined = values.to_frame().join(
        lookup, on=name, how="left", nulls_equal=True, maintain_order="left"
    )
    return joined[BUCKET]


_PRIMITIVES: Mapping[str, pl.DataType] = {
    "string": pl.String(),
    "boolean": pl.Boolean(),
    "byte": pl.Int8(),
    "short": pl.Int16(),
    "integer": pl.Int32(),
    "long": pl.Int64(),
    "float": pl.Float32(),
    "double": pl.Float64(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
    "binary": pl.Binary(),
}
_DELTA_NAMES: Mapping[pl.DataType, str] = {dtype: name for name, dtype in _PRIMITIVES.items()}
_DECIMAL = re.compile(r"decimal\((\d+),\s*(\d+)\)")
_WIDENED: Mapping[pl.DataType, pl.DataType] = {
    pl.UInt8(): pl.Int16(),
    pl.UInt16(): pl.Int32(),
    pl.UInt32(): pl.Int64(),
}


def stored_type(dtype: pl.DataType) -> pl.DataType | None:
    """Give the type under which a column of ``dtype`` is kept, None when it cannot be kept."""
    match dtype:
        case pl.Enum() | pl.Categorical():
            return pl.String()
        case pl.Datetime(time_zone=zone) if zone is not None:
            return pl.Datetime("us", "UTC")
        case pl.Decimal():
            return dtype
        case pl.List(inner=inner):
            kept = stored_type(_instance(inner))
            return None if kept is None else pl.List(kept)
        case _:
            kept = _WIDENED.get(dtype, dtype)
            return kept if kept in _DELTA_NAMES else None


def _instance(dtype: PolarsDataType) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def _to_delta(dtype: pl.DataType) -> PrimitiveType | ArrayType:
    match dtype:
        case pl.List(inner=inner):
            return ArrayType(_to_delta(_instance(inner)), contains_null=True)
        case pl.Decimal(precision=precision, scale=scale):
            return PrimitiveType(f"decimal({precision},{scale})")
        case _:
            return PrimitiveType(_DELTA_NAMES[dtype])


def _from_delta(kind: object, column: str, place: str) -> pl.DataType:
    if isinstance(kind, ArrayType):
        return pl.List(_from_delta(kind.element_type, column, place))
    if isinstance(kind, PrimitiveType):
        if decimal := _DECIMAL.fullmatch(kind.type):
            return pl.Decimal(int(decimal[1]), int(decimal[2]))
        if kind.type in _PRIMITIVES:
            return _PRIMITIVES[kind.type]
    raise LakeFormatError(
        f"column {column!r} of {place} has the Delta type {kind}, which this release cannot read; "
        "upgrade xinjian or rebuild the table from its sources"
    )


def delta_schema(schema: pl.Schema) -> Schema:
    """Give the Delta schema of a table whose readers see ``schema``; the bucket comes last."""
    fields = [Field(name, _to_delta(dtype), nullable=True) for name, dtype in schema.items()]
    return Schema([*fields, Field(BUCKET, PrimitiveType("integer"), nullable=True)])


def reader_schema(schema: Schema, place: str) -> pl.Schema:
    """Give what readers see of a table's Delta ``schema``: everything but the bucket."""
    return pl.Schema(
        {
            field.name: _from_delta(field.type, field.name, place)
            for field in schema.fields
            if field.name != BUCKET
        }
    )


def storable(frame: pl.DataFrame) -> pl.DataFrame:
    """Cast ``frame`` to the types a lake keeps and check its keys.

    Enum and Categorical become String, zoned times become microseconds UTC, small unsigned integers
    the next signed ones. A column of type Null stays as it is: it has no type of its own yet.
    Raises RecordError for a missing, null or repeated ``record_id``, for a column named ``bucket``,
    and for a type that cannot be kept.
    """
    if BUCKET in frame.columns:
        raise RecordError(f"column {BUCKET!r} is reserved by the lake; rename it in the mapping")
    if KEY not in frame.columns:
        raise RecordError(
            f"the records have no column {KEY!r}, only {frame.columns}; every record needs its key"
        )
    casts: dict[str, pl.DataType] = {}
    for name, dtype in frame.schema.items():
        if dtype == pl.Null():
            continue
        kept = stored_type(dtype)
        if kept is None:
            raise RecordError(
                f"column {name!r} has type {dtype}, which the lake cannot keep; cast it first "
                "(times with time zone UTC, nested values as JSON text)"
            )
        if kept != dtype:
            casts[name] = kept
    typed = frame.cast(casts) if casts else frame  # pyright: ignore[reportArgumentType]
    for name in (KEY, SUBJECT):
        if name in typed.columns and typed.schema[name] not in (pl.String(), pl.Null()):
            raise RecordError(
                f"column {name!r} has type {typed.schema[name]}; it must be text (String)"
            )
    _check_keys(typed)
    return typed


def _check_keys(frame: pl.DataFrame) -> None:
    keys = frame[KEY]
    if missing := keys.null_count():
        raise RecordError(
            f"{missing} of {frame.height} records have no {KEY}; give every record its key"
        )
    if keys.n_unique() == keys.len():
        return
    repeated = keys.filter(keys.is_duplicated()).unique(maintain_order=True)
    shown = ", ".join(repeated.head(3).to_list())
    raise RecordError(
        f"{KEY} {shown} occurs more than once in one batch ({repeated.len()} ids in all); keep one "
        "row of each"
    )


def evolved(schema: pl.Schema, frame: pl.DataFrame, place: str) -> pl.Schema:
    """Give ``schema`` with the columns that only ``frame`` has, appended in its order.

    Raises LakeError when a column exists with another type, RecordError when a new column holds
    nothing but nulls of no type.
    """
    grown = dict(schema)
    for name, dtype in frame.schema.items():
        held = schema.get(name)
        if held is None and dtype == pl.Null():
            raise RecordError(f"column {name!r} has no type and {place} does not know it; cast it")
        if held is None:
            grown[name] = dtype
        elif dtype not in (held, pl.Null()):
            raise LakeError(
                f"column {name!r} of {place} is {held}, the new records bring {dtype}; cast it to "
                f"{held}, or give the new meaning a column of its own"
            )
    return pl.Schema(grown)


def row_order(schema: pl.Schema) -> list[str]:
    """Give the columns by which rows are sorted inside a file."""
    return [name for name in (SUBJECT, "happened_on", KEY) if name in schema]
