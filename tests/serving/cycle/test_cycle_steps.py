from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.errors import ConfigError
from serving.cycle.steps import JOURNAL, Step, Told, carry_out, journal, whole
from serving.jobs import process
from serving.jobs.process import Ended

AT = datetime(2026, 11, 22, tzinfo=UTC)


class Commands:
    """Stands for the processes: says how each command ends, and what was run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[str] = []
        self.codes: dict[str, int] = {}
        self.stopped_in: str | None = None
        monkeypatch.setattr(process, "run", self)

    def __call__(self, words: tuple[str, ...], *_: object, **__: object) -> Ended:
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
