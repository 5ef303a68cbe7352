"""``xinjian serve backup`` and ``restore``: the ledger's way out of a lost machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serving.settings import ServeSettings


def backup(
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the backup; <home>/backups otherwise.")
    ] = None,
) -> None:
    """Back the ledger up while it is in use (备份台账)."""
    from serving.ledger import backup as backups
    from serving.ledger.engine import Ledger
    from serving.service import now

    settings = ServeSettings.load()
    ledger = Ledger.open(settings)
    try:
        made = backups.backup(ledger, out or settings.home / "backups", at=now())
    finally:
        ledger.close()
    rows = sum(made.manifest.rows.values())
    typer.echo(f"已备份 {rows} 行（{made.manifest.bytes / 2**20:.1f} MiB）到 {made.folder}")
    typer.echo(
        f"请将其移存他处，并同样备份数据湖 {settings.lake} 与密钥 {settings.secret_file}；"
        "备份中含个人信息，须加密保存"
    )


def restore(
    folder: Annotated[Path, typer.Argument(help="Folder of the backup.")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Into a database that is in use; it is kept aside.")
    ] = False,
) -> None:
    """Restore a backup and check it, audit included (恢复台账)."""
    from serving.ledger import backup as backups
    from serving.ledger.engine import Ledger
    from serving.service import now

    ledger = Ledger.open(ServeSettings.load())
    try:
        manifest = backups.restore(ledger, folder, at=now(), replace=replace)
    finally:
        ledger.close()
    typer.echo(
        f"已恢复 {manifest.made_at:%Y-%m-%d %H:%M:%S %Z} 的台账：{sum(manifest.rows.values())} 行，"
        f"行数与清单一致，审计链完整（{manifest.seq} 条）"
    )
