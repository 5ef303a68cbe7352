"""What supervisors do, month by month: hear complaints, inspect some subjects, penalise some.

Who is inspected is biased on purpose: besides the random draws, whose inclusion probability is
known, inspectors go where complaints, past penalties and failed inspections point, and come back.
Supervision does not change latent risk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from training.synth.arrays import Floats, Ints, Random
from training.synth.clock import Clock
from training.synth.mix import Mix
from training.synth.population import Population
from training.synth.risk import Life, Risk
from training.synth.spec import Rates

MODES: Final = (
    "random_untargeted",
    "random_targeted",
    "revisit",
    "complaint",
    "targeted",
    "campaign",
)
VISIBLE_CUTS: Final = (0.4, 1.0, 2.0)
"""Where the visible score passes from one class of the risk-weighted draw to the next."""


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Events in order of month; ``mode`` and ``chance`` are an inspection's (NaN: not known)."""

    subject: Ints
    month: Ints
    mode: Ints
    chance: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Supervision:
    """What happened.

    ``excluded`` is 1 for an inspection that found nothing to inspect; a penalty's mode is 1 where
    it follows a failed inspection.
    """

    complaints: Events
    inspections: Events
    excluded: Ints
    penalties: Events


class _Diary:
    """Collects events month by month."""

    def __init__(self) -> None:
        self.parts: list[tuple[Ints, Ints, Ints, Floats]] = []

    def note(self, subject: Ints, month: int, mode: int = 0, chance: Floats | None = None) -> None:
        """Add one month's events."""
        unknown = np.full(len(subject), np.nan) if chance is None else chance
        months, modes = np.full(len(subject), month), np.full(len(subject), mode)
        self.parts.append((subject, months, modes, unknown))

    def events(self) -> Events:
        """Return all of them."""
        subject, month, mode, chance = (
            np.concatenate(part) for part in zip(*self.parts, strict=True)
        )
        return Events(subject, month, mode, chance)


def planned(rng: Random, clock: Clock, mix: Mix, *, share: float) -> Floats:
    """Return month × group: 1 where the month's plan takes up the group."""
    return (rng.random((clock.months, len(mix.groups))) < share).astype(np.float64)


def supervise(
    rng: Random,
    people: Population,
    risk: Risk,
    life: Life,
    *,
    clock: Clock,
    mix: Mix,
    rates: Rates,
    plans: tuple[Floats, Floats],
) -> Supervision:
    """Return the events of all months; ``plans`` are those of the random draws and of campaigns."""
    size = people.size
    crowd = np.sqrt(people.employees / 5.0)
    loud = np.array([g.complaints for g in mix.groups])[people.group] * np.clip(crowd, 0.5, 4.0)
    hazard = np.array([g.hazard for g in mix.groups])[people.group]
    complained, penalised, failed = np.zeros(size), np.zeros(size), np.zeros(size)
    last = np.zeros(size, np.bool_)
    back = np.zeros((clock.months + 6, size), np.bool_)
    due = np.zeros((clock.months + 6, size), np.bool_)
    complaints, inspections, penalties = _Diary(), _Diary(), _Diary()
    excluded: list[Ints] = []
    for month in range(clock.months):
        there, latent = life.active[:, month], risk.latent[:, month]
        seen = 0.5 * complained + penalised + 0.8 * failed
        drawn = rng.random((6, size))
        planned_now, campaign_now = (
            plans[0][month, people.group] > 0,
            plans[1][month, people.group] > 0,
        )
        weighted = np.array(rates.random_targeted)[np.searchsorted(VISIBLE_CUTS, seen)]
        chances = np.stack(
            [
                np.full(size, rates.random_untargeted),
                np.where(planned_now, weighted, 0.0),
                np.where(back[month], rates.revisit, 0.0),
                np.where(last, rates.after_complaint, 0.0),
                np.minimum(rates.targeted * hazard * np.exp(0.9 * np.minimum(seen, 4.0)), 0.5),
                np.where(campaign_now, rates.campaign * hazard, 0.0),
            ]
        )
        goes = (drawn < chances) & there
        goes[3:] &= ~np.logical_or.accumulate(goes[2:-1], axis=0)
        bad = risk.outcome[:, month]
        for mode, row in enumerate(goes):
            subject = np.flatnonzero(row)
            inspections.note(subject, month, mode, chances[mode][subject] if mode < 2 else None)
            idle = rng.random(subject.size) < rates.excluded
            excluded.append(idle.astype(np.int64))
            found = subject[~idle & bad[subject]]
            failed[found] += 1.0
            back[month + 2, found] = True
            fined = found[rng.random(found.size) < rates.penalty_after_fail]
            due[month + rng.integers(1, 5, size=fined.size), fined] = True
        other = (rng.random(size) < rates.penalty * hazard**0.5 * np.exp(latent)) & there
        from_fail = due[month] & there
        penalties.note(np.flatnonzero(from_fail), month, 1)
        penalties.note(np.flatnonzero(other & ~from_fail), month, 0)
        count = np.where(there, rng.poisson(rates.complaint * loud * np.exp(0.7 * latent)), 0)
        complaints.note(np.repeat(np.arange(size), count), month)
        last = count > 0
        complained = 0.85 * complained + count
        penalised = 0.95 * penalised + (from_fail | other)
        failed = 0.92 * failed
    return Supervision(
        complaints.events(), inspections.events(), np.concatenate(excluded), penalties.events()
    )
