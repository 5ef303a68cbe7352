"""The subjects of a chunk: who they are, before anything happens to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from models.codes.uscc import ALPHABET, make_uscc_expr
from training.synth.arrays import Flags, Floats, Ints, Random, Texts, choose, choose_by, texts
from training.synth.clock import FAR, Clock
from training.synth.mix import Mix

_STEMS: Final = "甲乙丙丁戊己庚辛壬癸"
_BRANCHES: Final = "子丑寅卯辰巳午未申酉戌亥"
PAIRS: Final = tuple(_STEMS[i % 10] + _BRANCHES[i % 12] for i in range(60))
"""The sexagenary cycle: neutral syllables that nobody's firm is made of in such numbers."""

ENTERPRISE, INDIVIDUAL, COOPERATIVE, SOCIAL = range(4)
OLD_SHARE: Final = 0.55
"""Share of the subjects that were there before the first day."""


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """One chunk's subjects; every array has one element a subject.

    ``index`` counts through the province. ``born`` is a day since 1970-01-01. ``cluster`` numbers
    shell clusters inside the chunk, -1 for none; ``person`` is the place of the representative
    among ``persons``, the ids of all persons of the chunk.
    """

    index: Ints
    kind: Ints
    county: Ints
    industry: Ints
    group: Ints
    enterprise_type: Texts
    born: Ints
    employees: Ints
    capital: Floats
    cluster: Ints
    person: Ints
    persons: Texts
    uscc: pl.Series
    name: pl.Series
    ending: Ints
    address: pl.Series

    @property
    def size(self) -> int:
        """Return how many subjects there are."""
        return len(self.index)


def settle(rng: Random, first: int, size: int, *, clock: Clock, mix: Mix) -> Population:
    """Return ``size`` subjects, the first with number ``first`` of the province."""
    index = np.arange(first, first + size, dtype=np.int64)
    kind = choose(rng, np.array([k.share for k in mix.kinds]), size)
    county = choose(rng, mix.county_weights, size)
    cluster = _clusters(rng, size)
    kind[cluster >= 0] = ENTERPRISE
    industry = choose_by(rng, mix.industry_shares, kind)
    ending = _endings(rng, kind, mix)
    employees = _employees(rng, kind)
    host = rng.random(size) < 0.03
    person, persons = _persons(rng, size, cluster)
    return Population(
        index=index,
        kind=kind,
        county=county,
        industry=industry,
        group=mix.group_of[industry],
        enterprise_type=_types(rng, kind, mix),
        born=_births(rng, size, clock),
        employees=employees,
        capital=_capital(rng, kind, employees),
        cluster=cluster,
        person=person,
        persons=persons,
        uscc=codes(index, kind, county, mix=mix),
        name=names(index, kind, county, industry, ending, mix=mix),
        ending=ending,
        address=_addresses(rng, county, cluster, host, mix),
    )


def base31(numbers: Ints, width: int) -> pl.Series:
    """Return numbers in the 31 symbols of GB 32100, ``width`` symbols wide."""
    symbols = np.frombuffer(ALPHABET.encode(), np.uint8)
    places = 31 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    written = symbols[(numbers[:, None] // places) % 31]
    joined = np.ascontiguousarray(written).view(f"S{width}").ravel()
    return pl.Series(joined.astype(str).tolist(), dtype=pl.String)


def codes(index: Ints, kind: Ints, county: Ints, *, mix: Mix) -> pl.Series:
    """Return valid codes whose organisation code begins with ``YY``, as no issued one does."""
    frame = pl.DataFrame(
        {
            "prefix": texts([k.prefix for k in mix.kinds], kind),
            "region": texts(list(mix.counties), county),
            "body": "YY" + base31(index, 6),
        }
    )
    return frame.select(make_uscc_expr("prefix", "region", body="body")).to_series()


def names(
    index: Ints, kind: Ints, county: Ints, industry: Ints, ending: Ints, *, mix: Mix
) -> pl.Series:
    """Return names: place, three or four pairs of the sexagenary cycle, trade, form.

    The pairs write the subject's number, scattered, so that no two names are alike.
    """
    few = index < 60**3
    scattered = np.where(few, index * 77_773 % 60**3, index * 7_777_753 % 60**4)
    pair = [texts(list(PAIRS), scattered // 60**place % 60) for place in range(4)]
    fourth = pair[3].set(pl.Series(few), "")
    own_city = texts(_city_names(mix), mix.city_of[county])
    own_county = texts(list(mix.county_names), county)
    place = own_city.zip_with(pl.Series(kind == ENTERPRISE), own_county)
    word = texts([i.word for i in mix.industries], industry)
    frame = pl.DataFrame(
        [place, fourth, *pair[:3], word, _ending_texts(kind, ending, mix)], schema=list("abcdefg")
    )
    return frame.select(pl.concat_str(pl.all()).alias("name")).to_series()


def _city_names(mix: Mix) -> list[str]:
    full = dict(zip(mix.city_of.tolist(), mix.full_names, strict=True))
    return [full[place].removeprefix("辽宁省").split("市")[0] for place in range(len(mix.cities))]


def _ending_texts(kind: Ints, ending: Ints, mix: Mix) -> pl.Series:
    flat = [e for k in mix.kinds for e in k.endings]
    offsets = np.cumsum([0, *(len(k.endings) for k in mix.kinds)])[:-1]
    return texts(flat, offsets[kind] + ending)


def _endings(rng: Random, kind: Ints, mix: Mix) -> Ints:
    weights = np.zeros((len(mix.kinds), max(len(k.endings) for k in mix.kinds)))
    for row, entry in zip(weights, mix.kinds, strict=True):
        row[: len(entry.endings)] = 1 / np.arange(1, len(entry.endings) + 1) ** 1.5
    return choose_by(rng, weights, kind)


def _types(rng: Random, kind: Ints, mix: Mix) -> Texts:
    out = np.full(len(kind), None, dtype=object)
    for number, entry in enumerate(mix.kinds):
        rows = np.flatnonzero(kind == number)
        if entry.types and rows.size:
            chosen = choose(rng, np.array(list(entry.types.values())), rows.size)
            out[rows] = np.array(list(entry.types), dtype=object)[chosen]
    return out


def _births(rng: Random, size: int, clock: Clock) -> Ints:
    before = np.minimum(rng.exponential(7 * 365, size), 24 * 365).astype(np.int64) + 1
    during = (rng.random(size) * (clock.end - clock.start - 60)).astype(np.int64)
    return np.where(rng.random(size) < OLD_SHARE, clock.start - before, clock.start + during)


def _employees(rng: Random, kind: Ints) -> Ints:
    middle = np.array([7.0, 2.0, 5.0, 9.0])[kind]
    spread = np.array([1.1, 0.5, 0.6, 0.7])[kind]
    drawn = middle * np.exp(spread * rng.standard_normal(len(kind)))
    return np.clip(drawn, 1, 20_000).astype(np.int64)


def _capital(rng: Random, kind: Ints, employees: Ints) -> Floats:
    wan = np.array([60.0, 3.0, 80.0, 10.0])[kind] * np.sqrt(employees / 5)
    drawn = wan * np.exp(0.9 * rng.standard_normal(len(kind)))
    step = np.where(drawn > 100, 50.0, np.where(drawn > 10, 5.0, 1.0))
    return np.maximum(np.round(drawn / step) * step, 1.0) * 10_000.0


def _clusters(rng: Random, size: int) -> Ints:
    """Gather about 1.5 % of the subjects into shell clusters of 4 to 30."""
    cluster = np.full(size, -1, np.int64)
    order = rng.permutation(size)
    begin, number, limit = 0, 0, int(size * 0.015)
    while begin < limit:
        members = int(4 + rng.exponential(7)) if limit > 3 else limit
        cluster[order[begin : begin + min(members, 30)]] = number
        begin, number = begin + min(members, 30), number + 1
    return cluster


def _persons(rng: Random, size: int, cluster: Ints) -> tuple[Ints, Texts]:
    """Return each subject's representative and the ids of all persons, more than are needed.

    Nine in ten have a person of their own, the others share a few busy ones; a cluster shares one.
    """
    person = np.arange(size, dtype=np.int64)
    busy = np.flatnonzero(rng.random(size) < 0.10)
    person[busy] = (rng.random(busy.size) ** 2 * max(size // 40, 1)).astype(np.int64)
    shared = np.flatnonzero(cluster >= 0)
    person[shared] = 2 * size + cluster[shared] // 2
    written = rng.bytes(8 * 3 * size).hex()
    ids = [f"P_{written[16 * i : 16 * i + 16]}" for i in range(3 * size)]
    return person, np.array(ids, dtype=object)


def _addresses(rng: Random, county: Ints, cluster: Ints, host: Flags, mix: Mix) -> pl.Series:
    size = len(county)
    frame = pl.DataFrame(
        {
            "place": texts(list(mix.full_names), county),
            "street": texts(list(PAIRS), rng.integers(60, size=size)),
            "number": rng.integers(1, 400, size=size),
            "room": rng.integers(101, 3200, size=size),
            "cluster": cluster,
            "host": host,
        }
    )
    own = pl.format("{}{}路{}号{}室", "place", "street", "number", "room")
    shared = pl.format("{}{}路{}号集群注册托管区", "place", "street", "number")
    hosted = pl.format("{}众创空间一号楼", "place")
    gathered = shared.first().over("cluster")
    chosen = pl.when(pl.col("cluster") >= 0).then(gathered).when("host").then(hosted).otherwise(own)
    return frame.select(chosen.alias("address")).to_series()


def representatives(people: Population) -> Texts:
    """Return the id of each subject's representative."""
    return people.persons[people.person]


@dataclass(frozen=True, slots=True, eq=False)
class Renames:
    """Changes of name: the day (``FAR``: none) and the name before it."""

    day: Ints
    old: pl.Series


def rename(
    rng: Random, people: Population, ended: Ints, *, clock: Clock, mix: Mix, share: float
) -> Renames:
    """Return changes of name of a ``share`` of the subjects, 30 days from birth and end or more."""
    low = np.maximum(people.born, clock.start) + 30
    high = np.minimum(ended, clock.end) - 30
    day = low + (rng.random(people.size) * np.maximum(high - low, 0)).astype(np.int64)
    changes = (rng.random(people.size) < share) & (high > low)
    trade = choose_by(rng, mix.industry_shares, people.kind)
    return Renames(
        day=np.where(changes, clock.working_day(np.where(changes, day, clock.start)), FAR),
        old=names(people.index, people.kind, people.county, trade, people.ending, mix=mix),
    )
