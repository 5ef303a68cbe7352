"""Explaining: what of a probability comes from where, in words, with the records behind it.

Contributions are those of LightGBM itself, in log-odds before calibration, which keeps their order;
they equal ``shap.TreeExplainer``'s and add up to the raw score. Features that tell the same over
nested windows are one reason: its contributions add up, and the member that weighs most in the
group's direction gives the sentence and the records. So are groups that come to the same sentence.
Protected features (:mod:`.protected`) are
never worded: they stand in the total of their family alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from itertools import groupby
from typing import Final

import numpy as np
import polars as pl

from models.errors import ConfigError
from models.features.evidence import Cited, cited, evidence
from models.features.network import Network
from models.features.spec import AS_OF, KEYS, SUBJECT, FeatureSpec
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.reading import Records
from models.risk.bundle import Bundle
from models.risk.encode import FloatArray
from models.risk.protected import protected
from models.risk.wording import Titles, Value, said, titles_of, words

TOP: Final = 8
_WINDOW: Final = re.compile(r"_\d+d(?=_|$)")
_LEAST: Final = 1e-12
"""Log-odds below which a group says nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """A feature of a reason: its value (null: none) and what it adds to the log-odds."""

    feature: str
    title: str
    value: Value
    contribution: float


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason in words; ``contribution`` in log-odds, above 0 where it raises the risk.

    ``parts`` are the features it is made of, the one put into words first. ``evidence`` are the
    records behind that one, newest first; null where they were not looked up.
    """

    text: str
    family: str
    contribution: float
    parts: tuple[Part, ...]
    evidence: tuple[Cited, ...] | None = None


@dataclass(frozen=True, slots=True)
class FamilyTotal:
    """What a family of features adds to the log-odds; ``other`` of it is never put into words."""

    family: str
    title: str
    contribution: float
    other: float
    other_title: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a subject has its score as of a date; everything in log-odds before calibration.

    ``base`` (what the model says of an average subject) and the contributions of ``families`` sum
    to ``raw``; so do ``base``, ``reasons`` (raising the risk), ``mitigating`` and ``rest``, which
    is all that is not listed. Reasons are ordered by weight.
    """

    subject_id: str
    as_of: date
    base: float
    raw: float
    reasons: tuple[Reason, ...]
    mitigating: tuple[Reason, ...]
    families: tuple[FamilyTotal, ...]
    rest: float


@dataclass(frozen=True, slots=True)
class Group:
    """Features that give one reason, and their columns in the booster's matrix."""

    family: str
    hidden: bool
    specs: tuple[FeatureSpec, ...]
    columns: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Explainer:
    """A bundle made ready to explain. Keep it where subjects are explained one after another."""

    bundle: Bundle
    titles: Mapping[str, Titles]
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, bundle: Bundle, contracts: Mapping[str, Contract] = CONTRACTS) -> Explainer:
        """Group the bundle's features; ``contracts`` name the tables and what is personal."""
        specs = {spec.name: spec for spec in bundle.features}
        used = [specs[name] for name in bundle.encoder.features]
        titles = titles_of(contracts)
        hidden = [protected(spec, bundle.scenario, contracts, titles) for spec in used]
        keyed = sorted(
            (_key(spec, hidden=out), place)
            for place, (spec, out) in enumerate(zip(used, hidden, strict=True))
        )
        groups: list[Group] = []
        for _, members in groupby(keyed, key=lambda one: one[0]):
            columns = tuple(place for _, place in members)
            own = tuple(used[place] for place in columns)
            groups.append(Group(own[0].family, hidden[columns[0]], own, columns))
        return cls(bundle, titles, tuple(groups))

    def explain(
        self,
        features: pl.DataFrame,
        *,
        records: Records | None = None,
        around: Records | None = None,
        network: Network | None = None,
        top: int = TOP,
    ) -> list[Explanation]:
        """Return the explanations of the rows of ``features``; see :func:`explain`."""
        _check(features, top)
        if features.is_empty():
            return []
        found = self.bundle.booster.contributions(self.bundle.encoder.matrix(features))
        order = [column for group in self.groups for column in group.columns]
        starts = np.cumsum([0, *(len(group.columns) for group in self.groups[:-1])])
        sums = np.add.reduceat(found[:, order], starts, axis=1)
        at = {name: place for place, name in enumerate(features.columns)}
        subject, on = (at[name] for name in KEYS)
        places = [at[name] for name in self.bundle.encoder.features]
        rows = [
            self._row(row[subject], row[on], found[n], sums[n], [row[p] for p in places], top)
            for n, row in enumerate(features.iter_rows())
        ]
        if records is None:
            return rows
        specs = self.bundle.features
        wanted = _wanted(rows)
        behind = cited(evidence(records, specs, wanted, around=around, network=network))
        return [_traced(row, behind) for row in rows]

    def _row(
        self,
        subject: str,
        on: date,
        found: FloatArray,
        sums: FloatArray,
        values: Sequence[Value],
        top: int,
    ) -> Explanation:
        """Return one row's explanation, without evidence."""
        said_once: dict[tuple[str, str], Reason] = {}
        weighed = zip(self.groups, sums.tolist(), strict=True)
        for group, total in sorted(weighed, key=lambda one: -abs(one[1])):
            if group.hidden or abs(total) <= _LEAST:
                continue
            reason = self._reason(group, total, found, values, on)
            key = (reason.family, reason.text)
            said_once[key] = _together(said_once[key], reason) if key in said_once else reason
        ranked = sorted(said_once.values(), key=lambda reason: -abs(reason.contribution))
        rising = tuple(reason for reason in ranked if reason.contribution > _LEAST)[:top]
        falling = tuple(reason for reason in ranked if reason.contribution < -_LEAST)[:top]
        return Explanation(
            subject_id=subject,
            as_of=on,
            base=float(found[-1]),
            raw=float(found.sum()),
            reasons=rising,
            mitigating=falling,
            families=self._families(sums),
            rest=float(sums.sum()) - sum(one.contribution for one in (*rising, *falling)),
        )

    def _reason(
        self, group: Group, total: float, found: FloatArray, values: Sequence[Value], on: date
    ) -> Reason:
        """Return a group in words: those of the member that weighs most in its direction."""
        sign = 1.0 if total > 0 else -1.0
        members = zip(group.specs, group.columns, strict=True)
        weighed = sorted(members, key=lambda one: -sign * found[one[1]])
        parts = tuple(
            Part(spec.name, spec.title, values[column], float(found[column]))
            for spec, column in weighed
        )
        spec = weighed[0][0]
        text = said(spec, parts[0].value, as_of=on, titles=self.titles)
        return Reason(text, group.family, total, parts)

    def _families(self, sums: FloatArray) -> tuple[FamilyTotal, ...]:
        names = words()
        totals: dict[str, list[float]] = {}
        for group, value in zip(self.groups, sums, strict=True):
            total = totals.setdefault(group.family, [0.0, 0.0])
            total[0] += float(value)
            total[1] += float(value) if group.hidden else 0.0
        ranked = sorted(totals.items(), key=lambda item: -abs(item[1][0]))
        return tuple(
            FamilyTotal(family, names.families.get(family, family), whole, other, names.other)
            for family, (whole, other) in ranked
        )


def explain(
    features: pl.DataFrame,
    bundle: Bundle,
    *,
    records: Records | None = None,
    around: Records | None = None,
    network: Network | None = None,
    top: int = TOP,
    contracts: Mapping[str, Contract] = CONTRACTS,
) -> list[Explanation]:
    """Return why each row of ``features`` has its score, in the order of the rows.

    With ``records`` every reason has the records behind it; ``around`` are those of everybody, by
    which neighbours are told, and ``network`` is theirs where it was made already (both default to
    ``records``). ``top`` bounds the reasons that raise the risk, and those that lower it.

    Raises:
        BundleError: the features lack columns of the bundle, or hold infinite values.
        ConfigError: the keys are missing, or ``top`` is below 1.
    """
    usual = contracts is CONTRACTS
    explainer = _by_default(bundle) if usual else Explainer.of(bundle, contracts)
    return explainer.explain(features, records=records, around=around, network=network, top=top)


def as_table(explanations: Sequence[Explanation]) -> pl.DataFrame:
    """Return all reasons as a table, one a row, those that raise the risk first.

    Columns: ``subject_id``, ``as_of``, ``place`` (from 1 within a row's reasons of one direction),
    ``rises``, ``family``, ``contribution``, ``text``, ``records`` (list of record ids; null where
    evidence was not looked up).
    """
    rows = [
        (one.subject_id, one.as_of, place, rises, reason.family, reason.contribution, reason.text,
         _ids(reason))
        for one in explanations
        for rises, listed in ((True, one.reasons), (False, one.mitigating))
        for place, reason in enumerate(listed, start=1)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=_TABLE, orient="row")


def _ids(reason: Reason) -> list[str] | None:
    if reason.evidence is None:
        return None
    return list(dict.fromkeys(one.record_id for one in reason.evidence))


_TABLE: Final = pl.Schema(
    {
        SUBJECT: pl.String(),
        AS_OF: pl.Date(),
        "place": pl.Int32(),
        "rises": pl.Boolean(),
        "family": pl.String(),
        "contribution": pl.Float64(),
        "text": pl.String(),
        "records": pl.List(pl.String()),
    }
)


@lru_cache(maxsize=8)
def _by_default(bundle: Bundle) -> Explainer:
    return Explainer.of(bundle)


def _key(spec: FeatureSpec, *, hidden: bool) -> tuple[str, ...]:
    """Return what features of one reason have in common; all hidden ones of a family are one."""
    if hidden:
        return (spec.family, "hidden")
    if spec.family == "relation":
        # how many neighbours are flagged, and which share of them, are one matter
        matter = spec.name.removesuffix("_share").removesuffix("_count")
        return (spec.family, "shown", matter)
    if spec.stat is None:
        return (spec.family, "shown", _WINDOW.sub("", spec.name))
    told = (spec.table, spec.stat, spec.column, spec.level)
    return (spec.family, "shown", *(part or "" for part in told))


def _together(one: Reason, other: Reason) -> Reason:
    """Return two reasons that say the same as one, such as that nothing was ever recorded."""
    total = one.contribution + other.contribution
    return replace(one, contribution=total, parts=(*one.parts, *other.parts))


def _check(features: pl.DataFrame, top: int) -> None:
    missing = [name for name in KEYS if name not in features.columns]
    if missing:
        raise ConfigError(f"the features lack '{missing[0]}'; it tells whose row it is, and when")
    if top < 1:
        raise ConfigError(f"top is {top}; ask for one reason at least")


def _wanted(rows: Sequence[Explanation]) -> pl.DataFrame:
    """Return subject, date and feature of every reason that is put into words."""
    lines = [
        (row.subject_id, row.as_of, reason.parts[0].feature)
        for row in rows
        for reason in (*row.reasons, *row.mitigating)
    ]
    schema = {SUBJECT: pl.String(), AS_OF: pl.Date(), "feature": pl.String()}
    return pl.DataFrame(lines, schema=schema, orient="row").unique()


def _traced(
    row: Explanation, behind: Mapping[tuple[str, date, str], tuple[Cited, ...]]
) -> Explanation:
    def traced(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
        keys = [(row.subject_id, row.as_of, reason.parts[0].feature) for reason in reasons]
        return tuple(
            replace(reason, evidence=behind.get(key, ()))
            for key, reason in zip(keys, reasons, strict=True)
        )

    return replace(row, reasons=traced(row.reasons), mitigating=traced(row.mitigating))
