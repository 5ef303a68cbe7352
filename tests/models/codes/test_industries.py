from __future__ import annotations

import pytest

from models.codes import industries

FIRST_AND_LAST = {
    "A": ("01", "05"),
    "B": ("06", "12"),
    "C": ("13", "43"),
    "D": ("44", "46"),
    "E": ("47", "50"),
    "F": ("51", "52"),
    "G": ("53", "60"),
    "H": ("61", "62"),
    "I": ("63", "65"),
    "J": ("66", "69"),
    "K": ("70", "70"),
    "L": ("71", "72"),
    "M": ("73", "75"),
    "N": ("76", "79"),
    "O": ("80", "82"),
    "P": ("83", "83"),
    "Q": ("84", "85"),
    "R": ("86", "90"),
    "S": ("91", "96"),
    "T": ("97", "97"),
}


def test_there_are_20_sections_and_97_divisions() -> None:
    assert list(industries.sections()) == list(FIRST_AND_LAST)
    assert list(industries.divisions()) == [f"{number:02}" for number in range(1, 98)]
    assert len(set(industries.divisions().values())) == 97


@pytest.mark.parametrize("section", FIRST_AND_LAST)
def test_divisions_lie_in_their_sections(section: str) -> None:
    first, last = FIRST_AND_LAST[section]
    codes = [code for code in industries.divisions() if industries.section_of(code) == section]
    assert (codes[0], codes[-1]) == (first, last)


@pytest.mark.parametrize(
    ("code", "section", "division", "name"),
    [
        ("C1495", "C", "14", "食品制造业"),
        ("1495", "C", "14", "食品制造业"),
        ("149", "C", "14", "食品制造业"),
        ("14", "C", "14", "食品制造业"),
        (" c14 ", "C", "14", "食品制造业"),
        ("C", "C", None, "制造业"),
        ("6220", "H", "62", "餐饮业"),
        ("T97", "T", "97", "国际组织"),
        ("A1495", None, None, None),
        ("98", None, None, None),
        ("00", None, None, None),
        ("1", None, None, None),
        ("Z", None, None, None),
        ("14951", None, None, None),
        ("", None, None, None),
        (None, None, None, None),
    ],
)
def test_codes_in_every_form(
    code: str | None, section: str | None, division: str | None, name: str | None
) -> None:
    assert industries.section_of(code) == section
    assert industries.division_of(code) == division
    assert industries.name(code) == name
    assert industries.is_known(code) is (None if code is None else section is not None)
