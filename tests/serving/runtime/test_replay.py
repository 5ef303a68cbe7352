from __future__ import annotations

import shutil
from datetime import date, timedelta

import polars as pl
import pytest
from sqlalchemy import text

from serving.ledger import decisions, explanations, inbox
from serving.ledger.decisions import Decision
from serving.runtime.live import Live
from serving.runtime.replay import NotReplayableError, explain_stored, replay
from serving.runtime.scoring import score
from serving.service import Service
from tests.models.features.firms import AS_OF, FIRMS, frame, penalty
from tests.serving import village


def decided(service: Service, champion: Live, number: int, day: date = AS_OF) -> Decision:
    (one,) = score(service, champion, [FIRMS[number]], day).decisions
    return one


def test_what_was_decided_comes_out_the_same_whatever_came_later(
    running: Service, champion: Live, clock: village.Clock
) -> None:
    day = AS_OF - timedelta(days=20)
    village.post(running, "penalty", penalty(3, day, document_number="甲"))
    first = decided(running, champion, 3)
    village.post(running, "penalty", penalty(3, day, document_number="乙"))
    second = decided(running, champion, 3)
    clock.on(AS_OF + timedelta(days=2))
    third = decided(running, champion, 3, AS_OF + timedelta(days=2))
    compact(running)
    village.place(village.other_bundle(), running.settings.home)
    running.runtime.refresh()
    for one in (first, second, third):
        assert replay(running, one).differs == {}
    assert first.inputs_digest != second.inputs_digest
    assert second.replaces == first.id
    assert third.previous == second.id


def compact(service: Service) -> None:
    """Bring the inbox into the lake."""
    with service.ledger.begin() as connection:
        waiting = inbox.waiting(connection, limit=1000)
    for one in waiting:
        version = service.runtime.lake.merge(one.table, one.frame).version
        with service.ledger.begin() as connection:
            inbox.mark(connection, one.seqs, version=version, at=service.clock())


def test_a_row_that_was_tampered_with_shows(running: Service, champion: Live) -> None:
    one = decided(running, champion, 3)
    with running.ledger.begin() as connection:
        connection.execute(text("alter table decision disable trigger append_only"))
        connection.execute(text("update decision set action = '罚', probability = 0.01"))
    with running.ledger.begin() as connection:
        altered = decisions.find(connection, one.id)
    assert altered is not None
    found = replay(running, altered)
    assert not found.identical
    assert found.differs.keys() == {"action", "probability"}
    assert found.differs["probability"].recomputed == one.probability


def test_what_is_gone_is_said(running: Service, champion: Live) -> None:
    one = decided(running, champion, 3)
    shutil.rmtree(running.settings.home / "serving" / "bundles" / one.bundle_digest)
    with pytest.raises(NotReplayableError, match="what was stored stands"):
        replay(running, one)


def test_reasons_are_made_once_and_stay(running: Service, champion: Live) -> None:
    calm = next(
        one for one in score(running, champion, village.KNOWN, AS_OF).decisions if not one.warn
    )
    with running.ledger.begin() as connection:
        assert explanations.find(connection, [calm.id]) == {}
    told = explain_stored(running, calm)
    village.place(village.other_bundle(), running.settings.home)
    running.runtime.refresh()
    assert explain_stored(running, calm) == told
    assert told["subject_id"] == calm.subject_id


def test_reasons_name_live_records(running: Service, champion: Live) -> None:
    rows = [
        penalty(3, AS_OF - timedelta(days=n), document_number=f"新{n}", fine_amount=350_000.0)
        for n in range(2, 8)
    ]
    village.post(running, "penalty", *rows)
    (one,) = score(running, champion, [FIRMS[3]], AS_OF, explain=True).decisions
    told = str(explain_stored(running, one))
    posted = frame("penalty", rows)["record_id"]
    assert any(number in told for number in posted)
    assert pl.Series([one.grade]).is_in(["A", "B", "C", "D"]).all()
