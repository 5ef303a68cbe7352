from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import text as sql

from serving.auth.roles import Role
from serving.ledger.audit import verify
from tests.serving import text_reader
from tests.serving.bureau import Headers, Office

HEPING, DALIAN = "210102", "210202"
TEXT = "在某超市买到过期牛奶，联系人张三，电话13904123456"


@pytest.fixture
def desk(office: Office) -> Office:
    text_reader.place(office.service)
    return office


def send(
    office: Office, source_id: str = "1", headers: Headers | None = None, /, **changed: object
) -> Response:
    body = {"source": "12345", "source_id": source_id, "region": HEPING, "text": TEXT, **changed}
    return office.client.post("/v1/dispatches", json=body, headers=headers or office.officer)


def sent(office: Office, source_id: str = "1", /, **changed: object) -> dict[str, Any]:
    answer = send(office, source_id, **changed)
    assert answer.status_code == 201, answer.text
    return answer.json()


def step(
    office: Office, number: int, name: str, headers: Headers | None = None, /, **body: object
) -> Response:
    path = f"/v1/dispatches/{number}/{name}"
    return office.client.post(path, json=body, headers=headers or office.officer)


def ids(answer: Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()]


def test_a_plain_complaint_goes_to_its_department_at_once(desk: Office) -> None:
    found = sent(desk)
    assert (found["state"], found["department"], found["office"]) == (
        "dispatched",
        "market",
        HEPING,
    )
    assert (found["leaf"], found["top"][0]["title"]) == ("F04", "超过保质期、虚假日期")
    assert found["office_title"] == "辽宁省沈阳市和平区"
    # A Friday: one working day is Monday, seven are the Tuesday after the next.
    assert (found["recall_until"], found["accept_due"]) == ("2026-11-23", "2026-12-01")
    assert found["reasons"] == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("附近有人说话很大声", "unsure"),
        ("销售病死猪肉", "two_departments"),
        ("吃了过期牛奶后食物中毒", "public_safety"),
        ("123。", "nothing_to_read"),
    ],
)
def test_what_is_not_plain_waits_for_a_person(desk: Office, text: str, why: str) -> None:
    found = sent(desk, text=text)
    assert (found["state"], found["department"], found["recall_until"]) == ("desk", None, None)
    assert why in [one["kind"] for one in found["reasons"]]
    assert found["accept_due"] == "2026-12-01"


def test_without_a_model_no_complaint_is_lost(office: Office) -> None:
    found = sent(office)
    assert (found["state"], found["model"]) == ("desk", None)
    assert [one["kind"] for one in found["reasons"]] == ["no_model"]


def test_sending_again_dispatches_once(desk: Office) -> None:
    first = sent(desk)
    again = send(desk)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert again.json() == first
    other = send(desk, text="另一件事，过期")
    assert (other.status_code, other.json()["type"]) == (409, "/problems/source-id-reused")
    assert "张三" not in other.text
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, [desk] * 4, ["2"] * 4))
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 201]
    assert len({one.json()["id"] for one in answers}) == 1


def test_a_dispatch_is_recalled_within_a_working_day_and_not_after(desk: Office) -> None:
    number = sent(desk)["id"]
    desk.clock.on(date(2026, 11, 23))  # Monday
    found = step(desk, number, "recall", note="不是食品问题，找张三13904123456").json()
    assert (found["state"], found["department"], found["office"]) == ("desk", None, None)
    assert found["reasons"][-1]["kind"] == "recalled"
    assert "13904123456" not in found["reasons"][-1]["text"]
    late = sent(desk, "2")["id"]
    desk.clock.on(date(2026, 11, 25))
    answer = step(desk, late, "recall", note="晚了")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/recall-ended")
    assert answer.json()["recall_until"] == "2026-11-24"
    twice = step(desk, number, "recall", note="再撤")
    assert (twice.status_code, twice.json()["allowed"]) == (409, ["assign", "close"])


def test_a_person_assigns_and_the_correction_becomes_a_label(desk: Office) -> None:
    number = sent(desk, text=f"{TEXT}，中毒")["id"]
    wrong = step(desk, number, "assign", department="markt")
    assert (wrong.status_code, "market" in wrong.json()["detail"]) == (422, True)
    assert step(desk, number, "assign", department="market", leaf="Z9").status_code == 422
    found = step(desk, number, "assign", department="market", leaf="F06").json()
    assert (found["state"], found["department"], found["office"]) == ("assigned", "market", HEPING)
    moved = step(desk, number, "assign", department="health", note="转卫健").json()
    assert (moved["department"], moved["accept_due"]) == ("health", None)
    (label,) = desk.get("/v1/dispatches/labels", desk.officer).json()
    assert (label["leaf"], label["department"], label["dispatch_id"]) == ("F06", "market", number)
    assert "13904123456" not in label["text"]
    assert "过期牛奶" in label["text"]
    assert desk.get("/v1/dispatches/labels", desk.officer, after=label["id"]).json() == []


def test_the_clocks_run_from_receipt_and_from_acceptance(desk: Office) -> None:
    number = sent(desk, received_on="2026-11-19")["id"]
    desk.clock.on(date(2026, 12, 1))
    late = desk.get("/v1/dispatches", desk.officer, overdue="true")
    assert ids(late) == [number]
    found = step(desk, number, "accept").json()
    assert (found["state"], found["end_due"], found["overdue"]) == (
        "accepted",
        "2027-02-03",
        False,
    )
    assert ids(desk.get("/v1/dispatches", desk.officer, overdue="true")) == []
    refused = step(desk, number, "close", outcome="not_accepted", note="晚")
    assert (refused.status_code, refused.json()["state"]) == (409, "accepted")
    done = step(desk, number, "close", outcome="settled").json()
    assert (done["state"], done["closed_on"], done["allowed"]) == ("closed", "2026-12-01", [])
    assert step(desk, number, "accept").status_code == 409


def test_refusing_a_complaint_needs_its_reason(desk: Office) -> None:
    number = sent(desk)["id"]
    assert step(desk, number, "close", outcome="not_accepted").status_code == 422
    assert step(desk, number, "close", outcome="settled").status_code == 409
    answer = step(desk, number, "close", outcome="not_accepted", note="不属于本机关职责")
    assert answer.json()["outcome"] == "not_accepted"


def test_of_two_people_at_once_one_is_first(desk: Office) -> None:
    number = sent(desk)["id"]
    assert step(desk, number, "accept", version=1).status_code == 200
    answer = step(desk, number, "close", version=1, outcome="withdrawn")
    assert (answer.status_code, answer.json()["version"]) == (409, 2)


def test_the_text_is_sealed_masked_and_shown_for_a_purpose_only(desk: Office) -> None:
    number = sent(desk)["id"]
    with desk.service.ledger.begin() as connection:
        (stored,) = connection.execute(sql("select sealed from dispatch")).scalars()
        assert "牛奶".encode() not in bytes(stored)
    path = f"/v1/dispatches/{number}"
    masked = desk.get(path, desk.officer).json()
    assert "13904123456" not in masked["text"]
    assert "过期牛奶" in masked["text"]
    shown = desk.get(path, desk.officer | {"X-Purpose": "supervision"}).json()
    assert shown["text"] == TEXT
    assert [act["step"] for act in shown["acts"]] == ["dispatch"]
    desk.service.audit.record()
    with desk.service.ledger.begin() as connection:
        told = connection.execute(sql("select action, target from audit")).all()
        assert ("personal.read", f"dispatch:{number}") in told
        assert ("dispatch.send", f"dispatch:{number}") in told
        assert verify(connection).whole


def test_another_regions_complaint_does_not_exist(desk: Office) -> None:
    number = sent(desk)["id"]
    dalian = desk.as_caller(roles=[Role.INSPECTOR], regions=("2102",))
    assert desk.get(f"/v1/dispatches/{number}", dalian).status_code == 404
    assert step(desk, number, "accept", dalian).status_code == 404
    assert ids(desk.get("/v1/dispatches", dalian)) == []
    assert send(desk, "2", dalian).status_code == 403
    reused = send(desk, "1", dalian, region=DALIAN)
    assert (reused.status_code, reused.json()["type"]) == (409, "/problems/source-id-reused")
    assert send(desk, "2", desk.as_caller(roles=[Role.VIEWER])).status_code == 403
    assert step(desk, number, "accept", desk.as_caller(roles=[Role.PARTNER])).status_code == 403


def test_an_authority_sees_the_complaints_of_its_department_alone(desk: Office) -> None:
    food, factory, waiting = (
        sent(desk, str(n), text=text)["id"]
        for n, text in enumerate(("过期", "工厂排放", "没有这样的事"))
    )
    market = desk.as_caller(roles=[Role.INSPECTOR], departments=("沈阳市市场监督管理局",))
    assert ids(desk.get("/v1/dispatches", market)) == [food]
    assert desk.get(f"/v1/dispatches/{factory}", market).status_code == 404
    assert desk.get(f"/v1/dispatches/{waiting}", market).status_code == 404
    assert ids(desk.get("/v1/dispatches", desk.officer, department="environment")) == [factory]
    assert ids(desk.get("/v1/dispatches", desk.officer, state=["desk"])) == [waiting]
    page = desk.get("/v1/dispatches", desk.officer, before=factory, limit=1)
    assert ids(page) == [food]


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"region": "999999"}, "no-such-region"),
        ({"received_on": "2026-11-21"}, "received-on"),
        ({"text": "张三" * 6000}, "too-long"),
        ({"kind": "praise"}, "invalid"),
        ({"source": "a\u0000b"}, "invalid"),
    ],
)
def test_a_complaint_that_cannot_be_one_is_refused(
    desk: Office, changed: dict[str, object], kind: str
) -> None:
    answer = send(desk, **changed)
    assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{kind}")
    assert "张三" not in answer.text


def test_acts_and_labels_cannot_be_changed(desk: Office) -> None:
    number = sent(desk)["id"]
    step(desk, number, "accept", leaf="F04")
    for table in ("dispatch_act", "dispatch_label"):
        with pytest.raises(Exception, match="append-only"), desk.service.ledger.begin() as one:
            one.execute(sql(f"delete from {table}"))  # noqa: S608 - of two constants
