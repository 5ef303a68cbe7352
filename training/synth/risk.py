"""Latent risk: a number a subject and month that nobody sees, and what follows from it.

Over the whole province it is close to a standard normal variable: inherent risk of industry and
region, a lasting part of the subject's own, a part that drifts from month to month (AR(1)), the
young firm's and the shell cluster's surplus.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from training.synth.arrays import Flags, Floats, Ints, Random, sigmoid
from training.synth.clock import FAR, Clock
from training.synth.mix import Mix
from training.synth.population import Population

GRADES: Final = "ABCD"
SHARES: Final = (0.732, 0.187, 0.052, 0.029)
"""Published shares of the four classes (Bayannur 2022, 30,323 enterprises)."""

CUTS: Final = tuple(NormalDist().inv_cdf(share) for share in (0.732, 0.919, 0.971))
DRIFT: Final = 0.965
"""What is left of the drifting part after a month: a half-life of 19 months."""

OWN: Final = 0.42
"""The lasting share of a subject's own part; the rest drifts."""

HAZARD: Final = (0.0030, 0.0050, 0.0025, 0.0)
"""Chance to end in a month, by kind of subject, at a latent risk of 0."""

ALIVE, CANCELLED, REVOKED = range(3)


@dataclass(frozen=True, slots=True, eq=False)
class Risk:
    """Subject × month: risk, the chance that an inspection would ``fail``, and whether it does."""

    latent: Floats
    fail: Floats
    outcome: Flags

    @property
    def grade(self) -> Ints:
        """Return the true grade, 0 (A) to 3 (D)."""
        return np.searchsorted(np.array(CUTS), self.latent, side="right").astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """When subjects end: the day (``FAR``: never), how, and in which months each is there."""

    ended: Ints
    how: Ints
    active: Flags


def walk(
    rng: Random, people: Population, *, clock: Clock, mix: Mix, fail: tuple[float, float]
) -> Risk:
    """Return each subject's risk in each month, and the outcome of every possible inspection."""
    size, months = people.size, clock.months
    inherent = mix.industry_risk[people.industry] + mix.county_risk[people.county] - mix.risk_mean
    free = 1.0 - mix.risk_var - 0.04
    lasting = inherent + np.sqrt(OWN * free) * rng.standard_normal(size)
    lasting += np.where(people.cluster >= 0, 1.1, -0.017)
    step = np.sqrt((1 - OWN) * free * (1 - DRIFT**2))
    latent = np.empty((size, months))
    drift = np.sqrt((1 - OWN) * free) * rng.standard_normal(size)
    for month in range(months):
        years = np.maximum(clock.first[month] - people.born, 0) / 365.25
        latent[:, month] = lasting + drift + 0.45 * np.exp(-years / 2) - 0.045
        drift = DRIFT * drift + step * rng.standard_normal(size)
    chance = sigmoid(fail[0] + fail[1] * latent)
    return Risk(latent=latent, fail=chance, outcome=rng.random((size, months)) < chance)


def live(rng: Random, people: Population, risk: Risk, clock: Clock) -> Life:
    """Return when and how each subject ends; the riskier, the sooner, and the likelier revoked."""
    hazard = np.array(HAZARD)
    birth = clock.month_of(people.born)
    months = np.arange(clock.months)
    dies = rng.random(risk.latent.shape) < hazard[people.kind][:, None] * np.exp(0.35 * risk.latent)
    dies &= months > np.maximum(birth, 0)[:, None]
    month = np.where(dies.any(axis=1), dies.argmax(axis=1), clock.months)
    gone = month < clock.months
    ended = np.full(people.size, FAR, np.int64)
    ended[gone] = clock.day_in(month[gone], rng)
    last = risk.latent[np.arange(people.size), np.minimum(month, clock.months - 1)]
    revoked = gone & (rng.random(people.size) < 0.25 * sigmoid(2.0 * (last - 1.0)))
    active = (months >= birth[:, None]) & (months <= month[:, None])
    return Life(
        ended=ended, how=np.where(revoked, REVOKED, np.where(gone, CANCELLED, ALIVE)), active=active
    )
