"""Mapping files: how a department's tables become records.

```yaml
sources:
  - id: culture_inspections
    target: inspection                  # a built-in table, or the path of a contract YAML
    files: ["*文化领域行政检查信息.parquet"]  # globs below the mapping's folder, or below --root
    strict: false                       # true: apply the 双公示 publication standard
    columns:                            # only where the glossary's spellings do not find a column
      result: {from: 监督检查结果, map: {合格: pass, 不合格: fail}}
      fine_amount: {from: CF_NR_FK, unit: 万元}
      happened_on: {from: 立案日期, formats: ["%d/%m/%Y"]}
    constants: {region: "110000"}
    known_at: {from: 上报日期}            # or an assumption: {after: happened_on, days: 9},
                                        # {from: 立案日期, days: 30}, {on: 2025-06-30}
    where: "当前状态 <> '撤销'"           # rows to take: an SQL condition on source columns
    fold: false                         # true: rows of one key become one record (the earliest)
    fill: false                         # true: only fill what the lake does not know yet
    ignore: [序号]                       # columns left out on purpose
```

A mapped ``source_id`` (a source's own key) identifies a record together with the table, the
authority and the mapping's ``id`` of the source, since other systems count from 1 too: renaming
that ``id`` makes new records.
"""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Literal, Self, cast

import polars as pl
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from models import yaml
from models.codes import regions
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.declared import load_contract
from training.sources import notation

IDENTITY: Final = (
    "uscc",
    "organisation_code",
    "registration_number",
    "taxpayer_number",
    "citizen_id",
    "subject_name",
    "source_id",
)
"""Fields every source may map, from which ``subject_id`` and ``record_id`` are made."""

DERIVED: Final = ("record_id", "subject_id", "known_at", "known_assumed", "source_ref", "findings")
"""Columns that import makes itself."""

FIRST_DAY: Final = date(1949, 10, 1)
"""Nothing was known to a platform before."""

Contracts = abc.Mapping[str, Contract]
Format = Literal["auto", "csv", "excel", "parquet", "jsonl", "sql"]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
Headings = Annotated[Names, Field(min_length=1)]


DateFormat = Annotated[str, AfterValidator(notation.check_format)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ColumnMap(_Part):
    """Where one field comes from; several headings mean the first that has a value."""

    source: Headings = Field(alias="from")
    map: dict[str, str] = Field(default_factory=dict[str, str])
    otherwise: str | None = None
    formats: tuple[DateFormat, ...] = ()
    unit: Literal["元", "万元", "亿元"] | None = None
    extract: Annotated[str, AfterValidator(notation.check_extract)] | None = None

    @model_validator(mode="after")
    def _otherwise_needs_map(self) -> Self:
        if "otherwise" in self.model_fields_set and not self.map:
            raise ValueError("'otherwise' is for values that 'map' does not name; add a map")
        return self


class KnownAt(_Part):
    """When the platform could know a row: a column of the source, or an assumption.

    With ``days`` a column (or ``happened_on``) tells another day, and so many later it was known.
    """

    source: str | None = Field(default=None, alias="from")
    formats: tuple[DateFormat, ...] = ()
    after: Literal["happened_on"] | None = None
    days: Annotated[int, Field(ge=0, le=3650)] | None = None
    on: Annotated[date, Field(ge=FIRST_DAY)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = (self.source is not None, self.after is not None, self.on is not None)
        spare = self.days is not None and self.on is not None
        if sum(ways) != 1 or (self.after is not None and self.days is None) or spare:
            raise ValueError(
                "give exactly one of {from: COLUMN}, {from: COLUMN, days: N}, "
                "{after: happened_on, days: N} or {on: DATE}"
            )
        return self

    @property
    def assumed(self) -> bool:
        """Say whether the source gives no time of report."""
        return self.source is None or self.days is not None


class Options(_Part):
    """How to read the files."""

    encoding: Annotated[str, AfterValidator(notation.check_encoding)] | None = None
    separator: Annotated[str, AfterValidator(notation.check_separator)] | None = None
    sheet: str | None = None
    header_row: Annotated[int, Field(ge=1)] = 1
    url: str | None = None
    url_env: str | None = None
    query: Annotated[str, AfterValidator(notation.check_query)] | None = None

    @model_validator(mode="after")
    def _query_needs_url(self) -> Self:
        if self.query is not None and (self.url is None) == (self.url_env is None):
            raise ValueError(
                "a query needs exactly one of url and url_env (the variable that holds it)"
            )
        if self.query is None and (self.url or self.url_env):
            raise ValueError("a database address needs a query: add 'query'")
        return self


def _column_map(value: object) -> object:
    """Take a bare heading, or a list of them, for ``{from: …}``."""
    return {"from": cast("object", value)} if isinstance(value, str | list) else value


class Source(_Part):
    """One group of files that become records of one table."""

    id: Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]
    target: str
    files: Names = ()
    format: Format = "auto"
    options: Options = Options()
    strict: bool = False
    columns: dict[str, Annotated[ColumnMap, BeforeValidator(_column_map)]] = Field(
        default_factory=dict[str, ColumnMap]
    )
    constants: dict[str, str] = Field(default_factory=dict[str, str])
    known_at: KnownAt
    where: str | None = None
    fold: bool = False
    fill: bool = False
    ignore: Names = ()

    @model_validator(mode="after")
    def _has_input(self) -> Self:
        if bool(self.files) == (self.options.query is not None):
            raise ValueError("name one input: 'files', or 'options' with url and query")
        if self.files and self.format == "sql":
            raise ValueError("format 'sql' takes no files; give 'options' with url and query")
        return self


class _Mapping(_Part):
    sources: tuple[Source, ...]

    @model_validator(mode="after")
    def _has_sources(self) -> Self:
        if not self.sources:  # as a field's rule it would speak up for every broken source
            raise ValueError("'sources' is empty; name at least one")
        return self


@dataclass(frozen=True, slots=True)
class Plan:
    """A source with the contract its rows must keep."""

    source: Source
    contract: Contract


@dataclass(frozen=True, slots=True)
class Mapping:
    """A checked mapping; subjects and their changes come first, so that names can be matched."""

    path: Path
    digest: str
    plans: tuple[Plan, ...]


def load_mapping(path: Path, *, contracts: Contracts = CONTRACTS) -> Mapping:
    """Read and check a mapping file; :class:`ConfigError` with ``file:line`` names every fault.

    ``contracts`` are the tables a target may name, the user's own kept ones among them.
    """
    document = yaml.read(path)
    sources = document.check(_Mapping).sources
    plans = [
        _plan(document, index, source, path.parent, contracts)
        for index, source in enumerate(sources)
    ]
    ids = [source.id for source in sources]
    for index, name in enumerate(ids):
        if name in ids[:index]:
            raise document.error(("sources", index, "id"), f"the id {name!r} is used twice")
    order = {"subject": 0, "change": 1}
    plans.sort(key=lambda plan: order.get(plan.contract.name, 2))
    return Mapping(path=path, digest=sha256(path.read_bytes()).hexdigest(), plans=tuple(plans))


def _plan(
    document: yaml.Document, index: int, source: Source, folder: Path, contracts: Contracts
) -> Plan:
    place: yaml.Place = ("sources", index)
    contract = _contract(document, (*place, "target"), source.target, folder, contracts)
    allowed = [c for c in contract.columns if c not in DERIVED] + list(IDENTITY)
    for section, given in (("columns", source.columns), ("constants", source.constants)):
        for column in given:
            if column not in allowed:
                raise document.error(
                    (*place, section, column),
                    f"table {contract.name!r} has no column {column!r}"
                    f"{yaml.nearest(column, allowed)}",
                )
    both = sorted(set(source.columns) & set(source.constants))
    if both:
        raise document.error(
            (*place, "constants", both[0]), f"{both[0]!r} is both a column and a constant"
        )
    region = source.constants.get("region")
    if region is not None and regions.resolve(region) is None:
        raise document.error(
            (*place, "constants", "region"), f"{region!r} is no region code (GB/T 2260)"
        )
    return Plan(source=source, contract=contract)


def _contract(
    document: yaml.Document, place: yaml.Place, target: str, folder: Path, contracts: Contracts
) -> Contract:
    if target.endswith((".yaml", ".yml")):
        if not (folder / target).is_file():
            raise document.error(place, f"no contract file {target!r} in {folder}; check the path")
        contract = load_contract(folder / target)
        numeric = [c for c in IDENTITY if contract.dtypes.get(c, pl.String()) != pl.String()]
        if numeric:
            raise document.error(
                place, f"{target} declares {', '.join(numeric)} as no text; import identifies by it"
            )
        return contract
    if target not in contracts:
        known = yaml.nearest(target, contracts)
        raise document.error(place, f"unknown table {target!r}{known}")
    return contracts[target]
