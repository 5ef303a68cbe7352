"""``xinjian scenario`` as an analyst uses it."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from models.codes.uscc import make_uscc
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from models.scenarios import catalogue, load_scenario
from xinjian.cli import main

FIRMS = [make_uscc("91", "210100", body=f"YY{n:06d}") for n in range(6)]
TEXT = """\
id: trial
title: 试验场景
legal_basis: [市场主体登记管理条例 第三十八条]
subject: enterprise
cohort: {seen_in: inspection, within: 365d}
label: {table: inspection, where: "result == 'fail'", horizon: 90d, observed_by: inspection}
snapshots: {every: 30d}
features: {tables: [inspection, penalty], windows: [90d, 365d], exclude: [inspector_id]}
grades: {A: {below: 0.1, draw: 0.1}, B: {draw: 0.5}}
"""


def base(table: str, number: int, on: date) -> dict[str, object]:
    known = datetime(on.year, on.month, on.day, tzinfo=UTC) + timedelta(days=1)
    return {
        "record_id": hashlib.sha256(f"{table} {number} {on}".encode()).hexdigest()[:32],
        "subject_id": FIRMS[number % len(FIRMS)],
        "happened_on": on,
        "known_at": known,
        "known_assumed": False,
        "source_ref": f"{table}.csv#{number + 2}",
        "findings": [],
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home with a lake of six firms, each inspected every hundred days of two years."""
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "var"))
    lake = Lake.open(tmp_path / "var" / "lake", buckets=4)
    register = [base("subject", n, date(2020, 1, 1)) | {"name": "甲"} for n in range(6)]
    visits = [
        base("inspection", n, date(2023, 1, 1) + timedelta(days=100 * round_ + n))
        | {"result": "fail" if n == round_ % 6 else "pass", "inclusion_probability": 0.5}
        for round_ in range(8)
        for n in range(6)
    ]
    for table, rows in (("subject", register), ("inspection", visits)):
        lake.merge(table, pl.DataFrame(rows, schema=CONTRACTS[table].dtypes, orient="row"))
    (tmp_path / "trial.yaml").write_text(TEXT, encoding="utf-8")
    return tmp_path


def test_the_catalogue_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenario", "list"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in catalogue() if name not in shown] == []
    assert "SC04" in shown


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenario", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Scenario"


def test_a_sound_file_is_told_its_digest(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "trial.yaml"
    assert main(["scenario", "check", str(path)]) == 0
    heard = capsys.readouterr()
    assert load_scenario(path).digest in heard.out
    assert "penalty" in heard.err  # features of a table that the lake lacks will be null


def test_a_wrong_file_is_told_line_and_remedy(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "trial.yaml"
    path.write_text(TEXT.replace("result ==", "reslt =="), "utf-8")
    assert main(["scenario", "check", str(path)]) == 2
    assert "trial.yaml:6: table 'inspection' has no column 'reslt'" in capsys.readouterr().err


def test_the_lake_s_tables_are_looked_at(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "trial.yaml"
    path.write_text(TEXT.replace("seen_in: inspection", "seen_in: [inspection, licence]"), "utf-8")
    assert main(["scenario", "check", str(path)]) == 2
    assert "has no table licence; import it first" in capsys.readouterr().err
    assert main(["scenario", "check", str(path), "--lake", str(home / "none")]) == 2
    assert "has no table inspection, licence" in capsys.readouterr().err


def test_a_column_that_an_old_lake_lacks_is_named(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Lake.open(home / "old", buckets=2)
    row = {k: v for k, v in base("inspection", 0, date(2024, 1, 1)).items() if k != "findings"}
    old.merge("inspection", pl.DataFrame([row]))
    assert main(["scenario", "check", str(home / "trial.yaml"), "--lake", str(home / "old")]) == 2
    assert "has no column result; import it again" in capsys.readouterr().err


def test_show_counts_population_labels_and_inputs(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scenario", "show", str(home / "trial.yaml")]) == 0
    shown = capsys.readouterr().out
    assert "试验场景" in shown
    assert re.search(r"在限定的表中出现 +│ +6 ", shown)
    total = re.search(r"合计 +│(.+)│", shown)
    assert total is not None
    rows, observed, share, positive, rate, drawn = (c.strip() for c in total[1].split("│"))
    assert int(rows) >= int(observed) >= int(positive) > 0
    assert drawn == observed
    assert share == f"{int(observed) / int(rows):.2%}"
    assert rate == f"{int(positive) / int(observed):.2%}"
    assert "行政检查" in shown


def test_brackets_in_words_are_shown_as_they_are(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "trial.yaml"
    swapped = TEXT.replace("title: 试验场景", 'title: "[/red]"').replace(
        "[市场主体登记管理条例 第三十八条]", '["[/b]第三十八条"]'
    )
    path.write_text(swapped, encoding="utf-8")
    assert main(["scenario", "show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "[/red]（trial）" in shown
    assert "[/b]第三十八条" in shown


@pytest.mark.parametrize(
    ("swap", "word"),
    [
        (("grades:", 'veto: [{when: "subject_nothing > 0", grade: B}]\ngrades:'), "no feature"),
        (("grades:", 'veto: [{when: "due > as_of", grade: B}]\ngrades:'), "a veto asks features"),
        (
            ("grades:", 'veto: [{when: "penalty_count_90d", grade: B}]\ngrades:'),
            "gives Float64, not true or false",
        ),
        (("exclude: [inspector_id]", "families: [peers]"), "peers"),
    ],
)
def test_check_finds_what_the_list_of_features_refuses(
    home: Path, capsys: pytest.CaptureFixture[str], swap: tuple[str, str], word: str
) -> None:
    path = home / "trial.yaml"
    assert swap[0] in TEXT
    path.write_text(TEXT.replace(*swap), encoding="utf-8")
    for command in (["scenario", "check"], ["features", "list"]):
        assert main([*command, str(path)]) == 2
        assert word in capsys.readouterr().err


def test_show_at_one_date(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(home / "trial.yaml")
    assert main(["scenario", "show", path, "--as-of", "2023-06-01"]) == 0
    shown = capsys.readouterr().out
    assert "截面日 2023-06-01 的人群" in shown
    assert "1 个截面日" in shown
    assert main(["scenario", "show", path, "--as-of", "2024-12-01"]) == 0
    assert "截面日 2024-12-01 尚无完整结果" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--as-of", "2999-01-01"], "has not come"),
        (["--as-of", "01/02/2024"], "write YYYY-MM-DD"),
        (["--as-of", "2022-01-01"], "nobody is eligible as of 2022-01-01: none passes 'seen'"),
    ],
)
def test_show_says_what_a_date_is_good_for(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    assert main(["scenario", "show", str(home / "trial.yaml"), *arguments]) == 2
    assert word in capsys.readouterr().err


def test_show_without_records_says_what_to_import(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scenario", "show", "SC02"]) == 2
    assert "learns from listing, penalty, which hold no records" in capsys.readouterr().err
    assert main(["scenario", "show", "SC 02", "--lake", str(home / "none")]) == 2
    assert "did you mean 'SC02'" in capsys.readouterr().err


def test_show_says_which_tables_the_lake_lacks(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scenario", "show", "unreachable_shell", "--as-of", "2024-01-01"]) == 0
    heard = capsys.readouterr()
    assert "湖中没有表 listing（名录名单）：只由它得知的结果记不到" in heard.err
    assert "湖中没有表 tax_event（涉税信息）：由它产生的指标为空" in heard.err
    assert "湖中没有表 inspection" not in heard.err
    assert main(["scenario", "show", "bid_rigging"]) == 2
    assert "learns from listing, penalty, which hold no records" in capsys.readouterr().err
    path = home / "unseen.yaml"
    path.write_text(TEXT.replace("seen_in: inspection", "seen_in: licence"), encoding="utf-8")
    for command in ("show", "check"):
        assert main(["scenario", command, str(path)]) == 2
    told = capsys.readouterr().err
    assert "looks at the subjects of licence, and the lake has no such table" in told
    assert "xinjian data contracts licence shows its columns" in told


def test_the_scenario_the_readme_shows_is_sound(root: Path, tmp_path: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (block,) = [b for b in blocks if b.startswith("# scenario.yaml")]
    path = tmp_path / "scenario.yaml"
    path.write_text(block, encoding="utf-8")
    assert load_scenario(path).label.means == "inspection"
