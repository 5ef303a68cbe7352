"""Steps that are commands: each done once, however often the whole is cut off and begun again.

A step that fails does not hold up those that do not need it. What each one did stands in a journal
beside its log, so that whoever begins again goes on where it stopped. Of two who begin at once, or
beside a step that outlived whoever began it, the second is refused.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from models.errors import ConfigError
from models.whole import write_text
from serving.cycle.alone import alone, writing
from serving.jobs import process

State: TypeAlias = Literal["done", "failed", "left_out", "stopped"]

JOURNAL: Final = "journal.json"
LOCK: Final = ".steps.lock"
_SAID: Final = 2000
_NO_NAME: Final = re.compile(r"[^\w-]")
"""What does not go into the name of a log."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command: the words after ``xinjian``, and what must be done before it.

    ``name`` is its place in the journal, ``title`` what people read. Exit codes of ``fine`` are no
    failures. A step of which one of ``needs`` is not done is left out.
    """

    name: str
    title: str
    words: tuple[str, ...]
    fine: frozenset[int] = frozenset({0})
    needs: tuple[str, ...] = ()


class Told(BaseModel):
    """What became of a step; ``seconds`` are of its last attempt, ``said`` its last words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    state: State
    code: int | None = None
    seconds: float = 0.0
    ended: datetime | None = None
    said: str = ""


_JOURNAL: Final = TypeAdapter[dict[str, Told]](dict[str, Told])


def carry_out(
    steps: Sequence[Step],
    folder: Path,
    *,
    clock: Callable[[], datetime],
    stop: Callable[[float], bool],
    begun: Callable[[Step], None] = lambda _: None,
    ended: Callable[[Told], None] = lambda _: None,
    environment: Mapping[str, str] | None = None,
) -> list[Told]:
    """Do what is not done yet, in order, and return what became of every step.

    Args:
        steps: Those there are, each after what it needs.
        folder: Gets the journal, and a log of each step.
        clock: Tells the instant.
        stop: Waits so many seconds and says whether to stop; the step under way is ended then.
        begun: Is told of each step as it begins; not of those that are done already.
        ended: Is told what became of it.
        environment: That of the commands; this process's own by default.

    Raises:
        ConfigError: The journal cannot be read or written, or another process is at work here.
    """
    with alone(folder / LOCK) as held:
        known = journal(folder)
        for number, step in enumerate(steps, start=1):
            if _done(known, step.name):
                continue
            if lacking := [one for one in step.needs if not _done(known, one)]:
                told = _left_out(step, lacking)
            else:
                begun(step)
                log = folder / f"{number:02d}-{_NO_NAME.sub('-', step.name)}.log"
                with writing(folder):
                    told = _carried(
                        step, log, clock=clock, stop=stop, environment=environment, held=held
                    )
            known[step.name] = told
            with writing(folder):
                _write(folder, known)
            ended(told)
            if told.state == "stopped":
                break
    return [known[step.name] for step in steps if step.name in known]


def journal(folder: Path) -> dict[str, Told]:
    """Return what became of the steps of a folder, by name; nothing where none was begun.

    Raises:
        ConfigError: It is no journal.
    """
    path = folder / JOURNAL
    if not path.exists():
        return {}
    try:
        return _JOURNAL.validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConfigError(
            f"{path}: is no journal of steps; move the folder away to begin anew"
        ) from error


@contextmanager
def stopped_by_signals() -> Generator[threading.Event]:
    """Yield what SIGTERM and SIGINT set meanwhile, so that they end the step under way too."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def whole(told: Iterable[Told]) -> bool:
    """Tell whether every step is done."""
    return all(one.state == "done" for one in told)


def _left_out(step: Step, lacking: Sequence[str]) -> Told:
    said = f"needs {', '.join(lacking)}"
    return Told(name=step.name, title=step.title, state="left_out", said=said)


def _carried(
    step: Step,
    log: Path,
    *,
    clock: Callable[[], datetime],
    stop: Callable[[float], bool],
    environment: Mapping[str, str] | None,
    held: int,
) -> Told:
    start = time.monotonic()
    ended = process.run(step.words, log, stop=stop, environment=environment, held=[held])
    fine = not ended.stopped and ended.code in step.fine
    return Told(
        name=step.name,
        title=step.title,
        state="stopped" if ended.stopped else "done" if fine else "failed",
        code=ended.code,
        seconds=round(time.monotonic() - start, 1),
        ended=clock(),
        said=ended.tail[-_SAID:] + ("" if ended.stopped else _signal(ended.code)),
    )


def _signal(code: int) -> str:
    """Return what a killed process could not say itself: the kernel does so where memory lacks."""
    return f"\nended by signal {-code} ({signal.strsignal(-code)})" if code < 0 else ""


def _done(known: Mapping[str, Told], name: str) -> bool:
    return name in known and known[name].state == "done"


def _write(folder: Path, known: dict[str, Told]) -> None:
    write_text(folder / JOURNAL, _JOURNAL.dump_json(known, indent=1).decode())
