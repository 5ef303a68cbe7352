"""A real PostgreSQL for the tests of the service: one server a process, one database a test."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

from serving.app import create_app
from serving.ledger import embedded
from serving.ledger.engine import Ledger
from serving.ledger.migrate import migrate
from serving.service import Service
from serving.settings import ServeSettings

TEMPLATE = "xinjian_template"


@pytest.fixture(scope="session")
def server() -> Generator[embedded.Server]:
    """Return a running PostgreSQL with a migrated, empty database named as the template."""
    # A short path: a socket's address has no room for a long one.
    with tempfile.TemporaryDirectory(prefix="xj-pg-") as folder:
        found = embedded.start(Path(folder) / "pg")
        try:
            _admin(found, f'create database "{TEMPLATE}"')
            ledger = Ledger.at(found.get_uri(TEMPLATE))
            migrate(ledger)
            ledger.close()
            yield found
        finally:
            found.cleanup()


@pytest.fixture
def empty_database(server: embedded.Server) -> Generator[str]:
    """Return the address of a database without any table."""
    yield from _database(server, "template0")


@pytest.fixture
def database(server: embedded.Server) -> Generator[str]:
    """Return the address of a migrated database of the test's own."""
    yield from _database(server, TEMPLATE)


@pytest.fixture
def ledger(database: str) -> Generator[Ledger]:
    """Return an open ledger of the test's own."""
    opened = Ledger.at(database)
    yield opened
    opened.close()


@pytest.fixture
def settings(database: str, tmp_path: Path) -> ServeSettings:
    """Return settings whose home is the test's folder and whose ledger is its database."""
    return ServeSettings.model_validate({"home": tmp_path / "home", "database_url": database})


@pytest.fixture
def service(settings: ServeSettings) -> Generator[Service]:
    """Return an open service of the test's own."""
    opened = Service.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def app(service: Service) -> FastAPI:
    """Return the application over the test's service."""
    return create_app(service=service)


@pytest.fixture
def client(app: FastAPI) -> Generator[TestClient]:
    """Return a client of the application; an error inside is an answer, as it is for a caller."""
    with TestClient(app, raise_server_exceptions=False) as made:
        yield made


def _database(server: embedded.Server, template: str) -> Generator[str]:
    name = f"t_{os.getpid()}_{secrets.token_hex(6)}"
    _admin(server, f'create database "{name}" template "{template}"')
    yield server.get_uri(name)
    _admin(server, f'drop database "{name}" with (force)')


def _admin(server: embedded.Server, statement: str) -> None:
    address = server.get_uri("postgres").partition("://")[2]
    engine = create_engine(f"postgresql+psycopg://{address}", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
