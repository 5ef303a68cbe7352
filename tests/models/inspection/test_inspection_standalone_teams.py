"""The stand-alone program for teams against the one that assigns: two programs, one result."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.errors import InspectionError
from models.inspection import standalone_teams
from models.inspection.assign import Recusal, assign, recuse
from models.inspection.assignment_record import AssignmentRecord
from models.inspection.inspectors import Inspectors
from models.inspection.tasks import Tasks
from tests.models.inspection.people import people, visits

LISTS = pl.col("matters").list.join(";")


def written(folder: Path, seed: int) -> list[Path]:
    """Write a random world with its record; tight enough for chains of moves."""
    rng = np.random.default_rng(seed)
    count, many = int(rng.integers(5, 9)), int(rng.integers(6, 20))
    matters = [["食品", "价格"] if rng.random() < 0.6 else ["食品"] for _ in range(count)]
    need = -(-2 * many // count)
    frame = people(
        count,
        matters=pl.Series(matters),
        regions=pl.Series([["2101"] if rng.random() < 0.3 else ["21", "22"] for _ in range(count)]),
        capacity=[int(need + rng.integers(0, 3)) for _ in range(count)],
        valid_from=[date(2020, 1, 1) if n % 2 else None for n in range(count)],
    )
    names = frame["inspector_id"].to_list()
    tasks = visits(
        many,
        matters=pl.Series([["价格"] if rng.random() < 0.2 else ["食品"] for _ in range(many)]),
        region=[str(rng.choice(["210102", "220100"])) for _ in range(many)],
        last_team=pl.Series(
            [names[:2] if rng.random() < 0.5 else None for _ in range(many)],
            dtype=pl.List(pl.String),
        ),
    )
    conflicts = pl.DataFrame({"inspector_id": [names[0]], "subject_id": ["s001"]})
    leave = pl.DataFrame(
        {"inspector_id": [names[-1]], "starts": ["2026-05-01"], "ends": ["2026-05-09"]}
    ).with_columns(pl.col("starts", "ends").str.to_date())
    given = Inspectors.of(frame, conflicts=conflicts, leave=leave)
    todo = Tasks.of(tasks)
    made = assign(given, todo, seed=rng.bytes(32).hex())
    for task, person in made.teams.sample(2, seed=seed).unique("task_id").rows():
        try:
            made = recuse(made, given, todo, recusals=[Recusal(task, person, "近亲属")])
        except InspectionError:
            continue
    joined = pl.col(pl.List(pl.String)).list.join(";")
    tables = {"people": frame, "tasks": tasks, "conflicts": conflicts, "leave": leave}
    for name, table in tables.items():
        table.with_columns(joined).write_csv(folder / f"{name}.csv")
    (folder / "record.json").write_text(
        AssignmentRecord.of(made, given, todo).model_dump_json(), encoding="utf-8"
    )
    return [folder / "record.json", *(folder / f"{name}.csv" for name in tables)]


def check(files: list[Path]) -> int:
    return standalone_teams.main([str(one) for one in files])


def test_it_gives_the_same_teams(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = 0
    for seed in range(24):
        try:
            files = written(tmp_path, seed)
        except InspectionError:
            continue  # a world that has no assignment
        assert check(files) == 0, (seed, capsys.readouterr().out)
        done += 1
    assert done >= 12


def test_it_runs_with_nothing_but_python(tmp_path: Path) -> None:
    files = written(tmp_path, 3)
    program = [sys.executable, "-I", "-S", standalone_teams.__file__, *map(str, files)]
    shown = subprocess.run(program, check=False, capture_output=True, encoding="utf-8")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("OK ")


def test_what_was_changed_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(tmp_path, 3)
    record = json.loads(files[0].read_text(encoding="utf-8"))
    spare = {"i000", "i001", "i002", "i003"} - set(record["teams"][0]["inspectors"])
    forged = json.loads(json.dumps(record))
    forged["teams"][0]["inspectors"][0] = min(spare)
    for change, said in (
        (forged, "1 tasks have other teams"),
        (record | {"recusals": [], "changes": []}, "tasks have other teams"),
        (record | {"result": "0" * 64}, "the digest of the teams is another"),
        (record | {"tasks": "0" * 64}, "the tasks are not those that were used"),
        (record | {"inspectors": "0" * 64}, "the inspectors, conflicts or leave are not those"),
        (record | {"seed": "0" * 64}, "tasks have other teams"),
    ):
        files[0].write_text(json.dumps(change), encoding="utf-8")
        assert check(files) == 1
        assert said in capsys.readouterr().out


def test_what_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(tmp_path, 3)
    assert check(files[:2]) == 2
    files[0].write_text("[]", encoding="utf-8")
    assert check(files) == 2
    assert "cannot be read" in capsys.readouterr().out
