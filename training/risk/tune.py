"""The search for better parameters, on splits that lie before any calibration slice and test.

One search serves all splits of a run, so it looks only at what the earliest of them learns and
stops by.

A trial is fitted on each of the splits in turn and scored by its area under the curve on what comes
after; one that falls behind the median of the others so far is given up. The defaults are the first
trial, so that the search cannot end below them. Trials are kept in a journal: a search that was
killed goes on with those it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from training.risk.fit import Params, area, fit
from training.risk.folds import Fold
from training.risk.matrix import Matrix
from training.risk.sample import Sample, read_sample

if TYPE_CHECKING:
    import optuna

SPLITS: Final = 3
STARTUP: Final = 5
"""Trials before any is given up."""
_STUDY: Final = "risk"


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best parameters, their mean area under the curve, that of the defaults, and the count."""

    params: Params
    auc: float
    auc_of_defaults: float
    trials: int
    pruned: int


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The samples of one split of the search."""

    train: Sample
    stop: Sample
    learn: Sample
    test: Sample


def splits(matrix: Matrix, rows: pl.DataFrame, folds: Sequence[Fold]) -> list[Split]:
    """Read the samples of a search's splits, the earliest first."""
    return [
        Split(
            train=read_sample(matrix, rows, fold.train),
            stop=read_sample(matrix, rows, fold.stop),
            learn=read_sample(matrix, rows, fold.learn),
            test=read_sample(matrix, rows, fold.test),
        )
        for fold in reversed(folds)
    ]


def tune(
    matrix: Matrix,
    start: Params,
    over: Sequence[Split],
    journal: Path,
    *,
    trials: int,
    leaves: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Tuned:
    """Return the best of ``trials`` trials in all, those in the journal among them.

    Args:
        matrix: Gives features and scenario.
        start: The defaults; its seed is the search's.
        over: The splits; see :func:`splits`.
        journal: The file that keeps the trials.
        trials: How many there are to be.
        leaves: Keeps the number of leaves where it is given.
        advance: Is told of each trial.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = _storage(journal)
    study = optuna.create_study(
        storage=storage,
        study_name=_STUDY,
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=start.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
    )
    done = len(_finished(study))
    # A sampler that begins with the same seed again would propose the same again.
    study.sampler = optuna.samplers.TPESampler(seed=start.seed + done)
    advance(min(done, trials))
    if not study.trials:
        study.enqueue_trial(_asked(start, leaves))

    def objective(trial: optuna.Trial) -> float:
        return _mean(matrix, _proposed(trial, start, leaves), over, trial)

    def told(_: optuna.Study, __: optuna.trial.FrozenTrial) -> None:
        advance(1)

    if done < trials:
        study.optimize(objective, n_trials=trials - done, callbacks=[told])
    finished = _finished(study)
    best = study.best_trial
    pruned = sum(one.state == optuna.trial.TrialState.PRUNED for one in finished)
    defaults = next(one for one in finished if one.number == 0)
    params = replace(start, **best.params)
    return Tuned(params, best.value or 0.0, defaults.value or 0.0, len(finished), pruned)


def _storage(journal: Path) -> optuna.storages.BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(journal)))


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [one for one in study.trials if one.state.is_finished()]


def _asked(start: Params, leaves: int | None) -> dict[str, float | int]:
    asked: dict[str, float | int] = {
        "learning_rate": start.learning_rate,
        "min_rows": start.min_rows,
        "l2": start.l2,
        "feature_share": start.feature_share,
        "row_share": start.row_share,
        "balance": start.balance,
        "extra": start.extra,
    }
    return asked if leaves is not None else {"leaves": start.leaves, **asked}


def _proposed(trial: optuna.Trial, start: Params, leaves: int | None) -> Params:
    return replace(
        start,
        leaves=trial.suggest_int("leaves", 3, 31, log=True) if leaves is None else leaves,
        learning_rate=trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
        min_rows=trial.suggest_int("min_rows", 10, 300, log=True),
        l2=trial.suggest_float("l2", 0.1, 100.0, log=True),
        feature_share=trial.suggest_float("feature_share", 0.1, 1.0),
        row_share=trial.suggest_float("row_share", 0.5, 1.0),
        balance=trial.suggest_float("balance", 0.0, 1.0),
        extra=trial.suggest_categorical("extra", [False, True]),
    )


def _mean(matrix: Matrix, params: Params, over: Sequence[Split], trial: optuna.Trial) -> float:
    import optuna

    found: list[float] = []
    for step, split in enumerate(over):
        fitted = fit(
            matrix.features,
            matrix.scenario,
            params,
            train=split.train,
            stop=split.stop,
            learn=split.learn,
        )
        raw = fitted.raw(split.test.frame)
        found.append(area(raw, split.test.positive, split.test.weight))
        trial.report(sum(found) / len(found), step)
        if step + 1 < len(over) and trial.should_prune():
            raise optuna.TrialPruned
    return sum(found) / len(found)
