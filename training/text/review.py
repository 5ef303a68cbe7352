"""Review: the texts whose labels would teach most, out as a spreadsheet and back as records.

Most is taught by a text that the model is unsure of and that is unlike the others in the same
sheet: candidates are taken greedily by uncertainty times distance from what is taken already.
Whatever leaves the lake is masked first; the labels keep the masked text, and training reads that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import ConfigError, SourceError
from models.records.lake import Lake
from models.text.heads import Floats
from models.text.mask import mask_expr
from training.text.annotate import READ, digests_of, joined_text

POOL: Final = 20_000
"""Distinct texts that are looked at, taken by chance where there are more."""
_NEAREST: Final = 20
"""Candidates for each place in the sheet: the least sure."""
_CANDIDATES: Final = 4_000
"""Candidates in all, unless more texts are wanted."""
_WIDE: Final = 4_096
_NOTHING: Final = np.zeros((0, _WIDE), dtype=np.float32)

LABELS: Final = pl.Schema(
    {
        "label_id": pl.String(),
        "text_id": pl.String(),
        "table": pl.String(),
        "text": pl.String(),
        "leaf": pl.String(),
        "proposed": pl.String(),
        "confidence": pl.Float64(),
        "model": pl.String(),
        "taxonomy": pl.String(),
        "reviewer": pl.String(),
        "reviewed_on": pl.Date(),
        "note": pl.String(),
        "imported_at": pl.Datetime("us", "UTC"),
    }
)
"""Labels as kept: ``text`` masked, ``leaf`` null where a person found that none holds, ``text_id``
the digest of the text as it stands in the lake, ``label_id`` of text, leaf, reviewer and day."""


class Unsure(Protocol):
    """What tells how likely each label is: :class:`models.text.classifier.Classifier`."""

    def probabilities(self, texts: Sequence[str | None]) -> Mapping[str, Floats]:
        """Return each head's probabilities, rows × labels."""
        ...


def pool(
    lake: Lake,
    *,
    tables: Mapping[str, Sequence[str]] = READ,
    without: Collection[str] = (),
    seed: int = 7,
    most: int = POOL,
) -> pl.DataFrame:
    """Return distinct texts of the lake that have no label yet.

    Returns:
        text_id, table, text (as in the lake: not yet masked), in the order of their ids.
    """
    found = [
        lake.scan(table)
        .select(joined_text(columns), table=pl.lit(table))
        .drop_nulls("text")
        .unique("text")
        .collect()
        for table, columns in tables.items()
        if table in lake.tables()
    ]
    empty = pl.DataFrame(schema={"text": pl.String, "table": pl.String})
    texts = pl.concat([empty, *found]).unique("text", keep="first", maintain_order=True)
    ids = texts.with_columns(text_id=digests_of(texts["text"])).sort("text_id")
    left = ids.filter(~pl.col("text_id").is_in(list(without)))
    taken = left.sample(most, seed=seed).sort("text_id") if left.height > most else left
    return taken.select("text_id", "table", "text")


def useful(
    texts: pl.DataFrame, reader: Unsure, labels: Sequence[str], *, count: int
) -> pl.DataFrame:
    """Return the texts that are most worth a label, masked, with what the model makes of them.

    Args:
        texts: What :func:`pool` returned.
        reader: Tells the probabilities of head ``leaf``.
        labels: The labels of that head, in its order.
        count: How many are wanted.

    Returns:
        text_id, table, text, proposed, confidence, second, third; the most useful first.
    """
    if texts.is_empty():
        names = ("text_id", "table", "text", "proposed", "second", "third")
        shape = dict.fromkeys(names, pl.String()) | {"confidence": pl.Float64()}
        return pl.DataFrame(schema=shape)
    written = cast("list[str]", texts["text"].to_list())
    told = reader.probabilities(written)["leaf"].astype(np.float64)
    chosen = chosen_of(written, uncertainty(told), count=count)
    order = np.argsort(-told[chosen], axis=1, kind="stable")
    names = np.array([*labels, None, None], dtype=object)
    width = len(labels)
    places = np.pad(order[:, :3], ((0, 0), (0, max(0, 3 - width))), constant_values=width)
    some = texts[chosen.tolist()]
    return (
        some.select("text_id", "table", mask_expr("text").alias("text"))
        .with_columns(
            pl.Series(name, names[places[:, at]].tolist(), pl.String)
            for at, name in enumerate(("proposed", "second", "third"))
        )
        .with_columns(confidence=pl.Series(told[chosen, order[:, 0]], dtype=pl.Float64))
    )


def uncertainty(told: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how unsure each row of probabilities is: 1 less the lead of the likeliest label."""
    if told.shape[1] < 2:
        return np.zeros(len(told), dtype=np.float64)
    best = np.sort(told, axis=1)[:, -2:]
    return 1 - (best[:, 1] - best[:, 0])


def chosen_of(
    texts: Sequence[str], unsure: NDArray[np.float64], *, count: int
) -> NDArray[np.int64]:
    """Return places of texts, by uncertainty times distance from those chosen before."""
    near = np.argsort(-unsure, kind="stable")[: max(count, min(count * _NEAREST, _CANDIDATES))]
    vectors = np.stack([_vector(texts[int(place)]) for place in near]) if near.size else _NOTHING
    closest, taken = np.zeros(near.size, dtype=np.float32), np.zeros(near.size, dtype=np.bool_)
    out: list[int] = []
    while len(out) < min(count, near.size):
        place = int(np.argmax(np.where(taken, -1.0, unsure[near] * (1 - closest))))
        out.append(place)
        taken[place] = True
        closest = np.maximum(closest, np.minimum(vectors @ vectors[place], 1))
    return near[out].astype(np.int64)


def _vector(text: str) -> NDArray[np.float32]:
    """Return which character pairs a text has, hashed into a vector of length 1."""
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    mixed = (codes[:-1] * np.uint64(0x9E3779B1) + codes[1:]) * np.uint64(0x85EBCA6B)
    out = np.zeros(_WIDE, dtype=np.float32)
    out[(mixed >> np.uint64(16)) % np.uint64(_WIDE)] = 1
    return out / max(1.0, float(np.sqrt(out.sum())))


def keep_labels(folder: Path, told: pl.DataFrame, *, now: datetime) -> Path | None:
    """Add labels to those kept; null where all of them are there already.

    One file an import, named by its content, so that what is kept is never written again.

    Args:
        folder: ``<home>/text/labels``.
        told: Columns of :data:`LABELS` but ``label_id`` and ``imported_at``.
        now: Of the import, with time zone.
    """
    parts = pl.concat_str(
        [pl.col(name).cast(pl.String).fill_null("") for name in _IDENTITY], separator="|"
    )
    made = [_sha(text)[:32] for text in told.select(parts).to_series()]
    rows = told.with_columns(
        label_id=pl.Series(made, dtype=pl.String), imported_at=pl.lit(now.astimezone(UTC))
    ).select(pl.col(name).cast(kind) for name, kind in LABELS.items())
    known = all_labels(folder)["label_id"]
    fresh = rows.unique("label_id", keep="first", maintain_order=True)
    fresh = fresh.filter(~pl.col("label_id").is_in(known.to_list()))
    if fresh.is_empty():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_sha('|'.join(fresh['label_id'].sort().to_list()))[:32]}.parquet"
    fresh.write_parquet(path)
    return path


MADE: Final = ("label_id", "imported_at")
"""Columns of a label that keeping it adds."""
_IDENTITY: Final = ("text_id", "leaf", "reviewer", "reviewed_on")


def _sha(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def all_labels(folder: Path) -> pl.DataFrame:
    """Return every label ever kept, oldest import first; columns of :data:`LABELS`.

    Raises:
        SourceError: A file in the folder is no table of labels.
    """
    found = [pl.DataFrame(schema=LABELS)]
    for path in sorted(folder.glob("*.parquet")):
        try:
            found.append(pl.read_parquet(path).select(LABELS.names()))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise SourceError(
                f"{path}: is no table of labels ({error}); restore it, or take it away"
            ) from error
    return pl.concat(found).sort("imported_at", "label_id")


def labels(folder: Path) -> pl.DataFrame:
    """Return the label that holds for each text: the latest review's; of equal days, import's."""
    held = all_labels(folder).sort("reviewed_on", "imported_at", "label_id")
    return held.unique("text_id", keep="last", maintain_order=True)


def to_learn(folder: Path) -> pl.DataFrame:
    """Return the labels as a table to fit on: text, leaf. Texts where no leaf holds are left out.

    Raises:
        ConfigError: There are none yet.
    """
    held = labels(folder).drop_nulls("leaf").select("text", "leaf", "text_id")
    if held.is_empty():
        raise ConfigError(
            f"{folder} holds no labels; bring some in with xinjian text review import FILE.xlsx"
        )
    return held
