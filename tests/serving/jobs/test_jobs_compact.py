from __future__ import annotations

import errno
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from models.errors import LakeError
from models.records.lake import Lake
from serving.auth.roles import Role
from serving.jobs.compact import Compaction, compact
from serving.ledger import inbox
from serving.service import Service
from tests.serving.posts import FIRM, penalty, post

Send = Callable[..., None]


@pytest.fixture
def send(client: TestClient, as_caller: Callable[..., dict[str, str]]) -> Send:
    headers = as_caller(roles=[Role.PARTNER])
    sent: list[str] = []

    def given(*rows: dict[str, object], accepted: int | None = None) -> None:
        sent.append(f"k{len(sent)}")
        told = post(client, headers, *rows, key=sent[-1]).json()
        assert told["accepted"] == (len(rows) if accepted is None else accepted), told

    return given


def lake_of(service: Service) -> Lake:
    return Lake.open(service.settings.lake)


def stored(service: Service) -> pl.DataFrame:
    return lake_of(service).scan("penalty").collect().sort("document_number")


def waiting(service: Service) -> int:
    with service.ledger.begin() as connection:
        return inbox.backlog(connection)[0]


def test_rows_go_into_the_lake_once(service: Service, send: Send) -> None:
    send(penalty(1), penalty(2))
    with service.ledger.begin() as connection:
        before = inbox.pending(connection, [FIRM])["penalty"]
    assert compact(service) == Compaction(2, 0)
    assert waiting(service) == 0
    version = lake_of(service).version("penalty")
    assert compact(service) == Compaction(0, 0)
    assert lake_of(service).version("penalty") == version
    found = stored(service)
    assert found.select(before.columns).equals(before.sort("document_number"))


def test_a_correction_leaves_what_it_does_not_state(service: Service, send: Send) -> None:
    send(penalty(1, remark="kept", fine_amount=1), penalty(2))
    compact(service)
    send(penalty(1, fine_amount=9), penalty(2, remark="new"), penalty(3))
    assert compact(service) == Compaction(3, 0)
    assert stored(service).select("fine_amount", "remark").rows() == [
        (9.0, "kept"),
        (5000.0, "new"),
        (5000.0, None),
    ]


def test_refused_rows_go_to_the_lakes_quarantine(service: Service, send: Send) -> None:
    send(penalty(1), penalty(2, happened_on="x"), accepted=1)
    assert compact(service) == Compaction(1, 1)
    entry = lake_of(service).scan("quarantine").collect()
    assert entry.select("rule", "column", "value").rows() == [("F01", "happened_on", "x")]
    assert compact(service) == Compaction(0, 0)


def test_small_batches_bring_everything(service: Service, send: Send) -> None:
    send(*(penalty(number) for number in range(7)))
    assert compact(service, batch=3) == Compaction(7, 0)
    assert stored(service).height == 7


def test_a_full_disk_leaves_the_rows_where_they_are(
    service: Service, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(penalty(1))

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("models.records.lake.write.write_parquet", full)
        with pytest.raises((LakeError, OSError), match="No space"):
            compact(service)
    assert waiting(service) == 1
    with service.ledger.begin() as connection:
        assert inbox.pending(connection, [FIRM])["penalty"].height == 1
    assert compact(service) == Compaction(1, 0)


def test_of_two_at_once_one_does_it(service: Service, send: Send) -> None:
    send(*(penalty(number) for number in range(20)))
    with ThreadPoolExecutor(2) as pool:
        done = [one.result() for one in [pool.submit(compact, service) for _ in range(2)]]
    assert sum(one.rows for one in done if one is not None) == 20
    assert stored(service).height == 20


KILLED = """
    import os, sys
    from serving.jobs import compact
    from serving.ledger import inbox
    from serving.service import Service
    from serving.settings import ServeSettings

    def die(*args, **kwargs):
        os.kill(os.getpid(), 9)

    point = sys.argv[1]
    if point == "before the merge":
        compact.merge = die
    if point == "between merge and mark":
        inbox.mark = die
    if point == "in the marking transaction":
        mark = inbox.mark
        inbox.mark = lambda *args, **kwargs: (mark(*args, **kwargs), die())
    compact.compact(Service.open(ServeSettings.load()))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", ["before the merge", "between merge and mark", "in the marking transaction"]
)
def test_a_kill_at_any_step_loses_nothing_and_repeats_nothing(
    service: Service, send: Send, database: str, root: Path, point: str
) -> None:
    send(penalty(1, fine_amount=1), penalty(2))
    send(penalty(1, fine_amount=2))
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), point],
        check=False,
        cwd=root,
        env={
            "XINJIAN_HOME": str(service.settings.home),
            "XINJIAN_DATABASE_URL": database,
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
    )
    assert killed.returncode == -9, killed.stderr.decode()
    with service.ledger.begin() as connection:
        assert inbox.pending(connection, [FIRM])["penalty"].height == 2
    assert compact(service) == Compaction(3, 0)
    assert waiting(service) == 0
    assert stored(service)["fine_amount"].to_list() == [2.0, 5000.0]
    history = lake_of(service).history("penalty")
    assert history["inserted"].sum() == 2
