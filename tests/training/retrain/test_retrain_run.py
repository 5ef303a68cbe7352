from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from models.errors import FitError, LakeMissingError, RegistryError
from models.records.bookkeeping import PROMOTION
from models.records.lake import Lake
from models.risk import published
from tests.training.retrain import world
from training.registry import Registry
from training.retrain.journal import Journal, Json
from training.retrain.lock import locked
from training.retrain.promotion import promote_by_hand
from training.retrain.run import Outcome, RetrainOptions, retrain
from training.retrain.verdict import Limits

NOW = datetime(2025, 1, 5, 8, tzinfo=UTC)
QUICK = RetrainOptions(at="visits", resamples=60, limits=Limits(moves=1))
STEPS = ("drift", "window", "fit", "compare", "verdict", "register", "promote", "record")


@dataclass(frozen=True)
class Town:
    """A home folder with the town's lake, runs and registry."""

    home: Path

    @property
    def lake(self) -> Lake:
        return Lake.open(self.home / "lake")

    @property
    def registry(self) -> Registry:
        return Registry(f"sqlite:///{self.home / 'mlflow.db'}", self.home / "artifacts")

    @property
    def root(self) -> Path:
        return self.home / "risk" / "town"

    def retrain(self, options: RetrainOptions = QUICK, *, now: datetime = NOW) -> Outcome:
        return retrain(
            self.lake, world.scenario(), self.root, registry=self.registry, now=now, options=options
        )

    def promotions(self) -> pl.DataFrame:
        lake = self.lake
        if PROMOTION not in lake.tables():
            return pl.DataFrame()
        return lake.scan(PROMOTION).sort("decided_at", "version").collect()

    def copy(self, home: Path) -> Town:
        """Return the same at another place; artifacts stay where they are."""
        shutil.copytree(self.home, home)
        return Town(home)


@pytest.fixture(scope="module")
def young(tmp_path_factory: pytest.TempPathFactory, empty_tracker: Path) -> Town:
    """Return a town before the rule turned around, without a model."""
    town = Town(tmp_path_factory.mktemp("young"))
    shutil.copy(empty_tracker, town.home / "mlflow.db")
    lake = Lake.open(town.home / "lake", buckets=2)
    world.settle(lake)
    world.inspect(lake, date(2020, 7, 1), world.TURN)
    return town


@pytest.fixture(scope="module")
def settled(young: Town, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """Return the young town with a champion."""
    town = young.copy(tmp_path_factory.mktemp("settled") / "home")
    assert town.retrain().ending == "promoted"
    return town


@pytest.fixture(scope="module")
def grown(settled: Town, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """Return the town with its champion, long after the rule turned around."""
    town = settled.copy(tmp_path_factory.mktemp("grown") / "home")
    world.inspect(town.lake, world.TURN, date(2024, 6, 1))
    return town


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def _end(town: Town) -> dict[str, object]:
    """Return all that a retraining leaves behind, but for moments and digests."""
    versions = town.registry.versions("town")
    promotions = town.promotions()
    return {
        "versions": [(one.version, one.aliases) for one in versions],
        "verdicts": [one.tags[published.VERDICT] for one in versions],
        "rows": promotions.select("version", "promoted").rows() if promotions.height else [],
        "runs": len(list(town.root.glob("*/fit.json"))),
        "ended": len(list(town.root.glob("retrain/*/end.json"))),
    }


def test_a_first_model_that_beats_every_baseline_becomes_champion(settled: Town) -> None:
    (one,) = settled.registry.versions("town")
    assert one.aliases == ("champion",)
    assert one.tags[published.VERDICT] == "promote"
    (row,) = settled.promotions().to_dicts()
    assert (row["champion"], row["challenger"], row["promoted"]) == (None, one.digest, True)
    assert {"logistic", "past_rate", "rules", "woe"} <= set(row["verdict"].split('"'))


@pytest.mark.slow
def test_a_challenger_is_grown_as_the_champion_was(young: Town, home: Path) -> None:
    town = young.copy(home)
    assert town.retrain(replace(QUICK, regrow=True)).ending == "promoted"
    world.inspect(town.lake, world.TURN, date(2024, 6, 1))
    outcome = town.retrain(now=NOW + timedelta(days=1))
    assert outcome.version is not None
    challenger = town.registry.load("town", outcome.version.version)
    assert challenger.manifest.params["regrow"] is True


@pytest.mark.slow
def test_a_first_model_that_does_not_is_kept_as_challenger(young: Town, home: Path) -> None:
    town = young.copy(home)
    strict = replace(QUICK, limits=Limits(gain=0.8))
    outcome = town.retrain(strict)
    assert outcome.ending == "kept"
    assert outcome.version is not None
    assert outcome.version.aliases == ("challenger",)
    assert town.promotions()["promoted"].to_list() == [False]
    assert "未证明优于基线" in town.promotions()["reasons"][0]


@pytest.mark.slow
def test_a_champion_that_still_holds_is_left_alone(settled: Town, home: Path) -> None:
    town = settled.copy(home)
    outcome = town.retrain(replace(QUICK, if_drifted=True))
    assert outcome.ending == "steady"
    assert len(town.registry.versions("town")) == 1


@pytest.mark.slow
def test_without_new_outcomes_there_is_nothing_to_judge_by(settled: Town, home: Path) -> None:
    town = settled.copy(home)
    champion = town.registry.load("town", "champion")
    lake = town.lake
    rows = lake.scan("inspection").collect().height
    outcome = town.retrain()
    assert lake.scan("inspection").collect().height == rows
    assert outcome.verdict is not None  # the champion's own test is new to both
    assert outcome.ending == "kept"
    assert outcome.verdict.first > champion.manifest.trained_to
    assert [check.value for check in outcome.verdict.checks if check.name == "moves"] == [0.0]


@pytest.mark.slow
def test_a_world_that_turned_around_is_drift_and_the_challenger_wins(
    grown: Town, home: Path
) -> None:
    town = grown.copy(home)
    before = town.registry.find("town", "champion")
    outcome = town.retrain(replace(QUICK, if_drifted=True))
    assert outcome.ending == "promoted"
    assert "校准偏移" in outcome.note
    assert outcome.verdict is not None
    assert outcome.verdict.champion == before.digest
    (lead,) = (check for check in outcome.verdict.checks if check.question == "capacity")
    assert lead.low is not None
    assert lead.low > 0.1
    assert town.registry.find("town", "champion").version == 2
    assert town.registry.find("town", "previous").version == 1
    page = (outcome.folder / "verdict.md").read_text(encoding="utf-8")
    assert page.startswith("# 换模结论：晋升")


@pytest.mark.slow
def test_neither_model_has_learnt_from_what_it_is_judged_by(grown: Town, home: Path) -> None:
    town = grown.copy(home)
    outcome = town.retrain(replace(QUICK, dry_run=True))
    assert outcome.verdict is not None
    judged = pl.read_parquet(outcome.folder / "compared.parquet")["as_of"].to_list()
    learnt = {_digest(path): _trained_to(path) for path in town.root.glob("*/bundle/manifest.json")}
    for digest in (outcome.verdict.champion, outcome.verdict.challenger):
        assert min(judged) > learnt[str(digest)]


def _digest(path: Path) -> str:
    from models.risk.manifest import sha256

    return sha256(path.read_bytes())


def _trained_to(path: Path) -> date:
    from models.risk.manifest import BundleManifest

    return BundleManifest.read(path).trained_to


@pytest.mark.slow
def test_a_dry_run_changes_nothing_and_the_next_goes_on_from_it(grown: Town, home: Path) -> None:
    town = grown.copy(home)
    before = _end(town)
    dry = town.retrain(replace(QUICK, dry_run=True))
    assert dry.ending == "promoted"
    assert dry.version is None
    assert {**_end(town), "runs": 1} == {**before, "runs": 1}
    real = town.retrain(now=NOW + timedelta(hours=1))
    assert real.verdict == dry.verdict
    assert len(list(town.root.glob("*/fit.json"))) == 2
    assert town.registry.find("town", "champion").version == 2


class _KilledError(BaseException):
    """Stands for the end of the process, which no handler sees."""


@pytest.fixture
def uninterrupted(grown: Town, tmp_path: Path) -> dict[str, object]:
    town = grown.copy(tmp_path / "uninterrupted")
    town.retrain()
    return _end(town)


@pytest.mark.slow
@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
def test_a_run_that_is_cut_off_at_every_step_comes_to_the_same_end(
    *,
    written: bool,
    grown: Town,
    home: Path,
    uninterrupted: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    town, real = grown.copy(home), Journal.finish
    for number, step in enumerate((*STEPS, "end")):

        def finish(journal: Journal, name: str, result: Json, *, at: str = step) -> Json:
            if name == at and not written:
                raise _KilledError
            real(journal, name, result)
            if name == at:
                raise _KilledError
            return result

        with monkeypatch.context() as broken:
            broken.setattr(Journal, "finish", finish)
            with pytest.raises(_KilledError):
                town.retrain(now=NOW + timedelta(minutes=number))
    if not written:
        assert town.retrain(now=NOW + timedelta(hours=1)).ending == "promoted"
    assert _end(town) == uninterrupted


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from tests.training.retrain.test_retrain_run import Town
from training.retrain.journal import Journal

real = Journal.finish
def finish(journal, name, result):
    if name == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(journal, name, result)
Journal.finish = finish
print(Town(Path(sys.argv[1])).retrain(now=datetime.now(UTC)).ending)
"""


@pytest.mark.slow
def test_kill_9_between_steps_comes_to_the_same_end(
    grown: Town, home: Path, uninterrupted: dict[str, object], root: Path
) -> None:
    town = grown.copy(home)
    for step in ("compare", "register", "record", "none"):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(town.home), step],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == (0 if step == "none" else -9), done.stderr
    assert _end(town) == uninterrupted


def test_a_second_run_at_once_says_who_is_at_work(young: Town, home: Path) -> None:
    town = young.copy(home)
    with locked(town.root / "retrain" / "lock") as holder:
        assert holder is None
        outcome = town.retrain()
    assert outcome.ending == "busy"
    assert outcome.note.startswith("process ")
    assert _end(town)["versions"] == []


@pytest.mark.slow
def test_a_tracker_that_fails_loses_nothing(
    grown: Town, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = grown.copy(home)

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("reset by peer")

    with monkeypatch.context() as broken:
        broken.setattr("mlflow.MlflowClient.create_model_version", fail)
        with pytest.raises(RegistryError, match="xinjian risk register"):
            town.retrain()
    assert town.registry.find("town", "champion").version == 1
    assert town.retrain(now=NOW + timedelta(minutes=5)).ending == "promoted"
    assert len(list(town.root.glob("*/fit.json"))) == 2


@pytest.mark.slow
def test_a_verdict_about_a_champion_that_was_replaced_meanwhile_is_not_applied(
    grown: Town, home: Path
) -> None:
    town = grown.copy(home)
    strict = replace(QUICK, limits=Limits(gain=0.99))
    town.retrain(strict)
    later = datetime.now(UTC) + timedelta(days=1)  # so that the first run's fit is not taken up
    dry = town.retrain(replace(QUICK, dry_run=True), now=later)
    promote_by_hand(town.lake, town.registry, "town", "2", reason="人工启用", now=later)
    real = town.retrain(now=later + timedelta(minutes=1))
    assert real.folder != dry.folder
    assert (Journal(dry.folder).result("end") or {})["ending"] == "superseded"
    assert real.verdict is not None
    assert real.verdict.champion == town.registry.find("town", 2).digest


def test_too_little_data_ends_the_run_so_that_the_next_begins_anew(
    young: Town, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = young.copy(home)

    def fail(*_: object, **__: object) -> None:
        raise FitError("the slice for the test has 3 positive rows; at least 10 are needed")

    with monkeypatch.context() as broken:
        broken.setattr("training.retrain.run.fit_run", fail)
        with pytest.raises(FitError, match="at least 10"):
            town.retrain()
    (journal,) = (Journal(path.parent) for path in town.root.glob("retrain/*/end.json"))
    assert (journal.result("end") or {})["ending"] == "failed"


@pytest.mark.slow
def test_a_version_of_the_lake_that_is_gone_ends_the_run(
    young: Town, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = young.copy(home)

    def gone(*_: object, **__: object) -> None:
        raise LakeMissingError("version 3 of table 'inspection' is gone")

    with monkeypatch.context() as broken:
        broken.setattr("training.retrain.run.build_matrix", gone)
        with pytest.raises(LakeMissingError):
            town.retrain()
    assert len(list(town.root.glob("retrain/*/end.json"))) == 1
    assert town.retrain(now=NOW + timedelta(hours=1)).ending == "promoted"


@pytest.fixture(autouse=True)
def _quiet_log() -> Generator[None]:
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()
