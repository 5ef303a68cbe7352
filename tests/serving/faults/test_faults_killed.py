"""A run over everybody whose process is killed, again and again: each is decided once."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Generator
from pathlib import Path

import pytest
from sqlalchemy import text

from serving.service import Service
from tests.serving import village

pytestmark = pytest.mark.slow

RUN = """
    import sys
    from pathlib import Path
    from serving.runtime import batch
    from serving.service import Service
    from tests.serving import village

    batch.PART = 20
    service = Service.open(village.settings(Path(sys.argv[1]), sys.argv[2]), clock=village.Clock())
    service.runtime.refresh()
    told = lambda done, total: print(done, flush=True)
    batch.score_all(service, village.SCENARIO, advance=told)
    print("whole", flush=True)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    village.furnish(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def running(home: Path, database: str) -> Generator[Service]:
    opened = Service.open(village.settings(home, database), clock=village.Clock())
    yield opened
    opened.close()


def started(home: Path, database: str, root: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", textwrap.dedent(RUN), str(home), database]
    return subprocess.Popen(words, cwd=root, stdout=subprocess.PIPE, text=True)


def killed_after(process: subprocess.Popen[str], parts: int) -> list[str]:
    """Kill a run that has told of so many parts, and return all that it told."""
    assert process.stdout is not None
    told: list[str] = []
    while sum(one.isdigit() for one in told) < parts:
        told.append(process.stdout.readline().strip())
        assert process.poll() is None or told[-1]
    process.kill()
    told += process.stdout.read().split()
    process.stdout.close()
    process.wait()
    return told


def counted(service: Service, asked: str) -> int:
    with service.ledger.begin() as connection:
        return connection.execute(text(asked)).scalar_one()


def test_a_run_that_is_killed_and_gone_on_with_by_two_decides_everybody_once(
    running: Service, home: Path, database: str, root: Path
) -> None:
    for parts in (2, 1):
        told = killed_after(started(home, database, root), parts)
        assert "whole" not in told
    some = counted(running, "select count(*) from decision")
    assert 40 <= some < len(village.KNOWN), "what was told of was kept"
    # A worker that was killed leaves its run to another, and may not have been the only one.
    both = [started(home, database, root) for _ in range(2)]
    ends = [process.communicate(timeout=300)[0].split()[-1] for process in both]
    assert "whole" in ends
    assert counted(running, "select count(*) from decision") == len(village.KNOWN)
    assert counted(running, "select count(distinct subject_id) from decision") == len(village.KNOWN)
    warned = counted(running, "select count(*) from decision where warn")
    assert warned > 0
    assert counted(running, "select count(*) from change where kind = 'decision'") == warned
    twice = "select count(*) from (select 1 from warning group by decision having count(*) > 1) t"
    assert counted(running, twice) == 0
    assert counted(running, "select count(*) from warning") == warned
