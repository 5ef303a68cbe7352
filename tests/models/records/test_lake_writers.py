"""Several processes write one lake, and some are killed: nothing is lost, nothing comes twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from models.errors import LakeConflictError, LakeError
from models.records.lake import Lake, Merged, store, write
from models.records.lake.difference import difference
from models.records.lake.layout import storable
from models.records.lake.place import Place
from models.records.lake.snapshot import open_delta, take_snapshot
from models.records.lake.write import ConflictError, Draft, commit, draft_merge

BATCHES, BATCH, OVERLAP = 8, 3_000, 500

# Each writer waits for the others, then merges its batches; every batch repeats some rows of the
# one before. Arguments: lake, rank of the writer, go-file.
WRITER = f"""
import sys, time
from pathlib import Path
import polars as pl
from models.records.lake import Lake

def batch(number):
    start = number * {BATCH - OVERLAP}
    row = pl.int_range(start, start + {BATCH}, eager=True).alias("row").to_frame()
    return row.select(
        record_id=pl.format("r{{}}", "row"),
        subject_id=pl.format("s{{}}", pl.col("row") % 997),
        text=pl.format("第{{}}号决定", "row"),
    )

url, rank, go = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
lake = Lake.open(url)
print("ready", flush=True)
while not go.exists():
    time.sleep(0.001)
order = range({BATCHES}) if rank % 2 == 0 else range({BATCHES} - 1, -1, -1)
for number in order:
    print(number, flush=True)
    done = lake.merge("event", batch(number))
    print("done", done.inserted, flush=True)
"""
TOTAL = BATCHES * (BATCH - OVERLAP) + OVERLAP


def start(lake: Path, rank: int, go: Path, root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WRITER, str(lake), str(rank), str(go)],
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "POLARS_MAX_THREADS": "2"},
        stdout=subprocess.PIPE,
        text=True,
    )


def check_complete(lake: Lake) -> None:
    ids = lake.scan("event").select("record_id", "text").collect()
    assert ids.height == ids["record_id"].n_unique() == TOTAL == lake.rows("event")
    assert lake.verify("event") == TOTAL
    # Each row came in once: what the commits say they inserted is what is there.
    assert lake.history("event")["inserted"].sum() == TOTAL
    assert lake.history("event")["updated"].sum() == 0


def test_processes_merge_overlapping_batches_exactly(tmp_path: Path, root: Path) -> None:
    go = tmp_path / "go"
    writers = [start(tmp_path / "lake", rank, go, root) for rank in range(3)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    go.touch()
    outputs = [writer.communicate(timeout=120)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    check_complete(Lake.open(tmp_path / "lake"))
    said = [int(line.split()[1]) for out in outputs for line in out.splitlines() if "done" in line]
    assert sum(said) == TOTAL


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 9))]
)
def test_a_killed_import_leaves_the_last_good_version(
    tmp_path: Path, root: Path, seed: int
) -> None:
    random_point = random.Random(seed)
    folder, go = tmp_path / "lake", tmp_path / "go"
    go.touch()
    kept = 0
    for _ in range(3):
        begun = kill_somewhere(start(folder, 0, go, root), random_point)
        kept = check_prefix(folder, at_least=kept, at_most=begun)
    last = start(folder, 0, go, root)
    last.communicate(timeout=120)
    assert last.returncode == 0
    lake = Lake.open(folder)
    check_complete(lake)
    before = lake.version("event")
    again = start(folder, 0, go, root)
    again.communicate(timeout=120)
    assert again.returncode == 0
    assert Lake.open(folder).version("event") == before


def kill_somewhere(writer: subprocess.Popen[str], random_point: random.Random) -> int:
    """Kill the writer with SIGKILL somewhere in a batch it has begun; give the number begun."""
    stop_at = str(random_point.randrange(BATCHES))
    begun = 0
    assert writer.stdout is not None
    for line in writer.stdout:
        begun = max(begun, int(line) + 1) if line.strip().isdigit() else begun
        if line.strip() == stop_at:
            time.sleep(random_point.uniform(0, 0.12))
            break
    writer.send_signal(signal.SIGKILL)
    out, _ = writer.communicate(timeout=60)
    return max([begun, *(int(line) + 1 for line in out.splitlines() if line.strip().isdigit())])


def check_prefix(folder: Path, *, at_least: int, at_most: int) -> int:
    """Check that the lake holds exactly the first batches and can be read; give how many."""
    lake = Lake.open(folder)
    if not lake.tables():
        assert at_least == 0
        return 0
    rows = lake.scan("event").collect()
    assert lake.verify("event") == rows.height
    batches, rest = divmod(rows.height - OVERLAP, BATCH - OVERLAP)
    assert rest == 0
    assert at_least <= batches <= at_most or batches == at_least
    expected = {f"r{number}" for number in range(rows.height)}
    assert set(rows["record_id"]) == expected
    return batches


def one(record: str, **values: object) -> pl.DataFrame:
    return pl.DataFrame(
        {"record_id": [record], "subject_id": ["甲"], **{k: [v] for k, v in values.items()}}
    )


@pytest.mark.parametrize("rival", ["insert", "update", "grow", "compact"])
@pytest.mark.parametrize("ours", ["insert", "update", "grow"])
def test_a_commit_on_an_overtaken_version_fails_whole(
    tmp_path: Path, rival: str, ours: str
) -> None:
    lake = Lake.open(tmp_path, buckets=1)
    lake.merge("event", one("a", n=1))
    lake.merge("event", one("b", n=1))
    work = {
        "insert": one("c", n=2),
        "update": one("a", n=3),
        "grow": one("a", n=4, extra="x"),
    }
    base = open_delta(lake._place, "event")
    assert base is not None
    snapshot = take_snapshot(lake._place, "event", base)
    change = difference(snapshot, storable(work[ours]), fill=False)
    draft = draft_merge(snapshot, change)
    if rival == "compact":
        lake.compact("event")
    else:
        lake.merge("event", work[rival])
    won = lake.scan("event").collect()
    with pytest.raises(ConflictError):
        commit(lake._place, base, draft, {})
    assert lake.version("event") == 2
    assert lake.scan("event").collect().equals(won)
    assert not any((tmp_path / "event" / file.path).exists() for file in draft.added)


def test_a_commit_that_landed_and_yet_failed_keeps_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake.open(tmp_path, buckets=1)
    lake.merge("event", one("a", n=1))
    really = write._commit

    def answer_lost(
        place: Place, base: DeltaTable | None, draft: Draft, says: Mapping[str, object]
    ) -> None:
        really(place, base, draft, says)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "_commit", answer_lost)
    assert lake.merge("event", one("b", n=1)) == Merged(1, 0, 0, 1)
    assert lake.verify("event") == 2


def test_a_checkpoint_that_fails_loses_nothing(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path, buckets=1)
    lake.merge("event", one("r0", n=0))
    # A checkpoint is due after version 20; a folder in its place lets it fail.
    (tmp_path / "event" / "_delta_log" / f"{20:020}.checkpoint.parquet" / "in the way").mkdir(
        parents=True
    )
    for number in range(1, 25):
        lake.merge("event", one(f"r{number}", n=number))
    assert Lake.open(tmp_path).verify("event") == 25


def test_a_writer_that_always_loses_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake.open(tmp_path, buckets=1)
    lake.merge("event", one("a", n=1))

    def overtaken(*_: object) -> int:
        raise ConflictError

    monkeypatch.setattr(store, "commit", overtaken)
    monkeypatch.setattr(store, "ATTEMPTS", 3)
    with pytest.raises(LakeConflictError, match=r"'event' were faster 3 times; nothing .* kept"):
        lake.merge("event", one("b", n=1))


def test_a_write_made_for_one_version_is_not_done_to_another(tmp_path: Path) -> None:
    lake, other = Lake.open(tmp_path, buckets=1), Lake.open(tmp_path)
    assert lake.merge("event", one("a", n=1), base=store.UNMADE).version == 0
    assert lake.merge("event", one("a", n=1), base=0).version == 0, "what says nothing new"
    other.merge("event", one("b", n=1))
    for base in (store.UNMADE, 0):
        with pytest.raises(LakeConflictError, match=f"version 1, no longer at {base}, for which"):
            lake.merge("event", one("c", n=1), base=base)
        with pytest.raises(LakeConflictError, match="look at the table again"):
            lake.amend("event", one("a", n=2).select("record_id", "n"), base=base)
    assert lake.amend("event", one("a", n=2).select("record_id", "n"), base=1).version == 2
    assert lake.merge("event", one("c", n=1), fill=True, base=2).version == 3
    assert lake.scan("event").sort("record_id").select("n").collect()["n"].to_list() == [2, 1, 1]


def test_a_writer_that_was_overtaken_at_its_commit_looks_at_its_base_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, other = Lake.open(tmp_path, buckets=1), Lake.open(tmp_path)
    lake.merge("event", one("a", n=1))

    def overtaken(*_: object) -> int:
        monkeypatch.undo()
        other.merge("event", one("a", n=2))
        raise ConflictError

    monkeypatch.setattr(store, "commit", overtaken)
    with pytest.raises(LakeConflictError, match="no longer at 0"):
        lake.merge("event", one("a", n=3), base=0)
    assert lake.scan("event").collect()["n"].to_list() == [2]


def test_processes_that_create_a_lake_agree_on_its_buckets(tmp_path: Path) -> None:
    first, second = Lake.open(tmp_path), Lake.open(tmp_path, buckets=7)
    third = Lake.open(tmp_path)
    second.merge("event", one("a"))
    assert first.merge("other", one("b")).inserted == 1
    assert third.tables() == ["event", "other"]
    assert first.buckets == 7
    insisting = Lake.open(tmp_path, buckets=7)
    assert insisting.tables() == ["event", "other"]
    with pytest.raises(LakeError, match="7 buckets, 64 were asked for"):
        Lake.open(tmp_path, buckets=64)
