"""CSV as it comes: every row arrives once, under the line it stands on, or is named."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import SourceError
from training.sources import read
from training.sources.csv_file import read_csv
from training.sources.mapping import Options, Source
from training.sources.read import LINE, Batch, read_batches

Row = tuple[int, *tuple[str | None, ...]]


def batches(content: bytes | str, folder: Path, **options: object) -> list[Batch]:
    path = folder / "文件.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_csv(path, Options.model_validate(options)))


def rows(content: bytes | str, folder: Path, **options: object) -> list[Row]:
    found = batches(content, folder, **options)
    frame = pl.concat([batch.frame for batch in found])
    return [(row[0], *(cell or None for cell in row[1:])) for row in frame.iter_rows()]


def broken(content: bytes | str, folder: Path, **options: object) -> list[tuple[int, str]]:
    found = batches(content, folder, **options)
    return [(row.line, row.rule) for batch in found for row in batch.broken]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "BATCH_ROWS", 3)


@pytest.mark.parametrize(
    ("codec", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("gbk", b""),
        ("gb18030", b""),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
    ],
)
def test_encoding_is_found(codec: str, mark: bytes, tmp_path: Path) -> None:
    content = mark + "名称,金额\n沈阳甲公司,1\n大连乙公司,2\n".encode(codec)
    assert rows(content, tmp_path) == [(2, "沈阳甲公司", "1"), (3, "大连乙公司", "2")]
    assert batches(content, tmp_path)[0].frame.columns == [LINE, "名称", "金额"]


def test_gb18030_characters_of_four_bytes_arrive(tmp_path: Path) -> None:
    content = "名称\n㐂𠮷\n".encode("gb18030")
    assert rows(content, tmp_path) == [(2, "㐂𠮷")]


@pytest.mark.parametrize("declared", ["gbk", "GB2312", "gb18030"])
def test_declared_chinese_encodings_are_read_as_their_superset(
    declared: str, tmp_path: Path
) -> None:
    content = "名称\n𠮷\n".encode("gb18030")
    assert rows(content, tmp_path, encoding=declared) == [(2, "𠮷")]


def test_wrong_declared_encoding_says_what_fits(tmp_path: Path) -> None:
    content = "名称,金额\n甲,1\n沈阳市,2\n".encode("gbk")
    with pytest.raises(SourceError, match=r"文件.csv: not utf-8 as declared \(line 1\).*gb18030"):
        batches(content, tmp_path, encoding="utf-8")
    with pytest.raises(SourceError, match=r"not ascii as declared.*reads as utf-8"):
        batches("a\n甲\n", tmp_path, encoding="ascii")


def test_mixed_encodings_name_the_lines(tmp_path: Path) -> None:
    content = b"a\nb\n" + "沈阳市\n".encode() + b"c\n" + b"\xff\xff\n" + "大连".encode("gbk")
    with pytest.raises(SourceError, match=r"utf-8: line 5; gb18030: line \d"):
        batches(content, tmp_path)


def test_bytes_after_a_utf8_mark_must_be_utf8(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + "a\n甲\n".encode() + "大连".encode("gbk")
    with pytest.raises(SourceError, match=r"not utf-8 by its first bytes \(line 3\)"):
        batches(content, tmp_path)


def test_truncated_utf16_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"not utf-16 by its first bytes"):
        batches("a,b\n甲,乙\n".encode("utf-16")[:-1], tmp_path)


def test_utf16_without_its_mark_can_be_declared(tmp_path: Path) -> None:
    content = "名称,b\n甲,1\n".encode("utf-16-le")
    assert rows(content, tmp_path, encoding="utf-16-le") == [(2, "甲", "1")]
    with pytest.raises(SourceError, match="UTF-16"):
        batches("a,b\nx,1\n".encode("utf-16-le"), tmp_path)


def test_quoted_newlines_keep_exact_line_numbers(tmp_path: Path) -> None:
    content = 'a,b\n1,"x\ny\r\nz"\n2,"说""是"""\n\n3,w\n'
    assert rows(content, tmp_path) == [(2, "1", "x\ny\r\nz"), (5, "2", '说"是"'), (7, "3", "w")]


@pytest.mark.usefixtures("small_batches")
def test_line_numbers_run_on_across_batches(tmp_path: Path) -> None:
    content = "a,b\n" + "".join(f'{n},"x\n{n}"\n' for n in range(10))
    found = batches(content, tmp_path)
    assert len(found) > 2
    lines = [line for batch in found for line in batch.frame[LINE]]
    assert lines == [2 + 2 * n for n in range(10)]


@pytest.mark.usefixtures("small_batches")
def test_a_quoted_cell_is_never_cut_between_batches(tmp_path: Path) -> None:
    text = "\n".join(f"第{n}行" for n in range(20))
    content = f'a,b\n1,"{text}"\n2,x\n3,"{text}"\n'
    assert rows(content, tmp_path) == [(2, "1", text), (22, "2", "x"), (23, "3", text)]
    assert not broken(content, tmp_path)


@pytest.mark.parametrize("small", [False, True])
def test_ragged_rows_cost_themselves_alone(
    small: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if small:
        monkeypatch.setattr(read, "BATCH_ROWS", 2)
    content = "a,b,c\n1,2,3\n4,5\n6,7,8\n9,10,11,12\n13,14,15\n16\n17,18,19\n"
    assert [row[0] for row in rows(content, tmp_path)] == [2, 4, 6, 8]
    assert broken(content, tmp_path) == [(3, "F05"), (5, "F05"), (7, "F05")]


def test_a_first_row_too_short_is_ragged_too(tmp_path: Path) -> None:
    assert broken("a,b,c\n1,2\n3,4,5\n", tmp_path) == [(2, "F05")]


def test_a_short_row_among_quoted_commas_is_found(tmp_path: Path) -> None:
    content = 'a,b,c\n1,"x,y",3\n"4,5",6\n'
    assert rows(content, tmp_path) == [(2, "1", "x,y", "3")]
    assert broken(content, tmp_path) == [(3, "F05")]


def test_a_ragged_row_is_kept_whole(tmp_path: Path) -> None:
    long = "违法" * 5000
    (batch,) = batches(f"a,b\n1,{long},3\n", tmp_path)
    (row,) = batch.broken
    assert json.loads(row.raw) == ["1", long, "3"]
    assert row.value == "3 fields instead of 2"


def test_an_unclosed_quote_costs_one_row(tmp_path: Path) -> None:
    content = 'a,b\n1,"x\n2,y\n3,z\n4,"w"\n5,v\n'
    assert [row[1] for row in rows(content, tmp_path)] == ["2", "3", "4", "5"]
    assert broken(content, tmp_path) == [(2, "F05")]
    (batch,) = batches(content, tmp_path)
    assert json.loads(batch.broken[0].raw) == ['1,"x']


def test_an_unclosed_quote_at_the_end_costs_one_row(tmp_path: Path) -> None:
    content = 'a,b\n1,x\n2,"y'
    assert rows(content, tmp_path) == [(2, "1", "x")]
    assert broken(content, tmp_path) == [(3, "F05")]


def test_an_unclosed_quote_does_not_swallow_rows_up_to_the_next(tmp_path: Path) -> None:
    content = 'a,b,c\n1,"x,y\n2,p,q\n3,r,"s"\n4,t,u\n'
    assert [row[1] for row in rows(content, tmp_path)] == ["2", "3", "4"]
    assert broken(content, tmp_path) == [(2, "F05")]


def test_a_quote_closed_by_a_later_one_gives_back_the_rows_between(tmp_path: Path) -> None:
    content = 'a,b,c\n1,"x\n2,p,q\n3,r,s\n",t,u\n4,v,w\n'
    assert [row[1] for row in rows(content, tmp_path)] == ["2", "3", "4"]
    assert broken(content, tmp_path) == [(2, "F05"), (5, "F05")]


@pytest.mark.usefixtures("small_batches")
def test_unclosed_quotes_across_batches_lose_nothing(tmp_path: Path) -> None:
    content = "a,b\n" + "".join(f"{n},x\n" if n % 7 else f'{n},"x\n' for n in range(1, 40))
    read_rows = [row[1] for row in rows(content, tmp_path)]
    assert read_rows == [str(n) for n in range(1, 40) if n % 7]
    assert broken(content, tmp_path) == [(n + 1, "F05") for n in range(7, 40, 7)]


def test_a_quote_inside_a_plain_cell_is_text(tmp_path: Path) -> None:
    content = 'a,b\n5" 管,x\n6" 管,y\n'
    assert rows(content, tmp_path) == [(2, '5" 管', "x"), (3, '6" 管', "y")]


def test_blank_lines_and_rows_of_nothing_are_no_rows(tmp_path: Path) -> None:
    content = "a,b\n\n1,2\n\n\n,\n3,4\n\n"
    assert rows(content, tmp_path) == [(3, "1", "2"), (7, "3", "4")]
    assert not broken(content, tmp_path)
    assert rows("a\n1\n\n2\n", tmp_path) == [(2, "1"), (4, "2")]


def test_a_repeated_heading_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"the header repeats '名称'; rename"):
        batches("名称,金额,名称\n1,2,3\n", tmp_path)


def test_columns_without_heading_are_numbered(tmp_path: Path) -> None:
    (batch,) = batches("a,,\n1,2,3\n", tmp_path)
    assert batch.frame.columns == [LINE, "a", "Unnamed: 1", "Unnamed: 2"]


def test_a_heading_we_use_ourselves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="'__line__' is reserved"):
        batches("a,__line__\n1,2\n", tmp_path)


@pytest.mark.parametrize("content", ["a,b\n", "a,b", "a,b\r\n\r\n"])
def test_a_header_alone_is_a_table_without_rows(content: str, tmp_path: Path) -> None:
    (batch,) = batches(content, tmp_path)
    assert batch.frame.shape == (0, 3)


@pytest.mark.parametrize(("content", "row"), [("\n\na,b\n", 1), ("a,b\n1,2\n", 4)])
def test_no_header_where_it_should_be(content: str, row: int, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"no header in line {row}; check 'header_row'"):
        batches(content, tmp_path, header_row=row)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "空.csv"
    path.touch()
    source = Source.model_validate(
        {"id": "s", "target": "penalty", "files": ["空.csv"], "known_at": {"on": "2024-01-01"}}
    )
    with pytest.raises(SourceError, match=r"空.csv: the file is empty \(0 bytes\)"):
        list(read_batches(source, path))


def test_nul_bytes_in_cells_arrive(tmp_path: Path) -> None:
    assert rows("a,b\n1\0,2\n", tmp_path) == [(2, "1\0", "2")]
    assert rows("a,b\n1\0,2\n3\n", tmp_path) == [(2, "1\0", "2")]


def test_nul_bytes_in_the_header_hint_at_utf16(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="UTF-16"):
        batches("a,b\n1,2\n".encode("utf-16-le"), tmp_path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_every_kind_of_line_end(end: str, encoding: str, tmp_path: Path) -> None:
    content = end.join(["名称,b", "甲,2", '"乙,丙",4', "丁,6", ""]).encode(encoding)
    assert rows(content, tmp_path) == [(2, "甲", "2"), (3, "乙,丙", "4"), (4, "丁", "6")]


@pytest.mark.parametrize("separator", ["\t", ";", "|", ","])
def test_separators_are_found(separator: str, tmp_path: Path) -> None:
    content = f"a{separator}b\n1{separator}2\n"
    assert rows(content, tmp_path) == [(2, "1", "2")]


def test_a_declared_separator_goes_before_the_guess(tmp_path: Path) -> None:
    assert rows("a,a2|b\n1,5|2\n", tmp_path, separator="|") == [(2, "1,5", "2")]


def test_a_header_below_titles(tmp_path: Path) -> None:
    content = '沈阳市 2024 年"双公示"报表\n填报单位：,甲\na\tb\tc\n1\t2\t3\n4\t5\n'
    assert rows(content, tmp_path, header_row=3) == [(4, "1", "2", "3")]
    assert broken(content, tmp_path, header_row=3) == [(5, "F05")]


def test_a_header_with_line_breaks_shifts_no_line(tmp_path: Path) -> None:
    content = '"罚款\n金额",b\n1,2\n3,4\n'
    assert rows(content, tmp_path) == [(3, "1", "2"), (4, "3", "4")]


def test_a_line_without_end_is_refused_with_its_number(tmp_path: Path) -> None:
    content = b"a,b\n1,2\n" + b"x" * (17 << 20) + b"\n3,4\n"
    with pytest.raises(SourceError, match=r"文件.csv:3: a line of more than 16 MiB"):
        batches(content, tmp_path)


@pytest.mark.slow
def test_a_line_of_two_gigabytes_is_refused_without_holding_it(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n1,")
        os.truncate(file.fileno(), 2 << 30)
    with pytest.raises(SourceError, match=r"huge.csv:2: a line of more than 16 MiB"):
        list(read_csv(path, Options()))


def test_names_with_brackets_and_stars_are_only_names(tmp_path: Path) -> None:
    path = tmp_path / "公告数据 (1)[终版]*.csv"
    path.write_text("a\n1\n", encoding="utf-8")
    assert [batch.frame.height for batch in read_csv(path, Options())] == [1]


CELLS = st.text(st.sampled_from('a1,"\n;中 '), max_size=6)


@given(
    table=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=12),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    size=st.sampled_from([1, 2, 5, 1000]),
)
def test_what_a_csv_writer_wrote_is_read_back(
    table: list[tuple[str, str, str]],
    quoting: int,
    end: str,
    size: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    writer.writerows([("x", "y", "z"), *table])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "BATCH_ROWS", size)
        found = rows(buffer.getvalue(), tmp_path_factory.mktemp("csv"))
    wanted = [tuple(cell or None for cell in row) for row in table if any(row)]
    assert [row[1:] for row in found] == wanted


@given(
    lines=st.lists(st.text(st.sampled_from('a1,"'), max_size=8), max_size=12),
    size=st.sampled_from([1, 3, 1000]),
)
def test_no_line_of_any_file_is_lost(
    lines: list[str], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each line with something in it lies in a row, or in a broken one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "BATCH_ROWS", size)
        found = batches("x,y\n" + "\n".join(lines), tmp_path_factory.mktemp("csv"))
    held = "".join(
        "".join(cell or "" for cell in row[1:])
        for batch in found
        for row in batch.frame.iter_rows()
    ) + "".join(row.raw for batch in found for row in batch.broken)
    assert sum(map(held.count, "a1")) >= sum(sum(map(line.count, "a1")) for line in lines)
    numbers = [n for batch in found for n in batch.frame[LINE]]
    assert numbers == sorted(set(numbers))
