"""Databases of a running server, each a test's own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import create_engine, text

from serving.ledger import embedded

TEMPLATE: Final = "xinjian_template"
"""The migrated, empty database of the tests' server."""


@contextmanager
def opened(server: embedded.Server, template: str = TEMPLATE) -> Generator[str]:
    """Yield the address of a copy of a database, which is gone afterwards."""
    name = f"t_{os.getpid()}_{secrets.token_hex(6)}"
    order(server, f'create database "{name}" template "{template}"')
    yield server.get_uri(name)
    order(server, f'drop database "{name}" with (force)')


def order(server: embedded.Server, statement: str) -> None:
    """Carry out a statement that no transaction may hold."""
    address = server.get_uri("postgres").partition("://")[2]
    engine = create_engine(f"postgresql+psycopg://{address}", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
