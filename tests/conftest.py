"""What every test stands on."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest
import structlog

ROOT = Path(__file__).parent.parent
PACKAGES = ("models", "training", "serving", "xinjian")

# No deadline: a machine shared with other work is slow at times, and a slow example is no defect.
hypothesis.settings.register_profile("house", deadline=None, max_examples=50, print_blob=True)
hypothesis.settings.load_profile("house")


def pytest_configure() -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith("XINJIAN_")]:
        del os.environ[name]


def pytest_report_header() -> str:
    """Report the lines of tests beside the lines of source."""
    source = sum(map(_lines, PACKAGES))
    tests = _lines("tests")
    return f"lines: {source} of source, {tests} of tests ({tests / max(source, 1):.2f})"


def _lines(folder: str) -> int:
    return sum(
        len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")
    )


@pytest.fixture
def root() -> Path:
    """Return the project's folder."""
    return ROOT


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal() -> io.StringIO:
    """Return a stream that says it is a terminal and keeps what is written."""
    return _Terminal()


@pytest.fixture
def restored_logging() -> Generator[None]:
    """Undo what a test configures about logging, which is the process's own."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
    structlog.reset_defaults()
