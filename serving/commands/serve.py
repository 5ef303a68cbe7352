"""``xinjian serve``: the service and what an operator does with it."""

from __future__ import annotations

from typing import Annotated

import typer

from serving.settings import ServeSettings

app = typer.Typer(no_args_is_help=True)


@app.command()
def api(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="How many processes answer.")] = None,
) -> None:
    """Answer requests until told to stop (提供接口服务)."""
    import uvicorn

    settings = ServeSettings.load()
    _migrated(settings)
    # Spawned workers, never forked ones: LightGBM's threads do not survive a fork.
    uvicorn.run(
        "serving.app:create_app",
        factory=True,
        host=host or settings.host,
        port=settings.port if port is None else port,
        workers=workers or settings.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=20,
    )


@app.command()
def migrate() -> None:
    """Bring the ledger's schema up to date (升级台账结构)."""
    from serving.ledger.engine import Ledger
    from serving.ledger.migrate import migrate

    ledger = Ledger.open(ServeSettings.load())
    try:
        before, after = migrate(ledger)
    finally:
        ledger.close()
    typer.echo(
        f"台账结构已是最新：{after}" if before == after else f"台账结构：{before or '空'} → {after}"
    )


def _migrated(settings: ServeSettings) -> None:
    """Migrate the embedded ledger, which is nobody else's; refuse another that is not migrated."""
    from serving.ledger.engine import Ledger
    from serving.ledger.migrate import check, migrate

    ledger = Ledger.open(settings)
    try:
        if settings.database is None:
            migrate(ledger)
        check(ledger)
    finally:
        ledger.close()
