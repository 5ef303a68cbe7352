"""``xinjian serve``: the service and what an operator does with it."""

from __future__ import annotations

import signal
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from serving import threads
from serving.commands import audit, keys, rules, users
from serving.commands.backup import backup, restore
from serving.commands.doctor import doctor
from serving.commands.feedback import feedback
from serving.commands.night import night
from serving.commands.now import compact, escalate, score
from serving.commands.worker import worker
from serving.settings import ServeSettings

if TYPE_CHECKING:
    from types import FrameType

    from serving.ledger.engine import Ledger

app = typer.Typer(no_args_is_help=True)
app.add_typer(users.app, name="user", help="Accounts of people (账号).")
app.add_typer(keys.app, name="key", help="Keys of systems (密钥).")
app.add_typer(audit.app, name="audit", help="The audit: its chain verified, its rows (审计).")
app.add_typer(rules.app, name="rules", help="Files of rules, checked before use (规则).")
app.command()(backup)
app.command()(restore)
app.command()(doctor)
app.command()(feedback)
app.command()(worker)
app.command()(compact)
app.command()(score)
app.command()(escalate)
app.command()(night)


@app.command()
def api(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="How many processes answer.")] = None,
) -> None:
    """Answer requests until told to stop (提供接口服务)."""
    # uvicorn sends itself the signal again once it has ended: the ledger is closed all the same.
    signal.signal(signal.SIGTERM, _end)
    threads.one_each()
    import uvicorn

    settings = ServeSettings.load()
    # Spawned workers, never forked ones: LightGBM's threads do not survive a fork.
    with _ready(settings):
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


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise SystemExit(0)


@contextmanager
def _ready(settings: ServeSettings) -> Generator[None]:
    """Migrate the embedded ledger, which is nobody else's; refuse another that is not migrated.

    The embedded server runs until the end, whichever of the processes that answer come and go.
    """
    from serving.ledger.migrate import check, migrate

    ledger = _opened(settings)
    try:
        if settings.database is None:
            migrate(ledger)
        check(ledger)
        _show_first_token(settings, ledger)
        ledger.engine.dispose()
        yield
    finally:
        ledger.close()


def _opened(settings: ServeSettings) -> Ledger:
    """Open the ledger; the embedded server starts while the application is loaded."""
    from serving.ledger import embedded
    from serving.ledger.engine import Ledger

    if settings.database is not None:
        return Ledger.open(settings)
    embedded.load()  # here, not in the thread: two threads do not import well at once
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(embedded.start, settings.postgres_folder)
        import_module("serving.app")
    server = starting.result()
    try:
        return Ledger.open(settings)
    finally:
        server.cleanup()


def _show_first_token(settings: ServeSettings, ledger: Ledger) -> None:
    """Show an installation without accounts how its first ones are made; there is no default."""
    from serving.auth.accounts import first_token
    from serving.service import now

    if not settings.oidc_issuer and (token := first_token(ledger, now())):
        typer.echo(
            f"尚无账号。一次性安装令牌（一天内有效，只显示这一次）：{token}\n"
            "用它在 POST /v1/setup 建立系统、安全、审计三个管理员账号。",
            err=True,
        )
