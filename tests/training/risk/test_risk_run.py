"""A fit from beginning to end, as ``xinjian risk`` runs it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import ConfigError, FitError, LakeMissingError
from models.records.lake import Lake
from models.risk.bundle import Bundle
from tests.training.risk.world import FIRMS, LABEL, Numbers, scenario
from training.commands import risk_subject
from training.risk import place as placing
from training.risk import run as module
from training.risk.fit import Params
from training.risk.folds import Fold, final, within
from training.risk.judge import finished, judge
from training.risk.matrix import Matrix
from training.risk.place import DONE, NOTE, placed, write_json
from training.risk.run import Options, Run, fit_run
from training.risk.tune import splits, tune
from xinjian.cli import main

TRIALS = Options(at="visits", trials=2, folds=1, fold_days=300)
COLUMNS = [
    *("fold", "subject_id", "as_of", "group", "observed", "positive", "weight"),
    *("inclusion_probability", "observed_on", "event_on", "audit_region", "audit_age_band"),
    *("p_lightgbm", "p_past_rate", "p_rules", "p_woe", "p_logistic"),
]


@pytest.fixture(scope="module")
def whole(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("runs") / "town"
    return fit_run(lake, scenario(calibrate="platt"), root, options=TRIALS)


def test_a_run_leaves_all_that_is_needed(whole: Run) -> None:
    there = {path.name for path in whole.folder.iterdir()}
    assert {"bundle", "predictions.parquet", "fit.json", "run.json", "trials.journal"} <= there
    told = json.loads((whole.folder / "fit.json").read_text(encoding="utf-8"))
    assert told["bundle"] == whole.bundle.digest
    assert told["tuned"]["trials"] == 2
    assert [fold["number"] for fold in told["folds"]] == [0, 1]
    assert told["weights"]["recorded"] > 0
    assert whole.bundle.manifest.data_versions == told["versions"]


def test_predictions_are_of_everybody_in_the_tests(whole: Run) -> None:
    told = pl.read_parquet(whole.predictions)
    assert told.columns == COLUMNS
    assert told["fold"].unique().sort().to_list() == [0, 1]
    for fold in whole.folds:
        days = told.filter(pl.col("fold") == fold.number)["as_of"]
        assert days.min() == fold.test.first
        assert days.max() == fold.test.last
    for name in COLUMNS[-5:]:
        assert told[name].is_between(0, 1, closed="none").all()
    assert told["weight"].n_unique() > 1


def test_the_bundle_gives_the_predictions(whole: Run, lake: Lake) -> None:
    from training.risk.matrix import build_matrix, declaration_digest

    place = next((whole.folder.parent / "matrix").glob("*/matrix.parquet")).parent
    matrix = build_matrix(lake, scenario(calibrate="platt"), place, at="visits")
    assert declaration_digest(matrix.scenario)
    test = whole.folds[0].test
    rows = (
        matrix.scan().filter(test.rows).collect().sort("as_of", "subject_id", maintain_order=True)
    )
    told = pl.read_parquet(whole.predictions).filter(pl.col("fold") == 0)
    told = told.sort("as_of", "subject_id", maintain_order=True)
    loaded = Bundle.load(whole.folder / "bundle")
    assert loaded.digest == whole.bundle.digest
    assert np.array_equal(loaded.probability(rows).to_numpy(), told["p_lightgbm"].to_numpy())
    assert {"risk_score", *loaded.encoder.features} == set(loaded.drift)


def test_an_interrupted_run_goes_on(
    whole: Run, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = scenario(calibrate="platt")
    plain = module._fold

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_fold", killed)
        with pytest.raises(KeyboardInterrupt):
            fit_run(lake, declared, tmp_path, options=TRIALS)
    matrix = next(tmp_path.glob("matrix/*/matrix.parquet")).stat().st_mtime_ns
    assert module._fold is plain
    again = fit_run(lake, declared, tmp_path, options=TRIALS)
    assert again.resumed
    assert next(tmp_path.glob("matrix/*/matrix.parquet")).stat().st_mtime_ns == matrix
    assert_frame_equal(pl.read_parquet(again.predictions), pl.read_parquet(whole.predictions))
    assert again.bundle.booster.text == whole.bundle.booster.text
    other = fit_run(lake, declared, tmp_path, options=Options(at="visits"))
    assert not other.resumed
    assert other.folder != again.folder


@pytest.mark.slow
def test_a_run_killed_after_its_bundle_goes_on(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared, options = scenario(calibrate="platt"), Options(at="visits")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_explained", killed)
        with pytest.raises(KeyboardInterrupt):
            fit_run(lake, declared, tmp_path, options=options)
    (left,) = tmp_path.glob("*/bundle")
    before = Bundle.load(left)
    again = fit_run(lake, declared, tmp_path, options=options)
    assert again.resumed
    assert again.folder == left.parent
    assert again.bundle.booster.text == before.booster.text


def test_a_run_that_failed_lets_the_next_see_what_is_new(tmp_path: Path) -> None:
    for error in (FitError("too few"), LakeMissingError("version 1 is gone")):
        with pytest.raises(type(error)), placed(tmp_path, {"a": 1}, {"t": 1}) as first:
            raise error
        note = json.loads((first.folder / NOTE).read_text(encoding="utf-8"))
        assert note["ended"] == str(error)
        with placed(tmp_path, {"a": 1}, {"t": 2}) as second:
            assert not second.resumed
            assert second.versions == {"t": 2}
        write_json(second.folder / DONE, {})


@pytest.mark.parametrize("text", ["[]", "null", "{}", '{"asked": {"a": 1}}', "{"])
def test_a_note_that_is_none_is_no_run(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / NOTE).write_text(text, encoding="utf-8")
    with placed(tmp_path, {"a": 1}, {"t": 2}) as place:
        assert not place.resumed


def test_a_new_run_is_held_before_anybody_can_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def write(path: Path, data: object) -> None:
        with placing._held(path.parent) as free:
            seen.append(free)
        write_json(path, data)

    monkeypatch.setattr(placing, "write_json", write)
    with placed(tmp_path, {"a": 1}, {}):
        assert seen == [False]


def test_versions_of_an_unfinished_run_that_are_gone_are_said(lake: Lake, tmp_path: Path) -> None:
    declared = scenario(calibrate="platt")
    options = Options(at="visits")
    asked = {"scenario": declared.digest, **options.asked()}
    with placed(tmp_path, asked, {**lake.versions(), "inspection": 77}):
        pass
    with pytest.raises(LakeMissingError, match="version 77"):
        fit_run(lake, declared, tmp_path, options=options)
    assert not fit_run(lake, declared, tmp_path, options=options, fresh=True).resumed


def test_two_runs_at_once_have_folders_of_their_own(tmp_path: Path) -> None:
    asked = {"seed": 1}
    with placed(tmp_path, asked, {"a": 1}) as first, placed(tmp_path, asked, {"a": 2}) as second:
        assert first.folder != second.folder
        assert not second.resumed
    with placed(tmp_path, asked, {"a": 3}) as third:
        assert third.resumed
        assert third.versions == {"a": 2}
    with placed(tmp_path, {"seed": 2}, {"a": 3}) as other:
        assert not other.resumed


def test_too_few_positives_are_said_with_how_many_are_needed(
    own_lake: Lake, tmp_path: Path
) -> None:
    with pytest.raises(FitError, match=r"at least \d+"):
        fit_run(own_lake, scenario(), tmp_path, options=Options(at="visits"))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return Numbers(rows=3000, dates=60, delay=20, base=-1.0).matrix(tmp_path_factory.mktemp("m"))


def test_a_search_is_seeded_and_goes_on(searched: Matrix, tmp_path: Path) -> None:
    rows = searched.rows
    start = Params(rounds=30, patience=10)
    over = splits(searched, rows, within(rows, final(rows), count=2))
    assert over[0].test.frame.height
    first = tune(searched, start, over, tmp_path / "a", trials=3)
    same = tune(searched, start, over, tmp_path / "b", trials=3)
    assert first == same
    assert first.auc >= first.auc_of_defaults > 0.5
    done: list[int] = []
    more = tune(searched, start, over, tmp_path / "a", trials=5, advance=done.append)
    assert done == [3, 1, 1]
    assert more.trials == 5
    assert more.auc >= first.auc
    kept = tune(searched, start, over, tmp_path / "c", trials=2, leaves=5)
    assert kept.params.leaves in {5, start.leaves}


def test_a_search_sees_nothing_of_the_test(searched: Matrix, tmp_path: Path) -> None:
    rows = searched.rows
    fold = final(rows)
    over = splits(searched, rows, within(rows, fold, count=2))
    later = pl.col("as_of") > fold.stop.last
    garbled = rows.with_columns(
        pl.when(later).then(~pl.col("positive")).otherwise("positive").alias("positive")
    )
    start = Params(rounds=20, patience=10)
    other = splits(searched, garbled, within(garbled, fold, count=2))
    assert tune(searched, start, over, tmp_path / "a", trials=2) == tune(
        searched, start, other, tmp_path / "b", trials=2
    )


def test_a_search_knows_nothing_of_the_earliest_test(
    whole: Run, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StopError(Exception):
        pass

    seen: list[date] = []

    def searched(_: Matrix, rows: pl.DataFrame, folds: list[Fold]) -> None:
        seen.extend(one.test.last for one in folds)
        assert rows.height
        raise StopError

    monkeypatch.setattr(module, "splits", searched)
    with pytest.raises(StopError):
        fit_run(lake, scenario(calibrate="platt"), tmp_path, options=TRIALS)
    assert max(seen) < whole.folds[-1].test.first < whole.folds[0].test.first


# What the commands print.


@pytest.fixture
def home(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "var"))
    monkeypatch.setenv("XINJIAN_LAKE_URL", lake.url)
    declared = scenario(calibrate="platt", label=LABEL)
    text = json.dumps(declared.model_dump(mode="json", exclude_none=True), ensure_ascii=False)
    (tmp_path / "town.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "other.yaml").write_text(
        "grades: {A: {below: 0.5, draw: 0.1}, B: {draw: 0.9}}\n", encoding="utf-8"
    )
    return tmp_path


@pytest.mark.slow
def test_the_commands_fit_judge_and_explain(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = str(home / "town.yaml")
    words = ["risk", "fit", own, "--at", "visits", "--resamples", "20", "--test-from", "2023-06-01"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    for part in ("LightGBM", "既往比率", "专家规则", "评分卡", "逻辑回归", "AUC", "校准"):
        assert part in shown
    run = Path(shown.split("run: ")[1].splitlines()[0])
    assert run.parent == home / "var" / "risk" / "town"
    for name in ("evaluation.json", "card.html", "plots/beeswarm.png", "bundle/manifest.json"):
        assert (run / name).is_file(), name
    assert main(["risk", "evaluate", str(run), "--resamples", "20"]) == 0
    assert "LightGBM" in capsys.readouterr().out

    day = ["--as-of", "2024-06-01"]
    assert main(["risk", "grades", own, "--what-if", str(home / "other.yaml"), *day]) == 0
    shown = capsys.readouterr().out
    assert "等级分布" in shown
    assert "个月" in shown
    assert main(["risk", "explain", own, FIRMS[0], *day]) == 0
    shown = capsys.readouterr().out
    assert "风险分" in shown
    assert "升" in shown
    assert main(["risk", "guide", own, FIRMS[0], *day]) == 0
    assert "步骤" in capsys.readouterr().out


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "f.parquet"
    days = [date(2024, 1, 1), date(2024, 1, 1), date(2024, 2, 1)]
    pl.DataFrame({"subject_id": ["a", "b", "a"], "as_of": days}).write_parquet(path)
    return path


def test_built_features_tell_their_date(built: Path, tmp_path: Path) -> None:
    rows, on = risk_subject._built(built, "2024-01-01")
    assert (rows["subject_id"].to_list(), on) == (["a", "b"], date(2024, 1, 1))
    single = tmp_path / "one.parquet"
    rows.write_parquet(single)
    assert risk_subject._built(single, None)[1] == date(2024, 1, 1)
    with pytest.raises(ConfigError, match="built for 2024-01-01; name"):
        risk_subject._built(single, "2024-01-02")
    with pytest.raises(ConfigError, match="built for 2024-01-01, 2024-02-01; name"):
        risk_subject._built(built, None)
    rows[:0].write_parquet(single)
    with pytest.raises(ConfigError, match="built for no date"):
        risk_subject._built(single, None)
    rows.drop("as_of").write_parquet(single)
    with pytest.raises(ConfigError, match="no column 'as_of'"):
        risk_subject._built(single, None)
    for odd in (tmp_path / "gone.parquet", Path(__file__), tmp_path / "var"):
        with pytest.raises(ConfigError, match="no Parquet file of features"):
            risk_subject._built(odd, None)


def test_a_date_before_all_records_is_refused() -> None:
    with pytest.raises(ConfigError, match="no record is that old"):
        risk_subject._day("0001-01-01")


@pytest.mark.parametrize("subject", ["unknown", FIRMS[399], FIRMS[0]])
def test_whom_a_scenario_does_not_grade_gets_no_reasons(
    home: Path, whole: Run, subject: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = ["--bundle", str(whole.folder / "bundle")]
    words = ["risk", "explain", str(home / "town.yaml"), subject, "--as-of", "2000-01-01", *bundle]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "is not in the cohort" in said or "nothing is known of subject" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "town.yaml", "--test-from", "gestern"], "no such day"),
        (["fit", "nothing"], "unknown scenario"),
        (["evaluate", "."], "no finished run"),
        (["explain", "town.yaml", "x"], "xinjian risk fit"),
        (["guide", "town.yaml", "x", "--bundle", "."], "manifest.json"),
        (["grades", "town.yaml", "--what-if", "town.yaml"], "town.yaml"),
        (["explain", "town.yaml", "x", "--as-of", "2999-01-01", "--bundle", "."], "manifest.json"),
    ],
)
def test_mistakes_are_said(
    home: Path,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(home)
    assert main(["risk", *words]) == 2
    assert message in capsys.readouterr().err


def test_an_unfinished_run_is_not_judged(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="repeat the fit"):
        finished(tmp_path)
    with pytest.raises(ConfigError, match="no finished run"):
        judge(tmp_path)


def test_options_say_what_makes_two_runs_one() -> None:
    one = Options(test_from=date(2023, 1, 1))
    assert one.asked() == Options(test_from=date(2023, 1, 1), threads=4).asked()
    assert one.asked() != Options().asked()
    params = Options(leaves=31, seed=0, calibrate="beta", hints=False).params(scenario())
    assert (params.leaves, params.seed, params.calibrate, params.hints) == (31, 0, "beta", False)
    assert Options().params(scenario()).leaves == 4
