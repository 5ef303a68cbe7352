"""Who is eligible at a date of view, told only from what was known then.

A subject is in the cohort of a date when all of this holds, by rows known at that date:

1. it is in the register, or in the tables of ``seen_in`` where the scenario names some;
2. ``seen_in``: it has such a row in ``[as_of − within, as_of)``, ever where ``within`` is left out;
3. its kind, by its 统一社会信用代码 or else by the register, is the scenario's;
4. it was established before the date, where the register tells when;
5. it is not closed (and with ``status: active`` not revoked) at the date, and not annulled;
6. ``where`` holds on its register row; a subject that the register does not know cannot meet it;
7. no row of ``without`` counts against it at the date;
8. for a label of survival: what is waited for has not come yet.

The register has one row a subject, which is overwritten: dated columns tell how things stood then,
other columns only how they stand now. A condition may therefore not use its state columns.

A table that the records lack has no rows. A subject's rows all lie in one bucket, so cohorts are
made bucket by bucket and laid together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final

import polars as pl

from models.codes import uscc
from models.records.contracts import CONTRACTS
from models.records.publicity import VoidReason
from models.records.reading import Records
from models.scenarios.known import BASE, HAPPENED, SUBJECT, counting, known, read
from models.scenarios.label import Events, Rows
from models.scenarios.scenario import Scenario
from models.time import AsOf

SCHEMA: Final = pl.Schema({SUBJECT: pl.String(), "as_of": pl.Date()})
STAGES: Final = ("known", "seen", "kind", "established", "open", "where", "at_risk")
"""The conditions in the order in which :func:`funnel` applies them."""

REGISTER: Final = "subject"
_REGISTER: Final = Rows(table=REGISTER)
_DTYPES: Final = CONTRACTS[REGISTER].dtypes
_STATE: Final = ("subject_type", "closed_on", "revoked_on")


def cohort(records: Records, scenario: Scenario, as_of: date) -> pl.DataFrame:
    """Return the eligible subjects at ``as_of``: one column ``subject_id``, sorted, no repeats."""
    return cohorts(records, scenario, [as_of]).select(SUBJECT)


def cohorts(records: Records, scenario: Scenario, dates: Iterable[date]) -> pl.DataFrame:
    """Return the cohorts of several dates as ``subject_id``, ``as_of``, sorted by date and subject.

    Each table is read once, whatever the number of dates.
    """
    loaded = _Loaded.of(records, scenario)
    parts = [
        loaded.stages(AsOf(on))
        .filter(pl.all_horizontal(STAGES))
        .select(SUBJECT, pl.lit(on, pl.Date()).alias("as_of"))
        .sort(SUBJECT)
        for on in sorted(set(dates))
    ]
    return pl.concat([SCHEMA.to_frame(), *parts])


def funnel(records: Records, scenario: Scenario, as_of: date) -> dict[str, int]:
    """Return how many subjects are left after each of :data:`STAGES`; sums over buckets add up."""
    stages = _Loaded.of(records, scenario).stages(AsOf(as_of))
    left = [pl.all_horizontal(STAGES[: n + 1]).sum().alias(s) for n, s in enumerate(STAGES)]
    counts = stages.select(left).row(0, named=True)
    return {stage: int(count or 0) for stage, count in counts.items()}


def standing(
    records: Records, scenario: Scenario, subjects: Iterable[str], as_of: date
) -> dict[str, str | None]:
    """Return of each subject the first of :data:`STAGES` that it fails; null: it is eligible."""
    stages = _Loaded.of(records, scenario).stages(AsOf(as_of))
    failed = {
        subject: next((s for s, holds in zip(STAGES, held, strict=True) if not holds), None)
        for subject, *held in stages.select(SUBJECT, *STAGES).iter_rows()
    }
    return {one: failed.get(one, STAGES[0]) for one in subjects}


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The tables that decide, read once."""

    scenario: Scenario
    register: pl.DataFrame
    seen: tuple[tuple[Rows, pl.DataFrame], ...]
    against: tuple[tuple[Rows, pl.DataFrame], ...]
    awaited: tuple[tuple[Events, pl.DataFrame], ...]
    kinds: pl.DataFrame
    """``subject_id`` and the kind its code tells, of everybody who may be eligible."""

    @classmethod
    def of(cls, records: Records, scenario: Scenario) -> _Loaded:
        there = records.tables()
        declared = scenario.cohort
        also = (*_STATE, *sorted(declared.condition.columns if declared.condition else ()))
        register = (
            read(records, _REGISTER, *also)
            if REGISTER in there
            else pl.DataFrame(schema={n: _DTYPES[n] for n in (*BASE, *also)})
        )
        seen = tuple((r, read(records, r)) for r in declared.seen_in if r.table in there)
        against = tuple((r, read(records, r)) for r in declared.without if r.table in there)
        awaited = tuple(
            (e, read(records, e, e.on))
            for e in scenario.label.events
            if scenario.label.means == "survival" and e.table in there
        )
        everyone = pl.concat([f.select(SUBJECT) for f in (register, *(f for _, f in seen))])
        kinds = everyone.unique().with_columns(_told())
        return cls(scenario, register, seen, against, awaited, kinds)

    def stages(self, as_of: AsOf) -> pl.DataFrame:
        """Return everybody with a Boolean column for each stage."""
        due = self.scenario.label.ends(as_of.on)
        register = self._register(as_of, due)
        seen = [self._seen(rows, frame, as_of, due) for rows, frame in self.seen]
        gone = [
            *(_against(rows, frame, as_of, due) for rows, frame in self.against),
            *(_come(rows, frame, as_of, due) for rows, frame in self.awaited),
        ]
        told = pl.coalesce("_told", "subject_type")
        unasked = self.scenario.cohort.condition is None
        return (
            self.kinds.lazy()
            .join(register, on=SUBJECT, how="left", validate="1:1")
            .pipe(_marked, seen, "_seen")
            .pipe(_marked, gone, "_gone")
            .with_columns(pl.col("_in", "_seen", "_gone").fill_null(value=False))
            .select(
                SUBJECT,
                (pl.col("_in") | pl.col("_seen")).alias("known"),
                (pl.col("_seen") if self.scenario.cohort.seen_in else pl.col("_in")).alias("seen"),
                told.is_in([str(k) for k in self.scenario.kinds])
                .fill_null(value=False)
                .alias("kind"),
                (pl.col(HAPPENED) < as_of.on).fill_null(value=True).alias("established"),
                self._open(as_of).alias("open"),
                pl.lit(value=True).alias("where")
                if unasked
                else pl.col("_where").fill_null(value=False).alias("where"),
                ~pl.col("_gone").alias("at_risk"),
            )
            .collect()
        )

    def _register(self, as_of: AsOf, due: date) -> pl.LazyFrame:
        """Return the register as known at the date, one row a subject, with what ``where`` says."""
        frame = self.register.lazy().filter(pl.col("known_at") < as_of.known_before)
        condition = self.scenario.cohort.condition
        if condition is not None:
            frame = condition.mark(frame, "_where", as_of=as_of.on, due=due)
        return frame.unique(SUBJECT, keep="first", maintain_order=True).with_columns(_in=True)

    def _seen(self, rows: Rows, frame: pl.DataFrame, as_of: AsOf, due: date) -> pl.LazyFrame:
        earlier = frame.lazy().filter(known(as_of), pl.col(HAPPENED) < as_of.on)
        within = self.scenario.cohort.within
        if within is not None:
            earlier = earlier.filter(pl.col(HAPPENED) >= as_of.on - within.delta)
        return _meant(rows, earlier, as_of, due)

    def _open(self, as_of: AsOf) -> pl.Expr:
        ends = ["void_from"]
        ends += ["closed_on"] * (self.scenario.cohort.status != "any")
        ends += ["revoked_on"] * (self.scenario.cohort.status == "active")
        over = pl.any_horizontal((pl.col(end) <= as_of.on).fill_null(value=False) for end in ends)
        return ~over & pl.col("void_reason").ne_missing(VoidReason.ANNULLED.value)


def _against(rows: Rows, frame: pl.DataFrame, as_of: AsOf, due: date) -> pl.LazyFrame:
    return _meant(rows, frame.lazy().filter(counting(as_of, frame.columns)), as_of, due)


def _come(event: Events, frame: pl.DataFrame, as_of: AsOf, due: date) -> pl.LazyFrame:
    come = frame.lazy().filter(known(as_of), pl.col(event.on) <= as_of.on)
    return _meant(event, come, as_of, due)


def _meant(rows: Rows, frame: pl.LazyFrame, as_of: AsOf, due: date) -> pl.LazyFrame:
    condition = rows.condition
    return frame if condition is None else condition.keep(frame, as_of=as_of.on, due=due)


def _marked(everybody: pl.LazyFrame, frames: Sequence[pl.LazyFrame], name: str) -> pl.LazyFrame:
    """Add the column ``name``: true for whom one of the frames has, else null."""
    if not frames:
        return everybody.with_columns(pl.lit(None, pl.Boolean).alias(name))
    ids = pl.concat([frame.select(SUBJECT) for frame in frames]).unique()
    return everybody.join(ids.with_columns(pl.lit(value=True).alias(name)), on=SUBJECT, how="left")


@cache
def _told() -> pl.Expr:
    """Return the kind that a subject's code tells, kept: laying it out takes longer than it."""
    return uscc.subject_type_expr(SUBJECT).alias("_told")
