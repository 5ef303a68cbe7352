from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import ConfigError, LedgerError
from serving.cycle.alone import alone
from serving.settings import ServeSettings
from xinjian.cli import main
from xinjian.demo.home import claim

SHOWN = "synthetic --subjects 6000 --seed 7"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServeSettings:
    """Return settings of a home that is not there yet, whatever the environment says."""
    for name in ("DATABASE_URL", "LAKE_URL", "TRACKING_URI"):
        monkeypatch.delenv(f"XINJIAN_{name}", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "home"))
    return ServeSettings.load()


def test_a_home_that_is_free_is_taken_and_known_again(settings: ServeSettings) -> None:
    claim(settings, SHOWN)
    (settings.home / "lake").mkdir()
    claim(settings, SHOWN)


def test_another_demonstration_is_not_shown_in_the_same_home(settings: ServeSettings) -> None:
    claim(settings, "real a slip of the pen")
    claim(settings, SHOWN)
    (settings.home / "province").mkdir()
    with pytest.raises(ConfigError, match=f"shows '{SHOWN}' already, not 'real tables'"):
        claim(settings, "real tables")


@pytest.mark.parametrize("name", ["lake", "province", "postgres", "mlflow"])
def test_nothing_made_up_gets_into_a_home_that_is_in_use(
    settings: ServeSettings, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = settings.home / name / "kept.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("somebody's work", encoding="utf-8")
    assert main(["demo", "synthetic"]) == 2
    assert f"holds {name} already" in capsys.readouterr().err
    assert kept.read_text(encoding="utf-8") == "somebody's work"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XINJIAN_LAKE_URL", "s3://province/lake"),
        ("XINJIAN_TRACKING_URI", "https://mlflow.example.cn"),
        ("MLFLOW_TRACKING_URI", "https://mlflow.example.cn"),
    ],
)
def test_nothing_made_up_gets_into_a_lake_or_a_registry_of_elsewhere(
    settings: ServeSettings, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    del settings
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"unset .*{name}"):
        claim(ServeSettings.load(), SHOWN)


@pytest.mark.usefixtures("ledger")
def test_nothing_made_up_gets_into_a_ledger_that_is_in_use(
    settings: ServeSettings, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    monkeypatch.setenv("XINJIAN_DATABASE_URL", database)
    with pytest.raises(ConfigError, match="names a ledger in use"):
        claim(ServeSettings.load(), SHOWN)
    assert not settings.home.exists()


def test_a_home_in_which_no_ledger_can_be_made_is_refused_before_anything_is(
    tmp_path: Path, settings: ServeSettings
) -> None:
    del settings
    spaced = ServeSettings.model_validate({"home": tmp_path / "a home"})
    with pytest.raises(LedgerError, match="may hold letters, digits"):
        claim(spaced, SHOWN)
    claim(ServeSettings.model_validate({"home": tmp_path / "家"}), SHOWN)


def test_two_at_once_are_one_too_many(
    settings: ServeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone(settings.home / "demo" / ".lock"):
        assert main(["demo", "synthetic"]) == 2
    assert "is at work here" in capsys.readouterr().err


@pytest.mark.parametrize("many", ["0", "-1", "2000", "abc", "1e5"])
def test_a_province_too_small_to_learn_from_is_refused_at_once(
    settings: ServeSettings, many: str
) -> None:
    assert main(["demo", "synthetic", f"--subjects={many}"]) == 2
    assert not settings.home.exists()
