from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta

import polars as pl
import pytest
from sqlalchemy import text

from models.inspection.results import HIDDEN
from serving.auth.roles import Role
from serving.ledger import inbox, jobs
from serving.ledger.engine import Ledger
from tests.serving.inspecting.office import (
    MATTERS,
    PLAN,
    Headers,
    Office,
    code,
    declared,
    firms,
    people,
)


def test_every_drawn_subject_gets_a_team_of_two_by_the_seed(office: Office) -> None:
    record = office.drawn()
    office.lists("pools/inspectors", rows=people())
    made = office.post("tasks", office.drafter, authority="某局").json()
    assert {one["subject_id"] for one in made["tasks"]} == {
        one["subject_id"] for one in record["drawn"]
    }
    assert all(len(set(one["team"])) == 2 for one in made["tasks"])
    assert made == office.get("/tasks", who=office.inspector).json()
    again = office.post("tasks", office.drafter, authority="某局")
    assert (again.status_code, again.json()["type"]) == (409, "/problems/teams-drawn")


def test_teams_wait_for_the_draw_and_for_inspectors(office: Office) -> None:
    office.draft()
    office.approve()
    body = {"authority": "某局"}
    assert office.post("tasks", office.drafter, **body).status_code == 409
    office.freeze()
    office.seed()
    office.post("draw", office.drafter)
    none = office.post("tasks", office.drafter, **body)
    assert "/v1/pools/inspectors" in none.json()["detail"]
    office.lists("pools/inspectors", rows=people(1))
    short = office.post("tasks", office.drafter, **body)
    assert short.status_code == 422
    assert "cannot have a team of 2" in short.json()["detail"]
    office.lists("pools/inspectors", rows=people())
    outside = office.post("tasks", office.drafter, starts="2027-01-01", **body)
    assert "not within period" in outside.json()["detail"]
    assert office.post("tasks", office.drafter, **body).status_code == 201


def test_a_recusal_changes_one_task_and_is_kept(office: Office) -> None:
    before = office.sent()
    task = before["tasks"][0]
    out = {"task_id": task["task_id"], "inspector_id": task["team"][0], "reason": "近亲属"}
    after = office.post("recusals", office.drafter, after=1, **out)
    assert after.status_code == 201, after.text
    told = after.json()
    assert told["number"] == 2
    assert told["recusals"] == [out]
    assert task["team"][0] not in told["tasks"][0]["team"]
    assert told["tasks"][1:] == before["tasks"][1:]
    late = office.post("recusals", office.drafter, after=1, **out)
    assert (late.status_code, late.json()["number"]) == (409, 2)
    gone = office.post("recusals", office.drafter, **out)
    assert gone.status_code == 422
    assert "is not on task" in gone.json()["detail"]
    second = told["tasks"][1]
    more = {"task_id": second["task_id"], "inspector_id": second["team"][0], "reason": "申请"}
    last = office.post("recusals", office.drafter, **more).json()
    assert [one["reason"] for one in last["recusals"]] == ["近亲属", "申请"]
    assert {one["cause_reason"] for one in last["changes"]} == {"近亲属", "申请"}


def test_sheets_go_out_and_come_back_as_excel(office: Office) -> None:
    tasks = office.sent()
    told = office.get("/sheets", who=office.drafter).json()
    assert sum(len(team["visits"]) for team in told) == len(tasks["tasks"])
    assert office.get("/sheets", who=office.chief, format="pdf").content.startswith(b"%PDF")
    assert office.get("/sheets", who=office.chief, format="pdf", team=999).status_code == 404
    book = office.get("/sheets", who=office.chief, format="xlsx").content
    sheet = pl.read_excel(io.BytesIO(book), sheet_name="第001组", infer_schema_length=0)
    office.later(days=2)
    filled = sheet.with_columns(
        pl.lit("IR1 未发现问题").alias("检查结果"),
        pl.lit(office.clock.at.date().isoformat()).alias("检查结束日期"),
    )
    answer = office.post("results", office.inspector, rows=filled.to_dicts())
    assert answer.status_code == 201, answer.text
    assert answer.json()["accepted"] == sheet.height


def test_results_become_records_with_the_true_probability(office: Office, ledger: Ledger) -> None:
    tasks = office.sent()
    office.later(days=2)
    answer = office.post("results", office.inspector, rows=office.filled(tasks))
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["accepted"], told["refused"], told["missing"]) == (len(tasks["tasks"]), 0, 0)
    chances = {
        one["subject_id"]: one["inclusion_probability"]
        for one in office.get("/record").json()["drawn"]
    }
    with ledger.begin() as connection:
        frame = inbox.pending(connection, list(chances))["inspection"]
        job = jobs.get(connection, told["jobs"][0])
    assert dict(frame.select("subject_id", "inclusion_probability").iter_rows()) == chances
    assert set(frame["draw_id"]) == {f"{PLAN}/Q4"}
    assert frame["result"].to_list().count("fail") == 3
    assert job is not None
    assert (job.kind, set(job.payload["subjects"])) == ("redecide", set(chances))  # pyright: ignore[reportArgumentType]


def test_a_corrected_result_replaces_the_one_before(office: Office, ledger: Ledger) -> None:
    rows = office.filled(office.sent())
    office.later(days=2)
    for row in rows:
        row["检查结束日期"] = office.clock.at.date().isoformat()
    office.post("results", office.inspector, rows=rows)
    office.post("publish", office.chief)
    better = [{**rows[0], "检查结果": "IR1"}]
    assert office.post("results", office.inspector, rows=better).json()["accepted"] == 1
    found = office.get("/results", who=office.drafter).json()["results"]
    assert [one["result_code"] for one in found][:2] == ["IR1", "IR5"]
    with ledger.begin() as connection:
        subject = [code(n) for n in range(len(firms()))]
        frame = inbox.pending(connection, subject)["inspection"]
    assert frame.height == len(rows)
    assert frame["result"].to_list().count("fail") == 2
    assert office.post("close", office.chief).json()["type"] == "/problems/not-finished"
    assert office.post("publish", office.chief).json()["published"] == 1
    assert office.post("close", office.chief).status_code == 200


def test_a_faulty_result_is_answered_and_the_others_kept(office: Office) -> None:
    rows = office.filled(office.sent())
    office.later(days=2)
    for row in rows:
        row["检查结束日期"] = office.clock.at.date().isoformat()
    rows[0]["检查结果"] = "好"
    rows[1]["检查人员"] = "i98；i99"
    rows[2]["任务编号"] = "T999999"
    told = office.post("results", office.inspector, rows=rows).json()
    assert (told["accepted"], told["refused"]) == (len(rows) - 3, 3)
    assert {one["row"] for one in told["faults"]} == {1, 2, 3}
    assert told["missing"] == 3
    missing = office.get("/results", who=office.drafter).json()["missing"]
    assert len(missing) == 3


def test_what_is_published_has_no_personal_data(office: Office) -> None:
    office.draft()
    office.approve()
    rows = firms()
    for number in range(len(rows)):
        if number % 2:
            rows[number] |= {"subject_id": "P_" + f"{number:032x}", "name": "某某某"}
    assert office.freeze(population=rows).status_code == 200
    office.seed()
    office.post("draw", office.drafter)
    office.lists("pools/inspectors", rows=people())
    tasks = office.post("tasks", office.drafter, authority="某局").json()
    office.later(days=2)
    assert office.post("publish", office.chief).json()["type"] == "/problems/nothing-to-publish"
    office.post("results", office.inspector, rows=office.filled(tasks))
    assert office.post("publish", office.inspector).status_code == 403
    told = office.post("publish", office.chief).json()
    assert (told["state"], told["published"]) == ("published", len(tasks["tasks"]))
    answer = office.get("/publication")
    public = [one["result"] for one in answer.json()]
    assert len(public) == len(tasks["tasks"])
    persons = [one for one in public if one["subject_id"] is None]
    assert persons
    assert {one["subject_name"] for one in persons} == {"某" + HIDDEN * 2}
    assert "P_0" not in answer.text
    assert "后厨" not in answer.text
    assert "i1" not in answer.text


def test_the_clock_of_publication_runs_in_working_days(office: Office) -> None:
    rows = office.filled(office.sent())
    office.later(days=2)
    for row in rows:
        row["检查结束日期"] = "2026-11-24"
    office.post("results", office.inspector, rows=rows)
    (one, *_) = office.get("/results", who=office.drafter).json()["results"]
    assert (one["publish_by"], one["working_days_left"], one["late"]) == ("2026-12-22", 19, False)
    office.later(days=30)
    office.post("publish", office.chief)
    (one, *_) = office.get("/results", who=office.drafter).json()["results"]
    assert (one["published_on"], one["working_days_left"], one["late"]) == (
        "2026-12-25",
        None,
        True,
    )


def test_the_rate_is_estimated_from_the_draw(office: Office) -> None:
    tasks = office.sent()
    office.later(days=2)
    rows = office.filled(tasks, bad=6)
    refused = office.get("/estimate", who=office.drafter)
    assert refused.status_code == 422
    office.post("results", office.inspector, rows=rows)
    whole = office.get("/estimate", who=office.drafter).json()
    (row,) = whole["rates"]
    assert row["population"] == len(firms())
    assert 0 <= row["low"] < row["rate"] < row["high"] <= 1
    weights = {
        one["subject_id"]: 1 / one["inclusion_probability"]
        for one in office.get("/record").json()["drawn"]
    }
    failed = [task["subject_id"] for task in tasks["tasks"][:6]]
    wanted = sum(weights[one] for one in failed) / sum(weights.values())
    assert row["rate"] == pytest.approx(wanted)
    by = office.get("/estimate", who=office.drafter, by=["grade"], method="difference").json()
    assert [one["grade"] for one in by["rates"]] == ["A", "B", "C", "D"]
    assert office.get("/estimate", who=office.drafter, level=1).status_code == 422


def test_departments_visit_together_each_with_its_matters(office: Office) -> None:
    other = {**MATTERS[0], "id": "M02", "title": "消防安全检查", "department": "消防救援局"}
    plan = declared(departments=["市场监管局", "消防救援局"], matters=[*MATTERS, other])
    office.draft(plan)
    office.approve()
    rows = firms()
    rows[0]["matters"] = ["M01"]
    office.freeze(population=[{**row, "mandatory": None} for row in rows])
    office.seed()
    office.post("draw", office.drafter)
    office.lists("pools/inspectors", rows=people())
    tasks = office.post("tasks", office.drafter, authority="某局").json()["tasks"]
    visits: dict[str, list[str]] = {}
    for task in tasks:
        visits.setdefault(task["subject_id"], []).extend(task["matters"])
    wanted = {one: ["M01"] if one == code(0) else ["M01", "M02"] for one in visits}
    assert {one: sorted(matters) for one, matters in visits.items()} == wanted


def test_a_reader_enters_no_results_and_a_stranger_sees_none(
    office: Office, as_caller: Callable[..., Headers], ledger: Ledger
) -> None:
    rows = office.filled(office.sent())
    viewer = as_caller(roles=[Role.VIEWER])
    assert office.post("results", viewer, rows=rows).status_code == 403
    assert office.get("/results").status_code == 401
    assert office.get("/tasks").status_code == 401
    with ledger.begin() as connection:
        assert connection.execute(text("select count(*) from inbox")).scalar_one() == 0
    office.later(days=1)
    early = [{**row, "检查结束日期": "2026-11-20"} for row in rows]
    told = office.post("results", office.inspector, rows=early).json()
    assert (told["accepted"], told["refused"]) == (0, len(rows))
    ahead = (office.clock.at + timedelta(days=3)).date().isoformat()
    future = [{**row, "检查结束日期": ahead} for row in rows]
    assert office.post("results", office.inspector, rows=future).json()["accepted"] == 0


def test_a_city_sees_its_own_part_of_a_provinces_plan(
    office: Office, as_caller: Callable[..., Headers]
) -> None:
    office.arrive(regions=("21",))
    assert office.draft(region="21").status_code == 201
    for answer in (office.approve(), office.freeze(), office.seed()):
        assert answer.status_code == 200, answer.text
    office.post("draw", office.drafter)
    office.lists("pools/inspectors", rows=people(), region="21")
    every = office.post("tasks", office.drafter, authority="某局").json()["tasks"]
    dalian = as_caller(roles=[Role.ANALYST], regions=("2102",))
    mine = office.get("/tasks", who=dalian).json()["tasks"]
    assert {one["region"] for one in mine} == {"210202"}
    assert 0 < len(mine) < len(every)
    missing = office.get("/results", who=dalian).json()["missing"]
    assert {one["task_id"] for one in missing} == {one["task_id"] for one in mine}
    listed = office.client.get("/v1/plans", headers=dalian).json()
    assert [one["id"] for one in listed] == [PLAN]
    assert office.get("/pool", who=dalian).status_code == 403
