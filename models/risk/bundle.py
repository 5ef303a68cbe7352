"""A bundle: a folder with all that makes a decision, and nothing that could run by itself.

    booster.txt       LightGBM's own text
    calibrator.json   from log-odds to probability
    encoder.json      columns and categories
    features.json     the catalogue: what each feature means
    scenario.yaml     the declaration it was fitted for, every default said
    drift.json        histograms of the features and the score at the fit
    manifest.json     where it comes from, and the SHA-256 of every other file

The bundle's digest is the SHA-256 of ``manifest.json``, so it covers every byte.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from models.errors import BundleError
from models.features import catalogue
from models.features.spec import FeatureSpec
from models.monitor.psi import Histogram
from models.risk import keep
from models.risk.booster import Booster
from models.risk.calibrate import Calibrator
from models.risk.encode import Encoder, FloatArray, shown
from models.risk.grade import foretells
from models.risk.manifest import MANIFEST, BundleManifest, sha256
from models.scenarios.scenario import Scenario

CHUNK: Final = 8_000
"""Rows whose matrix is in memory at once: so few that it stays near the processor. No power of
two, which would lay the columns into each other's way."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """All that makes a probability of a row of features, and what is known of how it was made.

    A manifest without ``files`` is one of a new bundle: its digests and files are filled in.

    Raises:
        BundleError: the parts do not belong together.
    """

    scenario: Scenario
    features: tuple[FeatureSpec, ...]
    encoder: Encoder
    booster: Booster
    calibrator: Calibrator
    manifest: BundleManifest
    drift: Mapping[str, Histogram] = field(default_factory=dict[str, Histogram])

    def __post_init__(self) -> None:
        self._check_parts()
        made = {
            "scenario": self.scenario.id,
            "scenario_digest": self.scenario.digest,
            "features_digest": catalogue.digest(self.features),
        }
        if not self.manifest.files:
            sealed = self.manifest.sealed(**made, files=_hashes(self.content()))
            object.__setattr__(self, "manifest", sealed)
        for name, value in made.items():
            if getattr(self.manifest, name) != value:
                raise BundleError(
                    f"{MANIFEST}: {name} is {getattr(self.manifest, name)}, but the bundle's is "
                    f"{value}; restore the bundle, or fit the model again"
                )

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of ``manifest.json``, in 64 hex digits."""
        return sha256(self.manifest.text.encode())

    def content(self) -> dict[str, bytes]:
        """Return the files but the manifest, by name."""
        texts = {
            "booster.txt": self.booster.text,
            "calibrator.json": self.calibrator.to_json(),
            "encoder.json": self.encoder.to_json(),
            "features.json": keep.features_text(self.features),
            "scenario.yaml": keep.scenario_text(self.scenario),
            "drift.json": keep.drift_text(self.drift),
        }
        return {name: text.encode() for name, text in texts.items()}

    def save(self, folder: Path) -> None:
        """Write the bundle to ``folder``, whole or not at all; its parents are made.

        Where the same bundle is there already, nothing is done.

        Raises:
            BundleError: ``folder`` holds something else, or cannot be written; or this release
                writes the parts of a loaded bundle in another way.
        """
        content = self.content()
        if _hashes(content) != self.manifest.files:
            raise BundleError(
                "this release writes the bundle's parts in another way than the one that made it; "
                "copy the bundle's folder instead"
            )
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            try:
                for name, data in {**content, MANIFEST: self.manifest.text.encode()}.items():
                    _write(part / name, data)
                part.chmod(0o755)
                self._publish(part, folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        except OSError as error:
            raise BundleError(f"{folder}: cannot be written: {error.strerror}") from None

    @classmethod
    def load(cls, folder: Path, *, digest: str | None = None) -> Bundle:
        """Read the bundle in ``folder``; every byte is held against its hash first.

        ``digest`` is the bundle's digest where it is known, as from a registry: only it tells a
        bundle whose manifest was made anew from the one that was meant.

        Raises:
            BundleError: naming the file that is missing, unexpected, altered, or of a newer
                release, and what to do.
        """
        manifest = BundleManifest.read(folder / MANIFEST, digest=digest)
        texts = manifest.check_files(folder)
        encoder = Encoder.from_json(texts["encoder.json"])
        return cls(
            scenario=keep.scenario_of(texts["scenario.yaml"], str(folder / "scenario.yaml")),
            features=keep.features_of(texts["features.json"]),
            encoder=encoder,
            booster=Booster.from_text(texts["booster.txt"], features=encoder.features),
            calibrator=Calibrator.from_json(texts["calibrator.json"]),
            manifest=manifest,
            drift=keep.drift_of(texts["drift.json"]),
        )

    def probability(self, frame: pl.DataFrame, *, threads: int = 1) -> pl.Series:
        """Return the calibrated probability of each row, Float64 in (0, 1), never null.

        Raises :class:`BundleError` for columns that are missing, of a wrong type or infinite.
        """
        parts = [self._probability(part, threads) for part in frame.iter_slices(CHUNK)]
        whole = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0), *parts])
        return pl.Series("probability", whole)

    def check(self, scenario: Scenario, features: Sequence[FeatureSpec] | None = None) -> None:
        """Raise :class:`BundleError` unless the bundle foretells what ``scenario`` declares.

        Grades, vetoes, validity, capacity and actions may have been changed since the fit: they
        use the probability and do not make it. ``features`` is the catalogue that rows are built
        by, where it is known.
        """
        if foretells(scenario) != foretells(self.scenario):
            mine, theirs = self.scenario, scenario
            parts = ("id", "subject", "cohort", "label", "features")
            different = [name for name in parts if getattr(mine, name) != getattr(theirs, name)]
            raise BundleError(
                f"scenario '{scenario.id}' is not what the bundle of '{mine.id}' was fitted for; "
                f"they differ in {shown(different)}: fit a model for the changed scenario"
            )
        if features is not None and catalogue.digest(features) != self.manifest.features_digest:
            changed = sorted({spec.name for spec in {*features} ^ {*self.features}})
            raise BundleError(
                f"the features differ from the bundle's in {shown(changed) or 'their order'}; use "
                "the release and contracts that made the bundle, or fit the model again"
            )

    def _probability(self, part: pl.DataFrame, threads: int) -> FloatArray:
        matrix = self.encoder.matrix(part, order="fortran")
        if len(matrix) == 1:
            raw = np.array([self.booster.raw_one(matrix[0])])
        else:
            raw = self.booster.raw(matrix, threads)
        return self.calibrator.apply(raw)

    def _check_parts(self) -> None:
        names = {spec.name: spec.dtype for spec in self.features}
        unknown = [name for name in self.encoder.features if name not in names]
        if unknown:
            raise BundleError(f"the encoder reads features that there are not: {shown(unknown)}")
        texts = {name for name in self.encoder.features if names[name] == "category"}
        odd = sorted(texts ^ set(self.encoder.categories))
        if odd:
            raise BundleError(f"number to the catalogue, category to the encoder: {shown(odd)}")
        if self.booster.features != self.encoder.features:
            raise BundleError("the booster's features are not the encoder's, in its order")

    def _publish(self, part: Path, folder: Path) -> None:
        try:
            part.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            with suppress(BundleError):
                if BundleManifest.read(folder / MANIFEST).text == self.manifest.text:
                    return
            raise BundleError(
                f"{folder}: holds something else already; choose another folder, or remove it"
            ) from None


def _hashes(content: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sha256(data) for name, data in sorted(content.items())}


def _write(path: Path, data: bytes) -> None:
    """Write to the disk itself: a bundle that appears has to survive a power cut."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
