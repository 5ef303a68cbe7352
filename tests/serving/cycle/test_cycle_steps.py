from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.errors import ConfigError
from serving.cycle.alone import alone
from serving.cycle.steps import (
    JOURNAL,
    LOCK,
    Step,
    Told,
    carry_out,
    journal,
    stopped_by_signals,
    whole,
)
from serving.jobs import process
from serving.jobs.process import Ended

AT = datetime(2026, 11, 22, tzinfo=UTC)


class Commands:
    """Stands for the processes: says how each command ends, and what was run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[str] = []
        self.codes: dict[str, int] = {}
        self.stopped_in: str | None = None
        self.error: OSError | None = None
        monkeypatch.setattr(process, "run", self)

    def __call__(self, words: tuple[str, ...], *_: object, **__: object) -> Ended:
        if self.error is not None:
            raise self.error
        self.ran.append(words[0])
        stopped = words[0] == self.stopped_in
        return Ended(self.codes.get(words[0], 0), f"{words[0]} was run", stopped)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(monkeypatch)


def step(name: str, *needs: str, fine: frozenset[int] = frozenset({0})) -> Step:
    return Step(name, name.upper(), (name,), fine=fine, needs=needs)


def done(steps: list[Step], folder: Path) -> list[Told]:
    return carry_out(steps, folder, clock=lambda: AT, stop=threading.Event().wait)


def test_steps_are_done_in_order_and_once(commands: Commands, tmp_path: Path) -> None:
    steps = [step("a"), step("b", "a")]
    assert whole(done(steps, tmp_path))
    assert whole(done(steps, tmp_path))
    assert commands.ran == ["a", "b"]


def test_what_failed_is_tried_again_and_what_needs_it_waits(
    commands: Commands, tmp_path: Path
) -> None:
    commands.codes["a"] = 1
    steps = [step("a"), step("b", "a"), step("c")]
    told = {one.name: one for one in done(steps, tmp_path)}
    assert [told[name].state for name in "abc"] == ["failed", "left_out", "done"]
    assert "needs a" in told["b"].said
    commands.codes.clear()
    assert whole(done(steps, tmp_path))
    assert commands.ran == ["a", "c", "a", "b"]


def test_a_verdict_is_no_failure(commands: Commands, tmp_path: Path) -> None:
    commands.codes["a"] = 10
    (told,) = done([step("a", fine=frozenset({0, 10}))], tmp_path)
    assert (told.state, told.code) == ("done", 10)


def test_a_stop_ends_everything_and_the_next_run_goes_on(
    commands: Commands, tmp_path: Path
) -> None:
    commands.stopped_in = "b"
    steps = [step("a"), step("b"), step("c")]
    assert [one.state for one in done(steps, tmp_path)] == ["done", "stopped"]
    commands.stopped_in = None
    assert whole(done(steps, tmp_path))
    assert commands.ran == ["a", "b", "b", "c"]


def test_a_broken_journal_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigError, match="move the folder away"):
        journal(tmp_path)


def test_a_real_command_leaves_its_log_and_its_last_words(tmp_path: Path) -> None:
    steps = [
        Step("right", "对", ("scenario", "schema")),
        Step("wrong", "错", ("scenario", "show", "no_such_scenario")),
    ]
    right, wrong = done(steps, tmp_path)
    assert (right.state, right.code) == ("done", 0)
    assert (wrong.state, wrong.code) == ("failed", 2)
    assert "no_such_scenario" in wrong.said
    assert "no_such_scenario" in (tmp_path / "02-wrong.log").read_text(encoding="utf-8")


def test_of_two_runs_at_once_the_second_does_nothing(commands: Commands, tmp_path: Path) -> None:
    with alone(tmp_path / LOCK), pytest.raises(ConfigError, match="is at work here"):
        done([step("a")], tmp_path)
    assert commands.ran == []
    assert journal(tmp_path) == {}


def test_a_step_holds_the_lock_with_whoever_began_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Killed, a run leaves its step at work: the next one must not begin that beside it."""
    held: list[int] = []

    def run(*_: object, **told: object) -> Ended:
        held.extend(told["held"])  # pyright: ignore[reportArgumentType]
        os.set_inheritable(held[0], os.get_inheritable(held[0]))  # it is open
        return Ended(0, "", stopped=False)

    monkeypatch.setattr(process, "run", run)
    assert whole(done([step("a")], tmp_path))
    assert len(held) == 1


def test_no_room_for_a_log_is_told_and_what_was_done_stays(
    commands: Commands, tmp_path: Path
) -> None:
    done([step("a")], tmp_path)
    commands.error = OSError(28, "No space left on device")
    with pytest.raises(ConfigError, match="No space left on device"):
        done([step("a"), step("b")], tmp_path)
    commands.error = None
    assert whole(done([step("a"), step("b")], tmp_path))
    assert commands.ran == ["a", "b"]


def test_a_step_that_was_killed_says_so(commands: Commands, tmp_path: Path) -> None:
    commands.codes["a"] = -9
    (told,) = done([step("a")], tmp_path)
    assert (told.state, told.said) == ("failed", "a was run\nended by signal 9 (Killed)")


def test_a_name_cannot_lead_a_log_out_of_its_folder(tmp_path: Path) -> None:
    away = Step("score:../../away", "远", ("scenario", "show", "../../away"))
    (told,) = done([away], tmp_path / "in")
    assert told.state == "failed"
    assert [one.name for one in tmp_path.iterdir()] == ["in"]


def test_signals_stop_only_while_they_are_asked_to() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stopped_by_signals() as stopped:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.wait(5)
    assert signal.getsignal(signal.SIGTERM) is before
