"""The connection to the ledger."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Self

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from models.errors import LedgerDownError, LedgerError
from serving.ledger import embedded
from serving.ledger.watch import Watch
from serving.settings import ServeSettings

POOL: Final = 8
"""Connections that a process keeps; as many again in a rush."""
_NO_DATABASE: Final = "does not exist"
_DRIVER: Final = "postgresql+psycopg"


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """An open ledger; :meth:`close` it when the process ends."""

    engine: Engine
    server: embedded.Server | None = field(default=None, repr=False)
    watch: Watch = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Watch over the server."""
        object.__setattr__(self, "watch", Watch(self.engine))

    @classmethod
    def open(cls, settings: ServeSettings) -> Self:
        """Open the ledger of an installation; starts the embedded server where none is named.

        Nothing is created in a database that is named: see :mod:`.migrate`.
        """
        if settings.database is not None:
            return cls.at(settings.database, wait=settings.database_wait)
        server = embedded.start(settings.postgres_folder)
        address = embedded.address(server)
        _create_database(server)
        return cls(_engine(address, settings.database_wait), server)

    @classmethod
    def at(cls, address: str, *, wait: float = 5.0) -> Self:
        """Open the ledger at an address; ``wait`` seconds for a connection at most."""
        return cls(_engine(address, wait))

    @contextmanager
    def begin(self) -> Generator[Connection]:
        """Give a connection in one transaction: committed at the end, undone at an error.

        Raises:
            LedgerDownError: The database cannot be reached, or stopped answering; nothing of the
                transaction was kept, unless it was at its commit.
        """
        token = self.watch.enter()
        try:
            with _translated(), self._connect() as connection, connection.begin():
                yield connection
        finally:
            self.watch.leave(token)

    def _connect(self) -> Connection:
        try:
            return self.engine.connect()
        except OperationalError:
            if self.server is None or self.watch.silent:
                raise
            self.server.revive()
            return self.engine.connect()

    def ping(self) -> None:
        """Ask the database for an answer; :class:`LedgerDownError` where there is none."""
        with self.begin() as connection:
            connection.execute(text("select 1"))

    def close(self) -> None:
        """Close the connections, and give the embedded server up."""
        self.watch.close()
        self.engine.dispose()
        if self.server is not None:
            self.server.cleanup()


def _engine(address: str, wait: float) -> Engine:
    _, _, rest = address.partition("://")
    return create_engine(
        f"{_DRIVER}://{rest}",
        hide_parameters=True,  # an error that is logged tells nothing of subjects or secrets
        pool_size=POOL,
        max_overflow=POOL,
        pool_timeout=wait,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": max(2, round(wait)),
            # A server that falls silent, rather than down, is given up after a while as well.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
            "options": "-c timezone=UTC -c statement_timeout=60000",
        },
    )


def _create_database(server: embedded.Server) -> None:
    """Create the embedded server's database where it lacks; two may try at once."""
    engine = create_engine(
        f"{_DRIVER}://{server.get_uri('postgres').partition('://')[2]}",
        isolation_level="AUTOCOMMIT",
    )
    with _translated(), engine.connect() as connection:
        there = text("select 1 from pg_database where datname = :name")
        if connection.execute(there, {"name": embedded.DATABASE}).first() is None:
            try:
                connection.execute(text(f'create database "{embedded.DATABASE}"'))
            except (ProgrammingError, DBAPIError):
                if connection.execute(there, {"name": embedded.DATABASE}).first() is None:
                    raise
    engine.dispose()


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except PoolTimeoutError as error:
        raise LedgerDownError(
            "every connection to the ledger is taken; repeat the request in a few seconds"
        ) from error
    except OperationalError as error:
        # A connection that fails carries no code, only words.
        if _NO_DATABASE in str(error.orig):
            raise LedgerError(
                "the ledger's server has no such database; create it, then run "
                "xinjian serve migrate"
            ) from error
        if error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _DOWN:
            raise _down(error) from error
        raise
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _down(error) from error
        raise


_DOWN: Final = (None, "57P01", "57P02", "57P03", "53300", "08000", "08003", "08006", "08001")
"""What PostgreSQL says when it is not there: no answer, shutting down, starting, too many."""


def _down(error: DBAPIError) -> LedgerDownError:
    told = str(error.orig).strip().splitlines() or ["no answer"]
    return LedgerDownError(
        f"the ledger cannot be reached ({told[0]}); it is tried again with the next request"
    )
