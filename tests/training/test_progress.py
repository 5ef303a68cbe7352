from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from training.progress import Pace, progress

pytestmark = pytest.mark.usefixtures("restored_logging")


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _steps(clock: Clock, seconds: float, count: int) -> Iterator[None]:
    for _ in range(count):
        clock.now += seconds
        yield


def test_short_work_logs_nothing() -> None:
    clock = Clock()
    with (
        capture_logs() as lines,
        progress("import", 3, stream=io.StringIO(), clock=clock) as advance,
    ):
        for _ in _steps(clock, 0.5, 3):
            advance(1)
    assert lines == []


def test_long_work_logs_after_two_seconds_then_at_intervals() -> None:
    clock = Clock()
    with (
        capture_logs() as lines,
        progress("import", 30, stream=io.StringIO(), clock=clock) as advance,
    ):
        for _ in _steps(clock, 1.0, 30):
            advance(1)
    shown = [(line["event"], line["done"]) for line in lines]
    assert shown == [
        ("progress", 2),
        ("progress", 12),
        ("progress", 22),
        ("finished", 30),
    ]
    assert {line["of"] for line in lines} == {"import"}


def test_work_that_fails_is_not_called_finished() -> None:
    clock = Clock()

    def work() -> None:
        with progress("import", 30, stream=io.StringIO(), clock=clock) as advance:
            for _ in _steps(clock, 1.0, 5):
                advance(1)
            raise ValueError

    with capture_logs() as lines, pytest.raises(ValueError, match=r"^$"):
        work()
    assert [line["event"] for line in lines] == ["progress"]


def test_a_bar_appears_on_a_terminal_even_before_the_first_unit_is_done(
    terminal: io.StringIO,
) -> None:
    with progress("导入", 10, stream=terminal, pace=Pace(after=0.01)) as advance:
        deadline = time.monotonic() + 20
        while "导入" not in terminal.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        advance(10)
    assert "导入" in terminal.getvalue()
    assert "10/10" in terminal.getvalue()


def test_short_work_draws_nothing_on_a_terminal(terminal: io.StringIO) -> None:
    with progress("导入", 10, stream=terminal, pace=Pace(after=60)) as advance:
        advance(10)
    assert terminal.getvalue() == ""


def test_the_total_may_be_unknown(terminal: io.StringIO) -> None:
    with progress("读取", stream=terminal, pace=Pace(after=0.0)) as advance:
        advance(7)
        time.sleep(0.3)
    assert "7/?" in terminal.getvalue()
