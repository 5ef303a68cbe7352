"""Code tables kept as YAML beside the code that reads them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import ConfigError


class Table(BaseModel):
    """Base of every table's layout: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Layout = TypeVar("Layout", bound=Table)


def read_table(name: str, layout: type[Layout]) -> Layout:
    """Return the packaged table ``name`` (a YAML file of this package)."""
    text = resources.files("models.codes").joinpath(name).read_text(encoding="utf-8")
    return _parse(text, layout, where=name)


def read_extra(path: Path, layout: type[Layout]) -> Layout:
    """Return a table from a user's own file.

    Raises:
        ConfigError: the file cannot be read, is no YAML, or does not have the layout.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); name a UTF-8 YAML file") from error
    return _parse(text, layout, where=str(path))


def _parse(text: str, layout: type[Layout], *, where: str) -> Layout:
    try:
        return layout.model_validate(yaml.safe_load(text))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(
            f"{where}:{line}: is not YAML ({error.problem}); mend that line"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(
            f"{where}: {place}: {first['msg']}; give it the layout of the packaged table"
        ) from error
