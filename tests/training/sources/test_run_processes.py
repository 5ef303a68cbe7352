"""Imports as processes: killed, side by side, and where the disk says no."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.codes.uscc import make_uscc
from models.records.bookkeeping import IMPORT_RUN, QUARANTINE
from models.records.lake import Lake
from tests.training.sources.world import World
from xinjian.cli import main

CODES = [make_uscc("91", "210102", body=f"MA{n:06d}") for n in range(40)]
ENVIRONMENT = os.environ | {"XINJIAN_BUCKETS": "4", "PYTHONPATH": str(Path(__file__).parents[3])}
HEAD = "处罚决定书文号,统一社会信用代码,处罚决定日期,处罚内容,罚款金额\n"
FILES = 4
ROWS = 3000
MAPPING = """
sources:
  - id: penalty
    target: penalty
    files: ["penalty*.csv"]
    constants: {authority: 沈阳市市场监督管理局}
    known_at: {after: happened_on, days: 1}
"""


def day(number: int) -> str:
    return "2024-01-05" if number % 10 else "昨天"


def write(world: World, first: int = 0, name: str = "penalty") -> None:
    """Write files whose every tenth row is refused; numbers run on from ``first``."""
    for file in range(FILES):
        numbers = range(first + file * ROWS, first + (file + 1) * ROWS)
        rows = (f"沈罚{n}号,{CODES[n % len(CODES)]},{day(n)},罚款{n}元,{n}\n" for n in numbers)
        world.write(f"{name}{file}.csv", HEAD + "".join(rows))
    world.write(f"{name}.yaml", MAPPING.replace("penalty*", f"{name}*"))


def command(world: World, name: str = "penalty", lake: str = "lake") -> list[str]:
    data = ["data", "import", str(world.folder / f"{name}.yaml")]
    return [sys.executable, "-m", "xinjian", *data, "--lake", str(world.folder / lake)]


def start(words: list[str], world: World) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(words, cwd=world.folder, env=ENVIRONMENT, stdout=quiet, stderr=quiet)


def run(words: list[str], world: World) -> None:
    done = subprocess.run(
        words, cwd=world.folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def whole(world: World, lake: str = "lake", rows: int = FILES * ROWS) -> bool:
    """Tell whether every row is there exactly once."""
    held = Lake.open(world.folder / lake)
    good = held.scan("penalty").select("record_id", "document_number").collect()
    bad = held.scan(QUARANTINE).select("file", "line", "rule").collect()
    assert good["record_id"].is_unique().all()
    assert bad.is_unique().all()
    return (good.height, good["document_number"].n_unique(), bad.height) == (
        rows * 9 // 10,
        rows * 9 // 10,
        rows // 10,
    )


def killed(world: World, moments: int, seed: int) -> None:
    """Kill an import at random moments, then let one run to its end."""
    write(world)
    begun = time.monotonic()
    run(command(world, lake="undisturbed"), world)
    lasts = time.monotonic() - begun
    assert whole(world, "undisturbed")
    chance = random.Random(seed)
    for _ in range(moments):
        process = start(command(world), world)
        time.sleep(chance.uniform(0.3 * lasts, lasts))
        process.kill()
        process.wait()
    run(command(world), world)
    assert whole(world)
    versions = Lake.open(world.folder / "lake").versions()
    run(command(world), world)
    after = Lake.open(world.folder / "lake").versions()
    assert {**after, IMPORT_RUN: 0} == {**versions, IMPORT_RUN: 0}


def test_a_killed_import_is_completed_exactly_once(world: World) -> None:
    killed(world, moments=2, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_an_often_killed_import_is_completed_exactly_once(seed: int, world: World) -> None:
    killed(world, moments=8, seed=seed)


def test_imports_side_by_side_end_exact(world: World) -> None:
    write(world)
    write(world, first=2 * ROWS, name="overlap")
    processes = [start(command(world, name), world) for name in ("penalty", "overlap")]
    assert [process.wait() for process in processes] == [0, 0]
    held = Lake.open(world.folder / "lake")
    good = held.scan("penalty").select("record_id", "document_number").collect()
    numbers = [n for n in range(6 * ROWS) if n % 10]
    assert good.height == good["record_id"].n_unique() == len(numbers)
    assert set(good["document_number"]) == {f"沈罚{n}号" for n in numbers}
    # Two files of each mapping have the same content, and so the same entries.
    assert held.rows(QUARANTINE) == 6 * ROWS // 10
    assert held.rows(IMPORT_RUN) == 2


# What a user sees


@pytest.fixture
def quiet_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restored_logging: None) -> None:
    del restored_logging
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "home"))


@pytest.mark.usefixtures("quiet_home")
def test_a_lake_that_cannot_be_written_is_a_clear_error(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    write(world)
    place = world.write("file", "x") / "lake"
    assert main(["data", "import", str(world.folder / "penalty.yaml"), "--lake", str(place)]) == 2
    said = capfd.readouterr().err
    assert "file/lake" in said
    assert "Traceback" not in said


@pytest.mark.usefixtures("quiet_home")
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("penalty0.csv", b"", "penalty0.csv: the file is empty"),
        ("penalty0.csv", b"\xff\xff\xff", "neither UTF-8 nor GB18030"),
        ("penalty.yaml", MAPPING.replace("files", "flies").encode(), "did you mean 'files'?"),
        ("penalty.yaml", MAPPING.replace("target: penalty", "target: a.yaml").encode(), "a.yaml"),
    ],
)
def test_faults_of_files_end_with_two_and_one_line(
    name: str, content: bytes, message: str, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    write(world)
    world.write(name, content)
    lake = str(world.folder / "lake")
    assert main(["data", "import", str(world.folder / "penalty.yaml"), "--lake", lake]) == 2
    said = capfd.readouterr().err
    assert message in said
    assert "Traceback" not in said


def small_disk() -> None:
    """Refuse files of more than 16 KiB, as a full disk would."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, 1 << 14))


def test_a_full_disk_is_a_clear_error_and_nothing_is_half_done(world: World) -> None:
    write(world)
    done = subprocess.run(
        command(world),
        cwd=world.folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=small_disk,
    )
    assert done.returncode == 2, done.stderr
    assert "nothing of this write was kept" in done.stderr
    assert "Traceback" not in done.stderr
    run(command(world), world)
    assert whole(world)
