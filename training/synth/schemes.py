"""地方金融: schemes that gather the public's money, from the first advertising to the collapse.

A scheme is planted: it advertises, money moves, tips come in, payments stop, and only then a case
is filed, if one is. Honest firms advertise, are tipped off and set off alarms too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from training.synth.arrays import Flags, Floats, Ints, between, rounded, sigmoid, texts
from training.synth.chunk import Chunk
from training.synth.sectors import Sector, cells, joined, sector, serve, some

KINDS: Final = ("监测预警", "宣传推介", "资金异常", "举报线索", "兑付困难", "立案")
_ALARM, _PROMOTION, _MONEY, _TIP, _UNPAID, _CASE = range(6)

_USUAL: Final = (0.020, 0.020, 0.006, 0.006, 0.0012, 0.0)
"""A month's rate of each kind at a firm that runs no scheme."""

_SLOPES: Final = (0.4, 0.2, 0.5, 0.5, 0.8, 1.0)
_SCHEME: Final = (0.09, 0.10, 0.06, 0.03, 0.0, 0.0)
"""A month's rate of each kind while a scheme runs."""

_LATE: Final = (0.18, 0.08, 0.12, 0.18, 0.16, 0.0)
"""The same in its last three months."""

_FILED: Final = 0.85
"""Share of the schemes that a case is filed against after the collapse."""

_STORIES: Final = (
    "宣称保本付息，向社会公众募集资金",
    "以养老服务、会员储值名义吸收资金",
    "承诺高额回报，发展下线介绍投资人",
    "举办投资推介会，派发理财宣传单",
    "账户短期内大额分散转入、集中转出",
)


@dataclass(frozen=True, slots=True, eq=False)
class Schemes:
    """Schemes: the ``place`` in the sector, the first month and that of the collapse."""

    field: Sector
    place: Ints
    first: Ints
    last: Ints


def schemes(chunk: Chunk) -> Schemes:
    """Return the planted schemes of a chunk, at most one a subject."""
    rng, field = chunk.rng("scheme"), sector(chunk, "finance_event")
    chance = field.chances(0.0036, 0.8)
    chance *= np.where(chunk.people.cluster[field.subject] >= 0, 2.0, 1.0)[:, None]
    begins = rng.random(chance.shape) < chance
    place = np.flatnonzero(begins.any(axis=1)).astype(np.int64)
    first = begins[place].argmax(axis=1).astype(np.int64)
    last = first + rng.integers(6, 22, size=len(place))
    ended = chunk.clock.month_of(chunk.life.ended[field.subject[place]])
    last = np.minimum(last, np.minimum(ended, chunk.clock.months - 1))
    return Schemes(field, place, first, last)


def finance_events(chunk: Chunk, planted: Schemes) -> pl.DataFrame:
    """Return alarms, promotions, flows, tips, stopped payments and cases filed."""
    rng, field = chunk.rng("finance_event"), planted.field
    months = np.arange(chunk.clock.months)
    runs, late = (np.zeros(field.seen.shape, np.bool_) for _ in range(2))
    runs[planted.place] = (months >= planted.first[:, None]) & (months <= planted.last[:, None])
    late[planted.place] = runs[planted.place] & (months > planted.last[:, None] - 3)
    place, month, kind = _events(rng.random((len(KINDS), *field.seen.shape)), field, runs, late)
    day = chunk.days_in(rng, field.subject[place], month)
    filed = np.flatnonzero(rng.random(len(planted.place)) < _FILED)
    fallen = chunk.clock.first[planted.last[filed] + 1]
    case = chunk.clock.working_day(fallen + rng.integers(20, 120, size=len(filed)))
    place, month, day, kind = joined(
        (place, month, day, kind),
        (planted.place[filed], planted.last[filed], case, np.full(len(filed), _CASE)),
    )
    subject, size = field.subject[place], len(place)
    bad = runs[place, month]
    age = np.clip(month - _begun(planted, field.size)[place], 0, 24)
    index = 100 * sigmoid(
        -1.3 + 0.5 * field.seen[place, month] + bad * (0.5 + 0.08 * age) + rng.normal(0, 0.8, size)
    )
    promised = np.round(np.where(bad, 9.0, 5.5) * np.exp(0.35 * rng.standard_normal(size)), 1)
    people = 1 + (between(rng, 2.0, 60.0, size) * np.where(bad, 1 + 0.5 * age, 1.0)).astype(int)
    amount = rounded(people * between(rng, 5_000.0, 120_000.0, size)).astype(np.float64)
    story = texts(list(_STORIES), rng.integers(len(_STORIES), size=size))
    counted = np.isin(kind, (_MONEY, _TIP, _UNPAID, _CASE))
    return serve(
        chunk,
        rng,
        subject=subject,
        day=day,
        wait=rng.integers(1, np.where(kind == _CASE, 16, 8)),
        department="finance",
        number=("event_number", "{}金监〔{}〕{}号"),
        own={
            "kind": texts(list(KINDS), kind),
            "smoke_index": some(pl.Series(np.round(index, 1)), kind == _ALARM),
            "promised_return": some(pl.Series(promised), kind == _PROMOTION),
            "investors": some(pl.Series(people), counted),
            "amount": some(pl.Series(amount), counted),
            "content": some(story, np.isin(kind, (_PROMOTION, _MONEY, _TIP))),
        },
    )


def _events(drawn: Floats, field: Sector, runs: Flags, late: Flags) -> tuple[Ints, Ints, Ints]:
    """Return (place, month, kind) of what is told, at rates that a scheme raises."""
    parts: list[tuple[Ints, ...]] = []
    for kind in range(len(KINDS)):
        usual = field.chances(_USUAL[kind], _SLOPES[kind])
        now = np.where(late, _LATE[kind], np.where(runs, _SCHEME[kind], 0.0)) * field.active
        place, month = cells(drawn[kind] < usual + now)
        parts.append((place, month, np.full(len(place), kind)))
    place, month, kind = joined(*parts)
    return place, month, kind


def _begun(planted: Schemes, size: int) -> Ints:
    begun = np.zeros(size, np.int64)
    begun[planted.place] = planted.first
    return begun
