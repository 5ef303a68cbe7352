"""``xinjian draw estimate``, ``frontier``, ``trial``: what draws tell, and how to choose them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.errors import InspectionError
from models.inspection import trial
from models.inspection.combine import Drawn, combine
from models.inspection.draw import draw
from models.inspection.estimate import Method, rates
from models.inspection.frontier import PRECISIONS, choose, frontier
from models.inspection.frontier_picture import TITLES, Chosen, frontier_svg
from models.inspection.record import DrawRecord
from models.inspection.verify import verify
from serving.commands.draw_files import POOL, content, pool_of, refuse_old, table

RECORD = "record.json"
RESULTS = "results.csv"

_trials = typer.Typer(no_args_is_help=True)

Level = Annotated[float, typer.Option(help="Level of the intervals.")]
Units = Annotated[
    Path, typer.Argument(help="CSV or Parquet: a row for each unit, with arm and block.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``xinjian draw``."""
    app.command("estimate")(estimate)
    app.command("frontier")(frontier_)
    app.add_typer(_trials, name="trial", help="Trials of the model's list (对照试验).")


def estimate(
    folders: Annotated[
        list[Path],
        typer.Argument(help=f"Folders of draws, each with {RECORD}, {POOL} and {RESULTS}."),
    ],
    *,
    period: Annotated[
        list[str] | None,
        typer.Option(help="The period of each folder, in their order; its plan otherwise."),
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(help="Columns of --population to estimate within.")
    ] = None,
    population: Annotated[
        Path | None, typer.Option(help="CSV or Parquet: subject_id, the columns of --by.")
    ] = None,
    method: Annotated[
        Method, typer.Option(help="ht and difference are unbiased; hajek is steadier.")
    ] = "hajek",
    missing: Annotated[
        Literal["refuse", "reweight"],
        typer.Option(help="Whether those with a result stand for those without."),
    ] = "refuse",
    level: Level = 0.95,
    out: Annotated[Path | None, typer.Option(help="CSV for the rates.")] = None,
) -> None:
    """Estimate the rate of problems in whole pools from draws and their results (估计问题率).

    results.csv: subject_id, positive (1, 0, or empty), and in_scope where it matters. Draws of one
    period over overlapping pools, and of several periods, are put together without bias.
    """
    if period and len(period) != len(folders):
        raise InspectionError(f"{len(period)} periods for {len(folders)} draws; name one of each")
    draws = [
        _drawn(one, at) for one, at in zip(folders, period or [""] * len(folders), strict=True)
    ]
    if len(draws) == 1:
        made = _alone(draws[0], population, by or [], method=method, missing=missing, level=level)
    elif by or population or method == "difference":
        raise InspectionError("draws are put together as a whole; leave out --by and difference")
    else:
        made = combine(draws, method=method, missing=missing, level=level, collapse=True)
    if out is not None:
        refuse_old(out)
        made.write_csv(out)
    Console().print(_rates(made))


def frontier_(
    population: Annotated[
        Path, typer.Argument(help="CSV or Parquet: subject_id, grade, probability.")
    ],
    *,
    size: Annotated[int, typer.Option(min=1, help="How many are inspected.")],
    random_share: Annotated[float, typer.Option(help="The share that is spread evenly.")] = 0.1,
    half_width: Annotated[
        float | None, typer.Option(help="Choose by the widest interval of the rate, as 0.02.")
    ] = None,
    share: Annotated[
        float | None, typer.Option(help="Choose by the least part of the most findings, as 0.95.")
    ] = None,
    strata: Annotated[list[str] | None, typer.Option(help="Columns drawn from apart.")] = None,
    out: Annotated[Path, typer.Option(help="SVG for the picture.")],
) -> None:
    """Draw the line between findings and precision, and mark the chosen point (取舍前沿)."""
    points = frontier(
        table(population),
        size,
        random_share=random_share,
        strata=strata or ("grade",),
        precisions=PRECISIONS,
    )
    chosen: Chosen = None
    if half_width is not None or share is not None:
        chosen = choose(points, half_width=half_width, share=share)
    refuse_old(out)
    out.write_text(frontier_svg(points, chosen), encoding="utf-8")
    page = Table("抽法", "精度权重", "预期发现", "区间", "违法率半宽")
    for one in points.iter_rows(named=True):
        weight = "—" if one["precision"] is None else f"{one['precision']:.4g}"
        width = "—" if one["half_width"] is None else f"±{one['half_width']:.4f}"
        between = f"{one['low']:.1f} 至 {one['high']:.1f}"
        page.add_row(TITLES[one["mix"]], weight, f"{one['findings']:.1f}", between, width)
    Console().print(page)
    if chosen is not None:
        typer.echo(f"选定的精度权重 {chosen:.6g}，写入计划的 allocation.precision")


@_trials.command("size")
def trial_size(
    usual: Annotated[float, typer.Argument(help="Hit rate of usual practice, as 0.08.")],
    model: Annotated[float, typer.Argument(help="The hit rate to be told from it, as 0.12.")],
    *,
    per_unit: Annotated[int, typer.Option(help="Inspections of an office in a period.")],
    alike: Annotated[float, typer.Option(help="Correlation within a unit.")] = 0.02,
    level: Level = 0.95,
    power: Annotated[float, typer.Option(help="The chance to show the difference.")] = 0.8,
) -> None:
    """Say how large a trial must be (样本量)."""
    made = trial.needed(usual, model, per_unit=per_unit, alike=alike, level=level, power=power)
    typer.echo(
        f"每组 {made.units_per_arm:,} 个单元、{made.inspections_per_arm:,} 次检查"
        f"（设计效应 {made.design_effect:.2f}）"
    )


@_trials.command("assign")
def trial_assign(
    offices: Annotated[Path, typer.Argument(help="Text: an office on each line.")],
    *,
    period: Annotated[list[str], typer.Option(help="A period; give each.")],
    seed: Annotated[str, typer.Option(help="A public value that came after the plan.")],
    out: Annotated[Path, typer.Option(help="CSV for the units with their arms.")],
) -> None:
    """Let chance decide who works with the model's list, in each period half of them (随机分组)."""
    lines = content(offices).decode("utf-8-sig").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    made = trial.assign(trial.units(names, period), seed)
    refuse_old(out)
    made.write_csv(out)
    model = made.filter(arm=trial.MODEL).height
    typer.echo(
        f"{made.height:,} 个单元：{model:,} 个按模型名单，{made.height - model:,} 个照常工作"
    )


@_trials.command("compare")
def trial_compare(results: Units, *, level: Level = 0.95) -> None:
    """Compare both arms with intervals: inspections, findings, and what else was noted (比较)."""
    made = trial.compare(table(results), level=level)
    page = Table("指标", "模型名单", "照常工作", "差", "区间", "p 值")
    for one in made.iter_rows(named=True):
        page.add_row(
            _METRICS[one["metric"]],
            f"{one[trial.MODEL]:.4f}",
            f"{one[trial.USUAL]:.4f}",
            f"{one['difference']:+.4f}",
            f"{one['low']:+.4f} 至 {one['high']:+.4f}",
            f"{one['p_value']:.4f}",
        )
    Console().print(page)


_METRICS = {
    "hit_rate": "问题发现率",
    "days_earlier": "每个问题提前天数",
    "found_later": "每次检查外迟发现数",
    "cost": "每个问题的成本",
}


def _drawn(folder: Path, period: str) -> Drawn:
    """Return a draw that holds, with its results; those without one are null."""
    path = folder / RECORD
    record = DrawRecord.parse(content(path), str(path))
    pool = pool_of(None, path)
    wrong = [one.trouble for one in verify(pool, record) if one.trouble]
    if wrong:
        raise InspectionError(f"{path} does not hold: {wrong[0]}")
    whole = draw(pool, record.seed.seed)
    found = table(folder / RESULTS)
    lacking = {"subject_id", "positive"} - set(found.columns)
    if lacking:
        raise InspectionError(f"{folder / RESULTS} lacks the columns {sorted(lacking)}")
    others = found.join(whole.filter("drawn"), on="subject_id", how="anti")["subject_id"]
    if others.len():
        raise InspectionError(f"{folder / RESULTS}: subject {others[0]} was not drawn; take it out")
    kept = [name for name in ("positive", "in_scope") if name in found.columns]
    sample = whole.filter("drawn").join(
        found.select("subject_id", *kept),
        on="subject_id",
        how="left",
        maintain_order="left",
    )
    return Drawn(
        period=period or record.seed.commitment.plan,
        pool=whole.select("subject_id", "stratum", "inclusion_probability"),
        sample=sample.select("subject_id", "inclusion_probability", *kept),
        draw_id=f"{record.seed.seed}",
    )


def _alone(
    one: Drawn,
    population: Path | None,
    by: Sequence[str],
    *,
    method: Method,
    missing: Literal["refuse", "reweight"],
    level: float,
) -> pl.DataFrame:
    pool = one.pool
    if population is not None:
        known = table(population)
        names = [*by, *(["probability"] if method == "difference" else [])]
        lost = [name for name in ("subject_id", *names) if name not in known.columns]
        if lost:
            raise InspectionError(f"{population} lacks the columns {lost}")
        pool = pool.join(known.select("subject_id", *names), on="subject_id", how="left")
    return rates(
        one.sample, pool, method=method, by=by, level=level, missing=missing, collapse=True
    )


def _rates(made: pl.DataFrame) -> Table:
    groups = [
        name for name in made.columns if name in made.columns[: made.columns.index("population")]
    ]
    groups = [name for name in groups if name != "draws"]
    titles = ["时期" if name == "period" else escape(name) for name in groups]
    page = Table(*titles, "对象数", "有结果", "问题率", "标准误", "区间")
    for one in made.iter_rows(named=True):
        cells = ["合计" if one[name] is None else escape(str(one[name])) for name in groups]
        told = ("—", "—", "—")
        if one["rate"] is not None:
            between = f"{one['low']:.4f} 至 {one['high']:.4f}"
            told = (f"{one['rate']:.4f}", f"{one['standard_error']:.4f}", between)
        page.add_row(*cells, f"{one['population']:,}", f"{one['observed']:,}", *told)
    return page
