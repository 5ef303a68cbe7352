from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import ConfigError
from xinjian.cli import main
from xinjian.demo import services


def test_nothing_runs_where_nothing_was_started(tmp_path: Path) -> None:
    assert services.running(tmp_path) is None
    assert not services.stop(tmp_path)


def test_another_programs_process_is_never_taken_for_ours(tmp_path: Path) -> None:
    """A number may have been given to another program since."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        kept = {"port": 1, "api": other.pid, "worker": other.pid}
        (tmp_path / "services.json").write_text(json.dumps(kept), encoding="utf-8")
        assert services.running(tmp_path) is None
        assert not services.stop(tmp_path)
        assert other.poll() is None
        other.communicate(b"\n")


def test_a_service_that_does_not_begin_is_told_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XINJIAN_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("XINJIAN_DATABASE_WAIT", "1")
    with pytest.raises(ConfigError, match=r"api\.log says why"):
        services.start(tmp_path, port=39000 + os.getpid() % 1000)
    assert services.running(tmp_path) is None


def test_a_taken_port_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def refuse(words: list[str], log: Path) -> subprocess.Popen[bytes]:
        asked.append(words)
        raise ConfigError(str(log))

    monkeypatch.setattr(services, "_started", refuse)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError):
            services.start(tmp_path, port=port)
    assert f"--port={port}" not in asked[0]


def test_a_folder_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "real", str(tmp_path / "tables")]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_stopping_nothing_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path))
    assert main(["demo", "stop"]) == 0
    assert "nothing is running" in capsys.readouterr().out
