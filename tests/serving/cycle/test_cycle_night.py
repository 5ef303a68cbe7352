from __future__ import annotations

import json
import threading
from collections.abc import Generator
from datetime import date
from pathlib import Path
from typing import cast

import pytest

from models.errors import ConfigError, RegistryError
from models.scenarios.catalogue import catalogue
from serving.commands import night as command
from serving.commands.night import with_a_model
from serving.cycle import night, report
from serving.cycle.steps import Told, carry_out
from serving.ledger.engine import Ledger
from serving.runtime.batch import score_all
from serving.runtime.registry import Registry
from serving.runtime.shelf import Named, Shelf
from serving.service import Service
from tests.models.features.firms import AS_OF
from tests.serving import village
from xinjian.cli import main


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with a lake and a model that decides."""
    village.furnish(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def service(home: Path, database: str, ledger: Ledger) -> Generator[Service]:
    """Return the village's service, its ledger migrated."""
    del ledger
    opened = Service.open(village.settings(home, database), clock=village.Clock())
    yield opened
    opened.close()


def told(name: str, state: str, code: int = 0, said: str = "") -> Told:
    return Told.model_validate(
        {"name": name, "title": name, "state": state, "code": code, "said": said}
    )


def test_every_scenario_has_its_steps_and_none_waits_for_another() -> None:
    steps = night.steps(["a", "b"], date(2026, 11, 22), Path("night"))
    assert [one.name for one in steps] == [
        *("compact", "quality", "score:a", "score:b", "escalate", "drift:a", "drift:b")
    ]
    assert not any(one.needs for one in steps)
    assert all("--dry-run" not in one.words for one in steps)


def test_a_night_that_shall_not_learn_only_judges() -> None:
    day = date(2026, 11, 22)
    judged = night.steps(["a"], day, Path("night"), learn=False)[-1]
    assert "--dry-run" in judged.words
    assert night.verdict_of(judged.name, 10) == "候选模型未晋升"
    learning = night.steps(["a"], day, Path("night"))[-1]
    assert judged.name != learning.name, "what only judged must not pass for having learnt"


def test_a_report_says_what_was_found_and_what_failed(service: Service, tmp_path: Path) -> None:
    steps = [
        told("compact", "done"),
        told("score:town", "failed", 1, "before\nno | memory\n"),
        told("drift:town", "done", 10),
    ]
    (tmp_path / night.QUALITY).write_text(json.dumps({"totals": {"compliance_rate": 0.9912}}))
    page = report.write(report.of(service, steps, AS_OF, tmp_path), tmp_path).read_text()
    assert "归集合规率 99.12%" in page
    assert "| score:town | 失败 | 0 | no \\| memory |" in page
    assert "候选模型未晋升" in page
    kept = report.NightReport.model_validate_json((tmp_path / "report.json").read_text())
    assert kept.compliance == pytest.approx(0.9912)
    assert kept.scored == ()


def test_a_report_that_cannot_be_written_is_told(service: Service, tmp_path: Path) -> None:
    made = report.of(service, [], AS_OF, tmp_path)
    with pytest.raises(ConfigError, match="cannot be written"):
        report.write(made, tmp_path / "gone")


def test_a_night_without_a_quality_report_does_not_know_the_rate(
    service: Service, tmp_path: Path
) -> None:
    assert report.of(service, [], AS_OF, tmp_path).compliance is None


def test_scenarios_without_a_model_are_left_out_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def found(_: Service) -> list[str]:
        return ["food_safety", "town"]

    monkeypatch.setattr(command, "with_a_model", found)
    assert command.decidable(cast("Service", None)) == ["food_safety", "town"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"没有模型、今夜不判定的场景 {len(catalogue()) - 1} 个：")
    assert line.endswith("等")


@pytest.mark.slow
@pytest.mark.usefixtures("service")
def test_a_night_compacts_decides_warns_and_reports_though_one_scenario_fails(
    home: Path,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XINJIAN_HOME", str(home))
    monkeypatch.setenv("XINJIAN_DATABASE_URL", database)
    monkeypatch.setenv("XINJIAN_LOG_LEVEL", "error")
    words = ["serve", "night", f"--as-of={AS_OF}", "--scenario=town", "--scenario=nowhere"]
    assert main([*words, "--no-learn"]) == 3
    folder = night.folder_of(home, AS_OF)
    assert f"report: {folder / 'report.md'}" in capsys.readouterr().out
    kept = report.NightReport.model_validate_json((folder / "report.json").read_text())
    state = {one.name: one.state for one in kept.steps}
    assert state["compact"] == state["quality"] == state["score:town"] == "done"
    assert state["score:nowhere"] == "failed"
    (run,) = kept.scored
    assert run.finished
    assert run.decided > 0
    seconds = {one.name: one.ended for one in kept.steps}
    assert main([*words, "--no-learn"]) == 3
    again = report.NightReport.model_validate_json((folder / "report.json").read_text())
    assert {one.name: one.ended for one in again.steps}["score:town"] == seconds["score:town"]


def test_a_night_that_is_stopped_ends_its_step(tmp_path: Path) -> None:
    stopped = threading.Event()
    stopped.set()
    steps = night.steps(["a"], AS_OF, tmp_path)[:1]
    (only,) = carry_out(steps, tmp_path, clock=village.Clock(), stop=stopped.wait)
    assert only.state == "stopped"


def test_a_night_to_come_is_refused(
    home: Path,
    database: str,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del ledger
    monkeypatch.setenv("XINJIAN_HOME", str(home))
    monkeypatch.setenv("XINJIAN_DATABASE_URL", database)
    assert main(["serve", "night", "--as-of=2999-01-01"]) == 2
    assert "has not come yet" in capsys.readouterr().err
    assert not (home / "night").exists()


def test_a_scenario_whose_model_is_broken_is_not_left_out_in_silence(
    home: Path, service: Service
) -> None:
    (tree,) = home.glob("serving/bundles/town/champion/booster*")
    tree.write_bytes(b"broken")
    service.runtime.refresh()
    assert service.runtime.champion("town") is None
    assert with_a_model(service) == ["town"]
    with pytest.raises(ConfigError, match=r"the model of scenario 'town' is refused: .*booster"):
        score_all(service, "town", AS_OF)


def nothing(_: Shelf) -> dict[object, Path]:
    return {}


def down(_: Registry) -> list[Named]:
    raise RegistryError("nobody answers")


def test_what_was_live_last_is_decided_by_where_the_registry_is_down(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service.runtime.refresh()
    monkeypatch.setattr(Registry, "named", down)
    monkeypatch.setattr(Shelf, "placed", nothing)
    assert with_a_model(service) == ["town"]
    assert "nobody answers" in capsys.readouterr().err
    again = Service.open(service.settings, clock=service.clock)
    again.runtime.refresh()
    with pytest.raises(ConfigError, match="nobody answers"):
        score_all(again, "town", AS_OF)
    again.runtime.restore()
    assert score_all(again, "town", AS_OF).finished_at is not None
    again.close()


def test_what_was_taken_off_is_not_missed_where_the_registry_is_down(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.runtime.refresh()
    monkeypatch.setattr(Shelf, "placed", nothing)
    service.runtime.refresh()
    assert service.runtime.champion("town") is None
    monkeypatch.setattr(Registry, "named", down)
    assert with_a_model(service) == []


def test_nobody_is_decided_as_of_a_day_to_come(service: Service) -> None:
    service.runtime.refresh()
    with pytest.raises(ConfigError, match="has not come yet"):
        score_all(service, "town", date(2999, 1, 1))
