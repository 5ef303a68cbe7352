from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from training.retrain.lock import locked

HOLDER = """
import sys, time
from pathlib import Path
from training.retrain.lock import locked
with locked(Path(sys.argv[1])) as holder:
    print(holder, flush=True)
    time.sleep(60)
"""


def test_the_second_learns_who_has_it_and_the_next_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "town" / "lock"
    for _ in range(2):
        with locked(path) as holder:
            assert holder is None
            with locked(path) as other:
                assert other is not None
                assert other.startswith("process ")


def test_a_killed_process_leaves_nothing_to_clean_up(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], cwd=root, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "None\n"
        with locked(path) as holder:
            assert holder is not None
            assert f"process {process.pid} " in holder
        process.send_signal(signal.SIGKILL)
        process.wait()
    with locked(path) as holder:
        assert holder is None
