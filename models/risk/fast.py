"""LightGBM's C interface for a single row, which its Python package does not offer.

``LGBM_BoosterPredictForMatSingleRowFastInit`` reads the parameters once and keeps them; a call
then costs little more than walking the trees. See LightGBM's ``include/LightGBM/c_api.h``.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import numpy as np

from models.errors import BundleError
from models.risk.encode import FloatArray

if TYPE_CHECKING:
    import lightgbm

Output: TypeAlias = Literal["raw", "contributions"]

_PREDICT: Final[dict[Output, int]] = {"raw": 1, "contributions": 3}
_FLOAT64: Final = 1


class SingleRow:
    """One kind of prediction of one booster, for one thread at a time: it holds the buffers.

    Raises ``AttributeError``, ``KeyError`` or ``OSError`` where the installed LightGBM lacks the
    interface or hides it elsewhere.
    """

    __slots__ = ("__weakref__", "_arguments", "_booster", "_call", "_out", "_result", "_row")

    def __init__(self, booster: lightgbm.Booster, features: int, output: Output) -> None:
        library = _library(output)
        width = 1 if output == "raw" else features + 1
        self._row = np.zeros(features)
        self._out = np.zeros(width)
        self._result = np.zeros(1, np.int64)
        self._call = library.LGBM_BoosterPredictForMatSingleRowFast
        self._booster = booster  # the settings point to it: it has to live as long
        settings = ctypes.c_void_p()
        failed = library.LGBM_BoosterPredictForMatSingleRowFastInit(
            cast("ctypes.c_void_p", vars(booster)["_handle"]),
            *(_PREDICT[output], 0, -1, _FLOAT64, features),
            b"num_threads=1",
            ctypes.byref(settings),
        )
        if failed:
            raise OSError(_last_error(library))
        weakref.finalize(self, library.LGBM_FastConfigFree, settings).atexit = False
        pointers = (ctypes.c_void_p(a.ctypes.data) for a in (self._row, self._result, self._out))
        self._arguments = (settings, *pointers)

    def __call__(self, row: FloatArray) -> FloatArray:
        """Return what the booster says of ``row``, in a buffer that the next call overwrites."""
        self._row[:] = row
        if self._call(*self._arguments):
            raise BundleError("LightGBM could not read the row; check the bundle's features")
        return self._out


def _library(output: Output) -> ctypes.CDLL:
    """Return the library that the package has loaded, as an object of our own.

    A raw score takes microseconds, so the interpreter's lock is kept: to give it away and get it
    back from a busy thread takes longer. Contributions may take milliseconds and let others run.
    """
    import lightgbm.basic

    path = cast("str", vars(cast("ctypes.CDLL", vars(lightgbm.basic)["_LIB"]))["_name"])
    return ctypes.PyDLL(path) if output == "raw" else ctypes.CDLL(path)


def _last_error(library: ctypes.CDLL) -> str:
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return cast("bytes", library.LGBM_GetLastError()).decode(errors="replace")
