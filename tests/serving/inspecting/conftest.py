"""A service whose clock a test sets, and an office that carries plans out through its routes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from serving.service import Service
from serving.settings import ServeSettings
from tests.serving.inspecting.office import Office
from tests.serving.village import Clock

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    """Return a clock at midday of a Monday."""
    return Clock(NOON)


@pytest.fixture
def service(settings: ServeSettings, clock: Clock) -> Generator[Service]:
    """Return an open service with that clock."""
    opened = Service.open(settings, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def office(client: TestClient, as_caller: Callable[..., dict[str, str]], clock: Clock) -> Office:
    """Return an office with a drafter, a chief and an inspector."""
    return Office(client, as_caller, clock)
