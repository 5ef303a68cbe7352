"""A lake in an object store behaves as one in a folder; commits there are conditional puts."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import LakeError, LakeMissingError, MissingExtraError
from models.records.lake import Lake, Merged, place

pytest.importorskip("obstore", reason="object stores need the extra s3")
pytest.importorskip("moto.server")

ROWS = pl.DataFrame(
    {
        "record_id": [f"r{n}" for n in range(60)],
        "subject_id": [f"s{n % 7}" for n in range(60)],
        "amount": [float(n) for n in range(60)],
    }
)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Run an S3 server in a process of its own: some calls of Delta keep Python's lock."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
    moto = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        make_bucket(f"{url}/records")
        yield url
    finally:
        moto.kill()
        moto.wait()


def make_bucket(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=10).close()  # noqa: S310
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


@pytest.fixture
def options(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
    }


def test_a_lake_in_an_object_store(options: dict[str, str]) -> None:
    lake = Lake.open("s3://records/one/", buckets=3, storage_options=options)
    assert lake.tables() == []
    assert lake.merge("event", ROWS) == Merged(60, 0, 0, 0)
    assert lake.merge("event", ROWS) == Merged(0, 0, 60, 0)
    changed = ROWS.head(5).with_columns(amount=pl.lit(0.5), extra=pl.lit("x"))
    assert lake.merge("event", changed).updated == 5
    assert (
        lake.merge("event", ROWS.tail(5).with_columns(pl.lit("r9").alias("subject_id"))).updated
        == 5
    )
    again = Lake.open("s3://records/one", storage_options=options)
    assert (again.buckets, again.versions()) == (3, {"event": 2})
    assert_frame_equal(
        again.scan("event", version=0).collect().sort("record_id"), ROWS.sort("record_id")
    )
    whole = again.scan("event").collect()
    expected = whole.filter(pl.col("subject_id") == "s3").sort("record_id")
    assert_frame_equal(again.subject("event", "s3"), expected)
    assert again.verify("event") == 60
    assert again.compact("event").after == 3
    assert again.history("event")["operation"].to_list()[-1] == "merge"


def test_the_environment_may_say_how_to_reach_it(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in options.items():
        monkeypatch.setenv(name, value)
    lake = Lake.open("s3://records/environment", buckets=2)
    lake.merge("event", ROWS)
    assert lake.subject("event", "s1").height == 9
    assert Lake.open("s3://records/environment").rows("event") == 60


def test_writers_of_an_object_store_exclude_each_other(options: dict[str, str]) -> None:
    failures: list[BaseException] = []

    def write(rank: int) -> None:
        try:
            lake = Lake.open("s3://records/many", buckets=2, storage_options=options)
            for start in (0, 20, 40):
                lake.merge("event", ROWS.slice((start + 20 * rank) % 60, 30))
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    writers = [threading.Thread(target=write, args=(rank,)) for rank in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    lake = Lake.open("s3://records/many", storage_options=options)
    assert_frame_equal(lake.scan("event").collect().sort("record_id"), ROWS.sort("record_id"))
    assert lake.history("event")["inserted"].sum() == 60


def test_what_is_not_there_is_said(options: dict[str, str]) -> None:
    lake = Lake.open("s3://records/empty", storage_options=options)
    with pytest.raises(LakeMissingError, match="has no table 'event': it is empty"):
        lake.scan("event")
    with pytest.raises(LakeError, match="cannot open s3://nowhere"):
        Lake.open("s3://nowhere/lake", storage_options=options)


def test_the_extra_is_named_when_missing(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(_: str) -> None:
        return None

    monkeypatch.setattr(place, "find_spec", absent)
    lake = Lake.open("s3://records/extra", storage_options=options)
    with pytest.raises(MissingExtraError, match=r"xinjian\[s3\]"):
        lake.merge("event", ROWS)
