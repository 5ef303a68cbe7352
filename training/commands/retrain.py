"""``xinjian risk retrain`` and what goes with it: register, promote, models.

:func:`register` adds the commands to the group; the libraries that they need come with the call.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer
from rich.table import Table

from models import yaml
from models.errors import ConfigError
from models.scenarios import Scenario
from models.settings import Settings
from training.commands.shared import LakeOption, ScenarioArgument, console, open_lake, read_scenario
from training.inert import inert
from training.progress import progress

if TYPE_CHECKING:
    from training.registry import Registered
    from training.retrain.run import Outcome
    from training.retrain.verdict import Verdict

KEPT: Final = 10
"""A challenger was fitted and not promoted."""
NOTHING_TO_DO: Final = 11
"""The champion still holds, or nothing new is known to judge another by."""
BUSY: Final = 12
"""Another retraining of the scenario is under way."""

_CODES: Final = {
    "promoted": 0,
    "kept": KEPT,
    "steady": NOTHING_TO_DO,
    "nothing_new": NOTHING_TO_DO,
    "busy": BUSY,
}
_TITLES: Final = {
    "promoted": "晋升：候选模型成为现用模型",
    "kept": "不晋升：现用模型不变",
    "steady": "无漂移：现用模型仍适用，未重新拟合",
    "nothing_new": "无新结果：现用模型之后尚无可比较的结果",
    "busy": "另一次换模正在进行",
}

Rows = Literal["snapshots", "visits"]


def register(app: typer.Typer) -> None:
    """Add the commands to a group."""
    app.command("retrain")(retrain)
    app.command("register")(register_run)
    app.command("promote")(promote)
    app.command("models")(models)


def retrain(
    name: ScenarioArgument,
    *,
    if_drifted: Annotated[
        bool, typer.Option("--if-drifted", help="Do nothing while the champion still holds.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the verdict; register and promote nothing.")
    ] = False,
    limits: Annotated[
        Path | None, typer.Option(help="YAML with limits of the verdict other than the defaults.")
    ] = None,
    at: Annotated[
        Rows | None, typer.Option(help="Rows to learn from; the champion's by default.")
    ] = None,
    regrow: Annotated[
        bool | None,
        typer.Option(
            "--regrow/--no-regrow",
            help="Grow the trees on the later slices too; as the champion did by default.",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=0, help="Trials of the search for parameters.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the fit.")] = 1,
    lake: LakeOption = None,
) -> None:
    """Fit a challenger and let it replace the champion where it is proven better.

    Exit code: 0 promoted, 10 kept, 11 nothing to do, 12 another run is under way.
    """
    from training.registry import Registry
    from training.retrain.run import RetrainOptions
    from training.retrain.run import retrain as run
    from training.retrain.verdict import Limits

    settings = Settings.load()
    scenario, contracts = read_scenario(name, settings)
    options = RetrainOptions(
        if_drifted=if_drifted,
        dry_run=dry_run,
        at=at,
        regrow=regrow,
        trials=trials,
        threads=threads,
        limits=Limits() if limits is None else yaml.load(limits, Limits),
    )
    outcome = run(
        open_lake(settings, lake),
        scenario,
        settings.home / "risk" / scenario.id,
        registry=Registry.of(settings),
        now=datetime.now(UTC),
        options=options,
        contracts=contracts,
        progress=progress,
    )
    _show(outcome, scenario, dry_run=dry_run)
    raise typer.Exit(_CODES[outcome.ending])


def register_run(
    run: Annotated[Path, typer.Argument(help="The folder of a run, or its bundle's.")],
) -> None:
    """Send a fitted run to the model registry; one that is there already stays as it is."""
    from training.registry import Registry

    folder = run.parent if run.name == "bundle" else run
    if not (folder / "bundle" / "manifest.json").is_file():
        raise ConfigError(
            f"{run} holds no run: there is no bundle/manifest.json; name a folder under "
            "XINJIAN_HOME/risk/<scenario>"
        )
    version = Registry.of(Settings.load()).register(folder)
    typer.echo(f"registered: {version.scenario} version {version.version} {version.digest[:12]}")


def promote(
    name: ScenarioArgument,
    which: Annotated[str, typer.Argument(metavar="VERSION", help="A version, or an alias.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; it is recorded with the decision.")],
    lake: LakeOption = None,
) -> None:
    """Make a version the champion by hand, or go back to the one before (VERSION ``previous``)."""
    from training.registry import Registry
    from training.retrain.promotion import promote_by_hand

    if not reason.strip():
        raise ConfigError("--reason is empty; say why this version shall decide")
    settings = Settings.load()
    scenario, _ = read_scenario(name, settings)
    version = promote_by_hand(
        open_lake(settings, lake),
        Registry.of(settings),
        scenario.id,
        which,
        reason=reason.strip(),
        now=datetime.now(UTC),
    )
    typer.echo(f"champion: {scenario.id} version {version.version} {version.digest[:12]}")


def models(name: ScenarioArgument) -> None:
    """List the registered versions of a scenario's model, the newest first."""
    from training.registry import Registry

    settings = Settings.load()
    scenario, _ = read_scenario(name, settings)
    versions = Registry.of(settings).versions(scenario.id)
    if not versions:
        typer.echo(f"no model of scenario '{scenario.id}' is registered")
        return
    console().print(_versions(scenario, versions))


def _versions(scenario: Scenario, versions: list[Registered]) -> Table:
    from models.risk import published

    table = Table(title=f"{scenario.title}：模型版本", title_justify="left")
    table.add_column("版本", justify="right")
    for title in ("别名", "摘要", "登记时间", "结论"):
        table.add_column(title)
    for one in versions:
        told = one.tags.get(published.VERDICT_TEXT, "")
        created = f"{one.created:%Y-%m-%d %H:%M}"
        table.add_row(
            str(one.version), " ".join(one.aliases), one.digest[:12], created, inert(told)
        )
    return table


def _show(outcome: Outcome, scenario: Scenario, *, dry_run: bool) -> None:
    title = _TITLES[outcome.ending] + ("（试运行，未登记）" if dry_run and outcome.verdict else "")
    page = console()
    page.print(inert(f"{scenario.title}：{title}", style="bold"))
    if outcome.note:
        page.print(inert(outcome.note))
    if outcome.verdict is not None:
        page.print(_checks(outcome.verdict))
        typer.echo(f"verdict: {outcome.folder / 'verdict.md'}")
    if outcome.version is not None:
        typer.echo(f"version: {outcome.version.version} {' '.join(outcome.version.aliases)}")


def _checks(verdict: Verdict) -> Table:
    from training.retrain.verdict import TITLES

    table = Table("问题", "结果", "说明", title_justify="left")
    for check in verdict.checks:
        passed = "[green]通过[/]" if check.passed else "[red]未通过[/]"
        table.add_row(TITLES[check.question], passed, inert(check.sentence))
    return table
