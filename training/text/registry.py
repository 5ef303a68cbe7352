"""The registry of text models: a bundle is a version of the model that its id names.

The rules are those of :mod:`training.registry`: a version is found by its bundle's digest, so none
is registered twice; aliases say which one is champion, challenger, and the champion before; and
each version carries the verdict that was written on it. What the tracker keeps is the bundle
itself: reading a text with it needs this project, not MLflow.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from pydantic import ValidationError

from models import published
from models.errors import BundleError, ConfigError
from models.text.bundle import MANIFEST, TextBundle
from models.text.published import DATA_DIGEST, KIND, TAXONOMY_DIGEST, model_name
from training.publication import Publication, Value
from training.registry import Family, Registered, Tracker
from training.text.evaluate import RESULT
from training.text.verdict import FILE, Verdict

TEXT: Final = Family("text", "text", "xinjian text fit, then xinjian text register FITTED {}")


@dataclass(frozen=True, slots=True)
class TextRegistry(Tracker):
    """The registry of text models."""

    family: ClassVar[Family] = TEXT

    def load(self, model: str, which: str | int) -> TextBundle:
        """Fetch a bundle by alias or version; every byte is held against the registered digest.

        Raises:
            RegistryError: There is no such version, or the tracker or artifacts are not there.
            BundleError: The artifacts were altered.
        """
        with self.fetched(model, which) as (found, folder):
            return TextBundle.load(folder, digest=found.digest)

    def register(self, fitted: Path, model: str) -> Registered:
        """Register what won a fit as a new version, or the bundle that a folder is.

        A new version is the challenger. A version that is there already stays as it is.

        Args:
            fitted: What ``xinjian text fit`` wrote, or a single bundle, which has no verdict.
            model: Id of the model it is a version of.

        Raises:
            ConfigError: The folder holds neither, or the id cannot be one.
            BundleError: The bundle is not whole, or is not the one the verdict is about.
            RegistryError: The tracker failed; the folder stays, and the message says how to go on.
        """
        model_name(model)
        folder, verdict = winner(fitted)
        bundle = TextBundle.load(folder)
        there = self.versions(model)
        known = next((one for one in there if one.digest == bundle.digest), None)
        if known is not None:
            return known
        kept = (
            f"the model is kept in {fitted}; send it once the tracker answers with: "
            f"xinjian text register {fitted} {model}"
        )
        made = self.send(_publication(model, fitted, folder, bundle, verdict), kept=kept)
        return self.name(model, made.version, published.CHALLENGER)


def winner(fitted: Path) -> tuple[Path, Verdict | None]:
    """Return the folder of the bundle that won a fit, and the verdict; or a single bundle.

    Raises:
        ConfigError: The folder is neither.
        BundleError: The verdict cannot be read.
    """
    path = fitted / FILE
    if path.is_file():
        try:
            verdict = Verdict.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise BundleError(f"{path}: is not a fit's verdict; fit the model again") from error
        return fitted / verdict.winner, verdict
    if (fitted / MANIFEST).is_file():
        return fitted, None
    raise ConfigError(
        f"{fitted}: holds neither {FILE} nor {MANIFEST}; name what xinjian text fit wrote, "
        "or one of the bundles in it"
    )


def _publication(
    model: str, fitted: Path, folder: Path, bundle: TextBundle, verdict: Verdict | None
) -> Publication:
    manifest = bundle.manifest
    tags = {
        published.DIGEST: bundle.digest,
        KIND: bundle.kind,
        TAXONOMY_DIGEST: manifest.taxonomy_digest,
        DATA_DIGEST: manifest.data_digest,
    }
    if verdict is not None:
        tags |= {
            published.VERDICT: "keep",  # until it is held against the champion
            published.VERDICT_TEXT: "; ".join(verdict.reasons),
            published.VERDICT_JSON: json.dumps(verdict.model_dump(mode="json")),
        }
    params: dict[str, Value] = {**manifest.params, "rows": manifest.rows, "code": manifest.code}
    params |= {f"labels.{head.name}": len(head.labels) for head in bundle.heads}
    return Publication(
        model=model,
        title=f"{model}: {', '.join(head.name for head in bundle.heads)}",
        digest=bundle.digest,
        created=manifest.created,
        tags=tags,
        params=params,
        metrics=manifest.metrics,
        shown=(fitted / FILE, fitted / RESULT) if verdict is not None else (),
        write=lambda to: _copied(folder, to),
    )


def _copied(bundle: Path, to: Path) -> None:
    shutil.copytree(bundle, to / published.BUNDLE_PATH)
