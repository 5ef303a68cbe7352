"""``xinjian text``: learning to read violation texts."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import ValidationError
from rich.table import Table

from models.errors import ConfigError
from models.settings import Settings
from models.text.encoder import EncoderShape
from models.text.engine import Wanted
from models.text.taxonomy import load, taxonomy
from training.commands import text_annotate, text_laws, text_models, text_review
from training.commands.shared import console
from training.progress import progress
from training.text.corpus import read_table, read_texts
from training.text.distil import distil as distil_
from training.text.evaluate import Evaluation, load_bundles, race, result_of
from training.text.evaluate import evaluate as evaluate_
from training.text.fit import fit as fit_
from training.text.learn import Asked, Course, Place
from training.text.measure import Measured
from training.text.network import FitPlan
from training.text.pretrain import PretrainPlan
from training.text.pretrain import pretrain as pretrain_
from training.text.targets import part_of, texts_of
from training.text.verdict import FILE, Model, Verdict

app = typer.Typer(no_args_is_help=True)
text_annotate.register(app)
text_review.register(app)
text_laws.register(app)
text_models.add(app)

TITLES: Final[Mapping[Model, str]] = {
    "baseline": "TF-IDF + 线性",
    "linear": "开头加权 TF-IDF + 线性",
    "encoder": "Transformer",
    "ensemble": "两者结合",
}
WORK = "work"

DataArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="Parquet or CSV: text, and leaf, severity or department; maybe split (train, test).",
    ),
]
OutOption = Annotated[Path, typer.Option(help="Folder to write.")]
DeviceOption = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:N; CUDA where there is one by default.")
]
PrecisionOption = Annotated[
    Asked, typer.Option(help="Numbers to compute with; auto: bf16 where the device has it.")
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads; all by default.")]
GroupOption = Annotated[
    str | None, typer.Option(help="Column whose values validation never tears apart.")
]
BaseOption = Annotated[
    str | None,
    typer.Option(
        help="Pretrained encoder: a folder, or a hub's name such as hfl/chinese-macbert-base."
    ),
]
EpochsOption = Annotated[int, typer.Option(min=1, help="Times each text is learnt from.")]
LengthOption = Annotated[int, typer.Option(min=8, help="Tokens of a text that are read.")]
RateOption = Annotated[float, typer.Option(help="Peak learning rate.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Of every random choice.")]
EngineOption = Annotated[Wanted, typer.Option(help="What runs the transformer.")]


@app.command()
def pretrain(
    *,
    text: Annotated[
        list[str],
        typer.Option("--text", help="FILE.txt, or FILE.parquet:COLUMN; may be repeated."),
    ],
    out: OutOption,
    base: BaseOption = None,
    steps: Annotated[int, typer.Option(min=1, help="Batches to learn from.")] = 10_000,
    tokens: Annotated[int, typer.Option(min=64, help="Tokens of a batch.")] = 4096,
    rate: RateOption = 1e-3,
    layers: Annotated[int, typer.Option(help="Layers of a new encoder.")] = 3,
    hidden: Annotated[int, typer.Option(help="Width of a new encoder.")] = 256,
    heads: Annotated[int, typer.Option(help="Attention heads of a new encoder.")] = 4,
    inner: Annotated[int, typer.Option(help="Inner width of a new encoder.")] = 768,
    seed: SeedOption = 7,
    device: DeviceOption = None,
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Pre-train an encoder by masked language modelling; run again to resume."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is there already, and is no folder; name another")
    with _options():
        plan = PretrainPlan(steps=steps, tokens=tokens, rate=rate, seed=seed)
        shape = EncoderShape(layers=layers, hidden=hidden, heads=heads, inner=inner)
    place = _place(device, precision, threads)
    texts = [one for source in text for one in read_texts(source)]
    with progress("预训练", steps) as advance:
        done = pretrain_(
            texts, out, shape=shape, plan=plan, base=base, place=place, advance=advance
        )
    typer.echo(
        f"{done.steps:,} steps, {done.tokens:,} tokens; "
        f"masked characters guessed right: {done.correct:.1%} (loss {done.loss:.3f})"
    )
    typer.echo(f"encoder: {out}")


@app.command()
def fit(
    data: DataArgument,
    *,
    out: OutOption,
    base: BaseOption = None,
    epochs: EpochsOption = 6,
    length: LengthOption = 256,
    rate: RateOption = 5e-4,
    tokens: Annotated[int, typer.Option(min=64, help="Tokens of a batch.")] = 4096,
    validation: Annotated[float, typer.Option(help="Share of texts held out.")] = 0.1,
    group: GroupOption = None,
    leaves: Annotated[
        Path | None,
        typer.Option("--taxonomy", help="YAML of the leaves; that of the package by default."),
    ] = None,
    seed: SeedOption = 7,
    device: DeviceOption = None,
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Fit linear models, transformer and their mix, and write the verdict between them."""
    _check_free(out)
    with _options():
        plan = FitPlan(
            epochs=epochs,
            length=length,
            rate=rate,
            tokens=tokens,
            seed=seed,
            validation=validation,
            group=group,
        )
    place = _place(device, precision, threads) if base else None
    with progress("微调") as advance:
        fitted = fit_(
            read_table(data),
            base=base,
            plan=plan,
            taxonomy=taxonomy() if leaves is None else load(leaves),
            course=Course(place, out / WORK, advance),
        )
    for kind, bundle in fitted.bundles.items():
        sealed = bundle.save(out / kind)
        typer.echo(f"{kind}: {out / kind}  digest {sealed.digest[:12]}")
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_text(fitted.verdict.model_dump_json(indent=1) + "\n", encoding="utf-8")
    console().print(_table("验证集", fitted.verdict.measured))
    _tell(fitted.verdict)


@app.command()
def evaluate(
    fitted: Annotated[
        Path, typer.Argument(metavar="FITTED", help="Folder that fit wrote, or a single bundle.")
    ],
    data: DataArgument,
    *,
    engine: EngineOption = "auto",
    near: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Also measure without texts this near (cosine) to one learnt from."
        ),
    ] = None,
    engines: Annotated[
        bool, typer.Option("--engines", help="Also race the engines, on at most 512 texts.")
    ] = False,
    threads: ThreadsOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON to write; by default evaluation.json in a fit, beside a bundle."),
    ] = None,
) -> None:
    """Measure every model of a fit on the test part of a table, in one run."""
    bundles, frame = load_bundles(fitted), read_table(data)
    found = evaluate_(bundles, frame, engine=engine, near=near)
    if engines:
        dear = bundles.get("encoder") or next(iter(bundles.values()))
        raced = race(dear, texts_of(part_of(frame, "test"))[:512], threads=threads)
        found = found.model_copy(update={"engines": raced})
    written = out or result_of(fitted)
    found.save(written)
    _show(found)
    typer.echo(f"evaluation: {written}")


@app.command()
def distil(
    teacher: text_models.BundleArgument,
    data: DataArgument,
    *,
    base: Annotated[str, typer.Option(help="The student: a folder, or a hub's name.")],
    out: OutOption,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help="Unlabelled texts: FILE.txt, or FILE.parquet:COLUMN."),
    ] = None,
    epochs: EpochsOption = 6,
    length: LengthOption = 256,
    rate: RateOption = 5e-4,
    group: GroupOption = None,
    seed: SeedOption = 7,
    device: DeviceOption = None,
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Teach a small encoder to answer as a larger one does."""
    if out.exists():
        raise ConfigError(f"{out}: is there already; name a new folder")
    with _options():
        plan = FitPlan(epochs=epochs, length=length, rate=rate, seed=seed, group=group)
    with progress("蒸馏") as advance:
        student = distil_(
            text_models.opened_bundle(teacher, Settings.load()),
            read_table(data),
            base,
            unlabelled=[one for source in text or () for one in read_texts(source)],
            plan=plan,
            course=Course(
                _place(device, precision, threads), out.with_name(f"{out.name}.{WORK}"), advance
            ),
        ).save(out)
    typer.echo(f"student: {out}  digest {student.digest[:12]}")


def _check_free(out: Path) -> None:
    """Refuse a folder that a fit could not write to, before hours are spent on it."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is there already, and is no folder; name another")
    if (out / FILE).exists():
        raise ConfigError(f"{out}: holds a finished fit; name a new folder")
    if half := next((out / kind for kind in TITLES if (out / kind).exists()), None):
        raise ConfigError(f"{half}: is of a fit that was cut off; remove it, or name a new folder")


@contextmanager
def _options() -> Generator[None]:
    """Turn what a plan refuses into an error that names the option."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        name = "".join(f"--{place} {first['input']}: " for place in first["loc"])
        raise ConfigError(f"{name}{first['msg'].removeprefix('Value error, ')}") from error


def _place(device: str | None, precision: Asked, threads: int | None) -> Place:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    return Place.chosen(device, precision)


def _tell(verdict: Verdict) -> None:
    for reason in verdict.reasons:
        typer.echo(f"- {reason}")
    typer.echo(f"verdict: {verdict.winner}")


def _show(found: Evaluation) -> None:
    page = console()
    page.print(_table(f"测试集：{found.rows:,} 条", found.measured, found.texts_per_second))
    if found.near is not None:
        title = f"除去 {found.near:,} 条近似重复"
        page.print(_table(title, found.apart_from_near))
    if found.engines:
        table = Table("引擎", title="推理引擎", title_justify="left")
        for name in ("批量", "条/秒", "× eager", "一致率", "最大差"):
            table.add_column(name, justify="right")
        for one in found.engines:
            table.add_row(
                one.engine,
                str(one.batch),
                f"{one.texts_per_second:,.0f}",
                f"{one.times_eager:.2f}",
                f"{one.agreement:.2%}",
                f"{one.apart:.1g}",
            )
        page.print(table)


def _table(
    title: str,
    measured: Mapping[Model, Mapping[str, Measured]],
    speed: Mapping[Model, float] | None = None,
) -> Table:
    table = Table("模型", "任务", title=title, title_justify="left")
    for name in ("宏 F1", "微 F1", "ECE", "95% 精度覆盖", "阈值覆盖", "其精度", "条/秒"):
        table.add_column(name, justify="right")
    for kind, heads in measured.items():
        for head, one in heads.items():
            table.add_row(
                TITLES[kind],
                head,
                *(f"{value:.4f}" for value in (one.macro_f1, one.micro_f1, one.ece)),
                f"{one.coverage:.1%}",
                f"{one.answered:.1%}",
                "—" if one.precision is None else f"{one.precision:.1%}",
                "" if speed is None else f"{speed[kind]:,.0f}",
            )
    return table
