"""``xinjian text review``: the most useful unlabelled texts, out as a spreadsheet and back.

:func:`register` adds the commands to the group.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from models.errors import BundleError, ConfigError
from models.records.lake import Lake
from models.settings import Settings
from models.text.engine import Wanted
from models.text.taxonomy import Taxonomy, load, taxonomy
from training.commands.text_models import BundleArgument, opened_bundle
from training.text.annotate import READ
from training.text.review import all_labels, keep_labels, pool, to_learn, useful
from training.text.sheet import read_sheet, write_sheet

app = typer.Typer(no_args_is_help=True)

TaxonomyOption = Annotated[
    Path | None, typer.Option("--taxonomy", help="A taxonomy YAML; the package's by default.")
]


def register(group: typer.Typer) -> None:
    """Add ``review`` to the group."""
    group.add_typer(app, name="review", help="Texts for people to label, and their labels.")


@app.command()
def export(
    bundle: BundleArgument,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The .xlsx to write.")],
    *,
    count: Annotated[int, typer.Option(min=1, max=5000, help="Texts to write.")] = 200,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", help=f"Of {', '.join(READ)}; may be repeated; all by default."),
    ] = None,
    lake: Annotated[
        str | None, typer.Option("--lake", help="Folder or s3:// address of the lake.")
    ] = None,
    file: TaxonomyOption = None,
    engine: Annotated[Wanted, typer.Option(help="What runs the transformer.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the sample that is looked at.")] = 7,
) -> None:
    """Write the texts that are most worth a label, masked, with a list to choose from."""
    from models.text.classifier import Classifier

    odd = [name for name in table or () if name not in READ]
    if odd:
        raise ConfigError(f"--table {odd[0]}: name one of {', '.join(READ)}")
    known, settings = _known(file), Settings.load()
    loaded = opened_bundle(bundle, settings)
    labels = next((head.labels for head in loaded.heads if head.name == "leaf"), None)
    if labels is None:
        raise BundleError(f"{bundle}: does not answer with a leaf; name a model that does")
    texts = pool(
        Lake.open(lake or settings.lake, storage_options=settings.storage or None),
        tables={name: READ[name] for name in table or READ},
        without=all_labels(_folder(settings))["text_id"].unique().to_list(),
        seed=seed,
    )
    rows = useful(texts, Classifier(loaded, engine=engine), labels, count=count)
    write_sheet(rows, out, known=known, model=loaded.digest)
    typer.echo(f"{rows.height:,} of {texts.height:,} unlabelled texts: {out}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The .xlsx that was filled in.")],
    *,
    reviewer: Annotated[
        str | None, typer.Option(help="Who labelled, where a row does not say.")
    ] = None,
    taxonomy_file: TaxonomyOption = None,
) -> None:
    """Check the labels that people filled in, and keep them."""
    settings, now = Settings.load(), datetime.now(UTC)
    today = now.astimezone(ZoneInfo("Asia/Shanghai")).date()
    told = read_sheet(file, known=_known(taxonomy_file), on=today, reviewer=reviewer)
    if told.is_empty():
        raise ConfigError(f"{file}: no row has a label; fill in the column 正确分类")
    kept = keep_labels(_folder(settings), told, now=now)
    if kept is None:
        typer.echo(f"{told.height:,} labels: all of them were there already")
    else:
        typer.echo(f"{told.height:,} labels: {kept}")


@app.command()
def labels(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The Parquet file to write.")],
) -> None:
    """Write the labels that hold as a table to fit on."""
    table = to_learn(_folder(Settings.load()))
    out.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(out)
    typer.echo(f"{table.height:,} labelled texts: {out}")


def _known(file: Path | None) -> Taxonomy:
    return taxonomy() if file is None else load(file)


def _folder(settings: Settings) -> Path:
    return settings.home / "text" / "labels"
