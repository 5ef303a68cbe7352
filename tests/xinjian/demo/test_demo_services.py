from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from models.errors import ConfigError
from xinjian.cli import main
from xinjian.demo import services


def test_nothing_runs_where_nothing_was_started(tmp_path: Path) -> None:
    assert services.running(tmp_path) is None
    assert not services.stop(tmp_path)


@pytest.fixture
def other() -> Generator[subprocess.Popen[bytes]]:
    """Yield a process of another program, which names our command."""
    command = [sys.executable, "-c", "input()", "xinjian", "serve", "api"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process
        process.communicate(b"\n")


def keep(folder: Path, number: int, began: int) -> None:
    one = {"number": number, "began": began}
    kept = {"port": 1, "api": one, "worker": one}
    (folder / "services.json").write_text(json.dumps(kept), encoding="utf-8")


def test_another_programs_process_is_never_taken_for_ours(
    other: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """A number may have been given to another program since, even to a Xinjian of elsewhere."""
    keep(tmp_path, other.pid, began=1)
    assert services.running(tmp_path) is None
    assert not services.stop(tmp_path)
    assert other.poll() is None
    assert not (tmp_path / "services.json").exists()


def test_what_was_started_is_found_and_stopped(tmp_path: Path) -> None:
    sleep = [sys.executable, "-c", "input()"]
    with subprocess.Popen(sleep, stdin=subprocess.PIPE) as process:
        began = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        keep(tmp_path, process.pid, began)
        assert services.running(tmp_path) is not None
        assert services.stop(tmp_path)
        assert process.wait(5) == -signal.SIGTERM


def test_an_api_without_its_worker_is_stopped_and_not_taken_for_running(
    other: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """As whoever was killed between the two left it."""
    keep(tmp_path, other.pid, began=1)
    told = json.loads((tmp_path / "services.json").read_text()) | {"worker": None}
    (tmp_path / "services.json").write_text(json.dumps(told))
    assert services.running(tmp_path) is None
    assert not services.stop(tmp_path)


@pytest.mark.parametrize("text", ["", '{"port": 80', "[]", '{"port": 1, "api": 2, "worker": 3}'])
def test_a_file_that_tells_nothing_is_refused_with_the_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / "services.json").write_text(text)
    with pytest.raises(ConfigError, match="then remove the file"):
        services.stop(tmp_path)


def test_a_process_that_does_not_end_is_told_and_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_STOPPED", 0.3)
    script = "import signal; signal.signal(signal.SIGTERM, lambda *_: None); print(flush=True)"
    stubborn = [sys.executable, "-c", f"{script}; [input() for _ in range(9)]"]
    with subprocess.Popen(stubborn, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        began = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        keep(tmp_path, process.pid, began)
        with pytest.raises(ConfigError, match=f"processes {process.pid}, {process.pid} have not"):
            services.stop(tmp_path)
        assert services.running(tmp_path) is not None
        process.kill()


def test_a_service_that_does_not_begin_is_told_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XINJIAN_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("XINJIAN_DATABASE_WAIT", "1")
    with pytest.raises(ConfigError, match=r"api\.log says why"):
        services.start(tmp_path, port=39000 + os.getpid() % 1000)
    assert services.running(tmp_path) is None
    assert (tmp_path / "api.log").stat().st_mode & 0o077 == 0, "the token for accounts is in it"


def test_the_last_ports_are_tried_and_none_behind_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(_: socket.socket, address: tuple[str, int]) -> int:
        assert address[1] <= 65_535
        return 0

    monkeypatch.setattr(socket.socket, "connect_ex", taken)
    with pytest.raises(ConfigError, match="ports 65500 to 65535 are all taken"):
        services.start(tmp_path, port=65_500)


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
