"""How well leaves of a synthetic province are told: a guard against getting worse, no claim."""

from __future__ import annotations

import polars as pl
import pytest

from models.text.taxonomy import taxonomy
from training.synth.chunk import Chunk
from training.synth.grammar import grammar
from training.synth.province import begin, tables_of
from training.synth.spec import Rates, Spec
from training.text.evaluate import evaluate
from training.text.fit import fit
from training.text.measure import Measured

LEAVES = list(grammar().leaves)
FLOORS = {"penalty": (0.88, 0.74), "complaint": (0.94, 0.82)}
"""Micro and macro F1 that stood when this was written, less two points."""


@pytest.fixture(scope="module")
def chunk() -> Chunk:
    return begin(Spec(subjects=6_000, seed=5, rates=Rates(penalty=0.01)), 0)


def _texts(chunk: Chunk, table: str) -> pl.DataFrame:
    """Return the facts of a table with their true leaves; a quarter to learn from."""
    column = {"penalty": "violation_fact", "complaint": "content"}[table]
    frame = tables_of(chunk)[table].select(text=column, leaf="_leaf")
    common = frame.filter(pl.len().over("leaf") >= 8).head(3_200)
    learnt = pl.int_range(pl.len()).over("leaf") % 4 == 0
    return common.with_columns(
        leaf=pl.col("leaf").replace_strict(dict(enumerate(LEAVES)), return_dtype=pl.String),
        split=pl.when(learnt).then(pl.lit("train")).otherwise(pl.lit("test")),
    )


@pytest.mark.slow
@pytest.mark.parametrize("table", FLOORS)
def test_leaves_of_a_synthetic_province_are_told(chunk: Chunk, table: str) -> None:
    frame = _texts(chunk, table)
    made = fit(frame, base=None, taxonomy=taxonomy())
    found: Measured = evaluate(made.bundles, frame).measured["linear"]["leaf"]
    micro, macro = FLOORS[table]
    assert found.rows > 500
    assert found.micro_f1 >= micro
    assert found.macro_f1 >= macro
