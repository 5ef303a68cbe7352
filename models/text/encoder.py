"""The encoder: characters in, one vector a character out.

Any pretrained Chinese encoder can be the base, by local folder or by name. Where none can be had
a small BERT over single characters is made here: no word list and no WordPiece, so that a
character's place in the text is also its token's place, which evidence needs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.errors import ConfigError
from models.text.untyped import keep_pretrained, pretrained

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.normalizers import Normalizer
    from transformers import BertForMaskedLM, PreTrainedModel

SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""The first ids of every vocabulary learnt here, in this order."""
PAD, UNKNOWN, CLS, SEP, MASK = range(5)

LONGEST_TEXT: Final = 20_000
"""Characters of a text that are read: white space and markup do not count."""
_TAG: Final = r"<[A-Za-z/!][^<>]{0,300}>"
# Tags with attributes may be long (a picture within the text); each part ends at the next < or >,
# so that no text takes more than linear time.
MARKUP: Final = re.compile(
    rf"<(style|script)\b[^<>]*>[^<]*</\1\s*>|<(?:[A-Za-z][\w:]{{0,15}}\s+[\w:-]{{1,30}}\s*=|!--)[^<>]*>|{_TAG}",
    re.IGNORECASE | re.ASCII,
)
_UNSEEN: Final = r"[\p{Cc}\p{Cf}\p{Cs}\p{Co}]"
_VISIBLE: Final = re.compile(r"\S")
_INVISIBLE: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ue000-\uf8ff]"
)
_LONE: Final = re.compile("[\ud800-\udfff]")
_TOKENIZERS: Final = ("tokenizer.json", "vocab.txt")


class _Fast(Protocol):
    """A tokenizer of transformers that stands on one of tokenizers."""

    @property
    def backend_tokenizer(self) -> Tokenizer: ...


class EncoderShape(BaseModel):
    """The size of the small character encoder; the defaults train on two CPU cores in an hour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: int = Field(default=3, ge=1, le=48)
    hidden: int = Field(default=256, ge=8, le=4096)
    heads: int = Field(default=4, ge=1, le=64)
    inner: int = Field(default=768, ge=8, le=16384)
    positions: int = Field(default=512, ge=16, le=8192)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is not a multiple of heads {self.heads}")
        return self


def clean(text: str | None, *, longest: int = LONGEST_TEXT) -> str:
    """Return the part of a text that is read, at most ``longest`` visible characters.

    Markup becomes blanks, and a lone surrogate (half an emoji, from a file cut in the middle, which
    UTF-8 cannot write) U+FFFD: one for one, so that offsets stay those of the text as given.
    """
    bare = _LONE.sub("\ufffd", MARKUP.sub(_blank, text or ""))
    if len(bare) <= longest:
        return bare
    beyond = next(islice(_VISIBLE.finditer(bare), longest, None), None)
    return bare if beyond is None else bare[: beyond.start()]


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def plain(text: str) -> str:
    """Return a text as any model here sees it: markup and invisible characters out, NFKC, lower.

    White space becomes a single blank. Offsets are lost; the tokenizer keeps them where needed.
    """
    bare = _INVISIBLE.sub(" ", MARKUP.sub(" ", text))
    return " ".join(unicodedata.normalize("NFKC", bare).lower().split())


def vocabulary_of(texts: Iterable[str], *, at_least: int = 5, size: int = 12_000) -> dict[str, int]:
    """Return the ids of characters seen ``at_least`` times, the most frequent first.

    The special tokens take ids 0–4. Characters are counted after normalisation (NFKC, lower case,
    markup and invisible characters dropped).
    """
    from collections import Counter

    normalise = _normaliser()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalise.normalize_str(clean(text)))
    kept = [
        (char, seen) for char, seen in counts.items() if seen >= at_least and not char.isspace()
    ]
    kept.sort(key=lambda one: (-one[1], one[0]))
    names = [*SPECIAL, *(char for char, _ in kept[: size - len(SPECIAL)])]
    return {name: place for place, name in enumerate(names)}


def character_tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    """Return a tokenizer that makes each character a token, and keeps offsets into the text.

    Nothing in a text can name a special token: ``[SEP]`` in a complaint is five characters.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    made = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL[UNKNOWN]))
    made.normalizer = _normaliser()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    made.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL[CLS]} $A {SPECIAL[SEP]}",
        special_tokens=[(SPECIAL[CLS], CLS), (SPECIAL[SEP], SEP)],
    )
    return made


def _normaliser() -> Normalizer:
    """NFKC makes full-width digits and compatibility forms plain; markup and controls go."""
    from tokenizers import Regex, normalizers

    return normalizers.Sequence(
        [
            normalizers.Replace(Regex(_TAG), " "),
            normalizers.Replace(Regex(_UNSEEN), " "),
            normalizers.NFKC(),
            normalizers.Lowercase(),
        ]
    )


def new_masked_model(shape: EncoderShape, vocabulary: int) -> BertForMaskedLM:
    """Return a new encoder with its language-modelling head, weights random."""
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(
        BertConfig(
            vocab_size=vocabulary,
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=shape.inner,
            max_position_embeddings=shape.positions,
            hidden_dropout_prob=shape.dropout,
            attention_probs_dropout_prob=0.0,
            pad_token_id=PAD,
        )
    )


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write a tokenizer as transformers reads it: ``tokenizer.json`` and its configuration."""
    from transformers import PreTrainedTokenizerFast

    names = dict(
        zip(
            ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True
        )
    )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    keep_pretrained(PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names), folder)


def load_base(base: str) -> tuple[PreTrainedModel, Tokenizer]:
    """Return a pretrained encoder and its tokenizer.

    Args:
        base: A local folder in the layout of transformers, or a model hub's name for it.

    Raises:
        ConfigError: The folder or name has no weights, no tokenizer or no padding token, or the
            name is not kept here and the hub cannot be reached.
    """
    from transformers import AutoModel

    return cast("PreTrainedModel", _loaded(base, AutoModel)), _tokenizer_of(base)


def masked_model(base: str) -> tuple[BertForMaskedLM, Tokenizer]:
    """Return a BERT with its language-modelling head, to pre-train further; see `load_base`."""
    from transformers import BertForMaskedLM

    return cast("BertForMaskedLM", _loaded(base, BertForMaskedLM)), _tokenizer_of(base)


def _loaded(base: str, kind: object) -> object:
    _there(base)
    try:
        return pretrained(kind, base, dtype="float32")
    except (OSError, ValueError) as error:
        raise ConfigError(_unloadable(base, "its weights or configuration", error)) from error


def _tokenizer_of(base: str) -> Tokenizer:
    from transformers import AutoTokenizer

    if Path(base).is_dir() and not any((Path(base) / name).exists() for name in _TOKENIZERS):
        raise ConfigError(
            f"--base {base}: the folder has no tokenizer ({' or '.join(_TOKENIZERS)}); "
            "copy the file of the encoder's publisher into it"
        )
    try:
        found = cast("_Fast", pretrained(AutoTokenizer, base))
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(_unloadable(base, "its tokenizer", error)) from error
    tokenizer = getattr(found, "backend_tokenizer", None)
    if tokenizer is None or tokenizer.token_to_id(SPECIAL[PAD]) is None:
        raise ConfigError(
            f"--base {base}: its tokenizer has no {SPECIAL[PAD]} token or no fast form; "
            "take an encoder of the BERT family"
        )
    tokenizer.encode_special_tokens = True
    return tokenizer


def _there(base: str) -> None:
    """Refuse what is plainly a path and leads nowhere, before a hub is asked for it."""
    if not Path(base).is_dir() and (base.startswith((".", "/", "~")) or base.count("/") > 1):
        raise ConfigError(f"--base {base}: no such folder")


def _unloadable(base: str, what: str, error: Exception) -> str:
    reason = str(error).partition("\n")[0]
    if Path(base).is_dir():
        return f"--base {base}: {what} cannot be read from this folder ({reason})"
    return (
        f"--base {base}: neither a folder nor kept here, and the model hub cannot be reached "
        f"({reason}); fetch it where there is a network and name its folder, "
        "or make an encoder here with: xinjian text pretrain"
    )
