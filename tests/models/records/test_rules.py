"""The catalogue of rules is complete and tells what to do."""

from __future__ import annotations

import pytest

from models.records.contracts import CONTRACTS
from models.records.rules import rule_of, rules


def test_the_publication_rules_are_all_there() -> None:
    assert {f"V{i:02d}" for i in range(1, 15)} <= set(rules())


def test_every_rule_says_what_it_means_and_what_mends_it() -> None:
    for rule in rules().values():
        assert rule.title
        assert rule.remedy


def test_warnings_of_contracts_are_warn_rules() -> None:
    catalogue = rules()
    tripped = {warning.rule for c in CONTRACTS.values() for warning in c.warnings}
    assert {catalogue[rule].severity for rule in tripped} == {"warn"}


@pytest.mark.parametrize(
    ("check", "rule", "column"),
    [
        ("V06_valid_to", "V06", "valid_to"),
        ("document_number|nullability", "V01", "document_number"),
        ("severity|check__enum", "F03", "severity"),
        ("penalty_kinds|inner_check__enum", "F03", "penalty_kinds"),
        ("document_number|check__length", "F04", "document_number"),
        ("fine_amount|min", "F04", "fine_amount"),
        ("region|regex", "F04", "region"),
    ],
)
def test_a_check_s_name_tells_rule_and_column(check: str, rule: str, column: str) -> None:
    assert rule_of(check) == (rule, column)
