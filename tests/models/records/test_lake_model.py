"""Any sequence of merges, fills and compactions leaves what a dictionary would hold."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.records.lake import Lake, Merged

Row = dict[str, str | float | None]
SCHEMA = {
    "record_id": pl.String,
    "subject_id": pl.String,
    "known_assumed": pl.Boolean,
    "source_ref": pl.String,
    "amount": pl.Float64,
    "note": pl.String,
}
CONTENT = ("subject_id", "amount", "note")

rows = st.fixed_dictionaries(
    {
        "record_id": st.sampled_from([f"r{n}" for n in range(8)]),
        "subject_id": st.sampled_from(["甲", "乙", "丙", "丁"]),
        "known_assumed": st.sampled_from([True, False, None]),
        "source_ref": st.sampled_from(["a.csv#1", "b.csv#2"]),
        "amount": st.sampled_from([None, 0.0, 1.5, float("nan")]),
        "note": st.sampled_from([None, "x", "y"]),
    }
)
batches = st.lists(rows, max_size=8, unique_by=lambda row: row["record_id"])


@dataclass(frozen=True)
class Merge:
    rows: list[Row]
    fill: bool
    noted: bool


steps = st.one_of(
    st.builds(Merge, rows=batches, fill=st.booleans(), noted=st.booleans()),
    st.just("compact"),
)


def same(left: object, right: object) -> bool:
    """Compare as the lake does: null equals null and NaN equals NaN."""
    return left == right or (left != left and right != right)  # noqa: PLR0124


@dataclass
class Model:
    """A lake of one table, as a dictionary."""

    table: dict[str, Row] = field(default_factory=dict[str, Row])

    def merge(self, step: Merge) -> tuple[int, int, int]:
        names = [name for name in SCHEMA if step.noted or name != "note"]
        counts = [0, 0, 0]
        for row in step.rows:
            counts[self._merge_row({name: row[name] for name in names}, fill=step.fill)] += 1
        return counts[0], counts[1], counts[2]

    def _merge_row(self, row: Row, *, fill: bool) -> int:
        key = str(row["record_id"])
        if key not in self.table:
            self.table[key] = row
            return 0
        old = self.table[key]
        after = old | row
        kept = row if fill else ("known_assumed",)
        after |= {name: old[name] for name in kept if old.get(name) is not None}
        if all(same(old.get(name), after.get(name)) for name in CONTENT):
            return 2
        self.table[key] = after
        return 1

    def frame(self, columns: list[str]) -> pl.DataFrame:
        held = [{name: row.get(name) for name in columns} for row in self.table.values()]
        schema = {name: SCHEMA[name] for name in columns}
        return pl.DataFrame(held, schema=schema).sort("record_id")


@settings(max_examples=40)
@given(st.lists(steps, min_size=1, max_size=8), st.integers(1, 4))
def test_a_lake_is_a_dictionary_with_versions(plan: list[Merge | str], buckets: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake, model = Lake.open(folder, buckets=buckets), Model()
        past: dict[int, pl.DataFrame] = {}
        for step in plan:
            before = lake.versions().get("event")
            if isinstance(step, str):
                if before is not None:
                    lake.compact("event")
            else:
                frame = pl.DataFrame(step.rows, schema=SCHEMA)
                done = lake.merge(
                    "event", frame if step.noted else frame.drop("note"), fill=step.fill
                )
                assert (done.inserted, done.updated, done.unchanged) == model.merge(step)
                wrote = done.inserted + done.updated > 0 or before is None
                expected = (-1 if before is None else before) + wrote
                assert done == Merged(done.inserted, done.updated, done.unchanged, expected)
            if lake.tables():
                now = lake.scan("event").collect().sort("record_id")
                assert_frame_equal(now, model.frame(now.columns))
                past[lake.version("event")] = now
        for version, state in past.items():
            found = lake.scan("event", version=version).collect().sort("record_id")
            assert_frame_equal(found, state)
