"""What the README shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from models.records.declared import load_contract
from training.sources.mapping import load_mapping


def yaml_blocks(root: Path) -> list[str]:
    text = (root / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


def test_the_mapping_it_shows_is_sound(root: Path, tmp_path: Path) -> None:
    (block,) = [b for b in yaml_blocks(root) if b.startswith("# mapping.yaml")]
    path = tmp_path / "mapping.yaml"
    path.write_text(block, encoding="utf-8")
    (plan,) = load_mapping(path).plans
    assert plan.contract.name == "penalty"
    assert plan.source.strict


def test_the_contract_it_shows_is_sound(root: Path, tmp_path: Path) -> None:
    (block,) = [b for b in yaml_blocks(root) if b.startswith("# equipment.yaml")]
    path = tmp_path / "equipment.yaml"
    path.write_text(block, encoding="utf-8")
    contract = load_contract(path)
    assert contract.name == "equipment"
    assert contract.outcome == {"accident"}
