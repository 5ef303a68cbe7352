"""Flags of a few subjects, told anew over a network of everybody."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from models.features import pipeline, relation
from models.features.amended import Amended
from models.features.digest import keyed
from models.features.network import Network
from models.features.reference import Reference
from models.features.spec import FeatureSpec
from models.records.reading import MemoryRecords
from tests.models.features.firms import AS_OF, FIRMS, firm, penalty, records, role, scenario, tie

TIED = scenario("{tables: [penalty], windows: [365d], families: [relation], hops: 2}")
ROWS = {
    "subject": [firm(n) for n in range(5)],
    "person_role": [role(0, "P1"), role(1, "P1")],
    "relation": [tie(1, 2, "supply"), tie(3, 4, "supply")],
}


def wanted() -> tuple[FeatureSpec, ...]:
    return pipeline.Pipeline.of(TIED).family("relation")


def told(reference: Reference, number: int) -> dict[str, object]:
    own = records(**ROWS)
    built = pipeline.build(own, TIED, [AS_OF], subjects=[FIRMS[number]], reference=reference)
    return built.row(0, named=True)


def amended(reference: Reference, whole: MemoryRecords, *numbers: int) -> Reference:
    subjects = pl.Series([FIRMS[n] for n in numbers], dtype=pl.String)
    mine = {
        table: frame.filter(pl.col("subject_id").is_in(subjects.implode()))
        for table, frame in whole.frames.items()
    }
    network = Amended.over(reference.network, subjects, MemoryRecords(mine))
    return replace(reference, network=network)


@pytest.mark.parametrize("number", range(5))
def test_what_is_told_anew_is_what_a_new_network_says(number: int) -> None:
    before = records(**ROWS, penalty=[penalty(1), penalty(3)])
    gone = penalty(1, void_from=date(2024, 9, 1), void_reason="repaired")
    after = records(**ROWS, penalty=[gone, penalty(3)])
    old, new = (pipeline.reference_of(one, TIED, [AS_OF]) for one in (before, after))
    assert told(amended(old, after, 1), number) == told(new, number)
    assert told(amended(old, before, 1, 3), number) == told(old, number)
    assert told(amended(old, after), number) == told(old, number)


def test_a_record_that_counts_again_is_seen_again() -> None:
    gone = penalty(1, void_from=date(2024, 9, 1), void_reason="repaired")
    undone = penalty(1, void_from=date(9999, 12, 31), void_reason="repaired")
    void, plain, back = (records(**ROWS, penalty=[one]) for one in (gone, penalty(1), undone))
    old = pipeline.reference_of(void, TIED, [AS_OF])
    assert told(old, 0)["relation_flagged_count"] == 0.0
    again = told(amended(old, back, 1), 0)
    assert again == told(pipeline.reference_of(plain, TIED, [AS_OF]), 0)
    assert again["relation_flagged_count"] == 1.0


def test_whom_features_look_at_and_who_looks_at_one_are_each_others_other_side() -> None:
    network = Network.of([records(**ROWS)])
    keys = {n: int(keyed(pl.Series([FIRMS[n]], dtype=pl.String))[0]) for n in range(5)}

    def of(found: np.ndarray) -> set[int]:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
        return {n for n, key in keys.items() if key in found}

    for number in range(5):
        one = pl.Series([FIRMS[number]], dtype=pl.String)
        looked = of(relation.around(network, one, AS_OF, wanted=wanted()))
        by = of(relation.counted_by(network, one, AS_OF, wanted=wanted()))
        assert looked == {0: {1, 2}, 1: {0, 2}, 2: {0, 1}, 3: {4}, 4: {3}}[number]
        assert looked | {number} == by
    assert not len(relation.around(network, pl.Series([FIRMS[0]]), AS_OF, wanted=()))
