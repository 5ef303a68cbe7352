from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from serving.ledger import audit
from serving.ledger.audit import Entry
from serving.ledger.engine import Ledger
from serving.service import now
from xinjian.cli import main


@pytest.fixture(autouse=True)
def installation(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands find the test's ledger."""
    monkeypatch.setenv("XINJIAN_DATABASE_URL", database)
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XINJIAN_LOG_LEVEL", "error")


def fill(ledger: Ledger, rows: int) -> None:
    with ledger.begin() as connection:
        audit.append(connection, *(Entry(now(), "user:1", "x", str(n)) for n in range(rows)))


def tamper(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        connection.execute(text("alter table audit disable trigger append_only"))
        connection.execute(text("update audit set actor = 'user:2' where seq = 2"))


def test_a_whole_chain_is_told_and_its_end_written(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(ledger, 3)
    kept = tmp_path / "anchor.json"
    assert main(["serve", "audit", "verify", "--write-anchor", str(kept)]) == 0
    assert "审计链完整：3 条" in capsys.readouterr().out
    assert json.loads(kept.read_text())["seq"] == 3
    fill(ledger, 1)
    assert main(["serve", "audit", "verify", "--anchor", str(kept)]) == 0
    assert "与 1 个锚点一致" in capsys.readouterr().out
    assert main(["serve", "audit", "verify", "--write-anchor", str(kept)]) == 2
    assert "name a new file" in capsys.readouterr().err


def test_a_broken_chain_is_told_row_by_row_and_by_the_exit_code(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fill(ledger, 3)
    tamper(ledger)
    assert main(["serve", "audit", "verify", "--write-anchor", str(tmp_path / "a")]) == 3
    assert "row 2 is not what was recorded" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_what_is_no_anchor_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "anchor").write_text("[]")
    assert main(["serve", "audit", "verify", "--anchor", str(tmp_path / "anchor")]) == 2
    assert "is no anchor" in capsys.readouterr().err


def test_an_export_is_every_row_and_is_audited(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(ledger, 3)
    out = tmp_path / "audit.jsonl"
    assert main(["serve", "audit", "export", str(out), "--after", "1"]) == 0
    assert "已导出 2 条" in capsys.readouterr().out
    assert [json.loads(line)["seq"] for line in out.read_text().splitlines()] == [2, 3]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with ledger.begin() as connection:
        (last,) = audit.page(connection, after=3)
    assert last["action"] == "audit.export"
    assert main(["serve", "audit", "export", str(out)]) == 2


def test_a_backup_is_made_and_restored(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(ledger, 5)
    assert main(["serve", "backup"]) == 0
    (made,) = (tmp_path / "home" / "backups").iterdir()
    assert str(made) in capsys.readouterr().out
    ledger.engine.dispose()
    assert main(["serve", "restore", str(made)]) == 2
    assert "--replace" in capsys.readouterr().err
    assert main(["serve", "restore", str(made), "--replace"]) == 0
    assert "审计链完整（5 条）" in capsys.readouterr().out
    assert main(["serve", "audit", "verify", "--anchor", str(made / "manifest.json")]) == 0


def test_the_doctor_ends_with_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "doctor"]) == 0
    told = capsys.readouterr().out
    assert "[正常] 台账" in told
    assert "故障 0" in told


def test_the_doctor_fails_where_something_does_not_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XINJIAN_DATABASE_URL", "postgresql://localhost:1/x")
    monkeypatch.setenv("XINJIAN_DATABASE_WAIT", "1")
    assert main(["serve", "doctor"]) == 2
    told = capsys.readouterr().out
    assert re.search(r"\[故障\] 台账：.*cannot be reached", told)
    assert "→" in told
    assert os.environ["XINJIAN_DATABASE_URL"]
