"""What changes between two decisions of one subject: probability, grade and reasons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

_WINDOW: Final = re.compile(r"_\d+d(?=_|$)")
_LEAST: Final = 1e-9
"""Log-odds by which a reason must differ to have changed."""


@dataclass(frozen=True, slots=True)
class ReasonChange:
    """A reason that is gone (``after`` null), new (``before`` null) or weighs differently.

    Contributions are in log-odds, above 0 where they raise the risk.
    """

    before_text: str | None
    after_text: str | None
    before: float | None
    after: float | None


def reason_changes(
    before: Mapping[str, object] | None, after: Mapping[str, object] | None
) -> tuple[ReasonChange, ...]:
    """Return how reasons differ between two explanations, the largest difference first.

    Explanations are :class:`models.risk.explain.Explanation` as JSON; null has no reasons. Two
    reasons are one where they are about the same features, whatever their windows and values.
    """
    one, two = _reasons(before), _reasons(after)
    changes = [
        ReasonChange(_text(one, key), _text(two, key), _weight(one, key), _weight(two, key))
        for key in dict.fromkeys((*one, *two))
    ]
    differing = [c for c in changes if _moved(c) > _LEAST or c.before_text != c.after_text]
    return tuple(sorted(differing, key=lambda c: (-_moved(c), c.after_text or c.before_text or "")))


_Reasons = dict[str, tuple[str, float]]


def _reasons(explanation: Mapping[str, object] | None) -> _Reasons:
    found: _Reasons = {}
    for side in ("reasons", "mitigating"):
        for reason in cast("Sequence[Mapping[str, object]]", (explanation or {}).get(side, ())):
            parts = cast("Sequence[Mapping[str, object]]", reason["parts"])
            features = sorted({_WINDOW.sub("", str(part["feature"])) for part in parts})
            weight = cast("float", reason["contribution"])
            found.setdefault("|".join(features), (str(reason["text"]), weight))
    return found


def _text(found: _Reasons, key: str) -> str | None:
    return found[key][0] if key in found else None


def _weight(found: _Reasons, key: str) -> float | None:
    return found[key][1] if key in found else None


def _moved(change: ReasonChange) -> float:
    return abs((change.after or 0.0) - (change.before or 0.0))
