"""A service whose clock a test sets, for what expires."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from serving.service import Service
from tests.serving.village import Clock


@pytest.fixture
def clock() -> Clock:
    """Return a clock at the morning of a Monday."""
    return Clock(datetime(2026, 3, 2, 1, 0, tzinfo=UTC))


@pytest.fixture
def timed(service: Service, clock: Clock) -> Service:
    """Return the test's service under that clock."""
    return replace(service, clock=clock)
