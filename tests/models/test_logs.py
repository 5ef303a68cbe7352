from __future__ import annotations

import io
import json
import logging
import sys
from datetime import datetime, timedelta
from typing import cast

import pytest

from models import logs
from models.settings import LogLevel

pytestmark = pytest.mark.usefixtures("restored_logging")


def _messages(stream: io.StringIO) -> list[dict[str, object]]:
    return [cast("dict[str, object]", json.loads(line)) for line in stream.getvalue().splitlines()]


def test_json_is_one_object_a_line_with_utc_time() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream=stream)
    logs.logger("training.sources").info("导入", rows=3)
    (message,) = _messages(stream)
    assert message["event"] == "导入"
    assert message["rows"] == 3
    assert message["level"] == "info"
    assert message["logger"] == "training.sources"
    assert datetime.fromisoformat(str(message["timestamp"])).utcoffset() == timedelta(0)
    assert "导入" in stream.getvalue()


@pytest.mark.parametrize(("level", "told"), [("info", 0), ("debug", 1)])
def test_requests_are_told_to_whoever_looks_for_a_fault(level: LogLevel, told: int) -> None:
    stream = io.StringIO()
    logs.configure("json", level, stream=stream)
    logging.getLogger("httpx2").info("HTTP Request: GET http://a/?token=b")
    assert len(_messages(stream)) == told


def test_auto_is_json_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    logs.configure("auto", "info", stream=stream)
    logs.logger("x").info("event")
    assert _messages(stream)[0]["event"] == "event"


def test_auto_is_for_people_on_a_terminal(terminal: io.StringIO) -> None:
    logs.configure("auto", "info", stream=terminal)
    logs.logger("x").info("imported", rows=3)
    assert "imported" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_console_in_a_file_has_no_colours() -> None:
    stream = io.StringIO()
    logs.configure("console", "info", stream=stream)
    logs.logger("x").info("imported", rows=3)
    assert "rows=3" in stream.getvalue()
    assert "\x1b[" not in stream.getvalue()


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_less_grave_messages_are_left_out(level: logs.LogLevel, kept: list[str]) -> None:
    stream = io.StringIO()
    logs.configure("json", level, stream=stream)
    log = logs.logger("x")
    for method in (log.debug, log.info, log.warning, log.error):
        method("event")
    assert [message["level"] for message in _messages(stream)] == kept


def test_libraries_come_out_in_the_same_form() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream=stream)
    logging.getLogger("some.library").warning("retry %d", 2)
    (message,) = _messages(stream)
    assert (message["event"], message["logger"]) == ("retry 2", "some.library")


def test_a_logged_exception_stays_on_its_line() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream=stream)
    try:
        int("三")
    except ValueError:
        logs.logger("x").exception("failed")
    (message,) = _messages(stream)
    assert "ValueError" in str(message["exception"])


def test_the_default_is_standard_error_of_the_moment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("json", "info")
    stand_in = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stand_in)
    logs.logger("x").info("event")
    assert _messages(stand_in)[0]["event"] == "event"
    assert capsys.readouterr().out == ""


def test_configuring_twice_does_not_double_lines() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream=stream)
    logs.configure("json", "info", stream=stream)
    logs.logger("x").info("event")
    assert len(_messages(stream)) == 1


def test_a_standard_error_closed_meanwhile_stops_no_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    logs.configure("json", "info")
    logs.logger("a").info("one")
    first.close()
    monkeypatch.setattr(sys, "stderr", second)
    logs.logger("a").info("two")
    assert "two" in second.getvalue()
