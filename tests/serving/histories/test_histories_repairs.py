"""What a repair reaches, one case at a time, through the routes and the worker."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from serving.ledger import repairs
from serving.runtime import scoring
from serving.runtime.replay import replay
from serving.runtime.rows import made
from serving.ties import neighbours
from tests.serving.histories.chronicle import AROUND, FIRST, SCENARIO, SIZE, Quarter, World


def feature(quarter: Quarter, place: int, name: str = "relation_flagged_count") -> float:
    """Return a feature that a standing decision was made of; it must come out as it did."""
    again = replay(quarter.world.service, quarter.standing(place))
    assert again.identical, again.differs
    return float(again.features[name].item())


def marked(quarter: Quarter) -> list[tuple[str, list[int]]]:
    """Return which rows of a report are marked as disputed, by table."""
    sections = quarter.report()["sections"]
    return [(one["table"], one["disputed"]) for one in sections if one["disputed"]]


def test_neighbours_forget_a_repaired_record_at_once_and_remember_a_restored_one(
    world: World,
) -> None:
    mine = world.quarter()
    mine.post(1)
    world.compact()
    mine.decide()  # makes the reference, with the record in it
    assert [feature(mine, one) for one in AROUND] == [1.0, 1.0, 1.0]
    before = mine.judged()
    mine.act(1, "apply")
    assert mine.act(1, "repair").status_code == 200
    world.work()
    assert [feature(mine, one) for one in AROUND] == [0.0, 0.0, 0.0]
    assert feature(mine, FIRST, "penalty_count_365d") == 0.0
    world.compact()
    world.tomorrow()
    assert mine.act(1, "restore").status_code == 200
    world.work()
    assert [feature(mine, one) for one in AROUND] == [1.0, 1.0, 1.0]
    assert [one["grade"] for one in mine.judged()] == [one["grade"] for one in before]
    assert mine.status(1)["state"] == "published"


def test_whoever_is_tied_in_the_lake_or_the_inbox_alone_is_decided_anew(world: World) -> None:
    mine, other = world.quarter(), world.quarter()
    service = world.service

    def around() -> list[str]:
        with service.ledger.begin() as connection:
            return neighbours(service, connection, mine.firms[FIRST])

    near = sorted(mine.firms[place] for place in AROUND)
    assert around() == near
    ties = [
        ("relation", {"subject_id": other.firms[0], "other_id": mine.firms[0], "kind": "supply"}),
        ("relation", {"subject_id": mine.firms[0], "other_id": other.firms[1], "kind": "branch"}),
    ]
    for number, (table, row) in enumerate(ties):
        told = {**row, "happened_on": "2024-01-01", "source_id": f"t{number}"}
        body = {"table": table, "source": "t", "rows": [told]}
        headers = {**world.headers, "Idempotency-Key": f"t-{number}"}
        answer = world.client.post("/v1/records", json=body, headers=headers)
        assert answer.json()["accepted"] == 1, answer.text
    assert around() == sorted([*near, *other.firms[:2]])
    world.compact()
    assert around() == sorted([*near, *other.firms[:2]])
    mine.post(1)
    mine.act(1, "annul")
    (proof,) = mine.proof(1)
    assert proof["subjects"] == [mine.firms[FIRST], *sorted([*near, *other.firms[:2]])]


def test_what_its_own_system_voids_reaches_the_neighbours_too(world: World) -> None:
    mine = world.quarter()
    mine.post(1)
    world.compact()
    mine.decide()
    assert [feature(mine, one) for one in AROUND] == [1.0, 1.0, 1.0]
    mine.post(1, void_from="2025-01-01", void_reason="annulled")
    world.work()
    assert [feature(mine, one) for one in AROUND] == [0.0, 0.0, 0.0]


def test_refused_and_applied_for_again_on_one_day(world: World) -> None:
    mine = world.quarter()
    mine.post(1)
    for act, state in (("apply", "applied"), ("refuse", "eligible"), ("apply", "applied")):
        answer = mine.act(1, act)
        assert answer.json()["status"]["state"] == state, answer.text
    assert mine.act(1, "accept").status_code == 200
    assert mine.act(1, "repair").json()["status"]["state"] == "repaired"


def test_an_objection_marks_at_once_and_may_be_made_again_on_the_day_of_its_answer(
    world: World,
) -> None:
    mine = world.quarter()
    mine.post(1)
    for _ in range(2):
        assert mine.dispute(1).status_code == 201
        assert mine.status(1)["disputed"] is True
        assert marked(mine) == [("penalty", [0])]
        assert mine.settle(1).status_code == 200
        assert mine.status(1)["disputed"] is False
        assert marked(mine) == []


def test_a_record_that_the_source_annuls_during_a_repair_is_repaired_no_more(world: World) -> None:
    mine = world.quarter()
    mine.post(1)
    assert mine.act(1, "apply").status_code == 201
    mine.post(1, void_from="2025-01-01", void_reason="annulled")
    answer = mine.act(1, "repair")
    assert (answer.status_code, answer.json()["allowed"]) == (409, [])
    assert mine.status(1)["state"] == "annulled"
    assert mine.proof(1) == []


def test_a_repair_before_its_term_is_told_the_day(world: World) -> None:
    mine = world.quarter()
    mine.post(1, happened_on="2024-12-15")
    answer = mine.act(1, "apply")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/too-early")
    assert answer.json()["allowed_from"] == "2025-03-15"
    world.tomorrow(74)
    assert mine.act(1, "apply").status_code == 201


def test_a_restored_record_counts_as_if_it_had_never_been_repaired(world: World) -> None:
    restored, plain = world.quarter(), world.quarter()
    for one in (restored, plain):
        one.post(1)
    world.compact()
    world.refer()
    for act in ("apply", "accept", "repair"):
        assert restored.act(1, act).is_success
    world.compact()
    world.work()
    for one in (restored, plain):
        one.decide()
    assert restored.judged() != plain.judged()
    assert restored.act(1, "restore").status_code == 200
    world.tomorrow()
    for one in (restored, plain):
        one.decide()
    assert restored.judged() == plain.judged()
    assert restored.drawn_from() == plain.drawn_from()
    assert restored.shown() == plain.shown()
    world.compact()
    world.tomorrow()
    world.nightly()
    assert restored.judged() == plain.judged()


def test_the_proof_names_every_output_that_was_made_anew(world: World) -> None:
    mine = world.quarter()
    mine.post(1)
    world.compact()
    mine.decide()
    before = [mine.standing(place) for place in range(SIZE)]
    issued = [mine.report()["code"], mine.report("special")["code"]]
    world.clock.at += timedelta(minutes=1)
    mine.act(1, "apply")
    mine.act(1, "repair")
    (proof,) = mine.proof(1)
    assert (proof["waiting"], proof["settled_at"]) == (1 + len(AROUND), None)
    assert {one["code"] for one in proof["reports"]} == set(issued)
    with world.service.ledger.begin() as connection:
        reached = {mine.firms[place] for place in (FIRST, *AROUND)}
        assert set(repairs.unsettled(connection, SCENARIO)) == reached
    world.work()
    mine.report()  # of what is so now: nothing of it is superseded
    (proof,) = mine.proof(1)
    with world.service.ledger.begin() as connection:
        assert repairs.unsettled(connection, SCENARIO) == []
    assert (proof["waiting"], len(proof["reports"])) == (0, len(issued))
    assert proof["settled_at"] is not None
    told = {one["subject_id"]: one for one in proof["decided"]}
    for place in (FIRST, *AROUND):
        one, now = told.pop(mine.firms[place]), mine.standing(place)
        assert (one["before"], one["grade_before"]) == (str(before[place].id), before[place].grade)
        assert (one["after"], one["score"]) == (str(now.id), now.risk_score)
        # What a model makes of one neighbour less is its own; of the firm itself it is plain.
        assert one["score"] <= one["score_before"]
        assert now.inputs_digest != before[place].inputs_digest
        assert place != FIRST or one["score"] < one["score_before"]
    assert told == {}


def test_a_grade_that_rests_on_what_was_repaired_holds_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, plain = world.quarter(), world.quarter()
    mine.post(1, severity="serious", happened_on="2023-06-05")
    world.compact()
    for one in (mine, plain):
        one.decide()
    held: list[pl.DataFrame] = []

    def looked(*args: object, **named: object) -> pl.DataFrame:
        earlier = named["earlier"]
        assert isinstance(earlier, pl.DataFrame)
        held.append(earlier.filter(~pl.col("today")))
        return made(*args, **named)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(scoring, "made", looked)
    world.tomorrow()
    mine.decide()
    assert (held.pop()["valid_until"] > world.service.today()).all()
    mine.act(1, "apply")
    assert mine.act(1, "repair").is_success
    world.tomorrow()
    mine.decide()
    plain.decide()
    theirs, ours = held.pop(), held.pop()
    gone = {mine.firms[place] for place in (FIRST, *AROUND)}
    released = ours.filter(pl.col("valid_until") < world.service.today())
    assert set(released["subject_id"]) == gone
    assert (theirs["valid_until"] > world.service.today()).all()
    world.tomorrow()
    mine.decide()  # what was decided since the repair holds again
    assert (held.pop()["valid_until"] > world.service.today()).all()
    replayed = replay(world.service, mine.standing())
    assert replayed.identical, replayed.differs
