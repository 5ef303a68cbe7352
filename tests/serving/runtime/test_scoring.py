from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy import text

from models.decide import decide
from models.errors import ModelError
from serving import metrics
from serving.ledger import changes, decisions, explanations
from serving.runtime import scoring
from serving.runtime.gather import gather
from serving.runtime.live import Live
from serving.runtime.rows import digests
from serving.runtime.scoring import redecide, score
from serving.service import Service
from tests.models.features.firms import AS_OF, FIRMS, identity, penalty
from tests.models.risk import town
from tests.serving import village


def test_what_is_stored_is_what_the_batch_decides(running: Service, champion: Live) -> None:
    scored = score(running, champion, village.KNOWN, AS_OF)
    assert not scored.refused
    known = pl.col("subject_id").is_in(village.KNOWN)
    frames = {t: f.filter(known) for t, f in town.everyone().frames.items() if f.height}
    features = champion.pipeline.build(type(town.everyone())(frames), [AS_OF])
    whole = decide(features, champion.scenario, champion.bundle)
    made = pl.DataFrame(
        [(d.subject_id, d.probability, d.grade, d.warn, list(d.vetoes)) for d in scored.decisions],
        schema={
            n: whole.schema[n] for n in ("subject_id", "probability", "grade", "warn", "vetoes")
        },
        orient="row",
    )
    assert_frame_equal(made.sort("subject_id"), whole.select(made.columns), check_exact=True)
    assert {d.inputs_digest for d in scored.decisions} == set(digests(features, champion))


def test_deciding_again_stores_nothing_and_answers_the_same(
    running: Service, champion: Live, clock: village.Clock
) -> None:
    first = score(running, champion, FIRMS[:6], AS_OF)
    clock.at += timedelta(hours=1)
    again = score(running, champion, FIRMS[:6], AS_OF)
    assert again.decisions == first.decisions
    with running.ledger.begin() as connection:
        assert len(decisions.history(connection, "town", FIRMS[0])) == 1


def test_what_comes_back_within_a_day_stands_again(running: Service, champion: Live) -> None:
    day = AS_OF - timedelta(days=5)
    (first,) = score(running, champion, [FIRMS[5]], AS_OF).decisions
    bad = penalty(5, day, record_id=identity("甲"))
    village.post(running, "penalty", bad)
    (second,) = score(running, champion, [FIRMS[5]], AS_OF).decisions
    village.post(running, "penalty", {**bad, "void_from": day, "void_reason": "annulled"})
    (third,) = score(running, champion, [FIRMS[5]], AS_OF).decisions
    assert third.inputs_digest == first.inputs_digest != second.inputs_digest
    assert len({first.id, second.id, third.id}) == 3
    with running.ledger.begin() as connection:
        stands = decisions.current(connection, "town", FIRMS[5])
    assert stands == third


def test_a_day_later_the_grade_in_force_is_told(
    running: Service, champion: Live, clock: village.Clock
) -> None:
    (before,) = score(running, champion, [FIRMS[2]], AS_OF).decisions
    later = AS_OF + timedelta(days=1)
    clock.on(later)
    (after,) = score(running, champion, [FIRMS[2]], later).decisions
    assert (after.previous, after.previous_grade) == (before.id, before.grade)
    with running.ledger.begin() as connection:
        told = decisions.find(connection, before.id)
    assert told is not None
    assert told.superseded_by == after.id


def test_warnings_have_reasons_at_once_and_partners_are_told(
    running: Service, champion: Live
) -> None:
    scored = score(running, champion, village.KNOWN, AS_OF)
    warned = {one.id for one in scored.decisions if one.warn}
    assert warned
    assert scored.explained.keys() == warned
    for content in scored.explained.values():
        assert content["reasons"]
    with running.ledger.begin() as connection:
        assert explanations.find(connection, list(warned)).keys() == warned
        feed = changes.read(connection, 0, limit=1000)
    assert {one.subject_id for one in feed} == {d.subject_id for d in scored.decisions if d.warn}
    score(running, champion, village.KNOWN, AS_OF)
    with running.ledger.begin() as connection:
        assert changes.read(connection, 0, limit=1000) == feed


def test_a_challenger_in_the_shadow_changes_nothing(running: Service, champion: Live) -> None:
    village.place(village.other_bundle(), running.settings.home, "challenger")
    running.runtime.refresh()
    (one,) = score(running, champion, [FIRMS[1]], AS_OF).decisions
    with running.ledger.begin() as connection:
        apart = connection.execute(text("select probability from shadow_decision")).scalars().all()
        assert decisions.history(connection, "town", FIRMS[1]) == [one]
    assert len(apart) == 1
    assert apart[0] != one.probability


def test_a_challenger_that_fails_is_counted_and_nobody_waits_for_it(
    running: Service, champion: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    village.place(village.other_bundle(), running.settings.home, "challenger")
    running.runtime.refresh()

    def broken(*_: object, **__: object) -> None:
        raise ModelError("the challenger is broken")

    monkeypatch.setattr(scoring, "shadow", broken)
    before = failures()
    assert score(running, champion, [FIRMS[1]], AS_OF).decisions
    assert failures() == before + 1


def failures() -> float:
    return (
        metrics.REGISTRY.get_sample_value("xinjian_shadow_errors_total", {"scenario": "town"}) or 0
    )


def test_redeciding_is_for_every_scenario_and_skips_who_is_outside(running: Service) -> None:
    assert redecide(running, [FIRMS[0], FIRMS[1], FIRMS[-1]]) == 2
    assert redecide(running, [FIRMS[0], FIRMS[1], FIRMS[-1]]) == 2
    with running.ledger.begin() as connection:
        assert len(decisions.history(connection, "town", FIRMS[0])) == 1


def test_decisions_cannot_be_altered(running: Service, champion: Live) -> None:
    score(running, champion, [FIRMS[0]], AS_OF)
    for statement in (
        "update decision set grade = 'A'",
        "delete from decision",
        "truncate decision",
        "update explanation set content = '{}'",
        "delete from basis",
        "delete from declaration",
        "delete from model_event",
    ):
        with pytest.raises(Exception, match="append-only"), running.ledger.begin() as connection:
            connection.execute(text(statement))


def test_a_reference_of_yesterday_serves_today_and_one_too_old_does_not(
    running: Service, champion: Live, clock: village.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(running, champion, [FIRMS[0]], AS_OF)
    monkeypatch.setattr(running.runtime, "_few_subjects", lambda: False)
    near = AS_OF + timedelta(days=7)
    clock.on(near)
    (one,) = score(running, champion, [FIRMS[0]], near).decisions
    assert one.reference is not None
    assert one.reference.startswith(str(AS_OF))
    far = near + timedelta(days=1)
    clock.on(far)
    with pytest.raises(ModelError, match="run the job score_all"):
        score(running, champion, [FIRMS[0]], far)


def test_many_subjects_are_gathered_as_each_alone(running: Service, champion: Live) -> None:
    some = FIRMS[10:22]
    whole = gather(running.runtime, running.ledger, champion.scenario, some, AS_OF)
    for one in some:
        alone = gather(running.runtime, running.ledger, champion.scenario, [one], AS_OF)
        assert alone.regions == {one: whole.regions[one]}
        for table, frame in alone.records.frames.items():
            mine = whole.records.frames[table].filter(pl.col("subject_id") == one)
            assert_frame_equal(mine, frame)
