"""The whole interface under fire: whatever arrives, no answer is an error of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Protocol, cast

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode

from serving.app import create_app
from serving.auth.roles import ADMINISTRATORS, Role
from serving.problems import MEDIA
from serving.service import Service

BUSINESS = tuple(role for role in Role if role not in ADMINISTRATORS)
CALLERS = (BUSINESS, *((role,) for role in sorted(ADMINISTRATORS)))
Headers = Callable[..., dict[str, str]]


class Answer(Protocol):
    """What is taken of schemathesis' answers."""

    status_code: int
    text: str
    headers: Mapping[str, list[str]]


class Try(Protocol):
    """What is taken of schemathesis' cases."""

    def call(self, *, headers: dict[str, str]) -> Answer: ...

    def as_curl_command(self) -> str: ...


class Operation(Protocol):
    """What is taken of schemathesis' operations."""

    label: str

    def as_strategy(self, generation_mode: GenerationMode) -> SearchStrategy[Try]: ...


class Found(Protocol):
    """An operation, or why there is none."""

    def ok(self) -> Operation: ...


class Schema(Protocol):
    """What is taken of schemathesis' schemas."""

    def get_all_operations(self) -> Iterable[Found]: ...


@pytest.fixture
def hurried(service: Service) -> FastAPI:
    """Return the application without a limit to the rate: the fire is fast."""
    unlimited = service.settings.model_copy(update={"rate_limit": 0})
    return create_app(service=replace(service, settings=unlimited))


def operations(app: FastAPI) -> list[Operation]:
    schema = cast("Schema", schemathesis.openapi.from_asgi("/openapi.json", app))
    return [found.ok() for found in schema.get_all_operations()]


def fire(
    operation: Operation, headers: dict[str, str], mode: GenerationMode, examples: int
) -> Counter[int]:
    seen: Counter[int] = Counter()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def shoot(case: Try) -> None:
        answer = case.call(headers=headers)
        seen[answer.status_code] += 1
        told = f"{case.as_curl_command()}\n{answer.status_code} {answer.text[:2000]}"
        # 503 is what a service without models or lake says; it must say so as a problem.
        assert answer.status_code < 500 or answer.status_code == 503, told
        if answer.status_code >= 400 and not operation.label.endswith("/health/ready"):
            assert answer.headers["content-type"] == [MEDIA], told

    # An operation without anything to fill in has no wrong input.
    with suppress(Unsatisfiable):
        shoot()
    return seen


@pytest.mark.parametrize("mode", GenerationMode)
def test_no_input_is_an_error_of_ours(
    hurried: FastAPI, as_caller: Headers, mode: GenerationMode
) -> None:
    every = operations(hurried)
    seen: Counter[int] = Counter()
    for operation in every:
        seen += fire(operation, as_caller(roles=BUSINESS, purpose="supervision"), mode, 4)
    assert len(every) >= 40
    assert sum(seen.values()) >= 2 * len(every)
    wanted = {200} if mode is GenerationMode.POSITIVE else {422}
    assert wanted <= set(seen)


@pytest.mark.slow
@pytest.mark.parametrize("roles", CALLERS, ids=lambda roles: roles[0])
@pytest.mark.parametrize("mode", GenerationMode)
def test_no_input_of_anybody_is_an_error_of_ours(
    hurried: FastAPI, as_caller: Headers, mode: GenerationMode, roles: tuple[Role, ...]
) -> None:
    for operation in operations(hurried):
        fire(operation, as_caller(roles=roles), mode, 20)
