"""Departments that look after hazards: 特种设备, 安全生产, 道路运输."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from training.synth.arrays import Ints, Random, between, choose_by, days, rounded, sigmoid, texts
from training.synth.chunk import Chunk
from training.synth.sectors import Sector, cells, joined, recent, sector, serve, some

DEVICES: Final = ("电梯", "锅炉", "压力容器", "起重机械", "场（厂）内专用机动车辆", "压力管道")
CYCLE: Final = (12, 24, 36, 24, 12, 36)
"""Months from one inspection to the next, by kind of device."""

_HELD: Final[dict[str, tuple[float, ...]]] = {
    "hotel": (8, 2, 1, 0, 0, 0),
    "realestate": (12, 1, 0, 0, 0, 0),
    "health": (8, 1, 2, 0, 0, 0),
    "food_seller": (6, 0, 1, 0, 1, 0),
    "culture": (6, 1, 0, 0, 0, 0),
    "construction": (1, 0, 0, 8, 1, 0),
    "mining": (0, 1, 1, 6, 3, 0),
    "utility": (0, 5, 3, 0, 0, 5),
    "chemical": (1, 3, 6, 1, 2, 4),
    "food_maker": (2, 4, 3, 0, 3, 1),
}
_USUAL: Final = (3.0, 1.0, 2.0, 4.0, 4.0, 0.0)
_FAULTS: Final = (
    "制动器失效",
    "安全阀未按期校验",
    "限速器动作异常",
    "钢丝绳磨损超标",
    "作业人员无证",
)
_MATTERS: Final = ("使用登记", "定期检验", "事故")
_RESULTS: Final = ("合格", "整改后合格", "不合格")
_NONE: Final = -1


def equipment(chunk: Chunk) -> pl.DataFrame:
    """Return devices' registrations, inspections and accidents; one row each."""
    rng, field = chunk.rng("equipment"), sector(chunk, "equipment")
    weights = np.array([_HELD.get(name, _USUAL) for name in chunk.mix.group_names], np.float64)
    crowd = 0.4 * np.log1p(chunk.people.employees[field.subject])
    place = np.repeat(np.arange(field.size), 1 + rng.poisson(crowd))
    size, subject = len(place), field.subject[place]
    device = choose_by(rng, weights, chunk.people.group[subject])
    begun = chunk.people.born[subject] + rng.integers(5, 900, size=size)
    first = begun + 30 * np.array(CYCLE)[device]
    unit, day, kind, result, due, overdue = joined(
        (np.arange(size), begun, *_nothing(size, kind=0, due=first)),
        _inspected(chunk, rng, field, (place, first), 30 * np.array(CYCLE)[device]),
        _accidents(chunk, rng, field, place, begun),
    )
    made = begun - rng.integers(0, 2_000, size=size)
    fault = texts(list(_FAULTS), rng.integers(len(_FAULTS), size=len(unit)))
    return serve(
        chunk,
        rng,
        subject=subject[unit],
        day=day,
        wait=rng.integers(1, np.where(kind == 2, 6, 21)),
        department="market",
        own={
            "registration_code": _codes(chunk, subject)[unit],
            "subject_name": chunk.name_on(subject[unit], day),
            "kind": texts(list(_MATTERS), kind),
            "category": texts(list(DEVICES), device[unit]),
            "result": some(texts(list(_RESULTS), np.maximum(result, 0)), result >= 0),
            "due_on": days(due, none=due < 0),
            "overdue_days": some(pl.Series(overdue), overdue >= 0),
            "service_years": pl.Series(np.round((day - made[unit]) / 365.25, 1)),
            "problem": some(fault, result == len(_RESULTS) - 1),
        },
    )


def _nothing(size: int, *, kind: int, due: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Return kind, no result, the day due and no days overdue."""
    none = np.full(size, _NONE)
    return np.full(size, kind), none, due, none


def _codes(chunk: Chunk, subject: Ints) -> pl.Series:
    """Return devices' codes: county, subject's number, device's number."""
    frame = pl.DataFrame(
        {
            "county": texts(list(chunk.mix.counties), chunk.people.county[subject]),
            "holder": chunk.people.index[subject],
        }
    )
    nth = (pl.int_range(1, pl.len() + 1).over("holder")).cast(pl.String).str.zfill(3)
    number = pl.col("holder").cast(pl.String).str.zfill(9)
    return frame.select(pl.format("TS{}{}{}", "county", number, nth)).to_series()


def _inspected(
    chunk: Chunk, rng: Random, field: Sector, devices: tuple[Ints, Ints], cycle: Ints
) -> tuple[Ints, ...]:
    """Return inspections, each due a cycle after the last: the riskier, the later and the worse."""
    place, due = devices
    parts: list[tuple[Ints, ...]] = []
    unit = np.arange(len(place))
    while (due < chunk.clock.end).any():
        month = np.clip(chunk.clock.month_of(due), 0, chunk.clock.months - 1)
        seen = field.seen[place, month]
        late = rng.random(len(place)) < sigmoid(-2.7 + 1.0 * seen)
        ahead = -rng.integers(0, 30, size=len(place))
        behind = 1 + (rng.exponential(70.0, len(place)) * np.exp(0.2 * seen)).astype(np.int64)
        day = chunk.clock.working_day(due + np.where(late, behind, ahead))
        drawn = rng.random(len(place))
        bad = sigmoid(-3.7 + 1.1 * seen + 0.5 * late)
        result = np.where(drawn < bad, 2, np.where(drawn < bad + 0.12, 1, 0))
        overdue = np.maximum(day - due, 0)
        following = day + np.where(result == 2, 45, cycle)
        held = day >= chunk.clock.start
        row = (unit, day, np.ones_like(unit), result, following, overdue)
        parts.append(tuple(column[held] for column in row))
        due = following
    return joined(*parts) if parts else tuple(np.zeros((6, 0), np.int64))


def _accidents(
    chunk: Chunk, rng: Random, field: Sector, place: Ints, begun: Ints
) -> tuple[Ints, ...]:
    """Return accidents of devices."""
    holder, month = field.happening(rng, 0.0009, 1.0)
    first = np.searchsorted(place, holder)
    held = np.bincount(place, minlength=field.size)[holder]
    unit = first + (rng.random(len(holder)) * held).astype(np.int64)
    day = chunk.days_in(rng, field.subject[holder], month)
    after = day > begun[unit]
    unit, day = unit[after], day[after]
    return unit, day, *_nothing(len(unit), kind=2, due=np.full(len(unit), _NONE))


_SAFETY: Final = {
    "培训考核": (0.045, -0.25),
    "应急演练": (0.020, -0.20),
    "一般事故隐患": (0.030, 0.45),
    "重大事故隐患": (0.0040, 1.1),
    "未遂事件": (0.004, 0.8),
    "生产安全事故": (0.0010, 1.3),
}
"""What is told of safety: a month's rate and its slope on risk."""

_TRAINING, _DRILL, _HAZARD, _GRAVE, _NEAR, _ACCIDENT = range(6)
_FOUND: Final = ("隐患排查发现", "监督检查指出", "企业自查上报", "专家会诊指出")
_MATTERS_OF_SAFETY: Final = (
    "用电线路老化",
    "有限空间作业未审批",
    "临边防护缺失",
    "危险物品超量存放",
    "疏散通道占用",
)


def safety_events(chunk: Chunk) -> pl.DataFrame:
    """Return trainings, drills, hazards, near misses and accidents.

    An accident is the likelier the more grave hazards were found in the half year before.
    """
    rng, field = chunk.rng("safety_event"), sector(chunk, "safety_event")
    rates = list(_SAFETY.values())
    place, month, kind = field.mixed(rng, rates[:_ACCIDENT])
    grave = recent(place[kind == _GRAVE], month[kind == _GRAVE], field.seen.shape, months=6)
    chance = field.chances(*rates[_ACCIDENT]) * np.exp(1.2 * np.minimum(grave, 2.0))
    hurt, when = cells(rng.random(chance.shape) < chance)
    place, month, kind = joined((place, month, kind), (hurt, when, np.full(len(hurt), _ACCIDENT)))
    subject, size = field.subject[place], len(place)
    day = chunk.days_in(rng, subject, month)
    hazard, accident = (kind == _HAZARD) | (kind == _GRAVE), kind == _ACCIDENT
    deaths = rng.binomial(1, 0.12, size=size) * (1 + rng.poisson(0.3, size=size))
    due = day + np.where(kind == _GRAVE, 30, 15)
    mended = day + rng.integers(3, 60, size=size)
    tardy = rng.random(size) < sigmoid(-2.0 + field.seen[place, month])
    over = hazard & ~tardy & (mended <= chunk.clock.end)
    told = texts(list(_FOUND), rng.integers(len(_FOUND), size=size)) + texts(
        list(_MATTERS_OF_SAFETY), rng.integers(len(_MATTERS_OF_SAFETY), size=size)
    )
    level = np.searchsorted([3, 10], deaths, side="right")
    return serve(
        chunk,
        rng,
        subject=subject,
        day=day,
        wait=rng.integers(1, np.where(accident, 4, 16)),
        department="safety",
        number=("document_number", "{}安事〔{}〕{}号"),
        own={
            "kind": texts(list(_SAFETY), kind),
            "accident_level": some(texts(["一般事故", "较大事故", "重大事故"], level), accident),
            "deaths": some(pl.Series(deaths), accident),
            "injured": some(pl.Series(rng.poisson(0.6, size=size)), accident),
            "loss_amount": some(
                pl.Series(rounded(between(rng, 5_000.0, 3e6, size)).astype(np.float64)), accident
            ),
            "hazards": some(pl.Series(1 + rng.poisson(1.5, size=size)), hazard),
            "content": some(told, hazard | (kind == _NEAR)),
            "due_on": days(due, none=~hazard),
            "rectified_on": days(np.where(over, mended, 0), none=~over),
        },
    )


_TRANSPORT: Final = {
    "超速报警": (0.045, 0.5),
    "疲劳驾驶报警": (0.030, 0.6),
    "定位离线": (0.015, 0.5),
    "交通违法": (0.030, 0.6),
    "超限超载": (0.012, 0.8),
    "检测不合格": (0.008, 0.5),
    "交通事故": (0.0035, 0.8),
}
_SPEED, _TIRED, _OFFLINE, _OFFENCE, _OVERLOAD, _TEST, _CRASH = range(7)
_BUSINESS: Final = ("道路普通货物运输", "道路旅客运输", "道路危险货物运输", "其他")
_BLAME: Final = ("全部责任", "主要责任", "同等责任", "次要责任", "无责任")


def transport_events(chunk: Chunk) -> pl.DataFrame:
    """Return alarms, offences, overloads, failed tests and accidents of vehicles.

    Tired drivers and speed in the quarter before make an accident likelier.
    """
    rng, field = chunk.rng("transport_event"), sector(chunk, "transport_event")
    rates = list(_TRANSPORT.values())
    place, month, kind = field.mixed(rng, rates[:_CRASH])
    wild = kind <= _TIRED
    before = recent(place[wild], month[wild], field.seen.shape, months=3)
    chance = field.chances(*rates[_CRASH]) * np.exp(0.5 * np.minimum(before, 3.0))
    crash, when = cells(rng.random(chance.shape) < chance)
    place, month, kind = joined((place, month, kind), (crash, when, np.full(len(crash), _CRASH)))
    subject, size = field.subject[place], len(place)
    day = chunk.days_in(rng, subject, month)
    alarm, crashed = kind <= _OFFLINE, kind == _CRASH
    # 5412 carries passengers, 5431 goods (a few of them dangerous), 8111 repairs.
    codes = np.array([industry.code for industry in chunk.mix.industries])
    code = codes[chunk.people.industry[subject]]
    risky = chunk.people.index[subject] % 12 == 0
    business = np.where(
        code == "5412", 1, np.where(code == "5431", np.where(risky, 2, 0), len(_BUSINESS) - 1)
    )
    vehicle = rng.integers(1, 2 + chunk.people.employees[subject] // 2)
    deaths = rng.binomial(1, 0.10, size=size) * (1 + rng.poisson(0.2, size=size))
    blame = rng.choice(len(_BLAME), size=size, p=[0.25, 0.3, 0.2, 0.15, 0.1])
    return serve(
        chunk,
        rng,
        subject=subject,
        day=day,
        wait=rng.integers(1, np.where(alarm, 3, 21)),
        department="transport",
        number=("document_number", "{}运安〔{}〕{}号"),
        own={
            "vehicle_id": _vehicles(chunk.people.index[subject], vehicle),
            "business": texts(list(_BUSINESS), business),
            "kind": texts(list(_TRANSPORT), kind),
            "times": some(pl.Series(1 + rng.poisson(1.0, size=size)), alarm),
            "overload_share": some(
                pl.Series(np.round(between(rng, 0.02, 1.2, size), 3)), kind == _OVERLOAD
            ),
            "deaths": some(pl.Series(deaths), crashed),
            "injured": some(pl.Series(rng.poisson(0.8, size=size)), crashed),
            "liability": some(texts(list(_BLAME), blame), crashed),
        },
    )


def _vehicles(holder: Ints, vehicle: Ints) -> pl.Series:
    frame = pl.DataFrame({"holder": holder, "vehicle": vehicle})
    return frame.select(pl.format("C_{}_{}", "holder", "vehicle")).to_series()
