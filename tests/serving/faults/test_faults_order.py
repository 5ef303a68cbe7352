"""An import corrects a record while its post waits, or while its compaction broke off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import LakeConflictError
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from serving.auth.roles import Role
from serving.jobs import compact as module
from serving.jobs.compact import Compaction, compact
from serving.ledger import inbox
from serving.ledger.overlay import overlay
from serving.service import Service
from tests.serving.posts import FIRM, penalty, post

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
Send = Callable[..., str]


@pytest.fixture
def send(client: TestClient, as_caller: Callable[..., dict[str, str]]) -> Send:
    headers = as_caller(roles=[Role.PARTNER])
    sent: list[int] = []

    def given(**columns: object) -> str:
        sent.append(1)
        (row,) = post(client, headers, penalty(1, **columns), key=f"k{len(sent)}").json()["rows"]
        return str(row["record_id"])

    return given


def lake_of(service: Service) -> Lake:
    return Lake.open(service.settings.lake)


def imported(
    service: Service, record: str, *, later: float = 1, **columns: object
) -> dict[str, object]:
    """Import a row of the record, known so many hours later than now."""
    told: dict[str, object] = {
        "record_id": record,
        **penalty(1),
        "happened_on": date(2026, 1, 5),
        "known_at": service.clock() + timedelta(hours=later),
        "known_assumed": False,
        "source_ref": "2026-11.csv#7",
        "findings": [],
        **columns,
    }
    kinds = CONTRACTS["penalty"].dtypes
    frame = pl.DataFrame([told], schema={name: kinds[name] for name in told})
    lake_of(service).merge("penalty", frame)
    return told


def stored(service: Service) -> dict[str, object]:
    return lake_of(service).scan("penalty").collect().row(0, named=True)


def seen(service: Service) -> dict[str, object]:
    """Return the record as whoever decides sees it."""
    with service.ledger.begin() as connection:
        fresh = inbox.pending(connection, [FIRM])
    lake = lake_of(service).subject("penalty", FIRM)
    return (overlay(lake, fresh["penalty"]) if fresh else lake).row(0, named=True)


class DiedError(Exception):
    """The process is gone."""


def dies_before_the_mark(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object, **__: object) -> None:
        raise DiedError

    with monkeypatch.context() as patched:
        patched.setattr(inbox, "mark", die)
        with pytest.raises(DiedError):
            compact(service)


@pytest.mark.parametrize("later", [1, -24 * 300], ids=["known later", "assumed to be known before"])
def test_what_was_merged_before_a_kill_is_not_put_back_over_a_correction(
    service: Service, send: Send, monkeypatch: pytest.MonkeyPatch, later: float
) -> None:
    record = send(fine_amount=1)
    dies_before_the_mark(service, monkeypatch)
    assert stored(service)["fine_amount"] == 1.0
    imported(service, record, later=later, fine_amount=2.0)
    assert seen(service)["fine_amount"] == 2.0, "nor is it seen so while it waits"
    assert compact(service) == Compaction(1, 0)
    assert stored(service)["fine_amount"] == 2.0
    assert compact(service) == Compaction(0, 0)


def test_an_older_post_fills_what_a_newer_import_leaves_open(service: Service, send: Send) -> None:
    record = send(fine_amount=1, remark="of the post")
    imported(service, record, fine_amount=2.0)
    before = seen(service)
    assert (before["fine_amount"], before["remark"]) == (2.0, "of the post")
    compact(service)
    assert stored(service) == before


def test_a_post_after_an_import_corrects_it(service: Service, send: Send) -> None:
    record = send(fine_amount=1)
    compact(service)
    imported(service, record, later=-1, fine_amount=2.0)
    send(fine_amount=3)
    assert seen(service)["fine_amount"] == 3.0
    compact(service)
    assert stored(service)["fine_amount"] == 3.0


@pytest.mark.parametrize("first", [True, False], ids=["a table's first rows", "a known record"])
def test_an_import_between_a_compactions_look_and_its_commit_is_not_written_over(
    service: Service, send: Send, monkeypatch: pytest.MonkeyPatch, *, first: bool
) -> None:
    record = send(fine_amount=1, remark="of the post")
    if not first:
        compact(service)
        send(fine_amount=3, remark="of the post")
    looked: list[int] = []

    def look(lake: Lake, *args: object, **named: object) -> pl.DataFrame:
        found = real(lake, *args, **named)  # pyright: ignore[reportArgumentType]
        looked.append(found.height)
        if len(looked) == 1:
            imported(service, record, fine_amount=2.0)
        return found

    real = module._stored
    monkeypatch.setattr(module, "_stored", look)
    assert compact(service) == Compaction(1, 0)
    told = stored(service)
    assert (told["fine_amount"], told["remark"]) == (2.0, "of the post")
    assert looked == [0 if first else 1, 1], "it looked again, and then nobody came between"


def test_a_compaction_between_whose_look_and_commit_somebody_always_writes_gives_up(
    service: Service, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = send(fine_amount=1)
    amounts = iter(range(2, 100))

    def look(lake: Lake, *args: object, **named: object) -> pl.DataFrame:
        found = real(lake, *args, **named)  # pyright: ignore[reportArgumentType]
        imported(service, record, fine_amount=float(next(amounts)))
        return found

    real = module._stored
    with monkeypatch.context() as patched:
        patched.setattr(module, "_stored", look)
        with pytest.raises(LakeConflictError, match="repeat it"):
            compact(service)
    last = stored(service)["fine_amount"]
    assert compact(service) == Compaction(1, 0), "what was not brought in waits"
    assert stored(service)["fine_amount"] == last


def test_what_became_of_a_record_is_kept_whatever_is_imported(
    service: Service, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = send(fine_amount=1, void_from="2026-06-06", void_reason="annulled")
    dies_before_the_mark(service, monkeypatch)
    imported(service, record, fine_amount=2.0, void_from=None, void_reason=None)
    for found in (seen(service), (compact(service), stored(service))[1]):
        assert (found["fine_amount"], found["void_from"]) == (2.0, date(2026, 6, 6))


def test_posts_follow_each_other_though_the_clock_went_back(service: Service, send: Send) -> None:
    send(fine_amount=1)
    compact(service)
    lake = lake_of(service).scan("penalty").collect()
    posted = lake.with_columns(
        fine_amount=pl.lit(2.0),
        known_at=pl.lit(NOW - timedelta(days=9)),
        source_ref=pl.lit("api:x#0"),
    )
    assert overlay(lake, posted)["fine_amount"].to_list() == [2.0]
    module.merge(lake_of(service), "penalty", posted)
    assert stored(service)["fine_amount"] == 2.0


HOURS = st.integers(-3, 3)


@given(
    first=HOURS,
    last=HOURS,
    refs=st.tuples(st.sampled_from(["api:a", "b.csv"]), st.sampled_from(["api:a", "api:c"])),
    amounts=st.tuples(st.none() | st.integers(1, 3), st.none() | st.integers(1, 3)),
)
@settings(max_examples=60, deadline=None, database=None)
def test_what_is_seen_before_a_compaction_is_what_the_lake_has_after_it(
    tmp_path_factory: pytest.TempPathFactory,
    first: int,
    last: int,
    refs: tuple[str, str],
    amounts: tuple[int | None, int | None],
) -> None:
    lake = Lake.open(tmp_path_factory.mktemp("order") / "lake", buckets=1)
    rows = [
        pl.DataFrame(
            {
                "record_id": ["r" * 32],
                "subject_id": [FIRM],
                "happened_on": [date(2026, 1, 5)],
                "known_at": [NOW + timedelta(hours=hours)],
                "known_assumed": [False],
                "source_ref": [ref],
                "fine_amount": pl.Series([amount], dtype=pl.Float64),
                "void_from": pl.Series([None if amount != 3 else date(2026, 2, 2)], dtype=pl.Date),
                "void_reason": pl.Series([None if amount != 3 else "annulled"], dtype=pl.String),
            }
        )
        for hours, ref, amount in zip((first, last), refs, amounts, strict=True)
    ]
    lake.merge("penalty", rows[0])
    expected = overlay(lake.subject("penalty", FIRM), rows[1])
    module.merge(lake, "penalty", rows[1])
    found = lake.subject("penalty", FIRM)
    whole = [name for name in found.columns if name != "source_ref"]
    assert found.select(whole).to_dicts() == expected.select(whole).to_dicts()
