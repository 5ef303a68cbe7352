"""How many threads a process computes with: one where it answers, all where a job has it alone.

Processes that answer are as many as there are processors, and what each computes is small: pools of
threads in each of them would only fight. The libraries read this when they are imported, so it is
set before that.
"""

from __future__ import annotations

import os
from typing import Final

_NAMES: Final = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_OURS: Final = "XINJIAN_ONE_THREAD"
"""Names that we set ourselves, for the jobs that are started with the environment."""


def one_each() -> None:
    """Let this process compute with one thread, unless its environment says how many."""
    ours = [name for name in _NAMES if name not in os.environ]
    os.environ.update(dict.fromkeys(ours, "1"))
    os.environ[_OURS] = " ".join([*os.environ.get(_OURS, "").split(), *ours])


def of_a_job() -> dict[str, str]:
    """Return the environment for a process that has a job alone, without what we set."""
    ours = {_OURS, *os.environ.get(_OURS, "").split()}
    return {name: value for name, value in os.environ.items() if name not in ours}
