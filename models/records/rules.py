"""The gate's rules: what each id means, how bad it is, and what mends it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from models import yaml

Severity = Literal["reject", "warn"]


class Rule(BaseModel):
    """One rule: ``reject`` sends a row to quarantine, ``warn`` notes a finding on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    severity: Severity
    remedy: str
    source: str | None = None


class _Rules(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: dict[str, Rule]


@cache
def rules() -> Mapping[str, Rule]:
    """Return rule id → rule, in the order of the data file."""
    with resources.as_file(resources.files("models.records") / "rules.yaml") as path:
        return MappingProxyType(yaml.load(Path(path), _Rules).rules)


def rule_of(check: str) -> tuple[str, str | None]:
    """Return (rule id, column) of a schema check's name.

    Schemas name checks ``V06_valid_to`` (rule and column) or ``column|kind`` (generic).
    """
    if "|" not in check:
        rule, _, column = check.partition("_")
        return rule, column or None
    column, _, kind = check.partition("|")
    if kind == "nullability":
        return "V01", column
    if kind.endswith("check__enum"):
        return "F03", column
    return "F04", column
