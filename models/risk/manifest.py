"""The manifest of a bundle: where it comes from, enough to repeat the fit, and what it consists of.

It is canonical JSON and carries a checksum of itself, so that one changed byte shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal, cast

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from models.errors import BundleError
from models.risk.encode import shown

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
FILES: Final = (
    *("booster.txt", "calibrator.json", "drift.json", "encoder.json", "features.json"),
    "scenario.yaml",
)
_LIBRARIES: Final = ("lightgbm", "numpy", "polars")
_RESTORE: Final = "restore the bundle from where it was registered, or fit the model again"


def _code() -> str:
    return version("xinjian")


def _libraries() -> dict[str, str]:
    return {name: version(name) for name in _LIBRARIES}


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class BundleManifest(BaseModel):
    """Where a bundle comes from: its data, declaration, settings and results.

    ``data_versions`` are the lake's versions by table, ``trained_from`` and ``trained_to`` the
    first and last date of view, ``rows`` and ``positives`` what was learnt from, ``params`` every
    setting of the fit with its seeds. ``files`` maps a file to its SHA-256; ``checksum`` is the
    SHA-256 of the manifest without it. What has a default is filled in by a new bundle.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1] = FORMAT
    scenario: str = ""
    scenario_digest: str = ""
    features_digest: str = ""
    code: str = Field(default_factory=_code)
    libraries: dict[str, str] = Field(default_factory=_libraries)
    created: AwareDatetime = Field(default_factory=_now)
    data_versions: dict[str, int]
    trained_from: date
    trained_to: date
    rows: int = Field(ge=1)
    positives: int = Field(ge=0)
    base_rate: float = Field(ge=0, le=1)
    params: dict[str, str | float | int | bool] = Field(
        default_factory=dict[str, "str | float | int | bool"]
    )
    metrics: dict[str, float] = Field(default_factory=dict[str, float])
    files: dict[str, str] = Field(default_factory=dict[str, str])
    checksum: str = ""

    @property
    def text(self) -> str:
        """Return the manifest as canonical JSON: what ``manifest.json`` holds."""
        return _canonical(self.model_dump(mode="json"))

    def sealed(self, **filled: str | Mapping[str, str]) -> BundleManifest:
        """Return the manifest with ``filled`` in, and with its checksum."""
        whole = self.model_copy(update={**filled, "checksum": ""})
        data = whole.model_dump(mode="json")
        return BundleManifest.model_validate({**data, "checksum": _checksum(data)})

    @classmethod
    def read(cls, path: Path, *, digest: str | None = None) -> BundleManifest:
        """Read and check ``manifest.json``; see :meth:`.bundle.Bundle.load`."""
        content = _read(path)
        if digest is not None and sha256(content) != digest:
            raise BundleError(
                f"{path}: its SHA-256 is {sha256(content)}, but the bundle that was asked for has "
                f"the digest {digest}; {_RESTORE}"
            )
        try:
            data = cast("object", json.loads(content))
        except ValueError as error:
            raise BundleError(f"{path}: is not JSON ({error}); {_RESTORE}") from None
        if not isinstance(data, dict):
            raise BundleError(f"{path}: holds no manifest; {_RESTORE}")
        return cls._of(cast("dict[str, object]", data), content, path)

    @classmethod
    def _of(cls, data: dict[str, object], content: bytes, path: Path) -> BundleManifest:
        said = data.get("format")
        if isinstance(said, int) and said > FORMAT:
            raise BundleError(
                f"{path}: format {said}, but this release reads format {FORMAT}; update xinjian"
            )
        try:
            manifest = cls.model_validate(data)
        except ValidationError as error:
            places = sorted({".".join(map(str, d["loc"])) for d in error.errors()})
            raise BundleError(f"{path}: wrong in {shown(places)}; {_RESTORE}") from None
        if manifest.text.encode() != content or manifest.checksum != _checksum(data):
            raise BundleError(f"{path}: was altered after it was written; {_RESTORE}")
        return manifest

    def check_files(self, folder: Path) -> dict[str, str]:
        """Return the texts of the bundle's files after holding each against its hash."""
        odd = sorted(set(self.files) ^ set(FILES))
        if odd:
            raise BundleError(f"{folder / MANIFEST}: wrong files {shown(odd)}; {_RESTORE}")
        there = {path.name for path in folder.iterdir()} - {MANIFEST}
        extra = sorted(there - set(FILES))
        if extra:
            raise BundleError(
                f"{folder}: {shown(extra)} is not of the bundle; remove what was put there"
            )
        texts: dict[str, str] = {}
        for name in FILES:
            content = _read(folder / name)
            if sha256(content) != self.files[name]:
                raise BundleError(f"{folder / name}: was altered after the fit; {_RESTORE}")
            texts[name] = content.decode()
        return texts


def sha256(content: bytes) -> str:
    """Return the SHA-256 in 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def _checksum(data: Mapping[str, object]) -> str:
    return sha256(_canonical({**data, "checksum": ""}).encode())


def _canonical(data: Mapping[str, object]) -> str:
    return json.dumps(data, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False) + "\n"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{path}: is missing; {_RESTORE}") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}; {_RESTORE}") from None
