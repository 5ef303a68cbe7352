"""The home of a demonstration: its own, and of one demonstration alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from models.errors import ConfigError
from models.whole import write_text
from serving.cycle.alone import writing
from serving.settings import ServeSettings
from xinjian.demo.plan import FOLDER, PROVINCE, TEXTS

_FILE: Final = "shown.txt"
_MADE: Final = ("lake", PROVINCE, TEXTS, "risk", "mlflow", "postgres", "serving")
"""What a demonstration makes: where one of them is there before it, it is somebody's work."""


def claim(settings: ServeSettings, shown: str) -> None:
    """Take a home for what shall be shown, so that nothing made up gets among what is real.

    Raises:
        ConfigError: The home is another demonstration's or nobody's, or the settings lead out of
            it.
        LedgerError: No ledger can be made.
    """
    _stays_inside(settings)
    home, told = settings.home, settings.home / FOLDER / _FILE
    if told.exists():
        before = told.read_text(encoding="utf-8").strip()
        if before != shown and _made(home, "lake", PROVINCE):
            raise ConfigError(
                f"{home}: shows '{before}' already, not '{shown}'; name a home of its own by "
                "XINJIAN_HOME, or remove this one"
            )
    elif there := _made(home, *_MADE):
        raise ConfigError(
            f"{home}: holds {', '.join(there)} already, and a demonstration makes things up; name "
            "a home of its own by XINJIAN_HOME"
        )
    else:
        _has_a_ledger_to_be(settings)
    _write(told, shown)


def _made(home: Path, *names: str) -> list[str]:
    return [name for name in names if (home / name).exists()]


def _stays_inside(settings: ServeSettings) -> None:
    out = {
        "XINJIAN_LAKE_URL": settings.lake_url,
        "XINJIAN_TRACKING_URI or MLFLOW_TRACKING_URI": settings.tracking_uri,
    }
    if named := [name for name, value in out.items() if value]:
        raise ConfigError(
            f"a demonstration keeps records and models in its home; unset {' and '.join(named)}"
        )


def _has_a_ledger_to_be(settings: ServeSettings) -> None:
    """See that the ledger can be made, long before it is."""
    from serving.ledger import embedded
    from serving.ledger.engine import Ledger
    from serving.ledger.migrate import revision

    if settings.database_url is None:
        embedded.resolved(settings.home / "postgres")
        return
    ledger = Ledger.open(settings)
    try:
        found = revision(ledger)
    finally:
        ledger.close()
    if found is not None:
        raise ConfigError(
            "XINJIAN_DATABASE_URL names a ledger in use; unset it, or name an empty database"
        )


def _write(path: Path, text: str) -> None:
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
