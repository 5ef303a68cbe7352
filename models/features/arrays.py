"""The arrays that compiled code reads and writes, by what they hold."""

from __future__ import annotations

from typing import Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Days: TypeAlias = NDArray[np.int32]
"""Days since 1970-01-01, or codes of values."""
Longs: TypeAlias = NDArray[np.int64]
"""Places, or microseconds since 1970."""
Floats: TypeAlias = NDArray[np.float64]

_PAGE: Final = 1 << 21
"""Bytes of a large page of memory."""

_Number = TypeVar("_Number", bound=np.generic)


def roomy(shape: tuple[int, ...], dtype: type[_Number]) -> NDArray[_Number]:
    """Return an uninitialised array that fills large pages of memory by itself.

    numpy asks the system for large pages where an array has room for them. To take memory by small
    ones, as happens at the ends of an array that lies across, costs many times more: a page of
    4 KiB takes about as long as the work on what is in it.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size < _PAGE // 2:
        return np.empty(shape, dtype)
    raw = np.empty((-(-size // _PAGE) + 1) * _PAGE, np.uint8)
    start = -raw.ctypes.data % _PAGE
    return raw[start : start + size].view(dtype).reshape(shape)
