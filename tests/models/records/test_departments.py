"""The tables of departments that come with the package, declared as a user's own would be."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from models import names
from models.errors import ConfigError
from models.features.wording import wording
from models.records import gate
from models.records.bookkeeping import OWN
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.declared import departments, keep_declared, load_contract
from models.records.tables import WRITTEN
from models.scenarios.where import allowed_values

TABLES = departments()
EVERY = pytest.mark.parametrize("contract", TABLES.values(), ids=list(TABLES))


def row(contract: Contract, **values: object) -> dict[str, object]:
    given: dict[str, object] = {
        "record_id": "0" * 32,
        "subject_id": "X",
        "happened_on": date(2025, 1, 1),
        "known_at": datetime(2025, 1, 2, tzinfo=UTC),
        "known_assumed": False,
        "source_ref": "a#1",
        "findings": [],
    }
    return dict.fromkeys(contract.columns) | given | values


def test_every_file_is_named_after_its_table() -> None:
    assert [contract.name for contract in TABLES.values()] == list(TABLES)
    assert len(TABLES) == 12


def test_they_are_built_in_and_take_no_name_that_is_there_already() -> None:
    assert not TABLES.keys() & {*WRITTEN, *OWN}
    assert CONTRACTS.keys() == {*WRITTEN, *TABLES}
    assert list(CONTRACTS)[: len(WRITTEN)] == list(WRITTEN)


@EVERY
def test_no_heading_means_two_columns(contract: Contract) -> None:
    seen: dict[str, str] = {}
    for column in contract.columns:
        name = contract.glossary[column]
        for spelling in (*name.spellings, *name.in_wan):
            assert seen.setdefault(names.fold(spelling), column) == column, spelling


@EVERY
def test_every_title_finds_its_own_column(contract: Contract) -> None:
    found = names.headings(contract.glossary)
    titles = {name: names.fold(contract.title_of(name)) for name in contract.names}
    assert {name: found[title] for name, title in titles.items()} == {n: (n, False) for n in titles}
    assert {"happened_on", "authority", "subject_name"} <= contract.names.keys()


@EVERY
def test_what_is_only_known_later_is_no_feature(contract: Contract) -> None:
    made = {*contract.measures, *contract.categories}
    assert not made & contract.outcome
    assert made


@EVERY
def test_it_says_of_what_kind_a_record_is(contract: Contract) -> None:
    asked = set(contract.required) & {"kind", "event", "medium", "result", "topic"}
    assert asked
    for column in asked:
        wrong = pl.DataFrame([row(contract, **{column: "不在其列"})], schema=contract.dtypes)
        rules = gate.check(wrong, contract).problems.filter(pl.col("column") == column)
        assert rules["rule"].to_list() == ["F03"]


@EVERY
def test_a_user_cannot_take_its_name(contract: Contract, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        f"# mine\nname: {contract.name}\ntitle: 我的表\nkey: [code]\ncolumns:\n"
        "  code: {type: text, title: 编号, required: true}\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match=rf"own.yaml:2: .*'{contract.name}' is taken"):
        load_contract(path)
    with pytest.raises(ConfigError, match="name yours differently"):
        keep_declared(["own.yaml"], tmp_path, tmp_path / "kept")


def test_a_good_inspection_of_a_lift_is_accepted_and_a_bad_one_refused() -> None:
    contract = CONTRACTS["equipment"]
    good = row(
        contract,
        registration_code="梯11辽A00001",
        kind="定期检验",
        category="电梯",
        result="合格",
        overdue_days=0,
        due_on=date(2026, 1, 1),
    )
    bad = good | {"record_id": "1" * 32, "category": "飞机", "overdue_days": -1}
    gated = gate.check(pl.DataFrame([good, bad], schema=contract.dtypes), contract)
    assert sorted(gated.problems.select("rule", "column").rows()) == [
        ("F03", "category"),
        ("F04", "overdue_days"),
    ]


def test_amounts_may_come_in_ten_thousands() -> None:
    found = names.headings(CONTRACTS["wage_event"].glossary)
    assert found[names.fold("欠薪金额（万元）")] == ("amount", True)
    assert found[names.fold("欠薪金额")] == ("amount", False)


def test_a_table_may_call_what_every_record_has_by_its_own_name() -> None:
    contract = CONTRACTS["equipment"]
    assert contract.title_of("happened_on") == "登记或检验日期"
    assert names.headings(contract.glossary)[names.fold("检验日期")] == ("happened_on", False)
    assert CONTRACTS["equipment"].title_of("region") == CONTRACTS["penalty"].title_of("region")


def test_values_that_the_words_of_features_hint_at_are_there() -> None:
    for hints in wording().hints.values():
        for place, values in hints.levels.items():
            table, _, column = place.partition(".")
            assert set(values) <= set(allowed_values(CONTRACTS[table], column) or ()), place
