"""The shipped font writes what pictures and reports are written in."""

from __future__ import annotations

from pathlib import Path

from matplotlib.ft2font import FT2Font

from models.fonts import FAMILY, FONT, LICENCE
from models.records.contracts import CONTRACTS
from models.scenarios import catalogue

MEGABYTE = 2**20


def characters() -> set[str]:
    return set(map(chr, FT2Font(str(FONT)).get_charmap()))


def test_it_has_every_character_of_gb_2312_and_latin() -> None:
    rows = (bytes([a, b]) for a in range(0xA1, 0xF8) for b in range(0xA1, 0xFF))
    wanted = set("".join(code.decode("gb2312", "ignore") for code in rows))
    assert len(wanted) == 7445
    assert wanted - characters() == set()
    assert set(map(chr, range(0x20, 0x7F))) - characters() == set()


def test_it_writes_the_projects_own_words(root: Path) -> None:
    words = "".join(
        [
            *(one.canonical for one in catalogue().values()),
            *(contract.title for contract in CONTRACTS.values()),
            (root / "models" / "features" / "wording.yaml").read_text("utf-8"),
            (root / "training" / "evaluate" / "card.html.j2").read_text("utf-8"),
        ]
    )
    assert {c for c in words if c.isprintable()} - characters() == set()


def test_it_is_small_and_goes_with_its_licence() -> None:
    assert FONT.stat().st_size < 3 * MEGABYTE
    assert "SIL OPEN FONT LICENSE Version 1.1" in LICENCE.read_text("utf-8")
    assert "Adobe" in LICENCE.read_text("utf-8")


def test_it_has_a_name_of_its_own() -> None:
    assert FT2Font(str(FONT)).family_name == FAMILY
    assert "Noto" not in FAMILY
