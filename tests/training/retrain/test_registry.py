from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import BundleError, RegistryError
from models.risk import published
from models.risk.bundle import Bundle
from models.settings import Settings
from training.registry import Registry

MakeRun = Callable[[Bundle], Path]
Maker = Callable[[int], Bundle]

SCENARIO = "culture_market_inspection"


def test_a_registered_bundle_comes_back_to_the_bit(
    registry: Registry, bundle: Bundle, make_run: MakeRun
) -> None:
    one = registry.register(make_run(bundle))
    assert (one.version, one.digest, one.aliases) == (1, bundle.digest, ())
    loaded = registry.load(SCENARIO, 1)
    assert loaded.digest == bundle.digest
    assert loaded.content() == bundle.content()


def test_a_run_has_parameters_metrics_pictures_data_versions_and_tags(
    registry: Registry, bundle: Bundle, make_run: MakeRun
) -> None:
    one = registry.register(make_run(bundle))
    with registry._client() as client:
        run = client.get_run(one.run_id)
    folder = registry.artifacts / one.run_id / "artifacts"
    there = {path.name for path in folder.iterdir()}
    assert run.data.params["leaves"] == "4"
    assert run.data.params["data_version.inspection"] == "3"
    assert run.data.metrics == {"auc": 0.7, "precision_capacity": 0.4}
    assert run.data.tags[published.SCENARIO_DIGEST] == bundle.scenario.digest
    assert run.info.status == "FINISHED"
    assert there == {"card.html", "model", "plots"}
    assert (folder / "plots" / "reliability.svg").exists()
    assert one.tags[published.DIGEST] == bundle.digest


def test_rows_about_subjects_stay_where_they_are(
    registry: Registry, bundle: Bundle, make_run: MakeRun
) -> None:
    run = make_run(bundle)
    (run / "predictions.parquet").write_bytes(b"rows")
    registry.register(run)
    assert not list(registry.artifacts.rglob("*.parquet"))


def test_nothing_is_pickled(registry: Registry, bundle: Bundle, make_run: MakeRun) -> None:
    registry.register(make_run(bundle))
    kinds = {path.suffix for path in registry.artifacts.rglob("*") if path.is_file()}
    assert kinds == {".html", ".json", ".py", ".svg", ".txt", ".yaml", ""}
    assert {p.name for p in registry.artifacts.rglob("*") if not p.suffix and p.is_file()} == {
        "MLmodel"
    }


def test_registering_twice_is_registering_once(
    registry: Registry, bundle: Bundle, make_run: MakeRun
) -> None:
    run = make_run(bundle)
    assert registry.register(run) == registry.register(run)
    assert len(registry.versions(SCENARIO)) == 1


STEPS = (
    "create_experiment",
    "create_run",
    "log_batch",
    "log_artifacts",
    "set_terminated",
    "create_registered_model",
    "create_model_version",
)


@pytest.mark.parametrize("step", STEPS)
def test_a_tracker_that_fails_in_the_middle_loses_nothing(
    step: str,
    registry: Registry,
    bundle: Bundle,
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("reset by peer")

    run = make_run(bundle)
    with monkeypatch.context() as broken:
        broken.setattr(f"mlflow.MlflowClient.{step}", fail)
        with pytest.raises(RegistryError, match=rf"xinjian risk register {run}"):
            registry.register(run)
    assert registry.versions(SCENARIO) == []
    assert registry.register(run).version == 1
    with registry._client() as client:
        experiment = client.get_experiment_by_name(published.model_name(SCENARIO))
        assert experiment is not None
        assert len(client.search_runs([experiment.experiment_id])) == 1
    assert registry.load(SCENARIO, 1).digest == bundle.digest


def test_champion_challenger_and_the_one_before(
    registry: Registry, maker: Maker, make_run: MakeRun
) -> None:
    for seed in (1, 2):
        registry.register(make_run(maker(seed)))
    registry.promote(SCENARIO, 1)
    registry.name(SCENARIO, 2, published.CHALLENGER)
    assert registry.find(SCENARIO, "champion").version == 1
    assert registry.find(SCENARIO, "challenger").version == 2
    for _ in range(2):
        assert registry.promote(SCENARIO, "2").aliases == ("champion",)
        assert registry.find(SCENARIO, "previous").version == 1
    back = registry.promote(SCENARIO, "previous")
    assert (back.version, back.aliases) == (1, ("champion",))
    assert registry.find(SCENARIO, "previous").version == 2


def test_tags_are_written_and_replaced(
    registry: Registry, bundle: Bundle, make_run: MakeRun
) -> None:
    one = registry.register(make_run(bundle))
    registry.tag(one, {published.VERDICT: "keep"})
    registry.tag(one, {published.VERDICT: "promote"})
    assert registry.find(SCENARIO, 1).tags[published.VERDICT] == "promote"


def test_an_alias_that_points_to_nothing_says_what_there_is(
    registry: Registry, bundle: Bundle, make_run: MakeRun
) -> None:
    registry.register(make_run(bundle))
    registry.promote(SCENARIO, 1)
    with pytest.raises(RegistryError, match=r"'champian' .*nothing.*champion.*versions 1.*promote"):
        registry.load(SCENARIO, "champian")
    with pytest.raises(RegistryError, match="'7' of scenario"):
        registry.find(SCENARIO, 7)


def test_a_scenario_without_models_says_how_to_get_one(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="xinjian risk fit food_safety"):
        registry.find("food_safety", "champion")
    untouched = Registry(f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}", tmp_path / "new")
    assert untouched.versions(SCENARIO) == []
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["booster.txt", "manifest.json", "calibrator.json"])
def test_an_artifact_with_one_byte_changed_is_refused(
    name: str, registry: Registry, bundle: Bundle, make_run: MakeRun
) -> None:
    registry.register(make_run(bundle))
    (path,) = registry.artifacts.rglob(f"bundle/{name}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=f"version 1 of scenario '{SCENARIO}'.*{name}"):
        registry.load(SCENARIO, 1)


def test_another_whole_bundle_in_its_place_is_refused(
    registry: Registry, maker: Maker, make_run: MakeRun
) -> None:
    registry.register(make_run(maker(1)))
    (path,) = registry.artifacts.rglob("bundle/booster.txt")
    for name, content in maker(2).content().items():
        (path.parent / name).write_bytes(content)
    (path.parent / "manifest.json").write_text(maker(2).manifest.text, encoding="utf-8")
    with pytest.raises(BundleError, match="digest"):
        registry.load(SCENARIO, 1)


def test_artifacts_that_are_gone_are_named(
    registry: Registry, bundle: Bundle, make_run: MakeRun
) -> None:
    registry.register(make_run(bundle))
    (path,) = registry.artifacts.rglob("bundle/booster.txt")
    path.unlink()
    with pytest.raises(BundleError, match=r"booster\.txt"):
        registry.load(SCENARIO, 1)


@pytest.mark.parametrize(
    "uri",
    [
        "http://user:hunter2@127.0.0.1:9",
        "postgresql://user:hunter2@127.0.0.1:9/mlflow",
        "sqlite:////proc/nowhere/mlflow.db",
    ],
)
def test_a_tracker_that_is_not_there_is_named_without_its_password(
    uri: str, bundle: Bundle, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run(bundle)
    with pytest.raises(RegistryError, match="cannot be used") as caught:
        Registry(uri, tmp_path / "artifacts").register(run)
    assert str(run) in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_settings_name_the_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path))
    registry = Registry.of(Settings.load())
    assert registry.uri == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    assert registry.artifacts == tmp_path / "mlflow" / "artifacts"


def test_mlflow_says_nothing(
    registry: Registry, bundle: Bundle, make_run: MakeRun, capfd: pytest.CaptureFixture[str]
) -> None:
    registry.register(make_run(bundle))
    registry.load(SCENARIO, 1)
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")


def test_mlflow_sends_nothing(tmp_path: Path, root: Path) -> None:
    code = """
from pathlib import Path
from training.registry import Registry
with Registry("http://127.0.0.1:9", Path("artifacts"))._client():
    from mlflow.telemetry.client import get_telemetry_client
    print(get_telemetry_client())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout == "None\n"
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())
