"""``xinjian draw`` in the hands of somebody who has only its help."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.models.inspection.people import people, visits
from xinjian.cli import main

pytestmark = pytest.mark.usefixtures("restored_logging")

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


def command(*words: str) -> int:
    return main(["draw", *words])


def values(source: str = "双色球 1", *, after: timedelta = timedelta(minutes=1)) -> str:
    at = (datetime.now(UTC) + after).isoformat()
    Path("values.yaml").write_text(
        f"- {{source: {source}, value: '01', published_at: '{at}'}}\n", encoding="utf-8"
    )
    return "values.yaml"


def frozen(*more: str) -> None:
    text = "subject_id,stratum,pi\r\n[red]A,甲,0.5\r\n[/x]B,甲,0.5\r\nC,乙,1\r\n"
    Path("pool.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert command("freeze", "pool.csv", "--plan", "1", "--out", "a/b", *more) == 0


def seeded() -> None:
    frozen("--source", "双色球 1")
    assert command("seed", "a/b/commitment.json", "--entropy", values(), "--out", "c/s.json") == 0


def test_a_seed_keeps_to_what_was_announced(capsys: Captured) -> None:
    frozen("--source", "双色球 1")
    assert "未用 --source" not in capsys.readouterr().err
    words = ("seed", "a/b/commitment.json", "--out", "seed.json", "--entropy")
    assert command(*words, values("drand")) == 2
    assert "were announced at the freeze" in capsys.readouterr().err
    assert command(*words, values(after=timedelta(days=1))) == 2
    assert "wait for the value" in capsys.readouterr().err
    assert not Path("seed.json").exists()


def test_who_announces_no_source_is_told(capsys: Captured) -> None:
    frozen()
    assert "未用 --source" in capsys.readouterr().err


def test_ids_are_shown_as_they_are_and_digests_whole(capsys: Captured) -> None:
    seeded()
    pool = ("--pool", "a/b/pool.txt")
    assert command("draw", "c/s.json", *pool, "--out", "d/record.json") == 0
    published = ("--commitment", "a/b/commitment.json")
    capsys.readouterr()
    assert command("verify", "d/record.json", *pool, *published, "--subject", "[/x]B") == 0
    shown = capsys.readouterr().out
    assert shown.count("相符") == 9
    assert "[/x]B" in shown
    assert "…" not in shown
    assert "未与冻结时公布的承诺比对" not in shown


def test_a_redated_commitment_is_found(capsys: Captured) -> None:
    seeded()
    pool = ("--pool", "a/b/pool.txt")
    assert command("draw", "c/s.json", *pool, "--out", "record.json") == 0
    path = Path("a/b/commitment.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, "frozen_at": "2020-01-01T00:00:00Z"}), encoding="utf-8")
    capsys.readouterr()
    assert command("verify", "record.json", *pool, "--commitment", str(path)) == 3
    assert "frozen_at was published" in " ".join(capsys.readouterr().out.split())


def assigned(regions: str) -> int:
    workers = people(2, regions=[regions] * 2, matters=["食品; 药品"] * 2)
    workers.write_csv("inspectors.csv")
    visits(1, region=["4403"], matters=["药品"]).write_csv("tasks.csv")
    words = ("assign", "tasks.csv", "--inspectors", "inspectors.csv", "--seed", "c/s.json")
    return command(*words, "--out", "teams.csv")


def test_a_trailing_separator_widens_nothing(capsys: Captured) -> None:
    seeded()
    assert assigned("2101;") == 2
    assert "2 are of other regions" in capsys.readouterr().err
    assert assigned("2101; 4403") == 0
    assert pl.read_csv("teams.csv").height == 2
    assert assigned("4403") == 2
    assert "teams.csv exists" in capsys.readouterr().err
