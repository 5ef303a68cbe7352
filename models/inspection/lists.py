"""一单两库: matters, targets and inspectors as checked, versioned lists.

A list is read from a department's frame; each row is checked, and a row with a fault is returned
with what is wrong and what to do, never dropped unsaid. The version of a list is a digest of what
it says, whatever the order of its rows, so that a plan can name the lists that it was made with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from hashlib import sha256
from typing import Final

import polars as pl

from models.errors import InspectionError
from models.inspection.list_cells import REMEDIES, SEPARATOR, value, written
from models.inspection.list_fields import ListColumn, ListMapping, ListName, ListSpec, spec_of
from models.names import fold

FAULT: Final = pl.Schema(
    {
        "row": pl.Int64(),
        "field": pl.String(),
        "value": pl.String(),
        "rule": pl.String(),
        "remedy": pl.String(),
    }
)
"""One broken rule of one row; ``row`` is its line in the sheet, ``value`` what stands there."""

DIFFERENCE: Final = ("change", "field", "before", "after")
"""The columns of a difference after the key; see :func:`difference`."""

ROW: Final = "_row"
_BATCH: Final = 1 << 16


@dataclass(frozen=True, eq=False)
class Listing:
    """A checked list: every field of it as a column, sorted by its key."""

    name: ListName
    frame: pl.DataFrame

    @cached_property
    def version(self) -> str:
        """Return the SHA-256 of the list's content in hex; the order of rows does not count."""
        digest = sha256(f"xinjian-list-v1\n{self.name}\n{','.join(self.frame.columns)}\n".encode())
        for part in self.frame.iter_slices(_BATCH):
            lines = part.select(pl.struct(pl.all()).struct.json_encode()).to_series()
            digest.update(f"{lines.str.join(chr(10)).item()}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Parsed:
    """A frame's good rows, each with its line in :data:`ROW`; for the rest see :class:`Read`."""

    good: pl.DataFrame
    faults: pl.DataFrame
    blank: int
    unread: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Sheet:
    """What a frame had besides its good rows: ``faults`` as :data:`FAULT`.

    ``rows`` were there, ``blank`` of them with nothing filled in; ``unread`` are headings that no
    field took. Good rows, ``blank`` and different rows of ``faults`` sum to ``rows``.
    """

    faults: pl.DataFrame
    rows: int
    blank: int
    unread: tuple[str, ...]

    @property
    def refused(self) -> int:
        """Return how many rows were not kept."""
        return self.faults["row"].n_unique()


@dataclass(frozen=True, eq=False)
class Read(Sheet):
    """What was read of a frame: the list of its good rows, and the faults of all others."""

    kept: Listing


def read(
    frame: pl.DataFrame,
    name: ListName,
    *,
    on: date,
    mapping: ListMapping | None = None,
    first_row: int = 2,
) -> Read:
    """Read a department's ``frame`` as the list ``name``.

    Args:
        frame: Any headings, any plain types.
        name: Which list.
        on: The day of reading: no day of the past is after it, no certificate ended before it.
        mapping: Headings that the glossary does not know.
        first_row: The line of the sheet on which the first row stands.

    Raises:
        ConfigError: The mapping names a field that the list does not have.
        InspectionError: A required field has no heading, two headings are one field, or a mapped
            heading is not there.
    """
    found = parse(frame, name, on=on, mapping=mapping, first_row=first_row)
    kept = Listing(name, found.good.drop(ROW).sort(spec_of(name).key))
    return Read(found.faults, frame.height, found.blank, found.unread, kept)


def checked(frame: pl.DataFrame, name: ListName, *, on: date) -> Listing:
    """Return a frame of a list's own fields as a list, such as one that was kept or edited.

    Raises :class:`InspectionError` for the first fault, and for a column that is no field.
    """
    found = read(frame, name, on=on, first_row=1)
    if found.unread:
        raise InspectionError(f"{spec_of(name).title} has no field {list(found.unread)}; drop it")
    for row in found.faults.head(1).iter_rows(named=True):
        raise InspectionError(
            f"row {row['row']}, {row['field']} {row['value']!r}: {row['rule']}; {row['remedy']}"
        )
    return found.kept


def parse(
    frame: pl.DataFrame,
    name: ListName,
    *,
    on: date,
    mapping: ListMapping | None = None,
    first_row: int = 2,
) -> Parsed:
    """Return what :func:`read` makes a list of."""
    spec, mapping = spec_of(name), mapping or ListMapping()
    mapping.check(spec)
    columns, unread = _columns(frame, spec, mapping)
    texts = _texts(frame, spec, mapping, columns).with_row_index(ROW, first_row)
    texts = texts.with_columns(pl.col(ROW).cast(pl.Int64)).filter(_filled(spec, columns))
    values = texts.select(ROW, *(_value(name, spec) for name in spec.fields))
    stated = [*_forms(texts, values, spec), *_bounds(values, spec, on)]
    good = _without(values, stated)
    for key in (spec.key, *spec.unique):
        stated.append(repeats(good, key))
        good = _without(good, stated[-1:])
    faults = pl.concat([FAULT.to_frame(), *stated]).sort("row", "field", "rule")
    return Parsed(good, faults, frame.height - texts.height, unread)


def difference(old: Listing, new: Listing) -> pl.DataFrame:
    """Return what changed from ``old`` to ``new``: the key, and :data:`DIFFERENCE`.

    ``change`` is added, removed or changed; a changed row has a line for each ``field`` that
    differs, with its text ``before`` and ``after``; for others these three are null. Sorted.
    """
    if old.name != new.name:
        raise InspectionError(f"{old.name} and {new.name} are different lists; compare versions")
    key = list(spec_of(old.name).key)
    none = [pl.lit(None, pl.String).alias(name) for name in DIFFERENCE[1:]]
    added = new.frame.join(old.frame, on=key, how="anti").select(*key, _said("added"), *none)
    gone = old.frame.join(new.frame, on=key, how="anti").select(*key, _said("removed"), *none)
    both = old.frame.join(new.frame, on=key, suffix=":new", maintain_order="left")
    changed = [
        both.filter(pl.col(name).ne_missing(pl.col(f"{name}:new"))).select(
            *key,
            _said("changed"),
            pl.lit(name).alias("field"),
            as_shown(name, both.schema[name]).alias("before"),
            as_shown(f"{name}:new", both.schema[name]).alias("after"),
        )
        for name in new.frame.columns
        if name not in key
    ]
    return pl.concat([added, gone, *changed]).sort(*key, "field")


def repeats(rows: pl.DataFrame, key: Iterable[str]) -> pl.DataFrame:
    """Return the faults of rows that share a key: of copies the first is good, of others none."""
    named = list(key)
    twice = rows.filter(pl.struct(named).is_duplicated())
    said = pl.struct(pl.exclude(ROW))
    counted = twice.with_columns(
        said.n_unique().over(named).alias("_kinds"), pl.col(ROW).min().over(named).alias("_first")
    )
    copies, others = counted.filter(_kinds=1), counted.filter(pl.col("_kinds") > 1)
    wrong = pl.concat([copies.filter(pl.col(ROW) != pl.col("_first")), others])
    shown = pl.concat_str([pl.col(name).cast(pl.String) for name in named], separator=" ")
    return wrong.select(
        pl.col(ROW).alias("row"),
        pl.lit("、".join(named)).alias("field"),
        shown.alias("value"),
        pl.when(pl.col("_kinds") == 1)
        .then(pl.format("repeats line {}", "_first"))
        .otherwise(pl.lit("stands there more than once and says different things"))
        .alias("rule"),
        pl.lit("keep one line of it").alias("remedy"),
    )


def fault(
    rows: pl.DataFrame, field: str, *, shown: pl.Expr, rule: str, remedy: str
) -> pl.DataFrame:
    """Return a fault for each of ``rows``."""
    return rows.select(
        pl.col(ROW).alias("row"),
        pl.lit(field).alias("field"),
        shown.cast(pl.String).str.head(200).alias("value"),
        pl.lit(rule).alias("rule"),
        pl.lit(remedy).alias("remedy"),
    )


def as_shown(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column as text, several values joined."""
    column = pl.col(name)
    return column.list.join(SEPARATOR) if isinstance(dtype, pl.List) else column.cast(pl.String)


def _said(change: str) -> pl.Expr:
    return pl.lit(change).alias("change")


def _without(rows: pl.DataFrame, faults: Iterable[pl.DataFrame]) -> pl.DataFrame:
    bad = pl.concat([FAULT.to_frame(), *faults])["row"].unique()
    return rows.filter(~pl.col(ROW).is_in(bad.implode()))


def _columns(
    frame: pl.DataFrame, spec: ListSpec, mapping: ListMapping
) -> tuple[Mapping[str, ListColumn], tuple[str, ...]]:
    """Return field → where it comes from, and the headings that nobody takes."""
    there = {fold(heading): heading for heading in frame.columns}
    found = {
        name: ListColumn.model_validate(
            {"from": [_heading(one, there, spec) for one in column.source], "map": column.map}
        )
        for name, column in mapping.columns.items()
    }
    used = {heading for column in found.values() for heading in column.source}
    ignored = {fold(heading) for heading in mapping.ignore}
    known, unread = spec.headings, list[str]()
    for heading in frame.columns:
        name = known.get(fold(heading))
        if heading in used or fold(heading) in ignored:
            continue
        if name is None or name in mapping.columns or name in mapping.constants:
            unread.append(heading)
        elif name in found:
            raise InspectionError(
                f"the headings '{found[name].source[0]}' and '{heading}' both mean {name} in "
                f"{spec.title}; say in the mapping which one counts, and ignore the other"
            )
        else:
            found[name] = ListColumn.model_validate({"from": heading})
    _refuse_lacking(frame, spec, {*found, *mapping.constants})
    return found, tuple(unread)


def _heading(wanted: str, there: Mapping[str, str], spec: ListSpec) -> str:
    if fold(wanted) not in there:
        raise InspectionError(
            f"{spec.title} has no column '{wanted}', which the mapping names; there are "
            f"{list(there.values())}"
        )
    return there[fold(wanted)]


def _refuse_lacking(frame: pl.DataFrame, spec: ListSpec, found: set[str]) -> None:
    for name, field in spec.fields.items():
        stands_in = field.otherwise in found
        if (field.required or name in spec.key) and name not in found and not stands_in:
            raise InspectionError(
                f"{spec.title} has no column for {name}; head it {field.zh}, or name its heading "
                f"in a mapping; there are {frame.columns}"
            )


def _texts(
    frame: pl.DataFrame, spec: ListSpec, mapping: ListMapping, columns: Mapping[str, ListColumn]
) -> pl.DataFrame:
    """Return every field as the text that stands there, null where nothing does."""
    made = {name: _text(frame, column) for name, column in columns.items()}
    made |= {
        name: pl.Series([text], dtype=pl.String).new_from_index(0, frame.height)
        for name, text in mapping.constants.items()
    }
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
    texts = pl.DataFrame([made.get(name, nothing).alias(name) for name in spec.fields])
    stand_ins = {n: field.otherwise for n, field in spec.fields.items() if field.otherwise}
    return texts.with_columns(
        pl.coalesce(name, other).alias(name) for name, other in stand_ins.items()
    )


def _filled(spec: ListSpec, columns: Mapping[str, ListColumn]) -> pl.Expr:
    """Hold where anything was filled in, constants apart."""
    asked = [name for name in spec.filled or spec.fields if name in columns]
    return pl.any_horizontal(pl.col(asked).is_not_null()) if asked else pl.lit(value=True)


def _text(frame: pl.DataFrame, column: ListColumn) -> pl.Series:
    parts = pl.DataFrame(
        [written(frame[heading]).alias(str(place)) for place, heading in enumerate(column.source)]
    )
    text = parts.select(pl.coalesce(pl.all())).to_series()
    return text.replace(column.map) if column.map else text


def _value(name: str, spec: ListSpec) -> pl.Expr:
    field = spec.fields[name]
    return value(name, field.kind, choices=field.choices).alias(name)


def _forms(texts: pl.DataFrame, values: pl.DataFrame, spec: ListSpec) -> Iterable[pl.DataFrame]:
    """Yield the faults of cells that cannot be read, or are missing."""
    for name, field in spec.fields.items():
        if field.required or name in spec.key:
            missing = texts.filter(pl.col(name).is_null())
            remedy = f"fill in {field.zh}"
            yield fault(missing, name, shown=pl.col(name), rule="is missing", remedy=remedy)
        unread = texts.filter(pl.col(name).is_not_null() & values[name].is_null())
        remedy = f"write one of {', '.join(field.values)}" if field.values else REMEDIES[field.kind]
        yield fault(unread, name, shown=pl.col(name), rule="cannot be read", remedy=remedy)


def _bounds(values: pl.DataFrame, spec: ListSpec, on: date) -> Iterable[pl.DataFrame]:
    """Yield the faults of days that contradict each other or the day of reading."""
    for first, last in spec.ascending:
        wrong = values.filter(pl.col(first) > pl.col(last))
        remedy = "correct one of the two"
        yield fault(wrong, first, shown=pl.col(first), rule=f"is after {last}", remedy=remedy)
    for name in spec.past:
        rule = f"is after {on}, the day of reading"
        remedy = "write the day on which it happened"
        ahead = values.filter(pl.col(name) > on)
        yield fault(ahead, name, shown=pl.col(name), rule=rule, remedy=remedy)
    for name in spec.lasting:
        rule = f"ended before {on}, the day of reading"
        remedy = "renew it, or leave the row out: only who holds a valid certificate may inspect"
        ended = values.filter(pl.col(name) < on)
        yield fault(ended, name, shown=pl.col(name), rule=rule, remedy=remedy)
