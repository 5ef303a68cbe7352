"""Fine-tuning: all heads of a network at once, from any base."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ConfigDict, Field

from models.errors import FitError
from models.logs import logger
from models.text.bundle import EncoderPart
from models.text.classifier import EncoderReader
from models.text.encoder import load_base
from models.text.engine import Engine, packed, torch_runner
from models.text.heads import Floats, Head, network, places, width
from models.text.untyped import cut_at, tensor
from training.text.corpus import Encoded, Ints, Order, encode
from training.text.learn import (
    CHECKPOINT,
    HERE,
    Course,
    Parts,
    Place,
    has_checkpoint,
    load_checkpoint,
    optimiser,
    rate,
    save_checkpoint,
    seed_step,
)
from training.text.targets import Targets

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer


class FitPlan(BaseModel):
    """How a network is fine-tuned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=6, ge=1)
    tokens: int = Field(default=4096, ge=64)
    """Tokens of a batch, padding counted."""
    length: int = Field(default=256, ge=8)
    """Tokens of a text that are read, specials included."""
    rate: float = Field(default=5e-4, gt=0)
    warm: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the rate rises; it falls over all the others."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    smoothing: float = Field(default=0.05, ge=0, lt=1)
    parents: float = Field(default=0.3, ge=0)
    """Weight of the parent's loss beside the leaf's."""
    keep_every: int = Field(default=200, ge=1)
    """Steps between checkpoints."""
    seed: int = 7
    validation: float = Field(default=0.1, gt=0, lt=1)
    """Share of the texts, or groups, held out to set thresholds and to judge."""
    group: str | None = None
    """Column whose values are never torn between learning and validation."""


@dataclass(frozen=True, eq=False)
class Network:
    """A fine-tuned network with its tokenizer."""

    model: torch.nn.Module
    tokenizer: Tokenizer
    place: Place
    length: int
    columns: int

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return rows × columns, in float32."""
        run = torch_runner(self.model.eval(), device=self.place.device)
        tokenizer = self.tokenizer
        cut_at(tokenizer, self.length)
        pad = tokenizer.token_to_id("[PAD]") or 0
        return EncoderReader(Engine("torch", run), tokenizer, pad, self.columns).scores(texts)

    def part(self, *, seed: int = 7) -> EncoderPart:
        """Return the network in the forms that the engines read."""
        return packed(self.model, self.tokenizer, length=self.length, seed=seed)


def fit_network(
    texts: Sequence[str],
    targets: Targets,
    base: str,
    *,
    plan: FitPlan | None = None,
    course: Course = HERE,
    watch: Callable[[int, Network], None] | None = None,
) -> Network:
    """Fine-tune a base on texts and their answers.

    Args:
        texts: What to read.
        targets: Their answers; a head that is unknown for a text teaches nothing there.
        base: Folder or name of a pretrained encoder.
        plan: Length and speed.
        course: Where it runs, and what it keeps and tells.
        watch: Called after each epoch with its number and the network so far.

    Raises:
        ConfigError: The base cannot be used; see :func:`models.text.encoder.load_base`.
        FitError: There is nothing to learn from.
    """
    plan, place = plan or FitPlan(), course.place or Place.chosen()
    if not len(texts) or not targets.known.any():
        raise FitError("there is no labelled text to fine-tune on")
    # Before the base is read: parts that it lacks, such as a pooler, begin at random.
    seed_step(plan.seed, 0)
    encoder, tokenizer = load_base(base)
    columns = width(targets.heads)
    longest = int(getattr(encoder.config, "max_position_embeddings", plan.length))
    length = min(plan.length, longest)
    model = network(encoder, columns, dropout=plan.dropout).to(place.device)
    data = encode(tokenizer, texts, longest=length)
    made = Network(model, tokenizer, place, length, columns)
    _run(made, data, targets, plan=plan, course=course, watch=watch)
    model.eval()
    return made


def _run(
    made: Network,
    data: Encoded,
    targets: Targets,
    *,
    plan: FitPlan,
    course: Course,
    watch: Callable[[int, Network], None] | None,
) -> None:
    import torch

    model = made.model
    steps = optimiser(model, rate=plan.rate)
    order = Order(data.lengths, tokens=plan.tokens, seed=plan.seed)
    ends = [order.steps(epoch + 1) for epoch in range(plan.epochs)]
    kept = None if course.work is None else course.work / CHECKPOINT
    first, run = 0, _fingerprint(data, targets, plan)
    if kept is not None and has_checkpoint(kept):
        progress = load_checkpoint(kept, model, steps)
        if progress["run"] != run:
            raise FitError(
                f"{kept}: this checkpoint is of another table or other settings; "
                "give the same to resume, or remove the folder to begin anew"
            )
        first = int(progress["step"])
        logger(__name__).info("resumed", step=first)
    warm, parts = round(plan.warm * ends[-1]), Parts()
    for step in range(first, ends[-1]):
        model.train()
        seed_step(plan.seed, step + 1)
        for group in steps.param_groups:
            group["lr"] = rate(step, ends[-1], peak=plan.rate, warm=warm, decay=1 - plan.warm)
        _step(made, data, targets, order.at(step), plan=plan, parts=parts)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        steps.step()  # pyright: ignore[reportUnknownMemberType] -- untyped in torch
        model.zero_grad(set_to_none=True)
        course.advance(1)
        if watch is not None and step + 1 in ends:
            watch(ends.index(step + 1) + 1, made)
        if kept is not None and ((step + 1) % plan.keep_every == 0 or step + 1 == ends[-1]):
            save_checkpoint(kept, model, steps, progress={"step": step + 1, "run": run})


def _step(
    made: Network, data: Encoded, targets: Targets, rows: Ints, *, plan: FitPlan, parts: Parts
) -> None:
    pad = made.tokenizer.token_to_id("[PAD]") or 0
    ids = tensor(data.padded(rows, pad=pad))
    some = targets.rows(rows)
    wanted, known = tensor(some.values), tensor(some.known)
    device = made.place.device

    def loss(part: slice) -> torch.Tensor:
        given = ids[part].to(device)
        with made.place.autocast():
            scores = cast("torch.Tensor", made.model(given, (given != pad).long())).float()
        return _loss(
            targets.heads, scores, wanted[part].to(device), known[part].to(device), plan=plan
        ) / len(rows)

    parts.backward(len(rows), loss, clear=lambda: made.model.zero_grad(set_to_none=True))


def _loss(
    heads: Sequence[Head],
    scores: torch.Tensor,
    wanted: torch.Tensor,
    known: torch.Tensor,
    *,
    plan: FitPlan,
) -> torch.Tensor:
    """Return the summed loss of all rows and the heads known for them."""
    from torch.nn import functional

    total = scores.sum() * 0
    for number, (head, columns) in enumerate(zip(heads, places(heads).values(), strict=True)):
        there = known[:, number]
        if not bool(there.any()):
            continue
        told, target = scores[there, columns], wanted[there, columns]
        if head.kind == "many":
            each = functional.binary_cross_entropy_with_logits(told, target, reduction="sum")
            total = total + each / len(head.labels) ** 0.5
            continue
        soft = target * (1 - plan.smoothing) + plan.smoothing / len(head.labels)
        logs = told.log_softmax(-1)
        total = total - (soft * logs).sum()
        if head.parents:
            member = tensor(head.membership).to(scores.device)
            groups = (logs.exp() @ member).clamp_min(1e-9).log()
            total = total - plan.parents * ((target @ member) * groups).sum()
    return total


def _fingerprint(data: Encoded, targets: Targets, plan: FitPlan) -> str:
    sums = hashlib.sha256(data.ids.tobytes())
    for part in (targets.values.tobytes(), targets.known.tobytes()):
        sums.update(part)
    sums.update(plan.model_dump_json(exclude={"keep_every"}).encode())
    return sums.hexdigest()
