"""Judging models in time: metrics with intervals, replay, stability, fairness, and the model card.

Importing this package is cheap; numba, fairlearn, matplotlib, shap and jinja2 come with the
functions that need them.
"""

from training.evaluate.capacity import capacity_share
from training.evaluate.evaluation import Evaluation, Interval, Metric
from training.evaluate.judge import evaluate
from training.evaluate.metrics import paired

__all__ = ["Evaluation", "Interval", "Metric", "capacity_share", "evaluate", "paired"]
