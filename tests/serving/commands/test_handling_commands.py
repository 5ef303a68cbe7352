from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from models.supervision.rulefiles import FILES, RuleKind
from serving.doctor import examine
from serving.ledger import feedback, rules
from serving.ledger.engine import Ledger
from serving.service import Service, now
from serving.settings import ServeSettings
from tests.serving.bureau import decision, decisions, scenario
from xinjian.cli import main


@pytest.fixture(autouse=True)
def installation(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands find the test's ledger."""
    monkeypatch.setenv("XINJIAN_DATABASE_URL", database)
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XINJIAN_LOG_LEVEL", "error")


def test_rules_are_checked_at_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "rules", "check"]) == 0
    assert f"{len(RuleKind) + 2} 份规则无误" in capsys.readouterr().out
    content = FILES[RuleKind.LADDER].read_text(encoding="utf-8")
    path = tmp_path / "l.yaml"
    path.write_text(content, encoding="utf-8")
    assert main(["serve", "rules", "check", str(path)]) == 0
    assert "渐进式执法阶段无误" in capsys.readouterr().out
    path.write_text(content.replace("id: L1", "id: L0", 1), encoding="utf-8")
    assert main(["serve", "rules", "check", str(path)]) == 2
    assert "l.yaml:6: two stages" in capsys.readouterr().err


def test_labels_are_written_for_training(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from serving.supervision import raise_warnings

    rows = decisions(decision(1))
    with service.ledger.begin() as connection:
        (kept,) = raise_warnings(service, connection, scenario(), rows)
        for confirmed in (False, True):
            feedback.give(connection, kept, confirmed=confirmed, by="key:1", at=now())
    for name, read in (("a.parquet", pl.read_parquet), ("a.csv", pl.read_csv)):
        out = tmp_path / name
        assert main(["serve", "feedback", str(out), "--scenario", "trial"]) == 0
        found = read(out)
        assert found["confirmed"].to_list() == [True]
        assert found.columns == feedback.LABELS.names()
        assert main(["serve", "feedback", str(out)]) == 2
        assert "name a new file" in capsys.readouterr().err
    assert main(["serve", "feedback", str(tmp_path / "a.txt")]) == 2


def test_doctor_reads_the_offices_own_rules(
    ledger: Ledger, settings: ServeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {
        "kind": "warnings",
        "content": "levels: {}\n",
        "digest": "x",
        "effective_from": now().date(),
        "basis": "x",
        "replaces": None,
        "by": "key:1",
        "at": now(),
    }
    monkeypatch.setattr("serving.doctor._CHECKS", ())
    with ledger.begin() as connection:
        number = rules.propose(connection, wrong)
    told = {one.title: one for one in examine(settings, now=now)}
    assert told["本单位规则"].state == "ok"
    with ledger.begin() as connection:
        rules.rule(connection, number, approved=True, note=None, by="key:2", at=now())
    told = {one.title: one for one in examine(settings, now=now)}
    assert told["本单位规则"].state == "fail"
    assert "warnings.yaml (1):1" in told["本单位规则"].told
