"""The glossary folds headings and tells units."""

from __future__ import annotations

import pytest

from models import names
from models.records.tables.publicity import PENALTY


@pytest.mark.parametrize(
    "heading",
    [
        *("罚款金额（万元）", "罚款金额(万元)", " 罚款金额（万元） ", "\u200b罚款金额（万元）"),
        *("CF_NR_FK", "cf_nr_fk", "罚款金额（万元）*"),
    ],
)
def test_spellings_are_found_however_they_are_typed(heading: str) -> None:
    assert names.headings(PENALTY.glossary)[names.fold(heading)] == ("fine_amount", True)


def test_the_unit_is_that_of_the_spelling() -> None:
    found = names.headings(PENALTY.glossary)
    assert found[names.fold("罚款金额")] == ("fine_amount", False)
    assert PENALTY.glossary["fine_amount"].unit == "元"


def test_a_table_s_own_meaning_wins_over_the_common_one() -> None:
    assert names.names_of("subject")["happened_on"].zh == "成立日期"
    assert names.names_of("penalty")["happened_on"].zh == "处罚决定日期"
    assert names.names_of("unheard_of")["happened_on"].zh == "发生日期"


def test_common_spellings_find_a_table_s_own_field_too() -> None:
    found = names.headings(PENALTY.glossary)
    assert found[names.fold("文号")] == ("document_number", False)
    assert found[names.fold("行政处罚决定书文号")] == ("document_number", False)
    assert PENALTY.glossary["document_number"].zh == "行政处罚决定书文号"
