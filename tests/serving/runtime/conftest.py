"""The village's model, where it decides."""

from __future__ import annotations

import pytest

from serving.runtime.live import Live
from serving.service import Service
from tests.serving import village


@pytest.fixture
def champion(running: Service) -> Live:
    """Return the model that decides."""
    found = running.runtime.champion(village.SCENARIO)
    assert found is not None, running.runtime.refused
    return found
