"""Integrated gradients: how much each character added to a transformer's score of one answer.

Sundararajan, Taly & Yan, Axiomatic Attribution for Deep Networks (ICML 2017): the gradient of the
score, averaged along the straight line from a text of nothing but padding to the text itself, times
the way gone. The weights of a text add up to the difference of the two scores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, cast

import numpy as np

from models.text.bundle import EncoderPart
from models.text.encoder import clean
from models.text.engine import restored
from models.text.evidence import Weights
from models.text.untyped import cut_at

if TYPE_CHECKING:
    import torch

STEPS: Final = 16
Attribution = Callable[[str, int], Weights]


class _Embeds(Protocol):
    """The part of a transformer that turns tokens into vectors."""

    def get_input_embeddings(self) -> torch.nn.Embedding: ...


def integrated_gradients(part: EncoderPart, *, steps: int = STEPS) -> Attribution:
    """Return the attribution of a fitted transformer: ``(text, column)`` to a weight a character.

    ``column`` is of the common matrix of scores. Characters beyond what the transformer reads
    weigh 0. Needs PyTorch.
    """
    import torch
    from tokenizers import Tokenizer

    model = restored(part)
    embed = cast("_Embeds", model.encoder).get_input_embeddings()
    tokenizer = Tokenizer.from_str(part.tokenizer)
    tokenizer.encode_special_tokens = True
    cut_at(tokenizer, part.length)
    pad = embed.weight[tokenizer.token_to_id("[PAD]") or 0].detach()
    shares = ((torch.arange(steps) + 0.5) / steps).reshape(-1, 1, 1)

    def attribute(text: str, column: int) -> Weights:
        read = clean(text)
        told = tokenizer.encode(read)
        ids = torch.tensor([told.ids])
        begin = pad.expand(len(told.ids), -1).clone()
        whole = embed(ids)[0].detach()
        special = torch.tensor(told.special_tokens_mask, dtype=torch.bool)
        begin[special] = whole[special]
        way = (begin + shares * (whole - begin)).requires_grad_()

        def replaced(*_: object) -> torch.Tensor:
            return way

        handle = embed.register_forward_hook(replaced)
        try:
            rows = ids.expand(steps, -1)
            scores = cast("torch.Tensor", model(rows, torch.ones_like(rows)))[:, column]
            slope = cast("tuple[torch.Tensor]", torch.autograd.grad(scores.sum(), way))[0]
        finally:
            handle.remove()
        weights = cast("list[float]", (slope.mean(0) * (whole - begin)).sum(-1).tolist())
        return _by_character(len(text), told.offsets, weights)

    return attribute


def _by_character(length: int, offsets: list[tuple[int, int]], weights: list[float]) -> Weights:
    """Share each token's weight among its characters."""
    out = np.zeros(length, dtype=np.float64)
    for (start, end), weight in zip(offsets, weights, strict=True):
        if end > start:
            out[start:end] += weight / (end - start)
    return out
