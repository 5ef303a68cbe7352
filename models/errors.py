"""Every error a user of Xinjian can meet.

    XinjianError
    ├── ConfigError          a setting, mapping, contract or scenario file is wrong
    ├── CodeError            an identifier or a dated code table cannot be used
    ├── SourceError          a whole source file cannot be read; a single row goes to quarantine
    ├── RecordError          records do not fit the contract they are meant for
    ├── LakeError            the lake cannot be read or written
    │   ├── LakeMissingError     no such lake, table or version
    │   ├── LakeFormatError      written by a newer release, or not a lake at all
    │   └── LakeConflictError    other writers kept winning; nothing of this write was kept
    ├── ModelError           a model cannot be learnt, kept or applied
    │   ├── FitError             the data does not allow a model: too few positives, a single class
    │   ├── BundleError          a bundle is incomplete, was altered, or does not fit the features
    │   └── RegistryError        the registry of models cannot be reached, or has no such version
    ├── InspectionError      a pool, plan, draw, assignment or estimate breaks a rule of inspection
    ├── TransitionError      the state of a thing does not allow a step
    ├── LedgerError          the service's ledger cannot be used
    │   └── LedgerDownError      it cannot be reached just now; it is tried again
    ├── AccessError          an account, a password, a role or a key breaks a rule of access
    │   └── AccessDownError      whoever proves callers cannot be reached just now
    └── MissingExtraError    an optional package is needed for this command

A message names the value, the rule it breaks and what to do about it.
"""

from __future__ import annotations


class XinjianError(Exception):
    """Base of all errors that are meant to be read by a user."""


class ConfigError(XinjianError):
    """A setting or a declaration file is wrong; the message carries ``file:line`` where known."""


class CodeError(XinjianError):
    """An identifier, or a dated code table such as the working-day calendar, cannot be used."""


class SourceError(XinjianError):
    """A source file as a whole cannot be read."""


class RecordError(XinjianError):
    """A frame of records does not fit its contract."""


class LakeError(XinjianError):
    """The record lake cannot be read or written."""


class LakeMissingError(LakeError):
    """The lake, one of its tables, or the asked version does not exist."""


class LakeFormatError(LakeError):
    """The lake was written by a newer release, or the folder holds something else."""


class LakeConflictError(LakeError):
    """Concurrent writers kept winning; nothing of this write was kept and it may be repeated."""


class ModelError(XinjianError):
    """A model cannot be learnt, kept or applied."""


class FitError(ModelError):
    """The data does not allow a model; the message says how much more of what is needed."""


class BundleError(ModelError):
    """A bundle is incomplete, was altered after it was written, or does not fit the features."""


class RegistryError(ModelError):
    """The model registry cannot be reached, or has no such model, version or alias."""


class TransitionError(XinjianError):
    """The state of a thing does not allow a step; ``allowed`` are those that it does."""

    def __init__(self, message: str, *, state: str, allowed: tuple[str, ...]) -> None:
        """Keep the ``state`` and the steps that it allows, for programs."""
        super().__init__(message)
        self.state = state
        self.allowed = allowed


class LedgerError(XinjianError):
    """The service's ledger cannot be used: not migrated, of a newer release, or not to be had."""


class LedgerDownError(LedgerError):
    """The ledger cannot be reached just now; nothing was kept, and a request may be repeated."""


class AccessError(XinjianError):
    """An account, a password, a role or a key breaks a rule of who may use the service."""


class AccessDownError(AccessError):
    """Whoever proves callers, such as the issuer of tokens, cannot be reached just now."""


class InspectionError(XinjianError):
    """A pool, a plan, a draw, an assignment or an estimate breaks a rule of inspection."""


class MissingExtraError(XinjianError):
    """A command needs an optional package that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        """Name the missing ``package`` and the ``extra`` that brings it."""
        super().__init__(
            f"this command needs the package {package!r}, which is not installed; "
            f"install it with: pip install 'xinjian[{extra}]'"
        )
