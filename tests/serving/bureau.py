"""An office of supervision at work: a clock that a test sets, officers, and records to act on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date

import polars as pl
from fastapi.testclient import TestClient
from httpx2 import Response

from models.records.contracts import CONTRACTS
from models.scenarios import Scenario
from serving.auth.roles import Role
from serving.ledger.warnings import Kept
from serving.service import Service
from serving.supervision import raise_warnings
from tests.models.features import firms
from tests.serving.posts import FIRM, OTHER, penalty, post
from tests.serving.village import Clock

Headers = dict[str, str]
TODAY = date(2026, 11, 20)
STEPS: Mapping[str, dict[str, object]] = {
    "acknowledge": {},
    "assign": {"to": "食品科"},
    "handle": {},
    "close": {"outcome": "confirmed"},
    "reopen": {"note": "有新情况"},
    "note": {"note": "已电话核实"},
}
"""The steps of a warning, each with what it needs."""


@dataclass(frozen=True, slots=True)
class Office:
    """A service with a clock, its client and who acts."""

    service: Service
    clock: Clock
    client: TestClient
    as_caller: Callable[..., Headers]
    manager: Headers
    officer: Headers

    def record(self, number: int = 1, **columns: object) -> str:
        """Post a penalty of the firm and return its record's id."""
        told = {"happened_on": "2026-06-05", "severity": "general", **columns}
        answer = post(self.client, self.manager, penalty(number, **told), key=f"r-{number}")
        assert answer.status_code == 200, answer.text
        (row,) = answer.json()["rows"]
        assert row["status"] == "accepted", row
        return str(row["record_id"])

    def tie(self) -> None:
        """Put into the lake that the other firm holds shares of the firm."""
        row: dict[str, object] = {
            "record_id": "f" * 32,
            "subject_id": OTHER,
            "happened_on": date(2020, 1, 1),
            "known_at": self.clock(),
            "known_assumed": False,
            "source_ref": "t#1",
            "findings": [],
            "other_id": FIRM,
            "kind": "shareholding",
        }
        ties = pl.DataFrame([row], schema=CONTRACTS["relation"].dtypes)
        self.service.runtime.lake.merge("relation", ties)

    def apply(self, record: str, headers: Headers | None = None, /, **more: object) -> Response:
        """Apply for the repair of a record."""
        body = {"table": "penalty", "subject_id": FIRM, "record_id": record}
        terms = {"performed": True, "pledged": True, **more}
        return self.client.post(
            "/v1/repairs", json={**body, **terms}, headers=headers or self.manager
        )

    def act(self, case: int, act: str, **more: object) -> Response:
        """Act on a case."""
        terms = {"performed": True, "pledged": True} if act == "apply" else {}
        return self.client.post(
            f"/v1/repairs/{case}/acts", json={"act": act, **terms, **more}, headers=self.manager
        )

    def get(
        self, path: str, headers: Headers | None = None, /, **asked: str | int | list[str]
    ) -> Response:
        """Read something."""
        return self.client.get(path, params=asked, headers=headers or self.manager)

    def step(self, warning: int, step: str, **more: object) -> Response:
        """Take a step of a warning."""
        body = {"step": step, **more}
        return self.client.post(f"/v1/warnings/{warning}/steps", json=body, headers=self.officer)

    def warn(self, *rows: dict[str, object], previous: pl.DataFrame | None = None) -> list[Kept]:
        """Let decisions raise their warnings."""
        with self.service.ledger.begin() as connection:
            return raise_warnings(self.service, connection, scenario(), decisions(*rows), previous)


def timed(service: Service) -> tuple[Service, Clock]:
    """Return the service under a clock that a test sets."""
    clock = Clock()
    clock.on(TODAY)
    return replace(service, clock=clock), clock


def manager_and_officer(as_caller: Callable[..., Headers]) -> tuple[Headers, Headers]:
    """Return who writes records and repairs, and who handles warnings."""
    return as_caller(roles=[Role.DATA_MANAGER]), as_caller(roles=[Role.INSPECTOR])


def scenario() -> Scenario:
    """Return a scenario with grades A and B."""
    return firms.scenario()


def decision(number: int, subject: str = FIRM, **columns: object) -> dict[str, object]:
    """Return a decision that warns, the ``number``-th."""
    return {
        "id": f"00000000-0000-0000-0000-{number:012d}",
        "subject_id": subject,
        "as_of": TODAY,
        "valid_until": date(2099, 1, 1),
        "region": "210102",
        "grade": "B",
        "previous_grade": None,
        "probability": 0.6,
        "vetoes": [],
        "warn": True,
        "previous": None,
        "replaces": None,
        "stands": False,
        **columns,
    }


def decisions(*rows: dict[str, object]) -> pl.DataFrame:
    """Return decisions as a frame."""
    texts = dict.fromkeys(("previous_grade", "previous", "replaces", "region"), pl.String)
    return pl.DataFrame(list(rows), schema_overrides={**texts, "vetoes": pl.List(pl.String)})
