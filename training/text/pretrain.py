"""Masked language modelling: the encoder learns the language before it learns any label."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from models.errors import FitError
from models.logs import logger
from models.text.encoder import (
    SPECIAL,
    EncoderShape,
    character_tokenizer,
    masked_model,
    new_masked_model,
    save_tokenizer,
    vocabulary_of,
)
from models.text.untyped import keep_pretrained, tensor
from training.text.corpus import Encoded, Ints, Order, chunks, encode
from training.text.learn import (
    CHECKPOINT,
    Parts,
    Place,
    has_checkpoint,
    load_checkpoint,
    optimiser,
    rate,
    save_checkpoint,
    seed_step,
)

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import BertForMaskedLM

_SPANS: Final = ((1, 0.5), (2, 0.3), (3, 0.2))
"""Lengths of masked spans and their shares: a word of several characters goes as a whole."""
_IGNORED: Final = -100


class PretrainPlan(BaseModel):
    """How long and how fast to pre-train."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=10_000, ge=1)
    tokens: int = Field(default=4096, ge=64)
    """Tokens of a batch, padding counted."""
    length: int = Field(default=126, ge=8)
    """Characters of a short piece; with the two special tokens a round number."""
    long: int = Field(default=254, ge=8)
    masked: float = Field(default=0.2, gt=0, lt=1)
    rate: float = Field(default=1e-3, gt=0)
    warm: int = Field(default=400, ge=0)
    decay: float = Field(default=0.2, gt=0, le=1)
    keep_every: int = Field(default=500, ge=1)
    """Steps between checkpoints."""
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Pretrained:
    """What a run of pre-training came to."""

    steps: int
    tokens: int
    loss: float
    """Mean loss of the last hundred steps, in nats a masked character."""
    correct: float
    """Share of masked characters guessed right, over the same steps."""


def pretrain(
    texts: Sequence[str],
    out: Path,
    *,
    shape: EncoderShape | None = None,
    plan: PretrainPlan | None = None,
    base: str | None = None,
    place: Place | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Pretrained:
    """Pre-train an encoder on ``texts`` and save it under ``out``, ready to be a base.

    A run that was cut off goes on from its last checkpoint and ends as if it had not been.

    Args:
        texts: What to read; the same on resumption.
        out: The folder to write: a transformers folder, with ``checkpoint/`` while it runs.
        shape: Size of a new encoder; unused with ``base``.
        plan: Length and speed.
        base: Folder or name of an encoder to go on from, instead of a new one.
        place: Device and precision.
        advance: Told of each step.

    Raises:
        FitError: There is nothing to read.
    """
    plan, place = plan or PretrainPlan(), place or Place.chosen()
    cut = chunks(texts, length=plan.length, long=plan.long)
    if not cut:
        raise FitError("there is no text to pre-train on; give at least one --text with content")
    seed_step(plan.seed, 0)
    if base is None:
        vocabulary = vocabulary_of(cut)
        if len(vocabulary) == len(SPECIAL):
            raise FitError("no character is seen five times in these texts; give more of them")
        tokenizer = character_tokenizer(vocabulary)
        model = new_masked_model(shape or EncoderShape(), len(vocabulary))
    else:
        model, tokenizer = masked_model(base)
    data = encode(tokenizer, cut, longest=plan.long + 2)
    cast("torch.nn.Module", model).to(place.device)
    done = _run(model, tokenizer, data, out, plan=plan, place=place, advance=advance)
    keep_pretrained(model, out)
    save_tokenizer(tokenizer, out)
    return done


def _run(
    model: BertForMaskedLM,
    tokenizer: Tokenizer,
    data: Encoded,
    out: Path,
    *,
    plan: PretrainPlan,
    place: Place,
    advance: Callable[[int], None],
) -> Pretrained:
    import torch

    steps = optimiser(model, rate=plan.rate)
    kept = out / CHECKPOINT
    first, seen = 0, 0
    if has_checkpoint(kept):
        progress = load_checkpoint(kept, model, steps)
        _same_texts(progress["texts"], data, kept)
        first, seen = int(progress["step"]), int(progress["tokens"])
        logger(__name__).info("resumed", step=first, tokens=seen)
    model.train()
    parts = Parts()
    order = Order(data.lengths, tokens=plan.tokens, seed=plan.seed)
    recent: list[tuple[float, float]] = []
    mask = _Masking.of(tokenizer, plan.masked)
    begun, fresh = time.monotonic(), 0
    for step in range(first, plan.steps):
        rng = seed_step(plan.seed, step + 1)
        ids = data.padded(order.at(step), pad=mask.pad)
        given, wanted = mask.apply(ids, rng)
        for group in steps.param_groups:
            group["lr"] = rate(step, plan.steps, peak=plan.rate, warm=plan.warm, decay=plan.decay)
        told = _step(model, given, wanted, pad=mask.pad, parts=parts, place=place)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        steps.step()  # pyright: ignore[reportUnknownMemberType] -- untyped in torch
        model.zero_grad(set_to_none=True)
        recent = [*recent[-99:], told]
        seen, fresh = seen + ids.size, fresh + ids.size
        advance(1)
        if (step + 1) % plan.keep_every == 0 or step + 1 == plan.steps:
            state = {"step": step + 1, "tokens": seen, "texts": _digest(data)}
            save_checkpoint(kept, model, steps, progress=state)
            loss, right = np.mean(recent, axis=0)
            logger(__name__).info(
                "pre-training",
                step=step + 1,
                loss=round(float(loss), 3),
                correct=round(float(right), 3),
                tokens_per_second=round(fresh / (time.monotonic() - begun)),
            )
    loss, right = np.mean(recent, axis=0) if recent else (float("nan"), float("nan"))
    return Pretrained(plan.steps, seen, float(loss), float(right))


def _step(
    model: BertForMaskedLM, given: Ints, wanted: Ints, *, pad: int, parts: Parts, place: Place
) -> tuple[float, float]:
    """Add one batch's gradients; return its loss and the share of characters guessed right."""
    import torch

    ids, targets = tensor(given), tensor(wanted)
    asked = max(1, int((targets != _IGNORED).sum()))
    right = 0

    def loss(rows: slice) -> torch.Tensor:
        nonlocal right
        some, target = ids[rows].to(place.device), targets[rows].to(place.device)
        pick = target != _IGNORED
        with place.autocast():
            hidden = model.bert(some, attention_mask=(some != pad).long()).last_hidden_state
            # Scores over the whole vocabulary are needed at masked places alone.
            scores = cast("torch.Tensor", model.cls(hidden[pick])).float()
        right += int((scores.detach().argmax(-1) == target[pick]).sum())
        return torch.nn.functional.cross_entropy(scores, target[pick], reduction="sum") / asked

    total = parts.backward(ids.shape[0], loss, clear=lambda: model.zero_grad(set_to_none=True))
    return total, right / asked


@dataclass(frozen=True, slots=True)
class _Masking:
    """Hides spans of characters: 80 % behind the mask, 10 % behind another, 10 % in the open."""

    pad: int
    mask: int
    plain: npt.NDArray[np.bool_]
    """Per id: whether it may be masked, which special tokens may not."""
    share: float

    @classmethod
    def of(cls, tokenizer: Tokenizer, share: float) -> _Masking:
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        plain = np.ones(max(vocabulary.values()) + 1, dtype=np.bool_)
        plain[[place for name, place in vocabulary.items() if _special(name)]] = False
        return cls(vocabulary["[PAD]"], vocabulary["[MASK]"], plain, share)

    def apply(self, ids: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Return the ids to show and the ids to guess, -100 where nothing is asked."""
        lengths, shares = (np.array(column) for column in zip(*_SPANS, strict=True))
        begins = rng.random(ids.shape) < self.share / float(lengths @ shares)
        spans = rng.choice(lengths.astype(np.int64), size=ids.shape, p=shares)
        hidden = begins.copy()
        for ahead in range(1, int(lengths.max())):
            hidden[:, ahead:] |= (begins & (spans > ahead))[:, :-ahead]
        hidden &= self.plain[ids]
        if not hidden.any():
            row, column = np.argwhere(self.plain[ids])[0] if self.plain[ids].any() else (0, 0)
            hidden[row, column] = True
        wanted = np.where(hidden, ids, _IGNORED)
        dice = rng.random(ids.shape)
        other = rng.choice(np.flatnonzero(self.plain), size=ids.shape)
        shown = np.where(hidden & (dice < 0.8), self.mask, ids)
        return np.where(hidden & (dice >= 0.8) & (dice < 0.9), other, shown), wanted


def _special(name: str) -> bool:
    return len(name) > 1 and name.startswith("[") and name.endswith("]")


def _digest(data: Encoded) -> str:
    return hashlib.sha256(data.ids.tobytes()).hexdigest()


def _same_texts(kept: object, data: Encoded, folder: Path) -> None:
    if kept != _digest(data):
        raise FitError(
            f"{folder}: this checkpoint was made on other texts; "
            "give the same --text options to resume, or remove the folder to begin anew"
        )
