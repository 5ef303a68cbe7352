"""What one transaction at a time may do, held until its end by an advisory lock of PostgreSQL."""

from __future__ import annotations

from enum import IntEnum, unique
from typing import Final

from sqlalchemy import Connection, text


@unique
class Lock(IntEnum):
    """The ledger's locks; any numbers, but each its own."""

    MIGRATION = 7_346_112
    """Who brings the schema up to date."""
    ADMINISTRATORS = 7_346_113
    """Who changes administrators."""
    INBOX = 7_346_114
    """Who writes rows into the inbox."""
    MODEL_EVENTS = 7_346_115
    """Who writes that a model went live."""
    SCORE_RUNS = 7_346_116
    """Who begins a run over everybody."""
    WARNINGS = 7_346_117
    """Who raises warnings of a scenario."""
    ATTACHMENTS = 7_346_118
    """Who adds papers beside something."""
    REVIEWS = 7_346_119
    """Who asks for a review of a decision."""
    RULES = 7_346_120
    """Who rules on the proposals of a kind."""
    MEASURES = 7_346_121
    """Who proposes measures against a subject."""
    POSITIONS = 7_346_122
    """Who gives changes their positions."""
    EMPTYING = 7_346_123
    """Who brings rows of the inbox into the lake."""
    REPORTS = 0x7265706F7274
    """Who issues a report of a subject."""


_HOLD: Final = text("select pg_advisory_xact_lock(:lock)")
_TRY: Final = text("select pg_try_advisory_xact_lock(:lock)")
_HOLD_NAMED: Final = text("select pg_advisory_xact_lock(hashtextextended(:name, :lock))")


def hold(connection: Connection, lock: Lock, name: str | None = None) -> None:
    """Wait for a lock, of one ``name`` where given, and hold it until the transaction ends."""
    if name is None:
        connection.execute(_HOLD, {"lock": int(lock)})
    else:
        connection.execute(_HOLD_NAMED, {"name": name, "lock": int(lock)})


def try_hold(connection: Connection, lock: Lock) -> bool:
    """Hold a lock until the transaction ends; false, at once, where another holds it."""
    return bool(connection.execute(_TRY, {"lock": int(lock)}).scalar())
