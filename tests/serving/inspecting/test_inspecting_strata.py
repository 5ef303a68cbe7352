"""What strata are called is the office's secret until a period is closed, and everybody's then."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from models.inspection import standalone
from models.inspection.pool import Pool
from models.inspection.strata import StrataKey, reveal, troubles
from serving.auth.roles import Role
from serving.commands.draw import app as program
from serving.ledger.engine import Ledger
from tests.serving.inspecting.office import Headers, Office, code, declared, firms

GRADES = {row["subject_id"]: row["grade"] for row in firms()}
LABEL = re.compile(r"S[0-9a-f]{32}")


def closed(office: Office) -> None:
    """Carry a plan out to the close of its period."""
    tasks = office.sent()
    office.later(days=2)
    rows = office.filled(tasks)
    assert office.post("results", office.inspector, rows=rows).json()["missing"] == 0
    for act in ("publish", "close"):
        answer = office.post(act, office.chief)
        assert answer.status_code == 200, answer.text


def test_no_public_page_names_a_stratum_before_the_close(office: Office) -> None:
    record = office.drawn(declared(strata=["grade", "industry"]))
    pool = Pool.read(office.get("/pool", who=office.drafter).content)
    labels = {one["stratum"] for one in record["strata"]}
    assert labels == set(pool.frame["stratum"])
    assert all(LABEL.fullmatch(one) for one in labels)
    for number in range(8):
        told = office.get(f"/lines/{code(number)}").json()
        assert told["stratum"] in labels
        assert "probability" not in set(told) - {"inclusion_probability"}
    public = [office.get(path).text for path in ("/verify", "/record", f"/lines/{code(1)}")]
    assert not any("H62" in page or '"grade"' in page for page in public)
    assert office.get("/verify").json()["strata"] is None
    refused = office.get("/strata/key")
    assert (refused.status_code, refused.json()["state"]) == (409, "drawn")


def test_whoever_reads_plans_is_told_what_labels_stand_for(
    office: Office, as_caller: Callable[..., Headers]
) -> None:
    office.draft()
    office.approve()
    assert office.get("/strata", who=office.drafter).status_code == 409
    office.freeze()
    told = {one["label"]: one for one in office.get("/strata", who=office.inspector).json()}
    pool = Pool.read(office.get("/pool", who=office.drafter).content)
    for subject, label in pool.frame.select("subject_id", "stratum").iter_rows():
        assert told[label]["name"] == GRADES[subject]
    assert sum(one["size"] for one in told.values()) == len(GRADES)
    assert office.get("/strata").status_code == 401
    assert office.get("/strata", who=as_caller(roles=[Role.PARTNER])).status_code == 403
    away = as_caller(roles=[Role.ANALYST], regions=("4403",))
    office.another("southern_2026")
    assert office.draft(region="").status_code == 201
    far = as_caller(roles=[Role.ANALYST], regions=())
    assert office.get("/strata", who=far).status_code == 404
    assert office.get("/strata", who=away).status_code == 409


def test_everybody_computes_the_labels_again_after_the_close(
    office: Office, ledger: Ledger, tmp_path: Path
) -> None:
    closed(office)
    where = office.get("/verify").json()["strata"]
    told = office.client.get(where)
    assert told.status_code == 200, told.text
    key = StrataKey.parse(told.content, "the published key")
    record, pool = office.get("/record"), office.get("/pool", who=office.drafter)
    frame = Pool.read(pool.content).frame
    assert troubles(key, frame["stratum"].unique().to_list()) == []
    names = reveal(frame, key).select("subject_id", "stratum")
    assert {one: GRADES[one] for one in names["subject_id"]} == dict(names.iter_rows())
    files = {"record.json": record, "pool.txt": pool, "strata.json": told}
    for name, answer in files.items():
        (tmp_path / name).write_bytes(answer.content)
    paths = [str(tmp_path / name) for name in files]
    assert standalone.main(paths[:2]) == 0
    shown = CliRunner().invoke(
        program, ["verify", paths[0], "--pool", paths[1], "--strata", paths[2]]
    )
    assert shown.exit_code == 0, shown.output
    checks = {one["name"]: one for one in office.get("/checks", who=office.drafter).json()}
    assert checks["labels"]["holds"]
    for table in ("inspection_strata", "inspection_strata_told"):
        with pytest.raises(DBAPIError, match="append"), ledger.begin() as connection:
            connection.execute(text(f"delete from {table}"))  # noqa: S608 - of a list


def test_each_draw_has_a_secret_of_its_own(office: Office) -> None:
    labels: list[set[str]] = []
    for name in ("first_2026", "second_2026"):
        plan = office.another(name, caps={"per_year": 300})
        record = office.drawn(plan)
        labels.append({one["stratum"] for one in record["strata"]})
    assert not labels[0] & labels[1]


def test_the_ledger_keeps_the_names_sealed_and_in_their_place(
    office: Office, ledger: Ledger
) -> None:
    office.draft()
    office.approve()
    office.freeze()
    label = office.get("/strata", who=office.drafter).json()[0]["label"]
    with ledger.begin() as connection:
        kept = connection.execute(text("select sealed from inspection_strata")).scalar_one()
        told = connection.execute(text("select count(*) from inspection_strata_told")).scalar_one()
        connection.execute(text("alter table inspection_strata disable trigger append_only"))
        connection.execute(text("update inspection_strata set plan_id = 'other_2026'"))
        connection.execute(
            text("insert into inspection_strata values (:plan, 'Q4', :sealed)"),
            {"plan": office.plan, "sealed": kept[:-1] + bytes([kept[-1] ^ 1])},
        )
    assert label.encode() not in kept
    assert told == 0
    answer = office.get("/strata", who=office.drafter)
    assert answer.status_code == 422
    assert "does not open" in answer.json()["detail"]
    assert office.get("/verify").status_code == 200


def test_a_pool_that_was_frozen_without_labels_stays_as_it_is(
    office: Office, ledger: Ledger
) -> None:
    office.drawn()
    with ledger.begin() as connection:
        connection.execute(text("alter table inspection_strata disable trigger append_only"))
        connection.execute(text("delete from inspection_strata"))
    told = office.get("/strata", who=office.drafter).json()
    assert all(one["name"] == one["label"] for one in told)
    assert office.get("/strata/key").json()["type"] == "/problems/no-labels"
    names = [one["name"] for one in office.get("/checks", who=office.drafter).json()]
    assert "labels" not in names
    assert json.loads(office.get("/record").text)["drawn"]


def test_a_rate_by_grade_is_told_by_grade(office: Office) -> None:
    tasks = office.sent()
    office.later(days=2)
    office.post("results", office.inspector, rows=office.filled(tasks))
    rows = office.get("/estimate", who=office.drafter, by="grade", collapse=True).json()["rates"]
    assert {row["grade"] for row in rows} == set(pl.Series(list(GRADES.values())).unique())
