"""``xinjian demo``: everything once, on a province that is made or on real tables."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import ConfigError
from models.time import SHANGHAI
from xinjian.demo.plan import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.cycle.steps import Step, Told
    from serving.settings import ServeSettings
    from xinjian.demo.plan import Demo

app = typer.Typer(no_args_is_help=True)


@app.command()
def synthetic(
    *,
    subjects: Annotated[
        int, typer.Option(min=6000, help="Subjects; fewer teach no model.")
    ] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the province.")] = 7,
) -> None:
    """Make a province, learn from it, decide, draw, and serve it; run again, it goes on."""
    from serving.settings import ServeSettings
    from xinjian.demo.plan import synthetic as declared

    settings = ServeSettings.load()
    today = datetime.now(SHANGHAI).date()
    _show(declared(settings.home, subjects=subjects, seed=seed, today=today), settings)


@app.command()
def real(
    tables: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of Beijing's published tables.")
    ],
) -> None:
    """Show the same on the culture market of Beijing, from the city's published tables."""
    from serving.settings import ServeSettings
    from xinjian.demo.plan import real as declared

    folder = tables.expanduser().resolve()
    if not folder.is_dir():
        raise ConfigError(f"{tables}: is no folder; name the one that holds the tables")
    settings = ServeSettings.load()
    _show(declared(settings.home, folder), settings)


@app.command()
def stop() -> None:
    """Stop the API and the worker that a demonstration started."""
    from serving.settings import ServeSettings
    from xinjian.demo.services import stop as end

    told = "stopped" if end(ServeSettings.load().home / FOLDER) else "nothing is running"
    typer.echo(told)


@app.command(hidden=True)
def texts() -> None:
    """Write the labelled texts of the province that was made."""
    from models.settings import Settings
    from xinjian.demo.plan import PROVINCE, TEXTS
    from xinjian.demo.stages import label_texts

    home = Settings.load().home
    out = home / TEXTS / "labelled.parquet"
    typer.echo(f"{out}: {label_texts(home / PROVINCE, out):,} texts")


@app.command(hidden=True)
def publish(
    scenarios: Annotated[list[str], typer.Argument(help="Scenarios that were fitted.")],
) -> None:
    """Register what was fitted, and let it decide where nothing does yet."""
    from models.settings import Settings
    from xinjian.demo.plan import TEXTS
    from xinjian.demo.stages import publish_risk, publish_text

    settings = Settings.load()
    fitted = settings.home / TEXTS / "fit"
    told = publish_risk(settings, scenarios)
    if fitted.exists():
        told.append(publish_text(settings, fitted))
    typer.echo("\n".join(told))


@app.command(hidden=True)
def inspect(scenario: Annotated[str, typer.Argument(help="Scenario to draw by.")]) -> None:
    """Plan and draw an inspection over the running API, and verify it."""
    from serving.commands.users import opened
    from xinjian.demo import inspection
    from xinjian.demo.services import running

    with opened() as service:
        folder = service.settings.home / FOLDER
        found = running(folder)
        if found is None:
            raise ConfigError("no demonstration is running; start it with xinjian demo")
        held = inspection.keys(service, folder)
        known = inspection.decided(service, scenario)
        listed = inspection.targets(service.runtime.lake, known)
    others = known.head(inspection.MOST_TARGETS).to_dicts()
    verified = inspection.carry_out(found.address, held, scenario, listed=listed, others=others)
    typer.echo("\n".join(f"verified: {one}" for one in verified))


def _show(demo: Demo, settings: ServeSettings) -> None:
    from serving.commands.users import opened
    from serving.cycle.alone import alone
    from xinjian.demo.home import claim
    from xinjian.demo.inspection import keys
    from xinjian.demo.services import start
    from xinjian.demo.shown import page

    folder = settings.home / FOLDER
    with alone(folder / ".lock"):
        claim(settings, demo.shown)
        _tidy(demo, settings)
        _carry_out(demo.steps, folder, of=len(demo.steps) + 1)
        found = start(folder, port=settings.port)
        _carry_out([demo.inspection], folder, of=len(demo.steps) + 1, after=len(demo.steps))
        with opened() as service:
            keys(service, folder)
        typer.echo(page(demo, settings, found))


def _tidy(demo: Demo, settings: ServeSettings) -> None:
    """Remove a province that is not whole: it is made into an empty folder."""
    from serving.cycle.steps import journal
    from xinjian.demo.plan import PROVINCE

    made = {name for name, told in journal(settings.home / FOLDER).items() if told.state == "done"}
    if PROVINCE in {step.name for step in demo.steps} - made:
        shutil.rmtree(settings.home / PROVINCE, ignore_errors=True)


def _carry_out(steps: Sequence[Step], folder: Path, *, of: int, after: int = 0) -> None:
    from serving.cycle.steps import carry_out, stopped_by_signals, whole
    from serving.service import now

    places = {step.name: after + place for place, step in enumerate(steps, start=1)}

    def begun(step: Step) -> None:
        typer.echo(f"[{places[step.name]:2}/{of}] {step.title} …", nl=False, err=True)

    def ended(told: Told) -> None:
        typer.echo(
            f" {told.seconds:.0f} 秒" if told.state == "done" else f" {told.state}", err=True
        )

    with stopped_by_signals() as stopped:
        told = carry_out(steps, folder, clock=now, stop=stopped.wait, begun=begun, ended=ended)
    if stopped.is_set():
        raise typer.Exit(130)
    if not whole(told):
        lost = "\n".join(f"{one.title}: {one.said[-600:]}" for one in told if one.state == "failed")
        raise ConfigError(f"{lost}\nlogs: {folder}; mended, run the same again and it goes on")
