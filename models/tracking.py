"""The tracker's address and manners, for the two registries that speak to it through MLflow.

Nothing here imports MLflow: whoever fetches models and whoever publishes them bring their own.
"""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from models.errors import RegistryError

_QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
_STORES: Final = (
    *("mlflow", "sqlalchemy", "alembic", "psycopg", "psycopg2", "pymysql", "sqlite3", "requests"),
)
_PORTS: Final = {"postgresql": 5432, "mysql": 3306}
_PATIENCE: Final = 5.0
"""Seconds to wait for a database to answer; MLflow itself would try for minutes."""


def untouched(uri: str) -> bool:
    """Tell whether the default store was never written; to look must not make it."""
    path = uri.removeprefix("sqlite:///")
    return path != uri and not Path(path).exists()


def shown(uri: str) -> str:
    """Return the address without user and password."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def told(error: Exception, uri: str) -> str:
    """Return the first line of what an error says, without user and password."""
    return str(error).strip().partition("\n")[0][:300].replace(uri, shown(uri))


@contextmanager
def reached(uri: str, failed: Callable[[str], RegistryError]) -> Generator[str]:
    """Yield the address that MLflow is to be given, and keep it :func:`quiet` meanwhile.

    Raises:
        RegistryError: What ``failed`` makes of a line that says why the tracker cannot be used.
    """
    with quiet():
        try:
            knock(uri)
            yield with_driver(uri)
        except Exception as error:
            if not isinstance(error, OSError) and not _of_store(error):
                raise
            raise failed(f"{shown(uri)} cannot be used: {told(error, uri)}") from error


def knock(uri: str) -> None:
    """Raise ``OSError`` at once where a database does not answer."""
    parts = urlsplit(uri)
    port = _PORTS.get(parts.scheme.partition("+")[0])
    if port and parts.hostname:
        socket.create_connection((parts.hostname, parts.port or port), _PATIENCE).close()


def with_driver(uri: str) -> str:
    """Return a PostgreSQL address with the driver that is installed, where it names none."""
    if uri.startswith("postgresql://") and find_spec("psycopg2") is None:
        return uri.replace("postgresql://", "postgresql+psycopg://", 1)
    return uri


@contextmanager
def quiet() -> Generator[None]:
    """Keep MLflow from sending telemetry, and from warning and logging past our own messages."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    talkers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [talker.level for talker in talkers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for talker in talkers:
                talker.setLevel(logging.ERROR)
            yield
        finally:
            for talker, level in zip(talkers, levels, strict=True):
                talker.setLevel(level)


def _of_store(error: Exception) -> bool:
    """Tell whether an error is of MLflow, or of a library through which it reaches its store."""
    return any(one.__module__.partition(".")[0] in _STORES for one in type(error).__mro__)
