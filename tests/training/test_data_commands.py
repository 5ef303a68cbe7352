"""``xinjian data`` as a data manager uses it."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from models.codes.uscc import make_uscc
from models.records.lake import Lake
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
