"""One subject at a time, with a reference of the others: as served after a nightly batch."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from models.errors import ConfigError
from models.features.pipeline import Pipeline, build, reference_of
from models.features.reference import Reference
from models.records.contracts import CONTRACTS
from models.records.reading import MemoryRecords
from tests.models.features.firms import (
    AS_OF,
    FIRMS,
    Row,
    firm,
    penalty,
    records,
    role,
    scenario,
    tie,
)

DECLARED = scenario("{tables: [penalty, complaint], windows: [90d, 365d], hops: 2}")
TABLES: dict[str, list[Row]] = {
    "subject": [firm(n, industry="C1495", region="210102") for n in range(40)],
    "penalty": [penalty(n, fine_amount=100.0 * n) for n in range(0, 40, 3)],
    "complaint": [{"subject_id": FIRMS[n], "happened_on": date(2024, 8, 1)} for n in range(5)],
    "person_role": [role(n, f"P{n // 3}") for n in range(40)],
    "relation": [tie(n, n + 4, "supply") for n in range(30)],
}
EVERYTHING = records(**TABLES)


def own(number: int) -> MemoryRecords:
    """Return one subject's records, as a lake gives them."""
    return MemoryRecords(
        {name: f.filter(subject_id=FIRMS[number]) for name, f in EVERYTHING.frames.items()}
    )


def test_a_kept_reference_gives_the_bits_of_the_batch(tmp_path: Path) -> None:
    whole = build(EVERYTHING, DECLARED, [AS_OF])
    reference_of(EVERYTHING, DECLARED, [AS_OF]).save(tmp_path / "reference")
    reference = Reference.load(tmp_path / "reference")
    assert reference.dates == (AS_OF,)
    pipeline = Pipeline.of(DECLARED)
    for number in range(40):
        alone = pipeline.build(own(number), [AS_OF], subjects=[FIRMS[number]], reference=reference)
        assert_frame_equal(alone, whole.filter(subject_id=FIRMS[number]), check_exact=True)


def test_many_at_once_are_what_each_is_alone() -> None:
    reference = reference_of(EVERYTHING, DECLARED, [AS_OF])
    some = [FIRMS[n] for n in (7, 3, 11)]
    asked = build(EVERYTHING, DECLARED, [AS_OF], subjects=some, reference=reference)
    whole = build(EVERYTHING, DECLARED, [AS_OF])
    assert_frame_equal(asked, whole.filter(whole["subject_id"].is_in(some)))


def test_records_of_a_moment_ago_count() -> None:
    reference = reference_of(EVERYTHING, DECLARED, [AS_OF])
    frames = dict(own(1).frames)
    frames["penalty"] = records(penalty=[penalty(1, date(2024, 12, 30))]).frames["penalty"]
    row = build(
        MemoryRecords(frames), DECLARED, [AS_OF], subjects=[FIRMS[1]], reference=reference
    ).row(0, named=True)
    assert row["penalty_count_90d"] == 1
    assert row["peers_penalty_count_365d"] > 0.5


def test_neighbours_records_can_stand_for_the_network() -> None:
    near = {FIRMS[n] for n in (4, 3, 5, 8, 0)}
    some = MemoryRecords(
        {n: f.filter(f["subject_id"].is_in(near)) for n, f in EVERYTHING.frames.items()}
    )
    one_hop = scenario("{tables: [penalty], windows: [365d], families: [window, relation]}")
    alone = build(some, one_hop, [AS_OF], subjects=[FIRMS[4]])
    whole = build(EVERYTHING, one_hop, [AS_OF]).filter(subject_id=FIRMS[4])
    assert_frame_equal(alone, whole, check_exact=True)


def test_a_subject_that_the_reference_does_not_know_has_no_neighbours() -> None:
    reference = reference_of(EVERYTHING, DECLARED, [AS_OF])
    row = build(records(), DECLARED, [AS_OF], subjects=[FIRMS[99]], reference=reference).row(
        0, named=True
    )
    assert row["relation_count"] == 0
    assert row["peers_penalty_count_365d"] is not None


def test_a_reference_of_other_features_is_refused() -> None:
    other = scenario("{tables: [penalty], windows: [365d]}")
    reference = reference_of(EVERYTHING, other, [AS_OF])
    with pytest.raises(ConfigError, match="build it again"):
        build(EVERYTHING, DECLARED, [AS_OF], reference=reference)


def test_a_reference_of_another_date_is_refused() -> None:
    reference = reference_of(EVERYTHING, DECLARED, [AS_OF])
    with pytest.raises(ConfigError, match="no distribution as of 2025-06-01"):
        build(EVERYTHING, DECLARED, [date(2025, 6, 1)], subjects=FIRMS[:1], reference=reference)


def test_a_folder_without_a_reference_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no reference"):
        Reference.load(tmp_path)


def test_no_name_or_number_stands_in_a_reference(tmp_path: Path) -> None:
    reference_of(EVERYTHING, DECLARED, [AS_OF]).save(tmp_path)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert FIRMS[0].encode() not in content
        assert b"P0" not in content or path.suffix == ".json"
    assert json.loads((tmp_path / "reference.json").read_text())["tables"] == sorted(
        {"person_role", "subject", "relation", "penalty", "listing", "inspection"} & set(CONTRACTS)
    )
