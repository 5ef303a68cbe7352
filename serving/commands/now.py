"""What the worker does by itself, done at the console, now: compact, score, escalate."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from models.time import parse_day


def compact() -> None:
    """Bring live records into the lake (实时记录入湖)."""
    from serving.commands.users import opened
    from serving.jobs.compact import compact as bring_in

    with opened() as service:
        done = bring_in(service)
    if done is None:
        typer.echo("另一进程正在将实时记录并入数据湖")
        return
    typer.echo(f"并入数据湖 {done.rows:,} 条，隔离 {done.refused:,} 条")


def score(
    scenario: Annotated[str, typer.Argument(metavar="ID", help="A scenario that has a model.")],
    *,
    as_of: Annotated[str | None, typer.Option(help="Day of view, YYYY-MM-DD; today.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processors that LightGBM may use.")] = 1,
) -> None:
    """Decide everybody of a scenario and raise warnings; run again, it goes on (判定全部主体)."""
    from serving.commands.users import opened
    from serving.runtime.batch import score_all

    on = day(as_of, "--as-of")
    with opened() as service:
        service.runtime.restore()  # what was live last decides where the registry is down
        service.runtime.refresh()
        run = score_all(service, scenario, on, threads=threads)
    typer.echo(f"{scenario} {run.as_of}：判定 {run.decided:,}，预警 {run.warned:,}")


def escalate() -> None:
    """Escalate the warnings that are overdue (逾期预警升级)."""
    from serving.commands.users import opened
    from serving.supervision import date_the_undated, escalate_overdue

    with opened() as service:
        with service.ledger.begin() as connection:
            dated = date_the_undated(connection)
        raised = escalate_overdue(service)
    typer.echo(f"补记期限 {dated:,} 件，升级 {raised:,} 件")


def day(text: str | None, option: str) -> date | None:
    """Return the day that an option names; null where it is left out.

    Raises:
        ConfigError: There is no such day.
    """
    return None if text is None else parse_day(text, option)
