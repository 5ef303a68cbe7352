"""``xinjian serve night``: the cycle of a night, for a scheduler or by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from models.errors import ConfigError
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

    Run again for the same day, it goes on with what is not done. A scenario whose model is refused
    or out of reach fails with the reason. Exit code: 0 all done, 3 a step failed, 130 stopped.
    """
    from serving.commands.users import opened
    from serving.cycle import night as nightly
    from serving.cycle import report
    from serving.cycle.steps import carry_out, stopped_by_signals, whole
    from serving.threads import of_a_job

    asked = day(as_of, "--as-of")
    with stopped_by_signals() as stopped, opened() as service:
        on = asked or service.today()
        if on > service.today():
            raise ConfigError(f"--as-of {on}: has not come yet; name {service.today()} or before")
        folder = nightly.folder_of(service.settings.home, on)
        told = carry_out(
            nightly.steps(_distinct(scenario) or decidable(service), on, folder, learn=learn),
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


def with_a_model(service: Service) -> list[str]:
    """Return the scenarios that shall be decided, also those whose model cannot be had."""
    from models.errors import RegistryError
    from models.published import CHAMPION

    runtime = service.runtime
    placed = [scenario for scenario, role in runtime.shelf.placed() if role == CHAMPION]
    try:
        named = [one.scenario for one in runtime.registry.named() if one.role == CHAMPION]
    except RegistryError as error:  # what was live last decides
        typer.echo(f"模型登记处不可用，按最近现用的模型判定：{error}", err=True)
        named = _lived(service)
    return sorted({*placed, *named})


def _lived(service: Service) -> list[str]:
    """Return the scenarios that had a model last, as the ledger tells."""
    from models.published import CHAMPION
    from serving.ledger import promotions
    from serving.ledger.promotions import Event

    with service.ledger.begin() as connection:
        told = promotions.history(connection, limit=10_000)
    mine = [one for one in told if one.role == CHAMPION and one.event != Event.REFUSED]
    last = {one.scenario: one.event for one in reversed(mine)}
    return [scenario for scenario, event in last.items() if event == Event.LIVE]


def decidable(service: Service) -> list[str]:
    """Return the scenarios with a model, and say how many of the catalogue have none."""
    from models.scenarios.catalogue import catalogue

    found = with_a_model(service)
    lacking = sorted(set(catalogue()) - set(found))
    if lacking:
        some = "、".join(lacking[:3]) + ("等" if len(lacking) > 3 else "")
        typer.echo(f"没有模型、今夜不判定的场景 {len(lacking)} 个：{some}", err=True)
    return found


def _distinct(scenarios: list[str] | None) -> list[str]:
    return list(dict.fromkeys(scenarios or ()))


def _begun(step: Step) -> None:
    typer.echo(f"{step.title} …", err=True)


def _ended(told: Told) -> None:
    from serving.cycle.report import STATES

    typer.echo(f"{told.title}：{STATES[told.state]}，{told.seconds:.0f} 秒", err=True)
