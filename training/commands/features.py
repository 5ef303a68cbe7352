"""``xinjian features``: what a scenario's features are, and the features themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, cast

import polars as pl
import typer
from rich.markup import escape
from rich.table import Table

from models.errors import ConfigError
from models.features.catalogue import as_table, digest
from models.features.checked import checked_features
from models.features.output import build_to_parquet, manifest_of
from models.features.spec import FeatureSpec
from models.records.lake import Lake
from models.scenarios import Scenario
from models.settings import Settings
from models.time import parse_day
from training.commands.shared import ScenarioArgument, console, read_scenario
from training.progress import progress

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(
    name: ScenarioArgument,
    *,
    out: Annotated[Path | None, typer.Option(help="Write the catalogue: .csv or .json.")] = None,
) -> None:
    """List the features of a scenario: name, title, unit, family, hint, reason."""
    scenario, contracts = read_scenario(name, Settings.load())
    specs = checked_features(scenario, contracts)
    if out is None:
        console().print(_shown(scenario, specs))
    else:
        _write(specs, out)
        typer.echo(f"catalogue: {out}")


@app.command()
def build(
    name: ScenarioArgument,
    *,
    as_of: Annotated[list[str], typer.Option("--as-of", help="Date of view; may be repeated.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    lake: Annotated[
        str | None, typer.Option("--lake", help="Folder or s3:// address of the lake.")
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Keep in this folder what single subjects' features need of all others."),
    ] = None,
    check_ids: Annotated[
        bool, typer.Option("--check-ids/--trust-ids", help="Look for repeated record ids.")
    ] = True,
) -> None:
    """Build the features of a scenario's cohort as of dates, into one Parquet file."""
    settings = Settings.load()
    scenario, contracts = read_scenario(name, settings)
    checked_features(scenario, contracts)
    opened = Lake.open(lake or settings.lake, storage_options=settings.storage or None)
    with progress("特征", 3 * opened.buckets) as advance:
        manifest = build_to_parquet(
            opened,
            scenario,
            [parse_day(text, "--as-of") for text in as_of],
            out,
            contracts=contracts,
            reference=reference,
            check_ids=check_ids,
            advance=advance,
        )
    table = Table(
        "截面日",
        title=f"{escape(scenario.title)}：{manifest.features} 个特征",
        title_justify="left",
    )
    table.add_column("主体", justify="right")
    for on, rows in manifest.rows.items():
        table.add_row(on, f"{rows:,}")
    console().print(table)
    typer.echo(f"features: {out}")
    typer.echo(f"manifest: {manifest_of(out)}")


def _write(specs: tuple[FeatureSpec, ...], out: Path) -> None:
    table = as_table(specs)
    try:
        _write_table(table, specs, out)
    except OSError as error:
        raise ConfigError(
            f"{out} cannot be written: {error.strerror or error}; name another file"
        ) from None


def _write_table(table: pl.DataFrame, specs: tuple[FeatureSpec, ...], out: Path) -> None:
    if out.suffix == ".csv":
        table.write_csv(out, include_bom=True)
    elif out.suffix == ".json":
        data = {"digest": digest(specs), "features": table.to_dicts()}
        out.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    else:
        raise ConfigError(f"{out}: the catalogue is written as .csv or .json; name such a file")


def _shown(scenario: Scenario, specs: tuple[FeatureSpec, ...]) -> Table:
    title = f"{escape(scenario.title)}：{len(specs)} 个特征，摘要 {digest(specs)[:12]}"
    table = Table("名称", "标题", "单位", "类", "方向", title=title, title_justify="left")
    directions = {"up": "升", "down": "降"}
    columns = as_table(specs).select("name", "title", "unit", "family", "monotone")
    for row in columns.iter_rows():
        feature, words, unit, family, way = cast("tuple[str | None, ...]", row)
        shown = (escape(text or "") for text in (feature, words, unit, family))
        table.add_row(*shown, directions.get(way or ""))
    return table
