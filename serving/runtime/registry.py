"""What the registry says is champion and challenger; asked in the background, never by a request.

MLflow is loaded by the first question, and its telemetry is off: nothing leaves the network.
"""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from models.errors import RegistryError
from models.published import BUNDLE_PATH, DIGEST
from models.risk.published import model_name
from models.settings import Settings
from serving.runtime.shelf import ROLES, Named

if TYPE_CHECKING:
    from mlflow import MlflowClient

_QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
_STORES: Final = ("sqlalchemy", "psycopg", "psycopg2", "pymysql", "sqlite3", "alembic", "requests")
_PORTS: Final = {"postgresql": 5432, "mysql": 3306}
_PATIENCE: Final = 5.0
"""Seconds to wait for a database to answer; MLflow itself would try for minutes."""


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry at an address."""

    uri: str

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the registry that the settings name; nothing is opened yet."""
        return cls(settings.tracker)

    @property
    def exists(self) -> bool:
        """Tell whether there is anything to ask: the default file is made by training alone."""
        path = self.uri.removeprefix("sqlite:///")
        return path == self.uri or Path(path).exists()

    def named(self) -> list[Named]:
        """Return the champions and challengers of all scenarios.

        Raises:
            RegistryError: The registry cannot be reached.
        """
        if not self.exists:
            return []
        prefix = model_name("")
        with self._client() as client:
            found: list[Named] = []
            for model in client.search_registered_models(f"name LIKE '{prefix}%'"):
                name = str(vars(model)["_name"])
                aliases = {str(k): str(v) for k, v in dict(vars(model)["_aliases"]).items()}
                for role in ROLES:
                    if (number := aliases.get(role)) is None:
                        continue
                    tags = client.get_model_version(name, number).tags
                    scenario = name.removeprefix(prefix)
                    found.append(Named(scenario, role, tags.get(DIGEST, ""), int(number)))
        return found

    def fetch(self, named: Named, folder: Path) -> Path:
        """Download the bundle of a version into ``folder``, and return where it lies there.

        Raises:
            RegistryError: The registry cannot be reached, or has no such version.
        """
        with self._client() as client:
            model = client.get_model_version(model_name(named.scenario), str(named.version))
            return Path(client.download_artifacts(model.run_id or "", BUNDLE_PATH, str(folder)))

    @contextmanager
    def _client(self) -> Generator[MlflowClient]:
        if find_spec("mlflow") is None:
            raise RegistryError(
                "mlflow is not installed, so the registry cannot be asked; put bundles under "
                "<home>/serving/bundles/<scenario>/champion, or install xinjian[training]"
            )
        with _quiet():
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException

            try:
                self._knock()
                address = _with_driver(self.uri)
                yield MlflowClient(tracking_uri=address, registry_uri=address)
            except (MlflowException, OSError) as error:
                raise self._unusable(error) from error
            except Exception as error:
                if type(error).__module__.partition(".")[0] not in _STORES:
                    raise
                raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> RegistryError:
        parts = urlsplit(self.uri)
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
        first = str(error).strip().partition("\n")[0][:300].replace(self.uri, shown)
        return RegistryError(
            f"the registry at {shown} cannot be used: {first}; the models that are live stay live"
        )

    def _knock(self) -> None:
        """Raise ``OSError`` at once where a database does not answer."""
        parts = urlsplit(self.uri)
        port = _PORTS.get(parts.scheme.partition("+")[0])
        if port and parts.hostname:
            socket.create_connection((parts.hostname, parts.port or port), _PATIENCE).close()


def _with_driver(uri: str) -> str:
    """Return a PostgreSQL address with the driver that is installed, where it names none."""
    if uri.startswith("postgresql://") and find_spec("psycopg2") is None:
        return uri.replace("postgresql://", "postgresql+psycopg://", 1)
    return uri


@contextmanager
def _quiet() -> Generator[None]:
    """Keep MLflow from sending telemetry, and from warning and logging past our own messages."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
