"""How a department sends a table: kind of file, headings, units, words for values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

FileKind = Literal["csv", "gb18030", "parquet", "jsonl"]

_EMPTY: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({})
YES_NO: Final = MappingProxyType({"true": "是", "false": "否"})
"""Words for a flag."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One table as it is sent.

    ``headings`` has column → heading in file order; a Parquet table keeps our names. ``wan`` are
    sent in 万元; ``words`` has column → our value → the department's. ``assumed`` days: the
    department sends no report time, and the mapping assumes it. ``source`` names a second
    department that sends the same table in files of its own.
    """

    table: str
    kind: FileKind
    headings: Mapping[str, str]
    strict: bool = False
    wan: frozenset[str] = frozenset()
    words: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: _EMPTY)
    assumed: int | None = None
    source: str | None = None

    @property
    def id(self) -> str:
        """Return the name of the files and of the mapping's source."""
        return self.source or self.table

    def file(self, chunk: int) -> str:
        """Return the file that chunk number ``chunk`` is written to."""
        match self.kind:
            case "parquet":
                return f"{self.id}-{chunk:04d}.parquet"
            case "jsonl":
                return f"{self.id}.jsonl"
            case _:
                return f"{self.id}.csv"

    @property
    def pattern(self) -> str:
        """Return the pattern that finds all its files."""
        return f"{self.id}-*.parquet" if self.kind == "parquet" else self.file(0)


def same(*columns: str) -> Mapping[str, str]:
    """Return headings that are our own names."""
    return MappingProxyType({column: column for column in columns})
