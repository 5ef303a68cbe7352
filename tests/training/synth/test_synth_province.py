from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from models.errors import ConfigError
from training.synth import make_province
from training.synth.province import Summary, make
from training.synth.spec import Spec


def content(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for name, held in content(folder).items():
        whole.update(name.encode() + b"\0" + held)
    return whole.hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        make_province(tmp_path / name, subjects=300, seed=seed)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


def test_another_process_with_other_threads_and_hashes_gives_the_same_bytes(tmp_path: Path) -> None:
    spec = Spec(subjects=600, seed=3, chunk=250)
    make(spec, tmp_path / "here")
    code = (
        "import sys; from pathlib import Path\n"
        "from training.synth.province import make; from training.synth.spec import Spec\n"
        "make(Spec(subjects=600, seed=3, chunk=250), Path(sys.argv[1]))"
    )
    for number, threads in enumerate(("1", "3")):
        there = tmp_path / threads
        env = {**os.environ, "PYTHONHASHSEED": str(number + 1), "POLARS_MAX_THREADS": threads}
        root = Path(__file__).parents[3]
        subprocess.run([sys.executable, "-c", code, str(there)], check=True, cwd=root, env=env)
        assert digest(there) == digest(tmp_path / "here")


def test_a_chunk_is_the_same_however_many_follow(tmp_path: Path) -> None:
    make(Spec(subjects=200, seed=9, chunk=200), tmp_path / "one")
    make(Spec(subjects=500, seed=9, chunk=200), tmp_path / "three")
    one, three = content(tmp_path / "one"), content(tmp_path / "three")
    for name, held in one.items():
        assert three[name].startswith(held), name


def test_each_chunk_writes_its_own_parquet_and_appends_to_the_text_files(province: Summary) -> None:
    names = {path.name for path in province.out.iterdir()}
    assert {f"inspection-{n:04d}.parquet" for n in range(3)} <= names
    assert "inspection-0003.parquet" not in names
    lines = (province.out / "penalty.csv").read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("CF_XDR_MC") for line in lines) == 1
    cases = (province.out / "case_penalty.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) - 1 + len(cases) - 1 == province.rows["penalty"]


def test_the_summary_counts_what_the_files_hold(province: Summary) -> None:
    for table in ("inspection", "social_insurance", "invoice"):
        held = (
            pl.scan_parquet(province.out / f"{table}-*.parquet").select(pl.len()).collect().item()
        )
        assert held == province.rows[table]
    assert province.rows["subject"] == 4_000
    assert all(province.rows.values())


def test_progress_is_told_of_every_subject(tmp_path: Path) -> None:
    told: list[int] = []
    make(Spec(subjects=70, seed=1, chunk=30), tmp_path / "out", advance=told.append)
    assert told == [30, 30, 10]


def test_a_province_of_one_subject_has_all_files(tmp_path: Path) -> None:
    summary = make_province(tmp_path / "out", subjects=1, seed=0)
    assert summary.rows["subject"] == 1
    assert (tmp_path / "out" / "licence.csv").read_text(encoding="utf-8").startswith("XK_XDR_MC")


def test_the_years_can_be_chosen(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_province(out, subjects=400, seed=1, start=date(2022, 1, 1), end=date(2023, 12, 31))
    days = pl.read_parquet(out / "inspection-0000.parquet")["happened_on"]
    assert days.min() >= date(2022, 1, 1)  # type: ignore[operator]
    assert days.filter(days <= date(2023, 12, 31)).len() >= 0.99 * days.len()


def test_no_invoices_where_none_are_wanted(tmp_path: Path) -> None:
    summary = make_province(tmp_path / "out", subjects=300, seed=1, invoices_share=0.0)
    assert summary.rows["invoice"] == 0


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not an empty folder"):
        make_province(tmp_path, subjects=10, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"subjects": 0}, "subjects=0"),
        ({"seed": -1}, "seed=-1"),
        ({"invoices_share": 1.5}, r"invoices_share=1\.5"),
        ({"start": date(2020, 2, 3)}, "first of a month"),
        ({"end": date(2019, 3, 31)}, "a year later"),
        ({"end": date(2031, 1, 31)}, "working days are known"),
    ],
)
def test_what_cannot_be_made_is_said(tmp_path: Path, wrong: dict[str, object], said: str) -> None:
    asked: dict[str, object] = {"subjects": 10, "seed": 1, **wrong}
    with pytest.raises(ConfigError, match=said):
        make_province(tmp_path / "out", **asked)  # type: ignore[arg-type]
