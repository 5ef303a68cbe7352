"""What an attacker tries on the routes, and what must not come of it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from datetime import date
from itertools import count
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from models.logs import configure, logger
from serving.app import create_app
from serving.auth import tokens
from serving.auth.roles import Role
from serving.ledger import inbox
from serving.service import Service
from serving.settings import ServeSettings
from tests.serving.bureau import Headers, Office
from tests.serving.posts import FIRM, OTHER, penalty, post

ELSEWHERE = "210202"
_keys = count()


def registered(**columns: object) -> dict[str, object]:
    row = {"subject_id": FIRM, "name": "某公司", "authority": "沈阳市市场监督管理局"}
    return {**row, "happened_on": "2020-01-05", "region": "210102", **columns}


def narrow(office: Office, *regions: str, departments: tuple[str, ...] = ()) -> Headers:
    roles = [Role.PARTNER]
    return office.as_caller(roles=roles, regions=regions or ("",), departments=departments)


def kept(office: Office, headers: Headers, *rows: dict[str, object], **more: str) -> int:
    """Post rows; return the status of the answer, having seen that it is whole."""
    table, source = more.get("table", "penalty"), more.get("source", "")
    key = f"a-{next(_keys)}"
    answer = post(office.client, headers, *rows, key=key, table=table, source=source)
    if answer.status_code == 200:
        assert answer.json()["accepted"] == len(rows), answer.text
    return answer.status_code


@pytest.mark.parametrize("compacted", [False, True])
def test_nobody_registers_a_subject_of_elsewhere_as_their_own(
    office: Office, compacted: bool
) -> None:
    assert kept(office, office.manager, registered(), table="subject") == 200
    if compacted:
        from serving.jobs.compact import compact

        compact(office.service)
    thief = narrow(office, "2102")
    stolen = registered(region=ELSEWHERE, happened_on="2026-01-01", authority="大连市局")
    assert kept(office, thief, stolen, table="subject") == 403
    assert kept(office, thief, {**stolen, "source_id": "1"}, table="subject", source="own") == 403
    reader = office.as_caller(roles=[Role.DATA_MANAGER], regions=("2102",))
    assert office.get(f"/v1/subjects/{FIRM}/report", reader).status_code == 404
    # Whose it is moves it on, and a record from elsewhere is still taken.
    assert kept(office, thief, penalty(7, region=ELSEWHERE)) == 200
    assert office.get(f"/v1/subjects/{FIRM}/report", reader).status_code == 404
    assert kept(office, narrow(office, "21"), stolen, table="subject") == 200


def test_a_newer_record_does_not_take_an_unregistered_subject_along(office: Office) -> None:
    office.record()
    thief = narrow(office, "2102")
    assert kept(office, thief, penalty(9, region=ELSEWHERE, happened_on="2026-11-01")) == 403
    assert kept(office, thief, penalty(9, region=ELSEWHERE, happened_on="2026-01-01")) == 200
    new = penalty(9, region=ELSEWHERE, subject_id="912101020000000007")
    assert kept(office, thief, new) == 200


def test_a_record_of_another_scope_is_not_corrected_by_one_that_says_it_is_of_the_own(
    office: Office,
) -> None:
    ended = {"void_from": "2026-06-06", "void_reason": "annulled"}
    assert kept(office, office.manager, penalty(1, source_id="1"), source="city") == 200
    own = penalty(1, source_id="1", region=ELSEWHERE, **ended)
    assert kept(office, narrow(office, "2102"), own, source="city") == 403
    with office.service.ledger.begin() as connection:
        (frame,) = inbox.pending(connection, [FIRM]).values()
    assert frame.select("region", "void_from").rows() == [("210102", None)]


def test_a_record_of_another_department_is_as_one_that_is_not_there(office: Office) -> None:
    record = office.record()
    case = office.apply(record).json()["id"]
    body = {"table": "penalty", "subject_id": FIRM, "record_id": record}
    objection = {**body, "objector": FIRM, "ground": "有误"}
    number = office.client.post("/v1/objections", json=objection, headers=office.manager).json()
    other = office.as_caller(roles=[Role.DATA_MANAGER], departments=("沈阳市生态环境局",))
    records = f"/v1/subjects/{FIRM}/records/penalty/{record}"
    for path in (f"{records}/repair", f"{records}/letters", f"/v1/repairs/{case}/proof"):
        assert office.get(path, other).status_code == 404
        assert office.get(path).status_code == 200
    for path, asked in (
        ("/v1/repairs", {**body, "act": "annul"}),
        (f"/v1/repairs/{case}/acts", {"act": "withdraw"}),
        ("/v1/objections", objection),
        (f"/v1/objections/{number['id']}/answer", {"outcome": "rejected", "answer": "无误"}),
    ):
        assert office.client.post(path, json=asked, headers=other).status_code == 404


@pytest.mark.parametrize(
    ("roles", "regions"),
    [([Role.ANALYST], ("2102",)), ([Role.PUBLISHER], ("2102",)), ([Role.SYSTEM_ADMIN], ("",))],
)
def test_a_job_does_not_tell_whose_records_came_in(
    office: Office, roles: list[Role], regions: tuple[str, ...]
) -> None:
    office.record()
    reader = office.as_caller(roles=roles, regions=regions)
    for path in ("/v1/jobs", "/v1/jobs/1"):
        answer = office.get(path, reader)
        assert answer.status_code == 200
        assert FIRM not in answer.text
        assert FIRM in office.get(path).text


@pytest.mark.parametrize("subject", ["\x00", "a\nb", "a\x7f"])
def test_a_job_is_asked_for_subjects_that_can_be_kept(office: Office, subject: str) -> None:
    asked = {"kind": "redecide", "subjects": [subject]}
    answer = office.client.post("/v1/jobs", json=asked, headers=office.manager)
    assert answer.status_code == 422


@pytest.mark.parametrize("column", ["authority", "region", "happened_on", "document_number"])
def test_half_a_character_is_left_out_of_whatever_is_kept(office: Office, column: str) -> None:
    row = penalty(1, **{"fine_amount": "much", column: "a\ud800b"})
    told = json.dumps({"table": "penalty", "rows": [row]})  # escaped, as a caller may write it
    headers = {**office.manager, "Idempotency-Key": "half", "Content-Type": "application/json"}
    answer = office.client.post("/v1/records", content=told, headers=headers)
    assert (answer.status_code, answer.json()["quarantined"]) == (200, 1)


def test_nothing_is_put_before_what_was_done_where_the_clock_went_back(office: Office) -> None:
    record = office.record()
    case = office.apply(record).json()["id"]
    assert office.act(case, "accept").status_code == 200
    assert office.act(case, "repair").status_code == 200
    office.clock.on(date(2026, 11, 19))
    body = {"table": "penalty", "subject_id": FIRM, "record_id": record}
    objection = {**body, "objector": FIRM, "ground": "有误"}
    for answer in (
        office.act(case, "apply"),
        office.act(case, "annul"),
        office.client.post("/v1/objections", json=objection, headers=office.manager),
    ):
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/out-of-order")
    office.clock.on(date(2026, 11, 20))
    shown = office.get(f"/v1/repairs/{case}").json()
    assert [one["kind"] for one in shown["acts"]] == ["apply", "accept", "repair"]
    assert office.get("/v1/objections").json() == []


def test_a_proof_tells_nothing_of_neighbours_elsewhere(office: Office) -> None:
    record = office.record()
    office.tie()
    case = office.apply(record).json()["id"]
    assert office.act(case, "accept").status_code == 200
    assert office.act(case, "repair").status_code == 200
    near = office.as_caller(roles=[Role.DATA_MANAGER], regions=("2101",))
    (told,) = office.get(f"/v1/repairs/{case}/proof", near).json()
    assert told["subjects"] == [FIRM]
    (told,) = office.get(f"/v1/repairs/{case}/proof").json()
    assert told["subjects"] == [FIRM, OTHER]


def test_the_quarantine_keeps_no_person_in_clear(office: Office) -> None:
    row = penalty(
        happened_on="?",
        legal_representative="欧阳某某",
        violation_fact="联系电话１３９００００１２３４，证件２１０１０２１９９００１０１１２３４",
        subject_category="自然人",
        subject_name="诸葛某某",
    )
    answer = post(office.client, office.manager, row)
    with office.service.ledger.begin() as connection:
        entries = "".join(entry for _, entry in inbox.refused(connection, limit=10))
    assert "沈市监罚〔2026〕1号" in entries
    for told in (answer.text, entries):
        for secret in (
            "欧阳某某",
            "诸葛某某",
            "13900001234",
            "１３９００００",
            "210102199001011234",
        ):
            assert secret not in told


@pytest.mark.parametrize("form", ["console", "json"])
def test_an_error_in_the_log_shows_no_values(
    form: str, office: Office, request: pytest.FixtureRequest
) -> None:
    restore: Callable[[], None] = lambda: configure("auto", "info")  # noqa: E731
    request.addfinalizer(restore)
    stream, secret = io.StringIO(), "6f1c-not-for-a-log"
    configure(form, "info", stream=stream)  # type: ignore[arg-type]
    try:
        with office.service.ledger.begin() as connection:
            connection.execute(text("select cast(:told as text) / 2"), {"told": secret})
    except Exception as error:  # noqa: BLE001 - whatever it is, it is logged
        logger("test").error("unexpected", exc_info=error)
    assert "unexpected" in stream.getvalue()
    assert secret not in stream.getvalue()


def test_every_route_says_when_to_come_back_while_the_ledger_is_down(tmp_path: Path) -> None:
    nowhere = "postgresql://u:p@127.0.0.1:9/x"
    made = {"home": tmp_path, "database_url": nowhere, "database_wait": 0.2}
    service = Service.open(ServeSettings.model_validate(made))
    app = create_app(service=service)
    headers = {"Authorization": f"Bearer {tokens.make(tokens.Kind.KEY).text}"}
    paths: dict[str, dict[str, object]] = app.openapi()["paths"]
    asked = [
        (method, re.sub(r"\{\w+\}", "1", path))
        for path, methods in paths.items()
        for method, told in methods.items()
        if isinstance(told, dict) and "security" in told
    ]
    assert len(asked) > 50
    with TestClient(app, raise_server_exceptions=False) as client:
        for method, path in asked:
            answer = client.request(method, path, headers=headers)
            assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "5"), path
    service.close()
