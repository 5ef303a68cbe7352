"""What is told of dealings with the public: advertising, opinions, tenders, public contracts."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from training.synth import tenders
from training.synth.arrays import (
    SHARED,
    Floats,
    Ints,
    Random,
    between,
    choose_by,
    days,
    rounded,
    sigmoid,
    stream,
    texts,
)
from training.synth.chunk import Chunk
from training.synth.population import INDIVIDUAL
from training.synth.risk import DRIFT
from training.synth.schemes import Schemes
from training.synth.sectors import cells, joined, sector, serve, some

_MEDIA: Final = ("网站", "移动应用", "直播", "户外", "电视", "广播", "报纸")
_MEDIA_SHARES: Final = (0.30, 0.25, 0.22, 0.10, 0.06, 0.04, 0.03)
_CATEGORIES: Final = (
    "其他",
    "普通食品",
    "保健食品",
    "药品",
    "医疗器械",
    "医疗",
    "化妆品",
    "教育培训",
    "招商投资",
    "房地产",
)
_ADVERTISED: Final[dict[str, tuple[float, ...]]] = {
    "health": (1, 0, 1, 1, 1, 12, 0, 0, 0, 0),
    "pharma": (1, 0, 4, 8, 4, 0, 1, 0, 0, 0),
    "education": (1, 0, 0, 0, 0, 0, 0, 12, 0, 0),
    "realestate": (1, 0, 0, 0, 0, 0, 0, 0, 0, 12),
    "finance": (1, 0, 0, 0, 0, 0, 0, 0, 12, 0),
    "food_maker": (1, 9, 4, 0, 0, 0, 0, 0, 0, 0),
    "personal": (6, 0, 0, 0, 0, 1, 6, 0, 0, 0),
    "online": (5, 3, 2, 0, 1, 0, 4, 0, 1, 0),
}
_FINDINGS: Final = ("未发现违法", "涉嫌一般违法", "涉嫌严重违法")
_SLOGANS: Final = (
    "限时特惠，效果看得见",
    "全国第一品牌，无效退款",
    "专家推荐，根治多种疾病",
    "稳赚不赔，名额有限",
    "新品上市，欢迎选购",
)


def ad_monitors(chunk: Chunk) -> pl.DataFrame:
    """Return advertisements that were watched, and what was found in them."""
    rng, field = chunk.rng("ad_monitor"), sector(chunk, "ad_monitor")
    place, month = field.happening(rng, 0.050, 0.12)
    subject, size = field.subject[place], len(place)
    seen = field.seen[place, month]
    weights = np.array(
        [_ADVERTISED.get(name, (1.0,) + (0.0,) * 9) for name in chunk.mix.group_names], np.float64
    )
    category = choose_by(rng, weights, chunk.people.group[subject])
    medium = rng.choice(len(_MEDIA), size=size, p=_MEDIA_SHARES)
    delicate = np.isin(category, (2, 3, 4, 5, 8))
    lean = -2.6 + 0.9 * seen + 0.5 * delicate + 0.4 * (medium == 2)
    bad = rng.random(size) < sigmoid(lean)
    finding = bad * (1 + (rng.random(size) < sigmoid(-1.6 + 0.4 * seen)))
    slogan = np.where(bad, rng.integers(1, 4, size=size), np.where(rng.random(size) < 0.5, 0, 4))
    day = _any_day(chunk, rng, subject, month)
    return serve(
        chunk,
        rng,
        subject=subject,
        day=day,
        wait=rng.integers(2, 16, size=size),
        department="market",
        number=("monitor_number", "{}广监〔{}〕{}号"),
        own={
            "medium": texts(list(_MEDIA), medium),
            "category": texts(list(_CATEGORIES), category),
            "finding": texts(list(_FINDINGS), finding),
            "clauses": pl.Series(np.where(bad, 1 + rng.poisson(0.5 * finding), 0)),
            "broadcasts": pl.Series(1 + rng.poisson(between(rng, 0.5, 60.0, size))),
            "content": texts(list(_SLOGANS), slogan),
        },
    )


def _any_day(chunk: Chunk, rng: Random, subject: Ints, month: Ints) -> Ints:
    """Return a day of each month on which the subject is there, worked or not."""
    low = np.maximum(chunk.clock.first[month], chunk.people.born[subject])
    high = np.minimum(chunk.clock.first[month + 1] - 1, chunk.life.ended[subject])
    return low + (rng.random(len(subject)) * (high - low + 1)).astype(np.int64)


_TOPICS: Final = (
    "质量安全",
    "价格收费",
    "服务纠纷",
    "虚假宣传",
    "欠薪",
    "停业失联",
    "集资理财",
    "其他",
)
_TOPIC_SHARES: Final = (0.20, 0.12, 0.26, 0.10, 0.06, 0.05, 0.02, 0.19)
_MONEY_TOPIC: Final = 6
_CHANNELS: Final = ("社交平台", "短视频", "新闻媒体", "论坛贴吧", "其他")
_TONES: Final = ("负面", "中性", "正面")


def opinions(chunk: Chunk, planted: Schemes) -> pl.DataFrame:
    """Return what the public says of firms; of schemes, the more the longer they run."""
    rng = chunk.rng("opinion")
    firms = np.flatnonzero(chunk.people.kind != INDIVIDUAL)
    chance = 0.0035 * np.exp(0.5 * chunk.risk.latent[firms]) * chunk.life.active[firms]
    place, month = cells(rng.random(chance.shape) < chance)
    subject = firms[place]
    topic = rng.choice(len(_TOPICS), size=len(subject), p=_TOPIC_SHARES)
    length = planted.last - planted.first + 1
    which = np.repeat(np.arange(len(length)), length)
    since = np.arange(len(which)) - np.repeat(np.cumsum(length) - length, length)
    loud = rng.random(len(which)) < 0.05 + 0.20 * since / np.maximum(length[which], 1)
    which, since = which[loud], since[loud]
    about = planted.field.subject[planted.place[which]]
    subject, month, topic = joined(
        (subject, month, topic),
        (about, planted.first[which] + since, np.full(len(which), _MONEY_TOPIC)),
    )
    size = len(subject)
    seen = chunk.risk.latent[subject, month]
    drawn = rng.random(size)
    worse = sigmoid(0.5 + 0.5 * seen)
    tone = np.where(drawn < worse, 0, np.where(drawn < 0.5 + 0.5 * worse, 1, 2))
    return serve(
        chunk,
        rng,
        subject=subject,
        day=_any_day(chunk, rng, subject, month),
        wait=rng.integers(1, 6, size=size),
        department="culture",
        number=("opinion_number", "{}舆〔{}〕{}号"),
        own={
            "channel": texts(list(_CHANNELS), rng.integers(len(_CHANNELS), size=size)),
            "topic": texts(list(_TOPICS), topic),
            "tone": texts(list(_TONES), tone),
            "reads": pl.Series(between(rng, 20.0, 200_000.0, size).astype(np.int64)),
        },
    )


_WORKS: Final = ("工程", "货物", "服务")
_WAYS: Final = ("公开招标", "竞争性磋商", "竞争性谈判", "询价", "邀请招标")
_OUTCOMES: Final = ("未中标", "中标", "被否决", "放弃中标")


def bids(chunk: Chunk, planted: tenders.Rings) -> pl.DataFrame:
    """Return every bid when its tender's result was published.

    A ring's bids are alike in their files now and then, and some of them are refused for it.
    """
    rng = chunk.rng("bid")
    all_bids = tenders.bids(chunk, rng, planted)
    subject, tender, size = all_bids.subject, all_bids.tender, len(all_bids.subject)
    careless = rng.random(int(tender.max(initial=-1)) + 1) < 0.5
    month = np.zeros(len(careless), np.int64)
    month[tender] = all_bids.month
    opened = chunk.clock.working_day(chunk.clock.day_in(month, rng))[tender]
    ringed = all_bids.ring >= 0
    alike = ringed & careless[tender]
    similar = np.where(alike, rng.beta(5.0, 5.0, size), rng.beta(1.6, 14.0, size))
    traces = np.where(alike, rng.poisson(1.2, size), rng.poisson(0.03, size))
    seen = chunk.risk.latent[subject, all_bids.month]
    refused = (rng.random(size) < np.where(alike, 0.22, 0.012 * np.exp(0.4 * seen))) & ~all_bids.won
    fled = (rng.random(size) < 0.01 * np.exp(0.5 * seen)) & all_bids.won
    outcome = np.where(fled, 3, np.where(refused, 2, all_bids.won.astype(np.int64)))
    work = rng.choice(3, size=len(careless), p=[0.5, 0.3, 0.2])[tender]
    way = rng.choice(5, size=len(careless), p=[0.66, 0.14, 0.1, 0.06, 0.04])[tender]
    rank = _ranks(tender, all_bids.ratio)
    amount = np.round(all_bids.ceiling * all_bids.ratio, 2)
    county = np.zeros(len(careless), np.int64)
    county[tender] = chunk.people.county[subject]
    office = chunk.offices.of(
        county, np.full(len(county), chunk.department("housing")), layout=chunk.mix
    )
    held = pl.DataFrame({"mark": texts(chunk.offices.marks, office)})
    nth = pl.int_range(1, pl.len() + 1)
    number = held.select(pl.format(f"{{}}招{chunk.number}-{{}}", "mark", nth)).to_series()
    return serve(
        chunk,
        rng,
        subject=subject,
        day=opened,
        wait=rng.integers(1, 8, size=len(careless))[tender],
        department="housing",
        own={
            **chunk.offices.columns(office[tender]),
            "tender_number": number.gather(pl.Series(tender)),
            "lot": pl.Series(["1"] * size, dtype=pl.String),
            "subject_name": chunk.name_on(subject, opened),
            "kind": texts(list(_WORKS), work),
            "method": texts(list(_WAYS), way),
            "result": texts(list(_OUTCOMES), outcome),
            "rank": some(pl.Series(rank), ~refused),
            "bidders": pl.Series(all_bids.bidders),
            "bid_amount": pl.Series(amount),
            "price_ratio": pl.Series(np.round(all_bids.ratio, 4)),
            "similarity": pl.Series(np.round(similar, 3)),
            "shared_traces": pl.Series(traces),
            "_ring": pl.Series(all_bids.ring),
            "_tender": pl.Series(tender),
        },
    )


def _ranks(tender: Ints, ratio: Floats) -> Ints:
    """Return each bid's place among those of its tender, from 1, the lowest price first."""
    order = np.lexsort((ratio, tender))
    begin = np.searchsorted(tender[order], np.arange(int(tender.max(initial=-1)) + 2))
    rank = np.empty(len(tender), np.int64)
    rank[order] = np.arange(len(tender)) - begin[tender[order]] + 1
    return rank


_BODIES: Final = ("housing", "transport", "education", "health", "culture", "approval")
_BODY_SHARES: Final = (0.34, 0.16, 0.16, 0.14, 0.06, 0.14)
_CONTRACTS: Final = ("政府采购合同", "工程建设合同", "招商引资协议", "政策承诺")
_STEPS: Final = ("签订", "支付", "逾期未付", "承诺未兑现", "投诉", "违约认定")
_SIGNED, _PAID, _OVERDUE, _UNKEPT, _COMPLAINED, _ESTABLISHED = range(6)


def _willing(chunk: Chunk) -> Floats:
    """Return office × month: how hard it is for a public body to pay; the same in every chunk."""
    rng = stream(chunk.spec.seed, SHARED, "public bodies")
    size, months = len(chunk.offices.names), chunk.clock.months
    lasting, drift = 0.7 * rng.standard_normal((2, size))
    out = np.empty((size, months))
    for month in range(months):
        out[:, month] = lasting + drift
        drift = DRIFT * drift + 0.7 * np.sqrt(1 - DRIFT**2) * rng.standard_normal(size)
    return out


def public_contracts(chunk: Chunk) -> pl.DataFrame:
    """Return contracts of public bodies with firms: signed, paid or not, and what came of it.

    The subject is the public body. Who does not pay in time is complained of and, later, found to
    have broken its word.
    """
    rng, field = chunk.rng("public_contract"), sector(chunk, "public_contract")
    place, month = field.happening(rng, 0.05, 0.0)
    firm, size = field.subject[place], len(place)
    body = rng.choice(len(_BODIES), size=size, p=_BODY_SHARES)
    department = np.array([chunk.department(name) for name in _BODIES])[body]
    office = chunk.offices.of(chunk.people.county[firm], department, layout=chunk.mix)
    signed = chunk.days_in(rng, firm, month)
    due = signed + rng.integers(60, 400, size=size)
    hard = _willing(chunk)[office, np.clip(chunk.clock.month_of(due), 0, chunk.clock.months - 1)]
    broken = rng.random(size) < sigmoid(-2.0 + 1.1 * hard)
    promise = body == len(_BODIES) - 1
    failed = due + rng.integers(10, 60, size=size)
    established = broken & (rng.random(size) < sigmoid(-0.5 + 0.4 * hard))
    steps = (
        (np.ones(size, np.bool_), _SIGNED, signed),
        (~broken, _PAID, due - rng.integers(0, 40, size=size)),
        (broken & ~promise, _OVERDUE, failed),
        (broken & promise, _UNKEPT, failed),
        (broken & (rng.random(size) < 0.4), _COMPLAINED, failed + rng.integers(5, 90, size=size)),
        (established, _ESTABLISHED, failed + rng.integers(60, 200, size=size)),
        (broken & (rng.random(size) < 0.5), _PAID, failed + rng.integers(90, 400, size=size)),
    )
    row, step, day = joined(
        *(
            (np.flatnonzero(happens), np.full(int(happens.sum()), number), when[happens])
            for happens, number, when in steps
        )
    )
    day = chunk.clock.working_day(day)
    kind = np.where(promise, 2 + rng.integers(2, size=size), (body < 2).astype(np.int64))
    amount = rounded(between(rng, 30_000.0, 2e7, size)).astype(np.float64)
    owed = np.round(amount * rng.uniform(0.1, 1.0, size), 2)[row]
    late = np.isin(step, (_OVERDUE, _UNKEPT, _COMPLAINED, _ESTABLISHED))
    frame = pl.DataFrame({"office": texts(chunk.offices.marks, office), "firm": firm})
    nth = pl.int_range(1, pl.len() + 1)
    number = frame.select(pl.format(f"{{}}合{chunk.number}-{{}}", "office", nth)).to_series()
    names, codes = chunk.offices.names, chunk.offices.codes
    return serve(
        chunk,
        rng,
        subject=firm[row],
        day=day,
        wait=rng.integers(1, 21, size=len(row)),
        department="approval",
        own={
            "uscc": texts(codes, office[row]),
            "region": texts(chunk.offices.regions, office[row]),
            "contract_number": number.gather(pl.Series(row)),
            "subject_name": texts(names, office[row]),
            "counterpart_id": chunk.people.uscc.gather(pl.Series(firm[row])),
            "kind": texts(list(_CONTRACTS), kind[row]),
            "event": texts(list(_STEPS), step),
            "amount": pl.Series(amount[row]),
            "unpaid_amount": some(pl.Series(owed), late),
            "overdue_days": some(pl.Series(np.maximum(day - due[row], 0)), late),
            "due_on": days(due[row]),
        },
    )
