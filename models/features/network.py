"""Who is tied to whom, and who is flagged when: the whole lake in a few narrow columns.

Every tie and every flag is a span of days ``[since, until)`` in which it is known and holds, so
one network serves every date of view. Subjects, persons and addresses are 64-bit digests (BLAKE2b):
no name or number stands in it. Times follow the counting rule (:mod:`models.records.countable`); a
role or relation holds until it ended, was voided or, at an address, the subject closed (注销).

* ``members``: a subject belongs to a node, which is a person or an address;
* ``pairs``: two subjects are tied directly, seen from either;
* ``flags``: a countable penalty or a failed inspection within 365 days, or an active listing;
* ``outcomes``: results of checks by group (:mod:`.outcomes`), of nobody in particular.

An address is that of the register, as it stands now; see :mod:`models.scenarios.cohort`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.codes.columns import half_width_expr
from models.errors import ConfigError
from models.features.digest import Keys, keyed
from models.features.interval import ALWAYS, NEVER, Counting, array, day_number
from models.features.outcomes import Outcomes, spans_of
from models.features.spec import SUBJECT
from models.records.publicity import Purpose
from models.records.reading import Records

VIAS: Final = ("person", "address", "shareholding", "trade")
"""Kinds of tie, by place."""
FLAGS: Final = ("penalty", "listing", "inspection")
"""Kinds of flag, by place; each is the table it comes from."""
FLAG_DAYS: Final = 365

BY_KIND: Final[Mapping[str, int]] = {
    "shareholding": 2,
    "branch": 2,
    "successor": 2,
    "address": 1,
    "contact": 1,
    "guarantee": 3,
    "supply": 3,
}
"""Kind of relation → place of its kind of tie."""
_SOURCES: Final = ("person_role", "subject", "relation")
_SHORTEST: Final = 6
"""Characters that a normalised address has at least: a bare 沈阳市 or 不详 ties nobody."""
_SPAN: Final = {"since": pl.Int32(), "until": pl.Int32()}
_MEMBERS: Final = {"node": pl.UInt64(), "subject": pl.UInt64(), "via": pl.UInt8(), **_SPAN}
_PAIRS: Final = {"subject": pl.UInt64(), "other": pl.UInt64(), "via": pl.UInt8(), **_SPAN}
_FLAGS: Final = {"subject": pl.UInt64(), "flag": pl.UInt8(), **_SPAN}
_FRAMES: Final = ("members", "pairs", "flags")


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Ties and flags of all subjects; ``tables`` are those there were to make it of.

    ``members`` is sorted by node and subject, ``belongs`` (subject, node) by subject, ``pairs`` and
    ``flags`` by subject, so that what lies around a few subjects is found without a scan.
    """

    tables: frozenset[str]
    members: pl.DataFrame
    belongs: pl.DataFrame
    pairs: pl.DataFrame
    flags: pl.DataFrame
    outcomes: Outcomes

    @classmethod
    def of(
        cls,
        parts: Iterable[Records],
        *,
        advance: Callable[[int], None] | None = None,
        outcomes: bool = True,
    ) -> Network:
        """Build the network of a lake from its buckets, or of any records.

        ``outcomes``: whether the results of checks are counted by group, which only the area family
        needs.
        """
        tables: set[str] = set()
        found: dict[str, list[pl.DataFrame]] = {name: [] for name in _FRAMES}
        counted: list[pl.DataFrame] = []
        for part in parts:
            tables |= {*part.tables()}.intersection((*_SOURCES, *FLAGS))
            for name, frame in zip(
                _FRAMES, (_members(part), _pairs(part), _flags(part)), strict=True
            ):
                found[name].append(frame)
            if outcomes:
                counted.append(spans_of(part))
            if advance is not None:
                advance(1)
        schemas = (_MEMBERS, _PAIRS, _FLAGS)
        return cls._sorted(
            frozenset(tables),
            *(
                pl.concat([pl.DataFrame(schema=schema), *found[name]])
                for name, schema in zip(_FRAMES, schemas, strict=True)
            ),
            outcomes=Outcomes.of(counted),
        )

    @classmethod
    def _sorted(
        cls,
        tables: frozenset[str],
        members: pl.DataFrame,
        pairs: pl.DataFrame,
        flags: pl.DataFrame,
        *,
        outcomes: Outcomes,
    ) -> Network:
        return cls(
            tables,
            members.sort("node", "subject", "via", "since", "until"),
            members.select("subject", "node").unique().sort("subject", "node"),
            pairs.sort("subject", "other", "via", "since", "until"),
            flags.sort("subject", "flag", "since", "until"),
            outcomes,
        )

    @classmethod
    def load(cls, folder: Path, tables: Iterable[str]) -> Network:
        """Read what :meth:`save` wrote."""
        frames = [pl.read_parquet(folder / f"{name}.parquet") for name in _FRAMES]
        return cls._sorted(frozenset(tables), *frames, outcomes=Outcomes.load(folder))

    def save(self, folder: Path) -> None:
        """Write the network as Parquet files; ``tables`` are for the caller to keep."""
        for name, frame in zip(_FRAMES, (self.members, self.pairs, self.flags), strict=True):
            frame.write_parquet(folder / f"{name}.parquet")
        self.outcomes.save(folder)

    def nodes_of(self, subjects: Keys) -> Keys:
        """Return the nodes that these subjects belong to at any time, ascending."""
        found = _rows(self.belongs, "subject", subjects)
        return np.unique(self.belongs["node"].to_numpy()[found])

    def members_of(self, nodes: Keys, on: date) -> dict[str, NDArray[np.generic]]:
        """Return ``node``, ``subject``, ``via`` of the members as of a date, by node."""
        return _held(
            self.members, _rows(self.members, "node", nodes), on, ("node", "subject", "via")
        )

    def pairs_of(self, subjects: Keys, on: date) -> dict[str, NDArray[np.generic]]:
        """Return ``subject``, ``other``, ``via`` of direct ties as of a date, in this order."""
        rows = _rows(self.pairs, "subject", subjects)
        return _held(self.pairs, rows, on, ("subject", "other", "via"))

    def flags_of(self, subjects: Keys, on: date) -> NDArray[np.uint8]:
        """Return for each of these subjects the flags as of a date: bit ``n`` for the nth."""
        wanted = np.unique(subjects)
        held = _held(self.flags, _rows(self.flags, "subject", wanted), on, ("subject", "flag"))
        bits = np.zeros(len(wanted), np.uint8)
        places = np.searchsorted(wanted, held["subject"])
        np.bitwise_or.at(bits, places, np.left_shift(np.uint8(1), held["flag"].astype(np.uint8)))
        return bits[np.searchsorted(wanted, subjects)]


def _rows(frame: pl.DataFrame, column: str, keys: Keys) -> NDArray[np.int64]:
    """Return the places of the rows with one of ``keys`` in the column ``frame`` is sorted by."""
    values = frame[column].to_numpy()
    wanted = np.unique(keys)
    starts = np.searchsorted(values, wanted, side="left")
    return spread(starts, np.searchsorted(values, wanted, side="right") - starts)


def spread(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of all ranges that begin at ``starts``, one range after another."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def _held(
    frame: pl.DataFrame, rows: NDArray[np.int64], on: date, columns: tuple[str, ...]
) -> dict[str, NDArray[np.generic]]:
    """Return columns of those rows that hold as of a date, without repeats.

    ``frame`` is sorted by ``columns``, so that equal rows lie side by side.
    """
    day = day_number(on)
    holds = (frame["since"].to_numpy()[rows] <= day) & (frame["until"].to_numpy()[rows] > day)
    held = {name: frame[name].to_numpy()[rows[holds]] for name in columns}
    again = np.ones(int(holds.sum()), np.bool_)
    if len(again):
        again[0] = False
    for values in held.values():
        again[1:] &= values[1:] == values[:-1]
    return {name: values[~again] for name, values in held.items()}


def _frame(records: Records, table: str, columns: Iterable[str]) -> pl.DataFrame | None:
    """Read the columns that the table has; null where there is no such table."""
    if table not in records.tables():
        return None
    there = records.columns(table)
    return records.frame(table, [name for name in columns if name in there]).collect()


def _known_on() -> pl.Expr:
    local = pl.col("known_at").dt.convert_time_zone("Asia/Shanghai")
    return local.dt.date().to_physical()


def _span(frame: pl.DataFrame, ends: str | None, *, always: bool = False) -> pl.DataFrame:
    """Add ``since`` and ``until`` to rows: after it happened and was known, until it ended.

    ``always``: a row without a day of its own holds since it was known.
    """
    ended = [name for name in ("void_from", ends) if name in frame.columns]
    until = pl.min_horizontal([pl.col(name).to_physical() for name in ended]).fill_null(ALWAYS)
    annulled = pl.col("void_reason") == "annulled"
    begun = pl.col("happened_on").to_physical() + 1
    return frame.with_columns(
        pl.max_horizontal(begun.fill_null(NEVER) if always else begun, _known_on()).alias("since"),
        pl.when(annulled).then(NEVER).otherwise(until).cast(pl.Int32).alias("until"),
    ).filter(
        pl.col("known_at").is_not_null(),
        pl.lit(always) | pl.col("happened_on").is_not_null(),
        pl.col("until") > pl.col("since"),
    )


_TIMES: Final = (SUBJECT, "happened_on", "known_at", "void_from", "void_reason")


def _members(records: Records) -> pl.DataFrame:
    parts = [pl.DataFrame(schema=_MEMBERS)]
    roles = _frame(records, "person_role", [*_TIMES, "ended_on", "person_id"])
    if roles is not None:
        held = _span(roles.filter(pl.col("person_id").is_not_null()), "ended_on")
        parts.append(_belonging(held, held["person_id"], "person"))
    register = _frame(records, "subject", [*_TIMES, "closed_on", "address"])
    if register is not None and "address" in register.columns:
        placed = register.with_columns(plain_address().alias("address"))
        placed = _span(placed.filter(pl.col("address").is_not_null()), "closed_on", always=True)
        parts.append(_belonging(placed, placed["address"], "address"))
    return pl.concat(parts)


def _belonging(frame: pl.DataFrame, node: pl.Series, via: str) -> pl.DataFrame:
    return frame.select(
        keyed(node, f"{via}:").alias("node"),
        keyed(frame[SUBJECT]).alias("subject"),
        pl.lit(VIAS.index(via), pl.UInt8).alias("via"),
        "since",
        "until",
    )


def plain_address() -> pl.Expr:
    """Return the address without width, case, blanks and punctuation; null where it says little."""
    plain = half_width_expr("address").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", "")
    return pl.when(plain.str.len_chars() >= _SHORTEST).then(plain)


def _pairs(records: Records) -> pl.DataFrame:
    relations = _frame(records, "relation", [*_TIMES, "ended_on", "other_id", "kind"])
    if relations is None:
        return pl.DataFrame(schema=_PAIRS)
    held = _span(relations, "ended_on")
    via = pl.col("kind").replace_strict(BY_KIND, default=None, return_dtype=pl.UInt8)
    one = held.select(
        keyed(held[SUBJECT]).alias("subject"),
        keyed(held["other_id"]).alias("other"),
        via.alias("via"),
        "since",
        "until",
    ).filter(pl.col("via").is_not_null(), pl.col("subject") != pl.col("other"))
    back = one.select(
        pl.col("other").alias("subject"), pl.col("subject").alias("other"), "via", "since", "until"
    )
    return pl.concat([one, back])


def _flags(records: Records) -> pl.DataFrame:
    bad = {
        "penalty": pl.lit(value=True),
        "listing": pl.col("kind") != "honour",
        "inspection": pl.col("result") == "fail",
    }
    parts = [pl.DataFrame(schema=_FLAGS)]
    for place, table in enumerate(FLAGS):
        if table in records.tables():
            parts.append(_flags_of(records, table, bad[table], place))
    return pl.concat(parts)


def _flags_of(records: Records, table: str, bad: pl.Expr, place: int) -> pl.DataFrame:
    columns = records.columns(table)
    counting = Counting.of(columns, purpose=Purpose.RISK_CLASS)
    if not counting.exact:
        raise ConfigError(
            "relation features need a rule book by document date whose risk class ends with "
            "publicity; leave the family 'relation' out of the scenario"
        )
    rows = records.frame(table).filter(bad)
    needed = {name for e in counting.expressions for name in e.meta.root_names()}
    rows = rows.select(SUBJECT, *sorted(needed.union({"known_at"}).difference({SUBJECT}))).collect()
    selected = rows.select(*counting.expressions)
    _, until = counting.times(selected)
    day = pl.Series(array(selected, "_day", np.int32))
    ends = pl.Series(until)
    within = (
        day + (FLAG_DAYS + 1)
        if table != "listing"
        else pl.repeat(ALWAYS, len(day), dtype=pl.Int32, eager=True)
    )
    spans = pl.DataFrame(
        {
            "subject": keyed(rows[SUBJECT]),
            "day": day,
            "known": rows.select(_known_on()).to_series(),
            "ends": ends,
            "within": within,
        }
    )
    return spans.select(
        "subject",
        pl.lit(place, pl.UInt8).alias("flag"),
        pl.max_horizontal(pl.col("day") + 1, "known").cast(pl.Int32).alias("since"),
        pl.min_horizontal("ends", "within").cast(pl.Int32).alias("until"),
    ).filter(pl.col("until") > pl.col("since"), spans["known"].is_not_null())
