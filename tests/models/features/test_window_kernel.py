"""Compiled code comes from the cache, and from nowhere else than it should."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from models.features import compiled as compiling
from models.features.window import warm

DOUBLE = """
from models.features.compiled import compiled

@compiled("i8 i8*")
def double(values, into):
    for i in range(len(values)):
        into[i] = 2 * values[i]
"""

LEAST = """
from models.features.compiled import compiled

@compiled("f8 i8,0 -> f8,0")
def least(values, count):
    found = 0.0 / count
    for i in range(count):
        found = values[i] if i == 0 else min(found, values[i])
    return found
"""


def python(root: Path, code: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    return ran.stdout.strip()


def test_features_are_imported_without_numba(root: Path) -> None:
    code = "import sys, models.features, models.features.window as w; print('numba' in sys.modules)"
    assert python(root, code) == "False"


def test_warming_loads_what_an_earlier_process_compiled(root: Path) -> None:
    warm()
    hits = "sum(f.stats.cache_hits.total() for f in found)"
    code = (
        "from models.features.window import warm; warm(); "
        "from models.features import ends, kernel, texts; "
        "found = kernel.windows, ends.publicity_ends, texts.number, texts.changes; "
        f"print({hits})"
    )
    assert python(root, code) == "4"


def loaded(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def doubled(module: ModuleType) -> list[int]:
    values, into = np.arange(3), np.zeros(3, np.int64)
    values.flags.writeable = False
    module.double(values, into)
    return into.tolist()


def test_a_damaged_cache_is_done_without(tmp_path: Path) -> None:
    source = tmp_path / "double.py"
    source.write_text(DOUBLE)
    assert doubled(loaded(source, "double")) == [0, 2, 4]
    (index,) = tmp_path.rglob("*.nbi")
    for damage in (b"", b"\x80\x04nonsense"):
        index.write_bytes(damage)
        assert doubled(loaded(source, "double")) == [0, 2, 4]


def test_where_no_cache_can_be_written_the_process_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    njit = compiling._njit

    def nowhere(*signature: object, nogil: bool, error_model: str, cache: bool) -> object:
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function 'double': no locator available")
        return njit(*signature, nogil=nogil, error_model=error_model)

    monkeypatch.setattr(compiling, "_njit", nowhere)
    source = tmp_path / "double.py"
    source.write_text(DOUBLE)
    assert doubled(loaded(source, "double")) == [0, 2, 4]
    assert asked == [True, False]


def test_a_signature_names_numbers_arrays_and_what_is_returned(tmp_path: Path) -> None:
    source = tmp_path / "least.py"
    source.write_text(LEAST)
    module = loaded(source, "least")
    assert module.least(np.array([3.0, 1.0, 2.0]), 2) == 1.0
    assert np.isnan(module.least(np.array([3.0]), 0))


def test_an_error_of_the_compiler_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("no such processor")

    monkeypatch.setattr(compiling, "_njit", broken)
    with pytest.raises(RuntimeError, match="no such processor"):
        compiling.compiled("i8")(print)
