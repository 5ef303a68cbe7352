from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from serving.jobs import kinds


def words(kind: str, **payload: object) -> list[str]:
    return kinds.command(kinds.read(kind, payload), number=7, worker="w")


@pytest.mark.parametrize(
    ("kind", "payload", "command"),
    [
        ("compact", {}, "serve worker --job=7 --name=w"),
        ("escalate", {}, "serve worker --job=7 --name=w"),
        ("score_all", {"scenario": "food_safety"}, "serve worker --job=7 --name=w"),
        ("retrain", {"scenario": "food_safety"}, "risk retrain food_safety"),
        (
            "retrain",
            {"scenario": "food_safety", "if_drifted": True},
            "risk retrain food_safety --if-drifted",
        ),
        ("drift", {"scenario": "food_safety"}, "risk retrain food_safety --if-drifted --dry-run"),
        ("night", {}, "serve night"),
        (
            "night",
            {"as_of": "2026-11-22", "learn": False},
            "serve night --as-of=2026-11-22 --no-learn",
        ),
        ("annotate", {"model": "text"}, "text annotate text"),
        (
            "annotate",
            {"model": "text", "tables": ["penalty"]},
            "text annotate text --table=penalty",
        ),
        (
            "publish",
            {"scenario": "food_safety", "version": 3},
            "risk promote food_safety 3 --reason=job 7 of the service",
        ),
        (
            "publish",
            {"scenario": "food_safety", "version": "previous"},
            "risk promote food_safety previous --reason=job 7 of the service",
        ),
    ],
)
def test_a_job_is_a_fixed_command(kind: str, payload: dict[str, object], command: str) -> None:
    assert " ".join(words(kind, **payload)) == command


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("retrain", {"scenario": "--help"}),
        ("retrain", {"scenario": "../x.yaml"}),
        ("retrain", {"scenario": "a; rm -rf x"}),
        ("retrain", {"scenario": "food_safety\n"}),
        ("retrain", {"scenario": "food_safety", "extra": 1}),
        ("publish", {"scenario": "food_safety", "version": "--reason"}),
        ("publish", {"scenario": "food_safety", "version": 0}),
        ("annotate", {"model": "folder/of/mine"}),
        ("annotate", {"model": "text", "tables": ["subject"]}),
        ("score_all", {"scenario": "food_safety", "as_of": "tomorrow"}),
        ("redecide", {"subjects": []}),
        ("redecide", {"subjects": ["x"] * 1001}),
        ("shell", {}),
    ],
)
def test_what_is_no_work_reaches_no_command(kind: str, payload: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        kinds.read(kind, payload)


@pytest.mark.parametrize("kind", kinds.ALL)
def test_work_is_kept_as_it_is_read(kind: str) -> None:
    payloads: dict[str, dict[str, object]] = {
        "redecide": {"subjects": ["a"]},
        "compact": {},
        "escalate": {},
        "night": {"learn": False},
        "annotate": {"model": "text"},
        "publish": {"scenario": "town", "version": 2},
    }
    work = kinds.read(kind, payloads.get(kind, {"scenario": "town"}))
    assert kinds.read(kind, kinds.payload(work)) == work


def test_every_kind_has_a_lane() -> None:
    union = get_args(get_args(kinds.Work)[0])
    named = {get_args(one.model_fields["kind"].annotation)[0] for one in union}
    assert named == set(kinds.ALL)
    assert set(kinds.ONCE) <= named
