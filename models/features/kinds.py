"""Kinds of business that names tell of (``kinds.yaml``): 网吧, 书店, 印刷, and so on.

The register's industry code is the better source where there is one. Many tables give a name and
nothing else, and the name of an enterprise has to say what it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict

from models import yaml
from models.codes.columns import by_distinct, half_width_expr

OTHER: Final = "其他"
"""The kind of a name that says nothing; a name that is null has none."""


class Kinds(BaseModel):
    """Words by kind, in the order in which they are looked for; words of platforms and branches."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: Mapping[str, tuple[str, ...]]
    platforms: tuple[str, ...]
    branches: tuple[str, ...]


@cache
def kinds() -> Kinds:
    """Return the words, read once."""
    with resources.as_file(resources.files("models.features") / "kinds.yaml") as path:
        return yaml.load(Path(path), Kinds)


def kind_of(name: str) -> str:
    """Return the first kind of which a name, in half width, has a word."""
    told = (kind for kind, words in kinds().kinds.items() if any(word in name for word in words))
    return next(told, OTHER)


def kind_expr(name: str) -> pl.Expr:
    """Return the kind of each name; null for no name."""
    return by_distinct(half_width_expr(name).str.to_uppercase(), kind_of, pl.String())


def says_expr(name: str, words: tuple[str, ...]) -> pl.Expr:
    """Return 1 where a name has one of the words, else 0; null for no name."""
    text = half_width_expr(name)
    return text.str.contains_any(list(words)).cast(pl.Float64)
