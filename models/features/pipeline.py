"""The feature pipeline: from records to one row for each subject and date of view.

One code for a whole lake, one of its buckets, and the records of one subject in memory. What a row
needs of other subjects (neighbours' flags, the figures of peers) comes from a
:class:`~models.features.reference.Reference`, and without one from the records themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from models.errors import ConfigError
from models.features import area, catalogue, identity, peers, relation, subject, tables, text
from models.features.network import Network
from models.features.reference import Reference
from models.features.spec import AS_OF, KEYS, SUBJECT, FeatureSpec
from models.features.subject import GROUPS
from models.features.window import WindowSpec
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.reading import Records
from models.scenarios.cohort import cohorts
from models.scenarios.scenario import Scenario


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """A scenario made ready: its catalogue and what of it each family makes.

    Keep it where many rows are built one after another; making it takes longer than a row.
    """

    scenario: Scenario
    features: tuple[FeatureSpec, ...]
    digest: str
    windows: tuple[WindowSpec, ...]

    @classmethod
    def of(cls, scenario: Scenario, contracts: Mapping[str, Contract] = CONTRACTS) -> Pipeline:
        """Prepare the scenario; :class:`ConfigError` for an unknown table."""
        features = catalogue.features_of(scenario, contracts)
        declared = "window" in scenario.features.families
        windows = tables.window_specs(scenario, contracts) if declared else ()
        return cls(scenario, features, catalogue.digest(features), windows)

    def family(self, name: str) -> tuple[FeatureSpec, ...]:
        """Return the features of one family."""
        return tuple(spec for spec in self.features if spec.family == name)

    @property
    def related(self) -> bool:
        """Tell whether rows need to know of others: of ties, or of how those alike fare."""
        return bool(self.family("relation") or self.family("area"))

    def network(
        self, parts: Iterable[Records], *, advance: Callable[[int], None] | None = None
    ) -> Network:
        """Return what rows need to know of others, from the parts of a population."""
        outcomes = bool(self.family("area"))
        return Network.of(parts if self.related else (), advance=advance, outcomes=outcomes)

    def build(
        self,
        records: Records,
        dates: Sequence[date],
        *,
        subjects: Sequence[str] | None = None,
        reference: Reference | None = None,
        check_ids: bool = True,
    ) -> pl.DataFrame:
        """Return the feature frame; see :func:`build`."""
        check_dates(dates)
        if reference is not None:
            reference.check(self.digest)
            network, distributions = reference.network, reference.peers
        else:
            network = self.network([records])
            distributions = None
        if subjects is None or (distributions is None and self.family("peers")):
            base = self.base(records, dates, network=network, check_ids=check_ids)
            distributions = distributions or self.distributions(base)
            if subjects is None:
                return self.finish(base, distributions)
        own = self.base(records, dates, network=network, subjects=subjects, check_ids=check_ids)
        return self.finish(own, distributions or self.distributions(own))

    def base(
        self,
        records: Records,
        dates: Sequence[date],
        *,
        network: Network,
        subjects: Sequence[str] | None = None,
        check_ids: bool = True,
    ) -> pl.DataFrame:
        """Return everything but the peers family, and the columns by which peers are found.

        This is the work of one bucket: of all its cohort's members, or of ``subjects``.
        """
        days = sorted(dates)
        if subjects is None:
            members = cohorts(records, self.scenario, days)
            wanted = members[SUBJECT].unique().sort()
        else:
            members, wanted = None, pl.Series(SUBJECT, sorted(subjects), dtype=pl.String)
        grid = _grid(wanted, days)
        parts = [
            tables.build(records, spec, subjects=wanted, dates=days, check_ids=check_ids)
            for spec in self.windows
        ]
        parts += [
            subject.build(records, subjects=wanted, dates=days),
            relation.build(network, self.family("relation"), subjects=wanted, dates=days),
            text.build(records, self.family("text"), subjects=wanted, dates=days),
        ]
        parts += self._alike(
            records, pl.concat([grid, parts[len(self.windows)]], how="horizontal"), days, network
        )
        whole = {c.name: c for part in (grid, *parts) for c in part.iter_columns()}
        own = [spec.name for spec in self.features if spec.family != "peers"]
        rows = pl.DataFrame([whole[name] for name in (*KEYS, *own, *GROUPS)])
        if members is None:
            return rows
        return rows.join(members, on=KEYS, how="semi", maintain_order="left")

    def _alike(
        self, records: Records, register: pl.DataFrame, days: Sequence[date], network: Network
    ) -> list[pl.DataFrame]:
        """Return what codes and names say, and how those alike fare.

        ``register`` has the grid and what the subject family tells, its groups among it.
        """
        areas, wanted = self.family("area"), self.family("identity")
        if not (areas or wanted):
            return []
        subjects = register[SUBJECT].slice(0, register.height // len(days))
        told = identity.build(records, wanted, subjects=subjects, dates=days)
        if not areas:
            return [told]
        base = pl.concat(
            [register.select(SUBJECT, "_division"), told.select(identity.GROUPS)], how="horizontal"
        )
        made = area.build(network.outcomes, records, self.scenario, base=base, dates=days)
        return [told, area.lacking(made, areas, base.height)]

    def counts(self, base: pl.DataFrame) -> pl.DataFrame:
        """Return what one part of the population adds to the distributions of peers."""
        return peers.count(base, self.family("peers"))

    def distributions(self, *bases: pl.DataFrame) -> peers.Peers:
        """Return the distributions of peers over the parts of a population."""
        return peers.Peers.of(self.counts(base) for base in bases)

    def finish(self, base: pl.DataFrame, distributions: peers.Peers) -> pl.DataFrame:
        """Return the feature frame of rows of :meth:`base`: with percentiles, in order."""
        placed = distributions.place(base, self.family("peers"))
        whole = {c.name: c for part in (base, placed) for c in part.iter_columns()}
        return pl.DataFrame([whole[name] for name in (*KEYS, *(s.name for s in self.features))])

    def schema(self) -> pl.Schema:
        """Return the columns of the feature frame."""
        own = {spec.name: spec.polars for spec in self.features}
        return pl.Schema({SUBJECT: pl.String(), AS_OF: pl.Date(), **own})


def build(
    records: Records,
    scenario: Scenario,
    dates: Sequence[date],
    *,
    subjects: Sequence[str] | None = None,
    reference: Reference | None = None,
    contracts: Mapping[str, Contract] = CONTRACTS,
    check_ids: bool = True,
) -> pl.DataFrame:
    """Return the features of a scenario's cohort, or of ``subjects``, as of each of ``dates``.

    Columns: ``subject_id`` String, ``as_of`` Date, then the features in the catalogue's order,
    Float64 or String; rows by date, then subject. Counts and sums are 0 where there is nothing;
    what was never there (recency, shares, maxima) or is not known (a table that ``records`` lack)
    is null. A subject without records has such a row too.

    With ``subjects`` every one of them gets a row for every date, in the cohort or not. Without
    ``reference`` the records must be the whole population, since neighbours and peers are taken
    from them. Frames in memory name every table there is, empty where a subject has no rows.

    Raises:
        ConfigError: an unknown table, a repeated date or subject, or a reference of another
            catalogue or without a date.
        RecordError: a record id occurs twice (``check_ids``), or a column has a wrong type.
    """
    return Pipeline.of(scenario, contracts).build(
        records, dates, subjects=subjects, reference=reference, check_ids=check_ids
    )


def reference_of(
    records: Records,
    scenario: Scenario,
    dates: Sequence[date],
    *,
    contracts: Mapping[str, Contract] = CONTRACTS,
) -> Reference:
    """Return the reference that :func:`build` would take from these records: a whole population."""
    pipeline = Pipeline.of(scenario, contracts)
    network = pipeline.network([records])
    base = pipeline.base(records, dates, network=network)
    return Reference(pipeline.digest, tuple(sorted(dates)), network, pipeline.distributions(base))


def _grid(subjects: pl.Series, dates: Sequence[date]) -> pl.DataFrame:
    ids = pl.concat([subjects] * len(dates)) if dates else subjects.clear()
    days = pl.Series(AS_OF, dates, dtype=pl.Date)
    return pl.DataFrame(
        [ids.alias(SUBJECT), days.repeat_by(subjects.len()).explode(empty_as_null=False)]
    )


def check_dates(dates: Sequence[date]) -> None:
    """Raise :class:`ConfigError` for no date at all, or one that is given twice."""
    if not dates:
        raise ConfigError("no date of view is given; give one at least")
    twice = sorted({on for on in dates if list(dates).count(on) > 1})
    if twice:
        raise ConfigError(f"the date {twice[0]} is given twice; a subject has one row for a date")
