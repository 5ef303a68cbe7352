"""``xinjian draw``: draws in the open, from the frozen pool to the teams that go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Final, TypeVar

import polars as pl
import typer
from pydantic import BaseModel, RootModel
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from models import yaml
from models.errors import InspectionError
from models.inspection.assign import Assignment, Recusal, assign, recuse
from models.inspection.assignment_record import AssignmentRecord
from models.inspection.inspectors import Inspectors
from models.inspection.pool import Pool
from models.inspection.record import DrawRecord, parsed
from models.inspection.seed import Commitment, Entropy, Seed, freeze, make_seed
from models.inspection.strata import StrataKey, hide, troubles
from models.inspection.tasks import Tasks
from models.inspection.verify import Check, Line, line_of, verify
from serving.commands import draw_figures
from serving.commands.draw_files import POOL, content, pool_of, refuse_old, table, write

app = typer.Typer(no_args_is_help=True)
draw_figures.register(app)

COMMITMENT: Final = "commitment.json"
STRATA: Final = "strata.json"
NOT_AS_STATED: Final = 3
"""Exit code of a draw that does not hold."""

_Read = TypeVar("_Read", bound=BaseModel)

PoolOption = Annotated[
    Path | None, typer.Option("--pool", help="The frozen pool; pool.txt beside the file otherwise.")
]


class Values(RootModel[tuple[Entropy, ...]]):
    """The public values of a seed, as a YAML file lists them."""


@app.command("freeze")
def freeze_(
    pool: Annotated[Path, typer.Argument(help="CSV or Parquet: subject_id, stratum, pi.")],
    *,
    plan: Annotated[str, typer.Option(help="The plan's id.")],
    out: Annotated[Path, typer.Option(help="Folder for the pool's file and its commitment.")],
    source: Annotated[
        list[str] | None,
        typer.Option(help="Where a value of the seed will come from, such as a lottery's issue."),
    ] = None,
    plain_strata: Annotated[
        bool, typer.Option("--plain-strata", help="Publish the names of strata as they are.")
    ] = False,
) -> None:
    """Freeze a pool: write its canonical file and the commitment to publish (冻结对象库).

    Strata have neutral labels in what is published; strata.json says what they stand for and stays
    in the office until the plan is closed.
    """
    given = Pool.of(table(pool)).frame
    shown, key = (given, None) if plain_strata else hide(given, plan, secret=token_hex(32))
    made = Pool.of(shown)
    now = datetime.now(UTC).replace(microsecond=0)
    commitment = freeze(made, plan, at=now, sources=source or ())
    refuse_old(out / POOL, out / COMMITMENT, out / STRATA)
    if key is not None:
        (out / STRATA).touch(0o600)
        write(out / STRATA, key)
    (out / POOL).write_bytes(made.lines())
    write(out / COMMITMENT, commitment)
    typer.echo(f"对象库已冻结：{commitment.subjects:,} 个对象，承诺值 {commitment.commitment}")
    typer.echo(f"请先公布 {out / COMMITMENT}，再取公开随机值")
    if key is not None:
        typer.echo(f"层名已换成标签；{out / STRATA} 内部留存，办结后公开")
    if not source:
        typer.echo("未用 --source 预先写明随机值来源：他人无从排除事后挑选来源", err=True)


@app.command()
def seed(
    commitment: Annotated[Path, typer.Argument(help="The published commitment.")],
    *,
    entropy: Annotated[
        Path, typer.Option(help="YAML list: source, value, published_at; digest for nonces.")
    ],
    out: Annotated[Path, typer.Option(help="File for the seed.")],
) -> None:
    """Make the public seed from values that came after the freeze (生成随机种子)."""
    values = yaml.read(entropy).check(Values).root
    made = make_seed(_read(commitment, Commitment), values, now=datetime.now(UTC))
    refuse_old(out)
    write(out, made)
    typer.echo(f"随机种子 {made.seed}")


@app.command()
def draw(
    seed: Annotated[Path, typer.Argument(help="The seed's file.")],
    *,
    pool: PoolOption = None,
    out: Annotated[Path, typer.Option(help="File for the record of the draw.")],
) -> None:
    """Draw from the frozen pool and write the record to publish (随机抽取)."""
    record = DrawRecord.of(pool_of(pool, seed), _read(seed, Seed))
    refuse_old(out)
    out.write_text(record.text(), encoding="utf-8")
    typer.echo(f"抽中 {len(record.drawn):,} 个对象，结果摘要 {record.result}")


@app.command("verify")
def verify_(
    record: Annotated[Path, typer.Argument(help="The published record of a draw.")],
    *,
    pool: PoolOption = None,
    subject: Annotated[str | None, typer.Option(help="Also show how it came to this one.")] = None,
    commitment: Annotated[
        Path | None, typer.Option(help="The commitment as it was published at the freeze.")
    ] = None,
    strata: Annotated[
        Path | None, typer.Option(help="The names of strata, revealed after the plan is closed.")
    ] = None,
) -> None:
    """Compute a draw again and compare every published value (验证抽取)."""
    stated = DrawRecord.parse(content(record), str(record))
    frozen = pool_of(pool, record)
    published = None if commitment is None else _read(commitment, Commitment)
    checks = [*verify(frozen, stated, published=published)]
    if strata is not None:
        revealed = StrataKey.parse(content(strata), str(strata))
        wrong = troubles(revealed, frozen.strata["stratum"].to_list())
        if revealed.plan != stated.seed.commitment.plan:
            wrong.append(f"the key is of plan {revealed.plan}")
        checks.append(Check("names", "层的标签与所公开的层名一致", "; ".join(wrong)))
    page = Console()
    page.print(_checks(checks))
    if subject is not None:
        page.print(_line(line_of(frozen, stated.seed.seed, subject)))
    if published is None:
        typer.echo("未与冻结时公布的承诺比对：请用 --commitment 给出当时公布的文件")
    if any(one.trouble for one in checks):
        raise typer.Exit(NOT_AS_STATED)


@app.command("assign")
def assign_(
    tasks: Annotated[Path, typer.Argument(help="CSV or Parquet: the drawn tasks.")],
    *,
    inspectors: Annotated[Path, typer.Option(help="CSV or Parquet: the inspectors.")],
    seed: Annotated[Path, typer.Option(help="The draw's seed, or its record.")],
    out: Annotated[Path, typer.Option(help="CSV for the teams; the record stands beside it.")],
    conflicts: Annotated[Path | None, typer.Option(help="CSV: inspector_id, subject_id.")] = None,
    leave: Annotated[Path | None, typer.Option(help="CSV: inspector_id, starts, ends.")] = None,
    recusals: Annotated[
        Path | None, typer.Option(help="CSV in order: task_id, inspector_id, reason.")
    ] = None,
    size: Annotated[int, typer.Option(min=2, help="Inspectors for each task.")] = 2,
) -> None:
    """Draw teams for tasks by the same seed, and carry out recusals (随机派员)."""
    pool = Inspectors.of(
        table(inspectors),
        conflicts=None if conflicts is None else table(conflicts),
        leave=None if leave is None else table(leave),
    )
    targets = Tasks.of(table(tasks))
    made = assign(pool, targets, seed=_seed_of(seed), size=size)
    made = recuse(made, pool, targets, recusals=_recusals(recusals))
    kept = out.with_suffix(".json")
    refuse_old(out, kept)
    made.teams.write_csv(out)
    write(kept, AssignmentRecord.of(made, pool, targets))
    typer.echo(_assigned(made, targets))
    typer.echo(f"派员记录（含回避与调整，内部留存）：{kept}")


def _read(path: Path, model: type[_Read]) -> _Read:
    return parsed(model, content(path), str(path), model.__name__.lower())


def _seed_of(path: Path) -> str:
    """Return the seed in a seed's file or in a record."""
    text = content(path)
    try:
        return parsed(Seed, text, str(path), "seed").seed
    except InspectionError:
        return DrawRecord.parse(text, str(path)).seed.seed


def _recusals(path: Path | None) -> Sequence[Recusal]:
    if path is None:
        return ()
    given = table(path)
    try:
        rows = given.select("task_id", "inspector_id", pl.col("reason").fill_null("")).rows()
    except pl.exceptions.ColumnNotFoundError as error:
        raise InspectionError(f"{path} lacks a column: {error}") from None
    return [Recusal(task, person, reason) for task, person, reason in rows]


def _checks(checks: Sequence[Check]) -> Table:
    table = Table("检查项", "结论", Column("说明", overflow="fold"))
    for one in checks:
        table.add_row(one.title, "不符" if one.trouble else "相符", escape(one.trouble))
    return table


def _line(line: Line) -> Table:
    # A digest that is cut short cannot be checked.
    columns = (Column(overflow="fold"), Column(overflow="fold"))
    title = escape(line.subject_id)
    table = Table(*columns, title=title, title_justify="left", show_header=False)
    table.add_row("分层", escape(line.stratum))
    table.add_row("目标概率", repr(line.pi))
    table.add_row("SHA-256 原文", escape(line.hashed))
    table.add_row("SHA-256", line.digest)
    table.add_row("随机数 u", repr(line.u))
    table.add_row("排序键", "必查" if line.key is None else repr(line.key))
    table.add_row("层内名次", "—" if line.rank is None else f"{line.rank}（取前 {line.n}）")
    table.add_row("入样概率", repr(line.inclusion_probability))
    table.add_row("结论", "抽中" if line.drawn else "未抽中")
    return table


def _assigned(made: Assignment, tasks: Tasks) -> str:
    loads = made.loads()["tasks"]
    if loads.is_empty():
        return "没有任务，无需派员"
    changed = (
        f"，回避 {len(made.recusals)} 次，调整 {len(made.changes)} 处" if made.recusals else ""
    )
    return (
        f"{tasks.frame.height:,} 项任务已派员，{loads.len():,} 人参加，每人 {loads.min()} 至 "
        f"{loads.max()} 项{changed}"
    )
