from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from serving.api.what_if import MOST
from serving.auth.roles import Role
from serving.ledger import audit
from tests.models.features.firms import AS_OF, FIRMS, penalty
from tests.serving import village
from tests.serving.portrait.easel import Easel, rich

TABLES = ("penalty", "inspection", "listing", "complaint", "licence")
SAME = (
    *("probability", "risk_score", "grade", "previous_grade", "vetoes", "valid_until", "warn"),
    *("draw", "action"),
)


def records(firm: int) -> list[tuple[str, str]]:
    return [(t, one) for t in TABLES for one in village.stored(firm, t)["record_id"].to_list()]


def only(answer: Any) -> dict[str, Any]:  # noqa: ANN401
    assert answer.status_code == 200, answer.text
    (made,) = answer.json()["scenarios"]
    return made


def test_what_would_follow_is_what_follows(easel: Easel) -> None:
    rng, differing = random.Random(4), 0
    firms = rng.sample([n for n in range(len(village.KNOWN)) if records(n)], 7)
    easel.score(*firms, as_of=str(AS_OF - timedelta(days=20)))  # whose grades may be held
    for firm in firms:
        table, record = rng.choice(records(firm))
        reason = rng.choice(["annulled", "repaired"])
        (present,) = easel.score(firm)
        supposed = only(easel.suppose(firm, void=[record], reason=reason))
        assert {n: supposed["before"][n] for n in SAME} == {n: present[n] for n in SAME}
        assert supposed["standing"]["id"] == present["id"]
        easel.void(firm, table, record, reason)
        (real,) = easel.score(firm)
        assert {n: supposed["after"][n] for n in SAME} == {n: real[n] for n in SAME}
        difference = real["probability"] - present["probability"]
        assert supposed["difference"]["probability"] == pytest.approx(difference, abs=1e-15)
        differing += difference != 0
    assert differing > 1


def test_an_added_record_gives_what_posting_it_gives(easel: Easel) -> None:
    firm, day = 1, AS_OF - timedelta(days=4)
    row = {"document_number": "新1", "happened_on": str(day), "severity": "serious"}
    supposed = only(easel.suppose(firm, add={"penalty": [row]}))
    village.post(
        easel.service,
        "penalty",
        penalty(firm, day, document_number="新1", severity="serious", known_at=village.NOON),
    )
    (real,) = easel.score(firm)
    assert {n: supposed["after"][n] for n in SAME} == {n: real[n] for n in SAME}
    assert supposed["after"]["probability"] != supposed["before"]["probability"]
    assert supposed["reasons"][0]["after_text"] != supposed["reasons"][0]["before_text"]


def test_nothing_is_stored_and_the_look_is_audited(easel: Easel) -> None:
    firm = rich()
    count = text(
        "select (select count(*) from decision) + (select count(*) from explanation) + "
        "(select count(*) from inbox) + (select count(*) from change)"
    )
    void = [record for _, record in records(firm)[:2]]
    row = {"document_number": "新1", "happened_on": "2024-12-01"}
    answer = easel.suppose(firm, void=void, add={"penalty": [row]})
    assert answer.json()["stored"] is False
    with easel.service.ledger.begin() as connection:
        assert connection.execute(count).scalar() == 0
        seen = audit.page(connection, target=f"subject:{FIRMS[firm]}")
    assert [one["action"] for one in seen] == ["what_if.read"]


def test_another_subjects_record_is_as_one_that_is_nowhere(easel: Easel) -> None:
    firm = rich()
    own, (_, other) = records(firm)[0][1], records(4)[0] if firm != 4 else records(8)[0]
    nowhere = "f" * 32
    told: list[str] = []
    for stranger in (other, nowhere):
        answer = easel.suppose(firm, void=[own, stranger])
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["field"] == "body.void.1"
        told.append(error["message"].replace(stranger, ""))
    assert told[0] == told[1]
    row = {"subject_id": FIRMS[3], "document_number": "1", "happened_on": "2024-12-01"}
    answer = easel.suppose(firm, add={"penalty": [row]})
    assert answer.json()["errors"][0]["field"] == "body.add.penalty.0.subject_id"


def test_rows_are_held_to_their_contract(easel: Easel) -> None:
    good = {"document_number": "1", "happened_on": "2024-12-01"}
    wrong: list[tuple[dict[str, object], str]] = [
        ({"penalty": [good, {"document_number": "2"}]}, "body.add.penalty.1.happened_on"),
        ({"penalty": [{**good, "happened_on": "2025-02-01"}]}, "body.add.penalty.0"),
        ({"penalty": [{**good, "fine": 3}]}, "body.add.penalty.0.fine"),
        (
            {"penalty": [{**good, "known_at": "2020-01-01T00:00:00Z"}]},
            "body.add.penalty.0.known_at",
        ),
        ({"penalties": [good]}, "body.add.penalties"),
        ({"penalty": [good, good]}, "body.add.penalty.1.record_id"),
    ]
    for add, place in wrong:
        answer = easel.suppose(0, add=add)
        assert answer.status_code == 422, add
        assert answer.json()["errors"][0]["field"].startswith(place), answer.text


def test_too_much_or_nothing_at_all_is_refused(easel: Easel) -> None:
    row = {"document_number": "1", "happened_on": "2024-12-01"}
    assert easel.suppose(0).json()["type"] == "/problems/nothing-supposed"
    many = easel.suppose(0, add={"penalty": [row] * (MOST + 1)})
    assert many.json()["type"] == "/problems/too-many"
    assert easel.suppose(0, void=["a"] * (MOST + 1)).status_code == 422
    assert easel.suppose(0, void=[records(0)[0][1]], as_of="2025-01-02").status_code == 422
    assert easel.suppose(0, void=["a"], scenarios=["nowhere"]).status_code == 404


def test_a_scenario_can_be_named_and_needs_the_right_to_score(easel: Easel) -> None:
    firm = rich()
    void = [records(firm)[0][1]]
    assert only(easel.suppose(firm, void=void, scenarios=["town"]))["scenario"] == "town"
    viewer = easel.as_caller(roles=[Role.VIEWER])
    assert easel.suppose(firm, viewer, void=void).status_code == 403


def test_who_would_leave_the_cohort_has_no_decision_then(easel: Easel) -> None:
    row = {**village.stored(2, "subject").row(0, named=True), "closed_on": "2024-12-31"}
    posted = {n: v for n, v in row.items() if v is not None and n in {"name", "closed_on"}}
    made = only(easel.suppose(2, add={"subject": [{**posted, "happened_on": "2018-01-01"}]}))
    assert made["before"] is not None
    assert (made["after"], made["difference"]) == (None, None)
