"""生态环境: what outlets emit, and what happens around them."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from training.synth.arrays import Flags, Floats, Ints, Random, days, texts
from training.synth.chunk import Chunk
from training.synth.sectors import Sector, joined, sector, serve, some

_POLLUTANTS: Final = (
    ("化学需氧量", "废水", "mg/L", 100.0),
    ("氨氮", "废水", "mg/L", 15.0),
    ("总磷", "废水", "mg/L", 0.5),
    ("颗粒物", "废气", "mg/m³", 30.0),
    ("二氧化硫", "废气", "mg/m³", 100.0),
    ("氮氧化物", "废气", "mg/m³", 150.0),
    ("非甲烷总烃", "废气", "mg/m³", 60.0),
)
_WATER: Final = ("food_maker", "pharma", "health", "agri")
_METHODS: Final = ("自行监测", "执法监测", "自动监测")
_SELF, _OFFICIAL, _AUTOMATIC = range(3)
_BIAS: Final = (-0.15, 0.10, 0.0)
"""How much nearer to its limit a method finds an emission, on the logarithm."""

_AUTOMATIC_SHARE: Final = 0.06
_EVENTS: Final = {
    "环境信访": (0.0045, 0.6),
    "治理设施停运": (0.0016, 0.9),
    "应急减排未落实": (0.0010, 0.7),
    "突发环境事件": (0.0002, 1.1),
}
_AFTER: Final = ("责令改正", "自动监控异常")
_STORIES: Final = ("夜间排放异味", "污水颜色异常", "厂界噪声扰民", "物料堆场扬尘", "治理设施未运行")


def env_monitors(chunk: Chunk) -> pl.DataFrame:
    """Return measurements: by the emitter each quarter, by the office now and then, by meters."""
    rng, field = chunk.rng("env_monitor"), sector(chunk, "env_monitor")
    place, month, method, automatic = _measured(chunk, rng, field)
    subject, size = field.subject[place], len(place)
    day = np.where(
        method == _AUTOMATIC,
        np.minimum(chunk.clock.first[month + 1] - 1, chunk.life.ended[subject]),
        chunk.days_in(rng, subject, month),
    )
    water = np.isin(np.array(chunk.mix.group_names), _WATER)[chunk.people.group[subject]]
    pollutant = np.where(water, rng.integers(3, size=size), 3 + rng.integers(4, size=size))
    ratio = _ratios(rng, field.seen[place, month], method)
    limit = np.array([one[3] for one in _POLLUTANTS])[pollutant]
    lost = automatic[place] & (method == _AUTOMATIC)
    missing = np.where(
        lost, np.minimum(rng.exponential(0.02 * np.exp(0.5 * field.seen[place, month])), 1.0), 0.0
    )
    invalid = missing > 0.25
    value = np.round(limit * ratio, 3)
    exceeded = (value > limit) & ~invalid
    return serve(
        chunk,
        rng,
        subject=subject,
        day=day,
        wait=rng.integers(1, np.where(method == _OFFICIAL, 11, 6)),
        department="environment",
        own={
            "outlet": texts(["DA001", "DW001"], water.astype(np.int64)),
            "medium": texts([one[1] for one in _POLLUTANTS], pollutant),
            "method": texts(list(_METHODS), method),
            "pollutant": texts([one[0] for one in _POLLUTANTS], pollutant),
            "result": texts(
                ["达标", "超标", "数据无效"], np.where(invalid, 2, exceeded.astype(np.int64))
            ),
            "value": some(pl.Series(value), ~invalid),
            "emission_limit": pl.Series(limit),
            "value_unit": texts([one[2] for one in _POLLUTANTS], pollutant),
            "exceedance": some(
                pl.Series(np.round(np.maximum(value / limit - 1.0, 0.0), 3)), ~invalid
            ),
            "missing_share": some(pl.Series(np.round(missing, 3)), lost),
        },
    )


def _measured(chunk: Chunk, rng: Random, field: Sector) -> tuple[Ints, Ints, Ints, Flags]:
    """Return place, month and method of each measurement, and which places have a meter."""
    months = np.arange(chunk.clock.months)
    automatic = rng.random(field.size) < _AUTOMATIC_SHARE
    turn = rng.integers(6, size=field.size)[:, None]
    each = np.where(rng.random(field.size) < 0.35, 3, 6)[:, None]
    parts: list[tuple[Ints, ...]] = []
    chances = (
        ((months + turn) % each == 0) * (0.97 - 0.10 * np.clip(field.seen, 0.0, 3.0)),
        0.030 * np.exp(0.25 * field.seen),
        np.broadcast_to(automatic[:, None], field.seen.shape) * 1.0,
    )
    for method, chance in enumerate(chances):
        place, month = np.nonzero((rng.random(chance.shape) < chance) & field.active)
        parts.append((place, month, np.full(len(place), method)))
    place, month, method = joined(*parts)
    return place, month, method, automatic


def _ratios(rng: Random, seen: Floats, method: Ints) -> Floats:
    """Return emissions over their limit: the riskier, the nearer to it and beyond."""
    noise = 0.38 * rng.standard_normal(len(seen))
    return np.exp(-0.74 + 0.30 * seen + np.array(_BIAS)[method] + noise)


def env_events(chunk: Chunk, measured: pl.DataFrame) -> pl.DataFrame:
    """Return complaints, plants out of order, accidents, and orders after limits were exceeded."""
    rng, field = chunk.rng("env_event"), sector(chunk, "env_monitor")
    place, month, kind = field.mixed(rng, _EVENTS.values())
    subject = field.subject[place]
    day = chunk.days_in(rng, subject, month)
    found = measured.filter(pl.col("result") != "达标")
    ordered = found["result"].to_numpy() == "超标"
    cause = found["happened_on"].cast(pl.Int64).to_numpy()
    share = np.where(ordered, np.where(found["method"].to_numpy() == _METHODS[1], 0.7, 0.25), 0.6)
    acts = rng.random(found.height) < share
    later = chunk.clock.working_day(cause + rng.integers(5, 45, size=found.height))
    kinds = len(_EVENTS) + np.where(ordered, 0, 1)
    subject, day, kind = joined(
        (subject, day, kind), (found["_subject"].to_numpy()[acts], later[acts], kinds[acts])
    )
    size = len(subject)
    accident, heard = kind == len(_EVENTS) - 1, kind == 0
    mended = day + rng.integers(5, 90, size=size)
    over = (kind == len(_EVENTS)) & (rng.random(size) < 0.8) & (mended <= chunk.clock.end)
    told = texts(list(_STORIES), rng.integers(len(_STORIES), size=size))
    return serve(
        chunk,
        rng,
        subject=subject,
        day=day,
        wait=rng.integers(1, np.where(accident, 3, 13)),
        department="environment",
        number=("document_number", "{}环事〔{}〕{}号"),
        own={
            "kind": texts([*_EVENTS, *_AFTER], kind),
            "level": some(
                texts(["一般", "较大"], (rng.random(size) < 0.08).astype(np.int64)), accident
            ),
            "content": some(told, heard),
            "corrected_on": days(np.where(over, mended, 0), none=~over),
        },
    )
