"""Scenarios and subjects as routes name them: what there is not is a problem 404."""

from __future__ import annotations

from datetime import date
from typing import Final

from models.scenarios import catalogue
from models.yaml import nearest
from serving.problems import Problem
from serving.runtime.live import Live
from serving.service import Service

PLAIN: Final = r"^[^\x00-\x1f\x7f]+$"
"""What an id is made of: no control characters, which PostgreSQL or a log could not hold."""
TEXT: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+$"
"""What a text of several lines is made of."""
EARLIEST: Final = date(1950, 1, 1)
"""The first day of view: no record is older."""


def live_model(service: Service, scenario: str) -> Live:
    """Return the model that decides a scenario.

    Raises:
        Problem: 404 for a scenario that there is not, or that has no model; 503 while models load.
    """
    runtime = service.runtime
    found = runtime.champion(scenario)
    if found is not None:
        return found
    if not runtime.loaded:
        raise Problem(
            503, "loading", "the models are being loaded; try again", headers={"Retry-After": "2"}
        )
    there = sorted({live.scenario.id for live in runtime.all() if live.role == "champion"})
    known = sorted({*there, *catalogue()})
    if scenario in known:
        raise Problem(
            404,
            "no-model",
            f"scenario '{scenario}' has no model that decides; fit one and promote it (xinjian "
            f"risk promote {scenario} VERSION)",
            more={"live": there},
        )
    shown = scenario[:80]
    raise Problem(
        404,
        "unknown-scenario",
        f"there is no scenario '{shown}'{nearest(shown, known)}",
        more={"scenarios": known},
    )


def day_of_view(service: Service, asked: date | None) -> date:
    """Return the day that is asked for, today by default; a problem 422 for one to come."""
    today = service.today()
    if asked is None:
        return today
    if not EARLIEST <= asked <= today:
        raise Problem(
            422,
            "day-of-view",
            f"as_of {asked} is no day of view; name one from {EARLIEST} to {today}",
        )
    return asked
