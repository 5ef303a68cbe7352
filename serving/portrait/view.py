"""Who looks at whom, as of which day: what every section of a portrait is made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from models.records.contract import Contract
from models.time import AsOf
from serving.auth import masks
from serving.auth.caller import Caller
from serving.ledger.engine import Connection
from serving.portrait.own import Own
from serving.runtime.live import Live
from serving.service import Service


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A caller's look at a subject as of a day.

    ``open`` tells whether fields of persons are shown to them, which the audit then has.
    ``scenario`` narrows what is of scenarios to one; null is all.
    """

    service: Service
    caller: Caller
    own: Own
    on: date
    region: str | None
    open: bool
    scenario: str | None = None

    @classmethod
    def of(
        cls, service: Service, connection: Connection, caller: Caller, *, subject: str, on: date
    ) -> View | None:
        """Return the view of a subject; null where the caller sees nothing of it."""
        own = Own.of(service.runtime, connection, subject)
        there, region = own.region()
        if not there or not caller.sees_region(region):
            return None
        return cls(service, caller, own, on, region, open=False)

    @property
    def subject(self) -> str:
        """Return the subject's id."""
        return self.own.subject

    @property
    def before(self) -> datetime:
        """Return the first instant of what was not known yet."""
        return AsOf(self.on).known_before

    @property
    def past(self) -> bool:
        """Tell whether the day is over."""
        return self.on < self.service.today()

    def champions(self) -> list[Live]:
        """Return the models that decide, of the scenario that is asked for or all."""
        return [
            live
            for live in self.service.runtime.all()
            if live.role == "champion" and self.scenario in (None, live.scenario.id)
        ]

    def masked(self, rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
        """Return records as the caller may see them."""
        return rows if self.open else masks.masked(rows, contract)
