from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import polars as pl
import pytest
import yaml

from models.risk.bundle import Bundle
from models.risk.calibrate import Calibrator
from models.risk.grade import risk_score
from models.tracking import quiet
from training.registry import _save_pyfunc


class Maker(Protocol):
    def __call__(self, seed: int = 1, *, calibrator: Calibrator | None = None) -> Bundle: ...

    def features(self, rows: int, *, seed: int) -> pl.DataFrame: ...


# What a machine without this project runs; the checkout is taken off the path first.
STRANGER = """
import importlib.util, json, sys
root, model, data = sys.argv[1:4]
sys.path[:] = [path for path in sys.path if path not in ("", root)]
assert all(importlib.util.find_spec(name) is None for name in ("models", "training", "xinjian"))
import mlflow, pandas
loaded = mlflow.pyfunc.load_model(model)
answer = loaded.predict(pandas.read_json(data, orient="split", precise_float=True, dtype=False))
print(json.dumps({name: answer[name].tolist() for name in answer}))
"""

CALIBRATORS = (
    Calibrator(),
    Calibrator("platt", slope=0.9, intercept=-0.3),
    Calibrator("beta", slope=0.8, slope_high=1.3, intercept=0.1),
    Calibrator("isotonic", knots=(-2.2, -2.0, -1.5), levels=(0.05, 0.2, 0.6)),
)


def _saved(bundle: Bundle, folder: Path) -> Path:
    bundle.save(folder / "run" / "bundle")
    with quiet():
        _save_pyfunc(folder, folder / "run" / "bundle", bundle)
    return folder / "model"


@pytest.fixture(scope="session")
def rows(maker: Maker) -> pl.DataFrame:
    """Return features with nulls, and categories that no bundle knows."""
    frame = maker.features(60, seed=9)
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    unseen = pl.when(pl.int_range(pl.len()) % 7 == 0).then(pl.lit("从未见过"))
    return frame.with_columns(unseen.otherwise(pl.col(name)).alias(name) for name in texts[1:])


def _as_split(frame: pl.DataFrame) -> str:
    return json.dumps(
        {"columns": frame.columns, "data": [list(row) for row in frame.rows()]}, default=str
    )


def test_a_machine_without_this_project_gives_the_same_to_the_bit(
    bundle: Bundle, rows: pl.DataFrame, tmp_path: Path, root: Path
) -> None:
    model = _saved(bundle, tmp_path)
    data = tmp_path / "rows.json"
    data.write_text(_as_split(rows), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STRANGER, str(root), str(model), str(data)],
        cwd=tmp_path,
        env={"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    probability = bundle.probability(rows)
    assert answer["probability"] == probability.to_list()
    assert answer["risk_score"] == risk_score(probability.to_numpy()).tolist()


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda one: one.kind)
def test_every_calibration_gives_the_same_to_the_bit(
    calibrator: Calibrator, maker: Maker, rows: pl.DataFrame, tmp_path: Path
) -> None:
    bundle = maker(3, calibrator=calibrator)
    model = _saved(bundle, tmp_path)
    with quiet():
        from mlflow import pyfunc

        loaded: object = pyfunc.load_model(str(model))
        predict = cast("Callable[..., dict[str, object]]", vars(type(loaded))["predict"])
        answer = predict(loaded, rows.drop("subject_id", "as_of").to_pandas())
    assert np.array_equal(np.asarray(answer["probability"]), bundle.probability(rows).to_numpy())


def test_the_signature_names_every_feature_and_none_is_required(
    bundle: Bundle, tmp_path: Path
) -> None:
    declared = yaml.safe_load((_saved(bundle, tmp_path) / "MLmodel").read_text(encoding="utf-8"))
    inputs = json.loads(declared["signature"]["inputs"])
    assert [one["name"] for one in inputs] == list(bundle.encoder.features)
    assert len(inputs) > 120
    assert not any(one["required"] for one in inputs)
    texts = {one["name"] for one in inputs if one["type"] == "string"}
    assert texts == set(bundle.encoder.categories)


def test_an_altered_bundle_does_not_load(bundle: Bundle, tmp_path: Path) -> None:
    model = _saved(bundle, tmp_path)
    path = model / "artifacts" / "bundle" / "calibrator.json"
    path.write_text(path.read_text(encoding="utf-8").replace("0.6", "0.7"), encoding="utf-8")
    with quiet():
        from mlflow import pyfunc

        with pytest.raises(ValueError, match=r"calibrator\.json .* altered"):
            pyfunc.load_model(str(model))
