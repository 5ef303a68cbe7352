from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from serving.app import create_app
from serving.auth.roles import Role
from serving.handling.papers import TYPES
from serving.ledger import audit
from tests.serving.bureau import Headers, Office, decision
from tests.serving.handling.paper import PAPERS
from tests.serving.posts import FIRM


def warned(office: Office) -> int:
    (kept,) = office.warn(decision(1))
    return kept.id


def put(
    office: Office,
    path: str,
    kind: str = "pdf",
    /,
    *,
    name: str | None = None,
    media: str | None = None,
    content: bytes | None = None,
    headers: Headers | None = None,
) -> Response:
    return office.client.post(
        f"{path}/attachments",
        params={"name": name or f"笔录.{kind}"},
        content=PAPERS[kind] if content is None else content,
        headers={**(headers or office.officer), "Content-Type": media or TYPES[kind]},
    )


@pytest.mark.parametrize("kind", sorted(PAPERS))
def test_a_paper_comes_out_as_it_went_in(office: Office, kind: str) -> None:
    path = f"/v1/warnings/{warned(office)}"
    made = put(office, path, kind)
    assert made.status_code == 201, made.text
    told = made.json()
    assert told["sha256"] == hashlib.sha256(PAPERS[kind]).hexdigest()
    assert office.get(f"{path}/attachments", office.officer).json() == [told]
    found = office.get(f"{path}/attachments/{told['id']}", office.officer)
    assert found.content == PAPERS[kind]
    assert found.headers["content-type"].startswith(TYPES[kind])
    assert found.headers["content-disposition"].startswith("attachment; filename*=UTF-8''%E7")
    with office.service.ledger.begin() as connection:
        actions = [one["action"] for one in audit.page(connection)]
    assert actions[-2:] == ["warning.attach", "warning.attachment.read"]


def test_a_paper_that_comes_twice_or_from_many_at_once_is_one(office: Office) -> None:
    path = f"/v1/warnings/{warned(office)}"
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(put, office, path) for _ in range(3)]
        answers = [one.result() for one in asked]
    assert {one.status_code for one in answers} == {201}
    assert len({one.json()["id"] for one in answers}) == 1


@pytest.mark.parametrize(
    ("kind", "more", "status", "problem"),
    [
        ("png", {"name": "a.pdf", "media": TYPES["pdf"]}, 422, "false-type"),
        ("pdf", {"content": b"MZ\x90\x00"}, 422, "false-type"),
        ("pdf", {"name": "a.exe"}, 415, "type-not-taken"),
        ("pdf", {"media": "application/x-msdownload"}, 415, "type-not-taken"),
        ("pdf", {"content": b""}, 422, "empty"),
        ("pdf", {"name": "../a.pdf"}, 422, "unprocessable"),
        ("pdf", {"name": "a\x00.pdf"}, 422, "unprocessable"),
        ("pdf", {"content": b"%PDF-" + b"x" * 9_000_000}, 413, "too-large"),
    ],
)
def test_a_false_paper_is_refused_with_what_was_found(
    office: Office, kind: str, more: dict[str, str], status: int, problem: str
) -> None:
    path = f"/v1/warnings/{warned(office)}"
    answer = put(office, path, kind, **more)  # pyright: ignore[reportArgumentType]
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{problem}")
    assert office.get(f"{path}/attachments").json() == []


def test_what_was_found_is_told(office: Office) -> None:
    answer = put(office, f"/v1/warnings/{warned(office)}", content=b"\x7fELF\x02\x01")
    assert answer.json()["found"] == "a program"


def test_an_office_bounds_how_many_and_which(office: Office) -> None:
    number, settings = warned(office), office.service.settings
    bounds = {"attachments_most": 1, "attachment_types": "png"}
    bound = replace(office.service, settings=settings.model_copy(update=bounds))
    with TestClient(create_app(service=bound), raise_server_exceptions=False) as client:
        path = f"/v1/warnings/{number}"
        there = replace(office, client=client)
        assert put(there, path).status_code == 415
        assert put(there, path, "png").status_code == 201
        assert put(there, path, "png", name="b.png").status_code == 409


def test_a_repair_and_an_objection_have_papers_too(office: Office) -> None:
    case = office.apply(office.record()).json()["id"]
    asked = {
        "table": "penalty",
        "subject_id": FIRM,
        "record_id": office.record(2),
        "objector": FIRM,
        "ground": "事实不符",
    }
    raised = office.client.post("/v1/objections", json=asked, headers=office.manager)
    for path in (f"/v1/repairs/{case}", f"/v1/objections/{raised.json()['id']}"):
        made = put(office, path, headers=office.manager)
        assert made.status_code == 201, made.text
        assert office.get(f"{path}/attachments/{made.json()['id']}").content == PAPERS["pdf"]
        assert put(office, path).status_code == 403  # who handles warnings writes no repairs
        elsewhere = office.as_caller(roles=[Role.DATA_MANAGER], regions=("3301",))
        assert office.get(f"{path}/attachments", elsewhere).status_code == 404


def test_who_does_not_see_it_sees_no_paper(office: Office) -> None:
    path = f"/v1/warnings/{warned(office)}"
    number = put(office, path).json()["id"]
    dalian = office.as_caller(roles=[Role.INSPECTOR], regions=("2102",))
    assert put(office, path, headers=dalian).status_code == 404
    assert office.get(f"{path}/attachments/{number}", dalian).status_code == 404
    assert office.get(f"{path}/attachments/{number + 1}").status_code == 404
    viewer = office.as_caller(roles=[Role.VIEWER])
    assert put(office, path, headers=viewer).status_code == 403
    # A paper is of one warning: another's path does not lead to it.
    other = office.warn(decision(2, "91210102MA0YXQTC7E"))[0].id
    assert office.get(f"/v1/warnings/{other}/attachments/{number}").status_code == 404


def test_a_paper_that_was_altered_is_not_given_out(office: Office) -> None:
    path = f"/v1/warnings/{warned(office)}"
    number = put(office, path).json()["id"]
    alter = "update attachment_content set content = 'x'"
    with pytest.raises(DBAPIError, match="append-only"), office.service.ledger.begin() as held:
        held.execute(text(alter))
    with office.service.ledger.begin() as connection:
        connection.execute(text("alter table attachment_content disable trigger append_only"))
        connection.execute(text(alter))
    answer = office.get(f"{path}/attachments/{number}")
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/attachment-altered")
    assert "restore a backup" in answer.json()["detail"]
