"""``xinjian serve night``: the cycle of a night, for a scheduler or by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from serving.commands.now import day

if TYPE_CHECKING:
    from serving.cycle.steps import Step, Told
    from serving.service import Service

UNDONE: Final = 3
"""A step failed; begun again, the night goes on with it."""
STOPPED: Final = 130


def night(
    *,
    as_of: Annotated[str | None, typer.Option(help="Day of view, YYYY-MM-DD; today.")] = None,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only this scenario; repeat. Else all with a model.")
    ] = None,
    learn: Annotated[
        bool,
        typer.Option("--learn/--no-learn", help="Promote what proves better, or only judge it."),
    ] = True,
) -> None:
    """Compact, judge quality, decide everybody, warn, watch models, report (夜间运行).

    Run again for the same day, it goes on with what is not done. Exit code: 0 all done, 3 a step
    failed, 130 stopped.
    """
    from serving.commands.users import opened
    from serving.cycle import night as nightly
    from serving.cycle import report
    from serving.cycle.steps import carry_out, stopped_by_signals, whole
    from serving.threads import of_a_job

    asked = day(as_of, "--as-of")
    stopped = stopped_by_signals()
    with opened() as service:
        on = asked or service.today()
        folder = nightly.folder_of(service.settings.home, on)
        told = carry_out(
            nightly.steps(scenario or _with_a_model(service), on, folder, learn=learn),
            folder,
            clock=service.clock,
            stop=stopped.wait,
            begun=_begun,
            ended=_ended,
            environment=of_a_job(),
        )
        page = report.write(report.of(service, told, on, folder), folder)
    typer.echo(f"report: {page}")
    if stopped.is_set():
        raise typer.Exit(STOPPED)
    if not whole(told):
        raise typer.Exit(UNDONE)


def _with_a_model(service: Service) -> list[str]:
    from models.published import CHAMPION

    service.runtime.refresh()
    return [live.scenario.id for live in service.runtime.all() if live.role == CHAMPION]


def _begun(step: Step) -> None:
    typer.echo(f"{step.title} …", err=True)


def _ended(told: Told) -> None:
    from serving.cycle.report import STATES

    typer.echo(f"{told.title}：{STATES[told.state]}，{told.seconds:.0f} 秒", err=True)
