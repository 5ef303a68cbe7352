"""Departments' tables are imported as they stand: their own headings find their columns."""

from __future__ import annotations

import polars as pl
import pytest

from models.records.contract import Contract
from models.records.declared import departments
from models.scenarios.where import allowed_values
from tests.training.sources.world import NAMES, REGISTER, A, World, mapping, registered

TABLES = departments()
EVERY = pytest.mark.parametrize("contract", TABLES.values(), ids=list(TABLES))


def written(contract: Contract, column: str) -> str:
    """Return a value as a source would write it."""
    values = allowed_values(contract, column)
    if values is not None:
        return values[-1]
    match contract.dtypes[column]:
        case pl.Date():
            return "2024年3月1日"
        case pl.Boolean():
            return "是"
        case pl.String():
            return f"{column}1"
        case _:
            return "1"


@EVERY
def test_a_sheet_with_chinese_headings_needs_no_columns_in_the_mapping(
    world: World, contract: Contract
) -> None:
    registered(world)
    own = [c for c in contract.names if c not in {"subject_name", "authority", "happened_on"}]
    cells = {
        "统一社会信用代码": A,
        contract.title_of("subject_name"): NAMES[A],
        contract.title_of("authority"): "沈阳市某局",
        contract.title_of("happened_on"): "2024-01-05",
        **{contract.title_of(column): written(contract, column) for column in own},
    }
    world.write("rows.csv", f"{','.join(cells)}\n{','.join(cells.values())}\n")
    source = f"""
  - id: own
    target: {contract.name}
    files: [rows.csv]
    known_at: {{on: 2024-06-01}}
"""
    tally = world.run(mapping(REGISTER, source))["own"]
    assert (tally.inserted, tally.rules) == (1, {})
    (record,) = world.table(contract.name).to_dicts()
    assert record["subject_id"] == A
    assert [name for name in (*contract.names, "authority") if record[name] is None] == []


def test_an_amount_in_ten_thousands_is_stored_in_yuan(world: World) -> None:
    registered(world)
    world.write(
        "wages.csv",
        "统一社会信用代码,事件编号,事件类型,欠薪金额（万元）,发生日期\n"
        f"{A},沈劳监〔2024〕1号,责令限期支付,12.5,2024-01-05\n",
    )
    source = """
  - id: wages
    target: wage_event
    files: [wages.csv]
    known_at: {on: 2024-06-01}
"""
    world.run(mapping(REGISTER, source))
    assert world.table("wage_event")["amount"].to_list() == [125_000]
