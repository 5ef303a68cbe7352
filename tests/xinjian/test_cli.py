from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import xinjian
from xinjian.cli import GROUPS, Group, main

pytestmark = pytest.mark.usefixtures("restored_logging")

STAND_IN = '''
import typer
from models.errors import ConfigError

app = typer.Typer()


@app.command()
def greet(name: str) -> None:
    """Greet."""
    typer.echo(f"hello {name}")


@app.command()
def refuse() -> None:
    """Refuse."""
    raise ConfigError("mapping.yaml:3: unknown key 'feilds'; did you mean 'fields'?")


@app.command()
def break_down() -> None:
    """Break down."""
    raise ValueError("three is not four")


@app.command()
def interrupt() -> None:
    """Interrupt."""
    raise KeyboardInterrupt


@app.command()
def need(package: str) -> None:
    """Need."""
    raise ModuleNotFoundError(f"No module named {package!r}", name=package)
'''
OTHER = "raise AssertionError('a group that is not named must not be imported')"


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Group, Group]:
    """Return two groups: one that works, and one that must not be imported."""
    (tmp_path / "stand_in_group.py").write_text(STAND_IN, encoding="utf-8")
    (tmp_path / "other_group.py").write_text(OTHER, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "stand_in_group", raising=False)
    importlib.invalidate_caches()
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "home"))
    return (
        Group("stand", "stand_in_group:app", "Stand in."),
        Group("other", "other_group:app", "Never imported."),
    )


Captured = pytest.CaptureFixture[str]


def test_a_command_runs(groups: tuple[Group, Group], capsys: Captured) -> None:
    assert main(["stand", "greet", "沈阳"], groups=groups) == 0
    assert capsys.readouterr().out == "hello 沈阳\n"


def test_help_lists_groups_without_importing_them(
    groups: tuple[Group, Group], capsys: Captured
) -> None:
    assert main(["--help"], groups=groups) == 0
    shown = capsys.readouterr().out
    assert "Stand in." in shown
    assert "Never imported." in shown
    assert "stand_in_group" not in sys.modules


def test_help_of_a_group_lists_its_commands(groups: tuple[Group, Group], capsys: Captured) -> None:
    assert main(["stand", "--help"], groups=groups) == 0
    shown = capsys.readouterr().out
    assert "xinjian stand" in shown
    assert "greet" in shown
    assert "break-down" in shown


def test_an_unknown_group_is_a_usage_error(groups: tuple[Group, Group], capsys: Captured) -> None:
    assert main(["stan"], groups=groups) == 2
    assert "Did you mean 'stand'?" in capsys.readouterr().err


def test_a_missing_argument_is_a_usage_error(groups: tuple[Group, Group], capsys: Captured) -> None:
    assert main(["stand", "greet"], groups=groups) == 2
    assert "name" in capsys.readouterr().err


def test_a_user_error_is_a_message(groups: tuple[Group, Group], capsys: Captured) -> None:
    assert main(["stand", "refuse"], groups=groups) == 2
    shown = capsys.readouterr()
    assert shown.err == "xinjian: mapping.yaml:3: unknown key 'feilds'; did you mean 'fields'?\n"
    assert shown.out == ""


def test_a_user_error_under_debug_has_its_traceback(
    groups: tuple[Group, Group], capsys: Captured
) -> None:
    assert main(["--debug", "stand", "refuse"], groups=groups) == 2
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("did you mean 'fields'?\n")


def test_debug_is_also_a_setting(
    groups: tuple[Group, Group], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XINJIAN_DEBUG", "1")
    assert main(["stand", "break-down"], groups=groups) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_unexpected_error_is_short_and_kept_in_a_file(
    groups: tuple[Group, Group], capsys: Captured, tmp_path: Path
) -> None:
    assert main(["stand", "break-down"], groups=groups) == 1
    shown = capsys.readouterr().err
    assert "unexpected ValueError: three is not four" in shown
    assert "Traceback" not in shown
    (kept,) = (tmp_path / "home" / "errors").iterdir()
    assert str(kept) in shown
    assert "Traceback" in kept.read_text(encoding="utf-8")


def test_an_unexpected_error_where_nothing_can_be_kept(
    groups: tuple[Group, Group], capsys: Captured, tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("a file stands where the folder should be", encoding="utf-8")
    assert main(["stand", "break-down"], groups=groups) == 1
    shown = capsys.readouterr().err
    assert "xinjian --debug" in shown
    assert "details are in" not in shown


def test_a_group_that_cannot_be_imported_is_ours(
    groups: tuple[Group, Group], capsys: Captured
) -> None:
    assert main(["other"], groups=groups) == 1
    assert "AssertionError" in capsys.readouterr().err


def test_an_interruption_is_130(groups: tuple[Group, Group]) -> None:
    assert main(["stand", "interrupt"], groups=groups) == 130


def test_an_interruption_while_importing_is_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "interrupted_group.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert main(["group"], groups=[Group("group", "interrupted_group:app", "")]) == 130


@pytest.mark.parametrize(
    ("package", "extra"), [("nvforest", "gpu"), ("ray.data", "ray"), ("sqlalchemy.orm", "training")]
)
def test_a_missing_extra_says_what_to_install(
    package: str, extra: str, groups: tuple[Group, Group], capsys: Captured
) -> None:
    assert main(["stand", "need", package], groups=groups) == 2
    assert f"pip install 'xinjian[{extra}]'" in capsys.readouterr().err


def test_a_missing_module_of_no_extra_is_ours(
    groups: tuple[Group, Group], capsys: Captured
) -> None:
    assert main(["stand", "need", "models.nothing"], groups=groups) == 1
    assert "models.nothing" in capsys.readouterr().err


def test_a_bad_setting_is_a_user_error(
    groups: tuple[Group, Group], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XINJIAN_BUCKETS", "zero")
    assert main(["stand", "greet", "x"], groups=groups) == 2
    shown = capsys.readouterr()
    assert "XINJIAN_BUCKETS='zero'" in shown.err
    assert shown.out == ""


def test_version(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"xinjian {xinjian.__version__}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+", xinjian.__version__)


def test_the_package_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = xinjian.nothing_such


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_every_group_answers(group: Group, capsys: Captured) -> None:
    assert main([group.name, "--help"]) == 0
    assert f"xinjian {group.name}" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from xinjian.cli import main; main(['--help']); print(*sys.modules)"
    loaded = set(_run("-c", code).stdout.rpartition("\n\n")[2].split())
    heavy = {"polars", "deltalake", "dataframely", "numpy", "pydantic", "sqlalchemy", "torch"}
    assert "typer" in loaded
    assert loaded & (heavy | {"training", "serving", "structlog", "importlib.metadata"}) == set()


def test_it_is_also_a_module() -> None:
    assert _run("-m", "xinjian", "--version").stdout.startswith("xinjian ")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
