"""The town's lake, made once, and matrices of numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.records.lake import Lake
from tests.training.risk.world import Numbers, town
from training.risk.matrix import Matrix


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Return the town's lake; not to be written to."""
    return written(tmp_path_factory.mktemp("town") / "lake")


@pytest.fixture
def own_lake(tmp_path: Path) -> Lake:
    """Return a smaller town's lake that a test may write to."""
    return written(tmp_path / "lake", firms=40)


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    """Return a matrix of numbers."""
    return Numbers().matrix(tmp_path_factory.mktemp("numbers"))


def written(path: Path, firms: int = 300) -> Lake:
    made = Lake.open(path, buckets=2)
    for table, rows in town(firms).items():
        made.merge(table, rows)
    return made
