from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.records.bookkeeping import QUARANTINE
from models.records.declared import departments as contracts_of_departments
from models.records.lake import Lake
from training.sources.mapping import load_mapping
from training.sources.run import import_mapping
from training.synth import departments, schemes, tenders, truth, welfare
from training.synth.arrays import Ints
from training.synth.cases import CAUSES, Cause
from training.synth.chunk import Chunk
from training.synth.department_layouts import LAYOUTS as OWN
from training.synth.dirt import SPOILS
from training.synth.grammar import grammar
from training.synth.layouts import LAYOUTS
from training.synth.province import Summary, begin, make, tables_of
from training.synth.sectors import recent, sector, shares
from training.synth.spec import DIRT, Rates, Spec

BEFORE = "798cbbc5816eb29812702bdc734fb8bd3e88fbd0178850c275c9a6f2dbecd969"
"""What the files of the register, supervision and standing were before departments had tables."""

BAD = {
    "equipment": pl.col("result") == "不合格",
    "env_monitor": pl.col("result") == "超标",
    "env_event": pl.col("kind") == "治理设施停运",
    "safety_event": pl.col("kind").is_in(["生产安全事故", "重大事故隐患"]),
    "transport_event": pl.col("kind") == "交通事故",
    "wage_event": pl.col("kind") == "责令限期支付",
    "ad_monitor": pl.col("finding") != "未发现违法",
    "finance_event": pl.col("kind").is_in(["资金异常", "举报线索", "立案"]),
}
"""What tells of a risky subject in each table."""

SIZES = {
    "equipment": (0.25, 0.60),
    "env_monitor": (0.45, 1.0),
    "env_event": (0.01, 0.08),
    "safety_event": (0.25, 0.60),
    "transport_event": (0.25, 0.65),
    "wage_event": (0.10, 0.35),
    "bid": (0.30, 1.0),
    "medical_event": (0.50, 1.3),
    "finance_event": (0.10, 0.40),
    "ad_monitor": (0.12, 0.40),
    "opinion": (0.05, 0.20),
    "public_contract": (0.10, 0.35),
    "case_penalty": (0.005, 0.06),
    "bid_listing": (0.001, 0.03),
}
"""Fewest and most rows a subject of the province."""


def digest(folder: Path, sources: list[str]) -> str:
    """Return the digest of what files say; of Parquet its values, not its bytes."""
    whole = hashlib.sha256()
    for source in sources:
        found = [*folder.glob(f"{source}-*.parquet"), folder / f"{source}.csv"]
        for path in sorted([*found, folder / f"{source}.jsonl"]):
            if path.exists():
                whole.update(path.name.encode())
                told = path.suffix == ".parquet"
                whole.update(
                    pl.read_parquet(path).write_csv().encode() if told else path.read_bytes()
                )
    return whole.hexdigest()


def days(column: pl.Series) -> Ints:
    return column.cast(pl.Int64).to_numpy()


def test_every_contract_of_a_department_has_a_file_of_its_own() -> None:
    assert {layout.table for layout in OWN} == set(contracts_of_departments())
    assert {layout.kind for layout in OWN} == {"csv", "gb18030", "parquet", "jsonl"}
    made = [layout.id for layout in LAYOUTS]
    assert len(made) == len(set(made))


def test_what_was_there_before_is_as_it_was(tmp_path: Path) -> None:
    make(Spec(subjects=300, seed=3, chunk=200), tmp_path / "out")
    later = {*contracts_of_departments(), "case_penalty", "bid_listing"}
    before = [layout.id for layout in LAYOUTS if layout.id not in later]
    assert len(before) == 17
    assert digest(tmp_path / "out", before) == BEFORE


def test_making_departments_draws_from_streams_of_their_own(chunk: Chunk) -> None:
    first, again = departments.tables(chunk), departments.tables(chunk)
    assert all(first[name].equals(again[name]) for name in first)
    assert departments.planted(chunk).equals(departments.planted(chunk))


@pytest.mark.parametrize("size", [1, 3, 40])
def test_a_chunk_may_be_too_small_for_a_department(size: int) -> None:
    small = begin(Spec(subjects=size, seed=4), 0)
    made = tables_of(small)
    assert all(made[layout.id].columns for layout in LAYOUTS)


def test_another_chunk_has_the_same_public_bodies_but_other_contracts() -> None:
    spec = Spec(subjects=3_000, seed=6, chunk=1_500)
    one, other = (departments.tables(begin(spec, number)) for number in range(2))
    for name, number in (("bid", "tender_number"), ("public_contract", "contract_number")):
        assert not set(one[name][number]) & set(other[name][number]), name
    shared = set(one["public_contract"]["uscc"]) & set(other["public_contract"]["uscc"])
    assert len(shared) > 8
    assert all(code.startswith("11") for code in shared)


@pytest.mark.parametrize("source", sorted(SIZES))
def test_tables_stay_small_beside_the_register(
    source: str, chunk: Chunk, tables: dict[str, pl.DataFrame]
) -> None:
    low, high = SIZES[source]
    assert low < tables[source].height / chunk.people.size < high


def test_departments_add_about_an_eighth_of_the_rows(tables: dict[str, pl.DataFrame]) -> None:
    added = sum(tables[source].height for source in SIZES)
    assert added < 0.17 * sum(frame.height for frame in tables.values())


@pytest.mark.parametrize("table", sorted(BAD))
def test_the_riskiest_tenth_has_clearly_more_than_the_calmest_half(
    table: str, chunk: Chunk, tables: dict[str, pl.DataFrame]
) -> None:
    members = sector(chunk, "env_monitor" if table == "env_event" else table).subject
    active = chunk.life.active[members]
    months = np.maximum(active.sum(axis=1), 1)
    mean = (chunk.risk.latent[members] * active).sum(axis=1) / months
    bad = tables[table].filter(BAD[table])["_subject"].to_numpy()
    count = np.bincount(bad, minlength=chunk.people.size)[members]
    low, high = np.quantile(mean, [0.5, 0.9])
    calm, risky = mean <= low, mean >= high
    usual = count[calm].sum() / months[calm].sum()
    assert count[risky].sum() / months[risky].sum() > 1.7 * usual > 0


def test_channels_see_the_common_risk_but_not_only_it(chunk: Chunk) -> None:
    for name in shares():
        field = sector(chunk, name)
        common = chunk.risk.latent[field.subject][field.active]
        seen = field.seen[field.active]
        assert 0.6 < float(np.corrcoef(seen, common)[0, 1]) < 0.9, name
        assert 0.8 < float(seen.std()) < 1.2, name


def test_reports_come_after_what_they_tell_of(tables: dict[str, pl.DataFrame]) -> None:
    for source in SIZES:
        reported = tables[source]["known_at"].dt.convert_time_zone("Asia/Shanghai").dt.date()
        wait = days(reported) - days(tables[source]["happened_on"])
        assert wait.min() >= 1, source
        assert 1 < np.median(wait) < 40, source


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: f"{cause.table}-{cause.leaf}")
def test_each_cause_has_its_term_before_the_decision(
    cause: Cause, tables: dict[str, pl.DataFrame]
) -> None:
    leaf = list(grammar().leaves).index(cause.leaf)
    causes = tables[cause.table].filter(cause.where).select("_subject", "happened_on")
    punished = tables["case_penalty"].filter(pl.col("_leaf") == leaf)
    pairs = punished.select("_subject", on="happened_on").join(causes, on="_subject")
    wait = days(pairs["on"]) - days(pairs["happened_on"])
    low, high = cause.after
    # The last is the longest holiday that a decision may have to wait for.
    inside = int(((wait >= low) & (wait <= high + 11)).sum())
    assert 0 < inside <= 1.3 * max(cause.share, 0.3) * causes.height
    assert low >= 20


def test_every_case_has_a_cause_before_it(tables: dict[str, pl.DataFrame]) -> None:
    causes = pl.concat(
        tables[cause.table].filter(cause.where).select("_subject", caused="happened_on")
        for cause in CAUSES
    )
    punished = tables["case_penalty"].select("_subject", "document_number", "happened_on")
    matched = punished.join(causes, on="_subject").filter(pl.col("caused") < pl.col("happened_on"))
    assert set(matched["document_number"]) == set(punished["document_number"])
    usual = set(tables["penalty"]["document_number"])
    assert not usual & set(punished["document_number"])


def test_devices_are_inspected_again_and_again(tables: dict[str, pl.DataFrame]) -> None:
    frame = tables["equipment"].filter(pl.col("kind") == "定期检验")
    times = frame.group_by("registration_code").len()["len"]
    assert times.max() >= 4  # type: ignore[operator]
    assert (frame["due_on"] > frame["happened_on"]).all()
    late = frame.filter(pl.col("overdue_days") > 0)
    assert 0.05 < late.height / frame.height < 0.25
    order = frame.sort("registration_code", "happened_on")
    follows = order.select(
        due=pl.col("due_on").shift(1).over("registration_code"),
        day="happened_on",
        late="overdue_days",
    ).drop_nulls()
    wait = (follows["day"] - follows["due"]).dt.total_days()
    assert (wait.clip(0) == follows["late"]).all()


def test_measured_values_agree_with_their_limits(tables: dict[str, pl.DataFrame]) -> None:
    frame = tables["env_monitor"].filter(pl.col("result") != "数据无效")
    over = frame["value"] > frame["emission_limit"]
    assert (over == (frame["result"] == "超标")).all()
    assert (frame["exceedance"].filter(~over) == 0).all()
    expected = frame["value"] / frame["emission_limit"] - 1
    assert ((frame["exceedance"] - expected).filter(over).abs() < 0.001).all()
    officially = frame.group_by("method").agg((pl.col("result") == "超标").mean())
    rates = dict(officially.iter_rows())
    assert rates["执法监测"] > 1.5 * rates["自行监测"]


def test_orders_come_after_a_limit_was_exceeded(tables: dict[str, pl.DataFrame]) -> None:
    ordered = tables["env_event"].filter(pl.col("kind") == "责令改正")
    exceeded = tables["env_monitor"].filter(pl.col("result") == "超标")
    pairs = ordered.join(exceeded.select("_subject", over="happened_on"), on="_subject")
    before = pairs.filter(pl.col("over") < pl.col("happened_on"))
    assert set(before["document_number"]) == set(ordered["document_number"])


def test_accidents_follow_grave_hazards(chunk: Chunk, tables: dict[str, pl.DataFrame]) -> None:
    frame = tables["safety_event"]
    field = sector(chunk, "safety_event")
    place = np.full(chunk.people.size, -1, np.int64)
    place[field.subject] = np.arange(field.size)

    def at(kind: str) -> tuple[Ints, Ints]:
        rows = frame.filter(pl.col("kind") == kind)
        return place[rows["_subject"].to_numpy()], chunk.clock.month_of(days(rows["happened_on"]))

    grave = recent(*at("重大事故隐患"), field.seen.shape, months=6) > 0
    hurt = recent(*at("生产安全事故"), (field.size, field.seen.shape[1] + 1), months=1)[:, 1:] > 0
    active = field.active
    assert hurt[active & grave].mean() > 2 * hurt[active & ~grave].mean()


def test_recent_counts_the_months_before() -> None:
    counted = recent(np.array([0, 0, 1]), np.array([0, 2, 4]), (2, 8), months=3)
    assert counted.tolist() == [[0, 1, 1, 2, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1, 1]]


def test_tenders_have_three_bidders_and_one_lowest(tables: dict[str, pl.DataFrame]) -> None:
    frame = tables["bid"]
    tenders_ = frame.group_by("tender_number").agg(
        pl.col("bidders").first(),
        rows=pl.len(),
        days=pl.col("happened_on").n_unique(),
        offices=pl.col("authority").n_unique(),
        won=(pl.col("result").is_in(["中标", "放弃中标"])).sum(),
    )
    assert (tenders_["bidders"] >= 3).all()
    assert (tenders_["rows"] <= tenders_["bidders"]).all()
    assert (tenders_["days"] == 1).all()
    assert (tenders_["offices"] == 1).all()
    assert (tenders_["won"] <= 1).all()
    assert frame["price_ratio"].is_between(0.5, 1.0).all()


def test_rings_share_what_is_registered_and_bid_alike(
    chunk: Chunk, tables: dict[str, pl.DataFrame]
) -> None:
    rings = tenders.rings(chunk)
    sizes = np.bincount(rings.ring)
    assert len(sizes) >= 8
    assert sizes.min() >= tenders.MEMBERS[0]
    assert sizes.max() <= tenders.MEMBERS[1]
    held = [chunk.people.person[rings.subject[rings.ring == n]] for n in range(len(sizes))]
    assert 0.4 < np.mean([len(set(people)) == 1 for people in held]) < 1.0
    frame = tables["bid"].with_columns(ringed=pl.col("_ring") >= 0)
    mean = frame.group_by("ringed").agg(pl.col("similarity", "price_ratio", "shared_traces").mean())
    ringed, honest = (mean.filter(pl.col("ringed") == flag) for flag in (True, False))
    for name in ("similarity", "price_ratio", "shared_traces"):
        assert ringed[name].item() > honest[name].item(), name
    spread = frame.group_by("ringed", "tender_number").agg(pl.col("price_ratio").std())
    usual = dict(spread.group_by("ringed").agg(pl.col("price_ratio").mean()).iter_rows())
    assert usual[True] < 0.6 * usual[False]


def test_only_some_of_a_ring_are_listed_and_only_after_they_bid(
    chunk: Chunk, tables: dict[str, pl.DataFrame]
) -> None:
    listed = tables["bid_listing"]
    assert (listed["kind"] == "bidding").all()
    assert listed["_subject"].is_unique().all()
    members = set(tenders.rings(chunk).subject.tolist())
    assert set(listed["_subject"]) <= members
    assert len(listed) < 0.8 * len(members)
    first = (
        tables["bid"]
        .filter(pl.col("_ring") >= 0)
        .group_by("_subject")
        .agg(pl.col("happened_on").min().alias("bid"))
    )
    joined = listed.join(first, on="_subject")
    assert joined.height == listed.height
    assert (joined["happened_on"] > joined["bid"]).all()


def test_a_case_is_filed_only_after_the_collapse(
    chunk: Chunk, tables: dict[str, pl.DataFrame]
) -> None:
    planted = schemes.schemes(chunk)
    fallen = chunk.clock.first[planted.last + 1]
    ends = pl.DataFrame({"_subject": planted.field.subject[planted.place], "fallen": fallen})
    frame = tables["finance_event"]
    filed = frame.filter(pl.col("kind") == "立案").join(ends, on="_subject")
    assert filed.height >= 5
    wait = days(filed["happened_on"]) - filed["fallen"].to_numpy()
    assert wait.min() >= 20
    before = frame.filter(pl.col("kind").is_in(["资金异常", "举报线索", "兑付困难"]))
    told = before.join(ends, on="_subject")
    burst = np.mean(np.abs(days(told["happened_on"]) - told["fallen"].to_numpy()) < 270)
    assert burst > 0.3
    honest = set(before["_subject"]) - set(ends["_subject"])
    assert len(honest) > 0.8 * told["_subject"].n_unique()


def test_settlements_swell_while_the_fund_is_defrauded(
    chunk: Chunk, tables: dict[str, pl.DataFrame]
) -> None:
    behind = welfare.frauds(chunk)
    frame = tables["medical_event"].filter(pl.col("kind") == "月度结算")
    place = np.full(chunk.people.size, -1, np.int64)
    place[behind.field.subject] = np.arange(behind.field.size)
    month = chunk.clock.month_of(days(frame["happened_on"]))
    on = behind.on[place[frame["_subject"].to_numpy()], month]
    each = (
        frame.with_columns(pl.Series("on", on))
        .group_by("_subject", "on")
        .agg(pl.col("fund_amount").mean())
    )
    both = each.pivot("on", index="_subject", values="fund_amount").drop_nulls()
    ratio = (both["true"] / both["false"]).median()
    assert 1.3 < ratio < 2.2  # type: ignore[operator]
    checked = tables["medical_event"].filter(pl.col("kind") == "现场检查")
    assert checked["result"].null_count() == 0
    assert 0.03 < (checked["result"] != "未发现问题").mean() < 0.5  # type: ignore[operator]


def test_contracts_are_signed_before_they_are_broken(tables: dict[str, pl.DataFrame]) -> None:
    frame = tables["public_contract"]
    signed = frame.filter(pl.col("event") == "签订").select("contract_number", on="happened_on")
    assert signed["contract_number"].is_unique().all()
    later = frame.filter(pl.col("event") != "签订").join(signed, on="contract_number")
    assert (later["happened_on"] > later["on"]).all()
    failed = frame.filter(pl.col("event").is_in(["逾期未付", "承诺未兑现"]))
    found = frame.filter(pl.col("event") == "违约认定").join(
        failed.select("contract_number", failed="happened_on"), on="contract_number"
    )
    assert found.height > 5
    assert (found["happened_on"] > found["failed"]).all()
    assert (failed["happened_on"] > failed["due_on"]).all()


def test_what_is_planted_is_told_apart_and_in_no_file(province: Summary) -> None:
    planted = truth.read(province.out, "planted").collect()
    assert set(planted["kind"]) == {"bid_ring", "fundraising", "medical_fraud"}
    assert (planted["until"] >= planted["from"]).all()
    assert ((planted["kind"] == "bid_ring") == planted["case"].is_not_null()).all()
    cases = planted.drop_nulls("case").group_by("case").agg(pl.col("subject_id").n_unique())
    assert (cases["subject_id"] >= tenders.MEMBERS[0]).all()
    assert "planted-" in (province.truth / "README.md").read_text(encoding="utf-8")
    held = pl.read_parquet(province.out / "bid-0000.parquet")
    assert not [name for name in held.columns if name.startswith("_")]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, Lake]:
    """A small province, and a lake with the register and what departments sent of it."""
    folder = tmp_path_factory.mktemp("departments")
    rates = Rates(dirt=dict.fromkeys(DIRT, 0.01))
    summary = make(Spec(subjects=900, seed=12, rates=rates), folder / "out")
    lake, mapping = Lake.open(folder / "lake", buckets=1), load_mapping(summary.mapping)
    wanted = {*(layout.id for layout in OWN), "subject", "change", "case_penalty", "bid_listing"}
    ours = tuple(plan for plan in mapping.plans if plan.source.id in wanted)
    import_mapping(replace(mapping, plans=ours), lake)
    return summary, lake


def test_the_gate_takes_what_departments_send_but_for_the_dirt(
    sent: tuple[Summary, Lake],
) -> None:
    summary, lake = sent
    refused = lake.scan(QUARANTINE).select("table", "file", "line", "rule").collect()
    dirt = truth.read(summary.out, "dirt").collect()
    for layout in OWN:
        ours = refused.filter(pl.col("table") == layout.table)
        lines = ours.select("file", "line").n_unique()
        assert lake.rows(layout.table) + lines == summary.rows[layout.table], layout.table
        planted = dirt.filter(pl.col("table") == layout.table)
        assert ours.join(planted, on=["file", "line", "rule"], how="anti").is_empty()
    spoilt = set(SPOILS) & {layout.table for layout in OWN}
    assert {table for table, _ in summary.dirty} & spoilt == spoilt


def test_bidders_are_listed_and_cases_punished_in_the_lake(sent: tuple[Summary, Lake]) -> None:
    _, lake = sent
    kinds = lake.scan("listing").select("kind").collect().to_series()
    assert set(kinds) == {"bidding"}
    numbers = lake.scan("penalty").select("document_number").collect().to_series()
    assert numbers.str.contains("案罚").all()
    assert len(numbers) > 5
