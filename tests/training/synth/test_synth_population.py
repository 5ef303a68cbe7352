from __future__ import annotations

import re

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from models.codes import industries, regions, uscc
from training.synth.chunk import Chunk
from training.synth.mix import mix
from training.synth.offices import offices
from training.synth.population import ENTERPRISE, base31, codes, names


def test_codes_are_valid_distinct_and_nobodys(chunk: Chunk) -> None:
    code = chunk.people.uscc.to_frame("code")
    assert code.select(uscc.is_valid_expr("code").all()).item()
    assert code["code"].n_unique() == chunk.people.size
    assert code["code"].str.slice(8, 2).unique().to_list() == ["YY"]


@given(st.lists(st.integers(0, 31**6 - 1), min_size=1, max_size=20, unique=True))
def test_any_number_has_a_valid_code_and_a_name_of_its_own(numbers: list[int]) -> None:
    index = np.array(numbers, np.int64)
    zero = np.zeros(len(index), np.int64)
    made = codes(index, zero, zero, mix=mix())
    assert made.to_frame("code").select(uscc.is_valid_expr("code").all()).item()
    assert made.n_unique() == len(index)


@given(st.sets(st.integers(0, 60**4 - 1), min_size=2, max_size=30))
def test_names_never_repeat(numbers: set[int]) -> None:
    index = np.array(sorted(numbers), np.int64)
    zero = np.zeros(len(index), np.int64)
    made = names(index, zero, zero, zero, zero, mix=mix())
    assert made.n_unique() == len(index)


def test_names_are_plainly_made_up(chunk: Chunk) -> None:
    pairs = re.compile("([甲乙丙丁戊己庚辛壬癸][子丑寅卯辰巳午未申酉戌亥]){3}")
    assert all(pairs.search(name) for name in chunk.people.name)


def test_base31_keeps_order_and_width() -> None:
    written = base31(np.array([0, 30, 31, 31**3 - 1]), 3)
    assert written.to_list() == ["000", "00Y", "010", "YYY"]


def test_kinds_and_cities_have_their_shares(chunk: Chunk) -> None:
    people, layout = chunk.people, mix()
    for number, kind in enumerate(layout.kinds):
        assert abs(float((people.kind == number).mean()) - kind.share) < 0.03
    cities = layout.city_of[people.county]
    assert abs(float((cities == 0).mean()) - 0.27) < 0.03


def test_every_region_industry_and_office_is_known(chunk: Chunk) -> None:
    layout = mix()
    assert len(layout.counties) == 100
    assert len(layout.cities) == 14
    assert all(regions.is_known(code) for code in layout.counties)
    assert all(industries.is_known(one.code) for one in layout.industries)
    held = pl.DataFrame({"code": offices().codes, "name": offices().names})
    assert held.select(uscc.is_valid_expr("code").all()).item()
    assert held["code"].n_unique() == held.height == held["name"].n_unique()
    assert held["code"].str.starts_with("11").all()
    assert set(chunk.people.industry.tolist()) <= set(range(len(layout.industries)))


def test_clusters_are_firms_that_share_address_and_person(chunk: Chunk) -> None:
    people = chunk.people
    members = people.cluster >= 0
    assert 0.01 < float(members.mean()) < 0.02
    assert (people.kind[members] == ENTERPRISE).all()
    held = pl.DataFrame(
        {"cluster": people.cluster, "address": people.address, "person": people.person}
    ).filter(pl.col("cluster") >= 0)
    by_cluster = held.group_by("cluster").n_unique()
    assert by_cluster["address"].max() == 1
    assert by_cluster["person"].max() == 1


def test_some_persons_stand_behind_several_subjects(chunk: Chunk) -> None:
    held = pl.Series(chunk.people.person[chunk.people.cluster < 0]).value_counts(name="n")
    assert 0.015 < float((held["n"] >= 2).mean()) < 0.1  # type: ignore[arg-type]
    assert all(re.fullmatch("P_[0-9a-f]{16}", one) for one in chunk.people.persons[:100])


def test_subjects_are_born_and_end_over_the_whole_time(chunk: Chunk) -> None:
    born, ended = chunk.people.born, chunk.life.ended
    assert 0.5 < float((born < chunk.clock.start).mean()) < 0.6
    assert (ended > born).all()
    gone = float((ended <= chunk.clock.end).mean())
    assert 0.15 < gone < 0.45
