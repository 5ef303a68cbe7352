from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import CodeError, ConfigError, RecordError, TransitionError
from models.records.countable import countable_record
from models.records.publicity import Purpose, VoidReason
from models.supervision.repair import (
    MACHINE,
    Act,
    Kind,
    State,
    Status,
    check,
    load_procedure,
    procedure,
    status,
)
from models.time import AsOf

DECIDED = date(2026, 5, 6)


def penalty(severity: str = "general", **own: object) -> dict[str, object]:
    return {
        "record_id": "0" * 32,
        "happened_on": DECIDED,
        "known_at": datetime(2026, 5, 6, 8, tzinfo=UTC),
        "void_from": None,
        "void_reason": None,
        "severity": severity,
        "published": None,
        "max_months": None,
        "restrict_until": None,
        "corrected": True,
        **own,
    }


def act(kind: Kind, on: date, name: str = "") -> Act:
    return Act(on, kind, name or f"{kind}-{on}")


def at(on: date, *acts: Act, severity: str = "general") -> Status:
    return status(penalty(severity), acts, on)


@pytest.mark.parametrize(
    ("severity", "on", "state"),
    [
        ("general", date(2026, 5, 6), State.PUBLISHED),
        ("general", date(2026, 8, 5), State.PUBLISHED),
        ("general", date(2026, 8, 6), State.ELIGIBLE),
        ("general", date(2027, 5, 5), State.ELIGIBLE),
        ("general", date(2027, 5, 6), State.EXPIRED),
        ("serious", date(2027, 5, 5), State.PUBLISHED),
        ("serious", date(2027, 5, 6), State.ELIGIBLE),
        ("serious", date(2029, 5, 6), State.EXPIRED),
    ],
)
def test_the_calendar_makes_a_record_eligible_and_ends_it(
    severity: str, on: date, state: State
) -> None:
    assert at(on, severity=severity).state is state


def test_a_repair_voids_the_record_from_its_day_on() -> None:
    acts = [act(Kind.APPLY, date(2026, 8, 10)), act(Kind.REPAIR, date(2026, 8, 20))]
    assert at(date(2026, 8, 19), *acts).state is State.APPLIED
    done = at(date(2026, 8, 20), *acts)
    assert (done.state, done.void_from) == (State.REPAIRED, date(2026, 8, 20))
    assert done.void_reason is VoidReason.REPAIRED


def test_an_application_before_its_day_has_no_place_and_is_told() -> None:
    early = [act(Kind.APPLY, date(2026, 6, 1), "a"), act(Kind.REPAIR, date(2026, 6, 2), "b")]
    found = at(date(2026, 6, 3), *early)
    assert found.state is State.PUBLISHED
    assert [one.id for one in found.left_out] == ["a", "b"]
    with pytest.raises(TransitionError, match="公示中"):
        check(found, Kind.APPLY)


def test_a_refused_application_may_be_made_again() -> None:
    acts = [act(Kind.APPLY, date(2026, 8, 10)), act(Kind.REFUSE, date(2026, 8, 12))]
    found = at(date(2026, 8, 12), *acts)
    assert found.state is State.ELIGIBLE
    check(found, Kind.APPLY)


def test_fraud_restores_the_record_and_bars_the_next_application() -> None:
    acts = [
        act(Kind.APPLY, date(2026, 8, 10)),
        act(Kind.REPAIR, date(2026, 8, 20)),
        act(Kind.RESTORE, date(2026, 9, 1)),
    ]
    found = at(date(2026, 9, 1), *acts)
    assert (found.state, found.void_from, found.void_reason) == (State.PUBLISHED, None, None)
    assert found.barred_until == date(2027, 9, 1)
    later = at(date(2027, 3, 1), *acts)
    assert later.state is State.PUBLISHED
    with pytest.raises(TransitionError) as refused:
        check(later, Kind.APPLY)
    assert refused.value.allowed == (Kind.ANNUL,)


def test_an_annulment_ends_everything_and_erases_a_repair() -> None:
    acts = [
        act(Kind.DISPUTE, date(2026, 8, 1)),
        act(Kind.APPLY, date(2026, 8, 10)),
        act(Kind.REPAIR, date(2026, 8, 20)),
        act(Kind.ANNUL, date(2026, 10, 1)),
        act(Kind.APPLY, date(2026, 11, 1), "late"),
    ]
    found = at(date(2027, 12, 1), *acts)
    assert (found.state, found.void_reason) == (State.ANNULLED, VoidReason.ANNULLED)
    assert not found.disputed
    assert [one.id for one in found.left_out] == ["late"]
    assert MACHINE.allowed(found.state) == ()


def test_a_dispute_marks_the_record_at_once_and_changes_nothing_else() -> None:
    on = date(2026, 6, 1)
    found = at(on, act(Kind.DISPUTE, on))
    assert (found.disputed, found.state, found.void_from) == (True, State.PUBLISHED, None)
    assert not at(
        date(2026, 6, 9), act(Kind.DISPUTE, on), act(Kind.SETTLE, date(2026, 6, 9))
    ).disputed


def test_minor_penalties_are_hidden_and_may_be_repaired_at_once() -> None:
    record = penalty("minor")
    assert status(record, [], DECIDED).state is State.ELIGIBLE
    assert status({**record, "published": False}, [], DECIDED).eligible_from == DECIDED


def test_a_record_without_times_is_refused() -> None:
    with pytest.raises(RecordError, match="happened_on"):
        status({"record_id": "x", "known_at": datetime(2026, 1, 1, tzinfo=UTC)}, [], DECIDED)


DAYS = st.integers(0, 1400).map(lambda n: DECIDED + timedelta(days=n))
ACTS = st.lists(
    st.builds(
        Act, on=DAYS, kind=st.sampled_from(Kind), id=st.text("abcdef", min_size=1, max_size=4)
    ),
    max_size=12,
)


@given(acts=ACTS, on=DAYS, data=st.data())
def test_the_order_of_arrival_does_not_matter(
    acts: list[Act], on: date, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations([*acts, *acts[:2]]))
    assert status(penalty(), acts, on) == status(penalty(), shuffled, on)


@given(acts=ACTS, on=DAYS)
def test_later_acts_do_not_exist_yet(acts: list[Act], on: date) -> None:
    past = [one for one in acts if one.on <= on]
    assert status(penalty(), acts, on) == status(penalty(), past, on)


@given(
    acts=ACTS,
    on=DAYS,
    severity=st.sampled_from(["minor", "general", "serious"]),
    purpose=st.sampled_from([Purpose.RISK_CLASS, Purpose.PUBLIC_REPORT, Purpose.CREDIT_SCORE]),
)
def test_what_has_ended_never_counts(
    acts: list[Act], on: date, severity: str, purpose: Purpose
) -> None:
    record = penalty(severity)
    found = status(record, acts, on)
    carried = {**record, "void_from": found.void_from, "void_reason": found.void_reason}
    counts = countable_record(carried, AsOf(on), purpose=purpose)
    if found.state in {State.REPAIRED, State.EXPIRED, State.ANNULLED}:
        assert not counts
    elif severity != "minor":
        assert counts


@given(acts=ACTS, on=DAYS)
def test_every_state_reached_by_acts_is_reached_by_allowed_steps(acts: list[Act], on: date) -> None:
    found = status(penalty(), acts, on)
    kept = [one for one in acts if one not in found.left_out]
    assert status(penalty(), kept, on).state is found.state


def test_the_days_of_the_procedure_are_working_days() -> None:
    steps = procedure().steps
    start = date(2026, 9, 28)
    assert steps["accept"].due(start) == date(2026, 10, 8)  # over the national holiday
    assert steps["decide"].due(start, extended=True) > steps["decide"].due(start)
    with pytest.raises(CodeError):
        steps["decide"].due(date(2199, 1, 1))


def test_a_procedure_that_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "steps: {}\nbar_months: -1\nbar_instrument: x\nbar_certainty: text\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=":2:"):
        load_procedure(path)
