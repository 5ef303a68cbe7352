"""``xinjian serve backup`` and ``restore``: the ledger's way out of a lost machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models.errors import ConfigError
from serving.settings import ServeSettings


def backup(
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the backup; <home>/backups otherwise.")
    ] = None,
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Put the secret key of <home>/secret.key with it.")
    ] = False,
) -> None:
    """Back the ledger up while it is in use (备份台账)."""
    from models.records.lake import Lake
    from serving.ledger import backup as backups
    from serving.ledger.engine import Ledger
    from serving.service import now

    settings = ServeSettings.load()
    key = settings.secret_file if with_key else None
    if key is not None and not key.exists():
        raise ConfigError(f"there is no {key} to put with the backup; leave --with-key out")
    # The lake's versions first: whoever copies the lake afterwards has them.
    versions = Lake.open(settings.lake, storage_options=settings.storage).versions()
    ledger = Ledger.open(settings)
    try:
        folder = out or settings.home / "backups"
        made = backups.backup(ledger, folder, at=now(), lake=versions, key=key)
    finally:
        ledger.close()
    rows = sum(made.manifest.rows.values())
    typer.echo(f"已备份 {rows} 行（{made.manifest.bytes / 2**20:.1f} MiB）到 {made.folder}")
    sealed = "台账与密钥" if with_key else "台账"
    typer.echo(f"备份内容：{sealed}。未包括，须另行备份：")
    typer.echo(f"  数据湖 {settings.lake}（在本次备份之后复制，先日志后数据，见 README）")
    if not with_key:
        where = "XINJIAN_SECRET_KEY" if settings.secret else str(settings.secret_file)
        typer.echo(f"  密钥 {where}（与备份分开保存；失去它，第二因素与回调密钥须重新设置）")
    typer.echo("  XINJIAN_PERSON_KEY 等设置，以及 MLflow 的模型登记")
    typer.echo("请将备份移存他处；其中含个人信息，须加密保存")


def restore(
    folder: Annotated[Path, typer.Argument(help="Folder of the backup.")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Into a database that is in use; it is kept aside.")
    ] = False,
) -> None:
    """Restore a backup and check it, audit included (恢复台账)."""
    from models.records.lake import Lake
    from serving.ledger import backup as backups
    from serving.ledger.engine import Ledger
    from serving.service import now

    settings = ServeSettings.load()
    ledger = Ledger.open(settings)
    try:
        manifest = backups.restore(ledger, folder, at=now(), replace=replace)
    finally:
        ledger.close()
    typer.echo(
        f"已恢复 {manifest.made_at:%Y-%m-%d %H:%M:%S %Z} 的台账：{sum(manifest.rows.values())} 行，"
        f"行数与清单一致，审计链完整（{manifest.seq} 条）"
    )
    if backups.restore_key(backups.read(folder), settings.secret_file) is False:
        typer.echo(f"{settings.secret_file} 不是备份时的密钥：密封的内容打不开，请换回备份中的密钥")
    versions = Lake.open(settings.lake, storage_options=settings.storage).versions()
    if older := backups.lacking(manifest, versions):
        typer.echo(
            f"数据湖 {settings.lake} 早于台账（{'、'.join(older)}）：先恢复备份之后复制的数据湖，"
            "再启动服务，否则已并入数据湖的记录会缺失"
        )
