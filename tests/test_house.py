"""The house keeps its own rules: what is documented exists, and what exists is documented."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.settings import variable
from serving.settings import ServeSettings
from xinjian.cli import GROUPS, Group, Run, build

ROOT = Path(__file__).parent.parent
PACKAGES = ("models", "training", "serving", "xinjian")
LONGEST = 400
WRITTEN = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".html", ".j2", ".css", ".js", ".ipynb"}
UNNAMED = {"Makefile", "LICENSE", ".gitignore", "run"}
# A path of one machine, or an address that a closed network does not reach.
FOREIGN = re.compile(
    r"(?<![\w.~-])/(work|root|home|tmp|opt|Users)/\w|pypi\.org|pythonhosted|npmjs|huggingface\.co"
)


def _files() -> Iterator[Path]:
    for name in (*PACKAGES, "tests", "notebooks", ".ci"):
        yield from (path for path in (ROOT / name).rglob("*") if path.is_file())
    yield from (path for path in ROOT.iterdir() if path.is_file())


def _written() -> list[Path]:
    return sorted(
        path
        for path in _files()
        if (path.suffix in WRITTEN or path.name in UNNAMED) and path != Path(__file__)
    )


def _modules() -> list[Path]:
    return [path for path in _written() if path.suffix == ".py"]


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_there_is_something_to_look_at() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in _written()}
    assert {"README.md", "models/errors.py", ".ci/run", "tests/conftest.py"} <= names


def test_no_package_under_tests_shadows_a_package() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_every_package_is_typed() -> None:
    assert [name for name in PACKAGES if not (ROOT / name / "py.typed").exists()] == []


def test_modules_are_short() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in _modules()
        if "tests" not in path.relative_to(ROOT).parts
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_nothing_names_a_machine_or_a_far_host() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{number}": line.strip()
        for path in _written()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if FOREIGN.search(line)
    }
    assert found == {}


@pytest.mark.parametrize("setting", sorted(ServeSettings.model_fields))
def test_every_setting_is_documented(setting: str) -> None:
    assert f"| `{variable(setting)}` |" in _text("README.md")


def test_every_documented_setting_exists() -> None:
    rows = re.findall(r"^\| `(XINJIAN_\w+)` \|", _text("README.md"), flags=re.MULTILINE)
    assert set(rows) == {variable(setting) for setting in ServeSettings.model_fields}


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_the_documented_commands_are_those_there_are(group: Group) -> None:
    app = build([group], [group.name], run=Run())
    (entry,) = app.registered_groups
    assert entry.typer_instance is not None
    names = {
        command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        for command in entry.typer_instance.registered_commands
        if not command.hidden
    } | {nested.name for nested in entry.typer_instance.registered_groups}
    rows = re.findall(
        rf"^\| `xinjian {group.name} ([\w-]+)", _text("README.md"), flags=re.MULTILINE
    )
    assert set(rows) == names


def test_every_make_target_says_what_it_does() -> None:
    makefile = _text("Makefile")
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        encoding="utf-8",
    ).stdout
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
    assert phony.split() == re.findall(r"^  make ([\w-]+) +\S", listed, flags=re.MULTILINE)


def test_every_version_is_pinned_exactly() -> None:
    pins = [line for line in _text("constraints.txt").splitlines() if not line.startswith("#")]
    assert "torch==2.13.0" in pins
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.!]+", pin)] == []


def test_every_extra_is_documented() -> None:
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    _, _, installing = _text("README.md").partition("## Installing")
    rows = re.findall(r"^\| `(\w+)` \|", installing, flags=re.MULTILINE)
    assert rows == list(project["optional-dependencies"])
