"""The ``xinjian`` command: one group per kind of work, imported only when one of its commands runs.

0    done
1    an error that is ours: a short message, the whole of it in a file
2    an error that a user can mend: the message says how
130  interrupted from the keyboard
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, cast

import typer

from models.errors import XinjianError
from xinjian.extras import missing_extra

DONE = 0
FAULT = 1
USER_ERROR = 2
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Group:
    """A group of commands that lives in a package of its own."""

    name: str
    target: str
    """``module:attribute`` of a typer app."""
    help: str


GROUPS = (
    Group(
        "data",
        "training.commands.data:app",
        "Records: import, quality, the synthetic province, the lake.",
    ),
    Group(
        "scenario",
        "training.commands.scenario:app",
        "Scenarios: declared kinds of risk, checked, and shown on the lake.",
    ),
    Group(
        "features",
        "training.commands.features:app",
        "Features: the catalogue of a scenario, and its features as of any date.",
    ),
    Group(
        "risk",
        "training.commands.risk:app",
        "Risk: models fitted, judged, tried out and explained.",
    ),
    Group(
        "text",
        "training.commands.text:app",
        "Violation text: models that read it, laws, labels by people.",
    ),
    Group(
        "draw",
        "serving.commands.draw:app",
        "Draws: pools frozen, seeded in public, drawn, verified, teams assigned.",
    ),
    Group(
        "serve",
        "serving.commands.serve:app",
        "The service: its API, its worker, its ledger and who may use it.",
    ),
    Group(
        "demo",
        "xinjian.demo.commands:app",
        "The demonstration: everything once, on a made province or on real tables.",
    ),
)


@dataclass(slots=True)
class Run:
    """What the outermost options and the settings say about this run."""

    debug: bool = False
    home: Path | None = None


def main(arguments: Sequence[str] | None = None, *, groups: Sequence[Group] = GROUPS) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: The words after ``xinjian``; those of the process by default.
        groups: The groups there are.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    run = Run(debug="--debug" in words)
    try:
        command = typer.main.get_command(build(groups, words, run=run))
        command(args=words, prog_name="xinjian")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        return INTERRUPTED
    except XinjianError as error:
        return _user_error(error, run)
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        return _fault(error, run) if missing is None else _user_error(missing, run)
    except Exception as error:  # noqa: BLE001 -- the outermost edge: a user sees no traceback
        return _fault(error, run)
    return DONE


def build(groups: Sequence[Group], words: Sequence[str], *, run: Run) -> typer.Typer:
    """Return the app for one command line: the group it names in full, the others by title only."""
    app = typer.Typer(
        help="信鉴 Xinjian: AI credit supervision, from records to decisions that can be checked.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options(run))
    # The options before a group's name are flags, so the first other word is the name.
    named = next((word for word in words if not word.startswith("-")), None)
    for group in groups:
        if group.name == named:
            app.add_typer(_load(group), name=group.name, help=group.help)
        else:
            app.command(group.name, help=group.help)(_title_only)
    return app


def _load(group: Group) -> typer.Typer:
    module, _, attribute = group.target.partition(":")
    return cast("typer.Typer", getattr(import_module(module), attribute))


def _title_only() -> None:
    """Stand in the list of groups for one that this command line does not name."""


def _options(run: Run) -> Callable[..., None]:
    def options(
        *,
        version: Annotated[
            bool,
            typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
        ] = False,
        debug: Annotated[
            bool, typer.Option("--debug", help="Log everything and show tracebacks.")
        ] = False,
    ) -> None:
        del version
        from models import logs
        from models.settings import Settings

        settings = Settings.load()
        run.debug = debug or settings.debug
        run.home = settings.home
        logs.configure(settings.log_format, "debug" if run.debug else settings.log_level)

    return options


def _version(asked: bool) -> None:
    if asked:
        from xinjian import __version__

        typer.echo(f"xinjian {__version__}")
        raise typer.Exit


def _user_error(error: XinjianError, run: Run) -> int:
    if run.debug:
        typer.echo("".join(traceback.format_exception(error)), err=True)
    typer.echo(f"xinjian: {error}", err=True)
    return USER_ERROR


def _fault(error: Exception, run: Run) -> int:
    details = "".join(traceback.format_exception(error))
    if run.debug:
        typer.echo(details, err=True)
        return FAULT
    typer.echo(f"xinjian: unexpected {type(error).__name__}: {error}", err=True)
    kept = _keep(details, run.home)
    where = f"the details are in {kept}; " if kept else ""
    typer.echo(f"{where}xinjian --debug … shows them at once", err=True)
    return FAULT


def _keep(details: str, home: Path | None) -> Path | None:
    """Write the details of a fault under the home folder; ``None`` where that cannot be done."""
    if home is None:
        return None
    path = home / "errors" / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(details, encoding="utf-8")
    except OSError:
        return None
    return path
