"""Commands of ``xinjian risk`` that apply a model: a dry run of grades, reasons, guidance."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import polars as pl
import typer
from polars.exceptions import PolarsError

from models.errors import ConfigError
from models.features.spec import AS_OF
from models.records.contract import Contract
from models.records.lake import Lake
from models.records.reading import LakeRecords
from models.scenarios import Scenario
from models.settings import Settings
from models.time import not_in_future, parse_day, today
from training.commands.risk_tables import guidance, reasons, trial
from training.commands.shared import LakeOption, ScenarioArgument, console, open_lake, read_scenario
from training.progress import progress

if TYPE_CHECKING:
    from models.risk.bundle import Bundle

EARLIEST: Final = date(1900, 1, 1)
"""The first date of view: windows look years back from it, and no record is older."""

SubjectArgument = Annotated[str, typer.Argument(metavar="SUBJECT", help="A subject's id.")]
BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="A bundle's folder; else of the latest fit.")
]
AsOfOption = Annotated[str | None, typer.Option("--as-of", help="Date of view; else today.")]


def grades(
    name: ScenarioArgument,
    *,
    what_if: Annotated[
        Path, typer.Option("--what-if", help="YAML with other grades, vetoes or capacity.")
    ],
    as_of: AsOfOption = None,
    bundle: BundleOption = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Features built already (Parquet); --as-of is then a date of theirs."),
    ] = None,
    lake: LakeOption = None,
) -> None:
    """Try other thresholds on the whole cohort; nothing is published or kept."""
    from models.decide import decide
    from models.risk.dry_run import amended, dry_run

    settings = Settings.load()
    scenario, contracts = read_scenario(name, settings)
    other = amended(scenario, what_if)
    loaded = _bundle(scenario, settings, bundle)
    if features is None:
        on = _day(as_of)
        rows = _cohort(open_lake(settings, lake), scenario, contracts, on)
    else:
        rows, on = _built(features, as_of)
    now, then = decide(rows, scenario, loaded), decide(rows, other, loaded)
    shown = console()
    for table in trial(dry_run(now, then, scenario, other), str(on)):
        shown.print(table)


def explain(
    name: ScenarioArgument,
    subject: SubjectArgument,
    *,
    as_of: AsOfOption = None,
    top: Annotated[int, typer.Option(min=1, help="Reasons of either direction.")] = 8,
    bundle: BundleOption = None,
    lake: LakeOption = None,
) -> None:
    """Say why a subject has its score, with the records behind each reason."""
    from models.decide import decide
    from models.features.pipeline import Pipeline
    from models.risk.explain import explain as explain_
    from models.risk.guidance import own_records

    settings = Settings.load()
    scenario, contracts = read_scenario(name, settings)
    loaded = _bundle(scenario, settings, bundle)
    on = _day(as_of)
    records = LakeRecords(open_lake(settings, lake))
    own_records(records, scenario, subject, on)  # refuses whom the scenario does not grade
    row = Pipeline.of(scenario, contracts).build(records, [on], subjects=[subject])
    decision = decide(row, scenario, loaded).row(0, named=True)
    (why,) = explain_(row, loaded, records=records, top=top, contracts=contracts)
    console().print(reasons(why))
    typer.echo(
        f"概率 {decision['probability']:.4f}，风险分 {decision['risk_score']:.0f}，"
        f"等级 {decision['grade']}，有效至 {decision['valid_until']}"
    )


def guide(
    name: ScenarioArgument,
    subject: SubjectArgument,
    *,
    as_of: AsOfOption = None,
    bundle: BundleOption = None,
    lake: LakeOption = None,
) -> None:
    """Say what a subject can lawfully do to lower its grade, and what would follow."""
    from models.features.pipeline import Pipeline
    from models.risk.guidance import guide as guide_

    settings = Settings.load()
    scenario, contracts = read_scenario(name, settings)
    loaded = _bundle(scenario, settings, bundle)
    records = LakeRecords(open_lake(settings, lake))
    pipeline = Pipeline.of(scenario, contracts)
    found = guide_(records, loaded, subject, _day(as_of), pipeline=pipeline)
    console().print(guidance(found))


def latest(root: Path) -> Path:
    """Return the bundle of the latest finished run; :class:`ConfigError` where there is none."""
    from training.risk.place import DONE

    runs = sorted(path.parent for path in root.glob(f"*/{DONE}"))
    if not runs:
        raise ConfigError(
            f"{root} holds no finished run; fit a model first (xinjian risk fit), or name a "
            "bundle with --bundle"
        )
    return runs[-1] / "bundle"


def _bundle(scenario: Scenario, settings: Settings, given: Path | None) -> Bundle:
    from models.risk.bundle import Bundle

    return Bundle.load(given or latest(settings.home / "risk" / scenario.id))


def _cohort(
    lake: Lake, scenario: Scenario, contracts: Mapping[str, Contract], on: date
) -> pl.DataFrame:
    """Build the features of the whole cohort in a folder of their own, which is removed."""
    from models.features.output import build_to_parquet

    with (
        tempfile.TemporaryDirectory(prefix="xinjian-") as folder,
        progress("特征", 3 * lake.buckets) as advance,
    ):
        out = Path(folder) / "features.parquet"
        build_to_parquet(lake, scenario, [on], out, contracts=contracts, advance=advance)
        return pl.read_parquet(out)


def _built(path: Path, as_of: str | None) -> tuple[pl.DataFrame, date]:
    """Return the features in a file of the date that is asked for, or of its only one."""
    try:
        rows = pl.read_parquet(path)
    except (OSError, PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"--features {path}: no Parquet file of features: {reason}; write one with "
            "xinjian features build"
        ) from None
    if rows.schema.get(AS_OF) != pl.Date():
        raise ConfigError(f"--features {path}: no column '{AS_OF}' of dates; name built features")
    dates = [day for day in rows[AS_OF].unique().sort().to_list() if day is not None]
    asked = None if as_of is None else _day(as_of)
    if asked not in dates and (asked is not None or len(dates) != 1):
        there = ", ".join(str(day) for day in dates[:3]) + (" …" if len(dates) > 3 else "")
        raise ConfigError(
            f"--features {path}: built for {there or 'no date'}; name one of its dates by --as-of"
        )
    on = asked or dates[0]
    return rows.filter(pl.col(AS_OF) == on), on


def _day(text: str | None) -> date:
    if text is None:
        return today()
    on = not_in_future(parse_day(text, "--as-of"), today=today()).on
    if on < EARLIEST:
        raise ConfigError(f"--as-of {text}: no record is that old; name a day from {EARLIEST} on")
    return on
