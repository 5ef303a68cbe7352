from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError, SourceError
from models.text.taxonomy import taxonomy
from models.yaml import load
from training.text.penalties import SINCE, Rules, department_of, leaf_of, penalties, rules, shown

DATA = Path(__file__).parents[3].parent / "shared" / "data" / "beijing"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the public data is not here")

FIRE = "《中华人民共和国安全生产法》第九十六条第（一）项"


@pytest.mark.parametrize(
    ("authority", "department"),
    [
        ("国家税务总局北京市海淀区税务局第八税务所", "tax"),
        ("北京市怀柔区怀北镇人民政府", "urban"),
        ("北京市延庆区百泉街道办事处", "urban"),
        ("北京市怀柔区城市管理综合行政执法局", "urban"),
        ("北京市文化和旅游局", "culture"),
        ("怀柔交通局", "transport"),
        ("北京市大兴区应急管理局", "safety"),
        ("某某公司", None),
    ],
)
def test_a_department_is_told_by_name(authority: str, department: str | None) -> None:
    assert department_of(authority) == department


@pytest.mark.parametrize(
    ("violation", "basis", "leaf"),
    [
        ("丢失发票", "《中华人民共和国发票管理办法》第三十六条第二款", "T04"),
        ("配电箱未张贴安全警示标志", FIRE, "S03"),
        ("施工现场土方未采取覆盖措施", "《北京市大气污染防治条例》", "E08"),
        ("于22时30分施工，未取得审批手续", "《北京市环境噪声污染防治办法》第四十条", "E09"),
        # words without their law, a law without words, words of two leaves, words in a title
        ("丢失发票", "《中华人民共和国水法》第一条", None),
        ("其他违法", "《中华人民共和国发票管理办法》第三十六条", None),
        ("未设置警示标志，未进行安全培训", FIRE, None),
        ("违反《特种作业人员安全技术培训考核管理规定》", FIRE, None),
        ("丢失发票", "", None),
    ],
)
def test_a_leaf_needs_its_words_and_its_law(violation: str, basis: str, leaf: str | None) -> None:
    assert leaf_of(violation, basis) == leaf


def test_a_law_cited_in_the_facts_counts() -> None:
    assert leaf_of("夜间施工，违反了《甲环境噪声污染防治办法》第十八条", "") == "E09"


def test_what_is_learnt_from_names_no_law_no_authority_and_no_person() -> None:
    text = shown(
        "北京市延庆区交通局执法人员张三（执法证号：01001617070）检查发现，甲公司未按规定检测车辆，"
        "违反了《中华人民共和国道路运输条例》第三十条之规定"
    )
    assert "未按规定检测车辆" in text
    assert "甲公司" in text
    for told in ("道路运输条例", "第三十条", "交通局", "张三", "01001617070"):
        assert told not in text


@given(st.text(alphabet="《》第一条法局区张三当事人，。 1", max_size=80))
def test_any_text_can_be_shown(text: str) -> None:
    out = shown(text)
    assert out == out.strip()
    assert "  " not in out


def test_every_rule_names_a_leaf_and_its_group() -> None:
    known = {one.code for one in taxonomy().leaves}
    assert {rule.leaf for rule in rules().leaves} <= known
    assert len({rule.leaf for rule in rules().leaves}) == len(rules().leaves)


def test_a_broken_pattern_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "tables:\n  - {file: a, fact: b, basis: c, authority: d, 'on': e}\n"
        "departments: []\nleaves:\n  - {leaf: T04, laws: 发票, words: '(丢失'}\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match=r"rules\.yaml:5.*no regular expression"):
        load(path, Rules)


def _tables(folder: Path) -> None:
    """Write every table of the rules: empty, but for one with four decisions."""
    for number, table in enumerate(rules().tables):
        names = [table.fact, table.basis, table.authority, table.on]
        names += [table.kind] if table.kind else []
        frame = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
        if number == 4:
            rows = [
                ("丢失发票若干份", "《发票管理办法》第三十六条", "甲税务所", "2020/9/24"),
                ("丢失发票两份", "《发票管理办法》第三十六条", "甲税务所", "2021.08.01"),
                ("丢失发票三份", "《发票管理办法》第三十六条", "乙税务所", "2021年8月1日"),
                ("丢失发票若干份", "《发票管理办法》第三十六条", "丙税务所", "2021-09-01"),
                ("。", "《发票管理办法》第三十六条", "甲税务所", "2020/9/24"),
                ("丢失发票四份", "《发票管理办法》第三十六条", "某某", "2020/9/24"),
                ("丢失发票五份", "《发票管理办法》第三十六条", "甲税务所", "不详"),
            ]
            frame = pl.DataFrame(
                rows, schema=[table.fact, table.basis, table.authority, table.on], orient="row"
            )
        frame.write_parquet(folder / table.file)


def test_parts_are_told_apart_by_day_and_authority(tmp_path: Path) -> None:
    _tables(tmp_path)
    found = penalties(tmp_path)
    assert found.select("text", "authority", "split").rows() == [
        ("丢失发票若干份", "甲税务所", "train"),  # the same text later on is left out
        ("丢失发票三份", "乙税务所", "test"),
        ("丢失发票两份", "甲税务所", "later"),
    ]
    assert found["department"].unique().to_list() == ["tax"]
    assert found["leaf"].unique().to_list() == ["T04"]
    assert found["on"].max() == date(2021, 8, 1)


def test_a_missing_table_or_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        penalties(tmp_path)
    _tables(tmp_path)
    first = tmp_path / rules().tables[0].file
    pl.read_parquet(first).drop(rules().tables[0].basis).write_parquet(first)
    with pytest.raises(SourceError, match=f"no column {rules().tables[0].basis}"):
        penalties(tmp_path)


@needs_data
def test_real_penalties_are_split_by_authority_and_time() -> None:
    frame = penalties(DATA)
    parts = {str(name): part for (name,), part in frame.partition_by("split", as_dict=True).items()}
    assert frame.height > 1_500
    assert frame["leaf"].count() > 750
    assert not set(parts["train"]["authority"]) & set(parts["test"]["authority"])
    assert (parts["train"]["on"] < SINCE).all()
    assert (parts["test"]["on"] >= SINCE).all()
    assert frame["text"].is_unique().all()
    assert not frame["text"].str.contains("《[^《]*》").any()
