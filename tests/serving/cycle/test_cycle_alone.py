from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import ConfigError
from serving.cycle.alone import alone, writing


def test_of_two_the_second_is_told_who_is_at_work(tmp_path: Path) -> None:
    with (
        alone(tmp_path / "lock"),
        pytest.raises(ConfigError, match=r"process \d+ on .* is at work here"),
        alone(tmp_path / "lock"),
    ):
        pytest.fail("both held it")


def test_the_lock_is_free_again_and_its_folder_is_made(tmp_path: Path) -> None:
    for _ in range(2):
        with alone(tmp_path / "new" / "lock"):
            pass


def test_a_process_that_outlives_whoever_began_it_still_holds_the_lock(tmp_path: Path) -> None:
    with alone(tmp_path / "lock") as held:
        command = [sys.executable, "-c", "input()"]
        other = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[held])
    with other:
        with pytest.raises(ConfigError, match="or what it began"), alone(tmp_path / "lock"):
            pytest.fail("both held it")
        other.communicate(b"\n")
    with alone(tmp_path / "lock"):
        pass


def test_a_lock_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with (
        pytest.raises(ConfigError, match="cannot be written: File exists"),
        alone(tmp_path / "file" / "lock"),
    ):
        pytest.fail("it held a lock in a file")


def test_a_full_disk_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No space left on device; make room"), writing(tmp_path):
        raise OSError(28, "No space left on device")
