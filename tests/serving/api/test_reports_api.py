from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import text

from serving.api.reports import new_code, plain_code
from serving.app import create_app
from serving.auth.roles import Role
from serving.settings import ServeSettings
from tests.serving.bureau import Office
from tests.serving.posts import FIRM

PATH = f"/v1/subjects/{FIRM}/report"


def rows(report: dict[str, list[dict[str, object]]], table: str) -> object:
    return next(one["rows"] for one in report["sections"] if one["table"] == table)


def test_a_report_is_issued_under_a_code_that_anyone_can_check(office: Office) -> None:
    office.record()
    report = office.get(PATH).json()
    assert (report["kind"], report["title"], report["records"]) == ("public", "公共信用信息报告", 1)
    assert len(rows(report, "penalty")) == 1  # pyright: ignore[reportArgumentType]
    code = report["code"]
    for typed in (code, code.lower(), code.replace("-", ""), code.replace("-", " ")):
        checked = office.client.get(f"/v1/reports/{typed}")
        assert checked.status_code == 200
        assert checked.json() == {
            name: value for name, value in report.items() if name not in {"sections", "unsorted"}
        }


def test_the_same_content_has_the_same_code_for_a_day_and_a_caller(office: Office) -> None:
    office.record()
    first = office.get(PATH).json()
    again = office.get(PATH).json()
    assert again == first
    printed = [office.get(PATH, format="pdf").content for _ in range(2)]
    assert printed[0] == printed[1]
    analyst = office.as_caller(roles=[Role.ANALYST])
    other = office.get(PATH, analyst).json()
    assert (other["digest"], other["code"] != first["code"]) == (first["digest"], True)
    office.record(2, happened_on="2026-06-06")
    assert office.get(PATH).json()["code"] != first["code"]
    office.clock.on(date(2026, 11, 23))
    assert office.get(PATH, as_of="2026-11-20").json()["code"] != first["code"]
    with office.service.ledger.begin() as connection:
        told = connection.execute(text("select action from audit where target like 'report:%'"))
        acts = sorted(told.scalars())
    assert acts == ["report.issue"] * 4 + ["report.read"] * 3


def test_a_code_that_was_never_issued_is_told_and_guessing_is_slowed(office: Office) -> None:
    codes = ("x", "0" * 16, "ABCD-ABCD-ABCD-ABCD", "%00", new_code())
    for code in codes:
        answer = office.client.get(f"/v1/reports/{code}")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/never-issued")
    tried = [office.client.get(f"/v1/reports/{new_code()}").status_code for _ in range(40)]
    assert tried[-1] == 429


def test_what_was_repaired_is_in_no_later_report(office: Office) -> None:
    record = office.record()
    case = office.apply(record).json()["id"]
    assert office.get(PATH).json()["records"] == 1
    office.act(case, "repair")
    assert office.get(PATH).json()["records"] == 0


def test_a_disputed_record_is_marked(office: Office) -> None:
    record = office.record()
    body = {"table": "penalty", "subject_id": FIRM, "record_id": record, "ground": "金额有误"}
    office.client.post("/v1/objections", json={**body, "objector": FIRM}, headers=office.manager)
    sections = {one["table"]: one["disputed"] for one in office.get(PATH).json()["sections"]}
    assert {table: rows for table, rows in sections.items() if rows} == {"penalty": [0]}


def test_of_many_requests_at_once_one_issues(office: Office) -> None:
    office.record()
    with ThreadPoolExecutor(4) as pool:
        codes = {one.json()["code"] for one in pool.map(office.get, [PATH] * 4)}
    assert len(codes) == 1


def test_a_special_report_is_of_its_domain_and_says_what_it_could_not_place(office: Office) -> None:
    food, tax = "《食品安全法》第一百二十四条", "《税收征收管理法》第六十三条"
    office.record(1, legal_basis=food)
    office.record(2, legal_basis=tax, authority="国家税务总局沈阳市税务局")
    office.record(3, violation_type="其他")
    told = {
        domain: office.get(PATH, kind="special", domain=domain).json()
        for domain in ("food", "tax", "labour")
    }
    counts = {domain: (one["records"], one["unsorted"]) for domain, one in told.items()}
    assert counts == {"food": (1, 1), "tax": (1, 1), "labour": (0, 1)}
    assert told["food"]["title"] == "专项信用报告（食品安全）"
    checked = office.client.get(f"/v1/reports/{told['food']['code']}").json()
    assert (checked["domain"], checked["title"]) == ("food", "专项信用报告（食品安全）")
    whole = office.get(PATH, kind="special").json()
    assert (whole["records"], whole["unsorted"]) == (3, None)
    wrong = office.get(PATH, kind="special", domain="fod")
    assert (wrong.status_code, "food" in wrong.json()["detail"]) == (422, True)
    assert office.get(PATH, domain="food").status_code == 422


def test_who_is_bound_to_authorities_gets_their_records_and_the_report_says_so(
    office: Office,
) -> None:
    office.record(1)
    office.record(2, authority="沈阳市税务局")
    own = office.as_caller(roles=[Role.ANALYST], departments=("沈阳市税务局",))
    found = office.get(PATH, own).json()
    assert (found["records"], found["authorities"]) == (1, ["沈阳市税务局"])
    checked = office.client.get(f"/v1/reports/{found['code']}").json()
    assert checked["authorities"] == ["沈阳市税务局"]
    assert office.get(PATH).json()["authorities"] is None


def test_the_printed_code_leads_to_the_public_address(office: Office) -> None:
    office.record()
    plain = office.get(PATH, format="pdf").content
    settings = office.service.settings.model_copy(
        update={"public_address": "https://credit.example.cn"}
    )
    with TestClient(create_app(service=replace(office.service, settings=settings))) as client:
        coded = client.get(PATH, params={"format": "pdf"}, headers=office.manager).content
    assert len(coded) > len(plain)


@pytest.mark.parametrize(
    "address", ["credit.example.cn", "ftp://credit.example.cn", "https://a.cn/?q=1", "http://"]
)
def test_a_public_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="must be an address"):
        ServeSettings.model_validate({"public_address": address})
    given = ServeSettings.model_validate({"public_address": "https://credit.example.cn/x/"})
    assert given.public_address == "https://credit.example.cn/x"


def test_a_special_report_is_of_its_period(office: Office) -> None:
    office.record(1, happened_on="2026-06-05")
    office.record(2, happened_on="2026-09-05")
    report = office.get(PATH, kind="special", **{"from": "2026-08-01"}).json()
    assert (report["title"], report["records"], report["since"]) == (
        "专项信用报告",
        1,
        "2026-08-01",
    )
    backwards = office.get(PATH, **{"from": "2026-09-01", "to": "2026-08-01"})
    assert backwards.status_code == 422
    assert office.get(PATH, to="2027-01-01").status_code == 422
    assert office.get(PATH, as_of="2027-01-01").status_code == 422


def test_a_period_before_the_data_begin_is_refused_not_shown_as_clean(office: Office) -> None:
    office.record()
    import polars as pl

    from models.records.contracts import CONTRACTS
    from serving.ledger import inbox

    with office.service.ledger.begin() as connection:
        frame = inbox.pending(connection, [FIRM])["penalty"]
    office.service.runtime.lake.merge("penalty", frame.cast(pl.Schema(CONTRACTS["penalty"].dtypes)))
    answer = office.get(PATH, kind="special", to="2026-06-04")
    assert (answer.status_code, answer.json()["data_from"]) == (422, "2026-06-05")
    shown = office.get(PATH, kind="special", to="2026-06-05", **{"from": "2020-01-01"})
    assert (shown.status_code, shown.json()["data_from"]) == (200, "2026-06-05")
    assert office.get(PATH, as_of="2026-06-04").json()["type"] == "/problems/before-the-data"


def test_a_report_is_printed_with_its_code(office: Office) -> None:
    office.record()
    answer = office.get(PATH, format="pdf")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")


def test_who_may_not_issue_gets_none(office: Office) -> None:
    office.record()
    assert office.get(PATH, office.as_caller(roles=[Role.VIEWER])).status_code == 403
    dalian = office.as_caller(roles=[Role.ANALYST], regions=("2102",))
    assert office.get(PATH, dalian).status_code == 404
    assert office.get("/v1/subjects/nobody/report").status_code == 404


@given(st.text())
def test_only_what_can_be_a_code_is_read_as_one(typed: str) -> None:
    found = plain_code(typed)
    assert found is None or (len(found) == 19 and plain_code(found) == found)


@pytest.mark.parametrize("number", range(3))
def test_a_code_has_nothing_that_reads_like_another(number: int) -> None:
    code = new_code()
    assert plain_code(code) == code
    assert not set(code) & set("01OIL"), number
