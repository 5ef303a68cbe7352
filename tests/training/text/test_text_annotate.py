"""Derived columns in the lake: what a model read, beside the records it read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from structlog.testing import capture_logs
from typer.testing import CliRunner

from models.errors import BundleError, ConfigError, LakeMissingError
from models.features import text as text_features
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from models.records.reading import LakeRecords
from models.text.bundle import Answering, TextBundle, TextManifest
from models.text.heads import Head
from models.text.linear import Linear
from models.text.taxonomy import DATA, taxonomy
from tests.models.features.firms import AS_OF, FIRMS, frame, penalty, scenario
from training.commands.text_annotate import register
from training.text.annotate import Annotated, annotate

MODEL, NEXT = "a" * 64, "b" * 64
LEAVES = {"过期": ("F04", "general"), "虚假广告": ("M07", "major")}


class Fake:
    """Reads by two words, and counts what it was given."""

    def __init__(self, *, severity: bool = True, department: bool = False) -> None:
        self.severity, self.department = severity, department
        self.seen: list[str | None] = []

    def frame(self, texts: Sequence[str | None], *, top: int = 3) -> pl.DataFrame:
        assert top == 3
        self.seen += texts
        said = [
            next((told for word, told in LEAVES.items() if word in (text or "")), None)
            for text in texts
        ]
        columns = [
            pl.Series("leaf", [[one[0]] if one else [] for one in said], dtype=pl.List(pl.String)),
            pl.Series("leaf_confidence", [0.9 if one else 0.4 for one in said], dtype=pl.Float64),
        ]
        if self.severity:
            grades = [[one[1]] if one else [] for one in said]
            columns.append(pl.Series("severity", grades, dtype=pl.List(pl.String)))
        if self.department:
            columns += [
                pl.Series("department", [["市场监管"]] * len(texts), dtype=pl.List(pl.String)),
                pl.Series("department_confidence", [0.8] * len(texts), dtype=pl.Float64),
            ]
        return pl.DataFrame(columns)


PENALTIES = (
    penalty(0, date(2024, 6, 1), violation_fact="销售过期食品"),
    penalty(0, date(2024, 7, 1), violation_type="虚假广告", violation_fact=" "),
    penalty(1, date(2024, 6, 1), violation_fact="天气晴朗"),
    penalty(2, date(2024, 6, 1), violation_fact=None, violation_type=None),
    penalty(3, date(2024, 6, 1), violation_fact="销售过期食品"),
)
COMPLAINT = {"happened_on": date(2024, 6, 1), "content": "买到过期食品", "kind": "complaint"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake.open(tmp_path / "lake", buckets=2)
    made.merge("penalty", frame("penalty", PENALTIES))
    made.merge("complaint", frame("complaint", [COMPLAINT]))
    return made


def _read(lake: Lake, table: str = "penalty") -> pl.DataFrame:
    return lake.scan(table).sort("subject_id", "happened_on").collect()


def _runs(lake: Lake, reader: Fake, *, model: str = MODEL, again: bool = False) -> Annotated:
    return annotate(lake, reader, model=model, again=again)[0]


def test_answers_stand_beside_the_records(lake: Lake) -> None:
    done = _runs(lake, Fake())
    assert (done.rows, done.read, done.answered) == (4, 4, 3)
    told = _read(lake).filter(pl.col("subject_id").is_in(FIRMS[:4]))
    by_firm = {row["record_id"]: row for row in told.to_dicts()}
    leaves = {row["violation_fact"]: row["violation_leaf"] for row in by_firm.values()}
    assert leaves == {"销售过期食品": "F04", " ": "M07", "天气晴朗": None, None: None}
    unsure = told.filter(pl.col("violation_fact") == "天气晴朗").row(0, named=True)
    assert unsure["violation_severity"] is None
    assert unsure["violation_confidence"] == pytest.approx(0.4)
    assert unsure["violation_model"] == MODEL


def test_nothing_else_of_a_record_changes(lake: Lake) -> None:
    before = {table: _read(lake, table) for table in ("penalty", "complaint")}
    annotate(lake, Fake(department=True), model=MODEL)
    for table, frame_ in before.items():
        assert _read(lake, table).select(frame_.columns).equals(frame_)


def test_a_text_that_repeats_is_read_once(lake: Lake) -> None:
    reader = Fake()
    annotate(lake, reader, model=MODEL, tables={"penalty": ("violation_fact",)})
    assert sorted(map(str, reader.seen)) == ["天气晴朗", "销售过期食品"]


def test_a_second_run_reads_and_writes_nothing(lake: Lake) -> None:
    first, reader = _runs(lake, Fake()), Fake()
    second = _runs(lake, reader)
    assert (second.rows, second.read, second.version) == (4, 0, first.version)
    assert reader.seen == []


def test_another_model_reads_everything_again(lake: Lake) -> None:
    _runs(lake, Fake())
    assert _runs(lake, Fake(), model=NEXT).read == 4
    assert _read(lake)["violation_model"].drop_nulls().unique().to_list() == [NEXT]


def test_again_reads_what_was_read_and_changes_nothing(lake: Lake) -> None:
    first = _runs(lake, Fake())
    second = _runs(lake, Fake(), again=True)
    assert (second.read, second.version) == (4, first.version)


def test_new_and_corrected_texts_are_read(lake: Lake) -> None:
    _runs(lake, Fake())
    stored = _read(lake).filter(pl.col("violation_fact") == "天气晴朗")
    changed = stored.select(CONTRACTS["penalty"].columns).with_columns(
        violation_fact=pl.lit("发布虚假广告")
    )
    fresh = frame("penalty", [penalty(5, date(2024, 8, 1), violation_fact="过期酸奶")])
    lake.merge("penalty", pl.concat([changed, fresh]))
    reader = Fake()
    assert _runs(lake, reader).read == 2
    assert len(reader.seen) == 2
    told = _read(lake).filter(pl.col("record_id") == stored["record_id"].item())
    assert told["violation_leaf"].item() == "M07"


def test_a_subject_corrected_while_texts_are_read_stays_corrected(lake: Lake) -> None:
    class Slow(Fake):
        """While it reads, an import moves every record to another subject."""

        def frame(self, texts: Sequence[str | None], *, top: int = 3) -> pl.DataFrame:
            stored = lake.scan("penalty").select(CONTRACTS["penalty"].columns).collect()
            lake.merge("penalty", stored.with_columns(subject_id=pl.lit(FIRMS[7])))
            return super().frame(texts, top=top)

    annotate(lake, Slow(), model=MODEL, tables={"penalty": ("violation_fact",)})
    after = _read(lake)
    assert after["subject_id"].unique().to_list() == [FIRMS[7]]
    assert after["violation_leaf"].drop_nulls().to_list() == ["F04", "F04"]
    assert lake.subject("penalty", FIRMS[7]).height == len(PENALTIES)


def test_an_import_keeps_what_was_annotated(lake: Lake) -> None:
    _runs(lake, Fake())
    before = _read(lake)
    lake.merge("penalty", frame("penalty", PENALTIES).with_columns(remark=pl.lit("备注")))
    after = _read(lake)
    assert after["violation_leaf"].to_list() == before["violation_leaf"].to_list()


def test_features_are_told(lake: Lake) -> None:
    specs = text_features.specs(scenario(), CONTRACTS)
    wanted = pl.Series("subject_id", FIRMS[:2])

    def built() -> pl.DataFrame:
        return text_features.build(LakeRecords(lake), specs, subjects=wanted, dates=(AS_OF,))

    assert built()["penalty_text_food_count_365d"].null_count() == 2
    _runs(lake, Fake())
    made = built()
    assert made["penalty_text_food_count_365d"].to_list() == [1, None]  # one abstained
    assert made["penalty_text_market_count_365d"].to_list() == [1, None]
    assert made["penalty_text_severity_max_365d"].to_list() == [3, None]


def test_without_a_head_for_it_severity_is_the_leafs(lake: Lake) -> None:
    _runs(lake, Fake(severity=False))
    told = dict(_read(lake).select("violation_leaf", "violation_severity").rows())
    assert told["F04"] == "general"
    assert told["M07"] == "major"


def test_complaints_get_a_department(lake: Lake) -> None:
    annotate(lake, Fake(department=True), model=MODEL)
    (row,) = _read(lake, "complaint").to_dicts()
    assert (row["violation_leaf"], row["suggested_department"]) == ("F04", "市场监管")
    assert row["department"] is None
    assert "suggested_department" not in _read(lake).columns


def test_a_lake_without_the_tables_is_left_as_it_is(tmp_path: Path) -> None:
    empty = Lake.open(tmp_path / "empty")
    done = annotate(empty, Fake(), model=MODEL)
    assert [one.version for one in done] == [None, None]
    assert empty.tables() == []


def test_what_cannot_be_annotated_is_said(lake: Lake) -> None:
    class Blind(Fake):
        def frame(self, texts: Sequence[str | None], *, top: int = 3) -> pl.DataFrame:
            return super().frame(texts, top=top).drop("leaf")

    class Odd(Fake):
        def frame(self, texts: Sequence[str | None], *, top: int = 3) -> pl.DataFrame:
            return super().frame(texts, top=top).with_columns(leaf=pl.lit(["F99"]))

    with pytest.raises(BundleError, match="column 'leaf'"):
        _runs(lake, Blind())
    with pytest.raises(ConfigError, match="no leaf 'F99'"):
        _runs(lake, Odd())
    with pytest.raises(LakeMissingError, match="nothing_of_the_kind"):
        annotate(lake, Fake(), model=MODEL, tables={"penalty": ("nothing_of_the_kind",)})
    assert "violation_leaf" not in _read(lake).columns


def _bundle(
    folder: Path,
    labels: tuple[str, str] = ("F04", "M07"),
    *,
    name: str = "leaf",
    digest: str | None = None,
) -> Path:
    head = Head(name=name, labels=labels)
    weights = np.array([[9, 0], [0, 9]], dtype=np.float32)
    nothing = np.zeros(2, dtype=np.float32)
    linear = Linear(("过期", "广告"), (2, 2), np.ones(2, dtype=np.float32), weights, nothing)
    manifest = TextManifest(taxonomy_digest=taxonomy().digest if digest is None else digest)
    TextBundle((Answering(head=head, share=0),), linear=linear, manifest=manifest).save(folder)
    return folder


def test_the_command_annotates_and_says_so(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path))
    app = typer.Typer()
    register(app)
    app.command("other")(lambda: None)
    bundle = _bundle(tmp_path / "model")
    run = CliRunner().invoke(app, ["annotate", str(bundle)])
    assert run.exit_code == 0, run.output
    assert "penalty" in run.stdout
    assert "转人工" in run.stdout
    assert _read(lake)["violation_leaf"].drop_nulls().len() == 3
    wrong = CliRunner().invoke(app, ["annotate", str(bundle), "--table", "inspection"])
    assert isinstance(wrong.exception, ConfigError)
    assert "penalty, complaint" in str(wrong.exception)


def _command(home: Path, monkeypatch: pytest.MonkeyPatch, *words: object) -> str:
    monkeypatch.setenv("XINJIAN_HOME", str(home))
    app = typer.Typer()
    register(app)
    app.command("other")(lambda: None)
    done = CliRunner().invoke(app, ["annotate", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_a_lake_with_nothing_to_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="lake: has no table penalty or complaint"):
        _command(tmp_path, monkeypatch, _bundle(tmp_path / "model"))


def test_a_model_of_another_taxonomy_reads_only_by_it(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "leaves.yaml"
    file.write_text(DATA.read_text(encoding="utf-8").replace("code: M07", "code: M77"), "utf-8")
    own = _bundle(tmp_path / "own", ("F04", "M77"))
    with pytest.raises(ConfigError, match=r"own: .*no leaf 'M77'.*--taxonomy"):
        _command(tmp_path, monkeypatch, own)
    assert "violation_leaf" not in _read(lake).columns
    _command(tmp_path, monkeypatch, own, "--taxonomy", file)
    assert set(_read(lake)["violation_leaf"].drop_nulls()) == {"F04", "M77"}


def test_another_version_of_the_taxonomy_is_told(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del lake
    with capture_logs() as told:
        _command(tmp_path, monkeypatch, _bundle(tmp_path / "old", digest="0" * 64))
    assert [one["fitted"] for one in told if one["log_level"] == "warning"] == ["0" * 12]
    with capture_logs() as told:
        _command(tmp_path, monkeypatch, _bundle(tmp_path / "new"))
    assert not [one for one in told if one["log_level"] == "warning"]


def test_a_model_without_leaves_is_refused_before_it_reads(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del lake
    with pytest.raises(BundleError, match="column 'leaf'"):
        _command(tmp_path, monkeypatch, _bundle(tmp_path / "model", name="department"))
