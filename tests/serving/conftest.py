"""A real PostgreSQL for the tests of the service: one server a process, one database a test."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Generator, Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from serving.app import create_app
from serving.auth import tokens
from serving.auth.roles import ADMINISTRATORS, Role
from serving.ledger import embedded, keys, sessions, users
from serving.ledger.engine import Ledger
from serving.ledger.keys import KeyRow
from serving.ledger.migrate import migrate
from serving.ledger.sessions import SessionRow
from serving.ledger.users import AccountRow
from serving.service import Service
from serving.settings import ServeSettings
from tests.serving import village
from tests.serving.bureau import Office, manager_and_officer, timed
from tests.serving.databases import TEMPLATE, opened, order


@pytest.fixture(scope="session")
def server() -> Generator[embedded.Server]:
    """Return a running PostgreSQL with a migrated, empty database named as the template."""
    # A short path: a socket's address has no room for a long one.
    with tempfile.TemporaryDirectory(prefix="xj-pg-") as folder:
        found = embedded.start(Path(folder) / "pg")
        try:
            # The machine does not crash under a test: what a killed server wrote stays.
            for name in ("fsync", "full_page_writes"):
                order(found, f"alter system set {name} = off")
            order(found, "select pg_reload_conf()")
            order(found, f'create database "{TEMPLATE}"')
            ledger = Ledger.at(found.get_uri(TEMPLATE))
            migrate(ledger)
            ledger.close()
            yield found
        finally:
            found.cleanup()


@pytest.fixture
def empty_database(server: embedded.Server) -> Generator[str]:
    """Return the address of a database without any table."""
    with opened(server, "template0") as address:
        yield address


@pytest.fixture
def database(server: embedded.Server) -> Generator[str]:
    """Return the address of a migrated database of the test's own."""
    with opened(server) as address:
        yield address


@pytest.fixture
def ledger(database: str) -> Generator[Ledger]:
    """Return an open ledger of the test's own."""
    made = Ledger.at(database)
    yield made
    made.close()


@pytest.fixture
def settings(database: str, tmp_path: Path) -> ServeSettings:
    """Return settings whose home is the test's folder and whose ledger is its database."""
    return ServeSettings.model_validate({"home": tmp_path / "home", "database_url": database})


@pytest.fixture
def service(settings: ServeSettings) -> Generator[Service]:
    """Return an open service of the test's own."""
    made = Service.open(settings)
    yield made
    made.close()


@pytest.fixture
def clock() -> village.Clock:
    """Return a clock at midday of the village's date of view."""
    return village.Clock()


@pytest.fixture
def running(database: str, tmp_path: Path, clock: village.Clock) -> Generator[Service]:
    """Return a service over a village of the test's own, whose model is live."""
    with village.running(tmp_path / "home", database, clock=clock) as made:
        yield made


@pytest.fixture
def app(service: Service) -> FastAPI:
    """Return the application over the test's service."""
    return create_app(service=service)


@pytest.fixture
def client(app: FastAPI) -> Generator[TestClient]:
    """Return a client of the application; an error inside is an answer, as it is for a caller."""
    with TestClient(app, raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def office(service: Service, as_caller: Callable[..., dict[str, str]]) -> Generator[Office]:
    """Return an office of supervision whose clock stands at midday of 2026-11-20."""
    made, clock = timed(service)
    manager, officer = manager_and_officer(as_caller)
    with service.ledger.begin() as connection:  # whatever day the test goes to
        connection.execute(text("update api_key set expires_at = '2100-01-01'"))
    with TestClient(create_app(service=made), raise_server_exceptions=False) as client:
        yield Office(made, clock, client, as_caller, manager, officer)


@pytest.fixture
def as_caller(service: Service) -> Callable[..., dict[str, str]]:
    """Return ``as_caller(roles=…, regions=…, departments=…, purpose=…)``: the headers of a caller.

    A real key, or for an administrator a real session with a second factor, both good for a day of
    the service's clock. ``app`` may come first where it is over another service than the test's.
    """

    def made(
        app: FastAPI | None = None,
        *,
        roles: Iterable[Role],
        regions: tuple[str, ...] = ("",),
        departments: tuple[str, ...] = (),
        purpose: str | None = None,
    ) -> dict[str, str]:
        found: Service = getattr(app.state, "service", service) if app else service
        held = tuple(sorted(roles))
        administrator = not ADMINISTRATORS.isdisjoint(held)
        make = _session if administrator else _key
        headers = {"Authorization": f"Bearer {make(found, held, regions, departments)}"}
        return headers if purpose is None else headers | {"X-Purpose": purpose}

    return made


def _key(
    service: Service,
    roles: tuple[Role, ...],
    regions: tuple[str, ...],
    departments: tuple[str, ...],
) -> str:
    now, token = service.clock(), tokens.make(tokens.Kind.KEY)
    row = KeyRow(
        id=token.id,
        name="test",
        digest=token.digest,
        roles=roles,
        regions=regions,
        departments=departments,
        purposes=(),
        created_at=now,
        created_by="test",
        expires_at=now + timedelta(days=1),
    )
    with service.ledger.begin() as connection:
        keys.add(connection, row)
    return token.text


def _session(
    service: Service,
    roles: tuple[Role, ...],
    regions: tuple[str, ...],
    departments: tuple[str, ...],
) -> str:
    now, token = service.clock(), tokens.make(tokens.Kind.SESSION)
    number = secrets.token_hex(8)
    account = AccountRow(
        id=number,
        name=f"test-{number}",
        title="测试",
        roles=roles,
        regions=regions,
        departments=departments,
        created_at=now,
        created_by="test",
        password_hash="-",
        password_set_at=now,
    )
    day = now + timedelta(days=1)
    with service.ledger.begin() as connection:
        users.add(connection, account)
        sessions.add(
            connection,
            SessionRow(token.id, token.digest, number, now, now, day, second_factor=True),
        )
    return token.text
