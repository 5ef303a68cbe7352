"""行政检查 and 抽样检验: what inspectors and laboratories found."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from training.synth import texts
from training.synth.arrays import Flags, Floats, Ints, Texts, choose, choose_by
from training.synth.arrays import texts as pick
from training.synth.chunk import Chunk
from training.synth.grammar import grammar
from training.synth.supervision import MODES

FAIL_CODES: Final = {
    "IR5": 0.35,
    "IR8": 0.30,
    "IRV": 0.20,
    "IR2": 0.08,
    "IR4": 0.05,
    "IR3": 0.015,
    "IR6": 0.005,
}
_METHODS: Final = ("现场检查", "现场检查", "书面检查", "网络监测", "委托专业机构")
_SUBJECTS_OF_SAMPLING: Final = (
    "food_maker",
    "food_seller",
    "catering",
    "maker",
    "chemical",
    "pharma",
    "retail",
)
_MATTERS: Final = ("日常监督检查", "双随机抽查", "专项检查", "行业执法检查", "信用风险分级检查")


def inspections(chunk: Chunk) -> pl.DataFrame:
    """Return the chunk's inspections; ``_leaf`` is -1 where no problem was found."""
    rng, people, events = chunk.rng("inspection"), chunk.people, chunk.watch.inspections
    subject, size = events.subject, len(events.subject)
    day = chunk.days_in(rng, subject, events.month)
    leaf = choose_by(rng, texts.leaf_weights(chunk.mix, complained=False), people.group[subject])
    leaves = list(grammar().leaves.values())
    department = np.array([chunk.department(one.department) for one in leaves])[leaf]
    office, authority = chunk.decided(subject, department)
    idle = chunk.watch.excluded > 0
    bad = chunk.risk.outcome[subject, events.month] & ~idle
    codes = np.array(list(FAIL_CODES), dtype=object)[
        choose(rng, np.array(list(FAIL_CODES.values())), size)
    ]
    codes = np.where(
        bad, codes, np.where(idle, np.where(rng.random(size) < 0.6, "IR7", "IRX"), "IR1")
    )
    found = np.flatnonzero(bad)
    given = {
        "date": texts.dates(day[found] - rng.integers(0, 30, size=found.size)),
        "place": texts.places(rng, people.county[subject[found]], chunk.mix),
    }
    problem = np.full(size, None, dtype=object)
    problem[found] = texts.problems(rng, leaf[found], given)
    random = events.mode < 2
    own = {
        "subject_name": chunk.name_on(subject, day),
        "matter": pick(list(_MATTERS), rng.integers(len(_MATTERS), size=size)),
        "method": pick(list(_METHODS), rng.integers(len(_METHODS), size=size)),
        "result": pick(["pass", "fail", "excluded"], np.where(idle, 2, bad.astype(np.int64))),
        "result_code": pl.Series(codes.tolist(), dtype=pl.String),
        "problem": pl.Series(problem.tolist(), dtype=pl.String),
        "draw_id": _draw_ids(chunk, events.subject, events.month, random, events.mode),
        "draw_mode": pick(list(MODES), events.mode),
        "inclusion_probability": pl.Series(events.chance).fill_nan(None),
        "inspector_id": _inspectors(office, rng.integers(1, 13, size=size)),
        **authority,
        "_leaf": np.where(bad, leaf, -1),
        "_month": events.month,
    }
    reported = chunk.clock.working_after(day, rng.integers(1, 21, size=size))
    frame = chunk.base(rng, subject, day, reported).with_columns(
        pl.Series(name, values) for name, values in own.items()
    )
    return chunk.known(chunk.numbered(frame, office, "{}检〔{}〕{}号"))


def _draw_ids(chunk: Chunk, subject: Ints, month: Ints, random: Flags, mode: Ints) -> pl.Series:
    city = pick(list(chunk.mix.cities), chunk.mix.city_of[chunk.people.county[subject]])
    frame = pl.DataFrame(
        {
            "city": city,
            "year": chunk.clock.year[month],
            "month": chunk.clock.month[month],
            "mode": pick(["U", "T"], np.minimum(mode, 1)),
            "random": random,
        }
    )
    written = pl.format(
        "D{}-{}{}-{}", "city", "year", pl.col("month").cast(pl.String).str.zfill(2), "mode"
    )
    return frame.select(pl.when("random").then(written).alias("draw_id")).to_series()


def _inspectors(office: Ints, number: Ints) -> pl.Series:
    frame = pl.DataFrame({"office": office, "number": number})
    return frame.select(pl.format("I_{}_{}", "office", "number").alias("inspector_id")).to_series()


def samplings(chunk: Chunk) -> pl.DataFrame:
    """Return the chunk's product samplings; failed batches follow latent risk as inspections do."""
    rng, mix, people = chunk.rng("sampling"), chunk.mix, chunk.people
    sampled = np.array([name in _SUBJECTS_OF_SAMPLING for name in mix.group_names])[people.group]
    subject, month = chunk.happening(rng, chunk.spec.rates.sampling, 0.2, among=sampled)
    size = len(subject)
    day = chunk.days_in(rng, subject, month)
    bad = rng.random(size) < 0.6 * chunk.risk.fail[subject, month]
    products = _products(chunk, rng.random(size), people.group[subject])
    office, authority = chunk.decided(subject, chunk.department("market"))
    items: Texts = np.array(
        ["菌落总数", "标签", "铝的残留量", "耐压", "含量测定", "甲醛", "尺寸偏差", "过氧化值"],
        dtype=object,
    )
    problem: Texts = items[rng.integers(len(items), size=size)] + "不符合" + products + "标准要求"
    own = {
        "subject_name": chunk.name_on(subject, day),
        "product": pl.Series(products.tolist(), dtype=pl.String),
        "batch": "B" + pl.Series(rng.integers(10**7, 10**8, size=size)).cast(pl.String),
        "result": pick(["pass", "fail"], bad.astype(np.int64)),
        "failed_items": pl.Series(np.where(bad, 1 + rng.poisson(0.4, size), 0)),
        "problem": pl.Series(problem.tolist(), dtype=pl.String).set(pl.Series(~bad), None),
        **authority,
    }
    reported = chunk.clock.working_after(day, rng.integers(10, 35, size=size))
    frame = chunk.base(rng, subject, day, reported).with_columns(
        pl.Series(name, values) for name, values in own.items()
    )
    return chunk.known(chunk.numbered(frame, office, "{}抽〔{}〕{}号"))


def _products(chunk: Chunk, drawn: Floats, group: Ints) -> Texts:
    words = grammar().words
    names = np.array(chunk.mix.group_names, dtype=object)[group]
    out = np.full(len(group), "", dtype=object)
    for kind, rows in (
        ("food", np.isin(names, ["food_maker", "food_seller", "catering"])),
        ("drug", names == "pharma"),
        ("goods", np.isin(names, ["maker", "chemical", "retail"])),
    ):
        choice = np.array(words[kind], dtype=object)
        out[rows] = choice[(drawn[rows] * len(choice)).astype(np.int64)]
    return out


def complaints(chunk: Chunk) -> pl.DataFrame:
    """Return the chunk's complaints; ``_leaf`` has the true leaf."""
    rng, people, events = chunk.rng("complaint"), chunk.people, chunk.watch.complaints
    weights = texts.leaf_weights(chunk.mix, complained=True)
    heard = weights.sum(axis=1)[people.group[events.subject]] > 0
    subject, month = events.subject[heard], events.month[heard]
    size = len(subject)
    day = _any_day(chunk, rng.random(size), subject, month)
    leaf = choose_by(rng, weights, people.group[subject])
    leaves = list(grammar().leaves.values())
    department = np.array([chunk.department(one.department) for one in leaves])[leaf]
    office, authority = chunk.decided(subject, department)
    given = {
        "date": texts.dates(day - rng.integers(0, 45, size=size)),
        "place": texts.places(rng, people.county[subject], chunk.mix),
    }
    accepted = rng.random(size) < 0.86
    closed = chunk.clock.working_after(day, rng.integers(2, 46, size=size))
    done = accepted & (closed <= chunk.clock.end)
    outcome = rng.choice(4, size=size, p=[0.42, 0.18, 0.30, 0.10])
    own = {
        "subject_name": chunk.name_on(subject, day),
        "channel": pick(
            ["12345", "12315", "网站", "信访", "窗口"],
            rng.choice(5, size=size, p=[0.5, 0.33, 0.09, 0.04, 0.04]),
        ),
        "kind": pick(
            ["complaint", "report", "consultation"], rng.choice(3, size=size, p=[0.68, 0.28, 0.04])
        ),
        "content": pl.Series(texts.complaints(rng, leaf, given).tolist(), dtype=pl.String),
        "department": pick([d.name for d in chunk.mix.offices], department),
        "accepted": pl.Series(accepted),
        "outcome": pick(["调解成功", "调解失败", "已办结", "转立案"], outcome).set(
            pl.Series(~done), None
        ),
        "closed_on": pl.Series(closed.astype(np.int32)).cast(pl.Date).set(pl.Series(~done), None),
        **authority,
        "_leaf": leaf,
    }
    reported = day + rng.integers(0, 3, size=size)
    frame = chunk.base(rng, subject, day, reported).with_columns(
        pl.Series(name, values) for name, values in own.items()
    )
    return chunk.known(chunk.numbered(frame, office, "{}诉〔{}〕{}号"))


def _any_day(chunk: Chunk, drawn: Floats, subject: Ints, month: Ints) -> Ints:
    """Return a day of each month on which the subject is there, worked or not."""
    low = np.maximum(chunk.clock.first[month], chunk.people.born[subject])
    high = np.minimum(chunk.clock.first[month + 1] - 1, chunk.life.ended[subject])
    return low + (drawn * (high - low + 1)).astype(np.int64)
