"""Engines: what runs a fitted transformer, from the plainest to the fastest.

    torch          PyTorch, float32: the reference
    torch-bf16     PyTorch in bfloat16; on CUDA where there is one
    onnx           ONNX Runtime, float32
    openvino-bf16  OpenVINO in bfloat16: the fastest on CPUs that know bfloat16

Every engine must come to the probe's scores before it may read a text. Only the ones that begin
with ``torch`` need PyTorch.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, cast, get_args

import numpy as np
import numpy.typing as npt

from models.errors import BundleError, ConfigError, MissingExtraError, ModelError
from models.logs import logger
from models.text.bundle import EncoderPart, Probe
from models.text.encoder import CLS, PAD, SPECIAL
from models.text.heads import Floats, network
from models.text.untyped import bytes_of, encoder_of, tensor, tensors_of

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

Ids = npt.NDArray[np.int64]
EngineName = Literal["torch", "torch-bf16", "onnx", "openvino-bf16"]
Wanted = Literal["auto", "torch", "torch-bf16", "onnx", "openvino-bf16"]
ENGINES: Final[tuple[EngineName, ...]] = get_args(EngineName)

TOLERANCE: Final[Mapping[EngineName, float]] = {
    "torch": 1e-3,
    "torch-bf16": 0.06,
    "onnx": 1e-3,
    "openvino-bf16": 0.06,
}
"""Largest difference from the probe's scores, as a share of the largest score."""
_NEEDS: Final[Mapping[EngineName, tuple[str, str]]] = {
    "torch": ("torch", "text"),
    "torch-bf16": ("torch", "text"),
    "onnx": ("onnxruntime", "text"),
    "openvino-bf16": ("openvino", "openvino"),
}
_OPSET: Final = 17


class Run(Protocol):
    """Runs a network: ids and mask, rows × tokens, to scores, rows × columns."""

    def __call__(self, ids: Ids, mask: Ids) -> Floats:
        """Return the scores; ``MemoryError`` where memory does not allow the batch."""
        ...


@dataclass(frozen=True)
class Engine:
    """A transformer that is ready to read."""

    name: EngineName
    run: Run
    reason: str = ""
    """Why this engine was taken."""


def open_engine(part: EncoderPart, *, want: Wanted = "auto", threads: int | None = None) -> Engine:
    """Return an engine that comes to the probe's scores.

    ``auto`` takes the first that is installed and agrees: on CUDA torch-bf16; on a CPU with
    bfloat16 openvino-bf16, then torch-bf16; else onnx, then torch.

    Args:
        part: The fitted transformer.
        want: An engine's name, or ``auto``.
        threads: Threads to use; the engine's own choice by default.

    Raises:
        ConfigError: There is no such engine.
        MissingExtraError: The asked engine's package is not installed.
        ModelError: The asked engine's device has too little memory.
        BundleError: The asked engine differs from the probe, or none can run the bundle.
    """
    if want != "auto":
        if want not in ENGINES:
            raise ConfigError(f"engine {want}: there is none; choose of auto, {', '.join(ENGINES)}")
        if not _installed(want):
            raise MissingExtraError(*_NEEDS[want])
        return _checked(part, want, threads, reason="asked for")
    order, why = preferred()
    passed: list[str] = []
    for name in order:
        if not _installed(name):
            passed.append(f"{name} is not installed")
            continue
        try:
            engine = _checked(part, name, threads, reason="; ".join([why, *passed]))
        except ModelError as error:
            logger(__name__).warning("engine left out", engine=name, because=str(error))
            differs = isinstance(error, BundleError)
            passed.append(f"{name} {'differs from the probe' if differs else 'lacks memory'}")
            continue
        logger(__name__).info("engine chosen", engine=name, because=engine.reason)
        return engine
    raise BundleError(f"no engine can run this bundle: {'; '.join(passed)}")


def preferred() -> tuple[tuple[EngineName, ...], str]:
    """Return the engines in order of preference on this machine, and why."""
    if _has_cuda():
        return ("torch-bf16", "onnx", "torch"), "CUDA is there"
    if cpu_has_bf16():
        return ("openvino-bf16", "torch-bf16", "onnx", "torch"), "the CPU computes in bfloat16"
    return ("onnx", "torch"), "neither CUDA nor a CPU that computes in bfloat16"


def cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether the CPU has instructions for bfloat16; false where it does not say."""
    try:
        flags = cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _has_cuda() -> bool:
    # The driver's device is looked for first: asking torch costs its import.
    if not _installed("torch") or not Path("/dev/nvidiactl").exists():
        return False
    import torch

    return torch.cuda.is_available()


def _installed(name: EngineName) -> bool:
    return find_spec(_NEEDS[name][0]) is not None


def _checked(part: EncoderPart, name: EngineName, threads: int | None, *, reason: str) -> Engine:
    try:
        run = _OPENERS[name](part, threads)
        check_parity(name, run, part.probe)
    except MemoryError as error:
        raise ModelError(
            f"engine {name}: the model does not fit into its device's memory; free some, or choose "
            "another engine, such as onnx"
        ) from error
    return Engine(name, run, reason)


def check_parity(name: EngineName, run: Run, probe: Probe) -> None:
    """Raise :class:`BundleError` unless an engine comes to the probe's scores."""
    told = run(probe.ids, probe.mask)
    scale = max(1.0, float(np.abs(probe.scores).max()))
    apart = float(np.abs(told - probe.scores).max()) / scale
    if not apart <= TOLERANCE[name]:
        raise BundleError(
            f"engine {name}: its scores differ from the probe's by {apart:.2g} of the largest "
            f"score, {TOLERANCE[name]} is allowed; use another engine, or update its package"
        )


def restored(part: EncoderPart) -> torch.nn.Module:
    """Return the fitted network itself, for evaluation and further learning."""
    config = cast("dict[str, object]", json.loads(part.config))
    model = network(encoder_of(config), part.probe.scores.shape[1])
    model.load_state_dict(tensors_of(part.weights))
    return model.eval()


def packed(
    model: torch.nn.Module, tokenizer: Tokenizer, *, length: int, seed: int = 7
) -> EncoderPart:
    """Return a fitted network in the forms that the engines read.

    Args:
        model: What :func:`models.text.heads.network` made; it stays where it is.
        tokenizer: The one it was fitted with.
        length: Tokens of a text that are read, specials included.
        seed: Of the probe, which is of random tokens: real texts could be somebody's.
    """
    import torch

    model = deepcopy(model).eval().to("cpu", torch.float32)
    encoder = cast("PreTrainedModel", model.encoder)
    ids, mask = _probe(tokenizer, length, seed)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return EncoderPart(
        config=encoder.config.to_json_string(use_diff=False),
        weights=bytes_of(model.state_dict()),
        tokenizer=tokenizer.to_str(pretty=False),
        graph=exported(model, ids, mask),
        probe=Probe(ids, mask, torch_runner(model, device="cpu")(ids, mask)),
        length=length,
    )


def _probe(tokenizer: Tokenizer, length: int, seed: int) -> tuple[Ids, Ids]:
    """Return random texts of several lengths as tokens."""
    rng = np.random.default_rng(seed)
    wide = min(64, length)
    ids = rng.integers(0, tokenizer.get_vocab_size(), size=(8, wide))
    lengths = np.linspace(3, wide, 8).round().astype(np.int64)
    mask = (np.arange(wide) < lengths[:, None]).astype(np.int64)
    pad = tokenizer.token_to_id(SPECIAL[PAD]) or 0
    ids[:, 0] = tokenizer.token_to_id(SPECIAL[CLS]) or 0
    return np.where(mask == 1, ids, pad).astype(np.int64), mask


def exported(model: torch.nn.Module, probe_ids: Ids, probe_mask: Ids) -> bytes:
    """Return a network as an ONNX graph with free numbers of rows and tokens."""
    import torch

    out = BytesIO()
    rows, tokens = {0: "rows", 1: "tokens"}, {0: "rows"}
    with warnings.catch_warnings(), torch.no_grad():
        # The tracer warns of each Python number it takes as fixed; the parity check is the proof.
        warnings.simplefilter("ignore")
        export = cast("Callable[..., object]", getattr(torch.onnx, "export"))  # noqa: B009
        export(
            model,
            (tensor(probe_ids), tensor(probe_mask)),
            out,
            input_names=["ids", "mask"],
            output_names=["scores"],
            dynamic_axes={"ids": rows, "mask": rows, "scores": tokens},
            dynamo=False,
            opset_version=_OPSET,
        )
    return out.getvalue()


def torch_runner(model: torch.nn.Module, *, device: str) -> Run:
    """Return a function that runs a network, which must be in evaluation mode."""
    import torch

    def run(ids: Ids, mask: Ids) -> Floats:
        try:
            with torch.inference_mode():
                given = (tensor(ids).to(device), tensor(mask).to(device))
                scores = cast("torch.Tensor", model(*given))
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise MemoryError(str(error)) from error
        return cast("Floats", scores.float().cpu().numpy())

    return run


def _torch(part: EncoderPart, threads: int | None, *, bf16: bool) -> Run:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    device = "cuda" if bf16 and _has_cuda() else "cpu"
    try:
        model = restored(part).to(device, torch.bfloat16 if bf16 else torch.float32)
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
    return torch_runner(model, device=device)


def _onnx(part: EncoderPart, threads: int | None) -> Run:
    import onnxruntime

    runtime = cast("_Runtime", onnxruntime)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    session = runtime.InferenceSession(
        part.graph, sess_options=options, providers=["CPUExecutionProvider"]
    )

    def run(ids: Ids, mask: Ids) -> Floats:
        return session.run(None, {"ids": ids, "mask": mask})[0]

    return run


def _openvino(part: EncoderPart, threads: int | None) -> Run:
    import openvino

    settings: dict[str, str | int] = {
        "INFERENCE_PRECISION_HINT": "bf16",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    core = cast("_Core", openvino.Core())
    compiled = core.compile_model(core.read_model(BytesIO(part.graph)), "CPU", settings)

    def run(ids: Ids, mask: Ids) -> Floats:
        return np.array(compiled({"ids": ids, "mask": mask})[0], dtype=np.float32)

    return run


class _Options(Protocol):
    """The part of ONNX Runtime's options that is used."""

    log_severity_level: int
    intra_op_num_threads: int


class _Runtime(Protocol):
    """The part of ONNX Runtime that is used."""

    def SessionOptions(self) -> _Options: ...  # noqa: N802 -- its name
    def InferenceSession(  # noqa: N802
        self, graph: bytes, *, sess_options: _Options, providers: list[str]
    ) -> _Session: ...


class _Session(Protocol):
    """The part of ONNX Runtime's session that is used."""

    def run(self, names: None, given: Mapping[str, Ids]) -> list[Floats]: ...


class _Core(Protocol):
    """The part of OpenVINO's core that is used."""

    def read_model(self, model: BytesIO) -> object: ...
    def compile_model(
        self, model: object, device: str, config: Mapping[str, str | int]
    ) -> Callable[[Mapping[str, Ids]], Mapping[int, Floats]]: ...


_OPENERS: Final[Mapping[EngineName, Callable[[EncoderPart, int | None], Run]]] = {
    "torch": lambda part, threads: _torch(part, threads, bf16=False),
    "torch-bf16": lambda part, threads: _torch(part, threads, bf16=True),
    "onnx": _onnx,
    "openvino-bf16": _openvino,
}
