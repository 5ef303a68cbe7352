"""登记: subjects, their changes, persons and ties."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from training.synth.arrays import Ints, days, texts
from training.synth.chunk import Chunk
from training.synth.clock import FAR
from training.synth.population import ENTERPRISE, INDIVIDUAL, SOCIAL, representatives
from training.synth.risk import CANCELLED, REVOKED

STATUSES: Final = ("存续（在营、开业、在册）", "注销", "吊销，未注销")
_ITEMS: Final = {
    "address": 0.24,
    "scope": 0.30,
    "capital": 0.14,
    "legal_representative": 0.14,
    "executive": 0.08,
    "shareholder": 0.10,
}


def subjects(chunk: Chunk) -> pl.DataFrame:
    """Return the register as it stands on the last day."""
    rng, people, mix = chunk.rng("subject"), chunk.people, chunk.mix
    size = people.size
    everyone = np.arange(size, dtype=np.int64)
    ended, how = chunk.life.ended, chunk.life.how
    market, approval = chunk.department("market"), chunk.department("education")
    _, authority = chunk.decided(everyone, np.where(people.kind == SOCIAL, approval, market))
    types = pl.Series(people.enterprise_type.tolist(), dtype=pl.String)
    word = texts([i.word for i in mix.industries], people.industry)
    paid = np.round(
        people.capital * rng.choice([0.0, 0.2, 0.5, 1.0], size=size, p=[0.2, 0.2, 0.2, 0.4]), -3
    )
    zone = np.full(size, None, dtype=object)
    zoned = rng.random(size) < 0.05
    zone[zoned] = rng.choice(
        np.array(["高新技术产业开发区", "经济技术开发区", "自由贸易试验区"], dtype=object),
        zoned.sum(),
    )
    own = {
        "name": people.name,
        "subject_type": texts([k.subject_type for k in mix.kinds], people.kind),
        "status": texts(list(STATUSES), how),
        "enterprise_type": types,
        "ownership": types.replace_strict(mix.ownerships, default=None, return_dtype=pl.String),
        "industry": texts([i.code for i in mix.industries], people.industry),
        "registered_capital": pl.Series(people.capital),
        "paid_capital": pl.Series(paid),
        "employees": pl.Series(people.employees),
        "revoked_on": days(ended, none=how != REVOKED),
        "closed_on": days(ended, none=how != CANCELLED),
        "address": people.address,
        "zone": pl.Series(zone.tolist(), dtype=pl.String),
        "organisation_code": people.uscc.str.slice(8, 9),
        "business_scope": word + "相关经营（依法须经批准的项目，经相关部门批准后方可开展经营活动）",
        **authority,
    }
    frame = chunk.base(rng, everyone, people.born, people.born + 1)
    return chunk.known(frame.with_columns(pl.Series(name, values) for name, values in own.items()))


def _item_changes(chunk: Chunk) -> pl.DataFrame:
    rng, people = chunk.rng("change"), chunk.people
    rate = np.where(people.kind == INDIVIDUAL, 0.35, 1.0)
    subject, month = chunk.happening(rng, chunk.spec.rates.change, 0.15)
    keep = rng.random(len(subject)) < rate[subject]
    subject, month = subject[keep], month[keep]
    size = len(subject)
    day = chunk.days_in(rng, subject, month)
    item = rng.choice(len(_ITEMS), size=size, p=list(_ITEMS.values()))
    serial = pl.Series(rng.integers(1, 400, size=size)).cast(pl.String)
    capital = people.capital[subject]
    raised = np.round(
        capital * rng.choice([0.3, 0.5, 2.0, 3.0, 5.0], size=size, p=[0.1, 0.15, 0.4, 0.2, 0.15]),
        -4,
    )
    person = representatives(people)[subject]
    after = people.persons[people.size + subject]
    frame = pl.DataFrame(
        {
            "item": texts(list(_ITEMS), item),
            "serial": serial,
            "address": people.address.gather(pl.Series(subject)),
            "place": texts(list(chunk.mix.full_names), people.county[subject]),
            "capital": capital,
            "raised": raised,
            "person": pl.Series(person.tolist(), dtype=pl.String),
            "after": pl.Series(after.tolist(), dtype=pl.String),
        }
    )
    is_item = pl.col("item")
    old = (
        pl.when(is_item == "capital")
        .then(pl.format("{}万元", (pl.col("capital") / 1e4).round(1)))
        .when(is_item == "legal_representative")
        .then("person")
        .when(is_item == "address")
        .then(pl.format("{}振兴路{}号", "place", "serial"))
        .otherwise(pl.lit("原登记事项"))
    )
    new = (
        pl.when(is_item == "capital")
        .then(pl.format("{}万元", (pl.col("raised") / 1e4).round(1)))
        .when(is_item == "legal_representative")
        .then("after")
        .when(is_item == "address")
        .then("address")
        .otherwise(pl.format("变更第{}号备案", "serial"))
    )
    told = frame.select("item", old.alias("old_value"), new.alias("new_value"))
    reported = chunk.clock.working_after(day, np.ones(size, np.int64))
    _, authority = chunk.decided(subject, chunk.department("market"))
    base = chunk.base(rng, subject, day, reported).with_columns(
        pl.Series(name, values) for name, values in authority.items()
    )
    return pl.concat([base, told], how="horizontal")


def _status_changes(chunk: Chunk) -> pl.DataFrame:
    ended = chunk.life.ended
    subject = np.flatnonzero(ended < FAR).astype(np.int64)
    new = texts(list(STATUSES), chunk.life.how[subject])
    return _plain_changes(
        chunk,
        subject,
        ended[subject],
        "status",
        pl.repeat(STATUSES[0], len(subject), eager=True),
        new,
    )


def _name_changes(chunk: Chunk) -> pl.DataFrame:
    day = chunk.renames.day
    subject = np.flatnonzero(day < FAR).astype(np.int64)
    rows = pl.Series(subject)
    return _plain_changes(
        chunk,
        subject,
        day[subject],
        "name",
        chunk.renames.old.gather(rows),
        chunk.people.name.gather(rows),
    )


def _plain_changes(
    chunk: Chunk, subject: Ints, day: Ints, item: str, old: pl.Series, new: pl.Series
) -> pl.DataFrame:
    _, authority = chunk.decided(subject, chunk.department("market"))
    base = chunk.base(chunk.rng(f"change {item}"), subject, day, day + 1)
    return base.with_columns(
        *(pl.Series(name, values) for name, values in authority.items()),
        pl.lit(item).alias("item"),
        old.cast(pl.String).alias("old_value"),
        new.cast(pl.String).alias("new_value"),
    )


def changes(chunk: Chunk) -> pl.DataFrame:
    """Return registered changes: items, names, and the status with which a subject ends."""
    parts = [_item_changes(chunk), _name_changes(chunk), _status_changes(chunk)]
    return chunk.known(pl.concat(parts))


def person_roles(chunk: Chunk, changed: pl.DataFrame) -> pl.DataFrame:
    """Return representatives (with their successors), executives and shareholders."""
    rng, people = chunk.rng("person_role"), chunk.people
    size = people.size
    everyone = np.arange(size, dtype=np.int64)
    successions = changed.filter(pl.col("item") == "legal_representative").unique(
        "_subject", keep="first", maintain_order=True
    )
    left = np.full(size, FAR, np.int64)
    heirs = successions["_subject"].to_numpy()
    left[heirs] = successions["happened_on"].cast(pl.Int64).to_numpy()
    firm = np.flatnonzero(people.kind == ENTERPRISE)
    other = people.persons[2 * size + firm]
    busy = rng.random(firm.size) < 0.08
    shared = representatives(people)[rng.integers(size, size=firm.size)]
    holder = np.where(busy, shared, people.persons[size + firm])
    share = np.round(rng.beta(2.0, 2.0, size=firm.size), 2)
    none = np.full(size, np.nan)
    parts = [
        (
            everyone,
            representatives(people),
            np.where(people.kind == INDIVIDUAL, 4, 0),
            none,
            people.born,
            left,
        ),
        (
            heirs,
            people.persons[size + heirs],
            np.zeros(heirs.size, np.int64),
            none[heirs],
            left[heirs],
            none[heirs] + FAR,
        ),
        (firm, other, np.full(firm.size, 2), none[firm], people.born[firm], none[firm] + FAR),
        (
            firm,
            representatives(people)[firm],
            np.full(firm.size, 3),
            1 - share,
            people.born[firm],
            none[firm] + FAR,
        ),
        (firm, holder, np.full(firm.size, 3), share, people.born[firm], none[firm] + FAR),
        (
            firm[::3],
            other[::3],
            np.full(firm[::3].size, 1),
            none[firm[::3]],
            people.born[firm[::3]],
            none[firm[::3]] + FAR,
        ),
    ]
    subject, person, role, ratio, begin, end = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    end = np.nan_to_num(end, nan=FAR).astype(np.int64)
    names = ["legal_representative", "executive", "supervisor", "shareholder", "operator"]
    frame = chunk.base(rng, subject, begin, begin + 1).with_columns(
        pl.Series("person_id", person.tolist(), dtype=pl.String),
        texts(names, role).alias("role"),
        pl.Series("share_ratio", ratio).fill_nan(None),
        days(np.where(end < FAR, end, 0), none=end >= FAR).alias("ended_on"),
    )
    return chunk.known(frame).unique(
        ["uscc", "person_id", "role", "happened_on"], keep="first", maintain_order=True
    )


def relations(chunk: Chunk) -> pl.DataFrame:
    """Return ties inside the chunk: owners, branches, shell clusters, guarantees, supply."""
    rng, people = chunk.rng("relation"), chunk.people
    firm = np.flatnonzero(people.kind == ENTERPRISE)
    if firm.size < 2:
        firm = np.zeros(0, np.int64)
    parts: list[tuple[Ints, Ints, Ints]] = []
    for kind, share in enumerate((0.06, 0.02, 0.0, 0.0, 0.01, 0.05)):
        held = firm[rng.random(firm.size) < share]
        other = firm[rng.integers(max(firm.size, 1), size=held.size)]
        parts.append((held, other, np.full(held.size, kind)))
    members = np.flatnonzero(people.cluster >= 0)
    hub = np.zeros(int(people.cluster.max()) + 2, np.int64)
    hub[people.cluster[members[::-1]]] = members[::-1]
    centre = hub[people.cluster[members]]
    parts.extend((members, centre, np.full(members.size, kind)) for kind in (2, 3))
    subject, other, kind = (np.concatenate(part) for part in zip(*parts, strict=True))
    apart = subject != other
    subject, other, kind = subject[apart], other[apart], kind[apart]
    begin = np.maximum(people.born[subject], people.born[other]) + rng.integers(
        0, 200, size=len(subject)
    )
    ratio = np.where(kind == 0, np.round(rng.beta(2.0, 2.0, size=len(subject)), 2), np.nan)
    names = ["shareholding", "branch", "address", "contact", "guarantee", "supply"]
    frame = chunk.base(rng, subject, begin, begin + 1).with_columns(
        people.uscc.gather(pl.Series(other)).alias("other_id"),
        texts(names, kind).alias("kind"),
        pl.Series("ratio", ratio).fill_nan(None),
    )
    both = chunk.life.ended[subject] >= begin
    both &= chunk.life.ended[other] >= begin
    return chunk.known(frame.filter(pl.Series(both)))
