"""A fit from beginning to end: matrix, weights, folds, search, models, predictions, bundle.

Everything lies in the run's folder (:mod:`.place`). A run that was killed goes on: its matrix, its
trials and the folds that it had predicted are kept.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import polars as pl

from models.features.spec import AS_OF, KEYS
from models.monitor.psi import Histogram
from models.records.bookkeeping import of_records
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from models.risk.bundle import Bundle
from models.risk.calibrate import Kind
from models.risk.grade import risk_score
from models.risk.manifest import BundleManifest
from models.scenarios.scenario import Scenario
from training.risk.audit import PREFIX as AUDIT
from training.risk.baseline.all import Baseline, fit_baselines
from training.risk.fit import Fitted, Params, area, fit
from training.risk.folds import Fold, Span, final, rolling, within
from training.risk.matrix import At, Matrix, build_matrix, declaration_digest
from training.risk.place import DONE, Place, placed, waited, write_json, write_parquet
from training.risk.sample import batches, read_sample
from training.risk.tune import SPLITS, Tuned, splits, tune
from training.risk.weights import Weighing, weigh

Progress: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opens a bar of a title and a number of units; see :func:`training.progress.progress`."""

SCORE: Final = "risk_score"
"""The name of the score's histogram in a bundle's drift reference."""
EXPLAINED: Final = "explained.parquet"
EXPLAINED_ROWS: Final = 2_000
_DRIFT_ROWS: Final = 100_000
_OWN: Final = (
    *KEYS,
    "group",
    "observed",
    "positive",
    "weight",
    "inclusion_probability",
    "observed_on",
    "event_on",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a fit is asked for.

    ``test_from``: first date of view of the test, by default where the last fifth of the observed
    rows begins. ``folds``: earlier splits beside it, each tested on ``fold_days``. ``trials`` of
    the search, which knows nothing of the earliest split's test or of what comes after, since its
    parameters are those of every split: the more splits, the less it has. What is null is the
    scenario's, or the default. ``hints``: whether the catalogue's directions hold. ``regrow``:
    whether trees also grow on the slices that stopped and calibrated them. ``threads`` changes no
    result.
    """

    at: At = "snapshots"
    test_from: date | None = None
    folds: int = 0
    fold_days: int = 365
    trials: int = 0
    leaves: int | None = None
    calibrate: Kind | None = None
    seed: int | None = None
    hints: bool = True
    regrow: bool = False
    threads: int = 1

    def asked(self) -> dict[str, object]:
        """Return what makes two runs the same work."""
        data = asdict(self)
        del data["threads"]
        return {**data, "test_from": str(self.test_from) if self.test_from else None}

    def params(self, scenario: Scenario) -> Params:
        """Return the parameters to begin with."""
        start = Params.of(scenario)
        return replace(
            start,
            leaves=self.leaves or start.leaves,
            calibrate=self.calibrate or start.calibrate,
            seed=start.seed if self.seed is None else self.seed,
            hints=self.hints,
            regrow=self.regrow,
            threads=self.threads,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What a fit made: a folder with ``bundle/``, ``predictions.parquet`` and ``fit.json``."""

    folder: Path
    bundle: Bundle
    folds: tuple[Fold, ...]
    weighing: Weighing
    tuned: Tuned | None
    resumed: bool

    @property
    def predictions(self) -> Path:
        """Return the file of the predictions on the tests of all folds."""
        return self.folder / "predictions.parquet"


def fit_run(
    lake: Lake,
    scenario: Scenario,
    root: Path,
    *,
    options: Options = Options(),
    contracts: Mapping[str, Contract] = CONTRACTS,
    progress: Progress = lambda _title, _total: nullcontext(lambda _: None),
    fresh: bool = False,
) -> Run:
    """Fit a scenario's model and its baselines, and write the run's folder under ``root``.

    Args:
        lake: Where the records are; the versions it has now are the run's.
        scenario: What is foretold.
        root: The folder of the scenario's runs.
        options: What is asked for.
        contracts: The tables there are, a user's own among them.
        progress: Opens progress bars.
        fresh: Whether to begin anew where an unfinished run could go on.

    Raises:
        FitError: the data does not allow a model, and why.
        LakeMissingError: a version that an unfinished run was begun on is gone.
        ConfigError: an unknown table.
    """
    asked = {"scenario": scenario.digest, **options.asked()}
    with placed(root, asked, of_records(lake.versions()), fresh=fresh) as place:
        matrix = _matrix(lake, scenario, place, options, contracts, progress)
        folds = _folds(matrix, options)
        earliest = folds[-1]
        rows, weighing = weigh(matrix, before=earliest.test.first, threads=options.threads)
        params, tuned = _params(matrix, rows, earliest, place, options, progress)
        with progress("拟合", len(folds)) as advance:
            for fold in folds:
                _fold(matrix, rows, fold, params, place.folder)
                advance(1)
        bundle = Bundle.load(place.folder / "bundle")
        _join(place.folder, folds)
        run = Run(place.folder, bundle, folds, weighing, tuned, place.resumed)
        write_json(place.folder / DONE, _told(run, matrix, options))
    return run


def _matrix(
    lake: Lake,
    scenario: Scenario,
    place: Place,
    options: Options,
    contracts: Mapping[str, Contract],
    progress: Progress,
) -> Matrix:
    work = place.matrix(declaration_digest(scenario), options.at)
    with waited(work), progress("样本", 4 * lake.buckets) as advance:
        return build_matrix(
            lake,
            scenario,
            work,
            at=options.at,
            versions=place.versions,
            contracts=contracts,
            advance=advance,
        )


def _folds(matrix: Matrix, options: Options) -> tuple[Fold, ...]:
    """Return the split whose model is kept, then the earlier ones, the latest first."""
    rows = matrix.rows
    kept = final(rows, test_from=options.test_from)
    return kept, *rolling(rows, kept.test.first, count=options.folds, days=options.fold_days)


def _params(
    matrix: Matrix,
    rows: pl.DataFrame,
    fold: Fold,
    place: Place,
    options: Options,
    progress: Progress,
) -> tuple[Params, Tuned | None]:
    start = options.params(matrix.scenario)
    if not options.trials:
        return start, None
    over = splits(matrix, rows, within(rows, fold, count=SPLITS))
    with progress("调参", options.trials) as advance:
        tuned = tune(
            matrix,
            start,
            over,
            place.folder / "trials.journal",
            trials=options.trials,
            leaves=options.leaves,
            advance=advance,
        )
    return replace(tuned.params, threads=options.threads), tuned


def _fold(matrix: Matrix, rows: pl.DataFrame, fold: Fold, params: Params, folder: Path) -> None:
    """Fit model and baselines on a fold and predict its test; fold 0 gives the bundle."""
    path = folder / f"predictions-{fold.number:02}.parquet"
    if path.exists():
        return
    train, stop, calibration, learn = (
        read_sample(matrix, rows, span)
        for span in (fold.train, fold.stop, fold.calibrate, fold.learn)
    )
    fitted = fit(
        matrix.features,
        matrix.scenario,
        params,
        train=train,
        stop=stop,
        calibration=calibration,
        learn=learn,
    )
    baselines = fit_baselines(
        matrix.scenario,
        matrix.features,
        train=train,
        calibration=calibration,
        kind=params.calibrate,
        seed=params.seed,
    )
    predictions = _predicted(matrix, rows, fold, fitted, baselines)
    if fold.number == 0:
        own = learn if params.regrow else train
        learnt = (own.frame.height, int(own.positive.sum()), own.rate)
        # A fit that was killed here before left a bundle of another time of making.
        shutil.rmtree(folder / "bundle", ignore_errors=True)
        _bundle(matrix, fold, fitted, learnt, predictions).save(folder / "bundle")
        write_parquet(_explained(matrix, fold, fitted), folder / EXPLAINED)
    write_parquet(predictions, path)


def _predicted(
    matrix: Matrix,
    rows: pl.DataFrame,
    fold: Fold,
    fitted: Fitted,
    baselines: Sequence[Baseline],
) -> pl.DataFrame:
    """Foretell everybody in the test, observed or not; columns as evaluations read them."""
    audited = [name for name in rows.columns if name.startswith(AUDIT)]
    parts = [
        frame.select(*_OWN, *audited).with_columns(
            pl.lit(fold.number, pl.Int32).alias("fold"),
            pl.Series("p_lightgbm", fitted.probability(frame)),
            *(pl.Series(f"p_{one.name}", one.probability(frame)) for one in baselines),
        )
        for frame in batches(matrix, fold.test)
    ]
    # The matrix's own weights are 1; those of the same rows in the same order are found by place.
    weighed = rows.filter(fold.test.rows)
    whole = pl.concat(parts)
    ordered = _numbered(weighed).select(*KEYS, "_n", "weight")
    return (
        _numbered(whole.drop("weight"))
        .join(ordered, on=[*KEYS, "_n"], how="left", maintain_order="left")
        .select("fold", *_OWN, *audited, pl.col("^p_.*$"))
    )


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with a number for each row of one subject and date: visits have several."""
    return frame.with_columns(pl.int_range(pl.len()).over(KEYS).alias("_n"))


def _bundle(
    matrix: Matrix,
    fold: Fold,
    fitted: Fitted,
    learnt: tuple[int, int, float],
    predictions: pl.DataFrame,
) -> Bundle:
    rows, positives, rate = learnt
    span = fold.learn if fitted.params.regrow else fold.train
    judged = predictions.filter("observed")
    p, y, w = (judged[name].to_numpy() for name in ("p_lightgbm", "positive", "weight"))
    outcome = y.astype(np.bool_)
    manifest = BundleManifest(
        data_versions=dict(matrix.versions),
        trained_from=span.first,
        trained_to=span.last,
        rows=rows,
        positives=positives,
        base_rate=rate,
        params={**fitted.params.to_json(), "rounds_used": fitted.rounds, "at": matrix.at},
        metrics={
            "stop_auc": fitted.auc,
            "test_auc": area(p, outcome, w),
            "test_brier": float(np.average(np.square(p - outcome), weights=w)),
        },
    )
    return Bundle(
        matrix.scenario,
        matrix.features,
        fitted.encoder,
        fitted.booster,
        fitted.calibrator,
        manifest,
        _drift(matrix, fold, fitted),
    )


def _drift(matrix: Matrix, fold: Fold, fitted: Fitted) -> dict[str, Histogram]:
    """Return histograms of everybody in the calibration slice: the latest that was learnt from."""
    frames = [
        frame.select(fitted.encoder.features).sample(
            fraction=min(1.0, _DRIFT_ROWS / frame.height), seed=0
        )
        for frame in batches(matrix, fold.calibrate)
    ]
    sample = pl.concat(frames)
    if sample.height > _DRIFT_ROWS:
        sample = sample.sample(_DRIFT_ROWS, seed=0)
    score = pl.Series(SCORE, risk_score(fitted.probability(sample)))
    return {column.name: Histogram.of(column) for column in (*sample.iter_columns(), score)}


def _explained(matrix: Matrix, fold: Fold, fitted: Fitted) -> pl.DataFrame:
    """Return some rows of the test with the booster's features, for pictures of what moves it."""
    latest = Span(fold.test.last, fold.test.last) if matrix.at == "snapshots" else fold.test
    sample = pl.concat([frame.select(fitted.encoder.features) for frame in batches(matrix, latest)])
    return sample.sample(min(EXPLAINED_ROWS, sample.height), seed=0)


def _join(folder: Path, folds: Sequence[Fold]) -> None:
    parts = [folder / f"predictions-{fold.number:02}.parquet" for fold in folds]
    making = folder / "predictions.part"
    pl.scan_parquet(parts).sink_parquet(making)
    making.replace(folder / "predictions.parquet")


def _told(run: Run, matrix: Matrix, options: Options) -> dict[str, object]:
    """Return what ``fit.json`` keeps: enough to know what was done, and how it was split."""
    manifest = run.bundle.manifest
    return {
        "run": run.folder.name,
        "scenario": matrix.scenario.id,
        "bundle": run.bundle.digest,
        "options": options.asked(),
        "period": [matrix.period.start, matrix.period.end],
        "versions": dict(matrix.versions),
        "params": manifest.params,
        "metrics": manifest.metrics,
        "dropped": sorted(set(matrix.names) - set(run.bundle.encoder.features)),
        "weights": run.weighing.to_json(),
        "tuned": None if run.tuned is None else asdict(run.tuned),
        "folds": [
            {"number": fold.number}
            | {name: [span.first, span.last] for name, span in fold.spans().items()}
            for fold in run.folds
        ],
        "dates": matrix.scan().select(pl.col(AS_OF).n_unique()).collect().item(),
    }
