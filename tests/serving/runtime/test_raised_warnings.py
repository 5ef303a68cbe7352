from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest

from serving.ledger import warnings
from serving.ledger.changes import NewChange
from serving.ledger.warnings import Asked, Kept
from serving.runtime import scoring
from serving.runtime.live import Live
from serving.runtime.scoring import score
from serving.service import Service
from serving.supervision import raise_warnings
from tests.models.features.firms import AS_OF
from tests.serving import village


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[pl.DataFrame]:
    """Return the rows of decisions that were stored since."""
    kept: list[pl.DataFrame] = []

    def seen(made: pl.DataFrame, new: object, *, at: datetime) -> list[NewChange]:
        del new, at
        kept.append(made)
        return []

    monkeypatch.setattr(scoring, "changed", seen)
    return kept


def raised(service: Service, champion: Live, rows: list[pl.DataFrame]) -> list[Kept]:
    with service.ledger.begin() as connection:
        raise_warnings(service, connection, champion.scenario, rows[-1])
        asked = Asked(("",), service.today(), limit=1000)
        return warnings.listing(connection, asked)


def test_stored_decisions_raise_the_warnings_of_their_grades(
    running: Service, champion: Live, rows: list[pl.DataFrame]
) -> None:
    scored = score(running, champion, village.KNOWN, AS_OF)
    found = raised(running, champion, rows)
    told = {one.id for one in scored.decisions if one.warn or one.vetoes}
    assert {one.decision for one in found} == told
    assert told
    assert {one.scenario for one in found} == {village.SCENARIO}


def test_the_same_grade_the_next_day_raises_nothing_more(
    running: Service, champion: Live, rows: list[pl.DataFrame], clock: village.Clock
) -> None:
    score(running, champion, village.KNOWN, AS_OF)
    first = raised(running, champion, rows)
    clock.on(AS_OF + timedelta(days=1))
    score(running, champion, village.KNOWN, AS_OF + timedelta(days=1))
    again = raised(running, champion, rows)
    grades = {one.subject_id: one.grade for one in first}
    new = [one for one in again if one.decision not in {two.decision for two in first}]
    assert all(one.subject_id not in grades or "jump" in one.rules for one in new)


def test_a_decision_of_an_earlier_day_than_the_newest_raises_nothing(
    running: Service, champion: Live, rows: list[pl.DataFrame], clock: village.Clock
) -> None:
    clock.on(AS_OF + timedelta(days=2))
    score(running, champion, village.KNOWN, AS_OF + timedelta(days=2))
    newest = raised(running, champion, rows)
    score(running, champion, village.KNOWN, AS_OF + timedelta(days=1))
    assert raised(running, champion, rows) == newest
