"""Labels: what came of the subjects that were looked at, with what nobody saw left null.

The horizon of a date is ``(as_of, ends]``: the day of view itself belongs to neither the features'
windows nor the horizon (see :mod:`models.time`). Outcomes are placed by the day on which they
happened and taken as they are known at the end of the data, however late they were reported. An
outcome that was annulled never was; one that was repaired later still happened, and is kept unless
the scenario says ``repaired: null``.

``event``       positive: it happened in the horizon. Observed, unless the subject ended before it.
``inspection``  observed: a row of ``observed_by`` lies in the horizon; positive: one of these rows
                (of the first day's, with ``visits: first``) meets the label's condition.
``survival``    positive: what is awaited had not happened by the end of the horizon. Observed,
                unless the subject ended before it did.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from models.records.publicity import VoidReason
from models.records.reading import Records
from models.scenarios.cohort import REGISTER, cohorts
from models.scenarios.known import HAPPENED, SUBJECT, known, read
from models.scenarios.label import Events, Rows
from models.scenarios.scenario import Scenario
from models.time import AsOf
from training.snapshots import Period, check_complete, period

SCHEMA: Final = pl.Schema(
    {
        SUBJECT: pl.String(),
        "as_of": pl.Date(),
        "observed": pl.Boolean(),
        "positive": pl.Boolean(),
        "inclusion_probability": pl.Float64(),
        "observed_on": pl.Date(),
        "event_on": pl.Date(),
        "group": pl.String(),
    }
)
"""One row a date and member of its cohort.

``positive`` is null where ``observed`` is false. ``inclusion_probability``: recorded probability
that the draws which observed it took the subject in, null where one of them has none.
``observed_on``: the day of the first inspection; ``event_on``: the first day that made it
positive, which for survival is the last of the horizon. ``group``: rows that are not independent of
one another, being the same subject at several dates; intervals resample groups.
"""

_DAY: Final = "_day"
_MET: Final = "_met"
_CHANCE: Final = "_chance"
_REPAIRED: Final = "_repaired"
_PI: Final = "inclusion_probability"
_EVENT: Final = {SUBJECT: pl.String(), _DAY: pl.Date(), _REPAIRED: pl.Boolean()}


def labels(
    records: Records,
    scenario: Scenario,
    dates: Iterable[date],
    *,
    within: Period | None = None,
) -> pl.DataFrame:
    """Return the labels of the cohorts of ``dates``, columns as :data:`SCHEMA`, sorted.

    ``within``: the days that the data covers, of the whole lake where ``records`` are a part of it;
    by default what these records themselves cover. Raises :class:`ConfigError` for a date outside,
    or whose horizon and embargo were not over at the end.
    """
    wanted = sorted(set(dates))
    covered = within or period([records], scenario)
    for on in wanted:
        check_complete(scenario, on, within=covered)
    members = cohorts(records, scenario, wanted)
    sight = _Sight.of(records, scenario, AsOf(covered.end))
    parts = [
        _of_date(members.filter(pl.col("as_of") == on).lazy(), sight, on).collect() for on in wanted
    ]
    return pl.concat([SCHEMA.to_frame(), *parts])


@dataclass(frozen=True, slots=True)
class _Sight:
    """What is known at the end of the data, read once."""

    scenario: Scenario
    events: tuple[tuple[Events, pl.DataFrame], ...]
    observers: tuple[tuple[Rows, pl.DataFrame], ...]
    ended: pl.DataFrame
    """``subject_id`` and the day on which it ended, of those that did."""

    @classmethod
    def of(cls, records: Records, scenario: Scenario, until: AsOf) -> _Sight:
        label = scenario.label
        there = records.tables()
        findings: dict[str, list[str]] = {}
        for event in label.events:
            names = event.condition.columns if event.condition else ()
            findings.setdefault(event.table, []).extend(names)

        def visits(one: Rows) -> pl.DataFrame:
            drawn = [_PI] if _PI in records.columns(one.table) else []
            return read(records, one, "record_id", *findings.get(one.table, ()), *drawn)

        return cls(
            scenario,
            tuple(
                (one, read(records, one, one.on).filter(known(until)))
                for one in label.events
                if one.table in there and not label.observers
            ),
            tuple(
                (one, visits(one).filter(known(until)))
                for one in label.observers
                if one.table in there
            ),
            _ended(records, scenario, until),
        )


def _ended(records: Records, scenario: Scenario, until: AsOf) -> pl.DataFrame:
    ends = {"any": (), "open": ("closed_on",), "active": ("closed_on", "revoked_on")}
    days = ends[scenario.cohort.status]
    if not days or REGISTER not in records.tables():
        return pl.DataFrame(schema={SUBJECT: pl.String(), "_ended": pl.Date()})
    register = read(records, Rows(table=REGISTER), *days)
    return (
        register.filter(pl.col("known_at") < until.known_before)
        .select(SUBJECT, pl.min_horizontal(*days).alias("_ended"))
        .drop_nulls()
        .unique(SUBJECT, keep="first", maintain_order=True)
    )


def _of_date(members: pl.LazyFrame, sight: _Sight, on: date) -> pl.LazyFrame:
    due = sight.scenario.label.ends(on)
    match sight.scenario.label.means:
        case "inspection":
            told = _inspected(members, sight, on, due)
        case "event":
            told = _happened(members, sight, on, due)
        case "survival":
            told = _stayed_out(members, sight, on, due)
    positive = pl.when("observed").then("positive")
    return told.select(
        SUBJECT,
        "as_of",
        "observed",
        positive.alias("positive"),
        pl.when("observed").then(_PI).alias(_PI),
        "observed_on",
        pl.when(positive).then("event_on").alias("event_on"),
        pl.col(SUBJECT).alias("group"),
    ).sort(SUBJECT)


def _happened(members: pl.LazyFrame, sight: _Sight, on: date, due: date) -> pl.LazyFrame:
    events = _all_events(sight, on, due)
    inside = events.filter(pl.col(_DAY) > on, pl.col(_DAY) <= due)
    found = inside.group_by(SUBJECT).agg(*_findings(sight.scenario, pl.lit(value=True)))
    over = pl.col("_ended").is_between(on, due, closed="right").fill_null(value=False)
    return (
        members.join(found, on=SUBJECT, how="left")
        .join(sight.ended.lazy(), on=SUBJECT, how="left")
        .with_columns(pl.col("_clean", "_mended").fill_null(value=False))
        .with_columns(
            (pl.col("_clean") | ~(over | pl.col("_mended"))).alias("observed"),
            pl.col("_clean").alias("positive"),
            pl.lit(None, pl.Float64()).alias(_PI),
            pl.lit(None, pl.Date()).alias("observed_on"),
        )
    )


def _stayed_out(members: pl.LazyFrame, sight: _Sight, on: date, due: date) -> pl.LazyFrame:
    """Come at any time up to the last day, even before the date of view, if it was known later."""
    events = _all_events(sight, on, due)
    came = events.filter(pl.col(_DAY) <= due).select(SUBJECT).unique().with_columns(_came=True)
    over = (pl.col("_ended") <= due).fill_null(value=False)
    return (
        members.join(came, on=SUBJECT, how="left")
        .join(sight.ended.lazy(), on=SUBJECT, how="left")
        .with_columns(pl.col("_came").fill_null(value=False))
        .with_columns(
            (pl.col("_came") | ~over).alias("observed"),
            (~pl.col("_came")).alias("positive"),
            pl.lit(None, pl.Float64()).alias(_PI),
            pl.lit(None, pl.Date()).alias("observed_on"),
            pl.lit(due, pl.Date()).alias("event_on"),
        )
    )


def _all_events(sight: _Sight, on: date, due: date) -> pl.LazyFrame:
    none = pl.LazyFrame(schema=_EVENT)
    return pl.concat([none, *(_events(event, frame, on, due) for event, frame in sight.events)])


def _events(event: Events, frame: pl.DataFrame, on: date, due: date) -> pl.LazyFrame:
    condition = event.condition
    rows = frame.lazy()
    kept = rows if condition is None else condition.keep(rows, as_of=on, due=due)
    return kept.select(SUBJECT, pl.col(event.on).alias(_DAY), _repaired())


def _repaired() -> pl.Expr:
    return pl.col("void_reason").eq_missing(VoidReason.REPAIRED.value).alias(_REPAIRED)


def _findings(scenario: Scenario, met: pl.Expr) -> tuple[pl.Expr, ...]:
    """Return of a subject's rows: whether one is a finding, repaired or not, and the first day."""
    kept = met if scenario.label.repaired == "keep" else met & ~pl.col(_REPAIRED)
    return (
        kept.any().alias("_clean"),
        met.any().alias("_mended"),
        pl.col(_DAY).filter(kept).min().alias("event_on"),
    )


def _inspected(members: pl.LazyFrame, sight: _Sight, on: date, due: date) -> pl.LazyFrame:
    label = sight.scenario.label
    none = pl.LazyFrame(schema={**_EVENT, _MET: pl.Boolean(), _CHANCE: pl.Float64()})
    visits = pl.concat(
        [none, *(_visits(sight.scenario, one, rows, on, due) for one, rows in sight.observers)]
    )
    if label.visits == "first":
        visits = visits.filter(pl.col(_DAY) == pl.col(_DAY).min().over(SUBJECT))
    missed = (1.0 - pl.col(_CHANCE)).product()
    seen = visits.group_by(SUBJECT).agg(
        *_findings(sight.scenario, pl.col(_MET)),
        pl.col(_DAY).min().alias("observed_on"),
        pl.when(pl.col(_CHANCE).is_not_null().all()).then(1.0 - missed).alias(_PI),
    )
    unseen = pl.col("observed_on").is_null()
    only_repaired = (pl.col("_mended") & ~pl.col("_clean")).fill_null(value=False)
    return members.join(seen, on=SUBJECT, how="left").with_columns(
        ~(unseen | only_repaired).alias("observed"), pl.col("_clean").alias("positive")
    )


def _visits(
    scenario: Scenario, observer: Rows, frame: pl.DataFrame, on: date, due: date
) -> pl.LazyFrame:
    """Return the observing rows of the horizon: day, whether it is a finding, recorded chance."""
    rows = frame.lazy().filter(pl.col(HAPPENED) > on, pl.col(HAPPENED) <= due)
    rows = rows.unique("record_id", keep="first", maintain_order=True)
    if observer.condition is not None:
        rows = observer.condition.keep(rows, as_of=on, due=due)
    rows = rows.with_columns(pl.lit(value=False).alias(_MET))
    for event in scenario.label.events:
        if event.table != observer.table:
            continue
        if event.condition is None:
            rows = rows.with_columns(pl.lit(value=True).alias(_MET))
        else:
            rows = event.condition.mark(rows, "_one", as_of=on, due=due)
            rows = rows.with_columns((pl.col(_MET) | pl.col("_one")).alias(_MET)).drop("_one")
    # a recorded chance of 0 contradicts that it was drawn: it is no chance at all
    chance = pl.col(_PI) if _PI in frame.columns else pl.lit(None, pl.Float64())
    told = pl.when(chance > 0).then(chance).alias(_CHANCE)
    return rows.select(SUBJECT, pl.col(HAPPENED).alias(_DAY), _repaired(), _MET, told)
