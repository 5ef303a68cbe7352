"""Deciding rows that a caller brings along: nothing is read, nothing is stored.

Features go straight to the booster's matrix: for a row or two a frame costs more than the trees.
What comes out is what :func:`models.decide.decide` says of the same rows, which a test holds it to.
Records go the way of stored subjects, with their own frames in place of the lake's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final, TypeAlias

import numpy as np
import polars as pl

from models.decide import decide
from models.features.pipeline import Pipeline
from models.features.reference import Reference
from models.features.spec import AS_OF, SUBJECT
from models.records.contract import Contract
from models.records.reading import MemoryRecords
from models.risk.bundle import Bundle
from models.risk.grade import Rulebook, risk_score, rulebook
from models.scenarios import Scenario
from models.time import AsOf
from serving.jobs.intake import ROW, Sent, Trouble, take, unknown_columns

Row: TypeAlias = Mapping[str, float | str | None]
Answer: TypeAlias = dict[str, object]

_PLAIN: Final = frozenset({float, int, type(None)})
_SHOWN: Final = 5


class InlineError(Exception):
    """A row that cannot be decided; ``errors`` has the place and the rule of each fault."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        """Keep the faults: a place in the body, and what is wrong there."""
        super().__init__("; ".join(f"{place}: {rule}" for place, rule in errors[:_SHOWN]))
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True, eq=False)
class Inline:
    """A model made ready for rows of features."""

    bundle: Bundle
    book: Rulebook
    names: tuple[str, ...]
    needed: tuple[str, ...]
    allowed: frozenset[str]
    codes: Mapping[str, Mapping[str, float]]
    vetoed: tuple[str, ...]
    texts: frozenset[str]
    follows: tuple[Mapping[str, object], ...]

    @classmethod
    def of(cls, bundle: Bundle, scenario: Scenario, pipeline: Pipeline) -> Inline:
        """Make a bundle ready under the declaration in force."""
        book = rulebook(scenario)
        vetoed = tuple(sorted(frozenset[str]().union(*(v.names for v in book.vetoes))))
        encoder = bundle.encoder
        return cls(
            bundle=bundle,
            book=book,
            names=encoder.features,
            needed=tuple(dict.fromkeys((*encoder.features, *vetoed))),
            allowed=frozenset(spec.name for spec in pipeline.features),
            codes={
                name: {value: float(code) for code, value in enumerate(values)}
                for name, values in encoder.categories.items()
            },
            vetoed=vetoed,
            texts=frozenset(s.name for s in pipeline.features if s.dtype == "category"),
            follows=tuple(book.follows.drop("scenario_digest").to_dicts()),
        )

    def decide(self, rows: Sequence[Row], on: date) -> list[Answer]:
        """Return a decision for each row of features as of a day, in order.

        A row has every feature that the model and the vetoes read, null where it is not known, and
        may have others of the catalogue.

        Raises:
            InlineError: A feature lacks, is unknown, or is of the wrong type.
        """
        matrix = self._matrix(rows)
        booster = self.bundle.booster
        raw = np.array([booster.raw_one(matrix[0])]) if len(rows) == 1 else booster.raw(matrix)
        probability = self.bundle.calibrator.apply(raw)
        places = self.book.places(probability)
        reasons: list[list[str]] = [[]] * len(rows)
        if self.vetoed:
            hits = self.book.hits(self._vetoed(rows))
            places = self.book.worst(places, hits)
            if hits.any():
                said = [veto.reason for veto in self.book.vetoes]
                reasons = [[said[n] for n in np.flatnonzero(row).tolist()] for row in hits]
        until = on + timedelta(days=self.book.days)
        scores = risk_score(probability).tolist()
        return [
            {
                "probability": chance,
                "risk_score": score,
                **self.follows[place],
                "vetoes": why,
                "valid_until": until,
            }
            for chance, score, place, why in zip(
                probability.tolist(), scores, places.tolist(), reasons, strict=True
            )
        ]

    def frame(self, rows: Sequence[Row], on: date) -> pl.DataFrame:
        """Return the rows as a frame of features, keyed by their place, for explaining."""
        self._check(rows)
        columns = {
            name: pl.Series(
                [row.get(name) for row in rows],
                dtype=pl.String() if name in self.texts else pl.Float64(),
            )
            for name in self.needed
        }
        keys = {
            SUBJECT: pl.Series([str(n) for n in range(len(rows))], dtype=pl.String),
            AS_OF: pl.Series([on] * len(rows), dtype=pl.Date),
        }
        return pl.DataFrame({**keys, **columns})

    def _matrix(self, rows: Sequence[Row]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        try:
            values = [self._values(row) for row in rows]
        except (KeyError, TypeError):
            self._check(rows)
            raise
        return np.array(values, np.float64)

    def _values(self, row: Row) -> list[float | None]:
        """Return a row in the booster's order; raises for whatever :meth:`_check` will name."""
        if not self.allowed.issuperset(row):
            raise KeyError
        numbers: dict[str, float | str | None] = dict(row)
        for name, codes in self.codes.items():
            value = row[name]
            if value is not None and type(value) is not str:
                raise TypeError
            numbers[name] = None if value is None else codes.get(str(value))
        values = [numbers[name] for name in self.names]
        if not _PLAIN.issuperset(map(type, values)):
            raise TypeError
        return values  # pyright: ignore[reportReturnType] - told by the types just looked at

    def _vetoed(self, rows: Sequence[Row]) -> pl.DataFrame:
        self._check_vetoed(rows)
        return pl.DataFrame(
            {
                name: pl.Series(
                    [row[name] for row in rows],
                    dtype=pl.String() if name in self.texts else pl.Float64(),
                )
                for name in self.vetoed
            }
        )

    def _check_vetoed(self, rows: Sequence[Row]) -> None:
        for row in rows:
            for name in self.vetoed:
                if name not in row or not self._fits(name, row[name]):
                    self._check(rows)

    def _fits(self, name: str, value: float | str | None) -> bool:
        return value is None or isinstance(value, str) == (name in self.texts)

    def _check(self, rows: Sequence[Row]) -> None:
        """Raise :class:`InlineError` naming every fault of the rows, if there is one."""
        faults: list[tuple[str, str]] = []
        for place, row in enumerate(rows):
            at = f"body.features.{place}"
            lacking = [name for name in self.needed if name not in row]
            faults += [
                (f"{at}.{name}", "the model reads it; send null where it is not known")
                for name in lacking
            ]
            faults += [
                (f"{at}.{name}", "there is no such feature; GET /v1/models tells which there are")
                for name in row
                if name not in self.allowed
            ]
            faults += [
                (
                    f"{at}.{name}",
                    f"must be {'a text' if name in self.texts else 'a number'} or null",
                )
                for name, value in row.items()
                if name in self.allowed and not self._fits(name, value)
            ]
        if faults:
            raise InlineError(faults)


@dataclass(frozen=True, slots=True)
class Brought:
    """Records that a caller brought along, and whose they are."""

    records: MemoryRecords
    subjects: tuple[str, ...]


def brought(
    tables: Mapping[str, Sequence[Mapping[str, object]]],
    scenario: Scenario,
    contracts: Mapping[str, Contract],
    *,
    on: date,
    now: datetime,
) -> Brought:
    """Return rows as records, checked as posted ones are; all tables of the scenario are named.

    They are taken as known at the end of the day of view, or now where that is sooner.

    Raises:
        InlineError: A table or a column is unknown, or a row breaks a rule.
    """
    rule = (
        f"scenario '{scenario.id}' reads no such table; it reads "
        f"{', '.join(sorted(scenario.tables))}"
    )
    faults: list[tuple[str, str]] = [
        (f"body.records.{name}", rule)
        for name in tables
        if name not in scenario.tables or name not in contracts
    ]
    if faults:
        raise InlineError(faults)
    at = min(now, AsOf(on).known_before - timedelta(microseconds=1))
    frames = {name: pl.DataFrame(schema=contracts[name].dtypes) for name in scenario.tables}
    for name, rows in tables.items():
        frames[name] = _taken(name, rows, contracts[name], at, faults)
    if faults:
        raise InlineError(faults)
    found = {one for frame in frames.values() for one in frame[SUBJECT]}
    return Brought(MemoryRecords(frames), tuple(sorted(found)))


def decide_brought(
    bundle: Bundle,
    pipeline: Pipeline,
    found: Brought,
    reference: Reference,
    *,
    on: date,
    subjects: Sequence[str] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the features and the decisions of the subjects that records were brought of.

    ``subjects`` are some of them; by default all.
    """
    wanted = found.subjects if subjects is None else subjects
    features = pipeline.build(found.records, [on], subjects=list(wanted), reference=reference)
    return features, decide(features, pipeline.scenario, bundle)


def untied(reference: Reference) -> Reference:
    """Return the reference without anybody's ties: of neighbours nothing is known then, not none.

    For subjects that the caller may not see: whoever brings a record of one would else be told who
    is tied to it, and how these fare. What is known of groups stays.
    """
    ties = reference.network
    nobody = replace(
        ties,
        tables=frozenset(),
        members=ties.members.clear(),
        belongs=ties.belongs.clear(),
        pairs=ties.pairs.clear(),
        flags=ties.flags.clear(),
    )
    return replace(reference, network=nobody)


def _taken(
    name: str,
    rows: Sequence[Mapping[str, object]],
    contract: Contract,
    at: datetime,
    faults: list[tuple[str, str]],
) -> pl.DataFrame:
    unknown = unknown_columns(rows, contract)
    if unknown:
        faults += [
            (f"body.records.{name}.{place}.{column}", "the table has no such column")
            for column, place in unknown.items()
        ]
        return pl.DataFrame(schema=contract.dtypes)
    taken = take(rows, Sent(contract, "inline", "inline", "inline", at))
    faults += [(_place(name, one), _rule(one)) for one in taken.troubles]
    return taken.good.drop(ROW).select(contract.columns)


def _place(table: str, one: Trouble) -> str:
    return f"body.records.{table}.{one.row}" + (f".{one.column}" if one.column else "")


def _rule(one: Trouble) -> str:
    return f"breaks rule {one.rule}" + (f" ({one.value})" if one.value else "")
