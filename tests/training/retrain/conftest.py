"""A small bundle of a real scenario, with all its features, fitted on made-up numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
import pytest

from models.features.catalogue import features_of
from models.features.spec import FeatureSpec
from models.monitor.drift import reference
from models.risk.booster import Booster
from models.risk.bundle import Bundle
from models.risk.calibrate import Calibrator
from models.risk.encode import Encoder
from models.risk.manifest import BundleManifest
from models.scenarios.catalogue import scenario_named
from models.scenarios.scenario import Scenario
from training.registry import Registry

ROWS = 400


@dataclass(frozen=True)
class Maker:
    """Makes bundles that differ by ``seed``: other numbers, another digest."""

    scenario: Scenario
    specs: tuple[FeatureSpec, ...]

    def features(self, rows: int, *, seed: int) -> pl.DataFrame:
        """Return features as the pipeline would, with nulls."""
        generator = np.random.default_rng(seed)
        columns: dict[str, pl.Series] = {}
        for spec in self.specs:
            if spec.dtype == "category":
                values: np.ndarray = generator.choice(["甲", "乙", "丙"], size=rows)
            else:
                values = generator.gamma(1.0, 2.0, size=rows).round(3)
            unknown = pl.Series(generator.random(rows) < 0.1)
            column = pl.Series(spec.name, values).cast(spec.polars)
            columns[spec.name] = column.to_frame().select(
                pl.when(~unknown).then(pl.col(spec.name)).alias(spec.name)
            )[spec.name]
        keys = {
            "subject_id": [f"S{place:04d}" for place in range(rows)],
            "as_of": [date(2025, 1, 1)] * rows,
        }
        return pl.DataFrame({**keys, **columns})

    def __call__(self, seed: int = 1, *, calibrator: Calibrator | None = None) -> Bundle:
        """Return a bundle."""
        frame = self.features(ROWS, seed=seed)
        encoder = Encoder.of(frame, self.specs)
        matrix = encoder.matrix(frame)
        signal = np.nan_to_num(matrix[:, encoder.features.index(self.specs[0].name)])
        y = np.random.default_rng(seed).random(ROWS) < 1 / (1 + np.exp(2 - signal))
        data = lightgbm.Dataset(
            matrix, y, categorical_feature=list(encoder.categorical), free_raw_data=False
        )
        settings = {"objective": "binary", "num_leaves": 4, "verbose": -1, "num_threads": 1}
        fitted = lightgbm.Booster(settings, data)
        for _ in range(12):
            fitted.update()  # pyright: ignore[reportUnknownMemberType]
        manifest = BundleManifest(
            created=datetime(2025, 2, 1, 8, seed % 60, tzinfo=UTC),
            data_versions={"inspection": 3, "penalty": 1},
            trained_from=date(2022, 1, 1),
            trained_to=date(2024, 6, 1),
            rows=ROWS,
            positives=int(y.sum()),
            base_rate=float(y.mean()),
            params={"leaves": 4, "seed": seed},
            metrics={"auc": 0.7, "precision_capacity": 0.4},
        )
        return Bundle(
            self.scenario,
            self.specs,
            encoder,
            Booster.from_text(fitted.model_to_string(), features=encoder.features),
            calibrator or Calibrator("isotonic", knots=(-2.5, -1.0, 0.2), levels=(0.05, 0.2, 0.6)),
            manifest,
            reference(frame, encoder.features),
        )


@pytest.fixture(scope="session")
def maker() -> Maker:
    """Return what makes bundles of the culture-market scenario."""
    scenario = scenario_named("culture_market_inspection")
    return Maker(scenario, features_of(scenario))


@pytest.fixture(scope="session")
def bundle(maker: Maker) -> Bundle:
    """Return a bundle."""
    return maker(1)


MakeRun = Callable[[Bundle], Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return what writes a bundle into a run folder of its own."""

    def make(bundle: Bundle) -> Path:
        run = tmp_path / "risk" / bundle.scenario.id / bundle.digest[:8]
        bundle.save(run / "bundle")
        (run / "plots").mkdir()
        (run / "plots" / "reliability.svg").write_text("<svg/>", encoding="utf-8")
        (run / "card.html").write_text("<html></html>", encoding="utf-8")
        return run

    return make


@pytest.fixture
def registry(empty_tracker: Path, tmp_path: Path) -> Registry:
    """Return a registry of one's own, empty."""
    folder = tmp_path / "mlflow"
    folder.mkdir()
    shutil.copy(empty_tracker, folder / "mlflow.db")
    return Registry(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
