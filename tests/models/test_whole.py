from __future__ import annotations

from pathlib import Path

import pytest

from models.whole import whole, write_text


def test_a_text_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", "旧")
    write_text(tmp_path / "a.json", "新")
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == "新"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_nobody_sees_a_file_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with whole(path) as part:
        part.write_bytes(b"half")
        assert not path.exists()
    assert path.read_bytes() == b"half"


def test_after_an_error_the_old_file_stays_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "before")

    def fail() -> None:
        with whole(path) as part:
            part.write_text("half", encoding="utf-8")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text(encoding="utf-8") == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "none" / "a.txt", "x")
