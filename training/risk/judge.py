"""The judgement of a run: what its predictions are worth, and the card that says so.

A run's folder gains ``evaluation.json``, ``plots/`` and ``card.html``; all can be made again from
what the fit left there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from models.errors import ConfigError
from models.risk.bundle import Bundle
from models.risk.explain import Explainer
from models.whole import write_text
from training.evaluate.evaluation import Evaluation
from training.risk.place import DONE
from training.risk.run import EXPLAINED

EVALUATION: Final = "evaluation.json"
CARD: Final = "card.html"
PLOTS: Final = "plots"


def judge(folder: Path, *, resamples: int = 1000, seed: int | None = None) -> Evaluation:
    """Judge a run and write what was found into its folder.

    ``resamples`` of the intervals are drawn with ``seed``, the model's own where left out.

    Raises:
        ConfigError: the folder is no finished run.
        BundleError: its bundle was altered.
        FitError: the test saw one outcome only.
    """
    from training.evaluate.judge import evaluate

    bundle = finished(folder)
    chosen = bundle.scenario.model.seed if seed is None else seed
    evaluation = evaluate(
        pl.read_parquet(folder / "predictions.parquet"),
        bundle.scenario,
        seed=chosen,
        resamples=resamples,
    )
    write_text(folder / EVALUATION, evaluation.to_json())
    _pictured(folder, bundle, evaluation)
    return evaluation


def finished(folder: Path) -> Bundle:
    """Return the bundle of a finished run; :class:`ConfigError` where the folder is none."""
    if not (folder / DONE).is_file():
        raise ConfigError(
            f"{folder} is no finished run; name a folder that xinjian risk fit wrote, or repeat "
            "the fit, which goes on where it stopped"
        )
    return Bundle.load(folder / "bundle")


def _pictured(folder: Path, bundle: Bundle, evaluation: Evaluation) -> None:
    from training.evaluate.card import write_card
    from training.evaluate.contributions import contribution_pictures
    from training.evaluate.plots import pictures

    drawn = pictures(evaluation)
    sample = pl.read_parquet(folder / EXPLAINED)
    drawn |= contribution_pictures(
        sample,
        bundle.booster.contributions(bundle.encoder.matrix(sample)),
        titles={spec.name: spec.title for spec in bundle.features},
        hidden=frozenset(
            spec.name
            for group in Explainer.of(bundle).groups
            if group.hidden
            for spec in group.specs
        ),
        seed=evaluation.seed,
    )
    plots = folder / PLOTS
    plots.mkdir(exist_ok=True)
    for name, image in drawn.items():
        (plots / f"{name}.png").write_bytes(image)
    write_card(
        folder / CARD,
        evaluation=evaluation,
        manifest=bundle.manifest,
        scenario=bundle.scenario,
        features=bundle.features,
        pictures=drawn,
        digest=bundle.digest,
    )
