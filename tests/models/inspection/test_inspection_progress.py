from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InspectionError
from models.inspection.progress import Progress, State, advance, begin, edit, pool_trouble

START = datetime(2027, 1, 4, 9, tzinfo=UTC)
DIGEST = "ab" * 32
ORDER = list(State)
EVIDENCE = {State.FROZEN: "c0" * 32, State.SEEDED: "5e" * 32, State.DRAWN: "d0" * 32}


def reached(state: State) -> Progress:
    progress = begin("plan", DIGEST, by="drafter", at=START)
    for day, to in enumerate(ORDER[1 : ORDER.index(state) + 1], start=1):
        progress = step(progress, to, day)
    return progress


def step(progress: Progress, to: State, day: int) -> Progress:
    at = START + timedelta(days=day)
    return advance(progress, to, by="chief", at=at, evidence=EVIDENCE.get(to))


def test_a_plan_goes_through_every_state() -> None:
    closed = reached(State.CLOSED)
    assert [one.state for one in closed.steps] == ORDER
    seeded = closed.step(State.SEEDED)
    assert seeded is not None
    assert seeded.evidence == "5e" * 32
    assert reached(State.FROZEN).step(State.SEEDED) is None


@given(now=st.sampled_from(ORDER), to=st.sampled_from(ORDER))
def test_nothing_goes_back_and_nothing_is_left_out(now: State, to: State) -> None:
    progress = reached(now)
    if ORDER.index(to) == ORDER.index(now) + 1:
        assert step(progress, to, 50).state is to
    else:
        with pytest.raises(InspectionError):
            step(progress, to, 50)


def test_another_person_approves() -> None:
    with pytest.raises(InspectionError, match="drafted by drafter, who cannot approve"):
        advance(reached(State.DRAFT), State.APPROVED, by="drafter", at=START)


def test_a_seed_before_the_freeze_is_refused() -> None:
    with pytest.raises(InspectionError, match="only after the pool is frozen"):
        step(reached(State.APPROVED), State.SEEDED, 9)


def test_a_seed_at_the_moment_of_the_freeze_is_refused() -> None:
    frozen = reached(State.FROZEN)
    with pytest.raises(InspectionError, match="which is not later"):
        advance(
            frozen,
            State.SEEDED,
            by="chief",
            at=frozen.steps[-1].at,
            evidence=EVIDENCE[State.SEEDED],
        )


def test_a_drawn_plan_is_not_drawn_again() -> None:
    with pytest.raises(InspectionError, match="cannot become drawn again"):
        step(reached(State.DRAWN), State.DRAWN, 9)


def test_only_drafts_are_edited() -> None:
    assert edit(reached(State.DRAFT), "cd" * 32, by="丙").digest == "cd" * 32
    for state in ORDER[1:]:
        with pytest.raises(InspectionError, match=f"is {state} and cannot be edited"):
            edit(reached(state), "cd" * 32, by="丙")


@pytest.mark.parametrize("evidence", [None, "", "C0" * 32, "c0" * 31, "c0" * 33])
def test_evidence_is_a_digest(evidence: str | None) -> None:
    with pytest.raises(InspectionError, match="needs the commitment of the pool, 64 hex digits"):
        advance(
            reached(State.APPROVED),
            State.FROZEN,
            by="chief",
            at=START + timedelta(days=9),
            evidence=evidence,
        )


def test_what_is_not_evidence_is_not_taken() -> None:
    with pytest.raises(InspectionError, match="takes no evidence"):
        advance(reached(State.DRAFT), State.APPROVED, by="chief", at=START, evidence="ab" * 32)


def test_steps_have_a_person_and_a_time() -> None:
    with pytest.raises(InspectionError, match="needs the person"):
        begin("plan", DIGEST, by=" ", at=START)
    with pytest.raises(InspectionError, match="no time zone"):
        begin("plan", DIGEST, by="drafter", at=START.replace(tzinfo=None))
    with pytest.raises(InspectionError, match="which is not later"):
        advance(reached(State.APPROVED), State.FROZEN, by="x", at=START, evidence="c0" * 32)


def test_a_pool_edited_after_the_freeze_is_seen() -> None:
    assert pool_trouble(reached(State.FROZEN), "c0" * 32) is None
    changed = str(pool_trouble(reached(State.DRAWN), "c1" * 32))
    assert "changed after it was frozen" in changed
    assert "no frozen pool yet" in str(pool_trouble(reached(State.APPROVED), "c0" * 32))


def test_states_have_chinese_names() -> None:
    assert State.DRAFT.label == "拟订"
    assert State.CLOSED.label == "已办结"
