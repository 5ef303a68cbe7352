from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.api.reports import new_code, plain_code
from serving.auth.roles import Role
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
            name: value for name, value in report.items() if name not in {"sections", "disputed"}
        }
    assert office.get(PATH).json()["code"] != code
    assert office.get(PATH).json()["digest"] == report["digest"]


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
    assert office.get(PATH).json()["disputed"] == [f"penalty:{record}"]


def test_a_special_report_is_of_its_period(office: Office) -> None:
    office.record(1, happened_on="2026-06-05")
    office.record(2, happened_on="2026-09-05")
    report = office.get(PATH, kind="special", since="2026-08-01").json()
    assert (report["title"], report["records"], report["since"]) == (
        "专项信用报告",
        1,
        "2026-08-01",
    )
    backwards = office.get(PATH, since="2026-09-01", until="2026-08-01")
    assert backwards.status_code == 422
    assert office.get(PATH, until="2027-01-01").status_code == 422
    assert office.get(PATH, as_of="2027-01-01").status_code == 422


def test_a_period_before_the_data_begin_is_refused_not_shown_as_clean(office: Office) -> None:
    office.record()
    import polars as pl

    from models.records.contracts import CONTRACTS
    from serving.ledger import inbox

    with office.service.ledger.begin() as connection:
        frame = inbox.pending(connection, [FIRM])["penalty"]
    office.service.runtime.lake.merge("penalty", frame.cast(pl.Schema(CONTRACTS["penalty"].dtypes)))
    answer = office.get(PATH, kind="special", until="2026-06-04")
    assert (answer.status_code, answer.json()["data_from"]) == (422, "2026-06-05")
    assert office.get(PATH, kind="special", until="2026-06-05").status_code == 200


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
def test_only_what_can_be_a_code_is_read_as_one(text: str) -> None:
    found = plain_code(text)
    assert found is None or (len(found) == 19 and plain_code(found) == found)


@pytest.mark.parametrize("number", range(3))
def test_a_code_has_nothing_that_reads_like_another(number: int) -> None:
    code = new_code()
    assert plain_code(code) == code
    assert not set(code) & set("01OIL"), number
