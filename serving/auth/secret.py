"""Secrets that the service must read again, sealed with AES-256-GCM before the ledger keeps them.

The key is XINJIAN_SECRET_KEY or a file that the service makes, so that a copy of the database alone
opens nothing.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from models.errors import AccessError
from serving.settings import ServeSettings

_VERSION: Final = b"\x01"
_NONCE: Final = 12
_USE: Final = b"xinjian sealed secrets v1"


def seal(settings: ServeSettings, plain: bytes, *, context: str) -> bytes:
    """Seal ``plain``; ``context`` says whose it is, such as ``totp:<account>``.

    What is sealed opens in its own context only: a row's secret cannot be moved to another row.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE)
    bound = _VERSION + context.encode()
    return _VERSION + nonce + AESGCM(_key(settings)).encrypt(nonce, plain, bound)


def unseal(settings: ServeSettings, sealed: bytes, *, context: str) -> bytes:
    """Return what was sealed in the context.

    Raises:
        AccessError: It was altered, belongs elsewhere, or was sealed with another key.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    start = len(_VERSION)
    nonce, rest = sealed[start : start + _NONCE], sealed[start + _NONCE :]
    try:
        return AESGCM(_key(settings)).decrypt(nonce, rest, sealed[:start] + context.encode())
    except (InvalidTag, ValueError) as error:
        raise AccessError(
            f"the sealed secret {context!r} does not open: it was altered, or XINJIAN_SECRET_KEY "
            f"(or {settings.secret_file}) is not the one it was sealed with; restore that, or set "
            "the secret up anew"
        ) from error


def check_file(path: Path) -> None:
    """Raise :class:`AccessError` where others than its owner may read the key's file."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise AccessError(
            f"{path} has the mode {mode:o}: others could read the secret key; run chmod 600 {path}"
        )


def _key(settings: ServeSettings) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    secret = settings.secret or _from_file(settings.secret_file)
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_USE).derive(secret)


def _from_file(path: Path) -> bytes:
    try:
        if not path.exists():
            _make(path)
        check_file(path)
        return path.read_bytes()
    except OSError as error:
        raise AccessError(
            f"the secret key {path} cannot be read or made ({error.strerror}); let the service "
            "write there, or set XINJIAN_SECRET_KEY"
        ) from error


def _make(path: Path) -> None:
    """Make the file whole or not at all: of two processes that make it, the first one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        os.link(own, path)
    except FileExistsError:
        pass
    finally:
        own.unlink()
