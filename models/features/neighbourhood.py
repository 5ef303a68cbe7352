"""Evidence of the relation family: by which rows neighbours are tied, and what flags them.

Whom a feature counts is asked of :mod:`.relation` itself, so that evidence and value agree. The
network holds digests only; the rows that tie subjects tell whose digests they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

import polars as pl

from models.features import relation
from models.features.digest import keyed
from models.features.network import (
    BY_KIND,
    FLAG_DAYS,
    FLAGS,
    VIAS,
    Network,
    plain_address,
)
from models.features.spec import AS_OF, SUBJECT
from models.records.countable import DTYPES
from models.records.publicity import VoidReason
from models.records.reading import Records
from models.scenarios.known import counting
from models.time import AsOf

_KINDS: Final = {kind: VIAS[place] for kind, place in BY_KIND.items()}
_TIES: Final = pl.Schema(
    {
        "one": pl.String(),
        "neighbour": pl.String(),
        "via": pl.String(),
        "table": pl.String(),
        "record_id": pl.String(),
        "happened_on": pl.Date(),
    }
)
_counts: Final = lru_cache(maxsize=256)(counting)
_CITED: Final = ("feature", "neighbour", "table", "record_id", "happened_on")
_TIMES: Final = ("record_id", SUBJECT, "happened_on", "known_at", "void_from", "void_reason")


def evidence(
    around: Records,
    asked: Mapping[str, Sequence[str]],
    on: date,
    *,
    network: Network | None = None,
) -> pl.LazyFrame:
    """Return the records behind relation features as of one date.

    ``asked``: the subjects of each feature. ``around``: records of everybody. Columns:
    ``subject_id``, ``as_of``, ``feature``, ``neighbour``, ``table``, ``record_id``,
    ``happened_on``; a record that several neighbours share has a line for each of them.
    """
    network = network or Network.of([around])
    subjects = pl.Series(SUBJECT, sorted({s for some in asked.values() for s in some}))
    whom = _whom(network, asked, on)
    ties = _ties(around, subjects, on)
    if any("_second_" in name for name in asked):
        beyond = _ties(around, ties["neighbour"].unique(), on)
        steps = ties.select("one", pl.col("neighbour").alias("middle")).unique()
        far = beyond.rename({"one": "middle"}).join(steps, on="middle")
        far = far.with_columns(pl.lit("second").alias("via")).select(_TIES.names())
        ties = pl.concat([ties, far])
    whose = ties.select("neighbour").unique()
    whose = whose.with_columns(keyed(whose["neighbour"]).alias("key"))
    whom = whom.join(whose, on="key")
    flags = _flags(around, whom["neighbour"].unique(), on)
    found = pl.concat([_tied(whom, ties), _flagged(whom, flags)]).unique()
    return found.lazy().select(
        pl.col("one").alias(SUBJECT), pl.lit(on, pl.Date()).alias(AS_OF), *_CITED
    )


def _whom(network: Network, asked: Mapping[str, Sequence[str]], on: date) -> pl.DataFrame:
    """Return ``one``, ``feature`` and ``key``: the digest of everybody whom it counts."""
    features: dict[str, list[str]] = {}
    for feature, subjects in asked.items():
        for subject in subjects:
            features.setdefault(subject, []).append(feature)
    parts = [pl.DataFrame(schema={"one": pl.String, "feature": pl.String, "key": pl.UInt64})]
    for subject, names in features.items():
        hops = any("_second_" in name for name in names)
        counted = relation.neighbours(network, subject, on, hops=hops)
        parts += [
            pl.select(pl.lit(subject).alias("one"), pl.lit(name).alias("feature")).join(
                pl.DataFrame({"key": pl.Series(counted[name], dtype=pl.UInt64)}), how="cross"
            )
            for name in names
            if name in counted
        ]
    return pl.concat(parts)


def _tied(whom: pl.DataFrame, ties: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that tie each neighbour in the way its feature asks for."""
    told = pl.col("feature").str.extract(r"^relation_(person|address|shareholding|trade|second)_")
    joined = whom.with_columns(told.alias("_via")).join(ties, on=["one", "neighbour"])
    fits = pl.col("via") == pl.coalesce("_via", "via")
    direct = (pl.col("via") != "second") | (pl.col("_via") == "second")
    return joined.filter(fits, direct).select("one", *_CITED)


def _flagged(whom: pl.DataFrame, flags: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that flag each neighbour, where the feature asks for flags."""
    told = pl.col("feature").str.extract(rf"^relation_({'|'.join(FLAGS)})_count$")
    asks = told.is_not_null() | pl.col("feature").str.contains("_flagged_")
    joined = whom.filter(asks).with_columns(told.alias("_flag")).join(flags, on="neighbour")
    return joined.filter(pl.col("table") == pl.coalesce("_flag", "table")).select("one", *_CITED)


def _ties(around: Records, ones: pl.Series, on: date) -> pl.DataFrame:
    """Return the rows that tie these subjects (``one``) to others as of a date."""
    parts = [_TIES.to_frame(), *_direct(around, ones, on), *_by_person(around, ones, on)]
    parts += _by_address(around, ones, on)
    return pl.concat(parts).filter(pl.col("one") != pl.col("neighbour"))


def _direct(around: Records, ones: pl.Series, on: date) -> list[pl.DataFrame]:
    rows = _rows(around, "relation", ["other_id", "kind"], on)
    if rows is None:
        return []
    mine = pl.col(SUBJECT).is_in(ones.implode())
    theirs = pl.col("other_id").is_in(ones.implode())
    kept = rows.filter(mine | theirs).collect()
    via = pl.col("kind").replace_strict(_KINDS, default=None, return_dtype=pl.String)
    return [
        kept.filter(chosen).select(
            pl.col(one).alias("one"),
            pl.col(other).alias("neighbour"),
            via.alias("via"),
            pl.lit("relation").alias("table"),
            "record_id",
            "happened_on",
        )
        for chosen, one, other in ((mine, SUBJECT, "other_id"), (theirs, "other_id", SUBJECT))
    ]


def _by_person(around: Records, ones: pl.Series, on: date) -> list[pl.DataFrame]:
    rows = _rows(around, "person_role", ["person_id"], on)
    if rows is None:
        return []
    rows = rows.filter(pl.col("person_id").is_not_null())
    persons = rows.filter(pl.col(SUBJECT).is_in(ones.implode())).select("person_id").unique()
    among = rows.join(persons, on="person_id", how="semi").collect()
    return _sharing(among, ones, "person_id", via="person", table="person_role")


def _by_address(around: Records, ones: pl.Series, on: date) -> list[pl.DataFrame]:
    rows = _rows(around, "subject", ["address"], on)
    if rows is None:
        return []
    placed = rows.with_columns(plain_address().alias("address"))
    placed = placed.filter(pl.col("address").is_not_null())
    places = placed.filter(pl.col(SUBJECT).is_in(ones.implode())).select("address").unique()
    among = placed.join(places, on="address", how="semi").collect()
    return _sharing(among, ones, "address", via="address", table="subject")


def _sharing(
    among: pl.DataFrame, ones: pl.Series, node: str, *, via: str, table: str
) -> list[pl.DataFrame]:
    """Return the rows of both sides that share a node: a person or an address."""
    own = among.filter(pl.col(SUBJECT).is_in(ones.implode()))
    both = own.join(among, on=node, suffix="_other")
    return [
        both.select(
            pl.col(SUBJECT).alias("one"),
            pl.col(f"{SUBJECT}_other").alias("neighbour"),
            pl.lit(via).alias("via"),
            pl.lit(table).alias("table"),
            pl.col(f"record_id{side}").alias("record_id"),
            pl.col(f"happened_on{side}").alias("happened_on"),
        )
        for side in ("", "_other")
    ]


def _rows(around: Records, table: str, also: Sequence[str], on: date) -> pl.LazyFrame | None:
    """Return the rows of a table of ties that hold as of a date; null where they are not there."""
    if table not in around.tables():
        return None
    there = around.columns(table)
    if not set(also) <= set(there):
        return None
    ends = [name for name in ("void_from", "ended_on", "closed_on") if name in there]
    columns = list(dict.fromkeys([*(n for n in _TIMES if n in there), *ends, *also]))
    begun = pl.col("happened_on") < on
    return (
        around.frame(table, columns)
        .filter(
            pl.col("known_at") < AsOf(on).known_before,
            begun.fill_null(value=True) if table == "subject" else begun,
            pl.col("void_reason").ne_missing(VoidReason.ANNULLED.value)
            if "void_reason" in there
            else pl.lit(value=True),
            *((pl.col(end) > on).fill_null(value=True) for end in ends),
        )
        .select("record_id", SUBJECT, "happened_on", *also)
    )


def _flags(around: Records, neighbours: pl.Series, on: date) -> pl.DataFrame:
    """Return the rows that flag these neighbours as of a date."""
    since = on - timedelta(days=FLAG_DAYS)
    bad = {
        "penalty": pl.col("happened_on") >= since,
        "listing": pl.col("kind") != "honour",
        "inspection": (pl.col("result") == "fail") & (pl.col("happened_on") >= since),
    }
    parts: list[pl.DataFrame] = []
    for table in FLAGS:
        if table not in around.tables():
            continue
        columns = around.columns(table)
        kept = list(dict.fromkeys([*_TIMES[:3], "result", "kind", *DTYPES]))
        rows = around.frame(table, [name for name in kept if name in columns])
        parts.append(
            rows.filter(
                pl.col(SUBJECT).is_in(neighbours.implode()),
                _counts(AsOf(on), frozenset(columns)),
                pl.col("happened_on") < on,
                bad[table],
            )
            .select(
                pl.col(SUBJECT).alias("neighbour"),
                pl.lit(table).alias("table"),
                "record_id",
                "happened_on",
            )
            .collect()
        )
    empty = pl.DataFrame(schema={name: _TIES[name] for name in _CITED[1:]})
    return pl.concat([empty, *parts])
