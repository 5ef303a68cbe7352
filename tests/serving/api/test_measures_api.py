from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from httpx2 import Response

from serving.auth.roles import Role
from serving.ledger import audit
from tests.serving.bureau import Headers, Office
from tests.serving.posts import FIRM, post

ROW = {
    "measure": "consumption_limit",
    "trigger": "listing_debtor",
    "authority": "人民法院",
    "basis": "法释〔2017〕7号",
}
PATH = f"/v1/subjects/{FIRM}/measures"


@pytest.fixture
def chief(office: Office) -> Headers:
    return office.as_caller(roles=[Role.PUBLISHER])


def listed(office: Office, kind: str = "debtor", *, subject_type: str | None = "企业") -> str:
    """Post the firm's register and its entry on a list; return the entry's record."""
    if subject_type is not None:
        row = {
            "subject_id": FIRM,
            "name": "某公司",
            "subject_type": subject_type,
            "region": "210102",
        }
        made = post(office.client, office.manager, row, key="subject", table="subject")
        assert made.json()["rows"][0]["status"] == "accepted", made.text
    entry: dict[str, Any] = {
        "subject_id": FIRM,
        "kind": kind,
        "document_number": f"（2026）{kind}1号",
        "authority": "沈阳市市场监督管理局",
        "happened_on": "2026-06-05",
        "region": "210102",
    }
    made = post(office.client, office.manager, entry, key=f"l-{kind}", table="listing")
    (told,) = made.json()["rows"]
    assert told["status"] == "accepted", told
    return str(told["record_id"])


def propose(office: Office, record: str, **changed: str) -> Response:
    body = {**ROW, "table": "listing", "record_id": record, **changed}
    return office.client.post(PATH, json=body, headers=office.manager)


def act(office: Office, number: int, headers: Headers, name: str, **more: str) -> Response:
    path = f"/v1/measures/{number}/acts"
    return office.client.post(path, json={"act": name, **more}, headers=headers)


def test_the_list_is_asked_by_day_fact_and_kind_of_subject(office: Office) -> None:
    every = {one["id"] for one in office.get("/v1/measures").json()}
    persons = office.get("/v1/measures", trigger="listing_debtor", subject_kind="person").json()
    assert [one["id"] for one in persons] == ["consumption_limit"]
    before = {one["id"] for one in office.get("/v1/measures", on="2019-01-01").json()}
    assert before < every
    assert "fund_limit" not in before


def test_a_measure_rests_on_a_record_and_is_confirmed_by_another(
    office: Office, chief: Headers
) -> None:
    made = propose(office, listed(office))
    assert made.status_code == 201, made.text
    told = made.json()
    assert (told["state"], told["subject_kind"], told["allowed"]) == (
        *("proposed", "enterprise"),
        ["confirm", "reject"],
    )
    own = act(office, told["id"], office.manager, "confirm")
    assert (own.status_code, own.json()["type"]) == (403, "/problems/second-person")
    again = propose(office, told["record_id"])
    assert (again.status_code, again.json()["measure"]) == (409, told["id"])
    assert act(office, told["id"], chief, "confirm").json()["state"] == "in_force"
    wrong = act(office, told["id"], chief, "reject", reason="x")
    assert (wrong.status_code, wrong.json()["allowed"]) == (409, ["lift"])
    assert act(office, told["id"], chief, "lift").status_code == 422
    lifted = act(office, told["id"], chief, "lift", reason="已履行").json()
    assert (lifted["state"], lifted["why"]) == ("lifted", "已履行")
    with office.service.ledger.begin() as connection:
        assert audit.page(connection)[-1]["action"] == "measure.lift"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"trigger": "risk_score"}, "score-fires-nothing"),
        ({"trigger": "grade_d"}, "score-fires-nothing"),
        ({"trigger": "model_warning"}, "score-fires-nothing"),
        ({"trigger": "rumour"}, "no-trigger"),
        ({"trigger": "listing_safety"}, "not-the-fact"),
        ({"measure": "exile"}, "no-row"),
        ({"measure": "fund_limit", "authority": "财政部门"}, "no-row"),
        ({"authority": "市场监督管理局"}, "no-row"),
        ({"basis": "本单位会议纪要"}, "no-row"),
    ],
)
def test_without_its_row_no_measure_fires(
    office: Office, changed: dict[str, str], problem: str
) -> None:
    answer = propose(office, listed(office), **changed)
    assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{problem}")
    assert office.get(PATH).json() == []


@pytest.mark.parametrize("subject_type", ["个体工商户", "机关", None])
def test_a_measure_is_for_its_kind_of_subject(office: Office, subject_type: str | None) -> None:
    answer = propose(office, listed(office, subject_type=subject_type))
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/no-row")


def test_a_record_of_nobody_or_of_elsewhere_is_none(office: Office) -> None:
    assert propose(office, "nothing").status_code == 404
    number = propose(office, listed(office)).json()["id"]
    dalian = office.as_caller(roles=[Role.INSPECTOR], regions=("2102",))
    assert office.get(PATH, dalian).json() == []
    assert act(office, number, dalian, "confirm").status_code == 404


def test_it_is_lifted_when_its_record_is_annulled_and_cannot_be_proposed_again(
    office: Office, chief: Headers
) -> None:
    record = listed(office)
    number = propose(office, record).json()["id"]
    act(office, number, chief, "confirm")
    body = {"table": "listing", "subject_id": FIRM, "record_id": record, "act": "annul"}
    done = office.client.post("/v1/repairs", json=body, headers=office.manager)
    assert done.status_code == 201, done.text
    (told,) = office.get(PATH).json()
    assert (told["state"], told["why"], told["allowed"]) == ("lifted", "所依据的记录已撤销", [])
    assert act(office, number, chief, "lift", reason="x").status_code == 409
    assert propose(office, record).json()["type"] == "/problems/does-not-count"


def test_it_is_lifted_when_its_record_expires(office: Office, chief: Headers) -> None:
    number = propose(office, listed(office)).json()["id"]
    act(office, number, chief, "confirm")
    office.clock.on(date(2028, 6, 4))
    assert office.get(PATH).json()[0]["state"] == "in_force"
    office.clock.on(date(2028, 6, 5))
    (told,) = office.get(PATH).json()
    assert (told["state"], told["why"]) == ("lifted", "所依据的记录公示期满")
