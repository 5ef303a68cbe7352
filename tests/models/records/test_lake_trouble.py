"""What goes wrong with a lake is said in one sentence that names the place and the remedy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from models.errors import LakeError, LakeFormatError, LakeMissingError
from models.records.lake import Lake
from models.records.lake.layout import FORMAT
from models.records.lake.place import translated

ROWS = pl.DataFrame(
    {
        "record_id": [f"r{n}" for n in range(200)],
        "subject_id": [f"s{n % 9}" for n in range(200)],
        "amount": [float(n) for n in range(200)],
    }
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    opened = Lake.open(tmp_path / "lake", buckets=2)
    opened.merge("penalty", ROWS)
    return opened


def data_file(lake: Lake) -> Path:
    return min(Path(lake.url, "penalty").glob("bucket=*/*.parquet"))


def rewrite_note(table: Path, **values: object) -> None:
    """Change what the table says about itself, as another release would have written it."""
    entry = table / "_delta_log" / f"{0:020}.json"
    lines = entry.read_text("utf-8").splitlines()
    for number, line in enumerate(lines):
        action = json.loads(line)
        if "metaData" in action:
            note = json.loads(action["metaData"]["description"])
            note["xinjian"] |= values
            action["metaData"]["description"] = json.dumps(note)
            lines[number] = json.dumps(action)
    entry.write_text("\n".join(lines), "utf-8")


def test_a_newer_lake_is_refused(lake: Lake) -> None:
    rewrite_note(Path(lake.url, "_lake"), format=FORMAT + 1)
    message = rf"lake format {FORMAT + 1}, this release reads up to format {FORMAT}; upgrade"
    with pytest.raises(LakeFormatError, match=message):
        Lake.open(lake.url)


def test_a_newer_table_is_refused(lake: Lake) -> None:
    rewrite_note(Path(lake.url, "penalty"), format=FORMAT + 1)
    with pytest.raises(LakeFormatError, match=rf"penalty has lake format {FORMAT + 1}"):
        Lake.open(lake.url).scan("penalty")


def test_a_newer_table_with_fields_unknown_to_us_is_refused(lake: Lake) -> None:
    rewrite_note(Path(lake.url, "penalty"), format=FORMAT + 3, buckets={"many": 1})
    with pytest.raises(LakeFormatError, match=rf"lake format {FORMAT + 3}"):
        Lake.open(lake.url).merge("penalty", ROWS)


def test_a_foreign_delta_table_is_refused(lake: Lake, tmp_path: Path) -> None:
    lake.merge("event", ROWS)
    ROWS.write_delta(tmp_path / "foreign")
    os.rename(Path(lake.url, "event"), tmp_path / "event")  # noqa: PTH104
    os.rename(tmp_path / "foreign", Path(lake.url, "event"))  # noqa: PTH104
    with pytest.raises(LakeFormatError, match="Xinjian did not write"):
        Lake.open(lake.url).scan("event")


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    for name in ("report.docx", "budget.xlsx", "photo.jpg", "z.txt"):
        (tmp_path / name).touch()
    with pytest.raises(
        LakeFormatError, match=r"holds budget.xlsx, photo.jpg, report.docx, … and no"
    ):
        Lake.open(tmp_path)
    with pytest.raises(LakeFormatError, match="is a file, not a lake"):
        Lake.open(tmp_path / "z.txt")


def test_a_table_is_not_a_lake(lake: Lake) -> None:
    with pytest.raises(LakeFormatError, match=r"no lake; name .* the lake's own root"):
        Lake.open(Path(lake.url, "penalty"))


@pytest.mark.parametrize("url", ["", "a%20b", "a#b", "a?b"])
def test_paths_that_cannot_be_used(url: str) -> None:
    with pytest.raises(LakeError, match=r"name a folder|rename the folder"):
        Lake.open(url)


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    url = (tmp_path / "湖 水").as_uri()
    Lake.open(url).merge("penalty", ROWS)
    assert Lake.open(tmp_path / "湖 水").rows("penalty") == 200


@pytest.mark.parametrize("buckets", [0, -1, 10**6])
def test_bucket_counts_have_bounds(tmp_path: Path, buckets: int) -> None:
    with pytest.raises(LakeError, match="choose 1 to 65536"):
        Lake.open(tmp_path, buckets=buckets)


@pytest.mark.parametrize("name", ["", "_lake", "../penalty", "Penalty", "罚", "a b", "a" * 64])
def test_table_names_are_plain(lake: Lake, name: str) -> None:
    with pytest.raises(LakeError, match="not usable; use lower-case"):
        lake.merge(name, ROWS)
    with pytest.raises(LakeError, match="not usable"):
        lake.scan(name)


def test_what_is_missing_is_named_beside_what_exists(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(LakeMissingError, match="no table 'penalti'; it has penalty"):
        lake.scan("penalti")
    with pytest.raises(LakeMissingError, match="no table 'penalti'"):
        lake.history("penalti")
    with pytest.raises(LakeMissingError, match="no version 7; it has 0 to 0"):
        lake.scan("penalty", version=7)
    with pytest.raises(LakeMissingError, match="no version -1"):
        lake.subject("penalty", "s1", version=-1)
    with pytest.raises(LakeMissingError, match="no column 'amout'; did you mean 'amount'"):
        lake.scan("penalty", columns=["amout"])
    with pytest.raises(LakeMissingError, match="is empty; import records first"):
        Lake.open(tmp_path / "nothing").version("penalty")


def test_a_missing_file_is_named(lake: Lake) -> None:
    file = data_file(lake)
    file.unlink()
    for read in readers(lake):
        with pytest.raises(LakeError, match=rf"{file.name}.*No such file.*restore"):
            read()


def test_a_truncated_file_is_named(lake: Lake) -> None:
    file = data_file(lake)
    file.write_bytes(file.read_bytes()[:-100])
    for read in readers(lake):
        with pytest.raises(LakeError, match=rf"{file.name}.*restore the damaged file"):
            read()


def test_a_damaged_file_is_named(lake: Lake) -> None:
    file = data_file(lake)
    whole = file.read_bytes()
    file.write_bytes(whole[:4] + b"\xff" * (len(whole) - 200) + whole[-196:])
    with pytest.raises(LakeError, match=rf"{file.name}.*restore the damaged file"):
        lake.verify("penalty")
    with pytest.raises(LakeError, match=rf"{file.name}.*restore the damaged file"):
        lake.merge("penalty", ROWS)


def readers(lake: Lake) -> list[Callable[[], object]]:
    subject = pl.Series([f"s{n}" for n in range(9)])

    def each_subject() -> None:
        for name in subject:
            lake.subject("penalty", name)

    return [
        lambda: lake.scan("penalty"),
        lambda: lake.verify("penalty"),
        lambda: lake.merge("penalty", ROWS.with_columns(amount=pl.lit(0.0))),
        each_subject,
    ]


def test_a_log_that_is_gone_is_an_error(lake: Lake) -> None:
    entry = Path(lake.url, "penalty", "_delta_log", f"{0:020}.json")
    entry.write_text("{not json", "utf-8")
    with pytest.raises(LakeError, match="penalty"):
        Lake.open(lake.url).scan("penalty")


FULL_DISK = """
import resource, signal, sys
import polars as pl
from models.records.lake import Lake
from models.errors import LakeError

lake = Lake.open(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
rows = pl.int_range(0, 60_000, eager=True).alias("n").to_frame()
rows = rows.select(record_id=pl.format("n{}", "n"), subject_id=pl.lit("s1"), x=pl.col("n").hash())
try:
    lake.merge("penalty", rows.cast({"x": pl.String}))
except LakeError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_lake_as_it_was(lake: Lake, root: Path) -> None:
    before = sorted(Path(lake.url).rglob("*.parquet"))
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, lake.url],
        check=True,
        capture_output=True,
        text=True,
        cwd=root,
        env={"PYTHONPATH": str(root)},
    )
    assert "cannot write" in done.stdout
    assert "free space there and repeat; nothing of this write was kept" in done.stdout
    assert sorted(Path(lake.url).rglob("*.parquet")) == before
    assert lake.version("penalty") == 0
    assert lake.merge("penalty", ROWS).unchanged == 200


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(lake: Lake) -> None:
    table = Path(lake.url, "penalty", "_delta_log")
    table.chmod(0o500)
    try:
        with pytest.raises(LakeError, match="give this user the right"):
            lake.merge("penalty", ROWS.with_columns(amount=pl.lit(0.0)))
    finally:
        table.chmod(0o700)


def test_a_refused_write_names_the_remedy() -> None:
    with (
        pytest.raises(LakeError, match=r"cannot write /lake: .*give this user the right"),
        translated("write", "/lake"),
    ):
        raise PermissionError(13, "Permission denied", "/lake/_delta_log")


def test_a_lake_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "note.txt").touch()
    with pytest.raises(LakeError, match=r"note\.txt"):
        Lake.open(tmp_path / "note.txt" / "lake").merge("penalty", ROWS)


@pytest.mark.parametrize("address", ["", "ftp://host/lake", "htp://x", "C://lake"])
def test_what_is_no_address_of_a_lake_is_refused(address: str) -> None:
    with pytest.raises(LakeError, match="name a folder"):
        Lake.open(address)
