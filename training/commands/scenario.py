"""``xinjian scenario``: declarations of risk, checked, and what they mean on the records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import polars as pl
import typer
from rich.markup import escape
from rich.table import Table

from models.errors import ConfigError
from models.features.checked import checked_features
from models.records.contract import Contract
from models.records.lake import Lake
from models.records.reading import LakeRecords
from models.scenarios import Scenario, catalogue, load_scenario, scenario_named
from models.scenarios import schema as scenario_schema
from models.scenarios.absent import check_tables, gaps
from models.scenarios.cohort import STAGES, funnel
from models.scenarios.inputs import inputs
from models.scenarios.where import VARIABLES
from models.settings import Settings
from models.supervision.rulefiles import check_all
from models.time import not_in_future, parse_day, today
from training.commands.shared import LakeOption, console, contracts_of, open_lake
from training.labels import labels
from training.progress import progress
from training.snapshots import Period, complete_on, period, snapshots

app = typer.Typer(no_args_is_help=True)

PART: Final = 50_000
"""Subjects whose labels are made at once: what bounds the memory, whatever the lake's size."""

_STAGE_TITLES: Final = {
    "known": "已知主体",
    "seen": "在限定的表中出现",
    "kind": "主体类型相符",
    "established": "截面日前已设立",
    "open": "未注销（吊销）",
    "where": "符合登记条件",
    "at_risk": "尚未发生或未在列",
}
_LABEL_TITLES: Final = {"event": "发生事件", "inspection": "检查结果", "survival": "到期未发生"}


@app.command("list")
def list_() -> None:
    """List the scenarios that come with the package."""
    table = Table("标识", "编号", "名称", "标签", "预警期", "摘要")
    for one in catalogue().values():
        reach = str(one.label.horizon or f"至 {one.label.until}")
        kind = _LABEL_TITLES[one.label.means]
        table.add_row(one.id, one.code or "", escape(one.title), kind, reach, one.digest[:12])
    console().print(table)


@app.command()
def schema() -> None:
    """Print the JSON schema of scenario files, for editors."""
    typer.echo(json.dumps(scenario_schema(), ensure_ascii=False, indent=2))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Scenario YAML.")],
    *,
    lake: LakeOption = None,
) -> None:
    """Check a scenario file, and the rules, against the record tables and the lake's if any."""
    settings = Settings.load()
    scenario = load_scenario(file, contracts=contracts_of(settings))
    checked_features(scenario, contracts_of(settings))
    check_all(contracts_of(settings))
    opened = open_lake(settings, lake)
    if lake is not None or opened.tables():
        _check_lake(scenario, opened, file)
    typer.echo(f"{file}: 场景 {scenario.id}（{scenario.title}）无误，摘要 {scenario.digest}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A scenario's id or code, or a scenario YAML.")],
    *,
    lake: LakeOption = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Date of view; every snapshot by default.")
    ] = None,
) -> None:
    """Show a scenario on the lake: population, labels, and what features will be made of."""
    settings = Settings.load()
    contracts = contracts_of(settings)
    scenario = _scenario(name, contracts)
    on = None if as_of is None else not_in_future(parse_day(as_of, "--as-of"), today=today()).on
    parts = list(_parts(open_lake(settings, lake)))
    covered = period(parts, scenario)
    check_tables(scenario, parts[0].tables())
    page = console()
    for gap in gaps(scenario, parts[0].tables()):
        typer.echo(gap, err=True)
    page.print(_summary(scenario))
    page.print(_population(scenario, parts, on or covered.end))
    page.print(_labels(scenario, parts, covered, on=on))
    page.print(_features(scenario, contracts))


def _scenario(name: str, contracts: Mapping[str, Contract]) -> Scenario:
    if name.endswith((".yaml", ".yml")):
        return load_scenario(name, contracts=contracts)
    return scenario_named(name)


def _check_lake(scenario: Scenario, lake: Lake, file: Path) -> None:
    """Raise ConfigError for a table that decides and is not there, or lacks a column that does."""
    there = set(lake.tables())
    rows = (
        *scenario.cohort.seen_in,
        *scenario.cohort.without,
        *scenario.label.events,
        *scenario.label.observers,
    )
    lost = sorted({r.table for r in rows} - there)
    if lost:
        raise ConfigError(
            f"{file}: the lake {lake.url} has no table {', '.join(lost)}; import it first"
        )
    for one in rows:
        names = one.condition.names - VARIABLES.keys() if one.condition else set[str]()
        lacking = sorted(names - set(lake.schema(one.table).names()))
        if lacking:
            raise ConfigError(
                f"{file}: table '{one.table}' of the lake {lake.url} has no column "
                f"{', '.join(lacking)}; import it again with this release"
            )
    for table in sorted(set(scenario.features.tables) - there):
        typer.echo(f"{file}: 湖中没有表 {table}，由它产生的特征将为空", err=True)


def _parts(lake: Lake) -> Iterator[LakeRecords]:
    """Yield the lake's buckets, as many together as hold about :data:`PART` subjects."""
    versions = lake.versions()
    subjects = lake.rows("subject") if "subject" in versions else 0
    width = max(1, lake.buckets * PART // max(subjects, 1))
    for first in range(0, lake.buckets, width):
        buckets = range(first, min(first + width, lake.buckets))
        yield LakeRecords(lake, bucket=buckets, versions=versions)


def _summary(scenario: Scenario) -> Table:
    table = Table(
        title=f"{escape(scenario.title)}（{scenario.id}）", title_justify="left", show_header=False
    )
    label = scenario.label
    events = "；".join(f"{e.table}: {e.where or '全部'}" for e in label.events)
    table.add_row("依据", escape("；".join(scenario.legal_basis)))
    table.add_row("对象", "、".join(sorted(scenario.kinds)))
    table.add_row("标签", escape(f"{_LABEL_TITLES[label.means]} {events}"))
    table.add_row("预警期", str(label.horizon or f"至下一个 {label.until}"))
    table.add_row("摘要", scenario.digest)
    return table


def _population(scenario: Scenario, parts: list[LakeRecords], on: date) -> Table:
    counts: Counter[str] = Counter()
    with progress("人群", len(parts)) as advance:
        for part in parts:
            counts.update(funnel(part, scenario, on))
            advance(1)
    if not counts[STAGES[-1]]:
        raise ConfigError(_nobody(scenario, on, counts))
    table = Table("条件", title=f"截面日 {on} 的人群", title_justify="left")
    table.add_column("剩余主体", justify="right")
    for stage in _asked(scenario):
        table.add_row(_STAGE_TITLES[stage], f"{counts[stage]:,}")
    return table


def _asked(scenario: Scenario) -> list[str]:
    cohort, label = scenario.cohort, scenario.label
    unasked = {
        "seen": not cohort.seen_in,
        "where": cohort.where is None,
        "at_risk": not cohort.without and label.means != "survival",
    }
    return [stage for stage in STAGES if not unasked.get(stage, False)]


def _nobody(scenario: Scenario, on: date, counts: Mapping[str, int]) -> str:
    lost = next(stage for stage in STAGES if not counts[stage])
    place = STAGES.index(lost)
    before = STAGES[place - 1] if place else None
    left = f"{counts[before]:,} subjects were left until then" if before else "no record is known"
    return (
        f"scenario '{scenario.id}': nobody is eligible as of {on}: none passes '{lost}' "
        f"({_STAGE_TITLES[lost]}), {left}; widen the cohort or choose another date"
    )


def _labels(
    scenario: Scenario, parts: list[LakeRecords], covered: Period, *, on: date | None
) -> Table | str:
    dates = snapshots(scenario, covered) if on is None else (on,)
    over = complete_on(scenario, dates[-1]) <= covered.end if dates else False
    if not over or dates[0] < covered.start:
        which = "没有截面日的" if on is None else f"截面日 {on} 尚无完整"
        return f"标签：{which}结果可用；标签所用的表覆盖 {covered.start} 至 {covered.end}"
    by_year = pl.col("as_of").dt.year().alias("year")
    found: list[pl.DataFrame] = []
    with progress("标签", len(parts)) as advance:
        for part in parts:
            told = labels(part, scenario, dates, within=covered)
            found.append(
                told.group_by(by_year).agg(
                    pl.len().alias("rows"),
                    pl.col("observed").sum(),
                    pl.col("positive").sum(),
                    pl.col("inclusion_probability").count().alias("drawn"),
                )
            )
            advance(1)
    years = pl.concat(found).group_by("year").sum().sort("year")
    return _labels_table(years, dates)


def _labels_table(years: pl.DataFrame, dates: tuple[date, ...]) -> Table:
    title = f"标签：{len(dates)} 个截面日，{dates[0]} 至 {dates[-1]}"
    table = Table("年份", title=title, title_justify="left")
    for head in ("样本", "有结果", "有结果比例", "阳性", "阳性率", "有抽中概率"):
        table.add_column(head, justify="right")
    total = years.select(pl.lit("合计").alias("year"), pl.exclude("year").sum())
    for year, rows, observed, positive, drawn in pl.concat(
        [years.cast({"year": pl.String}), total]
    ).iter_rows():
        table.add_row(
            str(year), f"{rows:,}", f"{observed:,}", _share(observed, rows),
            f"{positive:,}", _share(positive, observed), f"{drawn:,}",
        )  # fmt: skip
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "—"


def _features(scenario: Scenario, contracts: Mapping[str, Contract]) -> Table:
    declared = scenario.features
    windows = "、".join(map(str, declared.windows))
    title = f"特征：{'、'.join(declared.families)}；窗口 {windows}"
    table = Table("表", "数值列", "类别列", title=title, title_justify="left")
    table.add_column("列 × 窗口", justify="right")
    for name in declared.tables:
        kept = inputs(declared, contracts[name])
        wide = 1 + len(kept.measures) + len(kept.categories)
        table.add_row(
            escape(contracts[name].title),
            escape("、".join(map(contracts[name].title_of, kept.measures))),
            escape("、".join(map(contracts[name].title_of, kept.categories))),
            f"{wide * len(declared.windows)}",
        )
    return table
