"""What every learning loop here shares: device, precision, rate, steps in parts, checkpoints."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

import numpy as np

from models.errors import BundleError, ConfigError, FitError
from models.logs import logger
from models.text.engine import cpu_has_bf16
from models.text.untyped import bytes_of, seed_all, tensors_of

if TYPE_CHECKING:
    import torch

Precision = Literal["bf16", "fp32"]
Asked = Literal["auto", "bf16", "fp32"]
CHECKPOINT: Final = "checkpoint"
_DEVICE: Final = re.compile(r"cpu|cuda(?::\d{1,3})?")
_STATE: Final = "state.safetensors"
_PROGRESS: Final = "state.json"


def _unheard(_: int) -> None:
    """Take no notice of progress."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model is learnt, and in which numbers."""

    device: str
    precision: Precision

    @classmethod
    def chosen(cls, device: str | None = None, precision: Asked = "auto") -> Place:
        """Return the asked device, else CUDA where there is one, else the CPU.

        ``auto`` computes in bfloat16 where the device has instructions for it; elsewhere it would
        be imitated, slower than float32.

        Raises:
            ConfigError: There is no such kind of device.
            FitError: CUDA is asked for and there is none.
        """
        import torch

        if device is not None and not _DEVICE.fullmatch(device):
            raise ConfigError(f"--device {device}: cpu, cuda or cuda:N is needed")
        there = torch.cuda.is_available()
        if device is not None and device.startswith("cuda") and not there:
            raise FitError(f"--device {device}: torch sees no CUDA device here; use --device cpu")
        where = device or ("cuda" if there else "cpu")
        if precision == "auto":
            able = torch.cuda.is_bf16_supported() if where != "cpu" else cpu_has_bf16()
            precision = "bf16" if able else "fp32"
        logger(__name__).info("computing", device=where, precision=precision)
        return cls(where, precision)

    def autocast(self) -> torch.autocast:
        """Return the context in which the forward pass runs."""
        import torch

        kind = self.device.partition(":")[0]
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=self.precision == "bf16")


@dataclass(frozen=True, slots=True)
class Course:
    """How a piece of learning goes on: where, with which checkpoints, and who is told."""

    place: Place | None = None
    """Device and precision; chosen by what is there where it is not said."""
    work: Path | None = None
    """Folder that keeps checkpoints; a run cut off goes on from there."""
    advance: Callable[[int], None] = _unheard
    """Told of each step."""


HERE: Final = Course()
"""The device that is there, nothing kept, nobody told."""


def rate(step: int, steps: int, *, peak: float, warm: int, decay: float) -> float:
    """Return the learning rate: linear rise, level, linear fall over the last ``decay`` share.

    The level part does not depend on ``steps``, so that a run can be prolonged from a checkpoint.
    """
    falling = max(1.0, decay * steps)
    return peak * min(1.0, (step + 1) / max(1, warm), max(0.0, (steps - step) / falling))


def seed_step(seed: int, step: int) -> np.random.Generator:
    """Seed every random choice of one step, so that a resumed run repeats the run it resumes."""
    state = np.random.SeedSequence([seed, step])
    seed_all(int(state.generate_state(1, np.uint64)[0]) >> 1)
    return np.random.default_rng(state)


class Parts:
    """Takes a batch in as few parts as memory allows; gradients add up to those of the whole."""

    def __init__(self) -> None:
        self.count = 1

    def backward(
        self,
        rows: int,
        loss: Callable[[slice], torch.Tensor],
        *,
        clear: Callable[[], None],
    ) -> float:
        """Run forward and backward over ``rows`` and return the summed loss.

        Args:
            rows: Rows of the batch.
            loss: The loss of a slice of rows, already divided by the whole batch's weight.
            clear: Drops the gradients so far.

        Raises:
            FitError: Not even a single row fits into memory.
        """
        import torch

        while True:
            try:
                return self._run(rows, loss)
            except torch.OutOfMemoryError as error:
                clear()
                if self.count >= rows:
                    raise FitError(
                        "a single text does not fit into the device's memory; "
                        "use a smaller encoder, a shorter --length, or --device cpu"
                    ) from error
                self.count *= 2
                logger(__name__).warning("out of memory: smaller batches", parts=self.count)
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()

    def _run(self, rows: int, loss: Callable[[slice], torch.Tensor]) -> float:
        size = -(-rows // self.count)
        total = 0.0
        for begin in range(0, rows, size):
            part = loss(slice(begin, min(rows, begin + size)))
            _backward(part)
            total += float(part.detach())
        return total


def _backward(loss: torch.Tensor) -> None:
    loss.backward()  # pyright: ignore[reportUnknownMemberType] -- torch leaves a parameter untyped


def optimiser(model: torch.nn.Module, *, rate: float, decay: float = 0.01) -> torch.optim.AdamW:
    """Return AdamW; biases and norms (one dimension) do not decay."""
    import torch

    named = [each for each in model.parameters() if each.requires_grad]
    groups = [
        {"params": [each for each in named if each.dim() > 1], "weight_decay": decay},
        {"params": [each for each in named if each.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), eps=1e-6)


def save_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    steps: torch.optim.AdamW,
    *,
    progress: Mapping[str, int | float | str],
) -> None:
    """Write all that a run needs to go on; an earlier checkpoint stays until this one is whole."""
    tensors = {
        f"model.{name}": tensor.detach().cpu().contiguous().clone()
        for name, tensor in model.state_dict().items()
    }
    for number, kept in _moments(steps).items():
        tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in kept.items()}
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    (new / _STATE).write_bytes(bytes_of(tensors))
    (new / _PROGRESS).write_text(json.dumps(dict(progress), indent=2) + "\n", encoding="utf-8")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)  # noqa: PTH105 -- the call that POSIX makes atomic
    os.replace(new, folder)  # noqa: PTH105
    shutil.rmtree(old, ignore_errors=True)


def has_checkpoint(folder: Path) -> bool:
    """Tell whether there is a checkpoint; one that was being replaced is put back."""
    old = folder.with_name(folder.name + ".old")
    if not folder.exists() and old.exists():
        os.replace(old, folder)  # noqa: PTH105
    return folder.exists()


def _moments(steps: torch.optim.AdamW) -> dict[int, dict[str, torch.Tensor]]:
    import torch

    state = cast("dict[int, dict[str, object]]", steps.state_dict()["state"])
    return {
        number: {
            name: value.detach().cpu().contiguous()
            for name, value in kept.items()
            if isinstance(value, torch.Tensor)
        }
        for number, kept in state.items()
    }


def load_checkpoint(
    folder: Path, model: torch.nn.Module, steps: torch.optim.AdamW
) -> dict[str, int | float | str]:
    """Take up a checkpoint and return the progress that was kept with it.

    Raises:
        BundleError: It was made for another model, or is incomplete.
    """
    try:
        tensors = tensors_of(folder / _STATE)
        progress = cast(
            "dict[str, int | float | str]",
            json.loads((folder / _PROGRESS).read_text(encoding="utf-8")),
        )
        state = {
            name.removeprefix("model."): tensor
            for name, tensor in tensors.items()
            if name.startswith("model.")
        }
        model.load_state_dict(state)
    except (OSError, ValueError, RuntimeError) as error:
        raise BundleError(
            f"{folder}: not a checkpoint of this model ({error}); "
            "remove the folder to begin anew, or ask for the shape it was made with"
        ) from error
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, number, what = name.split(".", 2)
            moments.setdefault(int(number), {})[what] = tensor
    steps.load_state_dict({**steps.state_dict(), "state": moments})
    return progress
