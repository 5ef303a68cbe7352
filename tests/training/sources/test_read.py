"""Finding files, and reading Parquet and JSON lines."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import SourceError
from training.sources import read
from training.sources.mapping import Source
from training.sources.read import LINE, Batch, find_files, read_batches


def source(*files: str, **fields: object) -> Source:
    base = {
        "id": "s",
        "target": "penalty",
        "files": files or ("x",),
        "known_at": {"on": "2024-01-01"},
    }
    return Source.model_validate(base | fields)


def batches(path: Path, **fields: object) -> list[Batch]:
    return list(read_batches(source(**fields), path))


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("a\n1\n", encoding="utf-8")


def found(folder: Path, *patterns: str) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_files(source(*patterns), folder)]


def test_patterns_find_files_once_and_sorted(tmp_path: Path) -> None:
    touch(tmp_path, "b.csv", "a.csv", "2024/c.csv", "d.txt")
    assert found(tmp_path, "*.csv", "a.csv", "./b.csv") == ["a.csv", "b.csv"]
    assert found(tmp_path, "**/*.csv") == ["2024/c.csv", "a.csv", "b.csv"]


def test_an_exact_name_with_brackets_is_no_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "公告数据 (1).csv", "处罚[终版].csv", "1.csv")
    assert found(tmp_path, "公告数据 (1).csv", "处罚[终版].csv") == [
        "公告数据 (1).csv",
        "处罚[终版].csv",
    ]


def test_absolute_names_and_names_above_the_root_are_taken_as_they_are(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv", "inner/b.csv")
    inner = tmp_path / "inner"
    assert find_files(source(str(tmp_path / "a.csv")), inner) == [tmp_path / "a.csv"]
    assert [path.name for path in find_files(source("../a.csv"), inner)] == ["a.csv"]


@pytest.mark.parametrize("pattern", ["/tmp/*.nothing", "", "a**b"])  # noqa: S108 - only a pattern
def test_what_is_no_pattern_below_a_folder_is_a_clear_error(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"source 's': .*(no pattern|no file matches)"):
        find_files(source(pattern), tmp_path)


def test_a_pattern_without_files_names_the_nearest(tmp_path: Path) -> None:
    touch(tmp_path, "penalty_2024.csv")
    with pytest.raises(
        SourceError, match=r"no file matches 'penalty_2042.csv'.*'penalty_2024.csv'"
    ):
        find_files(source("penalty_2042.csv"), tmp_path)
    with pytest.raises(SourceError, match=r"no file matches 'a.csv'.*--root"):
        find_files(source("a.csv"), tmp_path / "missing")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(SourceError, match="no file matches 'data'"):
        find_files(source("data"), tmp_path)


def test_an_unknown_kind_of_file_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.dbf")
    with pytest.raises(SourceError, match=r"unknown kind of file '.dbf'; set 'format'"):
        batches(tmp_path / "a.dbf")
    assert batches(tmp_path / "a.dbf", format="csv")[0].frame.height == 1


def test_a_file_that_goes_away_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone.csv: cannot be read: No such file"):
        batches(tmp_path / "gone.csv")


# Parquet


def parquet(folder: Path, frame: pl.DataFrame, name: str = "a.parquet") -> Path:
    path = folder / name
    frame.write_parquet(path)
    return path


def test_parquet_rows_are_numbered_across_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "BATCH_ROWS", 3)
    path = parquet(tmp_path, pl.DataFrame({"a": range(10)}))
    frame = pl.concat([batch.frame for batch in batches(path)])
    assert frame[LINE].to_list() == list(range(1, 11))
    assert frame["a"].to_list() == list(range(10))


def test_parquet_names_with_brackets_are_only_names(tmp_path: Path) -> None:
    path = parquet(tmp_path, pl.DataFrame({"a": [1]}), "内资企业 (1)[x]*.parquet")
    assert batches(path)[0].frame["a"].to_list() == [1]


@pytest.mark.parametrize("keep", [4, 100, -100, -1])
def test_truncated_parquet_is_one_clear_error(keep: int, tmp_path: Path) -> None:
    path = parquet(tmp_path, pl.DataFrame({"a": range(5000)}))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SourceError, match=r"a.parquet: not a readable Parquet file .*truncated"):
        batches(path)


def test_parquet_without_rows_still_shows_its_columns(tmp_path: Path) -> None:
    (batch,) = batches(parquet(tmp_path, pl.DataFrame(schema={"a": pl.String})))
    assert batch.frame.columns == [LINE, "a"]
    assert batch.frame.is_empty()


def test_parquet_keeps_types(tmp_path: Path) -> None:
    stamp = dt.datetime(2024, 1, 31, 8, tzinfo=dt.UTC)
    frame = pl.DataFrame({"d": [stamp.date()], "t": [stamp], "l": [["a", "b"]], "n": [0.2]})
    (batch,) = batches(parquet(tmp_path, frame))
    assert batch.frame.drop(LINE).rows() == frame.rows()


def test_parquet_bytes_become_text(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": ["甲".encode(), None], "bytes": [b"\xff\x00", b""]})
    (batch,) = batches(parquet(tmp_path, frame))
    assert batch.frame["text"].to_list() == ["甲", None]
    assert batch.frame["bytes"].to_list() == ["/wA=", ""]


def test_parquet_durations_become_text(tmp_path: Path) -> None:
    (batch,) = batches(parquet(tmp_path, pl.DataFrame({"耗时": [dt.timedelta(hours=5), None]})))
    assert batch.frame["耗时"].to_list() == ["PT5H", None]


def test_parquet_with_our_own_column_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, pl.DataFrame({LINE: [1]}))
    with pytest.raises(SourceError, match="'__line__' is reserved"):
        batches(path)


# JSON lines


def jsonl(folder: Path, content: str | bytes) -> Batch:
    path = folder / "数据[1].jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    (batch,) = batches(path)
    return batch


def test_json_lines_are_rows(tmp_path: Path) -> None:
    batch = jsonl(tmp_path, '{"a": "甲", "n": 1}\r\n{"n": 2}\n')
    assert batch.frame.rows() == [(1, "甲", 1), (2, None, 2)]


def test_json_lines_empty_lines_shift_no_number(tmp_path: Path) -> None:
    batch = jsonl(tmp_path, '{"a": "x"}\n\n  \n{"a": "y"}\n\n')
    assert batch.frame.rows() == [(1, "x"), (4, "y")]


@pytest.mark.parametrize(
    "bad", ["{", "[1, 2]", "null", "3", '"x"', '{"a": 1} {"a": 2}', "{'a': 1}", "\ufffd"]
)
def test_a_line_that_is_no_object_is_broken_alone(bad: str, tmp_path: Path) -> None:
    batch = jsonl(tmp_path, f'{{"a": "x"}}\n{bad}\n{{"a": "y"}}\n')
    assert batch.frame.select(LINE, "a").rows() == [(1, "x"), (3, "y")]
    assert [(row.line, row.rule, row.raw) for row in batch.broken] == [(2, "F05", bad)]


def test_a_broken_json_line_is_kept_whole(tmp_path: Path) -> None:
    bad = '{"a": "' + "违法" * 5000
    assert jsonl(tmp_path, f'{{"a": 1}}\n{bad}\n').broken[0].raw == bad


def test_json_values_of_several_types_survive(tmp_path: Path) -> None:
    batch = jsonl(tmp_path, '{"a": 1, "b": {"c": [1]}}\n{"a": "x", "b": null}\n\n')
    assert batch.frame["a"].to_list() == ["1", "x"]
    assert json.loads(str(batch.frame["b"][0])) == {"c": [1]}


def test_json_whole_numbers_keep_their_digits_beside_others(tmp_path: Path) -> None:
    batch = jsonl(
        tmp_path,
        '{"n": 9007199254740993, "s": {"n": 9007199254740993}}\n{"n": 1.5, "s": {"n": 0.5}}\n',
    )
    assert batch.frame["n"].to_list() == ["9007199254740993", "1.5"]
    assert json.loads(str(batch.frame["s"][0])) == {"n": 9007199254740993}
    plain = jsonl(tmp_path, '{"n": 9007199254740993}\n{"n": 2.0}\n{"n": null}\n')
    assert plain.frame["n"].to_list() == ["9007199254740993", "2", None]


@pytest.mark.parametrize("content", ["{}", "{}\n{}\n", "{}\n\n{}"])
def test_json_objects_without_a_field_are_an_error(content: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no object has a field"):
        jsonl(tmp_path, content)


def test_json_lines_without_any_object_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"数据\[1\].jsonl: no line holds a JSON object"):
        jsonl(tmp_path, "a,b\n1,2\n")


def test_a_json_line_without_end_is_refused(tmp_path: Path) -> None:
    content = b'{"a": 1}\n{"a": "' + b"x" * (17 << 20)
    with pytest.raises(SourceError, match=r":2: a line of more than 16 MiB"):
        jsonl(tmp_path, content)


@pytest.mark.parametrize("line", ['{"__line__": 1}', '{"__line__": 1}\n\n{"a": 1}'])
def test_json_with_our_own_key_is_refused(line: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="'__line__' is reserved"):
        jsonl(tmp_path, line)


VALUES = st.one_of(st.none(), st.text(max_size=3), st.integers(-9, 9))
LINES = st.one_of(
    st.dictionaries(st.sampled_from(["a", "b"]), VALUES, min_size=1).map(json.dumps),
    st.sampled_from(["", " ", "{", "[]", "1"]),
)  # fmt: skip


@given(lines=st.lists(LINES, max_size=8))
def test_every_json_line_is_a_row_or_broken(
    lines: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = "\n".join(['{"a": "first"}', *lines])
    batch = jsonl(tmp_path_factory.mktemp("jsonl"), content)
    seen = sorted([*batch.frame[LINE], *(row.line for row in batch.broken)])
    assert seen == [1, *(n for n, line in enumerate(lines, 2) if line.strip())]
