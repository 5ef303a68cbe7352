"""诉求智能分派: which department, and at which level, a complaint goes to, or why a person decides.

The violation that was read names the department (:mod:`models.text.taxonomy`), the region the
office. The rules and terms are data in ``dispatch.yaml``. Whatever is not plain goes to a person:
an answer that is not sure enough, two departments in question, or a word of public safety.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models import yaml
from models.codes import calendar, regions
from models.errors import ConfigError
from models.supervision.machine import Machine, Step
from models.text.encoder import clean, plain
from models.text.simplified import simplified
from models.text.taxonomy import Taxonomy, taxonomy
from models.yaml import nearest

Kind: TypeAlias = Literal["complaint", "report"]
Level: TypeAlias = Literal["province", "city", "county"]
Why: TypeAlias = Literal[
    "no_model", "nothing_to_read", "unsure", "two_departments", "public_safety", "recalled"
]

_FILE: Final = Path(__file__).with_name("dispatch.yaml")
OUTCOMES: Final[Mapping[str, str]] = {
    "settled": "已办结",
    "not_accepted": "不予受理",
    "withdrawn": "已撤回",
}
"""What a complaint ends with."""

_WITH_SOMEBODY: Final = frozenset({"dispatched", "assigned"})
MACHINE: Final = Machine(
    "诉求分派",
    {
        "dispatched": "已自动分派",
        "desk": "待人工分派",
        "assigned": "已人工分派",
        "accepted": "已受理",
        "closed": "已结束",
    },
    (
        Step("recall", "撤回分派", frozenset({"dispatched"}), "desk"),
        Step("assign", "人工分派", frozenset({"desk", "assigned"}), "assigned"),
        Step("accept", "受理", _WITH_SOMEBODY, "accepted"),
        Step("close", "结束", frozenset({"desk", "accepted"}) | _WITH_SOMEBODY, "closed"),
    ),
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Terms(_Frozen):
    """Working days to take a complaint on, and from then on to end it; null where no law says."""

    accept: Annotated[int, Field(ge=1, le=250)]
    end: Annotated[int, Field(ge=1, le=250)] | None = None


class Clock(_Frozen):
    """The terms of some departments, and the rule that sets them."""

    departments: Annotated[tuple[str, ...], Field(min_length=1)]
    basis: str
    complaint: Terms
    report: Terms


class Rules(_Frozen):
    """How complaints are dispatched, as of ``since``."""

    version: str
    since: Annotated[date, Field(alias="from")]
    confidence: Annotated[float, Field(gt=0, le=1)]
    rival: Annotated[float, Field(gt=0, le=0.5)]
    recall_days: Annotated[int, Field(ge=1, le=20)]
    public_safety: Annotated[tuple[str, ...], Field(min_length=1)]
    lowest: Mapping[str, Level] = {}
    leaves: Mapping[str, Level] = {}
    clocks: tuple[Clock, ...]
    undecided: str

    @model_validator(mode="after")
    def _sound(self) -> Self:
        known = taxonomy()
        told = [one for clock in self.clocks for one in clock.departments]
        for name in (*self.lowest, *told, self.undecided):
            if name not in known.departments:
                hint = nearest(name, known.departments)
                raise ValueError(f"there is no department '{name}'{hint}")
        twice = sorted({one for one in told if told.count(one) > 1})
        if twice:
            raise ValueError(f"department {twice[0]} has two clocks; leave one out")
        try:
            known.check(self.leaves)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    def clock(self, department: str | None) -> Clock | None:
        """Return the clock of a department, of nobody's yet for null; null where none is known."""
        name = department or self.undecided
        return next((one for one in self.clocks if name in one.departments), None)


def load(path: Path) -> Rules:
    """Read rules; :class:`ConfigError` with ``file:line`` for what is wrong in them."""
    return yaml.load(path, Rules)


@cache
def rules() -> Rules:
    """Return the rules that come with the package."""
    return load(_FILE)


@dataclass(frozen=True, slots=True)
class Read:
    """What a model read in a complaint: its likeliest leaves with their probability, best first.

    ``abstains``: the model itself is not sure enough. ``top`` is empty for nothing to read.
    """

    top: tuple[tuple[str, float], ...]
    abstains: bool


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a person decides."""

    kind: Why
    text: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where a complaint goes: a department's office in a region, or with reasons to a person."""

    leaf: str | None
    probability: float | None
    department: str | None
    region: str | None
    top: tuple[tuple[str, float], ...]
    reasons: tuple[Reason, ...]

    @property
    def state(self) -> str:
        """Return the state that it begins in."""
        return "desk" if self.reasons else "dispatched"


def route(
    text: str,
    read: Read | None,
    region: str,
    *,
    known: Taxonomy | None = None,
    by: Rules | None = None,
) -> Route:
    """Return where a complaint goes.

    Args:
        text: The complaint.
        read: What a model read in it; null where there is no model.
        region: Where the matter is, six digits.
        known: The taxonomy; the package's by default.
        by: The rules; the package's by default.

    Raises:
        ConfigError: A leaf is not of the taxonomy.
    """
    leaves, asked = known or taxonomy(), by or rules()
    reasons = (*_unread(read), *_doubts(read, leaves, asked), *_dangers(text, asked))
    if read is None or not read.top:
        return Route(None, None, None, None, (), reasons)
    leaf, probability = read.top[0]
    if reasons:
        return Route(leaf, probability, None, None, read.top, reasons)
    department = leaves.leaf(leaf).departments[0]
    where = office(region, department, leaf, by=asked)
    return Route(leaf, probability, department, where, read.top, ())


def office(
    region: str, department: str, leaf: str | None = None, *, by: Rules | None = None
) -> str:
    """Return the region whose office of a department answers for a place.

    It is the place's own unless the department, or the kind of violation, belongs higher up.
    """
    asked = by or rules()
    level = asked.leaves.get(leaf or "") or asked.lowest.get(department, "county")
    own = regions.current(region) or region
    if level == "county":
        return own
    above = regions.province(own) or own
    return above if level == "province" else regions.city(own) or above


def recall_until(start: date, *, by: Rules | None = None) -> date:
    """Return the last day on which an automatic dispatch of a day can be recalled."""
    return _after(start, (by or rules()).recall_days)


def accept_due(
    kind: Kind, department: str | None, start: date, *, by: Rules | None = None
) -> date | None:
    """Return the last day to take a complaint on that came on a day; null where no rule says."""
    clock = (by or rules()).clock(department)
    return None if clock is None else _after(start, _terms(clock, kind).accept)


def end_due(
    kind: Kind, department: str | None, accepted: date, *, by: Rules | None = None
) -> date | None:
    """Return the last day to end a complaint that was taken on on a day; null where none says."""
    clock = (by or rules()).clock(department)
    days = None if clock is None else _terms(clock, kind).end
    return None if days is None else _after(accepted, days)


def dangers(text: str, *, by: Rules | None = None) -> tuple[str, ...]:
    """Return the words of public safety in a text, however they are spaced or written."""
    read = "".join(simplified(plain(clean(text))).split())
    return tuple(word for word in (by or rules()).public_safety if word in read)


def _unread(read: Read | None) -> Sequence[Reason]:
    if read is None:
        return (Reason("no_model", "没有可用的文本模型"),)
    return () if read.top else (Reason("nothing_to_read", "没有可以识别的文字"),)


def _doubts(read: Read | None, leaves: Taxonomy, asked: Rules) -> list[Reason]:
    if read is None or not read.top:
        return []
    (leaf, probability), found = read.top[0], list[Reason]()
    if read.abstains or probability < asked.confidence:
        least = f"{asked.confidence:.2f}"
        text = f"最可能的“{leaves.leaf(leaf).title}”概率为 {probability:.2f}，不足 {least}"
        if probability >= asked.confidence:
            text = f"模型对“{leaves.leaf(leaf).title}”（概率 {probability:.2f}）没有把握"
        found.append(Reason("unsure", text))
    own = leaves.leaf(leaf).departments
    likely = [one for one, p in read.top[1:] if p >= asked.rival]
    others = dict.fromkeys([*own, *(leaves.leaf(one).departments[0] for one in likely)])
    if len(others) > 1:
        names = "、".join(leaves.departments[one] for one in others)
        found.append(Reason("two_departments", f"涉及多个部门：{names}"))
    return found


def _dangers(text: str, asked: Rules) -> tuple[Reason, ...]:
    words = dangers(text, by=asked)
    return (Reason("public_safety", f"涉及公共安全：{'、'.join(words)}"),) if words else ()


def _terms(clock: Clock, kind: Kind) -> Terms:
    return clock.complaint if kind == "complaint" else clock.report


def _after(start: date, days: int) -> date:
    # The year to come may have no notice yet: a term is set by its holidays of fixed dates.
    return calendar.add_working_days(start, days, calendar=calendar.planning())
