"""Contracts: what a record of each kind must look like.

A contract is a dataframely schema plus what a schema cannot say: which columns identify a record,
which hold text, money or personal data, and which are written only after the outcome is known and
so may never become a feature. Tables of a user's own are declared in YAML (:mod:`.declared`) and
give the same object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import dataframely as dy
import polars as pl

from models.names import Name, names_of, over
from models.records.publicity import Severity, VoidReason


def one_of(*values: str) -> dict[str, Callable[[pl.Expr], pl.Expr]]:
    """Return the check of an enumerated column; null is left to ``nullable``."""
    return {"enum": lambda column: column.is_in(list(values))}


def up_to(characters: int) -> dict[str, Callable[[pl.Expr], pl.Expr]]:
    """Return the check of a text's length in characters; a schema's own counts bytes."""
    return {"length": lambda column: column.str.len_chars() <= characters}


class Record(dy.Schema):
    """Columns every record carries; see DESIGN: times, voiding, origin, findings."""

    record_id = dy.String(regex=r"^[0-9a-f]{32}$")
    subject_id = dy.String(min_length=1, check=up_to(64))
    happened_on = dy.Date()
    known_at = dy.Datetime(time_unit="us", time_zone="UTC")
    known_assumed = dy.Bool()
    void_from = dy.Date(nullable=True)
    void_reason = dy.String(nullable=True, check=one_of(*VoidReason))
    authority = dy.String(nullable=True, check=up_to(200))
    authority_code = dy.String(nullable=True, check=up_to(18))
    region = dy.String(nullable=True, regex=r"^\d{6}$")
    source_ref = dy.String(min_length=1)
    findings = dy.List(dy.String())

    @dy.rule()
    def V05_happened_on(cls) -> pl.Expr:  # noqa: N802, N805 - the rule's id is its name
        """Hold when the fact is after 1949 and was not reported before it happened."""
        reported_on = pl.col("known_at").dt.convert_time_zone("Asia/Shanghai").dt.date()
        happened = pl.col("happened_on")
        return (happened > pl.date(1949, 9, 30)) & (happened <= reported_on)

    @dy.rule()
    def V06_void_reason(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when a void date and its reason come together."""
        return pl.col("void_from").is_null() == pl.col("void_reason").is_null()


class Countable(Record):
    """Records that tell of dishonesty and stop counting some day (see :mod:`.countable`)."""

    severity = dy.String(nullable=True, check=one_of(*Severity))
    published = dy.Bool(nullable=True)
    max_months = dy.Int32(nullable=True, min=0, max=1200)
    restrict_until = dy.Date(nullable=True)
    corrected = dy.Bool(nullable=True)


@dataclass(frozen=True, slots=True)
class Finding:
    """A warn rule: ``holds`` is true for good rows, null where the rule does not apply."""

    rule: str
    column: str
    holds: Callable[[], pl.Expr]


@dataclass(frozen=True, slots=True)
class Contract:
    """One kind of record.

    ``key`` names the columns whose values identify a record (hashed into ``record_id``); ``a|b``
    means ``a``, or ``b`` where ``a`` is missing.
    ``strict`` is the stricter schema for rows reported under the 双公示 standard.
    ``outcome`` columns are written after the outcome is known: never a feature.
    ``personal`` columns are masked wherever a person reads them.
    ``names`` titles a declared table's own columns; built-in ones are in the glossary.
    """

    name: str
    title: str
    schema: type[Record]
    key: tuple[str, ...]
    strict: type[Record] | None = None
    warnings: tuple[Finding, ...] = ()
    measures: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    outcome: frozenset[str] = frozenset()
    personal: frozenset[str] = frozenset()
    names: Mapping[str, Name] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the column names in stored order."""
        return tuple(self.schema.column_names())

    @property
    def dtypes(self) -> dict[str, pl.DataType]:
        """Return column name → Polars type."""
        return {name: column.dtype for name, column in self.schema.columns().items()}

    @property
    def required(self) -> tuple[str, ...]:
        """Return the columns that may never be null."""
        return tuple(n for n, column in self.schema.columns().items() if not column.nullable)

    def title_of(self, column: str) -> str:
        """Return a column's Chinese title; its own name where none is known."""
        name = self.glossary.get(column)
        return name.zh if name else column

    @property
    def glossary(self) -> dict[str, Name]:
        """Return field → name of this table: its own names over the common ones."""
        return over(names_of(self.name), self.names)
