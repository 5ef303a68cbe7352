from __future__ import annotations

from datetime import date
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from models.codes import calendar
from serving.cycle.night import steps as night_steps
from serving.cycle.steps import Step
from xinjian.cli import GROUPS
from xinjian.demo.plan import Demo, real, synthetic

HOME = Path("home")
TODAY = date(2026, 11, 22)
DEMOS = (synthetic(HOME, subjects=20_000, seed=7, today=TODAY), real(HOME, Path("tables")))
NIGHT = night_steps(["food_safety"], TODAY, HOME, learn=False)


def parse(words: tuple[str, ...]) -> None:
    """Parse a command line as the command itself does, and run nothing; it exits where it fails."""
    group, name, *rest = words
    (target,) = [one.target for one in GROUPS if one.name == group]
    module, attribute = target.split(":")
    found = typer.main.get_command(getattr(import_module(module), attribute))
    assert isinstance(found, TyperGroup)
    assert found.commands[name].make_context(name, list(rest)).command.name == name


@pytest.mark.parametrize(
    "step",
    [one for demo in DEMOS for one in (*demo.steps, demo.inspection)] + NIGHT,
    ids=lambda step: " ".join(step.words),
)
def test_every_step_is_a_command_with_options_that_it_knows(step: Step) -> None:
    parse(step.words)


def test_an_option_that_is_not_there_is_noticed() -> None:
    with pytest.raises(Exception, match="--subject"):
        parse(("data", "synth", "--subject=1"))


@pytest.mark.parametrize("demo", DEMOS, ids=["synthetic", "real"])
def test_every_step_comes_after_what_it_needs(demo: Demo) -> None:
    names = [one.name for one in demo.steps]
    assert len(set(names)) == len(names)
    for place, step in enumerate(demo.steps):
        assert set(step.needs) <= set(names[:place]), step.name


def test_the_province_ends_with_last_month() -> None:
    assert f"--until={date(2026, 10, 31)}" in DEMOS[0].steps[0].words


def test_the_province_ends_with_the_last_year_whose_working_days_are_known() -> None:
    later = synthetic(HOME, subjects=20_000, seed=7, today=date(2199, 1, 1))
    assert f"--until={calendar.known_years()[-1]}-12-31" in later.steps[0].words
