"""What a running service holds, and hands to whatever answers a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Self

from models.time import SHANGHAI
from serving.auth.access import Access
from serving.ledger.audit import Recorder
from serving.ledger.engine import Ledger
from serving.runtime.runtime import Runtime
from serving.settings import ServeSettings
from serving.texts.texts import Texts

Clock = Callable[[], datetime]
"""Tells the instant, with its zone; a test or a simulation has one of its own."""


def now() -> datetime:
    """Return the instant, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """The parts of a running service; :meth:`close` them when it ends."""

    settings: ServeSettings
    ledger: Ledger
    clock: Clock = field(default=now)
    access: Access = field(default_factory=Access)
    audit: Recorder = field(init=False)
    runtime: Runtime = field(init=False)
    texts: Texts = field(init=False)

    def __post_init__(self) -> None:
        """Audit into this ledger."""
        object.__setattr__(self, "audit", Recorder(self.ledger))
        object.__setattr__(self, "runtime", Runtime(self.settings, self.ledger, self.clock))
        object.__setattr__(self, "texts", Texts(self.settings, self.clock))

    @classmethod
    def open(cls, settings: ServeSettings, *, clock: Clock = now) -> Self:
        """Open the parts of an installation; its ledger must have been migrated to be used."""
        return cls(settings, Ledger.open(settings), clock)

    def today(self) -> date:
        """Return the regulator's day."""
        return self.clock().astimezone(SHANGHAI).date()

    def close(self) -> None:
        """Close what was opened."""
        self.runtime.close()
        self.texts.close()
        self.ledger.close()
