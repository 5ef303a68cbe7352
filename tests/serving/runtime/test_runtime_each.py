"""Requests that are decided together are told what each would be told alone."""

from __future__ import annotations

import polars as pl
import pytest

from serving.ledger import decisions, inbox
from serving.ledger.moment import moment
from serving.runtime import rows
from serving.runtime.live import Live
from serving.runtime.scoring import Asked, score, score_each, score_together
from serving.service import Service
from tests.models.features.firms import AS_OF, FIRMS, penalty
from tests.models.risk import town
from tests.serving import village


def nowhere(region: str | None) -> bool:
    del region
    return False


def test_each_is_told_of_its_own(running: Service, champion: Live) -> None:
    unknown = FIRMS[-1]
    asked = [
        Asked([FIRMS[1], FIRMS[0], FIRMS[1]], explain=True),
        Asked([FIRMS[0], unknown]),
        Asked([FIRMS[2]], sees=nowhere),
    ]
    first, second, third = score_each(running, champion, asked, AS_OF)
    assert [one.subject_id for one in first.decisions] == [FIRMS[1], FIRMS[0]]
    assert first.explained.keys() == {one.id for one in first.decisions}
    assert second.decisions == first.decisions[1:]
    assert [(one.subject_id, one.kind) for one in second.refused] == [(unknown, "not-found")]
    assert (third.decisions, [one.kind for one in third.refused]) == ((), ["not-found"])
    with running.ledger.begin() as connection:
        earlier = decisions.earlier(connection, village.SCENARIO, FIRMS[:3], AS_OF)
    # nobody who may see the third asked for it: it was not decided
    assert sorted(earlier["subject_id"]) == sorted(FIRMS[:2])
    alone = score(running, champion, [FIRMS[0]], AS_OF)
    assert alone.decisions == second.decisions
    assert score_together(running, champion, Asked([FIRMS[0]]), AS_OF).decisions == alone.decisions
    many = score_together(running, champion, Asked(FIRMS[:9]), AS_OF)
    assert [one.subject_id for one in many.decisions] == list(FIRMS[:9])


def test_a_moment_is_what_the_ledger_says_in_parts(running: Service, champion: Live) -> None:
    asked = FIRMS[:3]

    def told() -> tuple[int, bool, pl.DataFrame]:
        with running.ledger.begin() as connection:
            found = moment(connection, village.SCENARIO, asked, AS_OF)
            assert found.mark == inbox.high_water(connection)
            pending = inbox.pending(connection, asked)
            assert found.waiting == bool(pending)
            parts = decisions.earlier(connection, village.SCENARIO, asked, AS_OF)
        assert found.earlier.schema == parts.schema
        assert found.earlier.sort("subject_id").equals(parts.sort("subject_id"))
        return found.mark, found.waiting, found.earlier

    assert told()[:2] == (0, False)
    score(running, champion, asked, AS_OF)
    assert told()[2].height == len(asked)
    number = village.post(running, "penalty", penalty(7, AS_OF, document_number="x"))
    assert told()[:2] == (number, False)
    number = village.post(running, "penalty", penalty(1, AS_OF, document_number="y"))
    assert told()[:2] == (number, True)


def test_few_and_many_rows_have_one_digest(champion: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    features = town.features().head(12)
    few = rows.digests(features, champion)
    monkeypatch.setattr(rows, "_FEW", 0)
    assert rows.digests(features, champion).to_list() == few.to_list()
    odd = features.with_columns(pl.lit(-0.0).alias(features.columns[2]))
    many = rows.digests(odd, champion)
    monkeypatch.setattr(rows, "_FEW", 64)
    assert rows.digests(odd, champion).to_list() == many.to_list()
