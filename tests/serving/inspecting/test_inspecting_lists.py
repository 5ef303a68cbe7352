from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from models.errors import LedgerError
from models.inspection.list_fields import ListName
from serving.auth.roles import Role
from serving.ledger import audit, lists
from serving.ledger.engine import Ledger
from tests.models.inspection import listed
from tests.serving.inspecting.office import Headers, Office

Rows = list[dict[str, object]]


def rows(name: str) -> Rows:
    frames = {
        "matters": listed.matters_frame,
        "pools/targets": listed.targets_frame,
        "pools/inspectors": listed.inspectors_frame,
    }
    return frames[name]().to_dicts()


@pytest.mark.parametrize("name", ["matters", "pools/targets", "pools/inspectors"])
def test_a_list_is_imported_under_a_departments_headings(office: Office, name: str) -> None:
    made = office.lists(name, rows=rows(name), note="首次导入")
    assert made.status_code == 201, made.text
    told = made.json()
    assert (told["edition"]["number"], told["refused"], told["changed"]) == (1, 0, True)
    page = office.client.get(f"/v1/{name}", headers=office.chief).json()
    assert page["total"] == len(page["rows"]) == len(rows(name))
    assert page["edition"] == told["edition"]
    again = office.lists(name, rows=rows(name)[::-1]).json()
    assert (again["edition"]["number"], again["changed"]) == (1, False)


def test_a_row_with_a_fault_keeps_everything_out_unless_parts_may_come_in(office: Office) -> None:
    broken = rows("pools/targets")
    broken[1]["社会信用代码"] = "91210100YY000001XX"
    refused = office.lists("pools/targets", rows=broken)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/faulty-rows")
    (fault,) = refused.json()["faults"]
    assert (fault["row"], fault["field"]) == (2, "subject_id")
    assert fault["remedy"]
    assert office.client.get("/v1/pools/targets", headers=office.chief).status_code == 404
    part = office.lists("pools/targets", rows=broken, partial=True).json()
    assert (part["edition"]["rows"], part["refused"]) == (2, 1)


def test_a_mapping_names_headings_that_nobody_knows(office: Office) -> None:
    strange = [{**row, "怪列": row["事项编号"]} for row in rows("matters")]
    for row in strange:
        del row["事项编号"]
    assert office.lists("matters", rows=strange).status_code == 422
    mapping = {"columns": {"matter_id": {"from": "怪列"}}}
    assert office.lists("matters", rows=strange, mapping=mapping).status_code == 201
    wrong = {"columns": {"matterid": "怪列"}}
    refused = office.lists("matters", rows=strange, mapping=wrong)
    assert refused.status_code == 422
    assert "matterid" in refused.json()["detail"]


def test_edits_are_editions_and_what_changed_is_told(office: Office) -> None:
    office.lists("matters", rows=rows("matters"))
    changed = {**rows("matters")[0], "抽查事项名称": "食品经营监督检查"}
    merged = office.lists("matters", rows=[changed], mode="merge", base=1).json()
    assert (merged["edition"]["number"], merged["edition"]["rows"]) == (2, 2)
    gone = office.client.post(
        "/v1/matters/removals", json={"keys": ["M02"], "base": 2}, headers=office.drafter
    ).json()
    assert (gone["number"], gone["rows"]) == (3, 1)
    path = "/v1/matters/difference"
    told = office.client.get(path, params={"old": 1, "new": 3}, headers=office.chief).json()
    assert [(one["matter_id"], one["change"], one["field"]) for one in told] == [
        ("M01", "changed", "title"),
        ("M02", "removed", None),
    ]
    first = office.client.get("/v1/matters", params={"number": 1}, headers=office.chief).json()
    assert len(first["rows"]) == 2
    numbers = office.client.get("/v1/matters/editions", headers=office.chief).json()
    assert [one["number"] for one in numbers] == [3, 2, 1]


def test_who_started_from_an_older_edition_is_refused(office: Office) -> None:
    office.lists("matters", rows=rows("matters"), base=0)
    late = office.lists("matters", rows=rows("matters")[:1], base=0)
    assert (late.status_code, late.json()["type"]) == (409, "/problems/list-changed")
    assert late.json()["number"] == 1


def test_a_key_that_is_not_there_removes_nothing(office: Office) -> None:
    office.lists("matters", rows=rows("matters"))
    answer = office.client.post(
        "/v1/matters/removals", json={"keys": ["M01", "M99"]}, headers=office.drafter
    )
    assert (answer.status_code, "M99" in answer.json()["detail"]) == (404, True)
    assert office.client.get("/v1/matters", headers=office.chief).json()["total"] == 2


def test_two_inspectors_of_one_certificate_are_refused_when_merged(office: Office) -> None:
    office.lists("pools/inspectors", rows=rows("pools/inspectors"))
    twin = {**rows("pools/inspectors")[0], "人员编号": "i9"}
    answer = office.lists("pools/inspectors", rows=[twin], mode="merge")
    assert answer.status_code == 422
    assert "twice" in answer.json()["detail"]


def test_a_city_sees_and_writes_its_own_rows_only(
    office: Office, client: TestClient, as_caller: Callable[..., Headers]
) -> None:
    office.lists("pools/targets", rows=rows("pools/targets"), region="210000")
    shenyang = as_caller(roles=[Role.ANALYST], regions=("2101",))
    page = client.get("/v1/pools/targets", params={"region": "2101"}, headers=shenyang).json()
    assert {row["region"] for row in page["rows"]} == {"210102"}
    assert page["edition"]["region"] == "21"
    body = {"region": "210100", "rows": rows("pools/targets")}
    assert client.post("/v1/pools/targets", json=body, headers=shenyang).status_code == 403
    own = {**body, "rows": rows("pools/targets")[:1]}
    assert client.post("/v1/pools/targets", json=own, headers=shenyang).status_code == 201
    elsewhere = {**own, "region": "2102"}
    assert client.post("/v1/pools/targets", json=elsewhere, headers=shenyang).status_code == 403
    jilin = as_caller(roles=[Role.VIEWER], regions=("22",))
    params = {"region": "2101"}
    assert client.get("/v1/pools/targets", params=params, headers=jilin).status_code == 404


def test_names_of_persons_are_seen_for_a_purpose_only(
    office: Office, as_caller: Callable[..., Headers], ledger: Ledger
) -> None:
    office.lists("pools/targets", rows=rows("pools/targets"))

    def seen(who: Headers) -> dict[str, str]:
        page = office.client.get("/v1/pools/targets", headers=who).json()
        return {row["subject_id"]: row["name"] for row in page["rows"]}

    hidden = seen(office.chief)
    assert hidden[listed.SHOP].startswith("某")
    assert "小吃店" not in hidden[listed.SHOP]
    assert hidden[listed.FIRM] == "沈阳某某商贸有限公司"
    open_ = seen(as_caller(roles=[Role.INSPECTOR], purpose="inspection"))
    assert open_[listed.SHOP] == "某记小吃店"
    with ledger.begin() as connection:
        entries = audit.page(connection, target="list:targets:")
    assert [one["action"] for one in entries] == ["list.change", "personal.read"]


def test_idle_matters_are_marked(office: Office) -> None:
    old = {**rows("matters")[1], "公布日期": "2015-01-01", "最近实施日期": "2016-01-01"}
    office.lists("matters", rows=[rows("matters")[0], old])
    page = office.client.get("/v1/matters", headers=office.chief).json()
    assert [row["to_remove"] for row in page["rows"]] == [False, True]


def test_content_that_was_changed_in_the_ledger_is_found(office: Office, ledger: Ledger) -> None:
    version = office.lists("matters", rows=rows("matters")).json()["edition"]["version"]
    frame = listed.matters().frame.head(1)
    with ledger.begin() as connection:
        found = lists.content(connection, version)
        assert found is not None
        assert found.version == version
        assert found.name is ListName.MATTERS
        connection.execute(text("alter table list_content disable trigger append_only"))
        connection.execute(text("update list_content set content = :c"), {"c": lists.packed(frame)})
        with pytest.raises(LedgerError, match="changed in the ledger"):
            lists.content(connection, version)
        assert lists.content(connection, "0" * 64) is None


def test_nobody_and_readers_import_nothing(
    client: TestClient, as_caller: Callable[..., Headers]
) -> None:
    body = {"rows": rows("matters")}
    assert client.post("/v1/matters", json=body).status_code == 401
    viewer = as_caller(roles=[Role.VIEWER])
    assert client.post("/v1/matters", json=body, headers=viewer).status_code == 403
