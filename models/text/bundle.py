r"""A text bundle: a folder with all that reads a text, and nothing that could run by itself.

    heads.json          questions, answers, parents, temperatures, thresholds, and the mix of parts
    manifest.json       where it comes from, and the SHA-256 of every other file

    config.json         the encoder's shape         \
    model.safetensors   its weights, heads included  | where a transformer reads
    tokenizer.json      text to tokens               |
    model.onnx          the same network as a graph  |
    probe.safetensors   tokens and the scores that  /
                        every engine must come to

    grams.json          n-grams, lengths, and lead  \\  where the linear model reads
    linear.safetensors  their weights               /

Either part may be absent; where both are there, their scores are mixed. The bundle's digest is the
SHA-256 of ``manifest.json``, so it covers every byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    TypeAdapter,
    ValidationError,
)

from models.errors import BundleError
from models.text.calibrate import HeadCalibration
from models.text.heads import Floats, Head, width
from models.text.linear import EVEN, Linear

MANIFEST: Final = "manifest.json"
HEADS: Final = "heads.json"
ENCODER_FILES: Final = (
    *("config.json", "model.onnx", "model.safetensors", "probe.safetensors", "tokenizer.json"),
)
LINEAR_FILES: Final = ("grams.json", "linear.safetensors")
FORMAT: Final = 1
_RESTORE: Final = "restore the bundle from where it was registered, or fit the model again"

Arrays = Mapping[str, npt.NDArray[np.generic]]


class Answering(BaseModel):
    """How one head's answers come about."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    head: Head
    share: float = Field(default=1.0, ge=0, le=1)
    """Weight of the transformer's scores; the rest is the linear model's."""
    encoder_temperature: float = Field(default=1.0, gt=0)
    linear_temperature: float = Field(default=1.0, gt=0)
    calibration: HeadCalibration = HeadCalibration()
    """Of the mix: fitted after both parts have been divided by their own temperatures."""


class TextManifest(BaseModel):
    """Where a text bundle comes from; ``files`` maps a file to its SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1] = FORMAT
    kind: Literal["encoder", "linear", "ensemble"] = "linear"
    code: str = Field(default_factory=lambda: version("xinjian"))
    created: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    rows: int = Field(default=0, ge=0)
    """Texts learnt from."""
    data_digest: str = ""
    """SHA-256 of the texts and labels learnt from."""
    taxonomy_digest: str = ""
    """Of the violation taxonomy whose leaves are answers; empty where none are."""
    params: dict[str, str | float | int | bool] = Field(
        default_factory=dict[str, "str | float | int | bool"]
    )
    metrics: dict[str, float] = Field(default_factory=dict[str, float])
    files: dict[str, str] = Field(default_factory=dict[str, str])

    @property
    def text(self) -> str:
        """Return the manifest as canonical JSON: what ``manifest.json`` holds."""
        data = self.model_dump(mode="json")
        return json.dumps(data, ensure_ascii=False, sort_keys=True, indent=1) + "\n"


@dataclass(frozen=True, eq=False)
class Probe:
    """Tokens, and the scores that an exact engine comes to."""

    ids: npt.NDArray[np.int64]
    mask: npt.NDArray[np.int64]
    scores: Floats


@dataclass(frozen=True, eq=False)
class EncoderPart:
    """A fitted transformer, in the forms that the engines read."""

    config: str
    weights: bytes
    tokenizer: str
    graph: bytes
    probe: Probe
    length: int
    """Tokens of a text that are read, specials included."""


@dataclass(frozen=True, eq=False)
class TextBundle:
    """All that reads a text, and what is known of how it was made.

    Raises:
        BundleError: The parts do not belong together.
    """

    answering: tuple[Answering, ...]
    encoder: EncoderPart | None = None
    linear: Linear | None = None
    manifest: TextManifest = field(default_factory=TextManifest)

    def __post_init__(self) -> None:
        wide = width(self.heads)
        parts = {
            "encoder": None if self.encoder is None else self.encoder.probe.scores.shape[1],
            "linear": None if self.linear is None else self.linear.intercepts.size,
        }
        wrong = {name: columns for name, columns in parts.items() if columns not in (None, wide)}
        if wrong or (self.encoder is None and self.linear is None):
            raise BundleError(
                f"the heads ask for {wide} scores, the parts give {wrong or 'none'}; {_RESTORE}"
            )

    @property
    def heads(self) -> tuple[Head, ...]:
        """Return the questions, in the order of the common matrix of scores."""
        return tuple(each.head for each in self.answering)

    @property
    def kind(self) -> Literal["encoder", "linear", "ensemble"]:
        """Return which parts read."""
        if self.encoder is None:
            return "linear"
        return "encoder" if self.linear is None else "ensemble"

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the manifest; of a saved bundle it covers every byte."""
        return _sha256(self.manifest.text.encode())

    def save(self, folder: Path) -> TextBundle:
        """Write the bundle as a new folder, whole or not at all, and return it sealed.

        Raises:
            BundleError: Something is there already, or the folder cannot be written.
        """
        if folder.exists():
            raise BundleError(f"{folder}: is there already; name a new folder, or remove it")
        content = self._content()
        files = {name: _sha256(data) for name, data in content.items()}
        sealed = self.manifest.model_copy(update={"files": files, "kind": self.kind})
        content[MANIFEST] = sealed.text.encode()
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            for name, data in content.items():
                (new / name).write_bytes(data)
            new.chmod(0o755)
            os.rename(new, folder)  # noqa: PTH104 -- the call that POSIX makes atomic
        except OSError as error:
            shutil.rmtree(new, ignore_errors=True)
            raise BundleError(f"{folder}: cannot be written: {error.strerror}") from error
        return replace(self, manifest=sealed)

    def _content(self) -> dict[str, bytes]:
        from safetensors.numpy import save

        answering = [each.model_dump(mode="json") for each in self.answering]
        length = 0 if self.encoder is None else self.encoder.length
        out = {HEADS: _json({"answering": answering, "length": length})}
        if self.encoder is not None:
            probe = self.encoder.probe
            arrays = {"ids": probe.ids, "mask": probe.mask, "scores": probe.scores}
            out |= {
                "config.json": self.encoder.config.encode(),
                "model.safetensors": self.encoder.weights,
                "tokenizer.json": self.encoder.tokenizer.encode(),
                "model.onnx": self.encoder.graph,
                "probe.safetensors": save(arrays),
            }
        if self.linear is not None:
            one = self.linear
            out["grams.json"] = _json(
                {"lengths": one.lengths, "lead": one.lead, "grams": one.grams}
            )
            out["linear.safetensors"] = save(
                {"idf": one.idf, "weights": one.weights, "intercepts": one.intercepts}
            )
        return out

    @classmethod
    def load(cls, folder: Path, *, digest: str | None = None) -> TextBundle:
        """Read a bundle, every file held against its hash.

        Args:
            folder: What :meth:`save` wrote.
            digest: The bundle's digest, where it is known beforehand.

        Raises:
            BundleError: A file is missing, was altered, or is not of this bundle.
        """
        manifest = _manifest(folder, digest)
        content = {name: _read(folder / name) for name in sorted(manifest.files)}
        for name, data in content.items():
            if _sha256(data) != manifest.files[name]:
                raise BundleError(f"{folder / name}: was altered after the fit; {_RESTORE}")
        try:
            return _assembled(cls, content, manifest)
        except (KeyError, ValueError, ValidationError) as error:
            raise BundleError(f"{folder}: is not a text bundle ({error}); {_RESTORE}") from error


class _HeadsFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    answering: tuple[Answering, ...] = Field(min_length=1)
    length: int


class _GramsFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    lengths: tuple[int, int]
    lead: tuple[NonNegativeInt, NonNegativeInt] = EVEN
    grams: tuple[str, ...]


def _assembled(
    kind: type[TextBundle], content: Mapping[str, bytes], manifest: TextManifest
) -> TextBundle:
    heads = _HeadsFile.model_validate_json(content[HEADS])
    encoder = linear = None
    if ENCODER_FILES[0] in content:
        probe = _arrays(content["probe.safetensors"])
        encoder = EncoderPart(
            config=content["config.json"].decode(),
            weights=content["model.safetensors"],
            tokenizer=content["tokenizer.json"].decode(),
            graph=content["model.onnx"],
            probe=Probe(
                ids=probe["ids"].astype(np.int64),
                mask=probe["mask"].astype(np.int64),
                scores=probe["scores"].astype(np.float32),
            ),
            length=heads.length,
        )
    if LINEAR_FILES[0] in content:
        arrays = _arrays(content["linear.safetensors"])
        grams = TypeAdapter(_GramsFile).validate_json(content["grams.json"])
        linear = Linear(
            grams=grams.grams,
            lengths=grams.lengths,
            idf=arrays["idf"].astype(np.float32),
            weights=arrays["weights"].astype(np.float32),
            intercepts=arrays["intercepts"].astype(np.float32),
            lead=grams.lead,
        )
    return kind(heads.answering, encoder=encoder, linear=linear, manifest=manifest)


def _arrays(data: bytes) -> Arrays:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return cast("Arrays", load(data))
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _manifest(folder: Path, digest: str | None) -> TextManifest:
    path = folder / MANIFEST
    content = _read(path)
    if digest is not None and _sha256(content) != digest:
        raise BundleError(f"{path}: is not of the bundle with digest {digest}; {_RESTORE}")
    try:
        said = cast("object", json.loads(content))
        newer = isinstance(said, dict) and cast("dict[str, object]", said).get("format", 0)
        if isinstance(newer, int) and newer > FORMAT:
            raise BundleError(
                f"{path}: format {newer}, but this release reads format {FORMAT}; update xinjian"
            )
        manifest = TextManifest.model_validate(said)
    except ValueError as error:
        raise BundleError(f"{path}: is not a text bundle's manifest; {_RESTORE}") from error
    known = {HEADS, *ENCODER_FILES, *LINEAR_FILES}
    there = {each.name for each in folder.iterdir()} - {MANIFEST}
    if odd := sorted((there ^ set(manifest.files)) | (set(manifest.files) - known)):
        raise BundleError(f"{folder}: {', '.join(odd)}: missing, or not of the bundle; {_RESTORE}")
    return manifest


def _json(data: object) -> bytes:
    return (json.dumps(data, ensure_ascii=False) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}; {_RESTORE}") from error
