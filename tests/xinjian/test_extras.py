from __future__ import annotations

import re
from importlib.metadata import metadata, requires

import pytest

from xinjian.extras import EXTRA_OF, missing_extra

# Distributions whose import name is not their own name.
IMPORT_NAME = {
    "argon2-cffi": "argon2",
    "mlflow-skinny": "mlflow",
    "nvforest-cu12": "nvforest",
    "scikit-learn": "sklearn",
}
EXTRAS = ("training", "serving", "text", "openvino", "s3", "embedded", "ray", "gpu")


def _packages(extra: str) -> set[str]:
    """Return the import names of the packages that an extra brings."""
    wanted = [line for line in requires("xinjian") or [] if f"extra == '{extra}'" in line]
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in wanted]
    return {IMPORT_NAME.get(name, name.replace("-", "_")) for name in names}


def _extras() -> set[str]:
    return set(metadata("xinjian").get_all("Provides-Extra") or [])


def test_the_extras_there_are() -> None:
    assert _extras() == {*EXTRAS, "dev"}


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_package_of_an_extra_is_known(extra: str) -> None:
    packages = _packages(extra)
    assert packages
    assert packages <= set(EXTRA_OF)


@pytest.mark.parametrize(("package", "extra"), EXTRA_OF.items())
def test_the_named_extra_brings_the_package(package: str, extra: str) -> None:
    assert package in _packages(extra)


def test_a_submodule_counts_as_its_package() -> None:
    error = missing_extra(ModuleNotFoundError("no", name="torch.nn"))
    assert "'torch'" in str(error)
    assert "xinjian[text]" in str(error)


@pytest.mark.parametrize("name", ["models.nothing", None])
def test_other_modules_are_of_no_extra(name: str | None) -> None:
    assert missing_extra(ModuleNotFoundError("no", name=name)) is None
