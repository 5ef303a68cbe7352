from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from uuid import UUID

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from models.supervision.warning import MACHINE
from serving.auth.roles import Role
from serving.ledger import audit, changes, explanations
from serving.supervision import date_the_undated
from tests.serving.bureau import STEPS, TODAY, Office, decision
from tests.serving.posts import FIRM, OTHER


def warned(office: Office, number: int = 1, subject: str = FIRM, **columns: object) -> int:
    (kept,) = office.warn(decision(number, subject, **columns))
    return kept.id


def test_a_decision_raises_one_warning_with_its_dates_and_a_change(office: Office) -> None:
    number = warned(office)
    assert office.warn(decision(1)) == []
    assert office.warn(decision(2)) == []  # one is open, and the grade is no worse
    (shown,) = office.get("/v1/warnings").json()
    assert (shown["id"], shown["level"], shown["rules"]) == (number, "red", ["warned"])
    assert (shown["acknowledge_due"], shown["close_due"]) == ("2026-11-23", "2026-11-25")
    assert (shown["state"], shown["title"], shown["overdue"]) == ("new", "新预警", False)
    (change,) = office.get("/v1/changes").json()["changes"]
    assert (change["kind"], change["payload"]["step"]) == ("warning", "raise")


def test_what_stood_already_raises_nothing(office: Office) -> None:
    assert office.warn(decision(1, stands=True)) == []
    assert office.warn(decision(2, warn=False, grade="A")) == []
    assert office.warn(decision(3, valid_until=date(2026, 11, 19))) == []


def test_a_jump_is_seen_by_the_decision_before(office: Office) -> None:
    jumped = decision(1, warn=False, probability=0.5, previous_grade="B")
    before = pl.DataFrame({"subject_id": [FIRM], "grade": ["B"], "probability": [0.1]})
    (kept,) = office.warn(jumped, previous=before)
    assert (kept.rules, kept.level, kept.previous_probability) == (["jump"], "yellow", 0.1)


def test_many_that_raise_at_once_raise_one(office: Office) -> None:
    with ThreadPoolExecutor(4) as pool:
        raised = list(pool.map(office.warn, map(decision, range(1, 5))))
    assert sum(map(len, raised)) == 1


def test_a_warning_is_handled_step_by_step_and_its_end_is_a_label(office: Office) -> None:
    number = warned(office)
    for step in ("acknowledge", "assign", "handle", "note", "close"):
        answer = office.step(number, step, **STEPS[step])
        assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["state"], told["outcome"], told["closed_on"]) == (
        "closed",
        "confirmed",
        "2026-11-20",
    )
    assert [one["step"] for one in told["steps"]] == [
        *("raise", "acknowledge", "assign", "handle", "note", "close")
    ]
    (label,) = office.get("/v1/warnings/feedback", scenario="trial").json()
    assert (label["confirmed"], label["warning_id"], label["subject_id"]) == (True, number, FIRM)
    with office.service.ledger.begin() as connection:
        entries = [one["action"] for one in audit.page(connection)]
        told_of = [one.payload["step"] for one in changes.read(connection, 0, limit=20)]
    assert entries[-1] == "warning.close"
    assert told_of[-1] == "close"


def test_a_closed_warning_is_quiet_for_the_cool_down_and_may_be_reopened(office: Office) -> None:
    number = warned(office)
    office.step(number, "acknowledge")
    office.step(number, "close", outcome="false_alarm")
    assert office.warn(decision(2)) == []
    office.clock.on(TODAY + timedelta(days=3))
    again = office.step(number, "reopen", note="复查").json()
    assert (again["state"], again["closed_on"], again["outcome"]) == ("reopened", None, None)
    assert again["acknowledge_due"] == "2026-11-24"
    (label,) = office.get("/v1/warnings/feedback").json()
    assert label["confirmed"] is False


@pytest.mark.parametrize("outcome", [None, "no_idea"])
def test_nothing_is_closed_without_an_outcome(office: Office, outcome: str | None) -> None:
    number = warned(office)
    office.step(number, "acknowledge")
    answer = office.step(number, "close", outcome=outcome)
    assert answer.status_code == 422
    assert "confirmed" in answer.json()["detail"]
    assert office.get(f"/v1/warnings/{number}").json()["state"] == "acknowledged"


def test_a_step_that_the_state_forbids_is_told_the_allowed_ones(office: Office) -> None:
    number = warned(office)
    answer = office.step(number, "close", outcome="confirmed")
    assert answer.status_code == 409
    assert (answer.json()["state"], answer.json()["allowed"]) == ("new", ["acknowledge", "assign"])


def test_of_two_officers_at_once_one_is_first_and_the_other_is_told(office: Office) -> None:
    number = warned(office)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(office.step, number, "acknowledge") for _ in range(4)]
        answers = [one.result() for one in asked]
    assert sorted(one.status_code for one in answers) == [200, 409, 409, 409]
    assert len(office.get(f"/v1/warnings/{number}").json()["steps"]) == 2


def test_a_step_after_another_officers_is_refused_where_it_was_not_seen(office: Office) -> None:
    number = warned(office)
    assert office.step(number, "assign", to="甲科", version=1).status_code == 200
    late = office.step(number, "assign", to="乙科", version=1)
    assert (late.status_code, late.json()["version"]) == (409, 2)
    assert office.get(f"/v1/warnings/{number}").json()["assignee"] == "甲科"


@pytest.mark.parametrize(
    ("step", "more"),
    [("assign", {}), ("note", {}), ("acknowledge", {"to": "x"}), ("acknowledge", {"outcome": "x"})],
)
def test_a_step_says_what_it_needs_and_no_more(
    office: Office, step: str, more: dict[str, object]
) -> None:
    assert office.step(warned(office), step, **more).status_code == 422


def test_what_is_late_is_listed_by_who_is_to_hear_of_it(office: Office) -> None:
    seen, unseen = warned(office), warned(office, 2, OTHER)
    office.step(seen, "acknowledge")
    office.clock.on(date(2026, 11, 24))
    late = office.get("/v1/warnings", overdue=True).json()
    assert [one["id"] for one in late] == [unseen]
    office.clock.on(date(2026, 11, 26))
    told = office.get("/v1/warnings/escalations").json()
    assert {who: [one["id"] for one in them] for who, them in told.items()} == {
        "分管负责人": [unseen, seen]
    }


def test_beyond_the_known_calendar_a_warning_waits_for_its_dates(office: Office) -> None:
    office.clock.on(date(2040, 12, 31))
    number = warned(office)
    shown = office.get(f"/v1/warnings/{number}").json()
    assert (shown["acknowledge_due"], shown["overdue"]) == (None, False)
    with office.service.ledger.begin() as connection:
        assert date_the_undated(connection) == 0
        connection.execute(text("update warning set begun_on = '2026-11-20'"))
        assert date_the_undated(connection) == 1
    assert office.get(f"/v1/warnings/{number}").json()["close_due"] == "2026-11-25"


def test_a_region_sees_its_own_and_a_viewer_only_reads(office: Office) -> None:
    number = warned(office)
    nowhere = warned(office, 2, OTHER, region=None)
    dalian = office.as_caller(roles=[Role.INSPECTOR], regions=("2102",))
    assert office.get("/v1/warnings", dalian).json() == []
    assert office.get(f"/v1/warnings/{number}", dalian).status_code == 404
    shenyang = office.as_caller(roles=[Role.INSPECTOR], regions=("2101",))
    assert [one["id"] for one in office.get("/v1/warnings", shenyang).json()] == [number]
    assert office.get(f"/v1/warnings/{nowhere}", shenyang).status_code == 404
    viewer = office.as_caller(roles=[Role.VIEWER])
    url = f"/v1/warnings/{number}/steps"
    assert office.get(f"/v1/warnings/{number}", viewer).status_code == 200
    assert office.client.post(url, json={"step": "acknowledge"}, headers=viewer).status_code == 403
    assert office.client.post(url, json={"step": "acknowledge"}, headers=dalian).status_code == 404


def test_the_list_is_filtered_and_paged(office: Office) -> None:
    numbers = [warned(office, n, f"{n:018}") for n in range(1, 6)]
    office.step(numbers[0], "assign", to="甲科")
    first = [one["id"] for one in office.get("/v1/warnings", limit=3).json()]
    rest = [one["id"] for one in office.get("/v1/warnings", before=first[-1]).json()]
    assert first + rest == numbers[::-1]
    filters: list[dict[str, str | int | list[str]]] = [
        {"assignee": "甲科"},
        {"state": "assigned"},
        {"subject": f"{1:018}"},
    ]
    for asked in filters:
        assert [one["id"] for one in office.get("/v1/warnings", **asked).json()] == numbers[:1]
    assert office.get("/v1/warnings", scenario="other").json() == []
    assert len(office.get("/v1/warnings", level="red").json()) == 5


def test_the_ladder_proposes_and_says_what_is_missing(office: Office) -> None:
    number = warned(office)
    path = f"/v1/warnings/{number}/proposals"
    (alone,) = office.get(path).json()
    assert (alone["stage"], alone["missing"], alone["complete"]) == ("L0", ["record_ids"], False)
    with office.service.ledger.begin() as connection:
        content: dict[str, object] = {"reasons": []}
        explanations.keep(connection, {UUID(str(decision(1)["id"])): content}, at=office.clock())
    found = office.get(path, fact=["violation_found"], evidence=["site_record"]).json()
    assert [one["stage"] for one in found] == ["L2", "L0"]
    assert (found[0]["missing"], found[1]["complete"]) == (["deadline", "recheck_date"], True)
    assert office.get(path, fact=["rumour"]).status_code == 422


def test_what_was_recorded_cannot_be_changed(office: Office) -> None:
    warned(office)
    for statement in ("update warning_step set by = 'x'", "delete from feedback"):
        with pytest.raises(DBAPIError, match="append-only"), office.service.ledger.begin() as held:
            held.execute(text(statement))


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(walk=st.lists(st.sampled_from(sorted(STEPS)), max_size=8), seed=st.integers(1, 10**11))
def test_any_walk_keeps_to_the_machine_and_loses_no_step(
    office: Office, walk: list[str], seed: int
) -> None:
    office_number = office.warn(decision(seed, f"S{seed:017}"))
    if not office_number:  # the seed was drawn before
        return
    number, state, taken = office_number[0].id, "new", ["raise"]
    for step in walk:
        answer = office.step(number, step, **STEPS[step])
        if step == "note" or step in MACHINE.allowed(state):
            assert answer.status_code == 200, answer.text
            state = state if step == "note" else MACHINE.after(state, step)
            taken.append(step)
        else:
            assert answer.status_code == 409
            assert tuple(answer.json()["allowed"]) == MACHINE.allowed(state)
    told = office.get(f"/v1/warnings/{number}").json()
    assert (told["state"], [one["step"] for one in told["steps"]]) == (state, taken)
    assert [one["version"] for one in told["steps"]] == list(range(1, len(taken) + 1))
