"""A version of a model: what it is registered with, and what the tracker then knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from models.risk import published
from models.risk.bundle import Bundle
from training.evaluate.evaluation import Evaluation

EVALUATION: Final = "evaluation.json"
SHOWN: Final = (EVALUATION, "card.html", "plots")
"""What of a run folder goes to the tracker beside the bundle; rows about subjects never do."""

Value = str | float | int | bool


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of models: how its versions are named, and what its messages call them."""

    key: str
    """The group of commands, and the middle of a registered name."""
    noun: str
    fit: str
    """The command that makes a model, ``{}`` standing for its id."""

    def model_name(self, model: str) -> str:
        """Return the name that a model's versions are registered under."""
        return f"{published.TAG}{self.key}.{model}"


RISK: Final = Family("risk", "scenario", "xinjian risk fit {}")


@dataclass(frozen=True, slots=True)
class Registered:
    """A version of a model: its bundle's digest, its run, and the names it goes by."""

    scenario: str
    """The id of what it is a version of: a scenario's, or that of another family's model."""
    version: int
    digest: str
    run_id: str
    created: datetime
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    family: Family = RISK

    @property
    def about(self) -> str:
        """Return the id by which records tell models of all families apart."""
        return self.scenario if self.family == RISK else f"{self.family.key}.{self.scenario}"


@dataclass(frozen=True, slots=True)
class Publication:
    """A bundle as the tracker takes it."""

    model: str
    """The id it is one version of: a scenario's, or a text model's."""
    title: str
    digest: str
    created: datetime
    tags: Mapping[str, str]
    """Of the version and its run; :data:`models.published.DIGEST` among them."""
    params: Mapping[str, Value]
    metrics: Mapping[str, float]
    shown: tuple[Path, ...]
    """Files and folders to show beside the model; one that is not there is passed."""
    write: Callable[[Path], None]
    """Writes ``model/artifacts/bundle``, and what else belongs to ``model``, into a folder."""


def risk_publication(run: Path, bundle: Bundle, *, write: Callable[[Path], None]) -> Publication:
    """Return what a run's risk model is registered with."""
    return Publication(
        model=bundle.scenario.id,
        title=bundle.scenario.title,
        digest=bundle.digest,
        created=bundle.manifest.created,
        tags={
            published.DIGEST: bundle.digest,
            published.SCENARIO: bundle.scenario.id,
            published.SCENARIO_DIGEST: bundle.manifest.scenario_digest,
            published.FEATURES_DIGEST: bundle.manifest.features_digest,
        },
        params=_params(bundle),
        metrics=_metrics(run, bundle),
        shown=tuple(run / name for name in SHOWN),
        write=write,
    )


def _metrics(run: Path, bundle: Bundle) -> dict[str, float]:
    path = run / EVALUATION
    judged = Evaluation.from_json(path.read_bytes()).headline if path.exists() else {}
    return {**bundle.manifest.metrics, **judged}


def _params(bundle: Bundle) -> dict[str, Value]:
    manifest = bundle.manifest
    return {
        **manifest.params,
        "trained_from": str(manifest.trained_from),
        "trained_to": str(manifest.trained_to),
        "rows": manifest.rows,
        "positives": manifest.positives,
        "base_rate": manifest.base_rate,
        "features": len(bundle.encoder.features),
        "code": manifest.code,
        **{f"data_version.{table}": number for table, number in manifest.data_versions.items()},
    }
