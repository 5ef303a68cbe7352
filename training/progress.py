"""Progress of anything that may take longer than two seconds.

On a terminal a bar appears once the work has lasted that long; elsewhere a line is logged at
intervals, so that a nightly job's log tells how far it came. Both go to standard error.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from models.logs import logger

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """When progress is shown, in seconds."""

    after: float = 2.0
    """How long work lasts before anything is shown."""
    every: float = 10.0
    """How far apart logged lines are, where there is no terminal."""


PACE = Pace()


@contextmanager
def progress(
    title: str,
    total: int | None = None,
    *,
    stream: TextIO | None = None,
    pace: Pace = PACE,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Advance]:
    """Show how far a piece of work is; the yielded function says how much more is done.

    Args:
        title: What is being done, in a few words.
        total: How many units there are; ``None`` where it is not known beforehand.
        stream: Where a bar is drawn if it is a terminal; standard error by default.
        pace: When something is shown.
        clock: Seconds from any fixed point.
    """
    out = sys.stderr if stream is None else stream
    if out.isatty():
        with _bar(title, total, out, pace) as advance:
            yield advance
    else:
        with _lines(title, total, pace, clock) as advance:
            yield advance


@contextmanager
def _bar(title: str, total: int | None, out: TextIO, pace: Pace) -> Generator[Advance]:
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=out),
        transient=True,
    )
    task = bar.add_task(title, total=total)
    # A timer, so that the bar also appears while the first unit is still being worked on.
    appear = threading.Timer(pace.after, bar.start)
    appear.daemon = True
    appear.start()
    try:
        yield lambda units: bar.advance(task, units)
    finally:
        appear.cancel()
        appear.join()
        bar.stop()


@contextmanager
def _lines(
    title: str, total: int | None, pace: Pace, clock: Callable[[], float]
) -> Generator[Advance]:
    log = logger(__name__)
    begun = clock()
    done = 0
    shown_at = begun + pace.after - pace.every

    def advance(units: int) -> None:
        nonlocal done, shown_at
        done += units
        now = clock()
        if now - shown_at >= pace.every:
            shown_at = now
            log.info("progress", of=title, done=done, total=total, seconds=round(now - begun, 1))

    yield advance
    lasted = clock() - begun
    if lasted >= pace.after:
        log.info("finished", of=title, done=done, seconds=round(lasted, 1))
