"""Work of many requests done at once: what arrives while some is under way is done together next.

One at a time does the work, for itself and for all that wait; then the next of them does. Under
load, requests share what their work has in common, and a processor is never fought over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Asked = TypeVar("Asked")
Made = TypeVar("Made")


@dataclass(slots=True, eq=False)
class _Place(Generic[Asked, Made]):
    """A place in the queue; ``turn`` is set when it is done, or when it is to lead."""

    kind: Hashable
    asked: Asked
    work: Callable[[Sequence[Asked]], Sequence[Made]]
    turn: threading.Event = field(default_factory=threading.Event)
    made: list[Made] = field(default_factory=list[Made])
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        """Tell whether there is an outcome."""
        return bool(self.made) or self.error is not None


class Together:
    """A queue in front of some work; may be shared by threads."""

    def __init__(self, *, most: int, final: type[Exception]) -> None:
        """Keep how many are done at once at most.

        Where work for several fails, each is tried by itself, so that nobody fails for another;
        but not where the failure is ``final``, which all would meet.
        """
        self._most = most
        self._final = final
        self._lock = threading.Lock()
        self._queue: list[_Place[Any, Any]] = []
        self._led = False

    @property
    def waiting(self) -> int:
        """Return how many wait for those that are under way."""
        return len(self._queue)

    def __call__(
        self, kind: Hashable, asked: Asked, work: Callable[[Sequence[Asked]], Sequence[Made]]
    ) -> Made:
        """Return what is made of this; raises what the work raises for it.

        ``work`` takes what is asked, of one kind, and returns what is made of each in order; of one
        kind it does the same, whoever gives it.
        """
        mine = _Place[Asked, Made](kind, asked, work)
        with self._lock:
            self._queue.append(mine)
            waits, self._led = self._led, True
        if waits:
            mine.turn.wait()
        if not mine.done:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error
        return mine.made[0]

    def _lead(self, mine: _Place[Any, Any]) -> None:
        with self._lock:
            others = [one for one in self._queue if one is not mine and one.kind == mine.kind]
            batch = [mine, *others[: self._most - 1]]
            self._queue = [one for one in self._queue if one not in batch]
        try:
            self._do(batch)
        finally:
            with self._lock:
                following = self._queue[0] if self._queue else None
                self._led = following is not None
            if following is not None:
                following.turn.set()
            for one in batch[1:]:
                one.turn.set()

    def _do(self, batch: Sequence[_Place[Any, Any]]) -> None:
        try:
            made = batch[0].work([one.asked for one in batch])
            for one, outcome in zip(batch, made, strict=True):
                one.made.append(outcome)
        except Exception as error:  # noqa: BLE001 - each is told of its own
            if len(batch) > 1 and not isinstance(error, self._final):
                for one in batch:
                    self._do([one])
                return
            for one in batch:
                one.error = error
        except BaseException as error:
            for one in batch:
                one.error = error
            raise
