from __future__ import annotations

import pytest

from models.errors import ConfigError, TransitionError
from models.supervision.machine import Machine, Step

DOOR = Machine(
    "门",
    {"open": "开", "shut": "关", "gone": "拆除"},
    (
        Step("close", "关门", frozenset({"open"}), "shut"),
        Step("open", "开门", frozenset({"shut"}), "open"),
        Step("remove", "拆门", frozenset({"open", "shut"}), "gone"),
    ),
)


def test_a_step_leads_where_it_is_declared_to() -> None:
    assert DOOR.after("open", "close") == "shut"
    assert DOOR.allowed("shut") == ("open", "remove")


@pytest.mark.parametrize(
    ("state", "step", "allowed", "told"),
    [
        ("shut", "close", ("open", "remove"), "open、remove"),
        ("gone", "open", (), "终态"),
        ("open", "paint", ("close", "remove"), "未知的操作 paint"),
    ],
)
def test_a_forbidden_step_tells_the_allowed_ones(
    state: str, step: str, allowed: tuple[str, ...], told: str
) -> None:
    with pytest.raises(TransitionError, match=told) as refused:
        DOOR.after(state, step)
    assert (refused.value.state, refused.value.allowed) == (state, allowed)


def test_a_machine_names_only_states_it_has() -> None:
    with pytest.raises(ConfigError, match="far"):
        Machine("x", {"a": "甲"}, (Step("go", "走", frozenset({"a"}), "far"),))


def test_one_step_cannot_lead_to_two_states() -> None:
    steps = tuple(Step("go", "走", frozenset({"a"}), end) for end in ("a", "b"))
    with pytest.raises(ConfigError, match="two states"):
        Machine("x", {"a": "甲", "b": "乙"}, steps)
