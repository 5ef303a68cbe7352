"""Tenders and who bids for them: honest bidders, and planted rings that bid together.

Rings are among subjects that share a representative, and so are to be found in the register; some
share nothing that is registered. Most groups that share a person are no ring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from training.synth.arrays import Flags, Floats, Ints, Random, rounded
from training.synth.chunk import Chunk
from training.synth.population import ENTERPRISE
from training.synth.sectors import Sector, cells, of, sector

MEMBERS: Final = (3, 6)
"""The fewest and most members of a ring."""

_ACTIVE: Final = 33
"""Months of a bidder's life in which one honest tender opens."""

_LOCAL: Final = 0.7
"""Share of a tender's bidders who come from its own city."""


@dataclass(frozen=True, slots=True, eq=False)
class Rings:
    """Rings by number: each member's ``subject`` and ``ring``; each ring's first and last month."""

    subject: Ints
    ring: Ints
    first: Ints
    last: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Bids:
    """One row a bid.

    ``tender`` counts through the chunk, ``ring`` is -1 for an honest tender. ``ratio`` is the price
    over the tender's ceiling, ``won`` marks the lowest; ``ceiling`` is in yuan.
    """

    subject: Ints
    month: Ints
    tender: Ints
    ring: Ints
    ratio: Floats
    ceiling: Floats
    won: Flags
    bidders: Ints


def rings(chunk: Chunk) -> Rings:
    """Return the planted rings of a chunk."""
    rng, people, months = chunk.rng("ring"), chunk.people, chunk.clock.months
    firms = np.flatnonzero(people.kind == ENTERPRISE)
    order = firms[np.argsort(people.person[firms], kind="stable")]
    _, begin, sizes = np.unique(people.person[order], return_index=True, return_counts=True)
    groups = [
        order[first : first + size]
        for first, size in zip(begin, sizes, strict=True)
        if size >= MEMBERS[0]
    ]
    bidders = sector(chunk, "bid").subject
    unseen = [
        rng.choice(bidders, size=4, replace=False)
        for _ in range(len(groups) // 8 if len(bidders) >= 4 else 0)
    ]
    held = [np.sort(rng.permutation(group)[: MEMBERS[1]]) for group in (*groups, *unseen)]
    mean = np.array([chunk.risk.latent[group].mean() for group in held])
    chance = np.minimum(0.5 * np.exp(0.4 * mean), 0.9)
    chance[len(groups) :] = 1.0
    chosen = np.flatnonzero(rng.random(len(held)) < chance)
    first = np.maximum(rng.uniform(-0.4, 0.75, len(chosen)) * months, 0).astype(np.int64)
    last = np.minimum(first + rng.integers(20, 60, size=len(chosen)), months - 1)
    sizes = np.array([len(held[number]) for number in chosen], np.int64)
    members = [held[number] for number in chosen]
    return Rings(
        subject=np.concatenate([np.zeros(0, np.int64), *members]).astype(np.int64),
        ring=np.repeat(np.arange(len(chosen)), sizes),
        first=first,
        last=last,
    )


def bids(chunk: Chunk, rng: Random, planted: Rings) -> Bids:
    """Return all bids of a chunk, honest ones and those of the rings."""
    everyone = np.union1d(sector(chunk, "bid").subject, planted.subject)
    field = of(chunk, rng, everyone)
    place, month, tender, count = _honest(chunk, rng, field)
    ours, when, number, ring = _together(chunk, rng, field, planted)
    place, month = np.concatenate([place, ours]), np.concatenate([month, when])
    tender = np.concatenate([tender, count + number])
    ring = np.concatenate([np.full(len(place) - len(ours), -1), ring])
    place, month, tender, ring = _held(rng, place, month, tender, ring)
    ratio = _prices(rng, tender, ring)
    order = np.lexsort((ratio, tender))
    lowest = order[np.append(True, np.diff(tender[order]) > 0)] if len(order) else order
    won = np.zeros(len(tender), np.bool_)
    won[lowest] = True
    size = np.bincount(tender)
    ceiling = 50_000.0 + rounded(np.exp(rng.normal(14.0, 1.1, size=len(size)))).astype(np.float64)
    return Bids(
        subject=field.subject[place],
        month=month,
        tender=tender,
        ring=ring,
        ratio=ratio,
        ceiling=ceiling[tender],
        won=won,
        bidders=size[tender],
    )


def _held(
    rng: Random, place: Ints, month: Ints, tender: Ints, ring: Ints
) -> tuple[Ints, Ints, Ints, Ints]:
    """Return the bids of tenders with three bidders or more (招标投标法 28), numbered at random."""
    enough = np.bincount(tender)[tender] >= MEMBERS[0] if len(tender) else tender > 0
    kept, number = np.unique(tender[enough], return_inverse=True)
    shuffled = rng.permutation(len(kept))[number]
    return place[enough], month[enough], shuffled, ring[enough]


def _honest(chunk: Chunk, rng: Random, field: Sector) -> tuple[Ints, Ints, Ints, int]:
    """Return place, month and tender of every honest bid, and how many tenders there are."""
    place, month = cells(field.active)
    count = len(place) // _ACTIVE
    lead = rng.integers(max(len(place), 1), size=count)
    city = chunk.mix.city_of[chunk.people.county[field.subject]]
    by_city = np.argsort(city, kind="stable")
    begin = np.searchsorted(city[by_city], np.arange(len(chunk.mix.cities) + 1))
    others = np.repeat(np.arange(count), rng.integers(2, 8, size=count))
    where = city[place[lead]][others]
    drawn = rng.random(len(others))
    near = by_city[begin[where] + (drawn * (begin[where + 1] - begin[where])).astype(np.int64)]
    far = (drawn * field.size).astype(np.int64)
    picked = np.where(rng.random(len(others)) < _LOCAL, near, far)
    tender = np.concatenate([np.arange(count), others])
    both = np.concatenate([place[lead], picked])
    tender, both = _there(field, tender, both, month[lead])
    return both, month[lead][tender], tender, count


def _there(field: Sector, tender: Ints, place: Ints, month: Ints) -> tuple[Ints, Ints]:
    """Return the bids of those who are there in the tender's month, each once."""
    keep = field.active[place, month[tender]]
    pairs = np.unique(np.stack([tender[keep], place[keep]], axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _together(
    chunk: Chunk, rng: Random, field: Sector, planted: Rings
) -> tuple[Ints, Ints, Ints, Ints]:
    """Return place, month, tender and ring of the bids in tenders that a ring takes part in."""
    months = np.arange(chunk.clock.months)
    runs = (months >= planted.first[:, None]) & (months <= planted.last[:, None])
    ring, month = cells(runs & (rng.random(runs.shape) < 0.5))
    sizes = np.bincount(planted.ring, minlength=len(planted.first))
    begin = np.cumsum(sizes) - sizes
    tender = np.repeat(np.arange(len(ring)), sizes[ring])
    nth = np.arange(len(tender)) - np.repeat(np.cumsum(sizes[ring]) - sizes[ring], sizes[ring])
    member = planted.subject[begin[ring[tender]] + nth]
    place = np.searchsorted(field.subject, member)
    comes = rng.random(len(tender)) < 0.9
    tender, place = _there(field, tender[comes], place[comes], month)
    enough = np.bincount(tender, minlength=len(ring)) >= MEMBERS[0]
    tender, place = tender[enough[tender]], place[enough[tender]]
    strangers = np.repeat(np.flatnonzero(enough), rng.poisson(1.2, size=int(enough.sum())))
    drawn = rng.integers(max(field.size, 1), size=len(strangers))
    strangers, drawn = _there(field, strangers, drawn, month)
    known = np.isin(strangers * field.size + drawn, tender * field.size + place)
    strangers, drawn = strangers[~known], drawn[~known]
    rows = np.concatenate([tender, strangers])
    number = np.unique(rows, return_inverse=True)[1]
    owner = np.concatenate([ring[tender], np.full(len(strangers), -1)])
    return np.concatenate([place, drawn]), month[rows], number, owner


def _prices(rng: Random, tender: Ints, ring: Ints) -> Floats:
    """Return each bid's share of the ceiling: rings bid high and one close above the other."""
    size = len(tender)
    honest = np.clip(0.93 + 0.035 * rng.standard_normal(size), 0.70, 1.0)
    level = 0.955 + 0.015 * rng.standard_normal(int(tender.max(initial=0)) + 1)
    step = 0.006 * rng.random(size) + 0.004 * rng.integers(0, 4, size=size)
    return np.where(ring >= 0, np.minimum(level[tender] + step, 1.0), honest)
