"""Where a lake lies: a local folder or an object store, and what its failures mean."""

from __future__ import annotations

import errno
import io
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast
from urllib.parse import unquote, urlsplit

import polars as pl
from deltalake.exceptions import DeltaError

from models.errors import LakeError, LakeFormatError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from obstore.store import ClientConfig, ObjectStore, S3Config

# How storage libraries word a full disk, an exceeded quota and a file-size limit.
_FULL = ("no space left", "quota exceeded", "file too large", "storagefull")
# Small groups and pages let one subject be found without decoding its neighbours; a bound on the
# number of groups keeps the footer small, which every reader parses.
GROUPS = 40
PAGE = 32 * 1024
MIN_GROUP, MAX_GROUP = 8_192, 65_536
# Options about the connection rather than the store, which the upload takes apart.
_CLIENT_OPTIONS = frozenset(
    {"allow_http", "allow_invalid_certificates", "connect_timeout", "proxy_url", "timeout"}
)


STORES: Final = ("s3", "s3a", "gs", "az", "abfs", "abfss")
"""Schemes of the object stores that Delta and Polars both speak."""


@dataclass(frozen=True, slots=True)
class Place:
    """The root of a lake and the options that reach it."""

    root: str
    options: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def remote(self) -> bool:
        """Tell whether the lake lies in an object store."""
        return "://" in self.root

    @property
    def delta_options(self) -> dict[str, str] | None:
        """Give the options as the Delta library takes them."""
        return dict(self.options) or None

    @property
    def polars_options(self) -> dict[str, str] | None:
        """Give the options as Polars takes them: the same keys in lower case."""
        return {key.lower(): value for key, value in self.options.items()} or None

    def at(self, *parts: str) -> str:
        """Give the path or URL of ``parts`` below the root."""
        return "/".join((self.root, *parts))


def place_of(url: str | os.PathLike[str], options: Mapping[str, str] | None) -> Place:
    """Read a lake's ``url``: a local path, ``file://`` or an object store such as ``s3://``.

    Raises LakeError for an empty path, a kind of address that is no object store, and a path with
    a character that Delta misreads.
    """
    text = os.fspath(url)
    if not text:
        raise LakeError("the lake's path is empty; name a folder or an s3:// URL")
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    scheme, separator, _ = text.partition("://")
    if separator:
        if scheme.lower() not in STORES:
            raise LakeError(
                f"{text!r} is no address of a lake; name a folder, or begin with one of "
                f"{', '.join(f'{name}://' for name in STORES)}"
            )
        return Place(text.rstrip("/"), dict(options or {}))
    if any(sign in text for sign in "%#?"):
        raise LakeError(f"{text!r} contains one of % # ?, which Delta misreads; rename the folder")
    return Place(str(Path(text).expanduser().absolute()), dict(options or {}))


def check_folder(place: Place, catalogue: str) -> None:
    """Refuse a local folder that holds something other than a lake (LakeFormatError)."""
    if place.remote:
        return
    root = Path(place.root)
    with translated("open", place.root):
        if root.exists() and not root.is_dir():
            raise LakeFormatError(f"{root} is a file, not a lake; name a folder")
        if not root.exists() or (root / catalogue).is_dir():
            return
        others = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith("."))
    if others:
        shown = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        raise LakeFormatError(
            f"{root} holds {shown} and no lake; name an empty or new folder, or the lake's own root"
        )


@contextmanager
def translated(action: str, place: str) -> Generator[None]:
    """Turn what the file system, Polars and the Delta library raise into a LakeError.

    ``action`` completes "cannot … ``place``".
    """
    try:
        yield
    except (OSError, pl.exceptions.ComputeError, DeltaError) as error:
        raise LakeError(
            f"cannot {action} {place}: {_first_line(error)}; {_remedy(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _remedy(error: Exception) -> str:
    text = str(error).lower()
    code = error.errno if isinstance(error, OSError) else None
    if code in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} or any(sign in text for sign in _FULL):
        return "free space there and repeat; nothing of this write was kept"
    if isinstance(error, PermissionError) or "permission denied" in text:
        return "give this user the right to read and write there"
    if isinstance(error, FileNotFoundError) or "no such file" in text:
        return "restore the missing file from a backup, or read another version"
    if isinstance(error, pl.exceptions.ComputeError):
        return "restore the damaged file from a backup, or read another version"
    return "check the path, the storage options and that the storage answers, then repeat"


@contextmanager
def reading(place: Place, paths: list[str]) -> Generator[None]:
    """Turn a failed read of ``paths`` into a LakeError that names the file at fault."""
    try:
        yield
    except (OSError, pl.exceptions.ComputeError):
        for path in paths:
            with translated("read", path):
                pl.scan_parquet(path, glob=False, storage_options=place.polars_options).collect(
                    engine="streaming"
                )
        with translated("read", paths[0] if len(paths) == 1 else f"{len(paths)} files"):
            raise


def write_parquet(place: Place, path: str, frame: pl.DataFrame) -> int:
    """Write ``frame`` as one zstd Parquet file and give its size in bytes.

    A local file is on the disk itself (fsync) before this returns, since the commit that follows
    makes it part of the lake.
    """
    if place.remote:
        return _upload(place, path, frame)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("wb") as file:
            _encode(frame, file)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        _sync(target.parent)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return size


def _encode(frame: pl.DataFrame, file: IO[bytes]) -> None:
    # Level 1 was both faster and smaller than the default on such rows.
    frame.write_parquet(
        file,
        compression="zstd",
        compression_level=1,
        row_group_size=min(max(frame.height // GROUPS, MIN_GROUP), MAX_GROUP),
        data_page_size=PAGE,
    )


def _upload(place: Place, path: str, frame: pl.DataFrame) -> int:
    # The commit must state the exact size, which an upload through Polars does not tell.
    buffer = io.BytesIO()
    _encode(frame, buffer)
    store = _store(place.root, tuple(sorted(place.options.items())))
    import obstore

    with _as_os_error():
        obstore.put(store, path.removeprefix(place.root + "/"), buffer.getvalue())
    return buffer.tell()


@lru_cache(maxsize=8)
def _store(root: str, options: tuple[tuple[str, str], ...]) -> ObjectStore:
    if find_spec("obstore") is None:
        raise MissingExtraError("obstore", "s3")
    from obstore.store import from_url

    config = {key.lower(): value for key, value in options}
    client = {
        name: config.pop(key)
        for key in list(config)
        if (name := key.removeprefix("aws_")) in _CLIENT_OPTIONS
    }
    with _as_os_error():
        # The keys are checked at run time: they differ by store and come from the user.
        return from_url(
            root,
            config=cast("S3Config", config),
            client_options=cast("ClientConfig", client) if client else None,
        )


@contextmanager
def _as_os_error() -> Generator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except BaseError as error:
        raise OSError(str(error)) from error


def drop_files(place: Place, paths: list[str]) -> None:
    """Remove files of a write that was not committed; on an object store vacuum does it later."""
    if place.remote:
        return
    for path in paths:
        Path(path).unlink(missing_ok=True)


def sync_log(place: Place, table: str, version: int) -> None:
    """Bring the log entry of a local commit onto the disk itself."""
    if place.remote:
        return
    log = Path(log_entry(place, table, version))
    _sync(log)
    _sync(log.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def log_entry(place: Place, table: str, version: int) -> str:
    """Give the path of the Delta log entry that makes ``version``."""
    return place.at(table, "_delta_log", f"{version:020}.json")
