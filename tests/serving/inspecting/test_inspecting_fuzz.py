"""Routes of a plan that is drawn, under fire: whatever arrives, no answer is an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import cast

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from serving.auth.roles import Role
from tests.serving.inspecting.office import PLAN, Headers, Office
from tests.serving.inspecting.test_inspecting_trials import declare
from tests.serving.inspecting.test_inspecting_trials import seed as assign_trial
from tests.serving.test_openapi import Operation, Try, operations

MINE = ("/v1/plans", "/v1/matters", "/v1/pools", "/v1/trials", "/v1/estimates")


@pytest.mark.slow
@pytest.mark.parametrize("mode", GenerationMode)
def test_no_input_of_an_office_is_an_error_of_ours(
    app: FastAPI, office: Office, as_caller: Callable[..., Headers], mode: GenerationMode
) -> None:
    subject = office.sent()["tasks"][0]["subject_id"]
    assert declare(office).status_code == 201
    assert assign_trial(office).status_code == 200
    everybody = as_caller(roles=[Role.ANALYST, Role.PUBLISHER, Role.INSPECTOR])
    mine = [one for one in operations(app) if any(path in one.label for path in MINE)]
    assert len(mine) >= 30
    for operation in mine:
        _fire(operation, everybody, mode, subject)
    states = {one["state"] for one in office.get(who=office.chief).json()["periods"]}
    assert states == {"drawn"}


def _fire(operation: Operation, who: Headers, mode: GenerationMode, subject: str) -> None:
    known = {"plan_id": PLAN, "trial_id": "trial_2026", "subject": subject}

    @settings(
        max_examples=6,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def shoot(case: Try) -> None:
        named = cast("dict[str, object]", getattr(case, "path_parameters", None) or {})
        named.update({name: known[name] for name in known if name in named})
        answer = case.call(headers=who)
        if answer.status_code >= 500:
            pytest.fail(f"{case.as_curl_command()}\n{answer.status_code} {answer.text[:1500]}")

    with suppress(Unsatisfiable):
        shoot()
