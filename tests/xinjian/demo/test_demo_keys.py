from __future__ import annotations

import shlex
import subprocess
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from serving.ledger.engine import Ledger
from serving.service import Service, now
from serving.settings import ServeSettings
from xinjian.demo.inspection import keys
from xinjian.demo.plan import Demo
from xinjian.demo.services import Process, Running
from xinjian.demo.shown import page


@pytest.fixture
def service(tmp_path: Path, database: str, ledger: Ledger) -> Generator[Service]:
    """Return a service over an empty ledger."""
    del ledger
    settings = ServeSettings.model_validate({"home": tmp_path / "home", "database_url": database})
    opened = Service.open(settings)
    yield opened
    opened.close()


def test_keys_are_made_once_and_only_the_user_may_read_them(
    service: Service, tmp_path: Path
) -> None:
    made = keys(service, tmp_path)
    assert set(made) == {"drafter", "chief", "reader"}
    assert keys(service, tmp_path) == made
    assert {one.stat().st_mode & 0o777 for one in tmp_path.glob("*.key")} == {0o600}


@pytest.mark.parametrize("text", ["", "xk_0123456789abcdef_" + "a" * 43, "half a k"])
def test_a_key_that_is_none_is_made_anew(service: Service, tmp_path: Path, text: str) -> None:
    """As whoever was killed while it was written left it, or another ledger's."""
    made = keys(service, tmp_path)
    (tmp_path / "reader.key").write_text(text)
    again = keys(service, tmp_path)
    assert again["reader"] not in {text, made["reader"]}
    assert again["chief"] == made["chief"]
    assert (tmp_path / "reader.key").read_text() == again["reader"]
    assert (tmp_path / "reader.key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_about_to_end_is_made_anew(service: Service, tmp_path: Path) -> None:
    made = keys(service, tmp_path)
    later = Service.open(service.settings, clock=lambda: now() + timedelta(days=6, hours=12))
    assert not set(keys(later, tmp_path).values()) & set(made.values())
    later.close()


def test_what_is_shown_is_one_word_to_a_shell_whatever_the_home_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def drawn(_: str) -> str:
        return "91210100MA0000001X"

    monkeypatch.setattr("xinjian.demo.shown._drawn", drawn)
    home = tmp_path / "一 个$省'份"
    demo = Demo(shown="", steps=(), scenarios=(), drawn_by="town")
    nobody = Process(number=1, began=0)
    told = page(
        demo,
        ServeSettings.model_validate({"home": home}),
        Running(port=8000, api=nobody, worker=nobody),
    )
    folder = home / "demo"
    folder.mkdir(parents=True)
    (folder / "reader.key").write_text("the key")
    (tmp_path / "curl").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "curl").chmod(0o755)
    asked = [line for line in told.splitlines() if line.startswith("  curl")]
    assert len(asked) == 3
    for line in asked:
        assert "X-API-Key: the key\n" in shell(line, tmp_path)
    (stop,) = [line for line in told.splitlines() if line.endswith("demo stop")]
    home_of, *_ = shlex.split(stop.partition("stop ")[2])
    assert home_of == f"XINJIAN_HOME={home}"


def shell(line: str, programs: Path) -> str:
    """Return what a shell says to a line."""
    path = {"PATH": f"{programs}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", line], env=path, capture_output=True, text=True, check=True)
    return done.stdout
