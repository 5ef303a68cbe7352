"""A service over the village, at its date of view."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from serving.runtime.live import Live
from serving.service import Service
from tests.serving import village


@pytest.fixture
def clock() -> village.Clock:
    """Return the service's clock."""
    return village.Clock()


@pytest.fixture
def running(database: str, tmp_path: Path, clock: village.Clock) -> Generator[Service]:
    """Return a service over a village of the test's own, whose model is live."""
    home = tmp_path / "home"
    village.furnish(home)
    opened = Service.open(village.settings(home, database), clock=clock)
    opened.runtime.refresh()
    yield opened
    opened.close()


@pytest.fixture
def champion(running: Service) -> Live:
    """Return the model that decides."""
    found = running.runtime.champion(village.SCENARIO)
    assert found is not None, running.runtime.refused
    return found
