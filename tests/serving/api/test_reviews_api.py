from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from uuid import UUID

import polars as pl
import pytest
from httpx2 import Response
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from serving.auth.roles import Role
from serving.ledger import audit, changes, decisions, feedback
from serving.ledger.decisions import Basis
from tests.serving.bureau import TODAY, Headers, Office, decision, scenario
from tests.serving.posts import FIRM


def decided(office: Office, number: int = 1) -> str:
    """Store a decision, let it raise its warning, and return its id."""
    row = decision(number)
    with office.service.ledger.begin() as connection:
        declared, at = scenario(), office.clock()
        decisions.keep_declaration(
            connection, declared.digest, declared.canonical, scenario="trial", at=at
        )
        basis = Basis("trial", declared.digest, "b", {}, None)
        stored = {
            "id": UUID(str(row["id"])),
            "scenario": "trial",
            "inbox_mark": 0,
            "risk_score": 600.0,
            "draw": 0.1,
            "action": None,
            "inputs_digest": bytes(32),
            "made_at": office.clock(),
            "basis": decisions.keep_basis(connection, basis, at=office.clock()),
            **{k: row[k] for k in ("subject_id", "as_of", "region", "probability", "grade")},
            **{k: row[k] for k in ("previous_grade", "vetoes", "valid_until", "warn")},
            "previous": None,
            "replaces": None,
        }
        texts = dict.fromkeys(("previous", "replaces"), pl.Object)
        frame = pl.DataFrame(
            [stored], schema_overrides={**texts, "id": pl.Object, "basis": pl.Object}
        )
        decisions.store(connection, frame)
    office.warn(row)
    return str(row["id"])


def ask(office: Office, number: str, headers: Headers | None = None) -> Response:
    body = {"asker": "subject", "ground": "不认可自动化判定"}
    path = f"/v1/decisions/{number}/reviews"
    return office.client.post(path, json=body, headers=headers or office.manager)


def step(office: Office, review: int, headers: Headers, step: str, **more: object) -> Response:
    path = f"/v1/reviews/{review}/steps"
    return office.client.post(path, json={"step": step, **more}, headers=headers)


def person(office: Office, role: Role = Role.INSPECTOR) -> tuple[Headers, str]:
    """Return the headers of another officer and their id, as the audit knows them."""
    headers = office.as_caller(roles=[role])
    key = headers["Authorization"].split("_")[1]
    return headers, f"key:{key}"


def assigned(office: Office, number: str) -> tuple[int, Headers]:
    review = ask(office, number).json()["id"]
    headers, who = person(office)
    answer = step(office, review, office.manager, "assign", to=who)
    assert answer.status_code == 200, answer.text
    return review, headers


def test_a_review_is_asked_for_given_to_another_and_concluded(office: Office) -> None:
    number = decided(office)
    asked = ask(office, number)
    assert asked.status_code == 201, asked.text
    told = asked.json()
    assert (told["state"], told["due_on"], told["allowed"]) == (
        "asked",
        "2026-11-27",
        ["assign", "withdraw"],
    )
    again = ask(office, number)
    assert (again.status_code, again.json()["review"]) == (409, told["id"])
    headers, who = person(office)
    assert step(office, told["id"], office.manager, "assign", to=who).status_code == 200
    ended = step(office, told["id"], headers, "decide", outcome="upheld", reason="依据充分").json()
    assert (ended["state"], ended["outcome"], ended["allowed"]) == ("decided", "upheld", [])
    assert [one["step"] for one in ended["acts"]] == ["ask", "assign", "decide"]
    assert office.get(f"/v1/reviews/{told['id']}").json() == ended
    assert office.get("/v1/reviews", waiting=True).json() == []
    with office.service.ledger.begin() as connection:
        assert next(iter(audit.page(connection)[-1:]))["action"] == "review.decide"
    assert ask(office, number).status_code == 201  # what was upheld may be asked for again


def test_who_handled_it_or_registered_it_does_not_review_it(office: Office) -> None:
    number = decided(office)
    warning = office.get("/v1/warnings").json()[0]["id"]
    handler, who = person(office)
    path = f"/v1/warnings/{warning}/steps"
    office.client.post(path, json={"step": "acknowledge"}, headers=handler)
    registrar, registered = person(office, Role.DATA_MANAGER)
    review = ask(office, number, registrar).json()["id"]
    for one in (who, registered):
        refused = step(office, review, office.manager, "assign", to=one)
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/second-person")
    assert step(office, review, office.manager, "assign", to="nobody").status_code == 422
    third, third_id = person(office)
    assert step(office, review, office.manager, "assign", to=third_id).status_code == 200
    theirs = step(office, review, handler, "decide", outcome="upheld", reason="x")
    assert theirs.status_code == 403
    # Whoever acts on the warning meanwhile is a handler too.
    office.client.post(path, json={"step": "note", "note": "看过"}, headers=third)
    assert step(office, review, third, "decide", outcome="upheld", reason="x").status_code == 403


def test_an_annulled_decision_is_current_no_more_and_its_warning_is_withdrawn(
    office: Office,
) -> None:
    number = decided(office)
    warning = office.get("/v1/warnings").json()[0]["id"]
    office.step(warning, "acknowledge")
    office.step(warning, "close", outcome="confirmed")
    review, headers = assigned(office, number)
    done = step(office, review, headers, "decide", outcome="annulled", reason="张冠李戴")
    assert done.status_code == 200, done.text
    told = office.get(f"/v1/warnings/{warning}").json()
    assert (told["state"], told["outcome"], told["allowed"]) == ("closed", "withdrawn", [])
    assert [one["step"] for one in told["steps"]][-2:] == ["close", "withdraw"]
    assert office.step(warning, "reopen", note="x").json()["allowed"] == []
    with office.service.ledger.begin() as connection:
        assert feedback.frame(connection, "trial").is_empty()
        last = changes.read(connection, 0, limit=20)[-1]
    assert (last.payload["step"], last.payload["outcome"]) == ("withdraw", "withdrawn")
    (label,) = office.get("/v1/warnings/feedback").json()
    assert (label["confirmed"], label["annulled"]) == (True, True)
    current = office.get(f"/v1/subjects/{FIRM}/decision", scenario="trial")
    assert (current.status_code, current.json()["type"]) == (404, "/problems/annulled")
    stored = office.get(f"/v1/decisions/{number}")
    assert (stored.status_code, stored.json()["reviewed"]["outcome"]) == (200, "annulled")
    assert ask(office, number).status_code == 409


def test_a_changed_decision_says_its_grade(office: Office) -> None:
    number = decided(office)
    review, headers = assigned(office, number)
    lacking = step(office, review, headers, "decide", outcome="changed", reason="x")
    assert lacking.status_code == 422
    step(office, review, headers, "decide", outcome="changed", reason="情节轻微", grade="A")
    told = office.get(f"/v1/subjects/{FIRM}/decision", scenario="trial").json()
    assert (told["grade"], told["reviewed"]["grade"]) == ("B", "A")


def test_of_two_at_once_one_is_first_and_what_the_state_forbids_is_told(office: Office) -> None:
    number = decided(office)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, office, number) for _ in range(3)]
        answers = [one.result() for one in asked]
    assert sorted(one.status_code for one in answers) == [201, 409, 409]
    review = office.get("/v1/reviews").json()[0]["id"]
    early = step(office, review, office.manager, "decide", outcome="upheld", reason="x")
    assert (early.status_code, early.json()["allowed"]) == (409, ["assign", "withdraw"])
    late = step(office, review, office.manager, "withdraw", reason="x", version=2)
    assert (late.status_code, late.json()["version"]) == (409, 1)
    assert step(office, review, office.manager, "withdraw", reason="x").status_code == 200
    assert step(office, review, office.manager, "withdraw", reason="x").json()["allowed"] == []


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("assign", {}),
        ("withdraw", {}),
        ("withdraw", {"reason": "x", "outcome": "upheld"}),
        ("assign", {"to": "x", "grade": "A"}),
    ],
)
def test_a_step_says_what_it_needs_and_no_more(
    office: Office, name: str, more: dict[str, object]
) -> None:
    review = ask(office, decided(office)).json()["id"]
    assert step(office, review, office.manager, name, **more).status_code == 422


def test_a_region_sees_its_own_and_its_clock(office: Office) -> None:
    number = decided(office)
    dalian = office.as_caller(roles=[Role.INSPECTOR], regions=("2102",))
    assert ask(office, number, dalian).status_code == 404
    review = ask(office, number).json()["id"]
    assert office.get("/v1/reviews", dalian).json() == []
    assert office.get(f"/v1/reviews/{review}", dalian).status_code == 404
    office.clock.on(date(2026, 11, 30))
    assert office.get(f"/v1/reviews/{review}").json()["overdue"] is True
    office.clock.on(TODAY)


def test_a_review_cannot_be_rewritten(office: Office) -> None:
    ask(office, decided(office))
    for statement in ("update review set ground = 'x'", "delete from review_act"):
        with pytest.raises(DBAPIError, match="append-only"), office.service.ledger.begin() as held:
            held.execute(text(statement))
