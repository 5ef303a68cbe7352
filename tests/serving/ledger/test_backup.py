from __future__ import annotations

import json
import stat
import tempfile
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from models.errors import LedgerError
from serving.ledger import audit, backup, embedded
from serving.ledger.audit import Entry
from serving.ledger.engine import Ledger
from serving.ledger.migrate import head, migrate, revision, revisions
from serving.settings import ServeSettings

AT = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)
LATER = datetime(2026, 11, 23, tzinfo=UTC)


def act(ledger: Ledger, number: int) -> None:
    with ledger.begin() as connection:
        audit.append(connection, *(Entry(AT, "user:1", "x", str(n)) for n in range(number)))


def whole(ledger: Ledger) -> int:
    with ledger.begin() as connection:
        verdict = audit.verify(connection)
    assert verdict.whole
    return verdict.rows


@pytest.fixture
def empty(empty_database: str) -> Generator[Ledger]:
    ledger = Ledger.at(empty_database)
    yield ledger
    ledger.close()


@pytest.fixture
def made(ledger: Ledger, tmp_path: Path) -> backup.Backup:
    act(ledger, 7)
    return backup.backup(ledger, tmp_path / "backups", at=AT)


def test_a_backup_says_what_it_holds_and_is_its_owners_alone(made: backup.Backup) -> None:
    assert made.manifest.revision == head()
    assert made.manifest.rows["audit"] == 7
    assert made.manifest.seq == 7
    assert made.folder.name == "ledger-20261122T010203.000000Z"
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700
    for file in made.folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert backup.read(made.folder) == made


def test_a_backup_is_audited_itself(made: backup.Backup, ledger: Ledger) -> None:
    with ledger.begin() as connection:
        (row,) = audit.page(connection, target=made.folder.name)
    assert row["action"] == "ledger.backup"
    assert json.loads(str(row["details"]))["sha256"] == made.manifest.sha256


def test_a_restored_ledger_is_what_was_backed_up(made: backup.Backup, empty: Ledger) -> None:
    assert backup.restore(empty, made.folder, at=LATER) == made.manifest
    assert revision(empty) == head()
    assert whole(empty) == 8  # and the restore's own act
    with pytest.raises(DBAPIError, match="append-only"), empty.begin() as connection:
        connection.execute(text("delete from audit"))
    with empty.begin() as connection:
        schemas = connection.execute(text("select nspname from pg_namespace")).scalars().all()
    assert [name for name in schemas if name.startswith(backup.KEPT)] == []


def test_a_filled_database_is_not_replaced_unless_told_and_then_kept(
    made: backup.Backup, ledger: Ledger
) -> None:
    act(ledger, 5)
    with pytest.raises(LedgerError, match="--replace"):
        backup.restore(ledger, made.folder, at=LATER)
    assert whole(ledger) == 13
    backup.restore(ledger, made.folder, at=LATER, replace=True)
    assert whole(ledger) == 8
    counted = f"select count(*) from {backup.KEPT}20261123000000000000.audit"  # noqa: S608
    with ledger.begin() as connection:
        assert connection.execute(text(counted)).scalar() == 13
    again = backup.backup(ledger, made.folder.parent, at=LATER)
    assert again.manifest.rows["audit"] == 8, "what a restore kept aside is no part of a backup"


def test_a_restore_that_fails_changes_nothing(made: backup.Backup, ledger: Ledger) -> None:
    manifest = made.manifest.model_copy(update={"hash": "1" * 64})
    (made.folder / backup.MANIFEST).write_text(manifest.model_dump_json())
    with pytest.raises(LedgerError, match="row 7 has not the hash of its anchor"):
        backup.restore(ledger, made.folder, at=LATER, replace=True)
    counted = made.manifest.model_copy(update={"rows": {**made.manifest.rows, "audit": 9}})
    (made.folder / backup.MANIFEST).write_text(counted.model_dump_json())
    with pytest.raises(LedgerError, match="audit have not the rows"):
        backup.restore(ledger, made.folder, at=LATER, replace=True)
    assert whole(ledger) == 8


def test_a_ledger_in_use_is_not_restored_into(
    made: backup.Backup, ledger: Ledger, database: str
) -> None:
    other = Ledger.at(database)
    with other.begin(), pytest.raises(LedgerError, match="in use by 1"):
        backup.restore(ledger, made.folder, at=LATER, replace=True)
    other.close()


def test_a_backup_that_was_altered_is_refused(made: backup.Backup, empty: Ledger) -> None:
    dump = made.folder / backup.DUMP
    content = dump.read_bytes()
    dump.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(LedgerError, match="is not the one that was made"):
        backup.restore(empty, made.folder, at=LATER)
    (made.folder / backup.MANIFEST).write_text("{}")
    with pytest.raises(LedgerError, match="manifest"):
        backup.read(made.folder)
    with pytest.raises(LedgerError, match="no backup"):
        backup.read(made.folder / "nowhere")


def test_a_backup_of_a_newer_release_is_refused(made: backup.Backup, empty: Ledger) -> None:
    newer = made.manifest.model_copy(update={"revision": "9999_far"})
    (made.folder / backup.MANIFEST).write_text(newer.model_dump_json())
    with pytest.raises(LedgerError, match="newer"):
        backup.restore(empty, made.folder, at=LATER)


def test_a_backup_of_an_older_schema_is_brought_up_to_date(
    empty: Ledger, ledger: Ledger, tmp_path: Path
) -> None:
    migrate(empty, to=revisions()[0])
    act(empty, 3)
    made = backup.backup(empty, tmp_path, at=AT)
    assert made.manifest.revision == revisions()[0]
    backup.restore(ledger, made.folder, at=LATER, replace=True)
    assert revision(ledger) == head()
    assert whole(ledger) == 4


def test_an_empty_database_and_missing_programs_are_told(
    empty: Ledger, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LedgerError, match="nothing to back up"):
        backup.backup(empty, tmp_path, at=AT)
    monkeypatch.setattr(embedded, "programs", tuple)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LedgerError, match="client programs"):
        backup.backup(ledger, tmp_path, at=AT)
    assert list(tmp_path.iterdir()) == [], "nothing half made is left"


def test_the_programs_nearest_to_the_server_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / str(version) for version in (18, 15, 16)]
    for folder in folders:
        folder.mkdir()
        program = folder / "pg_restore"
        program.write_text(f"#!/bin/sh\necho 'pg_restore (PostgreSQL) {folder.name}.2'\n")
        program.chmod(0o700)
    monkeypatch.setattr(embedded, "programs", lambda: folders[:2])
    monkeypatch.setenv("PATH", f"{folders[2]}:/usr/bin:/bin")
    taken = [
        Path(backup._program("pg_restore", least)).parent.name  # pyright: ignore[reportPrivateUsage]
        for least in (14, 15, 16, 17)
    ]
    assert taken == ["15", "15", "16", "18"]


@pytest.mark.slow
def test_the_drill_the_machine_is_lost_and_the_ledger_comes_back() -> None:
    with tempfile.TemporaryDirectory(prefix="xj-dr-") as folder:
        lost = ServeSettings.model_validate({"home": Path(folder) / "a"})
        first = Ledger.open(lost)
        migrate(first)
        act(first, 100)
        made = backup.backup(first, Path(folder) / "far", at=AT)
        first.close()
        new = ServeSettings.model_validate({"home": Path(folder) / "b"})
        second = Ledger.open(new)
        assert backup.restore(second, made.folder, at=LATER).rows["audit"] == 100
        with second.begin() as connection:
            assert audit.verify(connection, [made.manifest.anchor]).whole
        assert whole(second) == 101
        second.close()
