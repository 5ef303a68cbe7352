"""Portraits as a test asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

from serving.ledger import repairs
from serving.service import Service
from tests.models.features.firms import FIRMS
from tests.serving import village

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Easel:
    """A service, its clock, and an inspector who looks at firms by their number."""

    service: Service
    client: TestClient
    clock: village.Clock
    as_caller: Callable[..., Headers]
    inspector: Headers

    def ask(
        self, firm: int | str, headers: Headers | None = None, /, **query: str | int | list[str]
    ) -> Response:
        """Ask for a portrait."""
        subject = FIRMS[firm] if isinstance(firm, int) else firm
        return self.client.get(
            f"/v1/subjects/{subject}/portrait", params=query, headers=headers or self.inspector
        )

    def draw(
        self, firm: int, headers: Headers | None = None, /, **query: str | int | list[str]
    ) -> dict[str, Any]:
        """Return a portrait that is there."""
        answer = self.ask(firm, headers, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def line(self, firm: int, **query: str | int | list[str]) -> dict[str, Any]:
        """Return the time line alone."""
        return self.draw(firm, sections="timeline", **query)["timeline"]

    def suppose(self, firm: int, headers: Headers | None = None, /, **body: object) -> Response:
        """Ask what would follow."""
        return self.client.post(
            f"/v1/subjects/{FIRMS[firm]}/what-if", json=body, headers=headers or self.inspector
        )

    def score(self, *firms: int, explain: bool = True, **more: object) -> list[dict[str, Any]]:
        """Decide firms and store it."""
        answer = self.client.post(
            "/v1/scenarios/town/score",
            json={"subjects": [FIRMS[n] for n in firms], "explain": explain, **more},
            headers=self.inspector,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["decisions"]

    def void(self, firm: int, table: str, record: str, reason: str = "annulled") -> None:
        """Let a stored record count no more from today, as a repair's live row does."""
        today = self.service.today()
        rows = village.stored(firm, table)
        (row,) = [one for one in rows.to_dicts() if one["record_id"] == record]
        village.post(self.service, table, {**row, "void_from": today, "void_reason": reason})

    def dispute(self, firm: int, table: str, record: str, on: date) -> None:
        """Mark a record as disputed."""
        at = self.service.clock()
        with self.service.ledger.begin() as connection:
            case = repairs.open_case(
                connection, table, record, subject_id=FIRMS[firm], region=None, at=at
            )
            repairs.act(connection, case, "dispute", on=on, by="t", at=at, note=None)


def rich() -> int:
    """Return the number of a firm with many penalties."""
    return max(range(len(village.KNOWN)), key=lambda n: village.stored(n, "penalty").height)
