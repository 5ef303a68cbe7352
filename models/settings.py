"""What an installation can set: environment variables that begin with ``XINJIAN_``.

Read once, at the edges (a command, a server), and handed on as values: nothing below reads the
environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from models.errors import ConfigError

PREFIX = "XINJIAN_"
LogFormat = Literal["auto", "console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(BaseSettings):
    """Where things are kept and how a run speaks."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    home: Path = Path("var")
    """Folder that holds lake, tracker, database and reports; made when first written to."""

    lake_url: str | None = None
    """The record lake: a folder or an ``s3://bucket/prefix`` address; else ``<home>/lake``."""

    storage_options: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr])
    """JSON object of object-store options, such as endpoint and keys; secret, never logged."""

    buckets: int = Field(default=64, ge=1, le=4096)
    """How many subject buckets a *new* lake is cut into; an existing lake keeps its own number."""

    person_key: SecretStr | None = Field(default=None, min_length=16)
    """Secret from which natural persons' ids are hashed; a person keeps an id while it stays."""

    tracking_uri: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices(f"{PREFIX}TRACKING_URI", "MLFLOW_TRACKING_URI")
    )
    """MLflow: the address of a server or database, secret for the password in it; also read from
    ``MLFLOW_TRACKING_URI``. Else a SQLite file under ``<home>/mlflow``."""

    log_format: LogFormat = "auto"
    """``console`` for people, ``json`` for machines; ``auto`` is console on a terminal."""

    log_level: LogLevel = "info"
    """The least grave message that is logged."""

    debug: bool = False
    """Log everything and show tracebacks; the same as ``xinjian --debug``."""

    @field_validator("home")
    @classmethod
    def _expand_user(cls, home: Path) -> Path:
        return home.expanduser()

    @field_validator("lake_url")
    @classmethod
    def _check_lake_url(cls, url: str | None) -> str | None:
        if url is None or not url.strip():
            return None
        scheme, separator, rest = url.partition("://")
        if separator and (scheme != "s3" or not rest.strip("/")):
            msg = "must be a folder or an s3://bucket/prefix address"
            raise ValueError(msg)
        return url

    @field_validator("tracking_uri")
    @classmethod
    def _check_tracking_uri(cls, uri: SecretStr | None) -> SecretStr | None:
        if uri is None or not uri.get_secret_value().strip():
            return None
        scheme = uri.get_secret_value().partition(":")[0].partition("+")[0]
        if scheme not in _TRACKERS:
            msg = f"must begin with one of {', '.join(f'{name}://' for name in _TRACKERS)}"
            raise ValueError(msg)
        return uri

    @field_validator("log_format", "log_level", mode="before")
    @classmethod
    def _lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @property
    def lake(self) -> str:
        """Return the lake's folder or address."""
        return self.lake_url or str(self.home / "lake")

    @property
    def tracker(self) -> str:
        """Return MLflow's address in clear, for its client alone."""
        if self.tracking_uri is not None:
            return self.tracking_uri.get_secret_value()
        return f"sqlite:///{self.tracker_folder.absolute() / 'mlflow.db'}"

    @property
    def tracker_folder(self) -> Path:
        """Return the folder of MLflow's own database, and of the artifacts no server keeps."""
        return self.home / "mlflow"

    @property
    def contracts(self) -> Path:
        """Return the folder that keeps contracts of the user's own tables."""
        return self.home / "contracts"

    @property
    def secret_person_key(self) -> bytes | None:
        """Return the person key in clear, for hashing alone."""
        return self.person_key.get_secret_value().encode() if self.person_key else None

    @property
    def storage(self) -> dict[str, str]:
        """Return the object-store options in clear, for the store's client alone."""
        return {name: value.get_secret_value() for name, value in self.storage_options.items()}

    @classmethod
    def load(cls) -> Self:
        """Read the settings from the environment.

        Raises:
            ConfigError: A variable has a value that its setting cannot take; every such variable
                is named with its value and the rule, except that secrets are not shown.
        """
        try:
            return cls()
        except ValidationError as error:
            raise ConfigError(_wording(error)) from error
        except SettingsError as error:
            raise ConfigError(
                f"{PREFIX}STORAGE_OPTIONS is not a JSON object (it is secret, so not shown); "
                'write it as {"aws_endpoint_url": "…"} or unset it'
            ) from error


_SECRET = frozenset({"storage_options", "person_key", "tracking_uri", "database_url", "secret_key"})
_ALSO = {"tracking_uri": "MLFLOW_TRACKING_URI"}
_TRACKERS = ("http", "https", "postgresql", "mysql", "sqlite")


def variable(setting: str) -> str:
    """Return the environment variable of a setting, ``XINJIAN_HOME`` for ``home``."""
    return PREFIX + setting.upper()


def _wording(error: ValidationError) -> str:
    lines: list[str] = []
    for problem in error.errors(include_url=False, include_context=False):
        # A setting that has an alias is named by its variable already.
        setting = str(problem["loc"][0]).removeprefix(PREFIX).lower()
        shown = "" if setting in _SECRET else f"={str(problem['input'])!r}"
        rule = problem["msg"].removeprefix("Value error, ")
        also = f" (or {_ALSO[setting]})" if setting in _ALSO else ""
        lines.append(f"{variable(setting)}{also}{shown}: {rule}; correct the variable or unset it")
    return "\n".join(lines)
