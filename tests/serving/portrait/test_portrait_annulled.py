from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from httpx2 import Response

from serving.auth.roles import Role
from serving.ledger import changes, decisions, draws, jobs, reviews
from serving.ledger.changes import Change
from serving.runtime.scoring import redecide
from tests.models.features.firms import AS_OF, FIRMS, penalty
from tests.serving import village
from tests.serving.portrait.easel import Easel, rich


def review(easel: Easel, decision: str, **said: object) -> Response:
    """Let a person who has nothing to do with it conclude a review of a decision."""
    asked = {"asker": "subject", "ground": "不认可自动化判定"}
    writer = easel.as_caller(roles=[Role.DATA_MANAGER])
    made = easel.client.post(f"/v1/decisions/{decision}/reviews", json=asked, headers=writer)
    assert made.status_code == 201, made.text
    path = f"/v1/reviews/{made.json()['id']}/steps"
    headers = easel.as_caller(roles=[Role.INSPECTOR])
    who = f"key:{headers['Authorization'].split('_')[1]}"
    given = easel.client.post(path, json={"step": "assign", "to": who}, headers=writer)
    assert given.status_code == 200, given.text
    body = {"step": "decide", "reason": "张冠李戴", **said}
    return easel.client.post(path, json=body, headers=headers)


def annul(easel: Easel, decision: str) -> None:
    answer = review(easel, decision, outcome="annulled")
    assert answer.status_code == 200, answer.text


def told(easel: Easel) -> list[Change]:
    with easel.service.ledger.begin() as connection:
        return changes.read(connection, 0, limit=100)


def graded(easel: Easel) -> dict[str, str]:
    with easel.service.ledger.begin() as connection:
        found = draws.graded(connection, "town", easel.service.today())
    return dict(found.select("subject_id", "grade").iter_rows())


def history(easel: Easel, firm: int) -> list[dict[str, Any]]:
    path = f"/v1/subjects/{FIRMS[firm]}/decisions"
    answer = easel.client.get(path, params={"scenario": "town"}, headers=easel.inspector)
    return answer.json()["decisions"]


def before(easel: Easel, firm: int) -> pl.DataFrame:
    """Return what a decision of the next day would take for the one before."""
    on = easel.service.today() + timedelta(days=1)
    with easel.service.ledger.begin() as connection:
        return decisions.earlier(connection, "town", [FIRMS[firm]], on)


def test_an_annulled_decision_stands_nowhere(easel: Easel) -> None:
    firm = rich()
    (old,) = easel.score(firm)
    assert graded(easel)[FIRMS[firm]] == old["grade"]
    annul(easel, old["id"])
    drawn = easel.draw(firm, sections="grades,reasons,peers,dimensions")
    (point,) = drawn["grades"]["scenarios"][0]["points"]
    assert (point["id"], point["valid"]) == (old["id"], False)
    assert (point["reviewed"]["outcome"], point["reviewed"]["reason"]) == ("annulled", "张冠李戴")
    assert drawn["reasons"]["scenarios"] == drawn["peers"]["scenarios"] == []
    assert [one["scenario"] for one in drawn["dimensions"]["scenarios"]] == [None]
    assert [one["reviewed"]["outcome"] for one in history(easel, firm)] == ["annulled"]
    assert FIRMS[firm] not in graded(easel)
    assert before(easel, firm).is_empty()
    (record,) = village.stored(firm, "penalty")["record_id"].head(1)
    supposed = easel.suppose(firm, void=[record]).json()["scenarios"][0]
    assert supposed["standing"] is supposed["before"]["previous_grade"] is None


def test_peers_are_compared_with_what_stands(easel: Easel) -> None:
    from tests.serving.portrait.test_portrait_standing import group

    firm = rich()
    mine = [n for n in range(len(village.KNOWN)) if group(n) == group(firm)]
    made = easel.score(*mine, explain=False)
    size = easel.draw(firm, sections="peers")["peers"]["scenarios"][0]["size"]
    other = next(one for one in made if one["subject_id"] != FIRMS[firm])
    annul(easel, other["id"])
    assert easel.draw(firm, sections="peers")["peers"]["scenarios"][0]["size"] == size - 1


def test_the_subject_is_decided_anew_though_nothing_else_changed(easel: Easel) -> None:
    firm = rich()
    (old,) = easel.score(firm)
    annul(easel, old["id"])
    with easel.service.ledger.begin() as connection:
        (job,) = jobs.listing(connection, limit=10)
    assert (job.kind, job.payload) == ("redecide", {"subjects": [FIRMS[firm]]})
    assert redecide(easel.service, [FIRMS[firm]]) == 1
    path = f"/v1/subjects/{FIRMS[firm]}/decision"
    now = easel.client.get(path, params={"scenario": "town"}, headers=easel.inspector).json()
    assert now["id"] != old["id"]
    assert (now["grade"], now["superseded_by"]) == (old["grade"], None)
    assert [one.get("reviewed", {}).get("outcome") for one in history(easel, firm)] == [
        None,
        "annulled",
    ]
    assert [one.payload.get("outcome") for one in told(easel) if one.kind == "decision"][-2:] == [
        "annulled",
        None,
    ]
    again = easel.score(firm)  # what stands now does so for good
    assert again[0]["id"] == now["id"]
    replayed = easel.client.get(
        f"/v1/decisions/{now['id']}", params={"replay": True}, headers=easel.inspector
    )
    assert replayed.json()["replay"]["identical"] is True


def test_the_grade_before_is_the_one_that_stands(easel: Easel) -> None:
    firm = rich()
    (first,) = easel.score(firm)
    easel.clock.on(AS_OF + timedelta(days=1))
    village.post(easel.service, "penalty", penalty(firm, AS_OF, document_number="新"))
    (second,) = easel.score(firm)
    annul(easel, second["id"])
    assert before(easel, firm)["id"].to_list() == [first["id"]]
    easel.clock.on(AS_OF + timedelta(days=2))
    (third,) = easel.score(firm)
    with easel.service.ledger.begin() as connection:
        stored = decisions.find(connection, UUID(third["id"]))
    assert stored is not None
    assert str(stored.previous) == first["id"]


def test_a_changed_grade_is_the_one_in_force(easel: Easel) -> None:
    firm = rich()
    (old,) = easel.score(firm)
    live = easel.service.runtime.champion("town")
    assert live is not None
    other = next(one for one in live.scenario.grades if one != old["grade"])
    for grade, why in (("Z", "no-such-grade"), (old["grade"], "no-change")):
        refused = review(easel, old["id"], outcome="changed", grade=grade)
        assert (refused.status_code, refused.json()["type"]) == (422, f"/problems/{why}")
        with easel.service.ledger.begin() as connection:
            (waiting,) = reviews.listing(connection, regions=("",), waiting=True)
        easel.client.post(
            f"/v1/reviews/{waiting.id}/steps",
            json={"step": "withdraw", "reason": "x"},
            headers=easel.as_caller(roles=[Role.DATA_MANAGER]),
        )
    assert review(easel, old["id"], outcome="changed", grade=other).status_code == 200
    assert graded(easel)[FIRMS[firm]] == other
    assert before(easel, firm)["grade"].to_list() == [other]
    assert review(easel, old["id"], outcome="upheld").status_code == 200  # as it was changed
    point = easel.draw(firm, sections="grades")["grades"]["scenarios"][0]["points"][0]
    assert (point["valid"], point["reviewed"]["grade"]) == (True, other)
    assert graded(easel)[FIRMS[firm]] == other
    easel.clock.on(AS_OF + timedelta(days=1))
    (new,) = easel.score(firm)
    assert new["previous_grade"] == other
    replayed = easel.client.get(
        f"/v1/decisions/{new['id']}", params={"replay": True}, headers=easel.inspector
    )
    assert replayed.json()["replay"]["identical"] is True, replayed.text


@pytest.mark.parametrize("on", [AS_OF, AS_OF + timedelta(days=2)])
def test_a_look_back_does_not_take_it_for_current_either(easel: Easel, on: object) -> None:
    firm = rich()
    (old,) = easel.score(firm)
    easel.clock.on(AS_OF + timedelta(days=3))
    annul(easel, old["id"])
    drawn = easel.draw(firm, sections="grades,reasons", as_of=str(on))
    assert drawn["reasons"]["scenarios"] == []
    assert drawn["grades"]["scenarios"][0]["points"][0]["valid"] is False
