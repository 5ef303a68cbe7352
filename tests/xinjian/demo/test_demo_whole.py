from __future__ import annotations

import re
import socket
import time
from collections.abc import Generator
from pathlib import Path

import httpx2
import pytest

from xinjian.cli import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Return a home of its own with a port that nobody has; what was started is stopped."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XINJIAN_PORT", str(port))
    monkeypatch.setenv("XINJIAN_LOG_LEVEL", "error")
    monkeypatch.delenv("XINJIAN_DATABASE_URL", raising=False)
    yield tmp_path / "home"
    main(["demo", "stop"])


@pytest.mark.slow
def test_everything_is_shown_and_going_on_does_nothing_twice(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "synthetic", "--subjects=6000"]
    assert main(words) == 0
    told = capfd.readouterr().out
    key = {"X-API-Key": (home / "demo" / "reader.key").read_text()}
    assert ((home / "demo" / "reader.key").stat().st_mode & 0o777) == 0o600
    for line in re.findall(r"^  curl .*$", told, flags=re.MULTILINE):
        (address,) = re.findall(r"'(http[^']+)'", line)
        body = re.findall(r"--json '([^']+)'", line)
        answer = (
            httpx2.post(
                address,
                content=body[0],
                headers={**key, "Content-Type": "application/json"},
                timeout=60,
            )
            if body
            else httpx2.get(address, headers=key, timeout=60)
        )
        assert answer.status_code == 200, (line, answer.text)
        assert answer.json()
    cards = re.findall(r"model card +(.+)", told)
    assert len(cards) == 3
    assert all(Path(one).is_file() for one in cards)
    start = time.monotonic()
    assert main(words) == 0
    assert time.monotonic() - start < 30
    assert "curl" in capfd.readouterr().out
    assert main(["demo", "stop"]) == 0
    assert not (home / "postgres" / "postmaster.pid").exists(), "the last to end stops it"
