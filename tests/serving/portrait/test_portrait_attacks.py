from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Final

import pytest

from serving.api.what_if import MOST
from serving.auth.roles import Role
from tests.models.features.firms import AS_OF, FIRMS
from tests.serving import village
from tests.serving.portrait.easel import Easel, rich

LONE: Final = "\\ud800"
"""Half of a pair, as JSON writes it: no text at all."""


def token(*told: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def raw(easel: Easel, firm: int, body: str) -> tuple[int, str]:
    """Send a body as it is, whatever it is."""
    answer = easel.client.post(
        f"/v1/subjects/{FIRMS[firm]}/what-if",
        content=body.encode(),
        headers=easel.inspector | {"Content-Type": "application/json"},
    )
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    return answer.status_code, answer.json()["type"]


def test_a_cursor_that_was_tampered_with_is_refused(easel: Easel) -> None:
    firm = rich()
    first = easel.line(firm, limit=1)["next"]
    assert first is not None
    on, table, record = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    for bad in (
        first[:-3],
        first[::-1],
        "x" * 400,
        token(on, table),
        token(on, table, record, 1),
        token("2026-02-30", table, record),
        token(on, table, "\ud800"),
        token(on, {"a": 1}, record),
        token(20241201, table, record),
        base64.urlsafe_b64encode(b"[" * 300).decode(),
    ):
        answer = easel.ask(firm, sections="timeline", limit=1, cursor=bad)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/cursor"), bad
    assert easel.ask(firm, sections="timeline", cursor="x" * 401).status_code == 422
    # A place of one's own making is a place in one's own line, and shows nothing of another's.
    other = village.stored(4 if firm != 4 else 8, "penalty")
    strange = token("9999-12-31", "zzz", other["record_id"].to_list()[0] if len(other) else "f")
    shown = easel.line(firm, limit=200, cursor=strange)["records"]
    mine = {one["record_id"] for one in easel.line(firm, limit=200)["records"]}
    assert {one["record_id"] for one in shown} == mine


def test_ids_of_any_length_and_making_are_refused_or_unknown(easel: Easel) -> None:
    for subject in (
        "x" * 10_000,
        "a\x00b",
        "a\nb",
        "..%2f..%2fv1%2fusers",
        "%ED%A0%80",
        "' or 1=1",
    ):
        answer = easel.ask(subject.replace("\x00", "%00").replace("\n", "%0A"))
        assert answer.status_code in {404, 414, 422}, (subject[:20], answer.text)
    for asked in (
        {"scenario": "x" * 10_000},
        {"table": "x" * 10_000},
        {"table": ["penalty"] * 41},
        {"sections": "x" * 10_000},
        {"limit": 10**30},
        {"since": "0000-01-01"},
        {"as_of": "9999-12-31"},
        {"as_of": str(AS_OF + timedelta(days=1))},
        {"as_of": "1949-12-31"},
        {"as_of": "-0001-01-01"},
    ):
        assert easel.ask(0, **asked).status_code in {404, 422}, asked


def test_fields_of_persons_stay_masked_whatever_the_purpose_of_who_may_not(easel: Easel) -> None:
    firm = rich()
    for roles in ([Role.VIEWER], [Role.PARTNER]):
        nosy = easel.as_caller(roles=roles, purpose="inspection")
        answer = easel.ask(firm, nosy)
        if answer.status_code == 200:
            assert (answer.json().get("identity") or {"masked": True})["masked"] is True
        else:
            assert answer.status_code == 403
    lied = easel.ask(firm, easel.inspector | {"X-Purpose": "curiosity"}, sections="identity")
    assert lied.status_code == 200 or lied.status_code in {400, 403, 422}
    if lied.status_code == 200:
        assert lied.json()["identity"]["masked"] is True


@pytest.mark.parametrize(
    "body",
    [
        (
            '{"add": {"penalty": [{"document_number": "1", "happened_on": "2024-12-01", '
            '"fine_amount": NaN}]}}'
        ),
        (
            '{"add": {"penalty": [{"document_number": "1", "happened_on": "2024-12-01", '
            '"fine_amount": Infinity}]}}'
        ),
        (
            '{"add": {"penalty": [{"document_number": "1", "happened_on": "2024-12-01", '
            '"fine_amount": 1e999}]}}'
        ),
        (
            '{"add": {"penalty": [{"document_number": "1", "happened_on": "2024-12-01", '
            f'"fine_amount": 1{"0" * 400}}}]}}}}'
        ),
        f'{{"add": {{"penalty": [{{"document_number": "{LONE}", "happened_on": "2024-12-01"}}]}}}}',
        f'{{"add": {{"penalty": [{{"{LONE}": 1, "happened_on": "2024-12-01"}}]}}}}',
        f'{{"add": {{"{LONE}": [{{"a": 1}}]}}}}',
        f'{{"void": ["{LONE}"]}}',
        f'{{"{LONE}": 1}}',
        '{"add": {"penalty": [{"document_number": {"a": [1]}, "happened_on": "2024-12-01"}]}}',
        '{"add": {"penalty": [{"document_number": "1", "happened_on": "99999-12-01"}]}}',
        '{"void": [], "as_of": "9999-12-31", "add": {"penalty": [{}]}}',
        '{"add": {"penalty": [{"subject_id": ["x"], "happened_on": "2024-12-01"}]}}',
        "[" * 5000,
        '{"void": "x"}',
    ],
)
def test_what_is_no_supposition_is_a_problem_of_the_callers(easel: Easel, body: str) -> None:
    status, kind = raw(easel, 0, body)
    assert status in {400, 422}, kind


def test_a_record_that_is_void_already_changes_nothing(easel: Easel) -> None:
    firm = rich()
    record = village.stored(firm, "penalty")["record_id"].to_list()[0]
    easel.void(firm, "penalty", record)
    (made,) = easel.suppose(firm, void=[record, record]).json()["scenarios"]
    assert made["difference"] == {"probability": 0.0, "risk_score": 0.0, "grade": None}
    too_many = easel.suppose(firm, void=[f"{n:032x}" for n in range(MOST + 1)])
    assert too_many.status_code == 422
    rows: list[dict[str, object]] = [{} for _ in range(MOST + 1)]
    assert easel.suppose(firm, add={"penalty": rows}).status_code == 422
