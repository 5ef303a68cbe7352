"""The taxonomy of violations: whole, consistent with its users, and mended by clear errors."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from models.codes import penalty_kinds
from models.errors import ConfigError
from models.features.text import GROUPS
from models.features.text import SEVERITIES as FEATURE_SEVERITIES
from models.text.taxonomy import DATA, SEVERITIES, load, taxonomy
from training.synth.grammar import grammar


def test_every_leaf_has_a_group_a_title_and_a_department() -> None:
    known = taxonomy()
    assert len(known.groups) == 11
    assert len(known.leaves) == 112
    assert len({leaf.title for leaf in known.leaves}) == 112
    assert all(leaf.departments[0] in known.departments for leaf in known.leaves)


def test_features_speak_of_the_same_groups_and_severities() -> None:
    assert {group.code: group.name for group in taxonomy().groups} == dict(GROUPS)
    assert SEVERITIES == FEATURE_SEVERITIES


def test_the_synthetic_province_uses_only_leaves_of_the_taxonomy() -> None:
    taxonomy().check(grammar().leaves)


def test_penalties_are_known_kinds() -> None:
    used = {kind for leaf in taxonomy().leaves for kind in leaf.penalties}
    assert used <= penalty_kinds.kinds().keys()


@pytest.mark.parametrize(
    ("on", "laws"), [(date(2025, 10, 14), 1), (date(2025, 10, 15), 0)], ids=["old", "renumbered"]
)
def test_a_basis_ends_with_its_law(on: date, laws: int) -> None:
    assert len(taxonomy().basis("M10", on)) == laws


def test_articles_are_written_as_laws_write_them() -> None:
    written = [a for leaf in taxonomy().leaves for basis in leaf.basis for a in basis.articles]
    assert all(article.startswith("第") and article.endswith("条") for article in written)
    assert taxonomy().leaf("S05").basis[0].articles == ("第一百零二条",)


def test_an_unknown_leaf_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no leaf 'M99'"):
        taxonomy().leaf("M99")


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    text = DATA.read_text(encoding="utf-8")
    same, other = tmp_path / "same.yaml", tmp_path / "other.yaml"
    same.write_text("# a comment changes nothing\n" + text, encoding="utf-8")
    other.write_text(text.replace("title: 无照经营", "title: 未经登记经营"), encoding="utf-8")
    assert load(same).digest == taxonomy().digest != load(other).digest


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("code: M02", "code: M01", "leaf M01 stands twice"),
        ("code: M02", "code: F99", "leaf F99 stands in group M"),
        ("departments: [market]", "departments: [markt]", "no department 'markt'.*market"),
        ('penalties: ["03", "04"]', 'penalties: ["77"]', "no kind of penalty '77'"),
        ("severity: major", "severity: heavy", "taxonomy.yaml:"),
    ],
)
def test_bad_data_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "taxonomy.yaml"
    path.write_text(DATA.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        load(path)


def test_the_file_is_plain_yaml() -> None:
    assert yaml.safe_load(DATA.read_text(encoding="utf-8"))["version"] == taxonomy().version
