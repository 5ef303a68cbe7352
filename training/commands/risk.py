"""``xinjian risk``: models of risk, fitted, judged, tried out and explained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from models.records.lake import Lake
from models.settings import Settings
from models.time import parse_day
from training.commands import retrain
from training.commands.risk_subject import explain, grades, guide
from training.commands.risk_tables import judged, summary
from training.commands.shared import LakeOption, ScenarioArgument, console, read_scenario
from training.progress import progress

app = typer.Typer(no_args_is_help=True)

Resamples = Annotated[int, typer.Option(min=1, help="Resamples of subjects behind the intervals.")]


@app.command()
def fit(
    name: ScenarioArgument,
    *,
    at: Annotated[
        Literal["snapshots", "visits"],
        typer.Option(help="Rows: the cohort at the scenario's dates, or each inspection."),
    ] = "snapshots",
    test_from: Annotated[
        str | None, typer.Option(help="First date of view of the test; else the last fifth.")
    ] = None,
    folds: Annotated[int, typer.Option(min=0, help="Earlier splits beside it.")] = 0,
    fold_days: Annotated[int, typer.Option(min=1, help="Length of an earlier split's test.")] = 365,
    trials: Annotated[int, typer.Option(min=0, help="Trials of the search for parameters.")] = 0,
    leaves: Annotated[int | None, typer.Option(min=2, max=256, help="Leaves of a tree.")] = None,
    calibrate: Annotated[
        Literal["none", "platt", "beta", "isotonic"] | None,
        typer.Option(help="Calibration; the scenario's where left out."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed; else the scenario's.")] = None,
    hints: Annotated[
        bool, typer.Option("--hints/--no-hints", help="Keep to the catalogue's directions.")
    ] = True,
    regrow: Annotated[
        bool,
        typer.Option("--regrow/--no-regrow", help="Grow the trees on the later slices too."),
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Processors that LightGBM may use.")] = 1,
    resamples: Resamples = 1000,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the runs; else risk/SCENARIO in the home.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew where an unfinished run could go on.")
    ] = False,
    lake: LakeOption = None,
) -> None:
    """Fit a scenario's model and its baselines, and judge them; an interrupted fit goes on."""
    from training.risk.judge import CARD, judge
    from training.risk.run import Options, fit_run

    settings = Settings.load()
    scenario, contracts = read_scenario(name, settings)
    options = Options(
        at=at,
        test_from=None if test_from is None else parse_day(test_from, "--test-from"),
        folds=folds,
        fold_days=fold_days,
        trials=trials,
        leaves=leaves,
        calibrate=calibrate,
        seed=seed,
        hints=hints,
        regrow=regrow,
        threads=threads,
    )
    run = fit_run(
        Lake.open(lake or settings.lake, storage_options=settings.storage or None),
        scenario,
        out or settings.home / "risk" / scenario.id,
        options=options,
        contracts=contracts,
        progress=progress,
        fresh=fresh,
    )
    evaluation = judge(run.folder, resamples=resamples)
    shown = console()
    shown.print(summary(run))
    shown.print(judged(evaluation, scenario))
    typer.echo(f"run: {run.folder}")
    typer.echo(f"bundle: {run.bundle.digest}")
    typer.echo(f"card: {run.folder / CARD}")


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    *,
    resamples: Resamples = 1000,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the resamples.")] = None,
) -> None:
    """Judge a run again, and write its evaluation, plots and card anew."""
    from training.risk.judge import CARD, finished, judge

    scenario = finished(folder).scenario
    console().print(judged(judge(folder, resamples=resamples, seed=seed), scenario))
    typer.echo(f"card: {folder / CARD}")


app.command()(grades)
app.command()(explain)
app.command()(guide)
retrain.register(app)
