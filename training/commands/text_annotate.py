"""``xinjian text annotate``: read the lake's decisions and complaints with a fitted model.

:func:`register` adds the commands to the group.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.errors import BundleError, ConfigError
from models.logs import logger
from models.settings import Settings
from models.text.engine import Wanted
from models.text.taxonomy import Taxonomy, load, taxonomy
from training.commands.shared import LakeOption, open_lake
from training.commands.text_models import BundleArgument, opened_bundle
from training.progress import progress
from training.text.annotate import READ
from training.text.annotate import annotate as annotate_

if TYPE_CHECKING:
    from models.text.bundle import TextBundle
    from training.text.annotate import Annotated as Told

EngineOption = Annotated[Wanted, typer.Option(help="What runs the transformer.")]


def register(app: typer.Typer) -> None:
    """Add ``annotate`` to the group."""
    app.command()(annotate)


def annotate(
    bundle: BundleArgument,
    *,
    lake: LakeOption = None,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", help=f"Of {', '.join(READ)}; may be repeated; all by default."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also read what this model has read before.")
    ] = False,
    leaves: Annotated[
        Path | None,
        typer.Option("--taxonomy", help="The YAML it was fitted with; the package's by default."),
    ] = None,
    engine: EngineOption = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """Read penalties and complaints; write kind of violation and severity beside each."""
    from models.text.classifier import Classifier

    wanted = {name: _columns(name) for name in table or READ}
    settings = Settings.load()
    opened = open_lake(settings, lake)
    if not any(name in opened.tables() for name in wanted):
        tables = " or ".join(wanted)
        where = lake or settings.lake
        raise ConfigError(f"{where}: has no table {tables}; import one, or name a lake by --lake")
    loaded = opened_bundle(bundle, settings)
    known = taxonomy() if leaves is None else load(leaves)
    _check(bundle, loaded, known)
    reader = Classifier(loaded, engine=engine, threads=threads)
    with progress("标注", len(wanted) * opened.buckets) as advance:
        done = annotate_(
            opened,
            reader,
            model=loaded.digest,
            tables=wanted,
            known=known,
            again=again,
            advance=advance,
        )
    _show(done, loaded.digest)


def _columns(table: str) -> tuple[str, ...]:
    if table not in READ:
        raise ConfigError(f"--table {table}: texts of {', '.join(READ)} are read; name one of them")
    return READ[table]


def _check(name: str, bundle: TextBundle, known: Taxonomy) -> None:
    """Refuse a model whose leaves this taxonomy lacks; tell where it is another version of it."""
    labels = next((head.labels for head in bundle.heads if head.name == "leaf"), None)
    if labels is None:
        raise BundleError(
            f"{name}: does not answer with a leaf of the violation taxonomy; annotate with one "
            "that was fitted on a table with a column 'leaf'"
        )
    try:
        known.check(labels)
    except ConfigError as error:
        raise ConfigError(
            f"{name}: {error}; name the taxonomy that it was fitted with by --taxonomy"
        ) from error
    fitted = bundle.manifest.taxonomy_digest
    if fitted != known.digest:
        logger(__name__).warning(
            "fitted with another taxonomy: its leaves are read by this one's codes",
            fitted=fitted[:12],
            read=known.digest[:12],
        )


def _show(done: tuple[Told, ...], digest: str) -> None:
    shown = Table("表", title=f"标注：模型 {digest[:12]}", title_justify="left")
    for heading in ("有文本", "本次读取", "给出结论", "转人工", "版本"):
        shown.add_column(heading, justify="right")
    for one in done:
        numbers = (one.rows, one.read, one.answered, one.read - one.answered)
        version = "—" if one.version is None else str(one.version)
        shown.add_row(one.table, *(f"{number:,}" for number in numbers), version)
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(shown)
