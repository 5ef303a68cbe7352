"""What several folders of tests of training begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.registry import Registry


@pytest.fixture(scope="session")
def empty_tracker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a new tracker: MLflow needs seconds to make one, so it is copied."""
    folder = tmp_path_factory.mktemp("tracker")
    registry = Registry(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
    with registry._client() as client:
        client.get_experiment_by_name("none")
    return folder / "mlflow.db"
