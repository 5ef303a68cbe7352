"""Which record a row is: a stable hash of what its contract says identifies it."""

from __future__ import annotations

import polars as pl
from xxhash import xxh3_128_hexdigest

from models.records.contract import Contract


def record_ids(frame: pl.DataFrame, contract: Contract, *, source: str) -> pl.Series:
    """Return each row's record id: 128 bits of XXH3 over table and key, as 32 hex digits.

    A source's own id, where mapped, stands for the key, within ``source`` (the mapping's id of it):
    other systems count from 1 too. Equal input gives equal ids on any machine.
    """
    parts = [
        pl.coalesce(_key_part(name) for name in part.split("|")).fill_null("")
        for part in contract.key
    ]
    key = pl.concat_str([pl.lit(contract.name), *parts], separator="\x1f")
    own = pl.concat_str(
        [
            *(pl.lit(contract.name), pl.col("authority").fill_null("")),
            *(pl.lit(source), pl.col("source_id")),
        ],
        separator="\x1e",
    )
    texts = frame.select(pl.coalesce(own, key).cast(pl.Binary)).to_series()
    return pl.Series("record_id", list(map(xxh3_128_hexdigest, texts.to_list())), dtype=pl.String)


def _key_part(column: str) -> pl.Expr:
    """Return a column of a key; a document's number without blanks, with one kind of bracket."""
    text = pl.col(column).cast(pl.String)
    if column != "document_number":
        return text
    return (
        text.str.replace_all(r"\s", "")
        .str.replace_all(r"[\[【（(﹝［]", "〔")
        .str.replace_all(r"[\]】）)﹞］]", "〕")
    )


def stable_id(text: str) -> str:
    """Return 128 bits of XXH3 over ``text`` as 32 hex digits; the same on every machine."""
    return xxh3_128_hexdigest(text.encode())
