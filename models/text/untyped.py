"""Calls of torch, tokenizers and safetensors whose types these libraries leave open, typed once.

``getattr`` takes such a function without its type; the cast beside it says what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from logging import ERROR, getLogger
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel


def tensor(array: npt.NDArray[np.generic]) -> torch.Tensor:
    """Return an array as a tensor that shares its memory."""
    import torch

    make = cast("Callable[[npt.NDArray[np.generic]], torch.Tensor]", getattr(torch, "from_numpy"))  # noqa: B009
    return make(array)


def cut_at(tokenizer: Tokenizer, length: int) -> None:
    """Let a tokenizer cut texts at ``length`` tokens, specials included, and pad none."""
    tokenizer.no_padding()
    set_length = cast("Callable[[int], None]", getattr(tokenizer, "enable_truncation"))  # noqa: B009
    set_length(length)


def tensors_of(file: Path | bytes) -> dict[str, torch.Tensor]:
    """Read the tensors of a safetensors file, or of its bytes."""
    from safetensors import torch as kept

    if isinstance(file, bytes):
        return kept.load(file)
    read = cast("Callable[[Path], dict[str, torch.Tensor]]", getattr(kept, "load_file"))  # noqa: B009
    return read(file)


def bytes_of(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Return tensors as the bytes of a safetensors file."""
    from safetensors.torch import save

    return save({name: one.detach().cpu().contiguous() for name, one in tensors.items()})


def seed_all(seed: int) -> None:
    """Seed torch's own random numbers, on every device."""
    import torch

    cast("Callable[[int], object]", getattr(torch, "manual_seed"))(seed)  # noqa: B009


def keep_pretrained(model: object, folder: Path) -> None:
    """Write a model or tokenizer of transformers as a folder that it reads again."""
    with _quiet():
        cast("Callable[[Path], object]", getattr(model, "save_pretrained"))(folder)  # noqa: B009


def pretrained(kind: object, base: str, **options: str | bool) -> object:
    """Read what a class of transformers makes of a folder or a hub's name; no code is run."""
    read = cast("Callable[..., object]", getattr(kind, "from_pretrained"))  # noqa: B009
    with _quiet():
        return read(base, trust_remote_code=False, **options)


@contextmanager
def _quiet() -> Generator[None]:
    """Keep bars, retries and reports of weights that no head reads out of our log."""
    from transformers.utils import logging

    hub = getLogger("huggingface_hub")
    level, bars, told = logging.get_verbosity(), logging.is_progress_bar_enabled(), hub.level
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub.setLevel(ERROR)
    try:
        yield
    finally:
        hub.setLevel(told)
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def encoder_of(config: Mapping[str, object]) -> PreTrainedModel:
    """Return an encoder of a configuration, weights random."""
    from transformers import AutoConfig, AutoModel

    shape = cast("Callable[..., object]", getattr(AutoConfig, "for_model"))(**config)  # noqa: B009
    make = cast("Callable[[object], PreTrainedModel]", getattr(AutoModel, "from_config"))  # noqa: B009
    return make(shape)
