"""Worlds for tests of histories: as many as one asks for, each with a database of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from serving.ledger import embedded
from tests.serving import databases
from tests.serving.histories.chronicle import World, opened

Worlds = Callable[[], World]


class Many:
    """Opens worlds, and closes those that are open."""

    def __init__(
        self, server: embedded.Server, folder: Path, callers: Callable[..., dict[str, str]]
    ) -> None:
        self.server, self.folder, self.callers = server, folder, callers
        self.stack = ExitStack()

    def __call__(self) -> World:
        """Open another world."""
        address = self.stack.enter_context(databases.opened(self.server))
        home = self.folder / address.rpartition("/")[2].partition("?")[0]
        self.stack.callback(shutil.rmtree, home, ignore_errors=True)
        return self.stack.enter_context(opened(home, address, self.callers))

    def close(self) -> None:
        """Close the worlds that are open, as one does after each example."""
        self.stack.close()


@pytest.fixture
def worlds(
    server: embedded.Server, tmp_path: Path, as_caller: Callable[..., dict[str, str]]
) -> Generator[Many]:
    """Return what opens worlds."""
    made = Many(server, tmp_path, as_caller)
    yield made
    made.close()


@pytest.fixture
def world(worlds: Many) -> World:
    """Return one world."""
    return worlds()
