"""The relation family: how many neighbours a subject has, and how many of them are flagged.

Neighbours share a person, an address, a shareholding (or branch, successor) or trade (guarantee,
supply) with it; they are flagged by a countable penalty or a failed inspection within 365 days or
by an active listing, each as known at the date. Two hops out are the neighbours' neighbours.

A node that ties more than :data:`FAN_OUT` subjects (a registration agent, a cluster address) is a
hub: its members count the first ``FAN_OUT`` of them by digest, the same for all, and nothing is
followed through it to a second hop. A subject with more nodes or direct ties than that is one too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.features.network import FLAGS, VIAS, Keys, Network, keyed, spread
from models.features.spec import FeatureSpec, empty
from models.features.wording import Phrase, wording
from models.records.contract import Contract
from models.scenarios.scenario import Scenario

FAN_OUT: Final = 50

_Floats: TypeAlias = NDArray[np.float64]

_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "person": ("person_role",),
    "address": ("subject", "relation"),
    "shareholding": ("relation",),
    "trade": ("relation",),
}
"""Tables of which one at least must be there, or a kind of tie is unknown."""
_ALL, _SECOND = "all", "second"
_COUNTS: Final = ("count", "flagged_count", "flagged_share")


def specs(scenario: Scenario, contracts: Mapping[str, Contract]) -> tuple[FeatureSpec, ...]:
    """Return the features of the family; the second hop's where the scenario declares two."""
    del contracts
    words = wording()
    ties = (*VIAS, _ALL, *([_SECOND] * (scenario.features.hops == 2)))
    said: list[tuple[str, Phrase]] = [
        (_name(tie, stat), words.relation_by_tie[stat].said(tie=words.ties[tie]))
        for tie in ties
        for stat in _COUNTS
    ]
    said += list(words.relation.items())
    return tuple(
        FeatureSpec(
            name=name,
            title=phrase.title,
            unit=phrase.unit,
            family="relation",
            dtype="number",
            monotone=words.hint(name),
            reason=phrase.reason,
            table=None,
            window=None,
        )
        for name, phrase in said
    )


def build(
    network: Network,
    wanted: tuple[FeatureSpec, ...],
    *,
    subjects: pl.Series,
    dates: Sequence[date],
) -> pl.DataFrame:
    """Return the columns of ``wanted`` by date and, within it, subject."""
    if not wanted:
        return pl.DataFrame()
    keys = keyed(subjects).to_numpy()
    hops = any(spec.name == _name(_SECOND, "count") for spec in wanted)
    parts = [_as_of(network, keys, on, hops=hops) for on in dates]
    untold = tuple(s for s in wanted if not parts or not _told(s, network.tables))
    made = {c.name: c for c in empty(untold, subjects.len() * len(dates)).iter_columns()}
    for spec in wanted:
        if spec.name not in made:
            values = np.concatenate([part[spec.name] for part in parts])
            made[spec.name] = pl.Series(spec.name, values, nan_to_null=True)
    return pl.DataFrame([made[spec.name] for spec in wanted])


def neighbours(network: Network, subject: str, on: date, *, hops: bool = False) -> dict[str, Keys]:
    """Return, by feature, the digests of whom it counts about one subject as of a date.

    A share has those whom its numerator counts, ``relation_hub`` those whom only hubs tie to it.
    """
    keys = keyed(pl.Series([subject], dtype=pl.String)).to_numpy()
    ties, _ = _ties(network, keys, on)
    flags = network.flags_of(ties.other, on)
    found = {"relation_hub": ties.other[ties.hub]}
    for number, flag in enumerate(FLAGS):
        found[f"relation_{flag}_count"] = ties.other[(flags >> number) & 1 == 1]
    for number, via in enumerate(VIAS):
        chosen = (ties.via >> number) & 1 == 1
        found |= _whom(via, ties.other[chosen], ties.other[chosen & (flags > 0)])
    found |= _whom(_ALL, ties.other, ties.other[flags > 0])
    if hops:
        _, others = _second(network, ties, on)
        found |= _whom(_SECOND, others, others[network.flags_of(others, on) > 0])
    return found


def around(
    network: Network, subjects: pl.Series, on: date, *, wanted: tuple[FeatureSpec, ...]
) -> Keys:
    """Return the digests of all whose flags the ``wanted`` features of subjects look at."""
    if not wanted:
        return np.empty(0, np.uint64)
    ties, _ = _ties(network, keyed(subjects).to_numpy(), on)
    if all(spec.name != _name(_SECOND, "count") for spec in wanted):
        return np.unique(ties.other)
    return np.unique(np.concatenate([ties.other, _second(network, ties, on)[1]]))


def counted_by(
    network: Network, subjects: pl.Series, on: date, *, wanted: tuple[FeatureSpec, ...]
) -> Keys:
    """Return the digests of all whose ``wanted`` features may look at the flags of subjects.

    The other way round than :func:`around`, and wider: through a hub every member may count one.
    """
    hops = any(spec.name == _name(_SECOND, "count") for spec in wanted)
    found = keyed(subjects).to_numpy()
    for _ in range(1 + hops):
        members = network.members_of(network.nodes_of(found), on)["subject"]
        others = network.pairs_of(np.unique(found), on)["other"]
        found = np.unique(np.concatenate([found, members, others])).astype(np.uint64)
    return found


def _whom(tie: str, everyone: Keys, flagged: Keys) -> dict[str, Keys]:
    return dict(
        zip((_name(tie, stat) for stat in _COUNTS), (everyone, flagged, flagged), strict=True)
    )


def _name(tie: str, stat: str) -> str:
    return f"relation_{stat}" if tie == _ALL else f"relation_{tie}_{stat}"


def _told(spec: FeatureSpec, tables: frozenset[str]) -> bool:
    """Tell whether the tables are there that can tell of a feature; without them it is null."""
    part = spec.name.removeprefix("relation_")
    via = next((v for v in VIAS if part.startswith(f"{v}_")), None)
    ties = _NEEDS[via] if via else [table for some in _NEEDS.values() for table in some]
    if tables.isdisjoint(ties):
        return False
    flags = [flag for flag in FLAGS if part == f"{flag}_count"]
    flags = flags or list(FLAGS if "flagged" in part else ())
    return not flags or not tables.isdisjoint(flags)


@dataclass(frozen=True, slots=True, eq=False)
class _Ties:
    """Ties as of a date, in runs of one subject and, in it, one neighbour.

    ``via`` has a bit for each kind of tie; ``hub``: only hubs tie the two.
    """

    subject: Keys
    other: Keys
    via: NDArray[np.uint8]
    hub: NDArray[np.bool_]


def _as_of(network: Network, keys: Keys, on: date, *, hops: bool) -> dict[str, _Floats]:
    """Return every feature as of one date, by name; a value for each of ``keys``."""
    ties, hubs = _ties(network, keys, on)
    flags = network.flags_of(ties.other, on)
    place = _Places.of(keys, ties.subject)
    made: dict[str, _Floats] = {"relation_hub": np.isin(keys, hubs).astype(np.float64)}
    for number, flag in enumerate(FLAGS):
        made[f"relation_{flag}_count"] = place.count((flags >> number) & 1 == 1)
    everyone = np.ones(len(flags), np.bool_)
    kinds = {via: (ties.via >> number) & 1 == 1 for number, via in enumerate(VIAS)}
    for tie, chosen in (*kinds.items(), (_ALL, everyone)):
        made |= _counted(tie, place.count(chosen), place.count(chosen & (flags > 0)))
    if hops:
        subject, other = _second(network, ties, on)
        bad = network.flags_of(other, on) > 0
        place = _Places.of(keys, subject)
        made |= _counted(_SECOND, place.count(np.ones(len(bad), np.bool_)), place.count(bad))
    return made


def _counted(tie: str, count: _Floats, flagged: _Floats) -> dict[str, _Floats]:
    share = np.divide(flagged, count, out=np.full(len(count), np.nan), where=count > 0)
    return dict(zip((_name(tie, stat) for stat in _COUNTS), (count, flagged, share), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Where each tie's subject stands among the wanted ones."""

    size: int
    order: NDArray[np.int64]
    of_ties: NDArray[np.int64]

    @classmethod
    def of(cls, keys: Keys, subjects: Keys) -> _Places:
        order = np.argsort(keys, kind="stable")
        return cls(len(keys), order, np.searchsorted(keys[order], subjects))

    def count(self, chosen: NDArray[np.bool_]) -> _Floats:
        counts = np.zeros(self.size)
        counts[self.order] = np.bincount(self.of_ties[chosen], minlength=self.size)
        return counts


def _ties(network: Network, keys: Keys, on: date) -> tuple[_Ties, Keys]:
    """Return the ties of ``keys`` as of a date, and which of them have a hub among their ties."""
    wanted = np.unique(keys)
    shared = _shared(network, wanted, on)
    pairs = network.pairs_of(wanted, on)
    subject, other = pairs["subject"].astype(np.uint64), pairs["other"].astype(np.uint64)
    via = pairs["via"].astype(np.uint8)
    kept, many = _first(subject, via, other)
    subject = np.concatenate([shared[0], subject[kept]])
    other = np.concatenate([shared[1], other[kept]])
    via = np.concatenate([shared[2], via[kept]])
    hub = np.concatenate([shared[3], many[kept]])
    return _joined(subject, other, np.left_shift(np.uint8(1), via), hub), np.unique(subject[hub])


def _shared(
    network: Network, wanted: Keys, on: date
) -> tuple[Keys, Keys, NDArray[np.uint8], NDArray[np.bool_]]:
    """Return subject, other, kind and whether a hub ties them, of those who share a node."""
    members = network.members_of(network.nodes_of(wanted), on)
    node, subject = members["node"].astype(np.uint64), members["subject"].astype(np.uint64)
    via = members["via"].astype(np.uint8)
    _, begins, inverse, sizes = np.unique(
        node, return_index=True, return_inverse=True, return_counts=True
    )
    own = np.flatnonzero(_among(subject, wanted) & (sizes[inverse] > 1))
    kept, many = _first(subject[own], via[own], node[own])
    own, many = own[kept], many[kept]
    size = sizes[inverse[own]]
    lengths = np.minimum(size, FAN_OUT)
    others = subject[spread(begins[inverse[own]], lengths)]
    repeated = np.repeat(own, lengths)
    apart = subject[repeated] != others
    hub = np.repeat(many | (size > FAN_OUT), lengths)
    return subject[repeated][apart], others[apart], via[repeated][apart], hub[apart]


def _first(
    subject: Keys, via: NDArray[np.uint8], by: Keys
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the places of the first ``FAN_OUT`` rows of each subject and kind of tie.

    Beside them, for every row: whether its subject has more of its kind.
    """
    order = np.lexsort((by, via, subject))
    rank, size = _ranked(_changes(subject[order], via[order]))
    many = np.zeros(len(order), np.bool_)
    many[order] = size > FAN_OUT
    return order[rank < FAN_OUT], many


def _changes(*columns: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Tell of each row whether a run of equal values begins with it."""
    begins = np.zeros(len(columns[0]), np.bool_)
    begins[:1] = True
    for values in columns:
        begins[1:] |= values[1:] != values[:-1]
    return begins


def _ranked(begins: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each row's place in its run, and how long the run is."""
    starts = np.flatnonzero(begins)
    lengths = np.diff(np.append(starts, len(begins)))
    return np.arange(len(begins)) - np.repeat(starts, lengths), np.repeat(lengths, lengths)


def _among(values: Keys, wanted: Keys) -> NDArray[np.bool_]:
    """Tell which values are among ``wanted``, which ascend."""
    if not len(wanted):
        return np.zeros(len(values), np.bool_)
    places = np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)
    return wanted[places] == values


def _joined(subject: Keys, other: Keys, via: NDArray[np.uint8], hub: NDArray[np.bool_]) -> _Ties:
    """Lay the ties of two subjects together."""
    order = np.lexsort((other, subject))
    subject, other = subject[order], other[order]
    starts = np.flatnonzero(_changes(subject, other))
    if not len(starts):
        return _Ties(subject, other, via, hub)
    return _Ties(
        subject[starts],
        other[starts],
        np.bitwise_or.reduceat(via[order], starts),
        np.logical_and.reduceat(hub[order], starts),
    )


def _step(ties: _Ties) -> tuple[Keys, Keys]:
    """Return the first ``FAN_OUT`` neighbours of each subject that not only hubs tie to it."""
    subject, other = ties.subject[~ties.hub], ties.other[~ties.hub]
    rank, _ = _ranked(_changes(subject))
    return subject[rank < FAN_OUT], other[rank < FAN_OUT]


def _second(network: Network, first: _Ties, on: date) -> tuple[Keys, Keys]:
    """Return those two steps away from each subject, neither itself nor its neighbours."""
    subject, middle = _step(first)
    beyond, far = _step(_ties(network, middle, on)[0])
    starts = np.searchsorted(beyond, middle, side="left")
    lengths = np.searchsorted(beyond, middle, side="right") - starts
    subject, other = np.repeat(subject, lengths), far[spread(starts, lengths)]
    # neighbours come first among equals, and with them falls whoever is one of them
    near = np.concatenate([np.zeros(len(first.subject), np.int8), np.ones(len(subject), np.int8)])
    subjects = np.concatenate([first.subject, subject])
    others = np.concatenate([first.other, other])
    order = np.lexsort((near, others, subjects))
    kept = order[_changes(subjects[order], others[order])]
    kept = kept[(near[kept] == 1) & (subjects[kept] != others[kept])]
    return subjects[kept], others[kept]
