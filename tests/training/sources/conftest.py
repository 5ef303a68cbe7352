"""Worlds to import in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.sources.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return an empty world."""
    return World(tmp_path)


@pytest.fixture(scope="session")
def make_world(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], World]:
    """Return a maker of empty worlds, for tests that need one an example."""
    return lambda: World(tmp_path_factory.mktemp("world"))
