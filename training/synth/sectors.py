"""Sectors: whom a department looks after, and how much of their risk it can see.

A department sees latent risk through a channel of its own: part of what it sees is the risk that
every department sees, the rest is its own matter, half lasting and half drifting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from models import yaml
from training.synth.arrays import Flags, Floats, Ints, Random
from training.synth.chunk import Chunk
from training.synth.risk import DRIFT

COMMON: Final = 0.75
"""How much of a channel is the common latent risk; the rest of its variance is its own."""

_OWN: Final = (1 - COMMON**2) / 2


KINDS: Final = ("enterprise", "individual", "cooperative", "social")
"""Kinds of subject in the order of :mod:`training.synth.population`."""


class Share(BaseModel):
    """Who is in a sector: the share of each group, among some kinds of subject."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: dict[str, float]
    groups: dict[str, float]
    employees: int = 1


class _Shares(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sectors: dict[str, Share]


@cache
def shares() -> dict[str, Share]:
    """Return the sectors' shares of the province."""
    with resources.as_file(resources.files("training.synth") / "sectors.yaml") as path:
        return yaml.load(Path(path), _Shares).sectors


@dataclass(frozen=True, slots=True, eq=False)
class Sector:
    """The subjects of a chunk in one department's register, by place.

    ``seen`` is place × month: the risk as the department's channel shows it, about standard
    normal. ``active`` tells in which months the subject is there.
    """

    subject: Ints
    seen: Floats
    active: Flags

    @property
    def size(self) -> int:
        """Return how many subjects there are."""
        return len(self.subject)

    def chances(self, rate: float, slope: float) -> Floats:
        """Return place × month: a month's chance ``rate * exp(slope * seen)``; 0 when not there."""
        return np.minimum(rate * np.exp(slope * self.seen), 0.9) * self.active

    def happening(self, rng: Random, rate: float, slope: float) -> tuple[Ints, Ints]:
        """Return (place, month) of events of that chance."""
        return cells(rng.random(self.seen.shape) < self.chances(rate, slope))

    def mixed(self, rng: Random, rates: Iterable[tuple[float, float]]) -> tuple[Ints, Ints, Ints]:
        """Return (place, month, kind) of events of several kinds, each of its rate and slope."""
        parts = [self.happening(rng, rate, slope) for rate, slope in rates]
        kind = np.repeat(np.arange(len(parts)), [len(place) for place, _ in parts])
        place, month = joined(*parts)
        return place, month, kind


def cells(flags: Flags) -> tuple[Ints, Ints]:
    """Return the (row, column) of what is true, row by row."""
    row, column = np.nonzero(flags)
    return row.astype(np.int64), column.astype(np.int64)


def sector(chunk: Chunk, name: str) -> Sector:
    """Return the sector ``name`` of a chunk: who is in it, and what the department sees."""
    rng, people, share = chunk.rng(f"sector {name}"), chunk.people, shares()[name]
    by_group = np.array([share.groups.get(group, 0.0) for group in chunk.mix.group_names])
    by_kind = np.array([share.kinds.get(kind, 0.0) for kind in KINDS])
    chance = by_group[people.group] * by_kind[people.kind] * (people.employees >= share.employees)
    return of(chunk, rng, np.flatnonzero(rng.random(people.size) < chance).astype(np.int64))


def of(chunk: Chunk, rng: Random, subject: Ints) -> Sector:
    """Return the sector of given subjects."""
    size, months = len(subject), chunk.clock.months
    seen = COMMON * chunk.risk.latent[subject]
    seen += np.sqrt(_OWN) * rng.standard_normal(size)[:, None]
    steps = np.sqrt(_OWN * (1 - DRIFT**2)) * rng.standard_normal((months, size))
    drift = np.sqrt(_OWN) * rng.standard_normal(size)
    for month in range(months):
        seen[:, month] += drift
        drift = DRIFT * drift + steps[month]
    return Sector(subject, seen, chunk.life.active[subject])


def serve(
    chunk: Chunk,
    rng: Random,
    *,
    subject: Ints,
    day: Ints,
    wait: Ints,
    department: str,
    own: Mapping[str, pl.Series],
    number: tuple[str, str] | None = None,
) -> pl.DataFrame:
    """Return a department's rows that happened while the subject was there, as reported.

    ``wait`` is the working days until the report; ``own`` has the columns beside those of all
    tables; ``number`` is the column of the document's number and its pattern.
    """
    office, authority = chunk.decided(subject, chunk.department(department))
    reported = chunk.clock.working_after(day, wait)
    frame = chunk.base(rng, subject, day, reported).with_columns(
        values.alias(name) for name, values in {**authority, **own}.items()
    )
    if number is not None:
        column, pattern = number
        frame = chunk.numbered(frame, office, pattern).rename({"document_number": column})
    return chunk.known(frame.filter(pl.Series(chunk.there(subject, day))))


def joined(*parts: tuple[Ints, ...]) -> tuple[Ints, ...]:
    """Return parts of several processes as one, column by column."""
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def recent(place: Ints, month: Ints, shape: tuple[int, int], *, months: int) -> Floats:
    """Return place × month: how many of the events fell into the ``months`` before it."""
    count = np.zeros((shape[0], shape[1] + 1))
    np.add.at(count, (place, month + 1), 1.0)
    total = np.cumsum(count, axis=1)
    before = np.zeros_like(total)
    before[:, months:] = total[:, :-months]
    return (total - before)[:, :-1]


def some(values: pl.Series, keep: Flags) -> pl.Series:
    """Return ``values``, null where they are not to be kept."""
    return values.set(pl.Series(~keep), None)
