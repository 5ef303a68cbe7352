"""From a probability to a risk score and a grade, by the scenario's rules.

The score runs from 0 to 1000, higher is riskier, and is linear in the log-odds between the
probabilities .001 and .999. It is never a public credit score, where higher is better. A grade is
for the supervisor's use: it neither judges nor punishes, is not published, and exempts nobody from
being drawn (不评价、不惩戒、不公开、不免抽).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import BundleError, ConfigError
from models.risk.calibrate import logit
from models.risk.encode import FloatArray, shown
from models.scenarios.scenario import Scenario
from models.scenarios.where import parse

Places: TypeAlias = npt.NDArray[np.int64]
"""Grades by their place, 0 being the best; -1 is none."""
Hits: TypeAlias = npt.NDArray[np.bool_]

SAFEST: Final = 0.001
"""The probability at which the score is 0; it is 1000 at that of the opposite."""


@dataclass(frozen=True, slots=True, eq=False)
class VetoRule:
    """A veto made ready: what it reads, when it holds, the grade's place, and why."""

    names: frozenset[str]
    met: pl.Expr
    place: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Rulebook:
    """What a scenario says about grades, made ready to be applied to many rows.

    ``follows`` has a row for each grade, in order, with what follows from it: grade, warn, draw,
    action and scenario_digest.
    """

    grades: tuple[str, ...]
    thresholds: FloatArray
    hysteresis: float
    days: int
    vetoes: tuple[VetoRule, ...]
    follows: pl.DataFrame

    def places(self, probability: FloatArray, previous: Places | None = None) -> Places:
        """Return the grade of each probability: the first whose ``below`` it lies below.

        ``previous`` are the grades in force, -1 where there is none. A grade in force changes only
        across thresholds that the probability has passed by ``hysteresis``, up and down alike.
        """
        plain = self._passed(probability)
        if previous is None or self.hysteresis == 0.0:
            return plain
        surely = self._passed(probability - self.hysteresis)
        at_most = self._passed(probability + self.hysteresis)
        return np.where(previous < 0, plain, np.clip(previous, surely, at_most))

    def hits(self, features: pl.DataFrame) -> Hits:
        """Return rows × vetoes: which hold; an unknown value (null or NaN) meets no condition.

        Raises :class:`BundleError` naming the features that a veto reads and ``features`` lack.
        """
        if not self.vetoes:
            return np.zeros((features.height, 0), np.bool_)
        needed = frozenset[str]().union(*(veto.names for veto in self.vetoes))
        missing = sorted(needed - set(features.columns))
        if missing:
            raise BundleError(
                f"the features lack what the scenario's vetoes read: {shown(missing)}; build them "
                "with this scenario"
            )
        met = (v.met.fill_null(value=False).alias(str(i)) for i, v in enumerate(self.vetoes))
        return _known(features, needed).select(met).to_numpy().astype(np.bool_, copy=False)

    def worst(self, places: Places, hits: Hits) -> Places:
        """Return the grades after the vetoes: of all that hold, and of the own one, the worst."""
        if not hits.any():
            return places
        by_veto = np.array([veto.place for veto in self.vetoes])
        return np.maximum(places, np.where(hits, by_veto, -1).max(axis=1))

    def consequences(self, places: Places) -> pl.DataFrame:
        """Return the rows of ``follows`` for the grades of many rows."""
        if len(places) == 1:  # gathering would cost more than the rest of a decision
            return self.follows[int(places[0]) : int(places[0]) + 1]
        return self.follows[pl.Series(places)]

    def _passed(self, probability: FloatArray) -> Places:
        return np.searchsorted(self.thresholds, probability, side="right").astype(np.int64)


def risk_score(probability: FloatArray) -> FloatArray:
    """Return the risk score, 0 to 1000, of probabilities.

    Raises :class:`BundleError` for a probability that is not strictly between 0 and 1, NaN too.
    """
    if not ((probability > 0) & (probability < 1)).all():
        bad = probability[~((probability > 0) & (probability < 1))][0]
        raise BundleError(f"a probability of {bad} has no score; it lies between 0 and 1")
    safest, riskiest = _ENDS
    return np.clip(1000.0 * (logit(probability) - safest) / (riskiest - safest), 0.0, 1000.0)


def _known(features: pl.DataFrame, names: frozenset[str]) -> pl.DataFrame:
    """Return the features with null for NaN, which Polars takes for more than any number."""
    odd = [n for n in names if features[n].dtype.is_float() and features[n].is_nan().any()]
    return features.with_columns(pl.col(odd).fill_nan(None)) if odd else features


def rulebook(scenario: Scenario) -> Rulebook:
    """Return what ``scenario`` says about grades; kept for each scenario object.

    Raises :class:`ConfigError` for thresholds out of order, or a grade that is never drawn.
    """
    return _rulebook(_Itself(scenario))


def foretells(scenario: Scenario) -> str:
    """Return the SHA-256 of what makes a probability: whom, what and by which features."""
    return _foretells(_Itself(scenario))


_ENDS: Final = tuple(logit(np.array([SAFEST, 1.0 - SAFEST])).tolist())


class _Itself:
    """A scenario as a key: it holds mappings, so it cannot be one, and comparing takes long."""

    __slots__ = ("scenario",)

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.scenario is other.scenario

    def __hash__(self) -> int:
        return id(self.scenario)


@lru_cache(maxsize=64)
def _rulebook(key: _Itself) -> Rulebook:
    scenario = key.scenario
    names = tuple(scenario.grades)
    thresholds = [scenario.grades[name].below for name in names[:-1]]
    known = [below for below in thresholds if below is not None]
    if len(known) < len(thresholds) or any(a >= b for a, b in pairwise(known)):
        raise ConfigError(f"scenario '{scenario.id}': thresholds must ascend, got {thresholds}")
    for name, grade in scenario.grades.items():
        if not 0 < grade.draw <= 1:
            raise ConfigError(
                f"scenario '{scenario.id}': grade {name} draws {grade.draw:g}; nobody is exempt "
                "from inspection (不免抽), so give a share above 0"
            )
    return Rulebook(
        grades=names,
        thresholds=np.array(known),
        hysteresis=scenario.validity.hysteresis,
        days=scenario.validity.days,
        vetoes=_vetoes(scenario, names),
        follows=_follows(scenario),
    )


def _follows(scenario: Scenario) -> pl.DataFrame:
    grades, digest = scenario.grades, scenario.digest
    rows = [(n, g.warn, g.draw, scenario.actions.get(n), digest) for n, g in grades.items()]
    schema = {
        "grade": pl.String(),
        "warn": pl.Boolean(),
        "draw": pl.Float64(),
        "action": pl.String(),
        "scenario_digest": pl.String(),
    }
    return pl.DataFrame(rows, schema, orient="row")


def _vetoes(scenario: Scenario, grades: tuple[str, ...]) -> tuple[VetoRule, ...]:
    made: list[VetoRule] = []
    for veto in scenario.veto:
        if veto.grade not in grades:
            raise ConfigError(f"scenario '{scenario.id}': there is no grade '{veto.grade}'")
        condition = parse(veto.when)
        reason = veto.reason or veto.when
        made.append(VetoRule(condition.names, condition.expr, grades.index(veto.grade), reason))
    return tuple(made)


@lru_cache(maxsize=64)
def _foretells(key: _Itself) -> str:
    learnt = {"id", "subject", "cohort", "label", "features"}
    data = key.scenario.model_dump(mode="json", include=learnt)
    text = json.dumps(data, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
