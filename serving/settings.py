"""What an installation of the service can set, besides what every command reads."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from models.settings import Settings
from models.text.published import is_id
from serving.handling.papers import check_types

_DATABASES: Final = ("postgresql", "postgres")
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} | {"ES256", "ES384", "ES512", "Ed25519"}
)
"""Signatures of key pairs: of what verifies such a one nobody can make another."""


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

    rate_limit: float = Field(default=500.0, ge=0, le=1_000_000)
    """Requests a second that one caller may send to one process, twice as many at once; 0 is no
    limit."""

    compact_after: float = Field(default=300.0, ge=1, le=86_400)
    """Seconds that live records wait at most before the worker brings them into the lake."""

    hook_hosts: str = ""
    """Names and networks that webhooks may be sent to, with commas between; none are otherwise."""

    session_idle: float = Field(default=15.0, gt=0, le=24 * 60)
    """Minutes after which a session that was not used ends."""

    password_days: int = Field(default=90, ge=0, le=3650)
    """Days after which a password must be changed; 0 is never."""

    second_factor: Literal["administrators", "everyone"] = "administrators"
    """Who signs in with a second factor: ``administrators``, or ``everyone``."""

    secret_key: SecretStr | None = Field(default=None, min_length=32)
    """Secret that seals what the ledger keeps of second factors, webhooks and complaints. Else the
    service makes one in ``<home>/secret.key``; whoever loses it sets these up anew, and cannot
    read complaints any more."""

    oidc_issuer: str | None = None
    """Issuer of the OIDC access tokens that are taken, as in their ``iss``; none are otherwise."""

    oidc_audience: str | None = None
    """The ``aud`` of tokens that are meant for this service."""

    oidc_jwks: str | None = None
    """The issuer's public keys: an ``https://`` address or a file."""

    oidc_algorithms: str = "RS256,PS256,ES256,Ed25519"
    """Signatures that are taken, with commas between; of key pairs only."""

    oidc_leeway: int = Field(default=30, ge=0, le=300)
    """Seconds that the issuer's clock may be off."""

    oidc_roles: str = "roles"
    """Claim with the roles' names; dots lead into objects, as in ``realm_access.roles``."""

    oidc_regions: str = "regions"
    """Claim with the codes of the regions that the caller may see."""

    oidc_departments: str = "departments"
    """Claim with the names of the authorities whose records the caller may see."""

    @field_validator("oidc_jwks")
    @classmethod
    def _check_oidc_jwks(cls, where: str | None, info: ValidationInfo) -> str | None:
        if where and where.startswith("http:") and urlsplit(where).hostname not in _LOOPBACK:
            msg = "must be an https:// address or a file: whoever alters the keys forges callers"
            raise ValueError(msg)
        if info.data.get("oidc_issuer") and not (where and info.data.get("oidc_audience")):
            msg = "must be set, and XINJIAN_OIDC_AUDIENCE too, where XINJIAN_OIDC_ISSUER is"
            raise ValueError(msg)
        return where

    @field_validator("oidc_algorithms")
    @classmethod
    def _check_oidc_algorithms(cls, names: str) -> str:
        unknown = {name.strip() for name in names.split(",")} - ALGORITHMS
        if unknown:
            msg = f"must be of {', '.join(sorted(ALGORITHMS))}, with commas between"
            raise ValueError(msg)
        return names

    attachment_limit: int = Field(default=8 * 2**20, ge=1024)
    """Most bytes of one attachment; not more than a body may have."""

    attachment_types: str = "pdf,png,jpeg,docx,xlsx,txt"
    """Types of attachments that are taken, with commas between."""

    attachments_most: int = Field(default=50, ge=1, le=10_000)
    """Most attachments of one warning, repair or objection."""

    @field_validator("attachment_types")
    @classmethod
    def _check_attachment_types(cls, names: str) -> str:
        check_types(names)
        return names

    model_poll: float = Field(default=15.0, ge=0.1, le=3600)
    """Seconds between two looks at the registry of models."""

    text_model: str | None = None
    """Id of the text model that reads complaints; else the only one that has a champion."""

    public_address: str | None = None
    """Where people reach the service, such as ``https://credit.example.cn``: it goes into the QR
    codes of reports and check-lists. They have none otherwise."""

    @field_validator("public_address")
    @classmethod
    def _check_public_address(cls, address: str | None) -> str | None:
        if address is None or not address.strip():
            return None
        parts = urlsplit(address.strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            msg = "must be an address such as https://credit.example.cn, without a query"
            raise ValueError(msg)
        return address.strip().rstrip("/")

    @field_validator("text_model")
    @classmethod
    def _check_text_model(cls, model: str | None) -> str | None:
        if model and not is_id(model):
            msg = "must be the name of a text model, in lower-case letters, digits and _"
            raise ValueError(msg)
        return model or None

    reference_days: int = Field(default=7, ge=0, le=366)
    """Most days that the figures of peers and neighbours may be old when one subject is decided."""

    reference_inline: int = Field(default=20_000, ge=0)
    """Most subjects of a lake whose reference is made while a request waits; 0 leaves it to the
    job ``score_all``."""

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
    def secret_file(self) -> Path:
        """Return the file of the secret key that the service made."""
        return self.home / "secret.key"

    @property
    def secret(self) -> bytes | None:
        """Return the secret key in clear, for sealing alone; ``None`` where it is in its file."""
        return self.secret_key.get_secret_value().encode() if self.secret_key else None

    @property
    def database(self) -> str | None:
        """Return the ledger's address in clear, for its driver alone; ``None`` for the embedded."""
        return self.database_url.get_secret_value() if self.database_url else None
