"""Worlds for tests of histories: as many as one asks for, each with a database of its own."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from serving.ledger import embedded
from tests.serving.histories.chronicle import World, opened

_TEMPLATE = "xinjian_template"
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
        name = f"w_{secrets.token_hex(8)}"
        self._admin(f'create database "{name}" template "{_TEMPLATE}"')
        self.stack.callback(self._admin, f'drop database "{name}" with (force)')
        home = self.folder / name
        self.stack.callback(shutil.rmtree, home, ignore_errors=True)
        return self.stack.enter_context(opened(home, self.server.get_uri(name), self.callers))

    def close(self) -> None:
        """Close the worlds that are open, as one does after each example."""
        self.stack.close()

    def _admin(self, statement: str) -> None:
        address = self.server.get_uri("postgres").partition("://")[2]
        engine = create_engine(f"postgresql+psycopg://{address}", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


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
