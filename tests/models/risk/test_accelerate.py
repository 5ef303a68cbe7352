from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import lightgbm
import numpy as np
import polars as pl
import pytest

from models.errors import BundleError, MissingExtraError
from models.features.spec import FeatureSpec
from models.risk import accelerate as accelerating
from models.risk.accelerate import LEAST, TOLERANCE, GpuBooster, accelerate, training_device
from models.risk.booster import Booster
from models.risk.bundle import Bundle
from models.risk.calibrate import Calibrator
from models.risk.encode import Encoder, FloatArray
from models.risk.manifest import BundleManifest
from models.scenarios.catalogue import scenario_named


def _frame(rows: int) -> pl.DataFrame:
    generator = np.random.default_rng(rows)
    known = generator.random(rows) < 0.8
    numbers = pl.Series("age", generator.normal(size=rows))
    return pl.DataFrame(
        {
            "age": pl.select(pl.when(pl.Series(known)).then(numbers)).to_series(),
            "industry": generator.choice(["甲", "乙", "丙", "丁"], size=rows),
        },
        schema={"age": pl.Float64, "industry": pl.String},
    )


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    specs = (
        FeatureSpec("age", "年限", "年", "subject", "number", None, "{value}", None, None),
        FeatureSpec("industry", "行业", None, "subject", "category", None, "{value}", None, None),
    )
    frame = _frame(500)
    encoder = Encoder.of(frame, specs)
    y = np.random.default_rng(1).random(500) < (0.2 + 0.5 * (frame["industry"] == "甲").to_numpy())
    data = lightgbm.Dataset(encoder.matrix(frame), y, categorical_feature=[1])
    fitted = lightgbm.Booster({"objective": "binary", "num_leaves": 6, "verbose": -1}, data)
    for _ in range(20):
        fitted.update()  # pyright: ignore[reportUnknownMemberType]
    manifest = BundleManifest.model_validate(
        {
            "data_versions": {},
            "trained_from": "2023-01-01",
            "trained_to": "2024-01-01",
            "rows": 500,
            "positives": int(y.sum()),
            "base_rate": float(y.mean()),
        }
    )
    booster = Booster.from_text(fitted.model_to_string(), features=encoder.features)
    scenario = scenario_named("food_safety")
    return Bundle(scenario, specs, encoder, booster, Calibrator("platt"), manifest)


class _Forest:
    """Stands for nvForest, which needs a GPU: LightGBM itself on the model it is given."""

    def __init__(self, path: str, *, error: float = 0.0) -> None:
        self.booster = lightgbm.Booster(model_file=path)
        self.error = error
        self.calls = 0

    def predict(self, rows: FloatArray) -> object:
        self.calls += 1
        sums = np.asarray(self.booster.predict(rows)) + self.error
        return SimpleNamespace(get=lambda: sums[:, None])  # as an array on the device


def _install(monkeypatch: pytest.MonkeyPatch, *, error: float = 0.0) -> list[_Forest]:
    made: list[_Forest] = []

    def load_model(path: str, **asked: str) -> _Forest:
        assert asked == {"model_type": "lightgbm", "device": "gpu", "precision": "double"}
        made.append(_Forest(path, error=error))
        return made[-1]

    monkeypatch.setitem(sys.modules, "nvforest", SimpleNamespace(load_model=load_model))
    return made


def test_batches_go_to_the_gpu_and_single_rows_do_not(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    (made,) = (_install(monkeypatch),)
    fast = accelerate(bundle)
    assert isinstance(fast.booster, GpuBooster)
    assert fast.digest == bundle.digest
    calls = made[0].calls
    assert fast.probability(_frame(1)).equals(bundle.probability(_frame(1)))
    assert made[0].calls == calls
    many = _frame(LEAST + 1)
    close = np.abs(fast.probability(many).to_numpy() - bundle.probability(many).to_numpy())
    assert close.max() < TOLERANCE
    assert made[0].calls == calls + 1


def test_explanations_stay_where_they_were(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch)
    matrix = bundle.encoder.matrix(_frame(5))
    there = accelerate(bundle).booster.contributions(matrix)
    assert np.array_equal(there, bundle.booster.contributions(matrix))


@pytest.mark.parametrize("error", [1e-6, float("nan")])
def test_a_gpu_that_gives_other_log_odds_is_not_used(
    error: float, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(monkeypatch, error=error)
    assert accelerate(bundle) is bundle
    with pytest.raises(BundleError, match=r"nvForest differs .* device 'cpu'"):
        accelerate(bundle, device="gpu")


def test_a_model_that_does_not_give_the_sum_of_its_trees_is_not_used(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(monkeypatch)
    # An objective that is not exchanged: nvForest gives probabilities.
    booster = Booster(bundle.booster.text, bundle.booster.features)
    booster.text = booster.text.replace("objective=binary sigmoid:1", "objective=binary sigmoid:2")
    odd = replace(bundle, booster=booster)
    assert accelerate(odd) is odd


def test_without_nvforest_everything_runs_as_before(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nvforest", None)
    assert accelerate(bundle) is bundle
    with pytest.raises(MissingExtraError, match=r"xinjian\[gpu\]"):
        accelerate(bundle, device="gpu")


def test_without_a_gpu_everything_runs_as_before(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_model(*_: object, **__: object) -> None:
        raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")

    monkeypatch.setitem(sys.modules, "nvforest", SimpleNamespace(load_model=load_model))
    assert accelerate(bundle) is bundle
    with pytest.raises(BundleError, match=r"no CUDA-capable device.*nvidia-smi"):
        accelerate(bundle, device="gpu")


def test_a_gpu_that_fails_at_the_first_batch_is_not_used(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(_: object) -> None:
        raise MemoryError("out of memory")

    def load_model(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(predict=predict)

    monkeypatch.setitem(sys.modules, "nvforest", SimpleNamespace(load_model=load_model))
    assert accelerate(bundle) is bundle


def test_the_processor_is_taken_where_it_is_asked_for(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _install(monkeypatch)
    assert accelerate(bundle, device="cpu") is bundle
    assert made == []


def test_training_takes_a_device_that_this_build_can_use(
    capfd: pytest.CaptureFixture[str],
) -> None:
    device = training_device()
    assert device in {"cuda", "gpu", "cpu"}
    assert capfd.readouterr() == ("", "")
    data = lightgbm.Dataset(np.zeros((2, 1)), np.array([0.0, 1.0]), params={"verbose": -1})
    lightgbm.Booster({"device_type": device, "verbose": -1}, data)


def test_the_best_device_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def booster(settings: dict[str, object], _: object) -> None:
        tried.append(str(settings["device_type"]))
        if settings["device_type"] == "cuda":
            raise lightgbm.basic.LightGBMError("not in this build")

    monkeypatch.setattr(lightgbm, "Booster", booster)
    monkeypatch.setattr(accelerating, "DRIVER", Path(__file__))
    assert training_device() == "gpu"
    assert tried == ["cuda", "gpu"]
