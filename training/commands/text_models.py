"""``xinjian text register``, ``models`` and ``promote``: which fitted text model reads.

:func:`add` adds the commands to the group; the libraries that they need come with the call.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table

from models.errors import ConfigError
from models.settings import Settings
from training.commands.shared import LakeOption, console, open_lake
from training.inert import inert

if TYPE_CHECKING:
    from models.text.bundle import TextBundle
    from training.publication import Registered

KEPT: Final = 10
"""The version was judged and not promoted."""

BundleArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Folder of a bundle, or of a fit: what won it; or a registered model: its champion.",
    ),
]
ModelArgument = Annotated[str, typer.Argument(metavar="NAME", help="Id of a text model.")]


def add(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("register")(register_fit)
    app.command("models")(models)
    app.command("promote")(promote)


def register_fit(
    fitted: Annotated[
        Path, typer.Argument(metavar="FITTED", help="Folder that fit wrote, or a bundle in it.")
    ],
    name: ModelArgument,
) -> None:
    """Send what won a fit to the model registry, as the challenger of the model NAME."""
    from training.text.registry import TextRegistry

    version = TextRegistry.of(Settings.load()).register(fitted, name)
    typer.echo(f"registered: {name} version {version.version} {version.digest[:12]}")


def models(name: ModelArgument) -> None:
    """List the registered versions of a text model, the newest first."""
    from training.text.registry import TextRegistry

    versions = TextRegistry.of(Settings.load()).versions(name)
    if not versions:
        typer.echo(f"no version of text model '{name}' is registered")
        return
    console().print(_versions(name, versions))


def promote(
    name: ModelArgument,
    which: Annotated[
        str, typer.Argument(metavar="[VERSION]", help="A version, or an alias.")
    ] = "challenger",
    *,
    data: Annotated[
        Path | None, typer.Option(help="Labelled texts to hold it against the champion on.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Promote by hand instead, and record why.")
    ] = None,
    lake: LakeOption = None,
) -> None:
    """Let a version replace the champion where it proves better; or by hand, with a reason.

    The first champion needs no table: its fit's verdict stands. Exit code: 0 promoted, 10 kept.
    """
    from training.retrain.promotion import promote_by_hand
    from training.text.corpus import read_table
    from training.text.promotion import judged, replace
    from training.text.registry import TextRegistry

    if reason is not None and (data is not None or not reason.strip()):
        raise ConfigError("--reason says why by hand: give it words, and no --data beside it")
    settings, now = Settings.load(), datetime.now(UTC)
    registry, opened = TextRegistry.of(settings), open_lake(settings, lake)
    if reason is not None:
        version = promote_by_hand(opened, registry, name, which, reason=reason.strip(), now=now)
        _tell("champion", version)
        return
    version = registry.find(name, which)
    frame = None if data is None else read_table(data)
    verdict = judged(registry, version, frame, now=now)
    end = replace(opened, registry, version, verdict)
    for one in verdict.reasons:
        typer.echo(f"- {one}")
    _tell("champion" if verdict.decision == "promote" else "kept as challenger", end)
    if verdict.decision == "keep":
        raise typer.Exit(KEPT)


def opened_bundle(given: str, settings: Settings) -> TextBundle:
    """Return the bundle in a folder, what won the fit there, or a registered model's champion.

    Raises:
        ConfigError: It is neither such a folder nor an id.
    """
    from models.text.bundle import TextBundle
    from models.text.published import is_id
    from training.text.registry import TextRegistry, winner

    if Path(given).exists() or not is_id(given):
        if not Path(given).exists():
            raise ConfigError(f"{given}: no such folder; name a bundle, or a registered text model")
        return TextBundle.load(winner(Path(given))[0])
    from models.published import CHAMPION

    return TextRegistry.of(settings).load(given, CHAMPION)


def _tell(what: str, version: Registered) -> None:
    typer.echo(f"{what}: {version.scenario} version {version.version} {version.digest[:12]}")


def _versions(name: str, versions: list[Registered]) -> Table:
    from models import published
    from models.text.published import KIND

    table = Table(title=f"文本模型 {name}：版本", title_justify="left")
    table.add_column("版本", justify="right")
    for title in ("别名", "摘要", "组成", "登记时间", "结论"):
        table.add_column(title)
    for one in versions:
        table.add_row(
            str(one.version),
            " ".join(one.aliases),
            one.digest[:12],
            one.tags.get(KIND, ""),
            f"{one.created:%Y-%m-%d %H:%M}",
            inert(one.tags.get(published.VERDICT_TEXT, "")),
        )
    return table
