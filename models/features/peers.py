"""The peers family: where a subject's figures stand among those of its trade and place.

The percentile of a value is the share of peers below it plus half the share of those equal to it,
so ties are averaged. Peers are the cohort's members of the same industry division and city as of
the date; where fewer than :data:`LEAST` of them have a value, those of the same section and
province; where these are few too, the whole cohort.

Percentiles are read from a table of each group's distribution, made once over the whole population
and kept. The batch reads the very table that it made, so one subject online, given the same table,
gets the same bits. Up to :data:`KNOTS` distinct values a distribution is exact; above that it keeps
so many of them, evenly by rank, and a value between two takes the middle of the ranks around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import ConfigError
from models.features import tables
from models.features.spec import AS_OF, FeatureSpec
from models.features.subject import GROUPS
from models.features.wording import wording
from models.records.contract import Contract
from models.scenarios.scenario import Scenario

LEAST: Final = 30
"""Values that a group has at least, or a wider one is taken."""
KNOTS: Final = 256

_Floats: TypeAlias = NDArray[np.float64]
_Longs: TypeAlias = NDArray[np.int64]

_PREFIX: Final = "peers_"
_DAYS: Final = 365
_LEVELS: Final = 3
_COUNTED: Final = pl.Schema(
    {
        AS_OF: pl.Date(),
        "feature": pl.String(),
        "level": pl.Int8(),
        "group": pl.String(),
        "value": pl.Float64(),
        "len": pl.Int64(),
    }
)
_GROUP: Final = (AS_OF, "feature", "level", "group")


@dataclass(frozen=True, slots=True, eq=False)
class Peers:
    """The distributions of groups: ``below`` and ``upto`` count the values under, and up to, each.

    ``next_below`` is what lies below the next value; ``size`` the group's number of values.
    """

    table: pl.DataFrame
    groups: Mapping[tuple[date, int, str], int]
    lines: Mapping[str, _Lines]

    @classmethod
    def _indexed(cls, table: pl.DataFrame) -> Peers:
        """Return the table with its groups numbered and each feature's lines apart."""
        which = (AS_OF, "level", "group")
        groups = table.select(which).unique().sort(which).with_row_index("_gid")
        numbered = table.join(groups.with_columns(pl.col("_gid").cast(pl.Int64)), on=which)
        lines = {
            str(feature): _Lines.of(part.sort("_gid", "value"), groups.height)
            for (feature,), part in numbered.group_by("feature")
        }
        return cls(table, {row[1:]: row[0] for row in groups.iter_rows()}, lines)

    @classmethod
    def of(cls, counted: Iterable[pl.DataFrame]) -> Peers:
        """Build the table from the counts of all parts of a population (:func:`count`)."""
        whole = pl.concat([_COUNTED.to_frame(), *counted])
        sizes = whole.group_by(_GROUP).agg(pl.col("len").sum().alias("size"))
        large = (pl.col("size") >= LEAST) | (pl.col("level") == _LEVELS - 1)
        groups = sizes.filter(large).sort(_GROUP).with_row_index("_gid")
        lines = whole.join(groups, on=_GROUP).group_by("_gid", "value").agg(pl.col("len").sum())
        place, many = pl.int_range(pl.len()).over("_gid"), pl.len().over("_gid")
        ranked = lines.sort("_gid", "value").with_columns(
            pl.col("len").cum_sum().over("_gid").alias("upto"),
            (place * KNOTS // many).alias("_step"),
            ((place - 1) * KNOTS // many).alias("_before"),
            (place == many - 1).alias("_last"),
        )
        kept = ranked.filter((pl.col("_step") != pl.col("_before")) | pl.col("_last"))
        below = pl.col("upto") - pl.col("len")
        table = groups.join(kept, on="_gid", maintain_order="left_right").select(
            *_GROUP,
            "value",
            below.alias("below"),
            "upto",
            below.shift(-1).over("_gid").fill_null(pl.col("size")).alias("next_below"),
            "size",
        )
        return cls._indexed(table)

    @classmethod
    def load(cls, folder: Path) -> Peers:
        """Read what :meth:`save` wrote."""
        return cls._indexed(pl.read_parquet(folder / "peers.parquet"))

    def save(self, folder: Path) -> None:
        """Write the table as ``peers.parquet``."""
        self.table.write_parquet(folder / "peers.parquet")

    def place(self, base: pl.DataFrame, wanted: tuple[FeatureSpec, ...]) -> pl.DataFrame:
        """Return the columns of ``wanted`` for the rows of ``base``, in their order.

        ``base`` has ``as_of``, the features compared and :data:`GROUPS`. Raises
        :class:`ConfigError` where the table has nothing of a date.
        """
        if not wanted:
            return pl.DataFrame()
        _check_dates(base, self.table)
        gids = self._groups_of(base)
        return pl.DataFrame(
            [
                pl.Series(spec.name, self._percentiles(gids, name, base), nan_to_null=True)
                for spec, name in zip(wanted, _compared(wanted), strict=True)
            ]
        )

    def _groups_of(self, base: pl.DataFrame) -> _Longs:
        """Return the number of each row's group of each level; one beyond all where there is none.

        Rows of one group are found together: there are far fewer groups than rows.
        """
        names = [str(level) for level in range(_LEVELS)]
        rows = base.select(AS_OF, *_group_columns(), pl.int_range(pl.len()).alias("_row"))
        gids = np.empty((_LEVELS, base.height), np.int64)
        for on, *groups, places in rows.group_by(AS_OF, *names).agg("_row").iter_rows():
            for level, group in enumerate(groups):
                gids[level, places] = self.groups.get((on, level, group), len(self.groups))
        return gids

    def _percentiles(self, gids: _Longs, feature: str, base: pl.DataFrame) -> _Floats:
        values = base[feature].to_numpy()
        lines = self.lines.get(feature)
        if lines is None:
            return np.full(len(values), np.nan)
        gid = np.full(len(values), len(self.groups))
        for level in range(_LEVELS):
            fits = (gid == len(self.groups)) & lines.present[gids[level]]
            gid[fits] = gids[level][fits]
        return lines.percentiles(gid, values)


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """One feature's part of the table as arrays, sorted by group and value.

    ``keys`` are group and rank of the value among all ``knots`` in one number, so that one search
    finds a row's place in its own group.
    """

    present: NDArray[np.bool_]
    knots: _Floats
    keys: _Longs
    group: _Longs
    value: _Floats
    twice_equal: _Longs
    twice_between: _Longs
    size: _Longs

    @classmethod
    def of(cls, table: pl.DataFrame, groups: int) -> _Lines:
        group, value = table["_gid"].to_numpy(), table["value"].to_numpy()
        knots = np.unique(value)
        present = np.zeros(groups + 1, np.bool_)
        present[group] = True
        keys = group * (len(knots) + 1) + np.searchsorted(knots, value, side="right")
        below, upto, following = (table[n].to_numpy() for n in ("below", "upto", "next_below"))
        size = table["size"].to_numpy()
        return cls(present, knots, keys, group, value, below + upto, upto + following, size)

    def percentiles(self, group: _Longs, values: _Floats) -> _Floats:
        """Return the share below plus half of those equal; between two values, the middle rank."""
        rank = np.searchsorted(self.knots, values, side="right")
        found = np.searchsorted(self.keys, group * (len(self.knots) + 1) + rank, side="right") - 1
        at = np.maximum(found, 0)
        inside = (found >= 0) & (self.group[at] == group)
        twice = np.where(self.value[at] == values, self.twice_equal[at], self.twice_between[at])
        shares = np.where(inside, twice / (2 * self.size[at]), 0.0)
        return np.where(np.isnan(values) | ~self.present[group], np.nan, shares)


def specs(scenario: Scenario, contracts: Mapping[str, Contract]) -> tuple[FeatureSpec, ...]:
    """Return the percentiles: of each table's count and sums over 365 days, or the longest window.

    There are none where the scenario makes no window features.
    """
    declared = scenario.features
    if "window" not in declared.families:
        return ()
    days = [window.days for window in declared.windows]
    window = _DAYS if _DAYS in days else days[-1]
    words = wording()
    return tuple(
        FeatureSpec(
            name=f"{_PREFIX}{spec.name}",
            title=(phrase := words.peers.said(title=spec.title)).title,
            unit=phrase.unit,
            family="peers",
            dtype="number",
            monotone=spec.monotone,
            reason=phrase.reason,
            table=spec.table,
            window=window,
            stat=spec.stat,
            column=spec.column,
        )
        for spec in tables.specs(scenario, contracts)
        if spec.window == window and spec.stat in {"count", "sum"} and spec.level is None
    )


def count(base: pl.DataFrame, wanted: tuple[FeatureSpec, ...]) -> pl.DataFrame:
    """Return how many members of each group have each value: a part of a population's counts."""
    if not wanted:
        return _COUNTED.to_frame()
    long = _long(base.select(AS_OF, *_group_columns(), *_compared(wanted)), wanted)
    counted = long.group_by(*_GROUP, "value").len().cast({"len": pl.Int64})
    return counted.select(_COUNTED.names()).match_to_schema(_COUNTED)


def _compared(wanted: tuple[FeatureSpec, ...]) -> list[str]:
    return [spec.name.removeprefix(_PREFIX) for spec in wanted]


def _group_columns() -> list[pl.Expr]:
    """Return the three groups of a row, the narrowest first; null where it has none."""
    division, section, city, province = (pl.col(name) for name in GROUPS)
    return [
        (division + "|" + city).alias("0"),
        (section + "|" + province).alias("1"),
        pl.lit("").alias("2"),
    ]


def _long(frame: pl.DataFrame, wanted: tuple[FeatureSpec, ...]) -> pl.DataFrame:
    """Return a line for each row, feature that is not null, and group."""
    names = [str(level) for level in range(_LEVELS)]
    by_feature = frame.unpivot(
        _compared(wanted),
        index=[AS_OF, *names],
        variable_name="feature",
        value_name="value",
    ).drop_nulls("value")
    return (
        by_feature.unpivot(
            names,
            index=[AS_OF, "feature", "value"],
            variable_name="level",
            value_name="group",
        )
        .drop_nulls("group")
        .with_columns(pl.col("level").cast(pl.Int8))
    )


def _check_dates(base: pl.DataFrame, table: pl.DataFrame) -> None:
    there = table[AS_OF].unique().to_list()
    lacking = sorted(set(base[AS_OF].unique().to_list()) - set(there))
    if lacking and there:
        raise ConfigError(
            f"the reference has no distribution as of {lacking[0]}; it has "
            f"{', '.join(map(str, sorted(there)))}: build a reference for that date"
        )
