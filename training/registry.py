"""The model registry: where bundles are kept, compared and named champion or challenger.

MLflow keeps runs, artifacts and versions; by default in a SQLite file under ``XINJIAN_HOME``, else
where ``MLFLOW_TRACKING_URI`` points. A run folder is the truth until it is registered: when a
server fails in the middle, nothing is lost, and registering the same folder again goes on from
there. A version is found by its bundle's digest, so no model is registered twice.

Nothing here leaves the network that the tracker is in: MLflow's telemetry is off.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Self

from models import published, tracking
from models.errors import BundleError, RegistryError
from models.published import CHALLENGER, CHAMPION, PREVIOUS
from models.risk.bundle import Bundle
from models.settings import Settings
from models.yaml import nearest
from training.publication import (
    EVALUATION,
    RISK,
    Family,
    Publication,
    Registered,
    risk_publication,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["BUNDLE", "EVALUATION", "RISK", "Family", "Registered", "Registry", "Tracker"]

BUNDLE: Final = "bundle"

_CODE: Final = Path(__file__).with_name("pyfunc.py")
_NEEDS: Final = ("mlflow", "lightgbm", "numpy", "pandas")


@dataclass(frozen=True, slots=True)
class Tracker:
    """A tracker's address, and the folder of artifacts where no server keeps them."""

    uri: str
    artifacts: Path
    family: ClassVar[Family] = RISK

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the registry that the settings name; nothing is opened yet."""
        return cls(settings.tracker, settings.tracker_folder.absolute() / "artifacts")

    def versions(self, model: str) -> list[Registered]:
        """Return all versions of a model, the newest first; none is no error.

        Raises:
            RegistryError: The tracker cannot be reached.
        """
        if tracking.untouched(self.uri):
            return []
        with self._client() as client:
            return _versions(client, self.family, model)

    def find(self, model: str, which: str | int) -> Registered:
        """Return the version that an alias or a number names.

        Raises:
            RegistryError: There is none, or the tracker cannot be reached.
        """
        there, noun = self.versions(model), self.family.noun
        for one in there:
            if which in one.aliases or str(which) == str(one.version):
                return one
        if not there:
            raise RegistryError(
                f"no model of {noun} '{model}' is registered; fit one with: "
                f"{self.family.fit.format(model)}"
            )
        aliases = sorted({alias for one in there for alias in one.aliases})
        numbers = ", ".join(str(one.version) for one in there[:5])
        raise RegistryError(
            f"'{which}' of {noun} '{model}' points to nothing{nearest(str(which), aliases)}; "
            f"there are the aliases {', '.join(aliases) or '(none)'} and the versions {numbers}: "
            f"name one of them, or set it with: xinjian {self.family.key} promote {model} VERSION"
        )

    @contextmanager
    def fetched(self, model: str, which: str | int) -> Generator[tuple[Registered, Path]]:
        """Give a version and its bundle's folder, which is gone afterwards.

        Raises:
            RegistryError: As :meth:`find`, or the artifacts are not there.
            BundleError: What the caller makes of the folder, with the version's number before it.
        """
        found = self.find(model, which)
        with tempfile.TemporaryDirectory(prefix="xinjian-") as folder:
            with self._client() as client:
                path = client.download_artifacts(found.run_id, published.BUNDLE_PATH, folder)
            try:
                yield found, Path(path)
            except BundleError as error:
                raise BundleError(
                    f"version {found.version} of {self.family.noun} '{model}': {error}"
                ) from error

    def send(self, publication: Publication, *, kept: str) -> Registered:
        """Send a bundle to the tracker as a new version; one that is there is returned.

        Args:
            publication: What to register.
            kept: What to say where the tracker fails: where the model is, and how to go on.

        Raises:
            RegistryError: The tracker failed.
        """
        try:
            with self._client() as client:
                there = _versions(client, self.family, publication.model)
                known = [v for v in there if v.digest == publication.digest]
                return known[0] if known else self._register(client, publication)
        except RegistryError as error:
            raise RegistryError(f"{error}\n{kept}") from error

    def name(self, model: str, which: str | int, alias: str) -> Registered:
        """Let ``alias`` point to a version, and return it; doing it twice changes nothing."""
        found = self.find(model, which)
        with self._client() as client:
            _point(client, found, alias)
        return self.find(model, found.version)

    def promote(self, model: str, which: str | int) -> Registered:
        """Make a version the champion; the one before becomes ``previous``.

        A challenger that wins is challenger no more. Interrupted anywhere, doing it again gives the
        same end.
        """
        there = self.versions(model)
        found = self.find(model, which)
        before = [one for one in there if CHAMPION in one.aliases and one.version != found.version]
        with self._client() as client:
            if before:
                _point(client, before[0], PREVIOUS)
            _point(client, found, CHAMPION)
            if CHALLENGER in found.aliases:
                name = self.family.model_name(model)
                client.delete_registered_model_alias(name, CHALLENGER)
        return self.find(model, found.version)

    def tag(self, registered: Registered, tags: Mapping[str, str]) -> None:
        """Write tags on a version; ones that are there are replaced."""
        name = registered.family.model_name(registered.scenario)
        with self._client() as client:
            for key, value in tags.items():
                client.set_model_version_tag(name, str(registered.version), key, value)

    @contextmanager
    def _client(self) -> Generator[MlflowClient]:
        """Open a client; MLflow says nothing, and what it raises becomes an error of ours."""
        with tracking.reached(self.uri, _unusable) as address:
            from mlflow import MlflowClient

            yield MlflowClient(tracking_uri=address, registry_uri=address)

    def _register(self, client: MlflowClient, new: Publication) -> Registered:
        run_id = self._run(client, new)
        _log(client, run_id, new)
        with tempfile.TemporaryDirectory(prefix="xinjian-") as folder:
            new.write(Path(folder))
            client.log_artifacts(run_id, str(Path(folder) / "model"), "model")
        client.set_terminated(run_id)
        name = self.family.model_name(new.model)
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name, description=new.title)
        source = f"{client.get_run(run_id).info.artifact_uri}/model"
        client.create_model_version(name, source, run_id=run_id, tags=dict(new.tags))
        there = _versions(client, self.family, new.model)
        return next(v for v in there if v.digest == new.digest)

    def _run(self, client: MlflowClient, new: Publication) -> str:
        """Return the run of a bundle: the one that was begun, else a new one."""
        name = self.family.model_name(new.model)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            here = None if self.uri.startswith("http") else self.artifacts.as_uri()
            experiment = client.get_experiment(client.create_experiment(name, here))
        begun = client.search_runs(
            [experiment.experiment_id], f"tags.`{published.DIGEST}` = '{new.digest}'"
        )
        if begun:
            return begun[0].info.run_id
        made = f"{new.created:%Y%m%dT%H%M%SZ}"
        return client.create_run(
            experiment.experiment_id, tags=dict(new.tags), run_name=made
        ).info.run_id


@dataclass(frozen=True, slots=True)
class Registry(Tracker):
    """The registry of risk models: a model for each scenario."""

    def load(self, scenario: str, which: str | int) -> Bundle:
        """Fetch a bundle by alias or version; every byte is held against the registered digest.

        Raises:
            RegistryError: As :meth:`find`, or the artifacts are not there.
            BundleError: They were altered.
        """
        with self.fetched(scenario, which) as (found, folder):
            return Bundle.load(folder, digest=found.digest)

    def register(self, run: Path) -> Registered:
        """Send a run folder to the tracker as a new version; one that is there is returned.

        Raises:
            BundleError: The folder's bundle is not whole.
            RegistryError: The tracker failed; the folder stays, and the message says how to go on.
        """
        bundle = Bundle.load(run / BUNDLE)
        publication = risk_publication(
            run, bundle, write=lambda folder: _save_pyfunc(folder, run / BUNDLE, bundle)
        )
        kept = (
            f"the run is kept in {run}; send it once the tracker answers with: "
            f"xinjian risk register {run}"
        )
        return self.send(publication, kept=kept)


def _versions(client: MlflowClient, family: Family, model: str) -> list[Registered]:
    name = family.model_name(model)
    models = client.search_registered_models(f"name = '{name}'")
    if not models:
        return []
    aliases: dict[str, str] = {k: str(v) for k, v in dict(vars(models[0])["_aliases"]).items()}
    found = [
        _registered(v, family, model, aliases)
        for v in client.search_model_versions(f"name='{name}'")
    ]
    return sorted(found, key=lambda one: -one.version)


def _registered(
    one: ModelVersion, family: Family, model: str, aliases: Mapping[str, str]
) -> Registered:
    return Registered(
        scenario=model,
        version=int(one.version),
        digest=one.tags.get(published.DIGEST, ""),
        run_id=one.run_id or "",
        created=datetime.fromtimestamp(one.creation_timestamp / 1000, UTC),
        aliases=tuple(sorted(a for a, number in aliases.items() if number == str(one.version))),
        tags=dict(one.tags),
        family=family,
    )


def _point(client: MlflowClient, registered: Registered, alias: str) -> None:
    name = registered.family.model_name(registered.scenario)
    client.set_registered_model_alias(name, alias, str(registered.version))


def _log(client: MlflowClient, run_id: str, new: Publication) -> None:
    """Log parameters, metrics and pictures; doing it twice changes nothing."""
    from mlflow.entities import Metric, Param

    at = int(new.created.timestamp() * 1000)
    metrics = [Metric(name, value, at, 0) for name, value in new.metrics.items()]
    params = [Param(name, str(value)) for name, value in new.params.items()]
    for start in range(0, len(params), 100):
        client.log_batch(run_id, params=params[start : start + 100])
    for start in range(0, len(metrics), 1000):
        client.log_batch(run_id, metrics=metrics[start : start + 1000])
    for path in new.shown:
        if path.is_dir():
            client.log_artifacts(run_id, str(path), path.name)
        elif path.exists():
            client.log_artifact(run_id, str(path))  # pyright: ignore[reportUnknownMemberType]


def _save_pyfunc(folder: Path, bundle_folder: Path, bundle: Bundle) -> None:
    """Write ``folder/model``: the bundle, and code that needs nothing of this project."""
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    encoder = bundle.encoder
    kinds = {
        name: "string" if name in encoder.categories else "double" for name in encoder.features
    }
    inputs = Schema([ColSpec(kind, name, required=False) for name, kind in kinds.items()])
    outputs = Schema([ColSpec("double", name) for name in ("probability", "risk_score")])
    shutil.copytree(bundle_folder, folder / BUNDLE)  # its folder's name is part of the model
    pyfunc.save_model(  # pyright: ignore[reportUnknownMemberType]
        folder / "model",
        python_model=str(_CODE),
        artifacts={BUNDLE: str(folder / BUNDLE)},
        signature=ModelSignature(inputs, outputs),
        pip_requirements=[f"{name}=={version(name)}" for name in _NEEDS],
    )


def _unusable(why: str) -> RegistryError:
    return RegistryError(
        f"the tracker at {why}; check that it runs and that MLFLOW_TRACKING_URI is right, or unset "
        "the variable to keep models under XINJIAN_HOME"
    )
