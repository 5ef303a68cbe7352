from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.errors import ConfigError
from models.settings import Settings, variable


def test_everything_has_a_default() -> None:
    settings = Settings.load()
    assert settings.home == Path("var")
    assert settings.lake == "var/lake"
    assert settings.storage == {}
    assert settings.buckets == 64


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XINJIAN_HOME", "/srv/credit")
    monkeypatch.setenv("XINJIAN_BUCKETS", "128")
    monkeypatch.setenv("XINJIAN_DEBUG", "1")
    settings = Settings.load()
    assert (settings.home, settings.buckets, settings.debug) == (Path("/srv/credit"), 128, True)
    assert settings.lake == "/srv/credit/lake"


def test_home_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XINJIAN_HOME", "~/credit")
    assert Settings.load().home == tmp_path / "credit"


@pytest.mark.parametrize("url", ["s3://bucket/lake", "/srv/lake", "relative/lake"])
def test_lake_url_wins_over_home(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XINJIAN_HOME", "/srv/credit")
    monkeypatch.setenv("XINJIAN_LAKE_URL", url)
    assert Settings.load().lake == url


def test_an_empty_lake_url_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XINJIAN_LAKE_URL", " ")
    assert Settings.load().lake == "var/lake"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("XINJIAN_BUCKETS", "0", "greater than or equal to 1"),
        ("XINJIAN_BUCKETS", "many", "valid integer"),
        ("XINJIAN_LOG_FORMAT", "xml", "'auto', 'console' or 'json'"),
        ("XINJIAN_LOG_LEVEL", "loud", "'debug'"),
        ("XINJIAN_DEBUG", "perhaps", "valid boolean"),
        ("XINJIAN_LAKE_URL", "ftp://host/lake", "s3://bucket/prefix"),
        ("XINJIAN_LAKE_URL", "s3://", "s3://bucket/prefix"),
    ],
)
def test_a_bad_value_is_named_with_its_rule(
    name: str, value: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        Settings.load()
    message = str(caught.value)
    assert message.startswith(f"{name}={value!r}: ")
    assert rule in message
    assert "unset it" in message


def test_every_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XINJIAN_BUCKETS", "0")
    monkeypatch.setenv("XINJIAN_DEBUG", "perhaps")
    with pytest.raises(ConfigError, match=r"(?s)XINJIAN_BUCKETS.*XINJIAN_DEBUG"):
        Settings.load()


@given(st.sampled_from(["AUTO", "Console", "json"]))
def test_words_may_be_in_any_case(word: str) -> None:
    assert Settings.model_validate({"log_format": word}).log_format == word.lower()


def test_storage_options_are_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"aws_secret_access_key": "hunter2", "aws_region": "cn"}
    monkeypatch.setenv("XINJIAN_STORAGE_OPTIONS", json.dumps(options))
    settings = Settings.load()
    assert settings.storage == options
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize("value", ["hunter2", '{"key": {"nested": "hunter2"}}', '["hunter2"]'])
def test_bad_storage_options_stay_secret(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XINJIAN_STORAGE_OPTIONS", value)
    with pytest.raises(ConfigError, match="XINJIAN_STORAGE_OPTIONS") as caught:
        Settings.load()
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__}"


def test_the_tracker_is_a_file_under_home_unless_an_address_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XINJIAN_HOME", "/srv/credit")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert Settings.load().tracker == "sqlite:////srv/credit/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert Settings.load().tracker == "http://tracker:5000"
    monkeypatch.setenv("XINJIAN_TRACKING_URI", "postgresql+psycopg://tracker/mlflow")
    assert Settings.load().tracker == "postgresql+psycopg://tracker/mlflow"
    monkeypatch.setenv("XINJIAN_TRACKING_URI", " ")
    assert Settings.load().tracker.startswith("sqlite:")


def test_the_trackers_password_stays_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://user:hunter2@tracker/mlflow")
    settings = Settings.load()
    assert "hunter2" not in f"{settings!r} {settings.model_dump_json()}"


@pytest.mark.parametrize("name", ["XINJIAN_TRACKING_URI", "MLFLOW_TRACKING_URI"])
def test_a_bad_tracker_is_named_by_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv(name, "ftp://user:hunter2@tracker")
    with pytest.raises(ConfigError, match=rf"{name}.*: must begin with one of http://") as caught:
        Settings.load()
    assert "hunter2" not in str(caught.value)


def test_settings_do_not_change() -> None:
    settings = Settings.load()
    with pytest.raises(ValidationError, match="frozen"):
        settings.buckets = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_every_setting_says_what_it_is() -> None:
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert silent == []


def test_the_variable_of_a_setting() -> None:
    assert variable("lake_url") == "XINJIAN_LAKE_URL"
