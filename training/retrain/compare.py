"""Champion and challenger, or a first model and its baselines, on the same later rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from models.errors import ModelError
from models.features.spec import KEYS
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from models.risk.bundle import Bundle
from models.risk.grade import rulebook
from models.scenarios.scenario import Scenario
from training.evaluate.predictions import MAIN, PREFIX
from training.risk.matrix import Matrix, build_matrix

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
KEPT: Final = 0
"""The fold whose model is kept, in a run's predictions."""
PREDICTIONS: Final = "predictions.parquet"


def first_model(run: Path) -> pl.DataFrame:
    """Return the predictions of a run's kept model and its baselines, on the test.

    Raises:
        ModelError: The run has none.
    """
    path = run / PREDICTIONS
    if not path.exists():
        raise ModelError(f"{path} is missing; fit the model again")
    return pl.read_parquet(path).filter(pl.col("fold") == KEPT)


def both(
    run: Path, matrix: Matrix, challenger: Bundle, champion: Bundle, *, begin: date
) -> pl.DataFrame:
    """Return the run's test rows from ``begin`` on with ``p_challenger`` and ``p_champion``.

    ``matrix`` has the champion's features of those rows; a row that it lacks (of a cohort that was
    declared otherwise) is left out. Weights and groups are those of the run.

    Raises:
        ModelError: No row is left.
    """
    rows = first_model(run).filter(pl.col("as_of") >= begin)
    told = rows.select(pl.exclude(f"^{PREFIX}.*$"), pl.col(PREFIX + MAIN).alias("p_challenger"))
    features = (
        matrix.scan()
        .filter(pl.col("as_of") >= begin)
        .select(*KEYS, *champion.encoder.features)
        .unique(KEYS, keep="first")
        .collect()
    )
    scored = features.select(KEYS).with_columns(
        champion.probability(features).alias(PREFIX + CHAMPION)
    )
    found = told.join(scored, on=KEYS, how="inner", maintain_order="left")
    if found.is_empty():
        raise ModelError(
            f"champion {champion.digest[:12]} and challenger {challenger.digest[:12]} share no row "
            f"from {begin} on; import later records, or fit a first model of the changed scenario"
        )
    return found


def champion_matrix(
    lake: Lake,
    matrix: Matrix,
    champion: Bundle,
    work: Path,
    *,
    contracts: Mapping[str, Contract] = CONTRACTS,
) -> Matrix:
    """Return a matrix that has the champion's features: the challenger's, else one of its own.

    A changed declaration makes other features; the champion's are then built from its own one, at
    the same dates and versions.
    """
    if set(champion.encoder.features) <= set(matrix.names):
        return matrix
    own = champion.scenario.model_copy(update={"snapshots": matrix.scenario.snapshots})
    return build_matrix(
        lake, own, work, at=matrix.at, versions=matrix.versions, contracts=contracts
    )


def moved_grades(frame: pl.DataFrame, scenario: Scenario) -> float:
    """Return the share of the subjects whose grade the challenger would change, each at its latest.

    Grades are those of the probabilities; vetoes hold for both alike.
    """
    latest = frame.sort("as_of").unique("subject_id", keep="last", maintain_order=True)
    book = rulebook(scenario)
    before, after = (
        book.places(latest[PREFIX + name].to_numpy()) for name in (CHAMPION, CHALLENGER)
    )
    return int(np.count_nonzero(before != after)) / max(len(before), 1)
