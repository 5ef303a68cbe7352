"""Bring the articles of laws into the installation, with the place whose law each is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import polars as pl

from models.codes import regions
from models.errors import ConfigError
from models.logs import logger
from models.text import titles
from models.text.laws import Laws
from training.text.corpus import read_table

KEPT: Final = Path("text") / "laws.parquet"
"""Where the articles lie under the home folder; their index lies beside them."""
_UNIT: Final = re.compile(r"(?:省|市|(?:[壮回]族|维吾尔)?自治区|特别行政区)$")
CATEGORY: Final = "category"
"""A column that names the province of a local law among other words (山东地方法规/地方性法规)."""


def import_laws(source: Path, home: Path) -> Laws:
    """Read a table of articles, index it, and keep both under the home folder.

    The place of a law is the table's own ``region``; else the city or province in its title that
    the table of regions lists; else the province that its ``category`` names.

    Args:
        source: Parquet or CSV with law, date, article, text; see :data:`models.text.laws.SCHEMA`.
        home: The installation's folder.

    Raises:
        SourceError: The file cannot be read.
        ConfigError: It lacks a column, a value is of another kind, or no row is an article.
    """
    table = read_table(source)
    laws = Laws.of(_placed(table) if CATEGORY in table.columns else table)
    if laws.articles.is_empty():
        raise ConfigError(f"{source}: has no row with law, article and text; nothing was changed")
    if left := table.height - laws.articles.height:
        logger(__name__).warning(
            "rows left out: without law, article or text, or an article of one version again",
            rows=left,
        )
    laws.save(home / KEPT)
    return laws


def _placed(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with the place of each law, by title and category."""
    if "region" in table.columns or "law" not in table.columns:
        return table
    names = table.select("law", pl.col(CATEGORY).cast(pl.String)).unique().drop_nulls("law")
    placed = names.with_columns(
        region=pl.Series([_place(*row) for row in names.iter_rows()], dtype=pl.String)
    )
    return table.join(placed, on=["law", CATEGORY], how="left", nulls_equal=True)


def _place(law: str, category: str | None) -> str | None:
    by_title = titles.place_of(law)
    if by_title not in {None, titles.ELSEWHERE}:
        return by_title
    return _province(category or "") or by_title


def _province(text: str) -> str | None:
    """Return the code of the province whose name, without 省 or 市, stands in a text."""
    for code in regions.children("100000"):
        short = _UNIT.sub("", regions.name(code) or "")
        if short and short in text:
            return code
    return None
