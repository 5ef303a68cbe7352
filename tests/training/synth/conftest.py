"""Small provinces that the tests of this folder share; nothing may change them."""

from __future__ import annotations

import polars as pl
import pytest

from training.synth.chunk import Chunk
from training.synth.province import Summary, begin, make, tables_of
from training.synth.spec import DIRT, Rates, Spec

DIRT_RATE = 0.02


@pytest.fixture(scope="session")
def province(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """Three chunks, at the usual rates."""
    spec = Spec(subjects=4_000, seed=11, chunk=1_500)
    return make(spec, tmp_path_factory.mktemp("province") / "out")


@pytest.fixture(scope="session")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """One chunk with many penalties and much dirt."""
    rates = Rates(dirt=dict.fromkeys(DIRT, DIRT_RATE), penalty=0.03)
    spec = Spec(subjects=4_000, seed=12, rates=rates)
    return make(spec, tmp_path_factory.mktemp("dirty") / "out")


@pytest.fixture(scope="session")
def chunk() -> Chunk:
    """Six thousand subjects before their tables are made."""
    return begin(Spec(subjects=6_000, seed=5), 0)


@pytest.fixture(scope="session")
def tables(chunk: Chunk) -> dict[str, pl.DataFrame]:
    """Its clean tables."""
    return tables_of(chunk)
