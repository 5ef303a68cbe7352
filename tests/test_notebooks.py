"""The notebooks: titled in both languages, stored clean, importing public names, and they run."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict, cast

import pytest

from tests.conftest import PACKAGES, ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SEVEN = [
    "01_records_and_quality",
    "02_declare_a_scenario",
    "03_backtest_and_model_card",
    "04_reasons_and_repair_guidance",
    "05_violation_text",
    "06_draw_verify_estimate",
    "07_drift_and_retraining",
]
HAN, LATIN = re.compile(r"[一-鿿]"), re.compile(r"[A-Za-z]{3,}")
PATH = re.compile(r"""["'](/|~|[A-Z]:\\)\w""")
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


class Cell(TypedDict, total=False):
    cell_type: str
    source: str | list[str]
    outputs: list[object]
    execution_count: int | None
    metadata: dict[str, object]


def cells(path: Path) -> list[Cell]:
    return cast("list[Cell]", json.loads(path.read_text(encoding="utf-8"))["cells"])


def source(cell: Cell) -> str:
    return "".join(cell.get("source", ""))


def code(path: Path) -> list[str]:
    """Return the cells of code without the lines that only IPython reads."""
    return [
        re.sub(r"^[%!].*$", "", source(cell), flags=re.MULTILINE)
        for cell in cells(path)
        if cell.get("cell_type") == "code"
    ]


def imported(path: Path) -> Iterator[tuple[str, str | None]]:
    for node in ast.walk(ast.parse("\n".join(code(path)))):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", one.name) for one in node.names)
        elif isinstance(node, ast.Import):
            yield from ((one.name, None) for one in node.names)


def test_there_are_the_seven_and_the_readme_lists_them() -> None:
    assert [path.stem for path in NOTEBOOKS] == SEVEN
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `notebooks/(\w+)\.ipynb` \|", readme, flags=re.MULTILINE) == SEVEN


@EACH
def test_its_title_is_chinese_and_english(path: Path) -> None:
    first = cells(path)[0]
    title = source(first).splitlines()[0]
    assert first.get("cell_type") == "markdown"
    assert title.startswith(f"# {path.stem[:2]} ")
    assert HAN.search(title)
    assert LATIN.search(title)


@EACH
def test_its_headings_have_both_languages_too(path: Path) -> None:
    written = (source(cell) for cell in cells(path) if cell.get("cell_type") == "markdown")
    headings = re.findall(r"^#+ .*$", "\n".join(written), flags=re.MULTILINE)
    assert len(headings) >= 4
    assert [one for one in headings if not (HAN.search(one) and LATIN.search(one))] == []


@EACH
def test_it_is_short(path: Path) -> None:
    assert 10 <= len(cells(path)) <= 20
    lengths = [len(one.splitlines()) for one in code(path)]
    assert max(lengths) <= 45
    assert sorted(lengths)[len(lengths) // 2] <= 15


@EACH
def test_it_is_stored_without_outputs(path: Path) -> None:
    ran = [cell for cell in cells(path) if cell.get("outputs") or cell.get("execution_count")]
    assert ran == []
    assert [cell for cell in cells(path) if cell.get("metadata")] == []


@EACH
def test_it_imports_public_names_only(path: Path) -> None:
    ours = [(module, name) for module, name in imported(path) if module.split(".")[0] in PACKAGES]
    assert ours
    for module, name in ours:
        hidden = [part for part in (*module.split("."), name or "") if part.startswith("_")]
        assert hidden == []
        within = importlib.import_module(module)
        assert name is None or hasattr(within, name) or find_spec(f"{module}.{name}")


@EACH
def test_it_reaches_for_no_private_name(path: Path) -> None:
    tree = ast.parse("\n".join(code(path)))
    reached = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert [name for name in reached if name.startswith("_")] == []


@EACH
def test_it_stays_in_a_folder_of_its_own(path: Path) -> None:
    text = "\n".join(code(path))
    assert PATH.search(text) is None
    assert 'TemporaryDirectory(prefix="xinjian-")' in text
    assert code(path)[-1].strip() in {"FOLDER.cleanup()", "HOME.cleanup()"}


@EACH
def test_it_runs_alone(path: Path, tmp_path: Path) -> None:
    """In a kernel of its own, on a machine of two cores, and leaves nothing behind."""
    shutil.copy(path, tmp_path)
    kept = tmp_path / "kept"
    kept.mkdir()
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=600", "-q", path.name],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(kept), "OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert [one.name for one in kept.glob("xinjian-*")] == []
