"""Which model was live when, and which was refused: appended by whoever swaps it first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Connection, Identity, Index, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from serving.ledger.base import Base
from serving.ledger.locks import Lock, hold


class Event(StrEnum):
    """What became of a model."""

    LIVE = "live"
    """It decides from now on; the one before does until now."""
    RETIRED = "retired"
    """It decides no more, and no other does in its role."""
    REFUSED = "refused"
    """It was not let live; the one before stays."""


class ModelEventRow(Base):
    """What became of a bundle in a role (champion, challenger) of a scenario, and why."""

    __tablename__ = "model_event"
    __table_args__ = (Index("ix_model_event_role", "scenario", "role", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    scenario: Mapped[str]
    role: Mapped[str]
    event: Mapped[str]
    bundle_digest: Mapped[str]
    version: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str | None]
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class ModelEvent:
    """An event; ``version`` is that of the registry, null for a bundle from a folder."""

    scenario: str
    role: str
    event: str
    bundle_digest: str
    version: int | None
    reason: str | None
    at: datetime


def append(connection: Connection, event: ModelEvent) -> bool:
    """Write an event unless the last of its scenario, role and kind says the same.

    Several processes swap their models by themselves; the first of them tells. Return whether it
    was written.
    """
    hold(connection, Lock.MODEL_EVENTS)
    row = ModelEventRow
    asked = select(row.event, row.bundle_digest).where(
        row.scenario == event.scenario, row.role == event.role
    )
    # A refusal changes nothing of what is live, so each kind is compared with its own.
    refusal = (
        row.event == Event.REFUSED if event.event == Event.REFUSED else (row.event != Event.REFUSED)
    )
    last = connection.execute(asked.where(refusal).order_by(row.id.desc()).limit(1)).first()
    if last is not None and (last.event, last.bundle_digest) == (event.event, event.bundle_digest):
        return False
    connection.execute(
        insert(row).values(
            scenario=event.scenario,
            role=event.role,
            event=event.event,
            bundle_digest=event.bundle_digest,
            version=event.version,
            reason=event.reason,
            at=event.at,
        )
    )
    return True


def history(
    connection: Connection, *, scenario: str | None = None, limit: int = 100
) -> list[ModelEvent]:
    """Return the newest events, the last first."""
    row = ModelEventRow
    asked = select(
        row.scenario, row.role, row.event, row.bundle_digest, row.version, row.reason, row.at
    )
    if scenario is not None:
        asked = asked.where(row.scenario == scenario)
    found = connection.execute(asked.order_by(row.id.desc()).limit(limit))
    return [ModelEvent(*one) for one in found]
