from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from models.errors import ConfigError
from serving.ledger import changes, decisions, explanations
from serving.runtime import batch
from serving.runtime.batch import StoppedError, score_all
from serving.runtime.live import Live
from serving.runtime.scoring import score
from serving.service import Service
from tests.models.features.firms import AS_OF, FIRMS, penalty
from tests.serving import village


def standing(service: Service) -> dict[str, decisions.Decision]:
    with service.ledger.begin() as connection:
        found = {one: decisions.current(connection, "town", one) for one in village.KNOWN}
    return {one: decision for one, decision in found.items() if decision is not None}


def test_everybody_gets_the_decision_that_each_alone_gets(
    running: Service, champion: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PART", 40)
    told: list[tuple[int, int]] = []
    run = score_all(running, "town", advance=lambda done, total: told.append((done, total)))
    assert run.finished_at is not None
    assert run.decided == len(village.KNOWN)
    assert told == [(40, 115), (80, 115), (115, 115)]
    whole = standing(running)
    alone = {one.subject_id: one for one in score(running, champion, FIRMS[:9], AS_OF).decisions}
    assert {one: whole[one] for one in alone} == alone
    with running.ledger.begin() as connection:
        warned = {one.id for one in whole.values() if one.warn}
        assert warned
        assert explanations.find(connection, list(warned)).keys() == warned
        feed = changes.read(connection, 0, limit=1000)
    assert {UUID(str(one.payload["decision"])) for one in feed} == warned
    assert run.warned == len(warned)
    assert not (running.settings.home / "serving" / "runs" / str(run.id)).exists()


def test_a_run_again_stores_nothing_twice(running: Service) -> None:
    first = score_all(running, "town")
    second = score_all(running, "town")
    assert second.id != first.id
    with running.ledger.begin() as connection:
        many = connection.execute(text("select count(*) from decision")).scalar()
        told = connection.execute(text("select kind, count(*) from change group by 1")).all()
    assert many == first.decided
    assert sorted(map(tuple, told)) == [("decision", first.warned), ("warning", first.warned)]


def test_a_run_that_broke_off_goes_on_where_it_stopped(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PART", 50)
    asked = iter([False, True])
    with pytest.raises(StoppedError):
        score_all(running, "town", stop=lambda: next(asked))
    done: list[int] = []
    plain = batch._decide  # pyright: ignore[reportPrivateUsage]

    def decide(work: object, part: int, *rest: object) -> None:
        done.append(part)
        plain(work, part, *rest)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(batch, "_decide", decide)
    run = score_all(running, "town")
    assert done == [1, 2]
    assert run.decided == len(village.KNOWN) == len(standing(running))


def test_a_part_that_fails_leaves_nothing_of_itself(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ConfigError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(batch.runs, "part_done", broken)
        with pytest.raises(ConfigError):
            score_all(running, "town")
    assert standing(running) == {}
    assert score_all(running, "town").decided == len(village.KNOWN)


def test_a_live_record_that_the_lake_does_not_have_is_seen_by_the_batch(
    running: Service, champion: Live
) -> None:
    day = AS_OF - timedelta(days=3)
    mark = village.post(running, "penalty", penalty(7, day), penalty(7, day, document_number="2"))
    score_all(running, "town")
    found = standing(running)[FIRMS[7]]
    assert found.inbox_mark == mark
    assert score(running, champion, [FIRMS[7]], AS_OF).decisions == (found,)
    assert found.inputs_digest != score_without(running, champion)


def score_without(service: Service, champion: Live) -> bytes:
    """Return what the firm's features would be without live records."""
    chosen = service.runtime.reference(champion, AS_OF)
    features = champion.pipeline.build(
        village.town.everyone(), [AS_OF], subjects=[FIRMS[7]], reference=chosen.reference
    )
    return bytes(batch.made.__globals__["digests"](features, champion)[0])


def test_a_decision_that_saw_more_stands_against_a_batch_that_ends_later(
    running: Service, champion: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = AS_OF - timedelta(days=3)
    seen: list[decisions.Decision] = []
    plain = batch._decide  # pyright: ignore[reportPrivateUsage]

    def decide(*all_: object) -> None:
        village.post(running, "penalty", penalty(7, day), penalty(7, day, document_number="2"))
        seen.extend(score(running, champion, [FIRMS[7]], AS_OF).decisions)
        plain(*all_)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(batch, "_decide", decide)
    score_all(running, "town")
    assert standing(running)[FIRMS[7]].id == seen[0].id
    with running.ledger.begin() as connection:
        assert len(decisions.history(connection, "town", FIRMS[7])) == 2


def test_a_challenger_decides_beside_and_apart(running: Service) -> None:
    village.place(village.other_bundle(), running.settings.home, "challenger")
    running.runtime.refresh()
    score_all(running, "town")
    with running.ledger.begin() as connection:
        apart = connection.execute(text("select count(*) from shadow_decision")).scalar()
        feed = changes.read(connection, 0, limit=1000)
    assert apart == len(village.KNOWN)
    told = [one for one in feed if one.kind == "decision"]
    assert len(told) == sum(one.warn for one in standing(running).values())


def test_a_scenario_without_a_model_is_said(running: Service) -> None:
    with pytest.raises(ConfigError, match="no model that decides"):
        score_all(running, "food_safety")
