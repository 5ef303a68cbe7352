"""Text models in MLflow: registered, compared, promoted, fetched."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from models import published
from models.errors import BundleError, ConfigError, RegistryError, XinjianError
from models.records.lake import Lake
from models.settings import Settings
from models.text.bundle import Answering, TextBundle, TextManifest
from models.text.calibrate import HeadCalibration
from models.text.heads import Head
from models.text.linear import Linear
from models.text.published import KIND
from tests.models.features.firms import frame
from training.commands.text import app
from training.registry import Registry
from training.text.promotion import LOOSER, compare, judged, replace
from training.text.registry import TextRegistry, winner
from training.text.verdict import FILE, Verdict

NOW = datetime(2025, 6, 1, tzinfo=UTC)
LABELS = ("市场监管", "生态环境")
WORDS = ("食品", "排放")
NAME = "complaints"


def bundle(
    right: float = 1.0,
    *,
    labels: tuple[str, ...] = LABELS,
    made: int = 1,
    name: str = "department",
) -> TextBundle:
    """Return a bundle that answers by two words; ``right`` below 0 makes it answer wrongly."""
    weights = np.zeros((2, len(labels)), dtype=np.float32)
    weights[0, 0] = weights[1, 1] = 4 * right
    linear = Linear(
        WORDS, (2, 2), np.ones(2, dtype=np.float32), weights, np.zeros(len(labels), np.float32)
    )
    answering = Answering(
        head=Head(name=name, labels=labels),
        share=0,
        calibration=HeadCalibration(threshold=0.5),
    )
    manifest = TextManifest(
        created=datetime(2025, 1, made, tzinfo=UTC),
        rows=100,
        params={"seed": made},
        metrics={"department.macro_f1": 0.9},
    )
    return TextBundle((answering,), linear=linear, manifest=manifest)


def fitted(folder: Path, made: TextBundle) -> Path:
    """Write what a fit writes."""
    made.save(folder / "linear")
    verdict = Verdict(winner="linear", reasons=("linear stands first",), measured={"linear": {}})
    (folder / FILE).write_text(verdict.model_dump_json(), encoding="utf-8")
    return folder


def texts(rows: int = 40, *, label: str | None = None) -> pl.DataFrame:
    said = [(f"{WORDS[row % 2]}问题{row}", label or LABELS[row % 2]) for row in range(rows)]
    return pl.DataFrame(said, schema=["text", "department"], orient="row")


@pytest.fixture
def home(empty_tracker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    (home / "mlflow").mkdir(parents=True)
    shutil.copy(empty_tracker, home / "mlflow" / "mlflow.db")
    monkeypatch.setenv("XINJIAN_HOME", str(home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return home


@pytest.fixture
def registry(home: Path) -> TextRegistry:
    assert home.is_dir()
    return TextRegistry.of(Settings.load())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(tmp_path / "lake", buckets=2)


def test_what_won_a_fit_is_registered_once_and_comes_back(
    registry: TextRegistry, tmp_path: Path
) -> None:
    folder = fitted(tmp_path / "fit", bundle())
    one = registry.register(folder, NAME)
    assert (one.version, one.aliases, one.about) == (1, ("challenger",), "text.complaints")
    assert one.tags[KIND] == "linear"
    assert one.tags[published.VERDICT] == "keep"
    assert one.tags[published.VERDICT_TEXT] == "linear stands first"
    assert registry.register(folder, NAME) == one
    loaded = registry.load(NAME, "challenger")
    assert loaded.digest == TextBundle.load(folder / "linear").digest == one.digest
    with registry._client() as client:
        run = client.get_run(one.run_id)
        assert client.search_registered_models("name = 'xinjian.text.complaints'")
    assert run.data.params["labels.department"] == "2"
    assert run.data.metrics == {"department.macro_f1": 0.9}
    kinds = {path.suffix for path in registry.artifacts.rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors"}


def test_text_models_and_risk_models_do_not_meet(registry: TextRegistry, tmp_path: Path) -> None:
    registry.register(fitted(tmp_path / "fit", bundle()), NAME)
    assert Registry(registry.uri, registry.artifacts).versions(NAME) == []
    assert registry.versions("liability") == []


def test_a_tracker_that_fails_in_the_middle_loses_nothing(
    registry: TextRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("reset by peer")

    folder = fitted(tmp_path / "fit", bundle())
    with monkeypatch.context() as broken:
        broken.setattr("mlflow.MlflowClient.log_artifacts", fail)
        with pytest.raises(RegistryError, match=rf"xinjian text register {folder} {NAME}"):
            registry.register(folder, NAME)
    assert registry.versions(NAME) == []
    assert registry.register(folder, NAME).version == 1


def test_an_altered_artifact_is_refused(registry: TextRegistry, tmp_path: Path) -> None:
    registry.register(fitted(tmp_path / "fit", bundle()), NAME)
    (path,) = registry.artifacts.rglob("bundle/grams.json")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BundleError, match=r"version 1 of text 'complaints'.*grams\.json"):
        registry.load(NAME, 1)


def test_what_is_no_fit_is_not_registered(registry: TextRegistry, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither verdict\.json nor manifest\.json"):
        registry.register(tmp_path, NAME)
    folder = fitted(tmp_path / "fit", bundle())
    with pytest.raises(ConfigError, match="lower-case"):
        registry.register(folder, "投诉/分派")
    (folder / FILE).write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match="not a fit's verdict"):
        winner(folder)
    with pytest.raises(RegistryError, match="xinjian text register FITTED nothing_here"):
        registry.find("nothing_here", "champion")


def test_the_first_champion_is_what_won_its_fit(
    registry: TextRegistry, lake: Lake, tmp_path: Path
) -> None:
    version = registry.register(fitted(tmp_path / "fit", bundle()), NAME)
    end = replace(lake, registry, version, judged(registry, version, None, now=NOW))
    assert end.aliases == ("champion",)
    assert end.tags[published.VERDICT] == "promote"
    row = lake.scan("promotion").collect().row(0, named=True)
    assert (row["scenario"], row["champion"], row["promoted"]) == ("text.complaints", None, True)
    assert "linear stands first" in row["reasons"]


def test_a_bundle_without_a_verdict_needs_a_reason(registry: TextRegistry, tmp_path: Path) -> None:
    version = registry.register(fitted(tmp_path / "fit", bundle()) / "linear", NAME)
    with pytest.raises(ConfigError, match=r"without a fit's verdict.*--reason"):
        judged(registry, version, None, now=NOW)


def _two(registry: TextRegistry, folder: Path, old: TextBundle, new: TextBundle) -> None:
    registry.register(fitted(folder / "old", old), NAME)
    registry.promote(NAME, 1)
    registry.register(fitted(folder / "new", new), NAME)


def test_a_better_version_replaces_the_champion(
    registry: TextRegistry, lake: Lake, tmp_path: Path
) -> None:
    _two(registry, tmp_path, bundle(-1), bundle(made=2))
    version = registry.find(NAME, "challenger")
    with pytest.raises(ConfigError, match=r"has a champion, version 1.*--data"):
        judged(registry, version, None, now=NOW)
    verdict = judged(registry, version, texts(), now=NOW)
    assert verdict.decision == "promote"
    assert verdict.measured[version.digest]["department"].macro_f1 == 1
    assert replace(lake, registry, version, verdict).aliases == ("champion",)
    assert registry.find(NAME, "previous").version == 1
    with pytest.raises(ConfigError, match="is the champion already"):
        judged(registry, registry.find(NAME, 2), texts(), now=NOW)


def test_an_equal_version_stays_challenger(
    registry: TextRegistry, lake: Lake, tmp_path: Path
) -> None:
    _two(registry, tmp_path, bundle(), bundle(0.9, made=2))
    version = registry.find(NAME, "challenger")
    verdict = judged(registry, version, texts(), now=NOW)
    assert verdict.decision == "keep"
    assert any(one.startswith("no: ahead in 0%") for one in verdict.reasons)
    assert replace(lake, registry, version, verdict).aliases == ("challenger",)
    assert registry.find(NAME, "champion").version == 1


def test_a_looser_confidence_keeps_a_better_version_out() -> None:
    vague = bundle(0.05)  # always right, and hardly sure of it
    wrong = bundle(-0.01, made=2)
    assert compare(vague, wrong, texts(), now=NOW).decision == "promote"
    honest = texts(40).with_columns(department=pl.Series(LABELS).gather([0, 1, 1, 0] * 10))
    half = bundle(0.0, made=3)  # says one thing of everything, sure to one half: right in half
    verdict = compare(vague, half, honest.vstack(texts(40)), now=NOW)
    assert verdict.measured[vague.digest]["department"].ece > LOOSER
    assert verdict.decision == "keep"
    assert any(one.startswith("no: calibration") for one in verdict.reasons)


def test_a_new_label_counts_against_the_model_that_lacks_it() -> None:
    wide = bundle(labels=(*LABELS, "人社"), made=2)
    frame = pl.concat([texts(), texts(10, label="人社")])
    verdict = compare(wide, bundle(), frame, now=NOW)
    assert verdict.measured[wide.digest]["department"].rows == 50
    with pytest.raises(BundleError, match="does not know 人社"):
        compare(bundle(), wide, texts(), now=NOW)
    with pytest.raises(ConfigError, match="no text in part 'test'"):
        compare(wide, bundle(), texts().with_columns(split=pl.lit("train")), now=NOW)
    with pytest.raises(ConfigError, match="no label"):
        compare(wide, bundle(), texts().select("text"), now=NOW)


def _run(*words: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, XinjianError):
        raise result.exception
    return result


def test_the_commands_register_list_and_promote(registry: TextRegistry, tmp_path: Path) -> None:
    _two(registry, tmp_path, bundle(), bundle(0.9, made=2))
    lake = ("--lake", tmp_path / "lake")
    path = tmp_path / "texts.parquet"
    texts().write_parquet(path)
    assert "version 2" in _run("register", tmp_path / "new", NAME).output
    kept = _run("promote", NAME, "--data", path, *lake)
    assert (kept.exit_code, "kept as challenger" in kept.output) == (10, True)
    by_hand = _run("promote", NAME, "2", "--reason", "新目录", *lake)
    assert "champion: complaints version 2" in by_hand.output
    back = _run("promote", NAME, "previous", "--reason", "回退", *lake)
    assert "champion: complaints version 1" in back.output
    shown = _run("models", NAME).output
    assert "champion" in shown
    assert "回退" in shown
    assert "no version" in _run("models", "other").output
    rows = Lake.open(tmp_path / "lake").scan("promotion").collect()
    assert sorted(rows["promoted"].to_list()) == [False, True, True]
    for words in (("--reason", " "), ("--reason", "x", "--data", path)):
        with pytest.raises(ConfigError, match="--reason"):
            _run("promote", NAME, "2", *words, *lake)


def test_the_champion_annotates_by_its_name(registry: TextRegistry, tmp_path: Path) -> None:
    row = {"happened_on": date(2024, 6, 1), "content": "食品问题", "kind": "complaint"}
    Lake.open(tmp_path / "lake", buckets=2).merge("complaint", frame("complaint", [row]))
    with pytest.raises(RegistryError, match="no model of text 'complaints'"):
        _run("annotate", NAME, "--lake", tmp_path / "lake")
    leaves = ("F04", "M07")
    first = bundle(labels=leaves, name="leaf")
    _two(registry, tmp_path, first, bundle(0.9, made=2, labels=leaves, name="leaf"))
    done = _run("annotate", NAME, "--lake", tmp_path / "lake")
    assert registry.find(NAME, "champion").digest[:12] in done.output
    with pytest.raises(ConfigError, match="no such folder"):
        _run("annotate", tmp_path / "nothing", "--lake", tmp_path / "lake")
