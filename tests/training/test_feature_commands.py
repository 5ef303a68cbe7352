"""``xinjian features`` as an analyst uses it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from models.features import output
from models.records.lake import Lake
from models.scenarios import catalogue
from tests.models.features.firms import firm, penalty, records, role
from xinjian.cli import main

OWN = """\
id: trial
title: 试验场景
legal_basis: [试验]
subject: enterprise
label: {{table: penalty, horizon: 90d}}
snapshots: {{every: 30d}}
features: {{tables: [penalty], windows: [365d]}}
model: {{monotone: {{{monotone}: up}}}}
grades: {{A: {{below: 0.1, draw: 0.1}}, B: {{draw: 0.5}}}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "var"))
    lake = Lake.open(tmp_path / "var" / "lake", buckets=2)
    tables = {
        "subject": [firm(n) for n in range(6)],
        "penalty": [penalty(1), penalty(4)],
        "person_role": [role(n, "P") for n in range(3)],
    }
    for name, made in records(**tables).frames.items():
        if name in tables:
            lake.merge(name, made)
    (tmp_path / "own.yaml").write_text(OWN.format(monotone="penalty_count_365d"), encoding="utf-8")
    return tmp_path


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", ["SC02", "dishonesty_warning"])
def test_the_catalogue_is_listed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "list", name]) == 0
    shown = capsys.readouterr().out
    assert "penalty_count_365d" in shown
    assert "近365天行政处罚次数" in shown


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_scenario_of_the_package_is_listed(name: str) -> None:
    assert main(["features", "list", name]) == 0


def test_the_catalogue_is_written_as_a_table(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = str(home / "own.yaml")
    assert main(["features", "list", own, "--out", str(home / "f.csv")]) == 0
    assert main(["features", "list", own, "--out", str(home / "f.json")]) == 0
    assert "f.json" in capsys.readouterr().out
    table = pl.read_csv(home / "f.csv")
    assert "近365天行政处罚次数" in table["title"].to_list()
    data = json.loads((home / "f.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in data["features"]] == table["name"].to_list()
    assert len(data["digest"]) == 64


def test_features_are_built(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = home / "f.parquet"
    words = ["features", "build", str(home / "own.yaml"), "--out", str(out)]
    words += ["--as-of", "2025-01-01", "--as-of", "2024-01-01", "--reference", str(home / "ref")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "2024-01-01" in shown
    assert str(out) in shown
    rows = pl.read_parquet(out)
    assert rows.height == 12
    assert rows.group_by("as_of").agg(pl.col("penalty_count_365d").sum()).sort("as_of").rows() == [
        (rows["as_of"].min(), 0.0),
        (rows["as_of"].max(), 2.0),
    ]
    assert (home / "f.parquet.manifest.json").is_file()
    assert (home / "ref" / "reference.json").is_file()


def test_another_lake_can_be_named(home: Path) -> None:
    (home / "var" / "lake").rename(home / "elsewhere")
    words = ["features", "build", str(home / "own.yaml"), "--as-of", "2025-01-01", "--trust-ids"]
    assert main([*words, "--out", str(home / "f.parquet"), "--lake", str(home / "elsewhere")]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "own.yaml", "--as-of", "2999-01-01", "--out", "f.parquet"], "has not come"),
        (
            ["build", "own.yaml", "--as-of", "2019-01-01", "--out", "f.parquet"],
            "nobody is eligible",
        ),
        (["build", "own.yaml", "--as-of", "gestern", "--out", "f.parquet"], "no such day"),
        (["build", "nothing", "--as-of", "2025-01-01", "--out", "f.parquet"], "unknown scenario"),
        (["build", "own.yaml", "--as-of", "2025-01-01", "--out", "own.yaml"], "exists"),
        (["list", "dishonesty"], "dishonesty_warning"),
        (["list", "own.yaml", "--out", "f.pdf"], ".csv or .json"),
        (["list", "own.yaml", "--out", "none/f.csv"], "cannot be written"),
        (["list", "own.yaml", "--out", "none/f.json"], "cannot be written"),
        (["list", "wrong.yaml"], "penalty_count_366d"),
    ],
)
def test_what_a_user_can_mend_is_said_and_exits_with_2(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(home)
    (home / "wrong.yaml").write_text(OWN.format(monotone="penalty_count_366d"), encoding="utf-8")
    assert main(["features", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_brackets_in_titles_are_shown_as_they_are(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "own.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("title: 试验场景", 'title: "[/red]"'), "utf-8"
    )
    assert main(["features", "list", str(path)]) == 0
    words = ["--as-of", "2025-01-01", "--out", str(home / "f.parquet")]
    assert main(["features", "build", str(path), *words]) == 0
    assert capsys.readouterr().out.count("[/red]：") == 2


def test_a_run_that_goes_on_says_so(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    words = ["features", "build", str(home / "own.yaml"), "--as-of", "2025-01-01"]
    words += ["--out", str(home / "f.parquet")]
    with monkeypatch.context() as patch:
        patch.setattr(output, "_network", killed)
        with suppress(KeyboardInterrupt):
            assert main(words) != 0
    capsys.readouterr()
    assert main(words) == 0
    heard = capsys.readouterr().err
    assert "resumed" in heard
    assert "penalty" in heard


def test_a_named_feature_that_will_not_be_is_said(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "text.yaml"
    path.write_text(OWN.format(monotone="penalty_severity_max_365d"), encoding="utf-8")
    assert main(["features", "list", str(path)]) == 2
    assert "there will be no feature 'penalty_severity_max_365d'" in capsys.readouterr().err
