"""What an installation of the service can set, besides what every command reads."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from models.settings import Settings

_DATABASES: Final = ("postgresql", "postgres")


class ServeSettings(Settings):
    """Where the ledger is, where the service listens, and what it takes from one caller."""

    database_url: SecretStr | None = None
    """The ledger's PostgreSQL, ``postgresql://user:password@host/name``; secret. Else the service
    starts one of its own under ``<home>/postgres``."""

    host: str = "127.0.0.1"
    """Address to listen on. The service speaks plain HTTP: put TLS before any other than this."""

    port: int = Field(default=8000, ge=1, le=65_535)
    """Port to listen on."""

    workers: int = Field(default=1, ge=1, le=256)
    """How many processes answer requests; each keeps its own models in memory."""

    body_limit: int = Field(default=10 * 2**20, ge=1024)
    """Most bytes of one request's body."""

    database_wait: float = Field(default=5.0, gt=0, le=60)
    """Seconds that a request waits for a connection to the ledger before it is told to retry."""

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None or not url.get_secret_value().strip():
            return None
        scheme = urlsplit(url.get_secret_value()).scheme.partition("+")[0]
        if scheme not in _DATABASES:
            msg = "must be an address such as postgresql://user:password@host:5432/xinjian"
            raise ValueError(msg)
        return url

    @property
    def postgres_folder(self) -> Path:
        """Return the folder of the embedded server."""
        return self.home / "postgres"

    @property
    def database(self) -> str | None:
        """Return the ledger's address in clear, for its driver alone; ``None`` for the embedded."""
        return self.database_url.get_secret_value() if self.database_url else None
