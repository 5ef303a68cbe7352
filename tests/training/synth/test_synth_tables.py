from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from models.records.amounts import fines_in
from models.records.contracts import CONTRACTS, contract_named
from training.synth.arrays import Ints
from training.synth.chunk import Chunk
from training.synth.layouts import LAYOUTS, Layout
from training.synth.penalties import MAX_MONTHS, SEVERITIES

ENDED_ELSEWHERE = {"subject", "person_role", "relation"}


def as_days(column: pl.Series) -> Ints:
    return column.cast(pl.Int64).to_numpy()


def test_every_table_of_the_contracts_is_made(tables: dict[str, pl.DataFrame]) -> None:
    assert set(tables) == {layout.id for layout in LAYOUTS}
    assert set(CONTRACTS) == {layout.table for layout in LAYOUTS}
    assert all(frame.height for frame in tables.values())


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.id)
def test_columns_and_types_are_the_contracts(
    layout: Layout, tables: dict[str, pl.DataFrame]
) -> None:
    contract = contract_named(layout.table)
    frame = tables[layout.id]
    for name in layout.headings:
        if name in {"uscc", "known_at", "subject_name", "penalty_kinds"}:
            continue
        wanted, found = contract.dtypes[name], frame.schema[name]
        fits = found == wanted or (found.is_integer() and wanted.is_integer())
        assert fits, f"{name}: {found} instead of {wanted}"


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.id)
def test_required_columns_are_filled_and_keys_are_single(
    layout: Layout, tables: dict[str, pl.DataFrame]
) -> None:
    contract, frame = contract_named(layout.table), tables[layout.id]
    for name in contract.required:
        if name in layout.headings and name != "penalty_kinds":
            assert frame[name].null_count() == 0, name
    key = [
        "uscc" if part == "subject_id" else part
        for parts in contract.key
        for part in parts.split("|")
        if part == "subject_id" or part in frame.columns
    ]
    if layout.table != "listing":
        assert frame.select(pl.struct(key).is_unique().all()).item()


@pytest.mark.parametrize("table", sorted({layout.id for layout in LAYOUTS} - ENDED_ELSEWHERE))
def test_nothing_happens_before_birth_or_after_the_end(
    table: str, chunk: Chunk, tables: dict[str, pl.DataFrame]
) -> None:
    frame = tables[table]
    subject, day = frame["_subject"].to_numpy(), as_days(frame["happened_on"])
    assert (day >= chunk.people.born[subject]).all()
    assert (day <= chunk.life.ended[subject]).all()
    assert (day >= chunk.clock.start).all()
    assert (day <= chunk.clock.end).all()


def test_nothing_is_known_before_it_happened_or_after_the_files_were_sent(
    chunk: Chunk, tables: dict[str, pl.DataFrame]
) -> None:
    for frame in tables.values():
        local = frame["known_at"].dt.convert_time_zone("Asia/Shanghai").dt.date()
        assert (local >= frame["happened_on"]).all()
        assert (as_days(local) <= chunk.clock.end).all()


def test_reports_are_late_at_the_declared_rate(
    chunk: Chunk, tables: dict[str, pl.DataFrame]
) -> None:
    for table, rate in chunk.spec.rates.late.items():
        frame = tables[table].filter(pl.col("happened_on") < date(2026, 3, 1))
        reported = frame["known_at"].dt.convert_time_zone("Asia/Shanghai").dt.date()
        within = chunk.clock.working_after(
            as_days(frame["happened_on"]), np.full(frame.height, 7, np.int64)
        )
        late = float((as_days(reported) > within).mean())
        assert late == pytest.approx(rate, abs=4 * np.sqrt(rate / frame.height))


def test_decisions_fall_on_working_days(chunk: Chunk, tables: dict[str, pl.DataFrame]) -> None:
    for table in ("penalty", "licence", "inspection"):
        day = as_days(tables[table]["happened_on"])
        assert np.isin(day, chunk.clock.working).mean() > 0.99


def test_penalty_amounts_stand_in_the_text(tables: dict[str, pl.DataFrame]) -> None:
    fined = tables["penalty"].filter(pl.col("fine_amount").is_not_null())
    for amount, text in fined.select("fine_amount", "penalty_content").iter_rows():
        assert fines_in(text) == pytest.approx((amount,)), text


def test_conditional_fields_of_penalties_agree_with_their_kinds(
    tables: dict[str, pl.DataFrame],
) -> None:
    kinds = pl.col("penalty_kinds").str
    checks = tables["penalty"].select(
        fine=(kinds.contains("罚款") == pl.col("fine_amount").is_not_null()).all(),
        gain=(kinds.contains("没收") == pl.col("confiscated_amount").is_not_null()).all(),
        permit=(kinds.contains("暂扣|吊销") == pl.col("revoked_certificate").is_not_null()).all(),
        ban=(kinds.contains("限制从业") == pl.col("restrict_until").is_not_null()).all(),
    )
    assert all(checks.row(0))


def test_publication_lasts_as_long_as_the_severity_says(tables: dict[str, pl.DataFrame]) -> None:
    frame = tables["penalty"]
    assert set(frame["severity"].unique()) == set(SEVERITIES)
    months = frame["severity"].replace_strict(dict(zip(SEVERITIES, MAX_MONTHS, strict=True)))
    assert (months == frame["max_months"]).all()
    later = frame.select(
        pl.col("happened_on").dt.offset_by(pl.format("{}mo", "max_months"))
    ).to_series()
    assert (frame["publish_until"] == later).all()


def test_licences_do_not_end_before_they_begin(tables: dict[str, pl.DataFrame]) -> None:
    frame = tables["licence"]
    assert (frame["valid_to"] > frame["valid_from"]).all()
    assert (frame["valid_from"] == frame["happened_on"]).all()
    assert frame["valid_to"].max() == date(2099, 12, 31)


def test_who_did_not_report_is_listed_for_it(tables: dict[str, pl.DataFrame]) -> None:
    listed = tables["listing"].filter(pl.col("reason_code") == "1")
    assert listed.height > 100
    assert listed["happened_on"].dt.month().is_in([7]).all()
    reported = tables["annual_report"].select("_subject", year=pl.col("year") + 1).unique()
    keys = listed.select("_subject", year=pl.col("happened_on").dt.year(), out="removed_on")
    never = keys.join(reported, on=["_subject", "year"], how="anti")
    assert never["out"].null_count() == never.height


def test_repairs_name_a_decision_that_came_before(tables: dict[str, pl.DataFrame]) -> None:
    repairs = tables["repair"]
    targets = pl.concat(
        tables[name].select(
            pl.lit(name).alias("target_table"),
            "authority_code",
            target_document_number="document_number",
            found="happened_on",
        )
        for name in ("penalty", "listing")
    )
    joined = repairs.join(targets, on=["target_table", "authority_code", "target_document_number"])
    assert joined.height == repairs.height
    assert (joined["found"] < joined["applied_on"]).all()
    assert (joined["applied_on"] <= joined["happened_on"]).all()
    ordinary = joined.filter(pl.col("decision") != "annulled")
    assert (ordinary["applied_on"] - ordinary["found"]).dt.total_days().min() >= 92  # type: ignore[operator]


def test_documents_have_numbers_of_their_own(tables: dict[str, pl.DataFrame]) -> None:
    for table in ("licence", "penalty", "inspection", "complaint", "listing"):
        assert tables[table]["document_number"].is_unique().all(), table


def test_renamed_subjects_had_their_old_name_before(
    tables: dict[str, pl.DataFrame],
) -> None:
    renamed = tables["change"].filter(pl.col("item") == "name")
    assert renamed.height > 20
    joined = tables["complaint"].join(
        renamed.select("_subject", "old_value", "new_value", on="happened_on"), on="_subject"
    )
    expected = (
        pl.when(pl.col("happened_on") < pl.col("on")).then("old_value").otherwise("new_value")
    )
    assert joined.select((pl.col("subject_name") == expected).all()).item()


def test_insured_people_leave_risky_subjects(chunk: Chunk, tables: dict[str, pl.DataFrame]) -> None:
    frame = tables["social_insurance"].sort("_subject", "period")
    ends = frame.group_by("_subject", maintain_order=True).agg(
        pl.col("insured").first().alias("first"), pl.col("insured").last().alias("last")
    )
    mean = chunk.risk.latent.mean(axis=1)[ends["_subject"].to_numpy()]
    ratio = ((ends["last"] + 1) / (ends["first"] + 1)).to_numpy()
    assert ratio[mean > 1].mean() < ratio[mean < 0].mean()


def test_representatives_follow_each_other(tables: dict[str, pl.DataFrame]) -> None:
    roles = tables["person_role"].filter(pl.col("role") == "legal_representative")
    assert (roles.group_by("_subject").len()["len"] >= 2).any()
    ended = roles.filter(pl.col("ended_on").is_not_null())
    assert (ended["ended_on"] >= ended["happened_on"]).all()
