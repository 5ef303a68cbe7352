"""``xinjian serve worker``: what is done behind the answers."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Annotated

import typer

from models.errors import ConfigError
from serving import threads


def worker(
    *,
    name: Annotated[
        str | None, typer.Option(help="Name under which it holds jobs; made by default.")
    ] = None,
    job: Annotated[
        int | None, typer.Option(hidden=True, help="Do this job of the named worker's and end.")
    ] = None,
) -> None:
    """Decide anew, compact, run jobs and tell partners until told to stop (后台任务)."""
    if job is None:
        threads.one_each()
    from serving.commands.users import opened

    with opened() as service:
        if job is not None:
            if name is None:
                raise ConfigError("--job needs --name, the worker that holds the job")
            from serving.jobs.own import do

            typer.echo(do(service, job, worker=name))
            return
        from serving.jobs.worker import Worker

        running = Worker(service, name)

        def stop(number: int, frame: FrameType | None) -> None:
            del number, frame
            running.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        running.run()
