"""The drill: ledger and lake are copied while records come in, all is lost, and all comes back."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from models.records.lake import Lake
from serving.auth.roles import Role
from serving.auth.secret import seal, unseal
from serving.jobs.compact import compact
from serving.ledger import backup, inbox
from serving.ledger.backup import Backup
from serving.ledger.engine import Ledger
from serving.service import Service
from serving.settings import ServeSettings
from tests.serving.posts import FIRM, penalty, post

ROWS = 12


def copy_lake(source: Path, target: Path, between: Callable[[], object]) -> None:
    """Copy a lake that is written to meanwhile: every table's log first, then what it names."""
    for log in sorted(source.glob("*/_delta_log")):
        shutil.copytree(log, target / log.relative_to(source))
    between()
    for file in sorted(source.rglob("*")):
        if file.is_file() and "_delta_log" not in file.parts:
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)


class Machine:
    """A service that takes records in, and is copied meanwhile."""

    def __init__(self, service: Service, client: TestClient, headers: dict[str, str]) -> None:
        self.service, self.client, self.headers = service, client, headers
        self.sent = 0

    def send(self) -> None:
        row = penalty(self.sent)
        answer = post(self.client, self.headers, row, key=f"d{self.sent}")
        assert answer.json()["accepted"] == 1
        self.sent += 1

    def compacted(self) -> None:
        self.send()
        compact(self.service)


@pytest.fixture
def machine(
    service: Service, client: TestClient, as_caller: Callable[..., dict[str, str]]
) -> Machine:
    made = Machine(service, client, as_caller(roles=[Role.PARTNER]))
    made.send()
    made.compacted()
    made.send()
    return made


def saved(service: Service, folder: Path) -> Backup:
    lake = Lake.open(service.settings.lake).versions()
    return backup.backup(service.ledger, folder, at=service.clock(), lake=lake)


def documents(ledger: Ledger, lake: Lake) -> list[str]:
    """Return the documents' numbers as whoever decides sees them, lake and inbox together."""
    with ledger.begin() as connection:
        fresh = inbox.pending(connection, [FIRM]).get("penalty")
    there = lake.subject("penalty", FIRM)
    waiting = [] if fresh is None else fresh["document_number"].to_list()
    return sorted({*there["document_number"].to_list(), *waiting})


def test_a_ledger_and_a_lake_copied_after_it_bring_everything_back(
    machine: Machine, empty_database: str, tmp_path: Path
) -> None:
    service, place = machine.service, tmp_path / "safe"
    made = saved(service, place)
    acknowledged = machine.sent
    machine.compacted()  # what waited in the ledger's backup is in the lake by now
    copy_lake(Path(service.settings.lake), place / "lake", machine.compacted)
    shutil.rmtree(service.settings.home)
    shutil.copytree(place / "lake", service.settings.lake)
    ledger = Ledger.at(empty_database)
    try:
        manifest = backup.restore(ledger, made.folder, at=service.clock())
        lake = Lake.open(service.settings.lake)
        assert backup.lacking(manifest, lake.versions()) == []
        found = documents(ledger, lake)
        assert {penalty(n)["document_number"] for n in range(acknowledged)} <= set(found)
        settings = service.settings.model_copy(update={"database_url": None})
        again = Service(settings, ledger)
        compact(again)
        compact(again)
        after = Lake.open(service.settings.lake)
        assert after.rows("penalty") == len(found), "what both had is there once"
        assert after.verify("penalty") == len(found)
        again.runtime.close()
    finally:
        ledger.close()


def test_a_lake_that_was_copied_before_the_ledger_is_told_to_lack_records(
    machine: Machine, tmp_path: Path
) -> None:
    service = machine.service
    copy_lake(Path(service.settings.lake), tmp_path / "early", lambda: None)
    machine.compacted()
    made = saved(service, tmp_path / "safe")
    early = Lake.open(tmp_path / "early")
    assert backup.lacking(made.manifest, early.versions()) == ["penalty"]
    assert len(documents(service.ledger, early)) < machine.sent


def test_the_key_goes_along_where_it_is_asked_for_and_is_its_owners_alone(
    service: Service, tmp_path: Path
) -> None:
    settings = service.settings
    sealed = seal(settings, b"seed", context="totp:1")
    made = backup.backup(
        service.ledger, tmp_path / "safe", at=service.clock(), key=settings.secret_file
    )
    assert stat.S_IMODE((made.folder / backup.KEY).stat().st_mode) == 0o600
    assert backup.restore_key(made, settings.secret_file) is True
    settings.secret_file.unlink()
    assert backup.restore_key(made, settings.secret_file) is True
    assert stat.S_IMODE(settings.secret_file.stat().st_mode) == 0o600
    assert unseal(settings, sealed, context="totp:1") == b"seed"
    other = ServeSettings.model_validate({"home": tmp_path / "other"})
    seal(other, b"x", context="totp:1")
    assert backup.restore_key(made, other.secret_file) is False
    plain = backup.backup(service.ledger, tmp_path / "plain", at=service.clock())
    assert not (plain.folder / backup.KEY).exists()
    assert backup.restore_key(plain, other.secret_file) is None
