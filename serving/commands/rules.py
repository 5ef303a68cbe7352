"""``xinjian serve rules``: files of rules checked before they are proposed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def rules() -> None:
    """Check files of rules (规则)."""


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="File of rules; those of the package by default.")
    ] = None,
) -> None:
    """Check a file of warnings, ladder, measures, repair, review or publicity (检查规则文件)."""
    from models.supervision import rulefiles

    if file is None:
        typer.echo(f"软件自带的 {rulefiles.check_all()} 份规则无误")
        return
    kind = rulefiles.check_file(file)
    title = "公示期限规则" if kind is None else rulefiles.TITLES[kind]
    typer.echo(f"{file}: {title}无误")
