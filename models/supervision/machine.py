"""State machines: which step is allowed in which state, and what to say where one is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.errors import ConfigError, TransitionError


@dataclass(frozen=True, slots=True)
class Step:
    """A step: from any of ``starts`` to ``end``."""

    name: str
    title: str
    starts: frozenset[str]
    end: str


@dataclass(frozen=True, slots=True)
class Machine:
    """The states of one kind of thing, with their titles, and the steps between them."""

    title: str
    states: Mapping[str, str]
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        """Refuse steps between states that are not declared, and two that cannot be told apart."""
        for step in self.steps:
            unknown = {*step.starts, step.end} - self.states.keys()
            if unknown:
                raise ConfigError(f"{self.title}: step {step.name} names unknown {sorted(unknown)}")
        twice = [
            (step.name, state)
            for place, step in enumerate(self.steps)
            for other in self.steps[:place]
            for state in step.starts & other.starts
            if step.name == other.name
        ]
        if twice:
            raise ConfigError(f"{self.title}: {twice[0][0]} leads from {twice[0][1]} to two states")

    def allowed(self, state: str) -> tuple[str, ...]:
        """Return the steps that a state allows, in the order in which they are declared."""
        return tuple(step.name for step in self.steps if state in step.starts)

    def after(self, state: str, step: str) -> str:
        """Return the state that a step leads to.

        Raises:
            TransitionError: The state does not allow the step; it tells the steps that are.
        """
        for one in self.steps:
            if one.name == step and state in one.starts:
                return one.end
        allowed = self.allowed(state)
        known = any(one.name == step for one in self.steps)
        raise TransitionError(
            f"{self.title}：状态“{self.states.get(state, state)}”({state}) 不允许"
            f"{'' if known else '未知的'}操作 {step}；可执行的操作："
            f"{'、'.join(allowed) if allowed else '无，已是终态'}",
            state=state,
            allowed=allowed,
        )
