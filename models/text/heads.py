"""The questions asked of a text, and the network that answers them all at once.

A head is a question with a closed list of answers: which leaf of the violation taxonomy, how
severe, which department. All heads read the same encoding; their scores stand side by side in one
matrix, so that any engine needs one input and one output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.errors import BundleError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel
    from transformers.modeling_outputs import BaseModelOutput

Floats = npt.NDArray[np.float32]
Kind = Literal["one", "many"]


class Head(BaseModel):
    """One question: its name, its possible answers, and whether several may hold together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z_]*$")
    labels: tuple[str, ...] = Field(min_length=2)
    kind: Kind = "one"
    """``one``: exactly one label holds (softmax); ``many``: any number (a sigmoid each)."""
    parents: tuple[str, ...] = ()
    """The parent of each label, for a taxonomy of two levels; empty without one."""

    @model_validator(mode="after")
    def _check(self) -> Head:
        if len(set(self.labels)) != len(self.labels):
            msg = f"head {self.name}: a label is listed twice"
            raise ValueError(msg)
        if self.parents and (len(self.parents) != len(self.labels) or self.kind == "many"):
            msg = f"head {self.name}: parents are one a label, and only where one label holds"
            raise ValueError(msg)
        return self

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the parents, each once, in the order of their first label."""
        return tuple(dict.fromkeys(self.parents))

    @property
    def membership(self) -> Floats:
        """Return labels × groups: 1 where a label belongs to a group."""
        groups = {name: place for place, name in enumerate(self.groups)}
        out = np.zeros((len(self.labels), len(groups)), dtype=np.float32)
        out[np.arange(len(self.parents)), [groups[name] for name in self.parents]] = 1
        return out

    def probabilities(self, scores: npt.NDArray[np.floating], temperature: float = 1) -> Floats:
        """Return rows × labels: what each score means after division by ``temperature``."""
        cooled = scores.astype(np.float64) / temperature
        if self.kind == "many":
            return (1 / (1 + np.exp(-np.clip(cooled, -60, 60)))).astype(np.float32)
        powers = np.exp(cooled - cooled.max(axis=1, keepdims=True))
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def places(heads: Sequence[Head]) -> dict[str, slice]:
    """Return which columns of the common matrix of scores are whose."""
    out: dict[str, slice] = {}
    begin = 0
    for head in heads:
        out[head.name] = slice(begin, begin + len(head.labels))
        begin += len(head.labels)
    return out


def width(heads: Sequence[Head]) -> int:
    """Return the columns of the common matrix of scores."""
    return sum(len(head.labels) for head in heads)


def network(encoder: PreTrainedModel, columns: int, *, dropout: float = 0.1) -> torch.nn.Module:
    """Return the encoder with its heads: ``(ids, mask) -> scores``, rows × ``columns``.

    The encoding of a text is the mean of its tokens' vectors beside their maximum: the mean says
    what the text is about, the maximum lets a single telling phrase be heard in a long text.
    """
    import torch

    if getattr(encoder, "pooler", None) is not None:
        # Nothing here reads it, and not every base brings its weights.
        setattr(encoder, "pooler", None)  # noqa: B010 -- typed as never None

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            self.dropout = torch.nn.Dropout(dropout)
            self.heads = torch.nn.Linear(2 * int(encoder.config.hidden_size), columns)

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            told = cast("BaseModelOutput", self.encoder(input_ids=ids, attention_mask=mask))
            hidden = cast("torch.Tensor", told.last_hidden_state)
            seen = mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * seen).sum(1) / seen.sum(1)
            most = (hidden - 1e4 * (1 - seen)).amax(1)
            return self.heads(self.dropout(torch.cat([mean, most], dim=-1)))

    return Network()


def check_labels(head: Head, told: Sequence[str]) -> None:
    """Raise :class:`BundleError` for labels that the head does not have."""
    odd = sorted({*told} - {*head.labels})
    if odd:
        raise BundleError(
            f"head {head.name}: unknown label {', '.join(label[:24] for label in odd[:5])}; "
            f"it knows {', '.join(head.labels[:8])}{' …' if len(head.labels) > 8 else ''}; "
            "correct it, set it to null, or fit on texts with it"
        )


def by_head(heads: Sequence[Head], scores: Floats) -> Mapping[str, Floats]:
    """Return the columns of each head of a common matrix."""
    return {name: scores[:, columns] for name, columns in places(heads).items()}
