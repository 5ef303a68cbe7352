"""``xinjian data`` as a data manager uses it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from rich.text import Text

from models.codes.uscc import make_uscc
from models.records.lake import Lake
from training.commands.tables import broken_rules, imported
from training.sources.run import Tally
from xinjian.cli import main

FIRMS = [make_uscc("91", "210100", body=f"YY{n:06d}") for n in range(5)]

MAPPING = """\
sources:
  - id: inspections
    target: inspection
    files: [inspections.csv]
    columns: {result: {from: 检查结果, map: {合格: pass, 不合格: fail}}}
    constants: {authority: 沈阳市市场监督管理局, region: "210100"}
    known_at: {from: 上报日期}
"""
HEADER = "检查单号,统一社会信用代码,行政相对人名称,检查日期,上报日期,检查结果\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "var"))
    (tmp_path / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    rows = [f"检{n},{code},甲{n},2025/3/{n + 1},2025-03-10,合格" for n, code in enumerate(FIRMS)]
    wrong = FIRMS[0][:-1] + ("0" if FIRMS[0][-1] != "0" else "1")
    rows.append(f"检9,{wrong},乙,2025/3/1,2025-03-10,合格")
    (tmp_path / "inspections.csv").write_text(HEADER + "\n".join(rows) + "\n", encoding="gb18030")
    return tmp_path


def test_import_then_quality_then_compact(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "import", str(home / "mapping.yaml")]) == 0
    shown = capsys.readouterr().out
    assert "V02" in shown
    assert "隔离" in shown
    lake = Lake.open(home / "var" / "lake")
    assert lake.rows("inspection") == 5
    assert main(["data", "quality", "--out", str(home / "quality.json")]) == 0
    assert json.loads((home / "quality.json").read_text(encoding="utf-8"))
    assert main(["data", "quality", "--out", str(home / "quality.html"), "--enforce"]) == 3
    assert "合规率" in (home / "quality.html").read_text(encoding="utf-8")
    assert main(["data", "compact", "inspection"]) == 0
    assert Lake.open(home / "var" / "lake").rows("inspection") == 5


def test_the_import_says_how_refused_rows_are_written(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = str(home / "a lake")
    assert main(["data", "import", str(home / "mapping.yaml"), "--lake", lake]) == 0
    shown = capsys.readouterr().out
    command = f"xinjian data quarantine --lake '{lake}' --open --out bad.csv"
    assert f"1 行被隔离；导出后更正: {command}" in shown
    out = home / "bad.csv"
    words = ["--lake", lake, "--source", "inspections", "--rule", "V02", "--open"]
    assert main(["data", "quarantine", *words, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "inspections.csv:7" in shown
    assert "unmasked" in shown
    (row,) = pl.read_csv(out, infer_schema=False).to_dicts()
    assert (row["规则"], row["检查单号"], row["行号"]) == ("V02", "检9", "7")
    assert main(["data", "quarantine", *words[:2], "--rule", "V2"]) == 2
    assert "V02" in capsys.readouterr().err


def test_a_refused_row_without_a_date_is_of_no_month(home: Path) -> None:
    with (home / "inspections.csv").open("a", encoding="gb18030") as file:
        file.write(f"检8,{FIRMS[1]},甲1,2025/3/1,,合格\n")
    assert main(["data", "import", str(home / "mapping.yaml")]) == 0
    out = home / "quality.json"
    assert main(["data", "quality", "--out", str(out)]) == 0
    months = json.loads(out.read_text(encoding="utf-8"))["by_month"]
    assert [(m["month"], m["rejected"]) for m in months] == [("2025-03", 1), (None, 1)]


def test_a_new_lake_gets_the_buckets_that_are_set_and_keeps_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XINJIAN_BUCKETS", "4")
    assert main(["data", "import", str(home / "mapping.yaml")]) == 0
    assert Lake.open(home / "var" / "lake").buckets == 4
    monkeypatch.setenv("XINJIAN_BUCKETS", "8")
    assert main(["data", "import", str(home / "mapping.yaml")]) == 0
    assert Lake.open(home / "var" / "lake").buckets == 4


@pytest.mark.usefixtures("home")
def test_contracts_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "contracts"]) == 0
    assert "penalty" in capsys.readouterr().out
    assert main(["data", "contracts", "penalty"]) == 0
    assert "罚款金额" in capsys.readouterr().out
    assert main(["data", "contracts", "penalti"]) == 2
    assert "penalty" in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["80", "200"])
@pytest.mark.usefixtures("home")
def test_a_contract_is_shown_in_the_words_of_a_contract_file(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.commands.data.console", lambda: Console(width=int(columns)))
    assert main(["data", "contracts", "penalty"]) == 0
    shown = capsys.readouterr().out
    for words in ("penalty_kinds", "number", "list", "flag", "罚款金额", "主键：authority_code|"):
        assert words in shown
    assert "known_after" in shown
    assert "Float64" not in shown
    assert max(Text(line).cell_len for line in shown.splitlines()) <= int(columns)
    for words in ("ordinary simple", "outcome", "CF_NR_FK"):
        assert words in shown


@pytest.mark.parametrize("width", [60, 80])
def test_on_a_narrow_terminal_sources_and_tables_stay(width: int) -> None:
    tallies = [
        Tally(f"source_of_a_department_{n}", "social_insurance", strict=False, rows_in=1_000_000,
              inserted=999_990, quarantined=10, unmatched=7, by_code=999_000, rules={"V02": 10})
        for n in range(3)
    ]  # fmt: skip
    file = io.StringIO()
    console = Console(file=file, width=width)
    console.print(imported(tallies))
    console.print(broken_rules(tallies))
    shown = file.getvalue()
    assert max(Text(line).cell_len for line in shown.splitlines()) <= width
    assert "…" not in shown
    assert "source_of_a_" in shown
    assert "1,000,000" in shown
    for hidden in ("筛除", "未变", "按机构码"):
        assert hidden not in shown


def test_a_table_of_one_s_own_needs_no_python(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "rating.yaml").write_text(
        "name: rating\ntitle: 行业评级\nkey: [year]\ncolumns:\n"
        "  year: {type: integer, title: 年度, required: true}\n"
        "  level: {type: text, title: 等级, one_of: [A, B, C, D]}\n",
        encoding="utf-8",
    )
    (home / "own.yaml").write_text(
        "sources:\n  - id: ratings\n    target: rating.yaml\n    files: [ratings.parquet]\n"
        '    constants: {happened_on: "2025-01-01"}\n    known_at: {on: 2025-02-01}\n',
        encoding="utf-8",
    )
    pl.DataFrame(
        {"统一社会信用代码": FIRMS[:3], "年度": ["2024"] * 3, "等级": ["A", "E", "B"]}
    ).write_parquet(home / "ratings.parquet")
    assert main(["data", "contracts", "--check", str(home / "rating.yaml")]) == 0
    shown = capsys.readouterr().out
    assert shown.rstrip().endswith("无误")
    assert "A B C D" in shown
    assert main(["data", "import", str(home / "own.yaml")]) == 0
    assert "F03" in capsys.readouterr().out
    kept = Lake.open(home / "var" / "lake").scan("rating").collect()
    assert kept.select("subject_id", "year", "level").sort("subject_id").rows() == [
        (FIRMS[0], 2024, "A"),
        (FIRMS[2], 2024, "B"),
    ]
    assert main(["data", "contracts", "rating"]) == 0
    assert "等级" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["import", "absent.yaml"], "no such file"),
        (["synth"], "exactly one of --out DIR and --lake DIR"),
        (["quality", "--target", "99"], "share"),
        (["quality", "--out", "report.pdf"], ".html or .json"),
        (["quality", "--since", "2025-13"], "2025-13"),
        (["quality", "--since", "0000-01"], "1900 to 2199"),
        (["quality", "--until", "9999-12"], "1900 to 2199"),
        (["quality", "--authority", "沈阳市市场监管局"], "沈阳市市场监督管理局"),
        (["quality", "--region", "370100"], "370100"),
        (["quality", "--table", "inspections"], "inspection"),
        (["quarantine", "--out", "bad.xlsx"], ".csv"),
        (["quality", "--lake", "nowhere", "--out", "q.html"], "no lake at"),
        (["compact", "nothing"], "nothing"),
        (["compact", "--lake", "nowhere"], "no lake at"),
        (["compact", "--keep-days", "999999999999"], "36500"),
        (
            ["synth", "--subjects", "5", "--out", "inspections.csv/deep"],
            "cannot write the province",
        ),
    ],
)
def test_what_a_user_can_mend_is_said_and_exits_with_2(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(home)
    assert main(["data", "import", str(home / "mapping.yaml")]) == 0
    capsys.readouterr()
    assert main(["data", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not {"q.html", "nowhere"} & {path.name for path in home.iterdir()}


def test_an_empty_lake_still_has_a_report(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "new").mkdir()
    words = ["quality", "--lake", str(home / "new"), "--out", str(home / "quality.html")]
    assert main(["data", *words]) == 0
    assert "没有报送数据" in capsys.readouterr().out
    assert (home / "quality.html").exists()


EVIL = "[red]甲[/nonsense]"


def test_headings_and_titles_have_no_power_over_the_terminal(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "inspections.csv"
    text = path.read_text(encoding="gb18030")
    first, _, rest = text.partition("\n")
    path.write_text(f"{first},{EVIL}\x1b]0;x\x07\x1b[2J\n{rest}", encoding="gb18030")
    assert main(["data", "import", str(home / "mapping.yaml")]) == 0
    shown = capsys.readouterr().out
    assert EVIL in shown
    assert "\x1b" not in shown
    (home / "own.yaml").write_text(
        f'name: own\ntitle: "{EVIL}"\nkey: [a]\n'
        f'columns: {{a: {{type: text, title: "{EVIL}", unit: "{EVIL}"}}}}\n',
        encoding="utf-8",
    )
    assert main(["data", "contracts", "--check", str(home / "own.yaml")]) == 0
    assert EVIL in capsys.readouterr().out.replace("\n", "")


def test_a_root_that_is_no_folder_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "import", str(home / "mapping.yaml"), "--root", str(home / "nowhere")]
    assert main(words) == 2
    assert "is no folder" in capsys.readouterr().err
