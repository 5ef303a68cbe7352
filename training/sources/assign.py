"""Decide which source columns feed which field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from models import names
from models.errors import SourceError
from training.sources.mapping import DERIVED, IDENTITY, ColumnMap, Plan, Source
from training.sources.read import LINE
from training.sources.shown import nearest_heading


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which source columns feed which field, and which source columns nothing uses."""

    fields: Mapping[str, ColumnMap]
    unused: tuple[str, ...]


def assign(plan: Plan, headings: Iterable[str], *, file: str = "the file") -> Assignment:
    """Decide where each field of the contract comes from.

    What the mapping says goes first; the glossary's spellings find the rest. Raises
    :class:`SourceError` when the mapping names a column the file does not have.
    """
    source = plan.source
    present = [h for h in headings if h != LINE]
    _check_present(source, present, file)
    fields = dict(source.columns)
    taken = {h for column in fields.values() for h in column.source} | set(source.ignore)
    if source.known_at.source is not None:
        taken.add(source.known_at.source)
    for field, column in _spelt(plan, [h for h in present if h not in taken]).items():
        fields[field] = column
        taken.update(column.source)
    return Assignment(fields=fields, unused=tuple(h for h in present if h not in taken))


def check_required(plan: Plan, assignment: Assignment) -> None:
    """Refuse a mapping under which every single row would lack a required column."""
    fed = {*assignment.fields, *plan.source.constants, *DERIVED}
    for column in plan.contract.required:
        if column not in fed:
            raise SourceError(
                f"source {plan.source.id!r}: nothing feeds the required column {column!r} "
                f"({plan.contract.title_of(column)}); name its heading under 'columns', "
                "or a value under 'constants'"
            )


def _check_present(source: Source, present: Sequence[str], file: str) -> None:
    wanted = {name: column.source for name, column in source.columns.items()}
    if source.known_at.source is not None:
        wanted["known_at"] = (source.known_at.source,)
    for name, choices in wanted.items():
        if not set(choices) & set(present):
            raise SourceError(
                f"source {source.id!r}: no column {choices[0]!r} (for {name!r}) in {file}"
                f"{nearest_heading(choices[0], present)}"
            )


def _spelt(plan: Plan, free: Sequence[str]) -> dict[str, ColumnMap]:
    """Return the fields whose column the glossary recognises among the ``free`` headings."""
    source, contract = plan.source, plan.contract
    wanted = {*contract.columns, *IDENTITY} - set(DERIVED) - set(source.columns)
    wanted -= set(source.constants)
    spellings = names.headings(contract.glossary)
    found: dict[str, list[str]] = {}
    in_wan: dict[str, bool] = {}
    for heading in free:
        field, wan = spellings.get(names.fold(heading), ("", False))
        if field in wanted and in_wan.setdefault(field, wan) == wan:
            found.setdefault(field, []).append(heading)
    return {
        field: ColumnMap.model_validate(
            {"from": tuple(columns), "unit": "万元" if in_wan[field] else None}
        )
        for field, columns in found.items()
    }
