"""A province goes through import whole: nothing lost, its dirt named, its clean rows untouched."""

from __future__ import annotations

import polars as pl
import pytest

from models.records.bookkeeping import IMPORT_RUN, QUARANTINE
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from training.quality import measure_lake, met
from training.sources.mapping import load_mapping
from training.sources.run import Tally, import_mapping
from training.synth import Rates, Summary, make_province, truth
from training.synth.spec import DIRT

PLACE = ["file", "line", "rule"]


@pytest.fixture(scope="module")
def province(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    rates = Rates(dirt=dict.fromkeys(DIRT, 0.01))
    out = tmp_path_factory.mktemp("province") / "raw"
    return make_province(out, subjects=3000, seed=11, rates=rates)


@pytest.fixture(scope="module")
def lake(province: Summary) -> Lake:
    lake = Lake.open(province.out.parent / "lake", buckets=4)
    import_mapping(load_mapping(province.mapping), lake)
    return lake


def named(lake: Lake) -> pl.DataFrame:
    """Return every file, line and rule that the gate named."""
    refused = lake.scan(QUARANTINE).select(PLACE).collect()
    noted = [
        lake.scan(table)
        .select("source_ref", rule="findings")
        .explode("rule", empty_as_null=False, keep_nulls=False)
        .select(
            pl.col("source_ref").str.extract(r"^(.*)#").alias("file"),
            pl.col("source_ref").str.extract(r"#(\d+)$").cast(pl.Int64).alias("line"),
            "rule",
        )
        .collect()
        for table in CONTRACTS
    ]
    return pl.concat([refused, *noted]).unique()


def test_the_gate_names_the_dirt_and_nothing_else(province: Summary, lake: Lake) -> None:
    planted = truth.read(province.out, "dirt").select(PLACE).collect()
    found = named(lake)
    assert len(planted) > 500
    assert planted.join(found, on=PLACE, how="anti").rows() == []
    assert found.join(planted, on=PLACE, how="anti").rows() == []


def test_every_row_is_in_the_lake_or_in_quarantine(province: Summary, lake: Lake) -> None:
    refused = lake.scan(QUARANTINE).select("table", "file", "line").unique().collect()
    rows = dict(refused.group_by("table").len().iter_rows())
    for table, count in province.rows.items():
        assert lake.rows(table) + rows.get(table, 0) == count, table


def test_a_second_import_changes_nothing(province: Summary, lake: Lake) -> None:
    before = lake.versions()
    tallies = import_mapping(load_mapping(province.mapping), lake)
    after = lake.versions()
    assert {t for t in after if after[t] != before[t]} <= {IMPORT_RUN}
    assert all(tally.unchanged == tally.accepted for tally in tallies)


def test_counts_add_up(lake: Lake) -> None:
    runs = lake.scan(IMPORT_RUN).collect()
    whole = pl.col("filtered") + pl.col("collapsed") + pl.col("accepted") + pl.col("quarantined")
    assert runs.filter(pl.col("rows_in") != whole).is_empty()
    assert set(Tally.__dataclass_fields__) >= {"rows_in", "quarantined"}


def test_clean_rows_meet_the_line_and_dirty_ones_do_not(lake: Lake) -> None:
    quality = measure_lake(lake)
    assert met(quality)
    licences = quality.by("table").filter(pl.col("table") == "licence")
    assert licences["compliance_rate"].item() < 0.95
