"""Every contract is complete: titled, keyed, typed, and told apart from the bookkeeping."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from models import names
from models.errors import ConfigError
from models.records.bookkeeping import ImportRun, Quarantine
from models.records.contract import Contract
from models.records.contracts import CONTRACTS, contract_named
from models.records.countable import countable
from models.records.publicity import Purpose
from models.records.rules import rule_of, rules
from models.time import AsOf

EVERY = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
TABLES = (
    *("subject", "licence", "penalty", "inspection", "sampling", "complaint", "listing"),
    *("judgment", "annual_report", "change", "tax_event", "social_insurance", "person_role"),
    *("relation", "pledge", "repair", "invoice", "ad_monitor", "bid", "env_event", "env_monitor"),
    *("equipment", "finance_event", "medical_event", "opinion", "public_contract", "safety_event"),
    *("transport_event", "wage_event"),
)


def test_the_tables_are_those_promised() -> None:
    assert tuple(CONTRACTS) != ()
    assert set(CONTRACTS) == set(TABLES)


@EVERY
def test_every_column_has_a_chinese_title(contract: Contract) -> None:
    untitled = [c for c in contract.columns if contract.title_of(c) == c]
    assert untitled == []


@EVERY
def test_key_and_roles_name_columns(contract: Contract) -> None:
    named = {part for key in contract.key for part in key.split("|")}
    named |= {*contract.measures, *contract.categories, *contract.texts}
    named |= contract.outcome | contract.personal
    assert named <= set(contract.columns)


@EVERY
def test_every_check_belongs_to_a_known_rule(contract: Contract) -> None:
    catalogue = rules()
    for schema in filter(None, (contract.schema, contract.strict)):
        empty = pl.DataFrame(schema={n: c.dtype for n, c in schema.columns().items()})
        checks = schema.filter(empty)[1].details().columns[len(contract.columns) :]
        for check in checks:
            rule, column = rule_of(check)
            assert rule in catalogue
            assert column in {*contract.columns, None}


@EVERY
def test_money_is_in_yuan(contract: Contract) -> None:
    for measure in contract.measures:
        if measure.endswith(("amount", "capital")) or measure in {"assets", "revenue"}:
            assert contract.glossary[measure].unit == "元"


@EVERY
def test_every_contract_can_be_counted(contract: Contract) -> None:
    empty = pl.DataFrame(schema=contract.dtypes)
    rule = countable(AsOf(date(2026, 1, 1)), purpose=Purpose.RISK_CLASS, columns=contract.columns)
    assert empty.filter(rule).is_empty()


def test_strict_schemas_only_demand_more() -> None:
    for contract in CONTRACTS.values():
        if contract.strict is not None:
            assert issubclass(contract.strict, contract.schema)
            assert set(contract.strict.column_names()) == set(contract.columns)


def test_an_unknown_table_gets_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="'penalty'"):
        contract_named("penalties")


def test_bookkeeping_is_not_about_subjects() -> None:
    assert "subject_id" not in {*Quarantine.column_names(), *ImportRun.column_names()}


def test_every_glossary_field_is_a_column_or_an_identity() -> None:
    from training.sources.mapping import IDENTITY

    for section, fields in names.glossary().items():
        if section == "common":
            known = {c for contract in CONTRACTS.values() for c in contract.columns} | {*IDENTITY}
        else:
            known = {*CONTRACTS[section].columns}
        assert set(fields) <= known, section


def test_no_heading_means_two_fields_of_one_table() -> None:
    for table, fields in names.glossary().items():
        seen: dict[str, str] = {}
        for field, name in fields.items():
            for spelling in (*name.spellings, *name.in_wan):
                folded = names.fold(spelling)
                assert seen.setdefault(folded, field) == field, (table, spelling)
