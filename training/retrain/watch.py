"""Whether the champion still holds: drift of what it sees and says, on the lake of now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from models.errors import FitError
from models.features.output import build_to_parquet
from models.features.spec import AS_OF
from models.monitor.drift import SCORE, Drift, DriftLimits, Fitted, drift
from models.monitor.expected import expected, measured
from models.records.contract import Contract
from models.records.lake import Lake
from models.records.reading import LakeRecords
from models.risk.bundle import Bundle
from models.risk.grade import risk_score
from training.evaluate.capacity import capacity_share
from training.retrain.compare import first_model
from training.retrain.window import since
from training.risk.matrix import At, build_matrix
from training.snapshots import latest_view, period


@dataclass(frozen=True, slots=True)
class Watched:
    """The lake at fixed versions, and what a champion is watched with."""

    lake: Lake
    versions: Mapping[str, int]
    work: Path
    at: At
    contracts: Mapping[str, Contract]


def watch(
    champion: Bundle,
    watched: Watched,
    *,
    run: Path | None = None,
    limits: DriftLimits | None = None,
) -> Drift:
    """Hold the champion against what came since its fit; like is compared with like.

    A model of dates of view is shown the whole cohort as of the last such day on which the lake is
    complete, and beside it the rows since its fit whose label has arrived. A model of visits is
    shown the visits since its fit. ``run`` is the champion's run folder where it is still at hand:
    what it could do then is measured there.

    Raises:
        ConfigError: Nobody is in the cohort on that day.
        BundleError: The champion's features cannot be built any more.
    """
    labelled = _labelled(champion, watched)
    frame = labelled if watched.at == "visits" else _latest(champion, watched)
    capacity = capacity_share(frame, champion.scenario)
    return drift(
        frame,
        champion.drift,
        capacity=capacity,
        labelled=labelled,
        fitted=None if run is None or capacity is None else _fitted(run, watched.at, capacity),
        limits=limits,
    )


def _latest(champion: Bundle, watched: Watched) -> pl.DataFrame:
    """Return the features of everybody as of the latest day of view, scored; built once a run."""
    out = watched.work / "latest.parquet"
    if not out.exists():
        records = LakeRecords(watched.lake, versions=watched.versions)
        day = latest_view(champion.scenario, period([records], champion.scenario))
        out.parent.mkdir(parents=True, exist_ok=True)
        build_to_parquet(watched.lake, champion.scenario, [day], out, contracts=watched.contracts)
    return _scored(pl.read_parquet(out), champion)


def _labelled(champion: Bundle, watched: Watched) -> pl.DataFrame:
    """Return the rows that came to be known since the fit, scored; none where none did."""
    try:
        matrix = build_matrix(
            watched.lake,
            since(champion.scenario, champion, watched.at),
            watched.work / "since",
            at=watched.at,
            versions=watched.versions,
            contracts=watched.contracts,
        )
    except FitError:
        return _scored(_nothing(champion), champion)
    return _scored(matrix.frame.filter(pl.col("observed")), champion)


def _nothing(champion: Bundle) -> pl.DataFrame:
    features = {spec.name: spec.polars for spec in champion.features}
    own = {"subject_id": pl.String(), AS_OF: pl.Date(), "positive": pl.Boolean()}
    return pl.DataFrame(schema={**own, **features})


def _scored(frame: pl.DataFrame, champion: Bundle) -> pl.DataFrame:
    probability = champion.probability(frame)
    score = risk_score(probability.to_numpy()) if len(probability) else np.zeros(0)
    return frame.with_columns(probability.alias("probability"), pl.Series(SCORE, score))


def _fitted(run: Path, at: At, capacity: float) -> Fitted:
    """Return what the champion could do on its own test."""
    test = first_model(run)
    if at == "snapshots":  # candidates are those of one date
        test = test.filter(pl.col(AS_OF) == pl.col(AS_OF).max())
    p, y = test["p_lightgbm"], test["positive"]
    guessed = expected(p, capacity=capacity, resamples=0)["precision"].value
    if at == "snapshots":
        return Fitted(expected=guessed)
    seen = measured(p, y, capacity=capacity, resamples=0)["precision"].value
    return Fitted(expected=guessed, measured=seen)
