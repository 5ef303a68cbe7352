from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec
import polars as pl
import pytest
from sqlalchemy import text

from models.features.reference import Reference
from models.records.reading import MemoryRecords
from serving.ledger import decisions, inbox
from serving.ledger.moment import MOMENT, moment
from serving.runtime import scoring
from serving.runtime.live import Live
from serving.runtime.scoring import Content, score
from serving.service import Service
from tests.models.features.firms import AS_OF, FIRMS, penalty
from tests.serving import village
from tests.serving.filled import decisions_of, merged_rows_of

PAST = 3_000


@pytest.fixture
def aged(running: Service, champion: Live) -> Service:
    """Return a service of whose first firm the ledger holds much, and of others a little."""
    score(running, champion, FIRMS[:20], AS_OF)
    decisions_of(running.ledger, FIRMS[0], PAST)
    merged_rows_of(running.ledger, FIRMS[0], PAST)
    village.post(running, "penalty", penalty(0, AS_OF), penalty(1, AS_OF))
    return running


def rows_read(plan: Mapping[str, Any]) -> int:
    """Return how many rows tables and indexes gave in a plan that was run, passed over or not."""
    parts = cast("list[Mapping[str, Any]]", plan.get("Plans", []))
    own = 0
    if "Relation Name" in plan or "Index Name" in plan:
        each = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        own = round(each * plan["Actual Loops"])
    return own + sum(rows_read(part) for part in parts)


def plan_of(service: Service, query: str, values: Mapping[str, object]) -> Mapping[str, Any]:
    with service.ledger.begin() as connection:
        told = text(f"explain (analyze, format json) {query}")
        return connection.execute(told, values).scalar_one()[0]["Plan"]


def test_what_a_decision_asks_of_the_ledger_does_not_read_the_past(aged: Service) -> None:
    values = {"scenario": village.SCENARIO, "subjects": [FIRMS[0]], "day": AS_OF}
    assert rows_read(plan_of(aged, str(MOMENT), values)) < 30


def test_live_records_that_the_lake_has_are_not_read_again(aged: Service) -> None:
    asked = "select seq from inbox where subject_id in (:subject) and merged_at is null"
    plan = plan_of(aged, f"{asked} order by seq", {"subject": FIRMS[0]})
    assert rows_read(plan) < 10


def test_a_stored_decision_is_found_without_its_past(aged: Service) -> None:
    with aged.ledger.begin() as connection:
        found = decisions.history(connection, village.SCENARIO, FIRMS[0], limit=PAST)
        oldest = found[-1]
        assert decisions.find(connection, oldest.id) == oldest
    assert oldest.superseded_by == found[-2].id


def test_live_records_after_the_moment_do_not_count(running: Service) -> None:
    seen = village.post(running, "penalty", penalty(0, AS_OF))
    with running.ledger.begin() as connection:
        told = moment(connection, village.SCENARIO, [FIRMS[0]], AS_OF)
    village.post(running, "penalty", penalty(0, AS_OF, record_id="0" * 32))
    with running.ledger.begin() as connection:
        then = inbox.pending(connection, [FIRMS[0]], upto=told.mark)
        now = inbox.pending(connection, [FIRMS[0]])
    assert (told.mark, told.waiting) == (seen, True)
    assert (then["penalty"].height, now["penalty"].height) == (1, 2)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many subjects are explained at a time."""
    counts: list[int] = []
    make = scoring.reasons

    def counted(
        live: Live, features: pl.DataFrame, records: MemoryRecords, reference: Reference
    ) -> list[Content]:
        counts.append(features.height)
        return make(live, features, records, reference)

    monkeypatch.setattr(scoring, "reasons", counted)
    return counts


def test_reasons_that_are_stored_are_not_made_again(
    running: Service, champion: Live, told: list[int]
) -> None:
    first = score(running, champion, FIRMS[:4], AS_OF, explain=True)
    again = score(running, champion, FIRMS[:6], AS_OF, explain=True)
    assert told == [4, 2]
    for one, content in first.explained.items():
        kept = again.explained[one]
        assert msgspec.json.decode(msgspec.json.encode(content)) == kept
    assert set(again.explained) == {one.id for one in again.decisions}


def test_reasons_that_lack_are_made_later(
    running: Service, champion: Live, told: list[int]
) -> None:
    plain = score(running, champion, FIRMS[:6], AS_OF)
    score(running, champion, FIRMS[:6], AS_OF, explain=True)
    score(running, champion, FIRMS[:6], AS_OF, explain=True)
    assert sum(told) == 6
    assert len(plain.explained) == sum(one.warn for one in plain.decisions)
