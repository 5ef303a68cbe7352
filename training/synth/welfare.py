"""人社 and 医保: wages that are not paid, and what is taken out of the insurance fund."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from training.synth.arrays import Flags, Ints, Random, between, days, rounded, sigmoid, texts
from training.synth.chunk import Chunk
from training.synth.sectors import Sector, cells, joined, sector, serve, some

WAGES: Final = ("欠薪线索", "专户预警", "代发异常", "责令限期支付", "劳动仲裁", "群体性事件")
_CLUE, _ACCOUNT, _PAYROLL, _ORDER, _ARBITRATION, _CROWD = range(6)
_CLUES: Final = ((0.010, 0.9), (0.030, 0.8), (0.022, 0.7))
"""A month's rate and slope on risk of clues; the second and third only in construction."""

_FOLLOWS: Final = (
    (_ORDER, -1.6, 0.8, 15, 60),
    (_ARBITRATION, -2.0, 0.3, 30, 150),
    (_CROWD, -3.6, 0.9, 3, 40),
)
"""What may follow a clue: its log-odds and their slope on risk, the days until then."""


def wage_events(chunk: Chunk) -> pl.DataFrame:
    """Return clues of unpaid wages, alarms of wage accounts, and the orders that follow them."""
    rng, field = chunk.rng("wage_event"), sector(chunk, "wage_event")
    groups = np.array(chunk.mix.group_names) == "construction"
    building = groups[chunk.people.group[field.subject]]
    place, month, kind = field.mixed(rng, _CLUES)
    keep = (kind == _CLUE) | building[place]
    place, month, kind = place[keep], month[keep], kind[keep]
    day = chunk.days_in(rng, field.subject[place], month)
    seen = field.seen[place, month]
    parts = [(place, day, kind)]
    for kind_after, level, slope, soon, late in _FOLLOWS:
        follows = rng.random(len(place)) < sigmoid(level + slope * seen - (kind != _CLUE))
        then = chunk.clock.working_day(day + rng.integers(soon, late, size=len(place)))
        parts.append((place[follows], then[follows], np.full(int(follows.sum()), kind_after)))
    place, day, kind = joined(*parts)
    subject, size = field.subject[place], len(place)
    people = chunk.people.employees[subject]
    workers = 1 + rng.binomial(np.maximum(people, 1), 0.4)
    paid = day + rng.integers(5, 120, size=size)
    over = (kind == _ORDER) & (rng.random(size) < 0.75) & (paid <= chunk.clock.end)
    account = kind == _ACCOUNT
    money = ~np.isin(kind, (_ACCOUNT, _PAYROLL))
    amount = rounded(workers * between(rng, 2_000.0, 40_000.0, size)).astype(np.float64)
    balance = np.round(workers * between(rng, 50.0, 1_500.0, size), 2)
    return serve(
        chunk,
        rng,
        subject=subject,
        day=day,
        wait=rng.integers(1, 11, size=size),
        department="labour",
        number=("document_number", "{}薪〔{}〕{}号"),
        own={
            "subject_name": chunk.name_on(subject, day),
            "kind": texts(list(WAGES), kind),
            "workers": pl.Series(workers),
            "amount": some(pl.Series(amount), money),
            "overdue_days": some(pl.Series(rng.integers(10, 150, size=size)), money),
            "account_balance": some(pl.Series(balance), account),
            "settled_on": days(np.where(over, paid, 0), none=~over),
        },
    )


FUND: Final = ("月度结算", "智能审核疑点", "举报线索", "现场检查")
_SETTLED, _DOUBTED, _TOLD, _CHECKED = range(4)
_MISUSE: Final = ("超标准收费", "串换药品", "分解住院", "冒用他人凭证结算", "虚记诊疗项目")


@dataclass(frozen=True, slots=True, eq=False)
class Frauds:
    """Who of a sector defrauds the fund in which month: ``on`` is place × month."""

    field: Sector
    on: Flags

    def spells(self) -> tuple[Ints, Ints, Ints]:
        """Return each spell's subject, first and last month."""
        edge = np.diff(np.pad(self.on.astype(np.int8), ((0, 0), (1, 1))), axis=1)
        place, first = cells(edge == 1)
        return self.field.subject[place], first, cells(edge == -1)[1] - 1


def frauds(chunk: Chunk) -> Frauds:
    """Return the planted frauds of a chunk."""
    rng, field = chunk.rng("fraud"), sector(chunk, "medical_event")
    begins = rng.random(field.seen.shape) < 0.006 * np.exp(0.9 * field.seen)
    lasts = rng.integers(12, 36, size=begins.shape)
    months = np.arange(chunk.clock.months)
    until = np.maximum.accumulate(np.where(begins, months + lasts, 0), axis=1)
    return Frauds(field, (until > months) & field.active)


def medical_events(chunk: Chunk) -> pl.DataFrame:
    """Return settlements, doubts, tips and checks of the fund."""
    rng, behind = chunk.rng("medical_event"), frauds(chunk)
    field, fraud = behind.field, behind.on
    told = rng.random(field.seen.shape) < field.chances(0.003, 0.4) * np.where(fraud, 4.0, 1.0)
    doubted = rng.random(field.seen.shape) < field.chances(0.03, 0.3) * np.where(fraud, 5.0, 1.0)
    heard = np.zeros_like(told)
    heard[:, 2:] = (told | doubted)[:, 1:-1] | (told | doubted)[:, :-2]
    checked = rng.random(field.seen.shape) < (0.045 + 0.15 * heard) * field.active
    whole = field.active & (chunk.clock.first[1:] - 1 <= chunk.life.ended[field.subject][:, None])
    parts = [
        (*cells(flags), np.full(int(flags.sum()), kind))
        for kind, flags in enumerate((whole, doubted, told, checked))
    ]
    place, month, kind = joined(*parts)
    subject = field.subject[place]
    day = np.where(
        kind == _SETTLED, chunk.clock.first[month + 1] - 1, chunk.days_in(rng, subject, month)
    )
    return serve(
        chunk,
        rng,
        subject=subject,
        day=day,
        wait=rng.integers(2, np.where(kind == _CHECKED, 26, 12)),
        department="insurance",
        number=("document_number", "{}基〔{}〕{}号"),
        own=_fund(chunk, rng, field, (place, month, kind), fraud[place, month]),
    )


def _fund(
    chunk: Chunk, rng: Random, field: Sector, cell: tuple[Ints, Ints, Ints], fraud: Flags
) -> dict[str, pl.Series]:
    place, month, kind = cell
    size, subject = len(place), field.subject[place]
    seen = field.seen[place, month]
    hospital = np.array(chunk.mix.group_names) == "health"
    level = chunk.people.employees[field.subject] * np.exp(0.5 * rng.standard_normal(field.size))
    season = 1.0 + 0.12 * np.cos(2 * np.pi * chunk.clock.month[month] / 12)
    mean = 40.0 * level[place] * season * np.where(fraud, 1.25, 1.0)
    visits = rng.poisson(np.minimum(mean, 1e6))
    each = 85.0 * np.exp(0.25 * rng.standard_normal(size) + 0.04 * seen) * np.where(fraud, 1.4, 1.0)
    amount = np.round(visits * each, 2)
    doubts = rng.poisson(0.6 * np.exp(0.35 * seen) * np.where(fraud, 3.0, 1.0))
    docked = np.round(amount * 0.006 * doubts * rng.random(size), 2)
    checked, settled = kind == _CHECKED, kind == _SETTLED
    drawn = rng.random(size)
    misused = drawn < np.where(fraud, 0.70, 0.06 * np.exp(0.6 * np.minimum(seen, 2.0)))
    grave = misused & fraud & (rng.random(size) < 0.6)
    result = np.where(grave, 2, misused.astype(np.int64))
    back = np.round(between(rng, 800.0, 400_000.0, size), 2)
    problem = texts(list(_MISUSE), rng.integers(len(_MISUSE), size=size))
    found = checked & misused
    return {
        "kind": texts(list(FUND), kind),
        "institution": texts(
            ["定点零售药店", "定点医疗机构"],
            hospital[chunk.people.group[subject]].astype(np.int64),
        ),
        "result": some(texts(["未发现问题", "违规使用", "欺诈骗保"], result), checked),
        "visits": some(pl.Series(visits), settled),
        "fund_amount": some(pl.Series(amount), settled),
        "deducted_amount": some(pl.Series(docked), settled),
        "suspicions": some(
            pl.Series(np.where(settled, doubts, 1 + doubts)), settled | (kind == _DOUBTED)
        ),
        "problem": some(problem, found),
        "recovered_amount": some(pl.Series(back), found),
    }
