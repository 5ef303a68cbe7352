"""What was found about the models of a scenario: a value that is kept as JSON."""

from __future__ import annotations

from datetime import date
from typing import Final, Literal, Self, TypeAlias

from pydantic import ValidationError

from models.errors import ModelError
from models.scenarios.label import Frozen
from training.evaluate.predictions import Weighting

Share: TypeAlias = Literal["1", "5", "10", "25", "capacity"]
Metric: TypeAlias = Literal[
    "auc",
    "ap",
    "brier",
    "ece",
    "precision_1",
    "precision_5",
    "precision_10",
    "precision_25",
    "precision_capacity",
    "recall_1",
    "recall_5",
    "recall_10",
    "recall_25",
    "recall_capacity",
    "lift_1",
    "lift_5",
    "lift_10",
    "lift_25",
    "lift_capacity",
]
"""Of brier and ece less is better, of all others more."""

POOLED: Final = "pooled"


class Interval(Frozen):
    """A figure and its 95 % interval; None where the data does not tell."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Bin(Frozen):
    """Rows of like probability: number, share of the weight, mean probability, and outcome."""

    rows: int
    mass: float
    predicted: float
    observed: Interval


class Curve(Frozen):
    """A ranking from the highest score down: at each share of the rows what was found.

    ``recall`` of the positives, ``alarms`` of the negatives, ``precision`` of the rows taken.
    """

    share: tuple[float, ...]
    recall: tuple[float, ...]
    alarms: tuple[float, ...]
    precision: tuple[float, ...]


class Figures(Frozen):
    """One model under one weighting: metrics, and its reliability bin by bin."""

    model: str
    weighting: Weighting
    metrics: dict[Metric, Interval]
    reliability: tuple[Bin, ...]
    curve: Curve | None = None


class Difference(Frozen):
    """The judged model minus another, on the same resamples."""

    other: str
    weighting: Weighting
    metrics: dict[Metric, Interval]


class Slice(Frozen):
    """A fold, or all folds pooled.

    ``rows`` are candidates, ``judged`` those whose outcome was seen. ``capacity``: the share of the
    candidates that the declared capacity reaches, None where none is declared.
    """

    name: str
    first: date
    last: date
    rows: int
    judged: int
    subjects: int
    positives: int
    base_rate: dict[Weighting, float]
    capacity: float | None
    figures: tuple[Figures, ...]
    differences: tuple[Difference, ...]

    def of(self, model: str, weighting: Weighting) -> Figures:
        """Return the figures of a model under a weighting."""
        for one in self.figures:
            if (one.model, one.weighting) == (model, weighting):
                return one
        raise ModelError(f"{self.name} holds no figures of {model} ({weighting})")


class Replay(Frozen):
    """The visits of each window, made again in the order of a model.

    ``gain``: mean days by which a finding moves, later ones counted negative. ``earlier`` and
    ``later``: shares of the findings that move by half a day or more, ``earlier_days`` and
    ``later_days`` by how much these move on average.
    """

    model: str
    window: int
    windows: int
    visits: int
    findings: int
    gain: Interval
    earlier: Interval
    earlier_days: Interval
    later: Interval
    later_days: Interval


class Quarter(Frozen):
    """The judged model in a quarter of a fold.

    ``psi``: how far the scores moved from the fold's first quarter, None for that one itself;
    ``psi_chance``: what two samples of one population of these sizes exceed once in a hundred.
    """

    fold: int
    quarter: str
    rows: int
    judged: int
    positives: int
    base_rate: float | None
    predicted: float | None
    metrics: dict[Metric, Interval]
    psi: float | None
    psi_chance: float | None


class Group(Frozen):
    """Subjects alike in one respect; ``large`` enough to be judged or not.

    ``selected``: share of its rows that capacity reaches; ``tpr`` and ``fpr``: the same among
    positives and negatives; ``gap``: mean probability minus observed rate.
    """

    name: str
    rows: int
    judged: int
    subjects: int
    positives: int
    large: bool
    selected: Interval
    tpr: Interval
    fpr: Interval
    gap: Interval


class Fairness(Frozen):
    """The groups of an audited attribute, and the largest difference between two large ones."""

    by: str
    share: float
    groups: tuple[Group, ...]
    differences: dict[str, Interval]


class Evaluation(Frozen):
    """What was found: folds and all pooled, replay, stability, fairness.

    ``model`` is the one judged, ``models`` all, it first. ``kind`` tells whether rows are dates of
    view or visits. ``weighting`` is that of the headline: ``ipw`` where the scenario asks for it.
    ``slices`` are the folds in order and, last, all pooled.
    """

    format: Literal[1] = 1
    scenario: str
    scenario_digest: str
    model: str
    models: tuple[str, ...]
    kind: Literal["snapshots", "visits"]
    weighting: Weighting
    seed: int
    resamples: int
    slices: tuple[Slice, ...]
    replays: tuple[Replay, ...]
    stability: tuple[Quarter, ...]
    fairness: tuple[Fairness, ...]

    @property
    def pooled(self) -> Slice:
        """Return the figures over all folds."""
        return self.slices[-1]

    @property
    def weightings(self) -> tuple[Weighting, ...]:
        """Return the weightings that were judged, the headline's first."""
        others = sorted(set(self.pooled.base_rate) - {self.weighting})
        return (self.weighting, *others)

    @property
    def headline(self) -> dict[str, float]:
        """Return the judged model's pooled metrics, with ``_low`` and ``_high``, that are known."""
        metrics = self.pooled.of(self.model, self.weighting).metrics
        flat: dict[str, float | None] = {}
        for name, one in metrics.items():
            flat |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
        return {name: value for name, value in flat.items() if value is not None}

    def to_json(self) -> str:
        """Return it as JSON that :meth:`from_json` reads back equal."""
        return self.model_dump_json(indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what :meth:`to_json` gave.

        Raises:
            ModelError: It is something else, or was cut short.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the text"
            raise ModelError(
                f"no evaluation can be read: {place}: {first['msg']}; evaluate the run again"
            ) from None
