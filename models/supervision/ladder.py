"""The ladder of 渐进式执法: which stage the facts propose, on which ground, and what is missing.

The stages are data in ``ladder.yaml``. A proposal is advice: a person decides, and no stage with
legal effect can be decided while its evidence is incomplete.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from models import yaml
from models.errors import ConfigError
from models.records.publicity import Certainty
from models.supervision.dated import Basis, Dated, Frozen
from models.yaml import nearest

FILE: Final = Path(__file__).with_name("ladder.yaml")
"""The ladder that comes with the package."""


class Stage(Dated):
    """One rung: proposed by ``any`` of its facts, never where one of ``unless`` holds."""

    id: str
    title: str
    any: Annotated[tuple[str, ...], Field(min_length=1)]
    unless: tuple[str, ...] = ()
    document: str
    basis: Basis
    evidence: Annotated[tuple[str, ...], Field(min_length=1)]
    rights: str
    certainty: Certainty


class Ladder(Frozen):
    """The stages from the mildest to the gravest, and the names of facts and evidence."""

    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    facts: Mapping[str, str]
    evidence: Mapping[str, str]

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        ids = [stage.id for stage in self.stages]
        if len(set(ids)) < len(ids):
            raise ValueError("two stages have one id; give each its own")
        for stage in self.stages:
            for name in (*stage.any, *stage.unless):
                if name not in self.facts:
                    raise ValueError(f"{stage.id}: no fact '{name}'{nearest(name, self.facts)}")
            for name in stage.evidence:
                if name not in self.evidence:
                    hint = nearest(name, self.evidence)
                    raise ValueError(f"{stage.id}: no evidence '{name}'{hint}")
        return self

    def stage(self, name: str) -> Stage:
        """Return a stage by its id; :class:`ConfigError` where there is none."""
        for stage in self.stages:
            if stage.id == name:
                return stage
        raise ConfigError(f"no stage '{name}'{nearest(name, [one.id for one in self.stages])}")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A stage that the facts propose: because of which, and which evidence is not on file yet."""

    stage: Stage
    because: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Tell whether a person may decide it."""
        return not self.missing


@cache
def ladder() -> Ladder:
    """Return the ladder that comes with the package; read once."""
    return load_ladder(FILE)


def load_ladder(path: Path | str) -> Ladder:
    """Read a ladder from YAML; :class:`ConfigError` with ``file:line`` if it is wrong."""
    return yaml.load(path, Ladder)


def proposals(
    facts: Collection[str],
    evidence: Collection[str],
    on: date,
    *,
    rungs: Ladder | None = None,
) -> tuple[Proposal, ...]:
    """Return every stage that the facts allow on a day, the gravest first.

    The mildest lawful one that has not been tried is the officer's choice: the ladder shows all.

    Raises:
        ConfigError: A fact or a piece of evidence is none that the ladder knows.
    """
    rungs = rungs or ladder()
    _check(facts, rungs.facts, "fact")
    _check(evidence, rungs.evidence, "evidence")
    held, filed = set(facts), set(evidence)
    found = [
        Proposal(
            stage,
            because=tuple(name for name in stage.any if name in held),
            missing=tuple(name for name in stage.evidence if name not in filed),
        )
        for stage in rungs.stages
        if stage.in_force(on) and held & set(stage.any) and not held & set(stage.unless)
    ]
    return tuple(reversed(found))


def _check(given: Collection[str], known: Mapping[str, str], what: str) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(
                f"no {what} '{name}'{nearest(name, known)}; the ladder knows {', '.join(known)}"
            )
