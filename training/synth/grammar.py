"""How violations are worded: the grammar's data, checked."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models import yaml

Words = dict[str, tuple[str, ...]]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Leaf(_Part):
    """One leaf of the violation taxonomy.

    ``groups`` has its weight by industry group (``any``: in every group); ``kinds`` the sets of
    penalty kinds met; ``fine`` the usual range in yuan; ``acts`` and ``complaints`` are patterns.
    """

    title: str
    department: str
    severity: Literal["minor", "general", "serious"]
    law: str
    articles: tuple[str, ...]
    kinds: tuple[tuple[str, ...], ...]
    fine: tuple[float, float]
    detail: str
    groups: dict[str, float]
    types: tuple[str, ...]
    acts: tuple[str, ...]
    complaints: tuple[str, ...] = ()
    words: Words = Field(default_factory=dict[str, tuple[str, ...]])


class Grammar(_Part):
    """Patterns by where they stand in a text, words by name, leaves by code."""

    openings: tuple[str, ...]
    details: dict[str, tuple[str, ...]]
    proofs: tuple[str, ...]
    bases: tuple[str, ...]
    generals: tuple[str, ...]
    sanctions: dict[str, tuple[str, ...]]
    frames: tuple[str, ...]
    joints: tuple[str, ...]
    problems: tuple[str, ...]
    complaint_openings: tuple[str, ...]
    complaint_demands: tuple[str, ...]
    words: Words
    leaves: dict[str, Leaf]


@cache
def grammar() -> Grammar:
    """Return the grammar."""
    with resources.as_file(resources.files("training.synth") / "grammar.yaml") as path:
        return yaml.load(Path(path), Grammar)
