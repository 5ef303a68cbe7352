"""A few rows per rule, to show what is wrong; personal data in them is masked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import polars as pl

from models.names import Name, fold, names_of
from models.records.contract import Contract
from training.quality.mask import HIDDEN, is_person_name, mask_file, mask_personal, mask_value

PER_RULE: Final = 5
FIELDS: Final = 16
"""Values of a row that are shown; a source row may have hundreds."""
HOUSEKEEPING: Final = frozenset(
    {
        "record_id",
        "known_at",
        "known_assumed",
        "void_from",
        "void_reason",
        "source_ref",
        "findings",
    }
)
"""Columns the import fills in itself: no report has them, so none can lack them."""
_IDENTITY: Final = frozenset(
    {"uscc", "organisation_code", "registration_number", "taxpayer_number", "subject_name"}
)
_PERSONS: Final = frozenset({"legal_representative", "citizen_id"})


@dataclass(frozen=True, slots=True)
class Sample:
    """One row that breaks or trips ``rule``; values are already masked and cut.

    ``file`` and ``line`` say where the row stands in its source; ``fields`` are heading and value.
    """

    rule: str
    table: str
    authority: str | None
    file: str
    line: int | None
    column: str | None
    value: str | None
    fields: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, object]:
        """Return the sample as plain JSON values."""
        return {
            "rule": self.rule,
            "table": self.table,
            "authority": self.authority,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "value": self.value,
            "fields": [list(pair) for pair in self.fields],
        }


def rejected_samples(
    quarantine: pl.LazyFrame, contracts: Mapping[str, Contract]
) -> tuple[Sample, ...]:
    """Return up to PER_RULE quarantined rows of each rule, masked; the same ones every time."""
    # record ids are hashes: the smallest are a sample that is spread over tables and sources
    chosen = (
        quarantine.group_by("rule")
        .agg(pl.col("record_id").bottom_k(PER_RULE))
        .explode("record_id", empty_as_null=False)
        .collect(engine="streaming")
    )
    rows = _fetch(quarantine, chosen["record_id"]).sort("rule", "record_id")
    return tuple(as_sample(row, contracts.get(str(row["table"]))) for row in rows.to_dicts())


def tripped_samples(
    table: str, records: pl.LazyFrame, contract: Contract | None
) -> tuple[Sample, ...]:
    """Return up to PER_RULE accepted rows of ``table`` for each warn rule they trip, masked."""
    tripped = records.filter(pl.col("findings").list.len() > 0)
    chosen = (
        tripped.select("record_id", "findings")
        .explode("findings", empty_as_null=False)
        .group_by(rule=pl.col("findings"))
        .agg(pl.col("record_id").bottom_k(PER_RULE))
        .explode("record_id", empty_as_null=False)
        .collect(engine="streaming")
    )
    if chosen.is_empty():
        return ()
    rows = chosen.join(_fetch(records, chosen["record_id"]), on="record_id")
    found = rows.sort("rule", "record_id").to_dicts()
    return tuple(_tripped(row, table, contract) for row in found)


def few_per_rule(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return PER_RULE samples of each rule: one of every table before a second of any."""
    kept: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        kept.setdefault((sample.rule, sample.table), []).append(sample)
    turns = {id(s): turn for group in kept.values() for turn, s in enumerate(group)}
    ordered = sorted(samples, key=lambda s: (s.rule, turns[id(s)], s.table))
    rules = sorted({rule for rule, _ in kept})
    return tuple(s for rule in rules for s in [o for o in ordered if o.rule == rule][:PER_RULE])


def _fetch(frame: pl.LazyFrame, record_ids: pl.Series) -> pl.DataFrame:
    wanted = record_ids.unique().to_list()
    return frame.filter(pl.col("record_id").is_in(wanted)).collect(engine="streaming")


def as_sample(row: Mapping[str, object], contract: Contract | None) -> Sample:
    """Return one row of the quarantine, masked."""
    fields = _known_fields(contract)
    named = [(heading, fields.get(fold(heading)), value) for heading, value in _raw(row["raw"])]
    persons = _persons(named, contract)
    column = _text(row["column"])
    value = _text(row["value"])
    return Sample(
        rule=str(row["rule"]),
        table=str(row["table"]),
        authority=_text(row["authority"]),
        file=mask_file(str(row["file"]), persons=persons),
        line=cast("int", row["line"]),
        column=column,
        value=None if value is None else _shown(column, value, contract, persons),
        fields=tuple(
            # the headings of a file without any are its first row
            (heading if field else mask_value(heading), _shown(field, value, contract, persons))
            for heading, field, value in named[:FIELDS]
        ),
    )


def _tripped(row: Mapping[str, object], table: str, contract: Contract | None) -> Sample:
    rule = str(row["rule"])
    file, _, line = str(row["source_ref"]).rpartition("#")
    columns = contract.columns if contract else tuple(row)
    named = [(c, c, text) for c in columns if (text := _text(row.get(c)))]
    persons = _persons(named, contract)
    warnings = contract.warnings if contract else ()
    column = next((warning.column for warning in warnings if warning.rule == rule), None)
    value = _text(row.get(column)) if column else None
    return Sample(
        rule=rule,
        table=table,
        authority=_text(row["authority"]),
        file=mask_file(file, persons=persons),
        line=int(line) if line.isdecimal() else None,
        column=column,
        value=None if value is None else _shown(column, value, contract, persons),
        fields=tuple(
            (contract.title_of(c) if contract else c, _shown(c, value, contract, persons))
            for c, _, value in named
            if c not in HOUSEKEEPING
        )[:FIELDS],
    )


def _raw(raw: object) -> list[tuple[str, str]]:
    """Return heading and value of a source row that is JSON; nothing of one that is not."""
    try:
        row = json.loads(str(raw))
    except ValueError:
        return []
    if not isinstance(row, dict):
        return []
    pairs = cast("dict[str, object]", row).items()
    return [(str(heading), text) for heading, value in pairs if (text := _text(value))]


def _known_fields(contract: Contract | None) -> dict[str, str]:
    """Return folded heading → field, for every spelling of the table's columns that is known."""
    glossary = contract.glossary if contract else names_of("")
    return {
        fold(spelling): field
        for field, name in glossary.items()
        for spelling in _spellings(field, name)
    }


def _spellings(field: str, name: Name) -> tuple[str, ...]:
    return (field, name.zh, *name.spellings, *name.in_wan)


def _persons(
    named: Sequence[tuple[str, str | None, str]], contract: Contract | None
) -> frozenset[str]:
    """Return the names of persons that a row holds."""
    personal = _PERSONS | contract.personal if contract else _PERSONS
    natural = any(field == "subject_category" and "自然人" in value for _, field, value in named)
    return frozenset(
        value
        for _, field, value in named
        if (field in personal and is_person_name(value))
        or (field == "subject_name" and (natural or is_person_name(value)))
    )


def _shown(
    field: str | None, value: str, contract: Contract | None, persons: frozenset[str]
) -> str:
    """Return a value as it may be shown: only known, impersonal columns in the clear."""
    if contract is None or field is None:
        return HIDDEN * 3
    if field in contract.personal | _PERSONS or field not in {*contract.columns, *_IDENTITY}:
        return mask_personal(value)
    return mask_value(value, persons=persons)


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, list):
        return ";".join(str(item) for item in cast("list[object]", value)) or None
    return str(value) or None
