"""Batches on a GPU where there is one: nvForest for scoring, LightGBM's own build for fitting.

What a GPU says is held against LightGBM's own prediction when it is chosen, and never used where it
differs; without GPU or without the extra ``gpu`` everything runs as before. A GPU adds up the trees
in another order, so its log-odds agree to about 1e-12 and not to the bit: single rows, and whoever
must repeat a decision to the bit, stay with the bundle as it was loaded.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from models.errors import BundleError, MissingExtraError
from models.logs import logger
from models.risk.booster import Booster
from models.risk.bundle import Bundle
from models.risk.encode import FloatArray

Device: TypeAlias = Literal["auto", "gpu", "cpu"]

LEAST: Final = 4_096
"""Rows from which on a batch goes to the GPU; fewer are done sooner than copied there."""
TOLERANCE: Final = 1e-9
"""By how much log-odds may differ from LightGBM's own."""
DRIVER: Final = Path("/proc/driver/nvidia/version")
"""Is there where NVIDIA's driver is loaded."""
_PROBES: Final = 2_048
_OBJECTIVE: Final = "\nobjective=binary sigmoid:1\n"
_PLAIN: Final = "\nobjective=regression\n"
"""An objective whose prediction is the bare sum of the trees: the log-odds."""


class _Forest(Protocol):
    """What is taken of an nvForest model."""

    def predict(self, X: NDArray[np.float64]) -> object:  # noqa: N803 -- its own name
        """Return the sums of the trees, on the host or the device."""
        ...


class _NvForest(Protocol):
    """What is taken of the package ``nvforest``."""

    def load_model(
        self, model_file: str, *, model_type: str, device: str, precision: str
    ) -> _Forest:
        """Load a model from LightGBM's text."""
        ...


class GpuBooster(Booster):
    """A booster whose batches go to the GPU; single rows and contributions stay where they were."""

    def __init__(self, booster: Booster, forest: _Forest) -> None:
        """Use :func:`accelerate`, which checks the forest first."""
        super().__init__(booster.text, booster.features)
        self._forest = forest

    def raw(self, matrix: FloatArray, threads: int = 1) -> FloatArray:
        """Return the log-odds of each row of ``matrix`` (rows × features)."""
        if len(matrix) < LEAST:
            return super().raw(matrix, threads)
        return _sums(self._forest, self._checked(matrix))


def accelerate(bundle: Bundle, *, device: Device = "auto") -> Bundle:
    """Return the bundle with its batches on the GPU, or the bundle itself where that cannot be.

    ``auto`` takes the GPU if it is there and agrees with LightGBM, ``cpu`` never, ``gpu`` insists.

    Raises:
        MissingExtraError: The GPU is insisted on, and nvForest is not installed.
        BundleError: It is insisted on, and there is none or it gives other log-odds.
    """
    if device == "cpu":
        return bundle
    try:
        forest = _load(bundle.booster)
        _check(bundle.booster, forest)
    except (MissingExtraError, BundleError) as error:
        if device == "gpu":
            raise
        logger(__name__).info("batches stay on the processor", reason=str(error))
        return bundle
    return replace(bundle, booster=GpuBooster(bundle.booster, forest))


def training_device() -> Literal["cuda", "gpu", "cpu"]:
    """Return LightGBM's ``device_type`` for fitting: the best that its build and this machine have.

    ``cuda`` (with a driver) and ``gpu`` (OpenCL) are tried on two rows; else it is ``cpu``.
    """
    import lightgbm

    # LightGBM prints a line where its build lacks CUDA: of interest only where there is a driver.
    devices: tuple[Literal["cuda", "gpu"], ...] = ("cuda", "gpu") if DRIVER.exists() else ("gpu",)
    for device in devices:
        data = lightgbm.Dataset(
            np.array([[0.0], [1.0]]), np.array([0.0, 1.0]), params={"min_data_in_bin": 1}
        )
        settings = {"device_type": device, "verbose": -1, "min_data_in_leaf": 1}
        try:
            lightgbm.Booster(settings, data)
        except lightgbm.basic.LightGBMError:
            continue
        return device
    return "cpu"


def _load(booster: Booster) -> _Forest:
    """Load a booster into nvForest on the GPU."""
    try:
        import nvforest  # pyright: ignore[reportMissingImports] -- an extra
    except ImportError:
        raise MissingExtraError("nvforest", "gpu") from None
    library = cast("_NvForest", nvforest)
    text = booster.text.replace(_OBJECTIVE, _PLAIN, 1)
    with tempfile.TemporaryDirectory(prefix="xinjian-") as folder:
        path = Path(folder) / "booster.txt"
        path.write_text(text, encoding="utf-8")
        try:
            return library.load_model(
                str(path), model_type="lightgbm", device="gpu", precision="double"
            )
        except Exception as error:
            raise BundleError(
                f"nvForest cannot use the GPU: {error}; check the driver with nvidia-smi, or leave "
                "the device to 'auto'"
            ) from error


def _check(booster: Booster, forest: _Forest) -> None:
    """Raise :class:`BundleError` where the forest gives other log-odds than LightGBM."""
    rows = _probes(booster)
    try:
        there = _sums(forest, rows)
    except Exception as error:
        raise BundleError(f"nvForest failed on the GPU: {error}; use the device 'cpu'") from error
    here = booster.raw(rows)
    worst = float(np.abs(there - here).max()) if there.shape == here.shape else float("inf")
    if not worst <= TOLERANCE:
        raise BundleError(
            f"nvForest differs from LightGBM by {worst:g} in log-odds, more than {TOLERANCE:g}; "
            "use the device 'cpu', and report the versions of both"
        )


def _sums(forest: _Forest, rows: FloatArray) -> FloatArray:
    found = forest.predict(rows)
    # An array on the device has get(), which copies it to the host.
    host = found.get() if hasattr(found, "get") else found  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    return np.asarray(host, dtype=np.float64).reshape(-1)


def _probes(booster: Booster) -> FloatArray:
    """Return rows that walk through the trees: thresholds, their neighbours, codes and nulls."""
    random = np.random.default_rng(0)
    features = len(booster.features)
    rows = random.normal(size=(_PROBES, features)) * 10.0 ** random.integers(-3, 7, features)
    cuts = _thresholds(booster.text)
    if cuts.size:
        near = random.choice(cuts, size=rows.shape)
        side = random.choice([-np.inf, np.inf], size=rows.shape)
        rows[::2] = np.where(random.random(rows.shape) < 0.5, near, np.nextafter(near, side))[::2]
    rows[2::5] = random.integers(-1, 40, rows[2::5].shape)
    rows[random.random(rows.shape) < 0.1] = np.nan
    return rows


def _thresholds(text: str) -> FloatArray:
    lines = (line for line in text.splitlines() if line.startswith("threshold="))
    values = [float(word) for line in lines for word in line.partition("=")[2].split()]
    return np.unique(np.array(values, np.float64))
