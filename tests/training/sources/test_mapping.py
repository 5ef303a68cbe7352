"""A mapping is right, or an error says where it is not and what was meant."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from models.errors import ConfigError
from training.sources.mapping import load_mapping
from training.sources.notation import check_format, check_query

GOOD = """\
sources:
  - id: penalty
    target: penalty
    files: [penalty.csv]
    strict: true
    columns:
      fine_amount: {from: CF_NR_FK, unit: 万元}
      remark: [备注, BZ]
    constants: {region: "210100"}
    known_at: {from: 报送时间}
"""
TABLE = """\
name: machine
title: 机械设备
key: [code]
columns:
  code: {type: text, title: 编号, required: true}
"""


def load(text: str, folder: Path, **tables: str) -> object:
    for name, table in tables.items():
        (folder / f"{name}.yaml").write_text(textwrap.dedent(table), encoding="utf-8")
    path = folder / "mapping.yml"
    path.write_text(text, encoding="utf-8")
    return load_mapping(path)


def fault(text: str, folder: Path, **tables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, folder, **tables)
    return str(caught.value).replace(str(folder) + "/", "")


def test_a_right_mapping_loads(tmp_path: Path) -> None:
    load(GOOD, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("strict", "strikt", 5, "unknown key 'strikt'; did you mean 'strict'?"),
        ("target: penalty", "target: penalti", 3, "unknown table 'penalti'; did you mean"),
        ("fine_amount", "fine_ammount", 7, "'fine_ammount'; did you mean 'fine_amount'?"),
        ("{region:", "{regoin:", 9, "has no column 'regoin'; did you mean 'region'?"),
        ("{region:", "{remark: x, region:", 9, "'remark' is both a column and a constant"),
        ("unit: 万元", "unit: 千元", 7, "'千元' is not allowed"),
        ("{from: CF", "{form: CF", 7, "unknown key 'form'; did you mean 'from'?"),
        ("[备注, BZ]", "[]", 8, "at least 1 item"),
        ("{from: 报送时间}", "{from: a, on: 2024-01-01}", 10, "exactly one of {from: COLUMN}"),
        ("{from: 报送时间}", "{}", 10, "exactly one of {from: COLUMN}"),
        ("{from: 报送时间}", "{after: happened_on}", 10, "exactly one of {from: COLUMN}"),
        ("{from: 报送时间}", "{on: 2024-01-01, days: 3}", 10, "exactly one of {from: COLUMN}"),
        ("{from: 报送时间}", "{after: known_at, days: 3}", 10, "'known_at' is not allowed"),
        ("{from: 报送时间}", "{after: happened_on, days: -1}", 10, "greater than or equal to 0"),
        ("{from: 报送时间}", "{on: 2024-13-40}", 10, "date"),
        ("    files: [penalty.csv]\n", "", 2, "name one input: 'files', or 'options'"),
        ("files: [penalty.csv]", "files: []", 2, "name one input: 'files', or 'options'"),
        ("    id: penalty", "    id: a b", None, ""),
        ("strict: true", "options: {query: SELECT 1}", 5, "exactly one of url and url_env"),
        ("strict: true", "options: {url: 'x://', url_env: X, query: SELECT 1}", 5, "exactly one"),
        ("strict: true", "options: {url: 'sqlite://'}", 5, "a database address needs a query"),
        ("strict: true", "options: {url: 'x://', query: SELECT 1}", 2, "name one input"),
        ("strict: true", "format: sql", 2, "format 'sql' takes no files"),
        ("strict: true", "format: dbf", 5, "'dbf' is not allowed"),
        ("strict: true", "options: {separator: '||'}", 5, "is not one ASCII character"),
        ("strict: true", "options: {separator: '，'}", 5, "is not one ASCII character"),
        ("strict: true", "options: {encoding: undefined}", 5, "unknown encoding 'undefined'"),
        ("strict: true", 'options: {encoding: "utf-8\\0"}', 5, "unknown encoding"),
        ("strict: true", "options: {encoding: base64}", 5, "unknown encoding 'base64'"),
        ("strict: true", "options: {encoding: 国标}", 5, "unknown encoding '国标'"),
        ("unit: 万元", "extract: '(?=a)(b)'", 7, "cannot be used: look-around"),
        ("unit: 万元", "extract: '(a'", 7, "the pattern '(a' cannot be used"),
        ("unit: 万元", "extract: 罚款", 7, "the pattern '罚款' has no group"),
        ("unit: 万元", "formats: ['%H']", 7, "the format '%H' tells no date"),
        ("unit: 万元", "formats: ['%p']", 7, "the format '%p' tells no date"),
        ("unit: 万元", "formats: [foo]", 7, "the format 'foo' tells no date"),
        ("unit: 万元", "formats: ['']", 7, "the format '' tells no date"),
        ("{from: 报送时间}", "{from: a, formats: ['%Q']}", 10, "the format '%Q' tells no date"),
        ("{from: 报送时间}", "{on: 1949-09-30}", 10, "greater than or equal to"),
        ("strict: true", "options: {header_row: 0}", 5, "greater than or equal to 1"),
        ("unit: 万元", "otherwise: x", 7, "'otherwise' is for values that 'map' does not name"),
        ('"210100"', "210100", 9, "expected text, got 210100; put it in quotes"),
        ("strict: true", "strict: true\n    strict: false", 6, "key 'strict' is repeated"),
        ("    known_at: {from: 报送时间}\n", "", 2, "missing key 'known_at'"),
        ("strict: true", "strict： true", None, ""),
        ("  - id", " \t- id", None, "spaces, not tabs"),
    ],
)  # fmt: skip
def test_every_fault_is_named_with_its_line(
    old: str, new: str, line: int | None, message: str, tmp_path: Path
) -> None:
    assert old in GOOD or line is None
    text = GOOD.replace(old, new, 1) if old in GOOD else GOOD.replace("id: penalty", "id: a b")
    said = fault(text, tmp_path)
    assert message in said
    assert said.startswith(f"mapping.yml:{line or ''}")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("DROP TABLE a", "must begin with SELECT or WITH"),
        ("-- SELECT 1\nDELETE FROM a", "must begin with SELECT or WITH"),
        ("SELEC 1", "must begin with SELECT or WITH"),
        ("", "must begin with SELECT or WITH"),
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("SELECT 1 /*! ; DROP TABLE a */", "more than one statement"),
        ("WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", r"would write \(DELETE\)"),
        ("SELECT * INTO b FROM a", r"would write \(INTO\)"),
    ],
)
def test_a_query_only_reads(query: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_query(query)


@pytest.mark.parametrize(
    "query",
    [
        "select 1",
        "SELECT 'a DROP TABLE b', \"delete\" FROM a; ",
        "/* all */ SELECT a -- DROP\nFROM b",
        "WITH x AS (SELECT 1) SELECT updated_at, created FROM x",
    ],
)
def test_a_query_that_reads_is_taken_as_it_is(query: str) -> None:
    assert check_query(query) == query


@pytest.mark.parametrize(
    "form", ["excel", "%Y-%m-%d", "%d/%m/%Y %H:%M:%S", "%Y年度%m月", "%d/%m/%y", "%Y%j", "%F"]
)
def test_formats_that_tell_a_date(form: str) -> None:
    assert check_format(form) == form


def test_all_faults_of_a_mapping_come_at_once(tmp_path: Path) -> None:
    said = fault(GOOD.replace("strict", "strikt").replace("万元", "千元"), tmp_path)
    assert [line.split(":")[1] for line in said.splitlines()] == ["5", "7"]


def test_an_id_is_used_once(tmp_path: Path) -> None:
    twice = GOOD + GOOD.removeprefix("sources:\n")
    assert fault(twice, tmp_path) == "mapping.yml:11: the id 'penalty' is used twice"


@pytest.mark.parametrize("text", ["", "# nothing\n", "sources: []\n", "- a\n", "sources\n"])
def test_a_mapping_without_sources_is_an_error(text: str, tmp_path: Path) -> None:
    assert fault(text, tmp_path).startswith("mapping.yml:1: ")


def test_a_mapping_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_bytes(GOOD.encode("gbk"))
    with pytest.raises(ConfigError, match=r"mapping.yaml:7: byte 0x.. is not UTF-8; save"):
        load_mapping(path)


def test_a_missing_mapping_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_mapping(tmp_path / "mapping.yaml")


@pytest.mark.parametrize("column", ["record_id", "subject_id", "known_at", "findings"])
def test_columns_that_import_makes_cannot_be_mapped(column: str, tmp_path: Path) -> None:
    assert f"has no column '{column}'" in fault(GOOD.replace("fine_amount", column), tmp_path)


def test_identity_fields_can_be_mapped_for_every_table(tmp_path: Path) -> None:
    load(GOOD.replace("fine_amount: {from: CF_NR_FK, unit: 万元}", "source_id: 主键"), tmp_path)


def test_subjects_come_first_then_changes_then_the_others_in_order(tmp_path: Path) -> None:
    targets = ["penalty", "change", "subject", "licence", "subject", "change"]
    parts = [
        f"  - {{id: s{n}, target: {target}, files: [a.csv], known_at: {{on: 2024-01-01}}}}\n"
        for n, target in enumerate(targets)
    ]
    mapping = load("sources:\n" + "".join(parts), tmp_path)
    ids = [plan.source.id for plan in mapping.plans]  # type: ignore[attr-defined]
    assert ids == ["s2", "s4", "s1", "s5", "s0", "s3"]


# A user's own table

OWN = """\
sources:
  - id: machine
    target: machine.yaml
    files: [a.csv]
    known_at: {on: 2024-01-01}
"""


def test_a_users_table_is_found_beside_the_mapping(tmp_path: Path) -> None:
    mapping = load(OWN, tmp_path, machine=TABLE)
    assert mapping.plans[0].contract.name == "machine"  # type: ignore[attr-defined]


def test_a_missing_table_file_is_named_with_its_line(tmp_path: Path) -> None:
    assert fault(OWN, tmp_path).startswith("mapping.yml:3: no contract file 'machine.yaml'")


def test_a_fault_in_a_users_table_is_named_in_its_file(tmp_path: Path) -> None:
    said = fault(OWN, tmp_path, machine=TABLE.replace("type: text", "type: txt"))
    assert said.startswith("machine.yaml:5: ")
    assert "did you mean 'text'?" in said


def test_a_users_table_cannot_redefine_what_identifies(tmp_path: Path) -> None:
    said = fault(OWN, tmp_path, machine=TABLE + "  uscc: {type: integer, title: 代码}\n")
    assert said.startswith("mapping.yml:3: machine.yaml declares uscc as no text")
