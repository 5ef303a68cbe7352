"""What the registry says is champion and challenger; asked in the background, never by a request.

MLflow is loaded by the first question, and its telemetry is off: nothing leaves the network.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

from models import tracking
from models.errors import RegistryError
from models.published import BUNDLE_PATH, DIGEST
from models.risk.published import model_name
from models.settings import Settings
from serving.runtime.shelf import ROLES, Named

if TYPE_CHECKING:
    from mlflow import MlflowClient


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
        return not tracking.untouched(self.uri)

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
        with tracking.reached(self.uri, _unusable) as address:
            from mlflow import MlflowClient

            yield MlflowClient(tracking_uri=address, registry_uri=address)


def _unusable(why: str) -> RegistryError:
    return RegistryError(f"the registry at {why}; the models that are live stay live")
