"""A small province in a lake, made once for all tests of features."""

from __future__ import annotations

import pytest

from models.records.lake import Lake
from training.sources.mapping import load_mapping
from training.sources.run import import_mapping
from training.synth import make_province


@pytest.fixture(scope="session")
def province(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Return the lake of a province of 600 subjects in 4 buckets; not to be written to."""
    folder = tmp_path_factory.mktemp("features")
    made = make_province(folder / "raw", subjects=600, seed=11)
    lake = Lake.open(folder / "lake", buckets=4)
    import_mapping(load_mapping(made.mapping), lake)
    return lake
