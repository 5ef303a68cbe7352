"""Compilation to machine code with numba, cached on disk.

numba keeps the code beside the source file, else in the user's cache folder (``NUMBA_CACHE_DIR``
names another), for this processor and this version of numba. It takes a source file that changed
for another by its time and size, and looks at no other file: a cached function and all that it
calls, constants too, stand in one file.
"""

from __future__ import annotations

from collections.abc import Callable
from pickle import UnpicklingError
from typing import Final, ParamSpec, TypeVar, cast

import numba

_P = ParamSpec("_P")
_R = TypeVar("_R")

_njit: Final = cast("Callable[..., Callable[[object], object]]", numba.njit)


def compiled(
    signature: str | None = None, *, cached: bool = True
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Return the decorator that compiles for ``signature``; null: as part of its callers.

    Where no folder for the cache can be written, or what it holds is damaged, the process compiles
    for itself.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        if signature is None:
            return cast("Callable[_P, _R]", _njit(nogil=True, error_model="numpy")(function))
        try:
            made = _njit(_types(signature), nogil=True, error_model="numpy", cache=cached)(function)
        except (OSError, RuntimeError, EOFError, UnpicklingError):
            if not cached:
                raise
            return compiled(signature, cached=False)(function)
        return cast("Callable[_P, _R]", made)

    return decorate


def _types(signature: str) -> object:
    """Return numba's types of arguments, and of what is returned after an arrow, else nothing.

    ``i4`` is an array of one dimension, ``i4,2`` of two, all C-contiguous; ``i4,0`` is a number.
    ``*`` marks an array that is written: those that are only read may be read-only, as those are
    that Polars hands out.
    """
    arguments, _, returned = signature.partition("->")
    made = numba.void if not returned else _type(returned.strip())
    return made(*(_type(part) for part in arguments.split()))


def _type(text: str) -> Callable[..., object]:
    names = {"u1": numba.uint8, "i4": numba.int32, "i8": numba.int64, "f8": numba.float64}
    name, _, dimensions = text.rstrip("*").partition(",")
    if dimensions == "0":
        return names[name]
    written = text.endswith("*")
    return numba.types.Array(names[name], int(dimensions or 1), "C", readonly=not written)
