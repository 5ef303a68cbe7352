"""A user's own table: declared in YAML, as good as a built-in one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from models.errors import ConfigError
from models.names import headings
from models.records import gate
from models.records.contract import Countable
from models.records.declared import keep_declared, kept_contracts, load_contract

MACHINE = """\
name: machine
title: 机械设备
key: [registration_code]
columns:
  registration_code: {type: text, title: 使用登记证编号, required: true, spellings: [证号]}
  category: {type: text, title: 设备类别, one_of: [电梯, 锅炉], role: category}
  due_on: {type: date, title: 下次检验日期}
  capacity: {type: number, title: 额定容量, unit: 吨, min: 0, role: measure}
  floors: {type: integer, title: 层站数, min: 1, max: 200}
  remark: {type: text, title: 备注, max_length: 4, role: text}
  accident: {type: flag, title: 是否发生事故, known_after: outcome}
  serviced_at: {type: time, title: 维保时间}
  parts: {type: list, title: 部件}
  owner_phone: {type: text, title: 联系电话, personal: true, pattern: '^1[0-9]{10}$'}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "machine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_declaration_becomes_a_contract(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, MACHINE))
    assert contract.name == "machine"
    assert contract.key == ("subject_id", "registration_code")
    assert contract.measures == ("capacity",)
    assert contract.categories == ("category",)
    assert contract.texts == ("remark",)
    assert contract.outcome == {"accident"}
    assert contract.personal == {"owner_phone"}
    assert contract.title_of("due_on") == "下次检验日期"
    assert contract.title_of("happened_on") == "发生日期"
    assert contract.glossary["capacity"].unit == "吨"
    assert contract.dtypes["parts"] == pl.List(pl.String)


def row(**change: object) -> dict[str, object]:
    good: dict[str, object] = {
        "record_id": "0" * 32,
        "subject_id": "X",
        "happened_on": date(2025, 1, 1),
        "known_at": datetime(2025, 1, 2, tzinfo=UTC),
        "known_assumed": False,
        "source_ref": "a#1",
        "findings": [],
        "registration_code": "梯11",
    }
    return good | change


@pytest.mark.parametrize(
    ("change", "rule", "column"),
    [
        ({"registration_code": None}, "V01", "registration_code"),
        ({"category": "飞机"}, "F03", "category"),
        ({"capacity": -0.5}, "F04", "capacity"),
        ({"floors": 201}, "F04", "floors"),
        ({"remark": "四个字吗"}, None, None),
        ({"remark": "五个字了吧"}, "F04", "remark"),
        ({"owner_phone": "12345"}, "F04", "owner_phone"),
    ],
)
def test_its_rules_hold(
    tmp_path: Path, change: dict[str, object], rule: str | None, column: str | None
) -> None:
    contract = load_contract(write(tmp_path, MACHINE))
    gated = gate.check(pl.DataFrame([row(**change)], schema=contract.dtypes), contract)
    if rule is None:
        assert gated.problems.is_empty()
    else:
        assert gated.problems.select("rule", "column").rows() == [(rule, column)]


def test_a_table_titles_the_columns_that_every_record_has(tmp_path: Path) -> None:
    titles = "titles: {happened_on: {title: 检验日期, spellings: [检验时间]}}\n"
    contract = load_contract(write(tmp_path, MACHINE + titles))
    assert contract.title_of("happened_on") == "检验日期"
    found = headings(contract.glossary)
    assert {found[one] for one in ("检验日期", "检验时间", "happened_on")} == {
        ("happened_on", False)
    }
    counted = "titles: {severity: {title: 隐患级别}}\ncountable: true\n"
    assert load_contract(write(tmp_path, MACHINE + counted)).title_of("severity") == "隐患级别"


def test_a_countable_table_gets_the_counting_columns(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, MACHINE + "countable: true\n"))
    assert issubclass(contract.schema, Countable)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: 机械", "titel: 机械", r"yaml:2: unknown key 'titel'; did you mean 'title'"),
        ("type: date", "type: day", r"yaml:7: .*'day' is not allowed"),
        ("name: machine", "name: penalty", "taken by a built-in table"),
        ("name: machine", "name: Machine", "lower-case"),
        ("key: [registration_code]", "key: [registration_cod]", "did you mean 'registration_code'"),
        ("  due_on:", "  happened_on:", "every record already has"),
        ("{type: date, title", "{type: date, one_of: [a], title", "for text columns"),
        ("{type: flag, title", "{type: flag, min: 1, title", "for number and integer"),
        ("{type: date, title", "{type: date, role: measure, title", "a measure is a number"),
        ("'^1[0-9]{10}$'", "'^1[0-9{10}$'", "yaml:14: .*not a regular expression"),
        ("'^1[0-9]{10}$'", "'^(?!1)'", "yaml:14: .*look-around"),
        ("'^1[0-9]{10}$'", "'(.)\\1'", "yaml:14: .*backreferences"),
        ("'^1[0-9]{10}$'", "'a{1000}{1000}'", "yaml:14: .*size limit"),
        ("  due_on:", "  columns:", "yaml:7: .*reserved; name it columns_value"),
        ("  due_on:", "  column_names:", "reserved"),
        ("  due_on:", "  filter:", "reserved"),
        ("  due_on:", "  validate:", "reserved"),
        ("  due_on:", "  mro:", "reserved"),
        ("  due_on:", "  bucket:", "reserved"),
        ("  due_on:", "  _due:", "lower-case"),
        ("min: 1, max: 200", "min: 200, max: 1", "yaml:9: .*min 200 is above max 1"),
        ("min: 1, max: 200", "min: 1.5", "yaml:9: .*whole numbers"),
        ("min: 1, max: 200", "min: 1.0e+30", "yaml:9: .*whole numbers"),
        ("min: 1, max: 200", "min: nan", "yaml:9: .*finite"),
        ("key: [registration_code]", "key: [parts]", "yaml:3: .*'parts' cannot identify"),
        ("key: [registration_code]", "key: [findings]", "yaml:3: .*cannot identify"),
        ("key: [registration_code]", "key: [record_id]", "yaml:3: .*cannot identify"),
        ("columns:\n", "titles: {happend_on: {title: 日}}\ncolumns:\n", "yaml:4: .*'happened_on'"),
        ("columns:\n", "titles: {due_on: {title: 日}}\ncolumns:\n", "yaml:4: .*under columns"),
        ("columns:\n", "titles: {record_id: {title: 日}}\ncolumns:\n", "yaml:4: .*under columns"),
        ("columns:\n", "titles: {severity: {title: 级}}\ncolumns:\n", "yaml:4: .*under columns"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_says_where_and_how(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in MACHINE
    with pytest.raises(ConfigError, match=message):
        load_contract(write(tmp_path, MACHINE.replace(old, new)))


def test_a_column_of_the_counting_rule_is_free_only_where_it_does_not_count(tmp_path: Path) -> None:
    text = MACHINE.replace("  due_on:", "  severity:")
    assert "severity" in load_contract(write(tmp_path, text)).columns
    with pytest.raises(ConfigError, match=r"every record already has.*severity"):
        load_contract(write(tmp_path, text + "countable: true\n"))


def test_declared_contracts_are_kept_for_later_commands(tmp_path: Path) -> None:
    write(tmp_path, MACHINE)
    kept = tmp_path / "kept"
    assert kept_contracts(kept) == {}
    keep_declared(["penalty", "machine.yaml"], tmp_path, kept)
    assert list(kept_contracts(kept)) == ["machine"]
    keep_declared(["machine.yaml"], tmp_path, kept)


def test_a_kept_column_does_not_change_its_type(tmp_path: Path) -> None:
    write(tmp_path, MACHINE)
    keep_declared(["machine.yaml"], tmp_path, tmp_path / "kept")
    write(tmp_path, MACHINE.replace("due_on: {type: date", "due_on: {type: text"))
    with pytest.raises(ConfigError, match="due_on"):
        keep_declared(["machine.yaml"], tmp_path, tmp_path / "kept")


def test_common_spellings_still_find_a_redeclared_column(tmp_path: Path) -> None:
    text = MACHINE + "  subject_name: {type: text, title: 使用单位}\n"
    contract = load_contract(write(tmp_path, text))
    assert contract.title_of("subject_name") == "使用单位"
    assert {"使用单位", "企业名称"} <= set(contract.glossary["subject_name"].spellings)
