"""What is said of a feature's value: the catalogue's sentence, its value as people write it.

Money is in 元, 万元 or 亿元, a share in percent, a length of time has its date, a code its name;
what is 0 or missing has a sentence of its own (``wording.yaml``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import BaseModel, ConfigDict

from models import yaml
from models.codes import enterprise_types, industries, regions
from models.features.evidence import looked_back
from models.features.spec import FeatureSpec
from models.features.tables import level_name
from models.records.contract import Contract

Value: TypeAlias = float | str | None

_FILE: Final = Path(__file__).with_name("wording.yaml")
_BLANK: Final = "{value}"
_CODES: Final[Mapping[str, Callable[[str], str | None]]] = {
    "subject_city": regions.name,
    "identity_code_region": regions.name,
    "subject_industry_section": industries.name,
    "subject_industry_division": industries.name,
    "subject_enterprise_type": enterprise_types.name,
}
_SINCE: Final = frozenset({"subject_age_days"})


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Protection(_Frozen):
    """Which features are never worded; see :mod:`.protected`."""

    person_parts: frozenset[str]
    person_words: tuple[str, ...]
    features: frozenset[str]
    audited: Mapping[str, frozenset[str]]


class Words(_Frozen):
    """The words of ``wording.yaml``."""

    families: Mapping[str, str]
    other: str
    zero: Mapping[str, str]
    missing: Mapping[str, str]
    dated: str
    date: str
    values: Mapping[str, Mapping[str, str]]
    protected: Protection

    def day(self, on: date) -> str:
        """Return a date as it is written in Chinese."""
        return self.date.format(year=on.year, month=on.month, day=on.day)


@dataclass(frozen=True, slots=True)
class Titles:
    """What a table and its columns are called."""

    table: str
    columns: Mapping[str, str]


def titles_of(contracts: Mapping[str, Contract]) -> dict[str, Titles]:
    """Return what the tables are called; made once, since a glossary is laid together each time."""
    return {
        name: Titles(contract.title, {column: n.zh for column, n in contract.glossary.items()})
        for name, contract in contracts.items()
    }


@cache
def words() -> Words:
    """Return the words, read once."""
    return yaml.load(_FILE, Words)


def said(spec: FeatureSpec, value: Value, *, as_of: date, titles: Mapping[str, Titles]) -> str:
    """Return the sentence for a value of a feature; null and 0 have sentences of their own."""
    if value is None:
        return _without(spec, titles.get(spec.table or ""), words().missing)
    if value == 0 and not _well_said_of_zero(spec):
        return _without(spec, titles.get(spec.table or ""), words().zero)
    reason = spec.reason.replace(_BLANK, written(spec, value))
    if isinstance(value, str) or not (spec.stat == "recency" or spec.name in _SINCE):
        return reason
    on = as_of - timedelta(days=int(value))
    return words().dated.format(reason=reason, on=words().day(on))


def written(spec: FeatureSpec, value: float | str) -> str:
    """Return a value as a person writes it, without its unit."""
    named = words().values.get(spec.name, {})
    if isinstance(value, str):
        name = _CODES.get(spec.name)
        return named.get(value) or (name(value) if name else None) or value
    match spec.unit:
        case "元":
            return money(value)
        case "比例" | "分位":
            return f"{_trimmed(100 * value, 1)}%"
        case "倍":
            return _trimmed(value, 2)
        case _:
            plain = _trimmed(value, 2) if abs(value) < 1e15 else f"{value:.4g}"
            return named.get(plain, plain)


def money(amount: float) -> str:
    """Return an amount of yuan in 亿, 万 or ones, the largest that fits, without 元."""
    for size, name in ((1e8, "亿"), (1e4, "万")):
        if round(abs(amount) / size, 2) >= 1:
            return f"{_trimmed(amount / size, 2)}{name}"
    return _trimmed(amount, 2)


def _trimmed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    whole = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if whole == "-0" else whole


def _well_said_of_zero(spec: FeatureSpec) -> bool:
    """Tell whether its own template reads well with a 0, as those of days, amounts and ranks."""
    well = {"recency", "max", "trend"}
    return spec.dtype != "number" or spec.family == "peers" or spec.stat in well


def _without(spec: FeatureSpec, titles: Titles | None, sentences: Mapping[str, str]) -> str:
    """Return the sentence for a feature that has no value, or none but 0."""
    keys = [spec.name, spec.family]
    # a level that never occurred leaves other records of its table, which a bare 无记录 would deny
    bare = spec.level is None or spec.stat == "share" or sentences is words().missing
    if titles is not None and spec.family == "window" and bare:
        keys.append(spec.stat or "")
    chosen = next((key for key in keys if key in sentences), "else")
    column, level = spec.column or "", spec.level or ""
    return sentences[chosen].format(
        title=spec.title,
        days=looked_back(spec),
        table=titles.table if titles else spec.table,
        column=titles.columns.get(column, column) if titles else column,
        level=level_name(spec.table or "", column, level) if level else level,
    )
