"""The code that MLflow keeps beside a bundle, so that ``mlflow models serve`` answers without us.

MLflow copies this file into the model and runs it there: it must not import this project, and what
it computes must equal :mod:`models.risk` to the bit (a test holds them against each other). It
needs mlflow, lightgbm, numpy and pandas. Importing it registers the model with MLflow, so only
MLflow does.
"""

import hashlib
import json
from pathlib import Path
from typing import TypeAlias, cast

import lightgbm
import numpy as np
import pandas as pd
from mlflow.models import set_model  # pyright: ignore[reportUnknownVariableType]
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

_CERTAIN = 36.0
_SAFEST = 0.001


class RiskModel(PythonModel):
    """A bundle as a pyfunc: a pandas frame of features in, ``probability`` and ``risk_score`` out.

    A missing value is null or NaN; columns may stand in any order, further ones are not read.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Read the bundle; every file is held against its hash in the manifest first."""
        texts = _checked(Path(cast("dict[str, str]", context.artifacts)["bundle"]))
        encoder = json.loads(texts["encoder.json"])
        self.features = cast("list[str]", encoder["features"])
        self.codes = {
            name: {value: float(place) for place, value in enumerate(values)}
            for name, values in cast("dict[str, list[str]]", encoder["categories"]).items()
        }
        self.calibrator = cast("dict[str, object]", json.loads(texts["calibrator.json"]))
        self.booster = lightgbm.Booster(model_str=texts["booster.txt"])

    def predict(  # pyright: ignore[reportIncompatibleMethodOverride] -- MLflow's says nothing
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, object] | None = None,
    ) -> pd.DataFrame:
        """Return ``probability`` in (0, 1) and ``risk_score`` from 0 to 1000 of each row."""
        del context, params
        matrix = self._matrix(model_input)
        raw = np.zeros(0)
        if len(matrix):
            raw = cast("Floats", self.booster.predict(matrix, raw_score=True, num_threads=1))
        probability = _calibrated(raw, self.calibrator)
        scored = {"probability": probability, "risk_score": _risk_score(probability)}
        return pd.DataFrame(scored, index=model_input.index)

    def _matrix(self, frame: pd.DataFrame) -> Floats:
        missing = [name for name in self.features if name not in frame.columns]
        if missing:
            raise ValueError(f"the frame lacks the features {', '.join(missing)}; add them")
        columns = [self._column(cast("pd.Series", frame[name])) for name in self.features]
        matrix = np.ascontiguousarray(np.column_stack(columns), dtype=np.float64)
        if np.isinf(matrix).any():
            raise ValueError("a feature is infinite; it is a finite number, or null if not known")
        return matrix

    def _column(self, column: pd.Series) -> Floats:
        codes = self.codes.get(str(column.name))
        if codes is not None:
            return np.array(
                [codes.get(value, np.nan) for value in cast("list[str]", column.tolist())]
            )
        return np.asarray(column, dtype=np.float64)


def _checked(folder: Path) -> dict[str, str]:
    files = json.loads((folder / "manifest.json").read_bytes())["files"]
    texts: dict[str, str] = {}
    for name, digest in cast("dict[str, str]", files).items():
        content = (folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"{name} of the bundle was altered; register the model again")
        texts[name] = content.decode()
    return texts


def _calibrated(raw: Floats, calibrator: dict[str, object]) -> Floats:
    slope, slope_high, intercept = (
        cast("float", calibrator[name]) for name in ("slope", "slope_high", "intercept")
    )
    match calibrator["kind"]:
        case "none":
            return _sigmoid(raw)
        case "platt":
            return _sigmoid(slope * raw + intercept)
        case "beta":
            low, high = np.logaddexp(0.0, -raw), np.logaddexp(0.0, raw)
            return _sigmoid(slope_high * high - slope * low + intercept)
        case "isotonic":
            return _between(raw, np.array(calibrator["knots"]), np.array(calibrator["levels"]))
        case other:
            raise ValueError(f"unknown calibration {other}; use the release that made the bundle")


def _sigmoid(log_odds: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(log_odds, -_CERTAIN, _CERTAIN)))


def _between(raw: Floats, knots: Floats, levels: Floats) -> Floats:
    gaps = np.append(np.diff(knots), 1.0)
    inside = np.clip(raw, knots[0], knots[-1])
    block = np.searchsorted(knots, inside, side="right") - 1
    low, high = levels[block], levels[np.minimum(block + 1, len(levels) - 1)]
    risen = low + (high - low) * ((inside - knots[block]) / gaps[block])
    return np.minimum(risen, high)


def _logit(probability: Floats) -> Floats:
    return np.log(probability) - np.log1p(-probability)


def _risk_score(probability: Floats) -> Floats:
    safest, riskiest = _logit(np.array([_SAFEST, 1.0 - _SAFEST])).tolist()
    scaled = 1000.0 * (_logit(probability) - safest) / (riskiest - safest)
    return np.clip(scaled, 0.0, 1000.0)


set_model(RiskModel())
