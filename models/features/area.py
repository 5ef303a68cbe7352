"""The area family: how checks of those alike have turned out, the subject itself left out.

For each table of checks and each group of a subject (everybody; its region, industry or kind of
business; a region and one of these; see :mod:`.outcomes`): the share that failed in each window,
and whether checks have become more frequent. A group of few checks tells little, so a share is
drawn towards that of everybody over a year as if :data:`WEIGHT` checks with that share were added.
The subject's own share over the longest window is drawn towards its narrowest group likewise.

A subject without a group (no unified code, no name, not in the register) has nulls there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.features.digest import Keys, keyed
from models.features.interval import day_number
from models.features.outcomes import (
    LEVELS,
    TABLES,
    Days,
    Outcomes,
    group_exprs,
    own_keys,
    spans_of,
)
from models.features.spec import SUBJECT, FeatureSpec, empty
from models.features.wording import Phrase, wording
from models.records.contract import Contract
from models.records.reading import Records
from models.scenarios.scenario import Scenario

WEIGHT: Final = 20.0
"""Checks with the share of everybody that are added to those of a group."""
OWN_WEIGHT: Final = 10.0
"""Checks with the share of its group that are added to a subject's own."""

RECENT: Final = (7, 14)
"""Windows of trades beside those of the scenario: a campaign goes through one in a week or two."""
_TRADES: Final = ("industry", "kind")
_BASE: Final = 365
"""Days over which the share of everybody is taken, where the scenario has such a window."""
_TREND: Final = (30, 365)
_TREND_LEVELS: Final = ("region", "industry", "kind")
_PREFIX: Final = "area_"

_Floats: TypeAlias = NDArray[np.float64]


def specs(scenario: Scenario, contracts: Mapping[str, Contract]) -> tuple[FeatureSpec, ...]:
    """Return the features of the family: of each table of checks that the scenario looks at."""
    windows = _windows(scenario)
    return tuple(
        FeatureSpec(
            name=name,
            title=phrase.title,
            unit=phrase.unit,
            family="area",
            dtype="number",
            monotone=wording().hint(name),
            reason=phrase.reason,
            table=None,
            window=days,
        )
        for table in TABLES
        if table in scenario.features.tables and table in contracts
        for name, days, phrase in _said(table, contracts[table].title, windows)
    )


def build(
    outcomes: Outcomes,
    records: Records,
    scenario: Scenario,
    *,
    base: pl.DataFrame,
    dates: Sequence[date],
) -> pl.DataFrame:
    """Return every feature of the family for the rows of ``base``, by date and then subject.

    ``base`` has ``subject_id`` and the groups ``_region``, ``_kind`` and ``_division``; it repeats
    the same subjects for each of ``dates``.
    """
    windows = _windows(scenario)
    wanted = [table for table in TABLES if table in scenario.features.tables]
    many = base.height // max(len(dates), 1)
    subjects = base[SUBJECT].slice(0, many)
    days = np.repeat(np.array([day_number(on) for on in dates], np.int64), many)
    own = Outcomes.of([spans_of(records, own=subjects)])
    ids = np.tile(keyed(subjects).to_numpy(), len(dates))
    made: dict[str, _Floats] = {}
    for table in wanted:
        alike = _Alike(outcomes, own, ids, days, _groups(base, table), windows)
        made |= _made(table, alike) if table in records.tables() else {}
    columns = [pl.Series(name, values, nan_to_null=True) for name, values in made.items()]
    return pl.DataFrame(columns)


def lacking(made: pl.DataFrame, wanted: tuple[FeatureSpec, ...], rows: int) -> pl.DataFrame:
    """Return the columns of ``wanted``, null where nothing was made of a table."""
    nothing = empty(tuple(spec for spec in wanted if spec.name not in made.columns), rows)
    whole = {c.name: c for part in (made, nothing) for c in part.iter_columns()}
    return pl.DataFrame([whole[spec.name] for spec in wanted])


@dataclass(frozen=True, slots=True, eq=False)
class _Alike:
    """Rows and their groups, and the checks and failures in these, with and without their own."""

    outcomes: Outcomes
    own: Outcomes
    ids: Keys
    days: Days
    groups: Mapping[str, tuple[Keys, NDArray[np.bool_]]]
    windows: tuple[int, ...]

    def others(self, level: str, window: int) -> tuple[_Floats, _Floats]:
        """Return checks and failures of the others in a group; NaN for rows without one."""
        keys, there = self.groups[level]
        checks, failed = self.outcomes.counts(keys, self.days, window)
        mine = self.own.counts(own_keys(self.ids, keys), self.days, window)
        # a record newer than the population's figures is in the subject's own alone
        fewer, fewer_failed = np.maximum(checks - mine[0], 0), np.maximum(failed - mine[1], 0)
        return np.where(there, fewer, np.nan), np.where(there, fewer_failed, np.nan)

    def mine(self, window: int) -> tuple[_Floats, _Floats]:
        """Return the subject's own checks and failures."""
        keys, _ = self.groups["all"]
        checks, failed = self.own.counts(own_keys(self.ids, keys), self.days, window)
        return checks.astype(np.float64), failed.astype(np.float64)


def _groups(base: pl.DataFrame, table: str) -> dict[str, tuple[Keys, NDArray[np.bool_]]]:
    named = base.select(*group_exprs(table, industry="_division"))
    return {
        level: (
            keyed(named[level]).fill_null(0).to_numpy(),
            named[level].is_not_null().to_numpy(),
        )
        for level in LEVELS
    }


def _made(table: str, alike: _Alike) -> dict[str, _Floats]:
    """Return every feature of a table, by name."""
    window = _BASE if _BASE in alike.windows else alike.windows[-1]
    checks, failed = alike.others("all", window)
    everybody = _divided(failed, checks)
    made: dict[str, _Floats] = {}
    nearest = everybody
    for level in LEVELS:
        for days in _of_level(level, alike.windows):
            checks, failed = alike.others(level, days)
            drawn = (failed + WEIGHT * everybody) / (checks + WEIGHT)
            share = _divided(failed, checks) if level == "all" else drawn
            made[_share(table, level, days)] = share
            if days == window:
                nearest = np.where(np.isnan(share), nearest, share)
        if level in _TREND_LEVELS and (pair := _trend(alike.windows)):
            made[_trend_name(table, level, pair)] = _faster(alike, level, pair)
    checks, failed = alike.mine(alike.windows[-1])
    own = (failed + OWN_WEIGHT * nearest) / (checks + OWN_WEIGHT)
    made[_own(table, alike.windows[-1])] = own
    return made


def _windows(scenario: Scenario) -> tuple[int, ...]:
    return tuple(window.days for window in scenario.features.windows)


def _of_level(level: str, windows: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({*windows, *RECENT})) if level in _TRADES else windows


def _faster(alike: _Alike, level: str, pair: tuple[int, int]) -> _Floats:
    """Return how the rate of checks in the short window compares with that in the long one."""
    short, long = (alike.others(level, days)[0] for days in pair)
    return _divided(short * pair[1], long * pair[0])


def _divided(part: _Floats, whole: _Floats) -> _Floats:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _trend(windows: tuple[int, ...]) -> tuple[int, int] | None:
    short, long = (
        days if days in windows else windows[end] for days, end in zip(_TREND, (0, -1), strict=True)
    )
    return (short, long) if short < long else None


def _share(table: str, level: str, days: int) -> str:
    return f"{_PREFIX}{table}_{level}_fail_share_{days}d"


def _trend_name(table: str, level: str, pair: tuple[int, int]) -> str:
    return f"{_PREFIX}{table}_{level}_trend_{pair[0]}d_{pair[1]}d"


def _own(table: str, days: int) -> str:
    return f"{_PREFIX}{table}_own_fail_share_{days}d"


def _said(table: str, title: str, windows: tuple[int, ...]) -> list[tuple[str, int, Phrase]]:
    """Return name, window and words of each feature of a table, in order."""
    words = wording()
    said: list[tuple[str, int, Phrase]] = []
    for level in LEVELS:
        group = words.area_groups[level]
        for days in _of_level(level, windows):
            phrase = words.area["share"].said(table=title, group=group, days=days)
            said.append((_share(table, level, days), days, phrase))
        if level in _TREND_LEVELS and (pair := _trend(windows)):
            phrase = words.area["trend"].said(table=title, group=group, days=pair[0], over=pair[1])
            said.append((_trend_name(table, level, pair), pair[1], phrase))
    last = windows[-1]
    said.append((_own(table, last), last, words.area["own"].said(table=title, days=last)))
    return said
