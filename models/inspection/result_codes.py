"""抽查检查结果代码: how an inspection can end, and what that means."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, Literal, TypeAlias

from models import yaml
from models.errors import InspectionError
from models.names import fold
from models.scenarios.label import Frozen
from models.yaml import nearest

Scheme: TypeAlias = Literal["provincial", "earlier"]

_FILE: Final = Path(__file__).with_name("results.yaml")


class ResultCode(Frozen):
    """One code: ``result`` is its meaning to training; ``abnormal``: leads to 经营异常名录."""

    label: str
    result: Literal["pass", "fail", "excluded"]
    abnormal: bool = False
    provincial: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    spellings: tuple[str, ...] = ()

    @property
    def positive(self) -> bool:
        """Return whether a problem was found."""
        return self.result == "fail"

    @property
    def excluded(self) -> bool:
        """Return whether it tells nothing about the risk and so is no label."""
        return self.result == "excluded"


class _Layout(Frozen):
    codes: dict[str, ResultCode]


@cache
def codes() -> dict[str, ResultCode]:
    """Return code → meaning, in the order of the table; read once."""
    return dict(yaml.load(_FILE, _Layout).codes)


def meaning(code: str) -> ResultCode:
    """Return what a code means; raise :class:`InspectionError` where there is no such code."""
    if code not in codes():
        raise InspectionError(f"'{code}' is no code of a result{nearest(code, codes())}")
    return codes()[code]


def parse(text: str | None, scheme: Scheme | None = None) -> str | None:
    """Return the code that a text means; null if none.

    Our codes and the labels are understood always, bare figures and letters only with the
    ``scheme`` that they belong to, as the same ones mean other things in others.
    """
    if text is None:
        return None
    return _meant(scheme).get(fold(text))


@cache
def _meant(scheme: Scheme | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for code, entry in codes().items():
        own = {"provincial": entry.provincial, "earlier": entry.earlier}.get(scheme or "", ())
        for spelling in (code, entry.label, f"{code} {entry.label}", *entry.spellings, *own):
            found[fold(spelling)] = code
    return found
