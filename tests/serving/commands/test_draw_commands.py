from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from models.inspection import standalone
from models.inspection.pool import Pool
from tests.models.inspection.people import people, visits
from tests.models.inspection.pools import frame
from xinjian.cli import main

pytestmark = pytest.mark.usefixtures("restored_logging")

Captured = pytest.CaptureFixture[str]


def command(*words: str | Path) -> int:
    return main(["draw", *map(str, words)])


def entropy(folder: Path, *, after: timedelta = timedelta(minutes=1)) -> Path:
    at = (datetime.now(UTC) + after).isoformat()
    path = folder / "entropy.yaml"
    path.write_text(
        f"- {{source: 双色球 2026003, value: '01,05,12', published_at: '{at}'}}\n", encoding="utf-8"
    )
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a frozen pool, its seed and its draw."""
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    frame().write_csv(tmp_path / "pool.csv")
    assert command("freeze", tmp_path / "pool.csv", "--plan", "2026-01", "--out", tmp_path) == 0
    values = entropy(tmp_path)
    made = ("--entropy", values, "--out", tmp_path / "seed.json")
    assert command("seed", tmp_path / "commitment.json", *made) == 0
    assert command("draw", tmp_path / "seed.json", "--out", tmp_path / "record.json") == 0
    return tmp_path


def test_from_the_pool_to_the_verified_draw(folder: Path, capsys: Captured) -> None:
    commitment = json.loads((folder / "commitment.json").read_text(encoding="utf-8"))
    assert (commitment["plan"], commitment["subjects"]) == ("2026-01", 122)
    assert Pool.read((folder / "pool.txt").read_bytes()).commitment == commitment["commitment"]
    assert command("verify", folder / "record.json") == 0
    shown = capsys.readouterr().out
    assert shown.count("相符") == 8
    assert "不符" not in shown


def test_strata_are_published_without_their_names(folder: Path, capsys: Captured) -> None:
    public = (folder / "pool.txt").read_text("utf-8") + (folder / "record.json").read_text("utf-8")
    assert not any(f"{mark}{name}" in public for name in "甲乙丙" for mark in ',"')
    key = folder / "strata.json"
    assert key.stat().st_mode & 0o077 == 0
    assert command("verify", folder / "record.json", "--strata", key) == 0
    assert capsys.readouterr().out.count("相符") == 9
    key.write_text(key.read_text(encoding="utf-8").replace("甲", "丁"), encoding="utf-8")
    assert command("verify", folder / "record.json", "--strata", key) == 3
    assert "层的标签与所公开的层名一致" in capsys.readouterr().out


def test_strata_may_be_published_plainly(tmp_path: Path) -> None:
    frame().write_csv(tmp_path / "pool.csv")
    words = ("--plan", "x", "--out", tmp_path / "out", "--plain-strata")
    assert command("freeze", tmp_path / "pool.csv", *words) == 0
    assert ",甲," in (tmp_path / "out" / "pool.txt").read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "strata.json").exists()


def test_the_standalone_program_agrees(folder: Path) -> None:
    program = [sys.executable, "-I", "-S", standalone.__file__, str(folder / "record.json")]
    shown = subprocess.run(program, check=False, capture_output=True, encoding="utf-8")
    assert (shown.returncode, shown.stderr) == (0, "")


def test_a_subject_sees_its_own_line(folder: Path, capsys: Captured) -> None:
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    drawn = record["drawn"][-1]
    assert command("verify", folder / "record.json", "--subject", drawn["subject_id"]) == 0
    shown = capsys.readouterr().out
    assert record["seed"]["seed"] + drawn["subject_id"] in shown
    assert repr(drawn["u"]) in shown
    assert "抽中" in shown


def test_a_falsified_record_exits_with_3(folder: Path, capsys: Captured) -> None:
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    record["drawn"][0]["u"] = 0.25
    (folder / "other.json").write_text(json.dumps(record), encoding="utf-8")
    assert command("verify", folder / "other.json") == 3
    assert "不符" in capsys.readouterr().out


def test_what_is_done_is_not_done_again(folder: Path, capsys: Captured) -> None:
    pool, values = folder / "pool.csv", folder / "entropy.yaml"
    assert command("freeze", pool, "--plan", "x", "--out", folder) == 2
    made = ("--entropy", values, "--out", folder / "seed.json")
    assert command("seed", folder / "commitment.json", *made) == 2
    assert command("draw", folder / "seed.json", "--out", folder / "record.json") == 2
    assert capsys.readouterr().err.count("what is frozen, seeded or drawn stays") == 3


def test_a_seed_from_before_the_freeze_is_refused(folder: Path, capsys: Captured) -> None:
    early = ("--entropy", entropy(folder, after=-timedelta(days=1)), "--out", folder / "x.json")
    assert command("seed", folder / "commitment.json", *early) == 2
    assert "not after the freeze" in capsys.readouterr().err


def test_a_pool_edited_after_the_freeze_is_refused(folder: Path, capsys: Captured) -> None:
    other = Pool.of(
        frame().with_columns(pl.concat_str(pl.lit("X"), "subject_id").alias("subject_id"))
    ).lines()
    (folder / "pool.txt").write_bytes(other)
    assert command("draw", folder / "seed.json", "--out", folder / "x.json") == 2
    assert "changed after the freeze" in capsys.readouterr().err
    assert command("verify", folder / "record.json") == 3


def test_unreadable_files_are_told(folder: Path, capsys: Captured) -> None:
    (folder / "bad.csv").write_text("subject_id,stratum,pi\na,b,half\n", encoding="utf-8")
    assert command("freeze", folder / "bad.csv", "--plan", "x", "--out", folder / "x") == 2
    assert "no number; write 0.05: pi 'half'" in capsys.readouterr().err
    assert command("freeze", folder / "none.csv", "--plan", "x", "--out", folder / "x") == 2
    assert "cannot be read as a table" in capsys.readouterr().err
    assert command("verify", folder / "record.json", "--pool", folder / "none") == 2
    assert "cannot be read" in capsys.readouterr().err
    assert command("draw", folder / "record.json", "--out", folder / "x.json") == 2
    assert "is no seed" in capsys.readouterr().err
    (folder / "wrong.yaml").write_text("- {sauce: x}\n", encoding="utf-8")
    wrong = ("--entropy", folder / "wrong.yaml", "--out", folder / "x.json")
    assert command("seed", folder / "commitment.json", *wrong) == 2
    assert "wrong.yaml:1" in capsys.readouterr().err


def test_a_pool_may_be_parquet(folder: Path) -> None:
    frame().write_parquet(folder / "pool.parquet")
    for kind in ("csv", "parquet"):
        words = ("--plan", "2026-01", "--out", folder / kind, "--plain-strata")
        assert command("freeze", folder / f"pool.{kind}", *words) == 0
    lines = [(folder / kind / "pool.txt").read_bytes() for kind in ("csv", "parquet")]
    assert lines[0] == lines[1]


def test_a_wrong_day_is_told(folder: Path, capsys: Captured) -> None:
    _tables(folder)
    text = (folder / "tasks.csv").read_text(encoding="utf-8").replace("2026-03-06", "6.3.2026", 1)
    (folder / "tasks.csv").write_text(text, encoding="utf-8")
    with_ = ("--inspectors", folder / "inspectors.csv", "--seed", folder / "seed.json")
    assert command("assign", folder / "tasks.csv", *with_, "--out", folder / "teams.csv") == 2
    assert "no day; write 2026-03-02: ends '6.3.2026'" in capsys.readouterr().err


def test_tasks_that_nobody_can_take_are_told(folder: Path, capsys: Captured) -> None:
    _tables(folder)
    text = (folder / "inspectors.csv").read_text(encoding="utf-8").replace("食品", "价格")
    (folder / "inspectors.csv").write_text(text, encoding="utf-8")
    with_ = ("--inspectors", folder / "inspectors.csv", "--seed", folder / "seed.json")
    assert command("assign", folder / "tasks.csv", *with_, "--out", folder / "teams.csv") == 2
    said = capsys.readouterr().err
    assert "12 of 12 tasks cannot have a team of 2" in said
    assert "8 are not qualified for the matters" in said
    assert not (folder / "teams.csv").exists()


def _tables(folder: Path) -> None:
    joined = [pl.col("matters").list.join(";")]
    people(8).with_columns(joined).write_csv(folder / "inspectors.csv")
    visits(12).with_columns(joined).write_csv(folder / "tasks.csv")


@pytest.mark.parametrize("seed", ["seed.json", "record.json"])
def test_teams_are_assigned_by_the_draws_seed(folder: Path, seed: str, capsys: Captured) -> None:
    _tables(folder)
    (folder / "conflicts.csv").write_text("inspector_id,subject_id\ni001,s003\n", encoding="utf-8")
    (folder / "leave.csv").write_text(
        "inspector_id,starts,ends\ni000,2026-03-01,2026-03-31\n", encoding="utf-8"
    )
    with_ = ("--inspectors", folder / "inspectors.csv", "--seed", folder / seed)
    rules = ("--conflicts", folder / "conflicts.csv", "--leave", folder / "leave.csv")
    out = folder / "teams.csv"
    assert command("assign", folder / "tasks.csv", *with_, *rules, "--out", out) == 0
    assert "12 项任务已派员，7 人参加" in capsys.readouterr().out
    teams = pl.read_csv(out)
    assert teams.height == 24
    assert "i000" not in teams["inspector_id"]
    assert ("t003", "i001") not in teams.rows()


def test_recusals_are_carried_out_and_counted(folder: Path, capsys: Captured) -> None:
    _tables(folder)
    with_ = ("--inspectors", folder / "inspectors.csv", "--seed", folder / "seed.json")
    assert command("assign", folder / "tasks.csv", *with_, "--out", folder / "teams.csv") == 0
    task, person = pl.read_csv(folder / "teams.csv").row(0)
    told = folder / "recusals.csv"
    told.write_text(f"task_id,inspector_id,reason\n{task},{person},近亲属\n", encoding="utf-8")
    after = ("--recusals", told, "--out", folder / "after.csv")
    assert command("assign", folder / "tasks.csv", *with_, *after) == 0
    assert "回避 1 次，调整 1 处" in capsys.readouterr().out
    assert (task, person) not in pl.read_csv(folder / "after.csv").rows()
    told.write_text("task_id\nt\n", encoding="utf-8")
    assert command("assign", folder / "tasks.csv", *with_, *after) == 2
    assert "lacks a column" in capsys.readouterr().err
