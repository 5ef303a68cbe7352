"""Structured logs on standard error: readable on a terminal, one JSON object a line elsewhere.

Logs go to standard error so that a command's standard output stays its result. Libraries that log
through the standard library come out in the same form.
"""

from __future__ import annotations

import logging
import sys
from typing import Final, TextIO

import structlog

from models.settings import LogFormat, LogLevel

_TALKERS: Final = ("httpx2",)
"""Libraries that tell of each request, with its whole address: for whoever looks for a fault."""


def configure(log_format: LogFormat, level: LogLevel, *, stream: TextIO | None = None) -> None:
    """Set how the whole process logs; called once, by the command or the server.

    Args:
        log_format: ``console``, ``json``, or ``auto``, which is console on a terminal.
        level: The least grave message that is written.
        stream: Where to write; standard error by default.
    """
    terminal = (stream or sys.stderr).isatty()
    console = log_format == "console" or (log_format == "auto" and terminal)
    handler = _StandardError() if stream is None else logging.StreamHandler(stream)
    handler.setFormatter(_formatter(console=console, colors=console and terminal))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for talker in _TALKERS:
        logging.getLogger(talker).setLevel("NOTSET" if level == "debug" else "WARNING")
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger that takes an event and its values: ``log.info("imported", rows=3)``."""
    return structlog.stdlib.get_logger(name)


class _StandardError(logging.StreamHandler[TextIO]):
    """Write to what standard error is at that moment: a progress bar on show stands in for it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        # Not setStream: it flushes the stream of before, which may be closed by now.
        self.stream = sys.stderr
        super().emit(record)


def _shared() -> list[structlog.typing.Processor]:
    """Return the steps that every message takes, ours and the libraries'."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(*, console: bool, colors: bool) -> structlog.stdlib.ProcessorFormatter:
    last: list[structlog.typing.Processor] = (
        # Plain: a traceback with its local variables would tell of persons and of secrets.
        [
            structlog.dev.ConsoleRenderer(
                colors=colors, exception_formatter=structlog.dev.plain_traceback
            )
        ]
        if console
        else [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
