"""Lists on their way in and out: as text, merged, cut to a caller's regions, persons starred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, TypeAlias

import polars as pl

from models.codes import uscc
from models.codes.subjects import SubjectType
from models.errors import InspectionError
from models.inspection.list_cells import SEPARATOR
from models.inspection.list_fields import spec_of
from models.inspection.lists import ROW, Listing, repeats
from models.inspection.results import HIDDEN, masked_name
from models.names import fold
from serving.auth.caller import Caller
from serving.problems import FieldProblem, Problem

Cell: TypeAlias = str | int | float | bool | list[str] | None
"""What stands in a cell of an import."""
_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Removal:
    """Rows to be taken off: the values of their ``key``."""

    key: str
    values: frozenset[str]


def written(rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Return rows of JSON as a frame of text, a column for each heading in order of appearance."""
    headings = list(dict.fromkeys(heading for row in rows for heading in row))
    columns = {
        heading: pl.Series([_text(row.get(heading)) for row in rows], dtype=pl.String)
        for heading in headings
    }
    return pl.DataFrame(columns)


def merged(old: Listing, new: Listing) -> Listing:
    """Return ``old`` with the rows of ``new`` added, or in place of those of the same key.

    Raises :class:`InspectionError` where two rows then share what only one may have.
    """
    spec = spec_of(old.name)
    rest = old.frame.join(new.frame, on=list(spec.key), how="anti")
    frame = pl.concat([rest, new.frame]).sort(spec.key)
    for key in spec.unique:
        twice = repeats(frame.with_row_index(ROW, 1).with_columns(pl.col(ROW).cast(pl.Int64)), key)
        for row in twice.head(1).iter_rows(named=True):
            raise InspectionError(
                f"{row['field']} '{row['value']}' would stand in the list twice; remove or correct "
                "the other row first"
            )
    return Listing(old.name, frame)


def without(listing: Listing, removal: Removal, caller: Caller) -> Listing:
    """Return the list without some rows, all of which are there and within the caller's regions."""
    there = own(listing.frame, caller)[removal.key]
    _refuse_lost(removal.values - set(there.to_list()), "removed")
    gone = pl.col(removal.key).is_in(sorted(removal.values))
    return Listing(listing.name, listing.frame.filter(~gone))


def changed(
    listing: Listing, cells: Mapping[str, Mapping[str, Cell]], caller: Caller
) -> list[dict[str, Cell]]:
    """Return the rows of some keys with new cells, as an import would bring them.

    ``cells``: by key, a heading and its value. Raises a problem 404 where a key is not on the list
    within the caller's regions, and 422 for a heading that no field has, or for the key itself.
    """
    spec = spec_of(listing.name)
    key = spec.key[0]
    there = own(listing.frame, caller).filter(pl.col(key).is_in(list(cells)))
    _refuse_lost(set(cells) - set(there[key].to_list()), "changed")
    rows: list[dict[str, Cell]] = []
    for row in there.to_dicts():
        new: dict[str, Cell] = {}
        for heading, value in cells[row[key]].items():
            field = spec.headings.get(fold(heading))
            if field is None or field in spec.key:
                raise Problem(
                    422,
                    "no-such-field",
                    f"'{heading[:80]}' is no field of {spec.title} that can be changed; there are "
                    f"{'、'.join(one.zh for name, one in spec.fields.items() if name != key)}",
                )
            new[field] = value
        old = {name: _cell(value) for name, value in row.items()}
        rows.append({**old, **new})
    return rows


def refuse_beyond(listing: Listing, caller: Caller) -> None:
    """Raise a problem 403 where a row is of a region that the caller has no part in."""
    frame = listing.frame
    if caller.everywhere or "region" not in frame.columns:
        return
    outside = frame.filter(~_within(caller))
    if outside.height:
        errors = [
            FieldProblem(field=f"body.rows.{key}", message="its region is not the caller's")
            for key in outside[spec_of(listing.name).key[0]].head(_NAMED)
        ]
        raise Problem(
            403,
            "outside-scope",
            f"{outside.height} rows are of regions that this caller does not write for; nothing "
            "was kept",
            errors=errors,
        )


def own(frame: pl.DataFrame, caller: Caller) -> pl.DataFrame:
    """Return the rows of the caller's regions; a list without regions has no others."""
    if caller.everywhere or "region" not in frame.columns:
        return frame
    return frame.filter(_within(caller))


def has_persons(frame: pl.DataFrame) -> bool:
    """Return whether targets include natural persons or individual businesses."""
    return bool(frame.select(_personal().any()).item())


def starred(frame: pl.DataFrame) -> pl.DataFrame:
    """Return targets with the names and places of persons hidden; other lists as they are."""
    if not {"subject_id", "name", "address"} <= set(frame.columns):
        return frame
    hidden = pl.when(pl.col("address").is_not_null()).then(pl.lit(HIDDEN * 4))
    return frame.with_columns(
        pl.when(_personal()).then(masked_name("name")).otherwise("name").alias("name"),
        pl.when(_personal()).then(hidden).otherwise("address").alias("address"),
    )


def _refuse_lost(keys: AbstractSet[str], what: str) -> None:
    if keys:
        raise Problem(
            404,
            "no-such-row",
            f"{len(keys)} of the keys are not on the list, the first {min(keys)[:80]!r}; nothing "
            f"was {what}",
        )


def _cell(value: object) -> Cell:
    """Return a value of a list as the cell of an import."""
    if value is None or isinstance(value, int | float | bool):
        return value
    return _text(value)


def _personal() -> pl.Expr:
    kind = uscc.subject_type_expr("subject_id")
    known = uscc.is_valid_expr("subject_id") & kind.is_not_null()
    return ~known | (kind == SubjectType.INDIVIDUAL_BUSINESS.value)


def _within(caller: Caller) -> pl.Expr:
    inside = [pl.col("region").str.starts_with(one) for one in caller.regions]
    return pl.any_horizontal(pl.lit(value=False), *inside).fill_null(value=False)


def _text(cell: object) -> str | None:
    if cell is None:
        return None
    if isinstance(cell, list):
        return SEPARATOR.join(map(str, cell))  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]
    return str(cell)
