"""A plan of two departments from its lists to its close, and what everybody can check of it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.inspection import standalone
from models.inspection.draw import draw
from models.inspection.offpolicy import Log, value
from models.inspection.pool import Pool
from models.inspection.progress import State
from models.records.lake import Lake
from serving.jobs.compact import Compaction, compact
from serving.ledger import audit
from serving.ledger.engine import Ledger
from serving.service import Service
from tests.serving.inspecting.office import SOURCES, Office, declared, firms, people
from tests.serving.inspecting.test_inspecting_joint import JOINT
from tests.serving.inspecting.test_inspecting_population import decide

MANY = 60
ORDER = [one.value for one in State]
POOL = {"sources": SOURCES, "population": firms(40)}
Act = tuple[str, str, dict[str, Any], dict[str, str]]


def listed(office: Office, ledger: Ledger) -> None:
    """Import the lists of a bureau of two departments, and let decisions stand."""
    matters = [
        {
            "事项编号": one["id"],
            "抽查事项名称": one["title"],
            "实施部门": one["department"],
            "检查依据": "食品安全法",
            "检查对象": "食品经营者",
            "检查方式": "现场检查",
            "事项类别": "一般",
            "公布日期": "2026-01-01",
        }
        for one in JOINT["matters"]
    ]
    targets = [
        {
            "社会信用代码": row["subject_id"],
            "企业名称": row["name"],
            "经营状态": "存续",
            "行政区划": row["region"],
            "行业": "H62",
            "适用事项": "M01" if place % 3 else "M01,M02",
        }
        for place, row in enumerate(firms(MANY))
    ]
    for name, rows in (
        ("matters", matters),
        ("pools/targets", targets),
        ("pools/inspectors", people(9)),
    ):
        answer = office.lists(name, rows=rows)
        assert answer.status_code == 201, answer.text
    for number, row in enumerate(firms(MANY)):
        decide(ledger, number, row["grade"], on=date(2026, 11, 20), probability=row["probability"])


def test_a_joint_plan_goes_from_its_lists_to_its_close(
    office: Office, ledger: Ledger, service: Service, tmp_path: Path
) -> None:
    listed(office, ledger)
    risk = {"allocation": {"by": "risk", "precision": 1}, "capacity": {"per_month": 20}}
    digest = office.draft(declared(**JOINT, **risk)).json()["digest"]
    assert office.post("dry-run", office.drafter).json()["expected"]["Q4"]["inspections"] > 20
    told = office.get("/frontier", who=office.drafter).json()
    best = max(one["findings"] for one in told["points"] if one["mix"] == "risk")
    picked = office.post("frontier/choice", office.drafter, base=digest, share=0.6)
    assert picked.status_code == 200, picked.text
    assert best > 0
    for answer in (office.approve(), office.freeze(population=None), office.seed()):
        assert answer.status_code == 200, answer.text
    drawn = office.post("draw", office.drafter).json()["drawn"]
    files = {
        "record.json": office.get("/record"),
        "pool.txt": office.get("/pool", who=office.chief),
    }
    for name, answer in files.items():
        (tmp_path / name).write_bytes(answer.content)
    program = [sys.executable, "-I", "-S", standalone.__file__]
    shown = subprocess.run(
        [*program, *(str(tmp_path / name) for name in files)], check=False, capture_output=True
    )
    assert (shown.returncode, shown.stderr) == (0, b"")

    tasks = office.assign().json()
    first = tasks["tasks"][0]
    gone = {"task_id": first["task_id"], "inspector_id": first["team"][0], "reason": "近亲属"}
    tasks = office.post("recusals", office.drafter, **gone).json()
    visits = office.get("/visits", who=office.drafter).json()
    assert len(visits) == drawn
    office.later(days=2)
    rows = office.filled(tasks, bad=4)
    outside = [{**rows[0], "检查结束日期": "2026-11-23"}]
    refused = office.post("results", office.inspector, rows=outside).json()
    assert (refused["accepted"], refused["refused"]) == (0, 1)
    assert "2026-11-24 to 2026-12-31" in refused["faults"][0]["rule"]
    taken = office.post("results", office.inspector, rows=rows).json()
    assert (taken["accepted"], taken["missing"]) == (len(rows), 0)
    (rate,) = office.get("/estimate", who=office.drafter).json()["rates"]
    assert rate["low"] < rate["rate"] < rate["high"]
    for act in ("publish", "close"):
        assert office.post(act, office.chief).status_code == 200
    assert len(office.get("/publication").json()) == len(rows)

    assert compact(service) == Compaction(len(rows), 0)
    _readable_by_training(office, service, rate["rate"])
    with ledger.begin() as connection:
        assert audit.verify(connection).whole


def _readable_by_training(office: Office, service: Service, rate: float) -> None:
    """Check that what the lake has of the draw tells as much as the service's own tables."""
    record, pool = office.get("/record").json(), office.get("/pool", who=office.chief).content
    found = Lake.open(service.settings.lake).scan("inspection").collect()
    assert set(found["draw_id"]) == {f"{office.plan}/Q4"}
    assert set(found["draw_mode"]) == {"random_targeted"}
    chances = {one["subject_id"]: one["inclusion_probability"] for one in record["drawn"]}
    assert dict(found.select("subject_id", "inclusion_probability").iter_rows()) == chances
    every = draw(Pool.read(pool), record["seed"]["seed"])
    log = Log(
        pool=every.select("subject_id", "stratum", "inclusion_probability"),
        sample=found.group_by("subject_id").agg(
            (pl.col("result") == "fail").any().alias("positive")
        ),
    )
    whole = value(log, every.select("subject_id"))
    assert whole.rate == pytest.approx(rate)
    assert whole.reliable == (whole.effective >= 30)


def test_no_grade_of_a_results_file_moves_what_was_drawn(office: Office) -> None:
    before = office.drawn()
    office.lists("pools/targets", rows=[])
    changed = [{**row, "grade": "D"} for row in firms()]
    assert office.freeze(population=changed).status_code == 409
    assert office.get("/record").json() == before
    assert all(one["holds"] for one in office.get("/checks", who=office.drafter).json())


@settings(
    max_examples=3,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.integers(0, 2**40),
    tried=st.lists(st.sampled_from([*ORDER[1:], "edit"]), min_size=5, max_size=8),
)
def test_of_two_at_once_one_takes_the_next_step_and_nothing_goes_back(
    office: Office, name: int, tried: list[str]
) -> None:
    office.plan = f"plan_{name:x}_{office.clock.at.timestamp():.0f}"
    plan = declared(id=office.plan, caps={"per_year": 300})
    digest = office.draft(plan).json()["digest"]
    reached = 0
    # Whatever order chance tries them in, the way through is in it.
    for to in [
        *tried[:2],
        "approved",
        "edit",
        "frozen",
        *tried[2:4],
        "seeded",
        "drawn",
        *tried[4:],
    ]:
        may = (to == "edit" and reached == 0) or to == ORDER[(reached + 1) % len(ORDER)]
        if may and to == "published":
            _results(office)
        if may and to == "edit":
            continue
        answers = _twice(office, *_act(office, to, plan, digest))
        wanted = [200, 409] if may else [409, 409]
        assert sorted(answers) == wanted, (ORDER[reached], to, answers)
        reached += may
        (period,) = office.get(who=office.drafter).json()["periods"]
        assert [one["state"] for one in period["steps"]] == ORDER[: reached + 1]


def _act(office: Office, to: str, plan: dict[str, Any], digest: str) -> Act:
    """Return the method, path, body and caller of an act."""
    acts: dict[str, Act] = {
        "approved": ("POST", "/approve", {"digest": digest}, office.chief),
        "edit": ("PUT", "", {"plan": plan, "base": digest}, office.drafter),
        "frozen": ("POST", "/freeze", POOL, office.drafter),
        "seeded": ("POST", "/seed", {"entropy": office.values()}, office.drafter),
        "drawn": ("POST", "/draw", {}, office.drafter),
        "published": ("POST", "/publish", {}, office.chief),
        "closed": ("POST", "/close", {}, office.chief),
    }
    return acts[to]


def _twice(
    office: Office, method: str, path: str, body: dict[str, Any], who: dict[str, str]
) -> list[int]:
    """Return the answers to an act that two officers take at once."""
    office.later(seconds=1)

    def call(_: int) -> int:
        whole = f"/v1/plans/{office.plan}{path}"
        return office.client.request(method, whole, json=body, headers=who).status_code

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(call, range(2)))


def _results(office: Office) -> None:
    office.lists("pools/inspectors", rows=people())
    tasks = office.assign()
    assert tasks.status_code == 201, tasks.text
    rows = [
        {**row, "检查结束日期": max(office.clock.at.date().isoformat(), "2026-11-24")}
        for row in office.filled(tasks.json())
    ]
    if office.clock.at.date().isoformat() < "2026-11-24":
        office.later(days=1)
    told = office.post("results", office.inspector, rows=rows).json()
    assert told["refused"] == 0, told
