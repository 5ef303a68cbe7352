"""Guidance: the smallest set of lawful changes that lowers a subject's grade, and what follows.

What can be changed is told by :mod:`.changes`. What would follow is not guessed: the subject's
records are changed, its features built anew by the very pipeline, and decided again. Sets are tried
from the smallest up; as long as ``limit`` rebuilds suffice, every set of a size is, so that no
smaller one exists. Beyond that changes are taken one by one, each time the best, or taken back from
all at once, and the answer is small but not proven to be the smallest.

Guidance is for the subject and the officer. It promises nothing: the authority decides on every
application, and the grade that follows is that of the same day with the records changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import combinations
from math import comb
from typing import Final, Literal, TypeAlias

import polars as pl

from models.decide import decide
from models.errors import ConfigError
from models.features.evidence import Cited
from models.features.pipeline import Pipeline
from models.features.reference import Reference
from models.features.spec import SUBJECT
from models.records.reading import MemoryRecords, Records
from models.risk.bundle import Bundle
from models.risk.changes import Change, Changes, Fixed, applied, changes_of
from models.risk.explain import explain
from models.risk.remedies import remedies
from models.scenarios.cohort import funnel
from models.scenarios.scenario import Scenario

Outcome: TypeAlias = Literal["grade", "score", "no_effect", "nothing", "best"]

LIMIT: Final = 100
_LEAST: Final = 0.5
"""Points of risk score below which a change is no use to anyone."""

_Set: TypeAlias = frozenset[int]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a subject stands: what :func:`models.decide.decide` says of it."""

    grade: str
    risk_score: float
    probability: float
    vetoes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A change, and how the subject stands once it and those before it are made."""

    change: Change
    after: Standing


@dataclass(frozen=True, slots=True)
class Guidance:
    """What a subject can do as of a date, in order, and what cannot be changed.

    ``outcome``: ``grade`` the steps lower the grade; ``score`` nothing does, but they lower the
    score; ``no_effect`` nothing that can be done now lowers it; ``nothing`` nothing can be done
    now; ``best`` it has the best grade. ``smallest``: every smaller set was tried. ``later`` can
    be applied for only from a day to come; ``fixed`` ends by itself or not at all.
    """

    subject_id: str
    as_of: date
    scenario: str
    outcome: Outcome
    before: Standing
    steps: tuple[Step, ...]
    smallest: bool
    tried: int
    later: tuple[Change, ...]
    fixed: tuple[Fixed, ...]

    @property
    def after(self) -> Standing:
        """Return how the subject stands once all steps are made."""
        return self.steps[-1].after if self.steps else self.before


def guide(
    records: Records,
    bundle: Bundle,
    subject: str,
    as_of: date,
    *,
    reference: Reference | None = None,
    pipeline: Pipeline | None = None,
    previous: pl.DataFrame | None = None,
    limit: int = LIMIT,
) -> Guidance:
    """Return what lowers the subject's grade as of a date with the fewest changes.

    ``records`` are those of the whole population, or with ``reference`` the subject's own suffice.
    ``pipeline`` is that of the scenario in force, whose grades may have been changed since the fit,
    and of contracts beyond the built-in ones (default: the bundle's). ``previous`` are decisions in
    force, as for :func:`models.decide.decide`; the grade of today is held against a
    grade that follows as it would be tomorrow. ``limit`` bounds how often features are built anew.

    Raises:
        ConfigError: nothing is known of the subject, or it is not in the scenario's cohort as of
            the date (the message says why), or ``limit`` is below 1.
        BundleError: the bundle does not go with the scenario or the contracts.
    """
    if limit < 1:
        raise ConfigError(f"limit is {limit}; at least one change must be tried")
    pipeline = pipeline or Pipeline.of(bundle.scenario)
    bundle.check(pipeline.scenario, pipeline.features)
    own = own_records(records, pipeline.scenario, subject, as_of)
    known = reference or _reference(pipeline, records, as_of)
    tables = pipeline.scenario.features.tables
    found = changes_of(own, subject, as_of, tables=tables, around=records)
    trial = _Trial(own, pipeline, known, bundle, subject, as_of, found.now, previous, limit)
    before = trial.standing(frozenset())
    chosen, smallest = _chosen(trial, before)
    steps = tuple(trial.steps(chosen))
    return Guidance(
        subject_id=subject,
        as_of=as_of,
        scenario=pipeline.scenario.id,
        outcome=_outcome(trial, before, chosen),
        before=before,
        steps=steps,
        smallest=smallest,
        tried=trial.tried,
        later=found.later,
        fixed=(*found.fixed, *_facts(trial, found)),
    )


@dataclass(eq=False)
class _Trial:
    """Sets of changes tried out on one subject; each set is built and decided once."""

    own: MemoryRecords
    pipeline: Pipeline
    reference: Reference
    bundle: Bundle
    subject: str
    as_of: date
    changes: Sequence[Change]
    previous: pl.DataFrame | None
    limit: int
    known: dict[_Set, Standing] = field(default_factory=dict[_Set, Standing])
    decided: pl.DataFrame | None = None

    @property
    def tried(self) -> int:
        """Return how many sets of changes were tried."""
        return max(len(self.known) - 1, 0)

    @property
    def left(self) -> int:
        """Return how many more may be."""
        return self.limit - self.tried

    def place(self, grade: str) -> int:
        """Return the place of a grade; 0 is the best."""
        return list(self.pipeline.scenario.grades).index(grade)

    def features(self, chosen: _Set) -> pl.DataFrame:
        """Return the subject's features once the chosen changes are made."""
        records = applied(self.own, [self.changes[place] for place in sorted(chosen)])
        return self.pipeline.build(
            records,
            [self.as_of],
            subjects=[self.subject],
            reference=self.reference,
            check_ids=False,
        )

    def standing(self, chosen: _Set) -> Standing:
        """Return how the subject stands then; the first asked must be without any change."""
        if chosen not in self.known:
            before = self.previous if self.decided is None else self.decided
            rows = decide(
                self.features(chosen), self.pipeline.scenario, self.bundle, previous=before
            )
            if self.decided is None:
                self.decided = rows
            row = rows.row(0, named=True)
            self.known[chosen] = Standing(
                row["grade"], row["risk_score"], row["probability"], tuple(row["vetoes"])
            )
        return self.known[chosen]

    def rank(self, chosen: _Set) -> tuple[int, float]:
        """Return the place of the grade and the score: less is better."""
        standing = self.standing(chosen)
        return self.place(standing.grade), standing.risk_score

    def lowers(self, chosen: _Set) -> bool:
        """Tell whether the grade is then better than without any change."""
        return self.rank(chosen)[0] < self.rank(frozenset())[0]

    def steps(self, chosen: _Set) -> list[Step]:
        """Return the chosen changes in the order in which they help most."""
        made: _Set = frozenset()
        steps: list[Step] = []
        while made != chosen:
            best = min(sorted(chosen - made), key=lambda place: self.rank(made | {place}))
            made |= {best}
            steps.append(Step(self.changes[best], self.standing(made)))
        return steps


def _chosen(trial: _Trial, before: Standing) -> tuple[_Set, bool]:
    """Return the set to propose, and whether every smaller one was tried."""
    everything = frozenset(range(len(trial.changes)))
    if not everything or trial.place(before.grade) == 0:
        return frozenset(), True
    size = 1
    while size <= len(everything) and comb(len(everything), size) <= trial.left:
        tried = [frozenset(some) for some in combinations(sorted(everything), size)]
        lowering = [some for some in tried if trial.lowers(some)]
        if lowering:
            return min(lowering, key=lambda some: (trial.rank(some), sorted(some))), True
        size += 1
    complete = size > len(everything)
    small = frozenset[int]() if complete else _gathered(trial, everything)
    if trial.lowers(small):
        return small, False
    if complete or not trial.lowers(everything):
        return _for_the_score(trial, everything), complete
    return _pruned(trial, everything), False


def _gathered(trial: _Trial, everything: _Set) -> _Set:
    """Return changes taken one by one, the best each time, until the grade is better."""
    made: _Set = frozenset()
    while made != everything and not trial.lowers(made):
        if trial.left < len(everything - made):
            break
        best = min(sorted(everything - made), key=lambda place: trial.rank(made | {place}))
        made |= {best}
    return _pruned(trial, made) if trial.lowers(made) else made


def _pruned(trial: _Trial, made: _Set) -> _Set:
    """Return what is left when each change that is not needed for the grade is taken back."""
    alone = {one: trial.known.get(frozenset({one})) for one in made}
    helps = {one: standing.risk_score if standing else 0.0 for one, standing in alone.items()}
    kept = made
    for place in sorted(made, key=lambda one: (-helps[one], one)):
        if trial.left > 0 and trial.lowers(kept - {place}):
            kept -= {place}
    return kept


def _for_the_score(trial: _Trial, everything: _Set) -> _Set:
    """Return changes that each lower the score, where nothing lowers the grade."""
    made: _Set = frozenset()
    while made != everything and trial.left >= len(everything - made):
        best = min(sorted(everything - made), key=lambda place: trial.rank(made | {place}))
        if trial.rank(made)[1] - trial.rank(made | {best})[1] < _LEAST:
            break
        made |= {best}
    return made


def _outcome(trial: _Trial, before: Standing, chosen: _Set) -> Outcome:
    if trial.place(before.grade) == 0:
        return "best"
    if not trial.changes:
        return "nothing"
    if not chosen:
        return "no_effect"
    return "grade" if trial.lowers(chosen) else "score"


def _facts(trial: _Trial, found: Changes) -> list[Fixed]:
    """Return the records behind what raises the risk that no remedy is about, newest first.

    They leave by themselves on the first day on which they lie outside every window.
    """
    told = {one.record_id for change in (*found.now, *found.later) for one in change.records} | {
        one.record.record_id for one in found.fixed
    }
    (why,) = explain(trial.features(frozenset()), trial.bundle, records=trial.own)
    longest = max(window.days for window in trial.pipeline.scenario.features.windows)
    facts: dict[str, Cited] = {
        one.record_id: one
        for reason in why.reasons
        for one in reason.evidence or ()
        if one.neighbour is None and one.table != "subject" and one.record_id not in told
    }
    rule = remedies().words["fact"]
    ordered = sorted(facts.values(), key=lambda one: (_days(one), one.record_id))
    return [Fixed(one, rule, (), _leaves(one, longest)) for one in ordered]


def _days(one: Cited) -> int:
    return -one.happened_on.toordinal() if one.happened_on else 0


def _leaves(one: Cited, longest: int) -> date | None:
    """Return the first date of view whose longest window no longer holds the record."""
    return one.happened_on and one.happened_on + timedelta(days=longest + 1)


def _reference(pipeline: Pipeline, records: Records, as_of: date) -> Reference:
    network = pipeline.network([records])
    base = pipeline.base(records, [as_of], network=network)
    return Reference(pipeline.digest, (as_of,), network, pipeline.distributions(base))


def own_records(records: Records, scenario: Scenario, subject: str, as_of: date) -> MemoryRecords:
    """Return the subject's own rows of the tables that the scenario reads, in memory.

    Raises :class:`ConfigError` where nothing is known of the subject, or it is not in the cohort.
    """
    mine = pl.col(SUBJECT) == subject
    there = scenario.tables.intersection(records.tables())
    own = MemoryRecords({t: records.frame(t).filter(mine).collect() for t in sorted(there)})
    _check_subject(own, scenario, subject, as_of)
    return own


def _check_subject(own: MemoryRecords, scenario: Scenario, subject: str, as_of: date) -> None:
    if all(frame.is_empty() for frame in own.frames.values()):
        raise ConfigError(
            f"nothing is known of subject '{subject}'; check its 统一社会信用代码, or import its "
            "records first"
        )
    left = funnel(own, scenario, as_of)
    failing = next((stage for stage, count in left.items() if not count), None)
    if failing is not None:
        raise ConfigError(
            f"subject '{subject}' is not in the cohort of '{scenario.id}' as of {as_of}: it fails "
            f"at '{failing}'; only a subject that the scenario grades has reasons and guidance"
        )
