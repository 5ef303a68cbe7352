"""Human review of a decision (人工复核): who may decide it, its states, its clock.

A decision that was made by a model alone may be refused by whom it is about (个人信息保护法
第二十四条): somebody looks at it who has not handled it. The days are data in ``review.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from models import yaml
from models.codes import calendar
from models.records.publicity import Certainty
from models.supervision.dated import Grounded
from models.supervision.machine import Machine, Step

FILE: Final = Path(__file__).with_name("review.yaml")
"""The terms that come with the package."""

OUTCOMES: Final[Mapping[str, str]] = {
    "upheld": "维持",
    "changed": "变更",
    "annulled": "撤销",
}
"""What a review ends with; an annulled decision is current no more."""

_OPEN: Final = frozenset({"asked", "assigned"})
MACHINE: Final = Machine(
    "人工复核",
    {"asked": "已受理", "assigned": "复核中", "decided": "已作出结论", "withdrawn": "已撤回"},
    (
        Step("assign", "指派复核人", _OPEN, "assigned"),
        Step("decide", "作出结论", frozenset({"assigned"}), "decided"),
        Step("withdraw", "撤回", _OPEN, "withdrawn"),
    ),
)


class Terms(Grounded):
    """The working days of a review."""

    working_days: Annotated[int, Field(ge=0, le=250)]
    days_certainty: Certainty

    def due(self, start: date) -> date:
        """Return the last day of a review; :class:`CodeError` beyond the known calendar."""
        return calendar.add_working_days(start, self.working_days, calendar=calendar.planning())


@cache
def terms() -> Terms:
    """Return the terms that come with the package; read once."""
    return load_terms(FILE)


def load_terms(path: Path | str) -> Terms:
    """Read terms from YAML; :class:`ConfigError` with ``file:line`` if they are wrong."""
    return yaml.load(path, Terms)
