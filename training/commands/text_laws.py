"""``xinjian text laws``: bring the articles of laws in, to link citations and propose articles.

:func:`register` adds the command to the group.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models.settings import Settings
from training.text.laws import KEPT, import_laws


def register(app: typer.Typer) -> None:
    """Add ``laws`` to the group."""
    app.command()(laws)


def laws(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Parquet or CSV: law, date, article, text; maybe region."
        ),
    ],
) -> None:
    """Read a table of articles, index it, and keep both under the home folder."""
    home = Settings.load().home
    found = import_laws(file, home)
    titles = found.articles["law"].n_unique()
    typer.echo(f"{found.articles.height:,} articles of {titles:,} laws: {home / KEPT}")
