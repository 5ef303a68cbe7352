"""The rules in force: the package's, or an office's own edition from its day on.

Which edition holds is asked of the ledger each time, so that all processes agree at once; what an
edition says is read once in each process.
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from typing import TypeVar

from pydantic import BaseModel

from models.errors import ConfigError
from models.supervision.ladder import Ladder
from models.supervision.measures import Measures
from models.supervision.repair import InForce, Procedure
from models.supervision.review import Terms
from models.supervision.rulefiles import FILES, RuleKind, read
from models.supervision.warning import Book
from serving.ledger import rules
from serving.ledger.engine import Connection

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Edition:
    """The text of rules in force; ``number`` is null for the package's own."""

    kind: RuleKind
    number: int | None
    digest: str
    content: str


def digest_of(content: str) -> str:
    """Return the SHA-256 of a text of rules."""
    return hashlib.sha256(content.encode()).hexdigest()


def edition(connection: Connection, kind: RuleKind, on: date) -> Edition:
    """Return the edition in force on a day, with its text."""
    found = rules.in_force(connection, kind, on)
    if found is None:
        content = _own(kind)
        return Edition(kind, None, digest_of(content), content)
    return Edition(kind, *found)


def book(connection: Connection, on: date) -> Book:
    """Return the rules of warning in force on a day."""
    return _in_force(connection, RuleKind.WARNINGS, Book, on)


def rungs(connection: Connection, on: date) -> Ladder:
    """Return the ladder in force on a day."""
    return _in_force(connection, RuleKind.LADDER, Ladder, on)


def measures_of(connection: Connection, on: date) -> Measures:
    """Return the list of measures in force on a day."""
    return _in_force(connection, RuleKind.MEASURES, Measures, on)


def procedure(connection: Connection, on: date) -> Procedure:
    """Return the days of repair in force on a day."""
    return _in_force(connection, RuleKind.REPAIR, Procedure, on)


def procedures(connection: Connection) -> InForce:
    """Return what tells the days of repair in force on a day, while the connection is open."""

    @cache
    def on_day(on: date) -> Procedure:
        return procedure(connection, on)

    return on_day


def terms(connection: Connection, on: date) -> Terms:
    """Return the days of a review in force on a day."""
    return _in_force(connection, RuleKind.REVIEW, Terms, on)


def difference(before: Edition, content: str) -> list[str]:
    """Return what a text changes of the edition in force, as the lines of a unified diff."""
    named = FILES[before.kind].name
    return list(
        difflib.unified_diff(
            before.content.splitlines(),
            content.splitlines(),
            fromfile=f"{named} ({before.number or 'package'})",
            tofile=named,
            lineterm="",
            n=1,
        )
    )


def _in_force(connection: Connection, kind: RuleKind, model: type[_Model], on: date) -> _Model:
    found = rules.in_force(connection, kind, on)
    made = _packaged(kind) if found is None else _made(kind, *found)
    if not isinstance(made, model):
        raise ConfigError(f"the rules of {kind} are no {model.__name__}; approve a right edition")
    return made


@lru_cache(maxsize=64)
def _made(kind: RuleKind, number: int, digest: str, content: str) -> BaseModel:
    """Return what an edition says, read once in each process."""
    if digest_of(content) != digest:
        raise ConfigError(f"edition {number} of {kind} was altered in the ledger; restore a backup")
    return read(kind, content, f"{FILES[kind].name} ({number})")


@lru_cache(maxsize=len(RuleKind))
def _own(kind: RuleKind) -> str:
    return FILES[kind].read_text(encoding="utf-8")


@lru_cache(maxsize=len(RuleKind))
def _packaged(kind: RuleKind) -> BaseModel:
    return read(kind, _own(kind))
