"""``xinjian data``: records in, quality out, and a province to try it on."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from models.errors import ConfigError, LakeMissingError
from models.records.declared import keep_declared, load_contract
from models.records.lake import Lake
from models.settings import Settings
from models.time import MAX_DAYS, parse_day
from models.yaml import nearest
from training.commands.columns import columns, listed
from training.commands.shared import LakeOption, console, contracts_of
from training.commands.tables import broken_rules, counts, imported
from training.inert import inert
from training.progress import Advance, progress
from training.sources.mapping import Mapping as SourceMapping
from training.sources.mapping import load_mapping
from training.sources.run import import_mapping

if TYPE_CHECKING:
    from training.synth.spec import Spec

app = typer.Typer(no_args_is_help=True)


@app.command("import")
def import_(
    mapping: Annotated[Path, typer.Argument(help="Mapping YAML.")],
    *,
    root: Annotated[
        Path | None, typer.Option(help="Folder of the files; the mapping's own by default.")
    ] = None,
    lake: LakeOption = None,
) -> None:
    """Read departmental tables, check each row, keep the good and quarantine the bad."""
    settings = Settings.load()
    read = load_mapping(mapping, contracts=contracts_of(settings))
    keep_declared((p.source.target for p in read.plans), mapping.parent, settings.contracts)
    _import(read, lake, root=root, settings=settings)


def _import(
    mapping: SourceMapping, address: str | None, *, root: Path | None, settings: Settings
) -> None:
    lake = _open(settings, address)
    if root is not None and not root.is_dir():
        raise ConfigError(
            f"--root {root} is no folder; name the folder that holds the source files"
        )
    with progress("导入") as advance:
        tallies = import_mapping(
            mapping,
            lake,
            root=root,
            person_key=settings.secret_person_key,
            advance=advance,
        )
    page = console()
    page.print(imported(tallies))
    broken = broken_rules(tallies)
    if broken.rows:
        page.print(broken)
    for tally in tallies:
        if tally.unused:
            unused = f"{tally.source}: 未使用的列 {'、'.join(tally.unused)}"
            page.print(inert(unused, style="dim"))
    quarantined = sum(tally.quarantined for tally in tallies)
    if quarantined:
        which = f" --lake {shlex.quote(address)}" if address else ""
        command = f"xinjian data quarantine{which} --open --out bad.csv"
        page.print(inert(f"{quarantined:,} 行被隔离；导出后更正: {command}"), soft_wrap=True)


@app.command()
def quality(
    *,
    lake: LakeOption = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="Write a report: .html for people, .json for machines; repeat for both."),
    ] = None,
    target: Annotated[float, typer.Option(help="Compliance rate to meet.")] = 0.99,
    table: Annotated[list[str] | None, typer.Option(help="Only these tables.")] = None,
    authority: Annotated[list[str] | None, typer.Option(help="Only these authorities.")] = None,
    region: Annotated[
        list[str] | None, typer.Option(help="Only these regions, with all that lies in them.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="First month, YYYY-MM.")] = None,
    until: Annotated[str | None, typer.Option(help="Last month, YYYY-MM.")] = None,
    enforce: Annotated[
        bool, typer.Option("--enforce", help="Exit with 3 when the target is missed.")
    ] = False,
) -> None:
    """Report compliance, timeliness, completeness and duplicates, down to rules and rows."""
    from training.quality import Scope, met, run
    from training.quality.table import as_table

    settings = Settings.load()
    scope = Scope(
        tables=tuple(table or ()),
        authorities=tuple(authority or ()),
        regions=tuple(region or ()),
        since=since,
        until=until,
    )
    contracts = contracts_of(settings)
    opened = _open_existing(settings, lake)
    with progress("质量"):
        result = run(opened, scope, out=out or (), target=target, contracts=contracts)
    console().print(as_table(result, contracts))
    for one in out or ():
        typer.echo(f"report: {one}")
    if enforce and not met(result):
        raise typer.Exit(3)


@app.command()
def quarantine(
    *,
    lake: LakeOption = None,
    source: Annotated[list[str] | None, typer.Option(help="Only these sources.")] = None,
    table: Annotated[list[str] | None, typer.Option(help="Only these tables.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Only these rules, such as V02.")] = None,
    waiting: Annotated[
        bool, typer.Option("--open", help="Only rows that are neither corrected nor duplicates.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the whole source rows, UNMASKED, as CSV, for correction."),
    ] = None,
) -> None:
    """List the rows in quarantine: where they stand, what is wrong, how to mend it.

    The terminal shows masked values. The file of --out holds the source rows as they are, personal
    data too; only you may read it (mode 0600): hand it to those who may, then delete it.
    """
    from training.quality.refused import Wanted, as_listing, check_out, refused, write_refused

    if out is not None:
        check_out(out)
    settings = Settings.load()
    known = contracts_of(settings)
    wanted = Wanted(
        tables=tuple(table or ()),
        sources=tuple(source or ()),
        rules=tuple(rule or ()),
        open=waiting,
    )
    with progress("隔离"):
        entries = refused(_open_existing(settings, lake), wanted)
    console().print(as_listing(entries, known))
    if out is not None:
        rows = write_refused(entries, out, known)
        typer.echo(f"file: {out} ({rows:,} rows, unmasked)")


@app.command()
def synth(
    *,
    subjects: Annotated[int, typer.Option(min=1, help="How many subjects.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 7,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the raw tables, mapping and ground truth.")
    ] = None,
    lake: Annotated[
        str | None, typer.Option(help="Import into this lake at once; the raw tables are not kept.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Last day of the province, YYYY-MM-DD; 2026-06-30.")
    ] = None,
) -> None:
    """Make a seeded synthetic province of Liaoning: departmental tables with known dirt."""
    if (out is None) == (lake is None):
        raise ConfigError("say where the province goes: exactly one of --out DIR and --lake DIR")
    settings = Settings.load()
    asked = _asked(subjects, seed, until)
    if out is not None:
        with progress("合成", subjects) as advance:
            rows = _make_province(out, asked, advance=advance)
        console().print(counts("合成数据", rows))
        typer.echo(f"mapping: {out / 'mapping.yaml'}")
        return
    with tempfile.TemporaryDirectory(prefix="xinjian-") as folder:
        with progress("合成", subjects) as advance:
            _make_province(Path(folder), asked, advance=advance)
        mapping = load_mapping(Path(folder) / "mapping.yaml")
        _import(mapping, lake, root=None, settings=settings)


def _asked(subjects: int, seed: int, until: str | None) -> Spec:
    """Return what is asked of a province."""
    from training.synth.spec import Spec

    if until is None:
        return Spec(subjects=subjects, seed=seed)
    return Spec(subjects=subjects, seed=seed, end=parse_day(until, "--until"))


def _make_province(out: Path, spec: Spec, *, advance: Advance) -> Mapping[str, int]:
    """Make a province and return the rows of its tables."""
    from training.synth.province import make

    try:
        return make(spec, out, advance=advance).rows
    except OSError as error:
        raise ConfigError(
            f"cannot write the province to {out}: {error.strerror}; name a folder that can be "
            "written, with space for it"
        ) from error


@app.command()
def compact(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables; all by default.")] = None,
    *,
    lake: LakeOption = None,
    keep_days: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_DAYS,
            help="Also delete files that no version of these last days needs.",
        ),
    ] = None,
) -> None:
    """Join the lake's small files: one sorted file a bucket."""
    opened = _open_existing(Settings.load(), lake)
    keep = timedelta(days=keep_days) if keep_days else None
    result = Table("表", "文件（前）", "文件（后）", "已清理", "版本")
    names = tables or opened.tables()
    with progress("整理", len(names)) as advance:
        for name in names:
            done = opened.compact(name, keep=keep)
            result.add_row(
                inert(name), *map(str, (done.before, done.after, done.vacuumed, done.version))
            )
            advance(1)
    console().print(result)


@app.command()
def contracts(
    name: Annotated[str | None, typer.Argument(help="A table, to see its columns.")] = None,
    *,
    check: Annotated[
        Path | None, typer.Option(help="Check a contract YAML of your own and show its columns.")
    ] = None,
) -> None:
    """List the record tables; of one, its columns: types, values, key, known headings."""
    known = contracts_of(Settings.load())
    if check is not None:
        console().print(columns(load_contract(check)))
        typer.echo(f"{check}: 无误")
    elif name is not None:
        if name not in known:
            raise ConfigError(f"unknown table {name!r}{nearest(name, known)}")
        console().print(columns(known[name]))
    else:
        console().print(listed(known))


def _open(settings: Settings, lake: str | None) -> Lake:
    url = lake or settings.lake
    options = settings.storage or None
    found = Lake.open(url, storage_options=options)
    return (
        found
        if found.tables()
        else Lake.open(url, buckets=settings.buckets, storage_options=options)
    )


def _open_existing(settings: Settings, lake: str | None) -> Lake:
    """Open a lake to read; raise :class:`LakeMissingError` for a folder that does not exist."""
    opened = _open(settings, lake)
    if "://" not in opened.url and not Path(opened.url).exists():
        raise LakeMissingError(
            f"there is no lake at {opened.url}; check --lake, or begin one with: "
            "xinjian data import MAPPING.yaml"
        )
    return opened
