"""``xinjian serve audit``: the chain of acts, checked and taken out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from models.errors import ConfigError
from serving.settings import ServeSettings

if TYPE_CHECKING:
    from serving.ledger.audit import Anchor, Verdict

app = typer.Typer(no_args_is_help=True)

NOT_WHOLE: Final = 3
"""Exit code of a chain that was tampered with."""
_SHOWN: Final = 50


@app.command()
def verify(
    *,
    anchor: Annotated[
        list[Path] | None,
        typer.Option(help="Anchor or manifest of a backup, kept elsewhere; may be repeated."),
    ] = None,
    write_anchor: Annotated[
        Path | None, typer.Option(help="Write the end of the chain there, to be kept elsewhere.")
    ] = None,
) -> None:
    """Find a changed, missing, inserted or moved row; exit with 3 (核验审计链)."""
    from serving.ledger import audit
    from serving.ledger.engine import Ledger

    anchors = [_anchor(path) for path in anchor or ()]
    ledger = Ledger.open(ServeSettings.load())
    try:
        with ledger.begin() as connection:
            verdict = audit.verify(connection, anchors)
    finally:
        ledger.close()
    _tell(verdict, len(anchors))
    if not verdict.whole:
        raise typer.Exit(NOT_WHOLE)
    if write_anchor is not None:
        told = {"seq": verdict.head.seq, "hash": verdict.head.hash}
        _write_new(write_anchor, [json.dumps(told)])


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="File for one JSON object a line; a new one.")],
    *,
    after: Annotated[int, typer.Option(help="Number of the last row that is elsewhere.")] = 0,
) -> None:
    """Write the acts to a file that only its owner may read (导出审计记录)."""
    from serving.ledger import audit
    from serving.ledger.audit import SYSTEM, Entry
    from serving.ledger.engine import Ledger
    from serving.service import now

    ledger = Ledger.open(ServeSettings.load())
    try:
        with ledger.begin() as connection:
            end = audit.head(connection)
            rows = _write_new(out, audit.lines(connection, after=after))
            details = {"after": after, "rows": rows}
            audit.append(
                connection, Entry(now(), SYSTEM, "audit.export", out.name, details=details)
            )
    finally:
        ledger.close()
    typer.echo(f"已导出 {rows} 条到 {out}；导出前链尾：第 {end.seq} 条 {end.hash}")


def _tell(verdict: Verdict, anchors: int) -> None:
    end = f"链尾：第 {verdict.head.seq} 条 {verdict.head.hash}"
    if verdict.whole:
        beside = f"，与 {anchors} 个锚点一致" if anchors else ""
        typer.echo(f"审计链完整：{verdict.rows} 条{beside}；{end}")
        return
    typer.echo(
        f"审计链已被破坏：{verdict.rows} 条中有 {len(verdict.faults)} 处不符；{end}", err=True
    )
    for fault in verdict.faults[:_SHOWN]:
        typer.echo(f"  row {fault.seq} {fault.told}", err=True)
    if len(verdict.faults) > _SHOWN:
        typer.echo(f"  … 另有 {len(verdict.faults) - _SHOWN} 处", err=True)


def _anchor(path: Path) -> Anchor:
    from serving.ledger.audit import Anchor

    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Anchor(int(told["seq"]), str(told["hash"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is no anchor ({error}): give what --write-anchor wrote, or the manifest.json "
            "of a backup"
        ) from error


def _write_new(path: Path, lines: Iterable[str]) -> int:
    """Write lines to a file that is not there yet; return how many."""
    rows = 0
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({error.strerror}); name a new file"
        ) from error
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(line + "\n")
            rows += 1
    return rows
