"""The kinds of work there are, what each may be asked for, and the command that does it.

A command's arguments are made of what is checked here and of nothing else: no text that somebody
wrote reaches a command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

REDECIDE: Final = "redecide"
COMPACT: Final = "compact"
SCORE_ALL: Final = "score_all"
ESCALATE: Final = "escalate"

ScenarioId = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="场景", examples=["food_safety"]),
]
_Model = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="已登记的文本模型", examples=["text"])
]


_PLAIN: Final = r"^[^\x00-\x1f\x7f]+$"
"""What a subject's id is made of: PostgreSQL holds no NUL, and a log no line of its own."""


_Subject = Annotated[str, Field(min_length=1, max_length=64, pattern=_PLAIN)]


class _Work(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Redecide(_Work):
    """重新判定若干主体."""

    kind: Literal["redecide"]
    subjects: tuple[_Subject, ...] = Field(
        min_length=1, max_length=1000, description="主体", examples=[["91210102123456788E"]]
    )


class ScoreAll(_Work):
    """按场景判定全部主体."""

    kind: Literal["score_all"]
    scenario: ScenarioId
    as_of: date | None = Field(default=None, description="截面日；默认当日")


class Compact(_Work):
    """将收件箱并入数据湖."""

    kind: Literal["compact"]


class Escalate(_Work):
    """上报超期的预警，每人每次只报一遍."""

    kind: Literal["escalate"]


class Retrain(_Work):
    """重新训练，凭书面结论晋升."""

    kind: Literal["retrain"]
    scenario: ScenarioId
    if_drifted: bool = Field(default=False, description="仅在现用模型漂移时")


class Drift(_Work):
    """检查现用模型是否漂移，不登记、不晋升."""

    kind: Literal["drift"]
    scenario: ScenarioId


class Annotate(_Work):
    """用文本模型标注处罚与投诉."""

    kind: Literal["annotate"]
    model: _Model
    tables: tuple[Literal["penalty", "complaint"], ...] = Field(default=(), description="默认全部")


class Night(_Work):
    """夜间运行：入湖、质量、判定与预警、漂移与换模结论、运行报告."""

    kind: Literal["night"]
    as_of: date | None = Field(default=None, description="截面日；默认当日")
    learn: bool = Field(default=True, description="候选模型更好时晋升；否则只写结论")


class Publish(_Work):
    """将某版本设为现用模型，或退回上一版本."""

    kind: Literal["publish"]
    scenario: ScenarioId
    version: Annotated[int, Field(ge=1, le=10**9)] | Literal["challenger", "previous"] = Field(
        description="版本号或别名"
    )


Work: TypeAlias = Annotated[
    Redecide | ScoreAll | Compact | Escalate | Retrain | Drift | Annotate | Publish | Night,
    Field(discriminator="kind"),
]
_WORK: Final = TypeAdapter[Work](Work)

UPKEEP: Final = (COMPACT, SCORE_ALL, ESCALATE)
"""Done by a process of the service's own."""
LEARNING: Final = ("retrain", "drift", "annotate", "publish", "night")
"""Done by a command in a process of its own, with its own packages and memory."""
ALL: Final = (REDECIDE, *UPKEEP, *LEARNING)
ONCE: Final = frozenset({COMPACT, ESCALATE, *LEARNING, SCORE_ALL})
"""Kinds of which one waiting job of the same payload is enough."""


def read(kind: str, payload: Mapping[str, object]) -> Work:
    """Return the work that a job of the queue asks for; pydantic's error where it is none."""
    return _WORK.validate_python({**payload, "kind": kind})


def payload(work: Work) -> dict[str, object]:
    """Return what :func:`read` reads, as JSON can hold it."""
    return work.model_dump(mode="json", exclude={"kind"})


def command(work: Work, *, number: int, worker: str) -> list[str]:
    """Return the words after ``xinjian`` that do a job, for the worker that holds it."""
    match work:
        case ScoreAll() | Compact() | Escalate() | Redecide():
            return ["serve", "worker", f"--job={number}", f"--name={worker}"]
        case Retrain():
            drifted = ["--if-drifted"] if work.if_drifted else []
            return ["risk", "retrain", work.scenario, *drifted]
        case Drift():
            return ["risk", "retrain", work.scenario, "--if-drifted", "--dry-run"]
        case Annotate():
            tables = [f"--table={one}" for one in work.tables]
            return ["text", "annotate", work.model, *tables]
        case Night():
            on = [] if work.as_of is None else [f"--as-of={work.as_of}"]
            return ["serve", "night", *on, *([] if work.learn else ["--no-learn"])]
        case Publish():
            reason = f"--reason=job {number} of the service"
            return ["risk", "promote", work.scenario, str(work.version), reason]
