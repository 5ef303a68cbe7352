from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import typer

from models.errors import ConfigError
from models.records.lake import Lake
from models.risk.bundle import Bundle
from tests.training.retrain import world
from training.commands import retrain
from training.registry import Registry
from training.retrain.lock import locked
from training.retrain.run import Ending
from training.retrain.verdict import Verdict

MakeRun = Callable[[Bundle], Path]

app = typer.Typer(no_args_is_help=True)
retrain.register(app)


def _run(*words: str) -> int:
    """Run a command of the group and return its exit code."""
    try:
        typer.main.get_command(app)(args=list(words), prog_name="risk")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


@pytest.fixture
def home(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return XINJIAN_HOME with an empty registry and a scenario of one's own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    assert registry.uri == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    (tmp_path / "town.yaml").write_text(world.SCENARIO, encoding="utf-8")
    return tmp_path


@pytest.fixture
def town(home: Path) -> str:
    """Return the file of a scenario whose town has a past."""
    lake = Lake.open(home / "lake", buckets=2)
    world.settle(lake)
    world.inspect(lake, date(2020, 7, 1), world.TURN)
    return str(home / "town.yaml")


def test_every_ending_has_a_code_of_its_own_kind_and_words() -> None:
    endings: tuple[Ending, ...] = ("promoted", "kept", "steady", "nothing_new", "busy")
    assert set(retrain._CODES) == set(retrain._TITLES) == set(endings)
    assert not {1, 2, 130} & set(retrain._CODES.values())


@pytest.mark.slow
def test_retraining_from_nothing_to_a_champion_and_back(
    town: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = home / "limits.yaml"
    limits.write_text("gain: 0.9\n", encoding="utf-8")
    words = ("retrain", town, "--at", "visits", "--limits", str(limits))
    assert _run(*words, "--dry-run") == retrain.KEPT
    shown = capsys.readouterr().out
    assert "不晋升：现用模型不变（试运行，未登记）" in shown
    assert "尚无现用模型" in shown
    assert _run("models", town) == 0
    assert "no model" in capsys.readouterr().out
    assert _run(*words) == retrain.KEPT
    assert "version: 1 challenger" in capsys.readouterr().out
    (page,) = home.glob("risk/town/retrain/*/verdict.json")
    assert not Verdict.from_json(page.read_bytes()).promoted
    assert _run("promote", town, "challenger", "--reason", "人工启用") == 0
    assert _run("retrain", town, "--at", "visits", "--if-drifted") == retrain.NOTHING_TO_DO
    assert "无漂移" in capsys.readouterr().out
    assert _run("models", town) == 0
    shown = capsys.readouterr().out
    assert "champion" in shown
    assert "人工启用" in shown


def test_a_second_run_says_so_and_has_its_own_code(
    town: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(home / "risk" / "town" / "retrain" / "lock"):
        assert _run("retrain", town) == retrain.BUSY
    shown = capsys.readouterr().out
    assert "另一次换模正在进行" in shown
    assert "process " in shown


def test_runs_are_registered_listed_and_promoted(
    home: Path, bundle: Bundle, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(bundle)
    for folder in (run, run / "bundle"):
        assert _run("register", str(folder)) == 0
    scenario = bundle.scenario.id
    assert _run("promote", scenario, "1", "--reason", "首次启用") == 0
    assert _run("models", scenario) == 0
    shown = capsys.readouterr().out
    assert shown.count(f"registered: {scenario} version 1") == 2
    assert "champion" in shown
    rows = Lake.open(home / "lake").scan("promotion").collect().to_dicts()
    assert [(row["version"], row["promoted"], row["reasons"]) for row in rows] == [
        (1, True, "首次启用")
    ]


@pytest.mark.usefixtures("home")
def test_what_is_no_run_and_a_reason_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bundle/manifest\.json"):
        _run("register", str(tmp_path))
    with pytest.raises(ConfigError, match="--reason is empty"):
        _run("promote", "food_safety", "1", "--reason", " ")


@pytest.mark.usefixtures("home")
def test_wrong_limits_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text("gain: 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"limits\.yaml:1"):
        _run("retrain", "food_safety", "--limits", str(path))


def test_a_run_that_was_registered_keeps_its_figures(
    home: Path, bundle: Bundle, make_run: MakeRun
) -> None:
    _run("register", str(make_run(bundle)))
    registry = Registry(f"sqlite:///{home}/mlflow/mlflow.db", home / "mlflow" / "artifacts")
    one = registry.find(bundle.scenario.id, 1)
    with registry._client() as client:
        metrics = client.get_run(one.run_id).data.metrics
    assert json.loads(json.dumps(metrics)) == dict(bundle.manifest.metrics)
